package watcher

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire"
)

func TestAFrameIsOneCommit(t *testing.T) {
	k := greeted(t, func(k *talk) {
		for range 6 {
			k.h.write(2, put("a", 10))
		}
	})
	if k.s.Live() {
		t.Error("live at once")
	}
	k.give(k.h.changes(1, 4))
	if got, of := k.s.Progress(); got != 4 || of != 6 {
		t.Errorf("%d of %d", got, of)
	}
	k.give(k.h.changes(3, 6)) // two of them for the second time
	k.give(k.h.changes(2, 3)) // both for the second time
	k.running()
	if want := [][]uint64{{1, 2, 3, 4}, {5, 6}}; !reflect.DeepEqual(k.r.applies, want) {
		t.Errorf("commits %v, want %v", k.r.applies, want)
	}
	if !k.s.Live() {
		t.Error("not live")
	}
}

func TestOwnBatchesComeBackAsPlaces(t *testing.T) {
	k := greeted(t, func(k *talk) {
		k.r.put(t, 10)
		k.r.put(t, 10)
	})
	expect[*wire.Push](k)
	k.h.take(k.r.own[0])
	k.h.void(k.r.device, 2, k.r.hashes[1])
	k.give(k.h.accepted(1, 1))
	k.give(k.h.voided(2))
	k.running()
	if k.r.confirmed != 2 || k.r.marker.Seq != 2 {
		t.Errorf("confirmed %d, marker %+v", k.r.confirmed, k.r.marker)
	}
}

// A stream that breaks inside a split batch leaves no trace of it; the next one brings it whole.
func TestBreakInsideASplitBatch(t *testing.T) {
	k := greeted(t, func(k *talk) { k.h.write(2, put("a", 3), put("big", 600_000)) })
	var parts []*wire.Changes
	for m := range wire.SplitChanges(1, [][]byte{k.h.feed[0].raw}, []change.Hash{k.h.feed[0].after}, wire.FrameBudget) {
		parts = append(parts, m)
	}
	if len(parts) < 3 {
		t.Fatal("not split")
	}
	for _, m := range parts[:len(parts)-1] {
		k.give(m)
	}
	k.pass(wire.SeenAfter)
	k.s.Idle(k.now)
	k.silent() // nothing is acknowledged
	k.s.Lost(&wire.CloseError{Code: wire.CloseAbnormal})
	k.ended(Ended)
	if len(k.r.applies) > 0 || len(k.r.heads) > 0 || !k.r.marker.IsZero() {
		t.Errorf("a trace: %v %v %v", k.r.applies, k.r.heads, k.r.marker)
	}

	k.s = New(k.r, Config{Database: "db"})
	k.greet()
	for _, m := range parts {
		k.give(m)
	}
	if len(k.r.heads) != 2 || k.r.marker.Seq != 1 {
		t.Errorf("%v %v", k.r.heads, k.r.marker)
	}
}

func TestPartsOutOfPlace(t *testing.T) {
	k := greeted(t, func(k *talk) { k.h.write(2, put("big", 600_000)); k.h.write(2, put("a", 3)) })
	part := &wire.Changes{Seq: 1, Entries: [][]byte{{1, 2}}, Hash: change.Hash{1}, Part: wire.Part{Index: 1}}
	k.give(part)
	k.ended(Ended) // the hub slept: no fault
	k = greeted(t, func(k *talk) { k.h.write(2, put("a", 3)) })
	k.give(&wire.Changes{Seq: 1, Entries: [][]byte{{1, 2}}, Hash: change.Hash{1}, Part: wire.Part{More: true}})
	k.give(k.h.changes(1, 1))
	k.ended(Faulty)
}

func TestGapsAndHashesAreTheHubsFault(t *testing.T) {
	k := greeted(t, func(k *talk) { k.h.write(2, put("a", 3)); k.h.write(2, put("a", 3)) })
	k.give(k.h.changes(2, 2))
	if r := k.ended(Faulty); r.Code != wire.CodeGap || r.Seq != 1 {
		t.Errorf("%+v", r)
	}
	k = greeted(t, func(k *talk) { k.h.write(2, put("a", 3)) })
	m := k.h.changes(1, 1)
	m.Hash[0]++
	k.give(m)
	if r := k.ended(Faulty); r.Code != wire.CodeHash || r.Seq != 1 {
		t.Errorf("%+v", r)
	}
	k = greeted(t, func(k *talk) {})
	k.s.Frame(context.Background(), k.now, []byte{0xc1})
	if r := k.ended(Faulty); r.Code != wire.CodeProtocol {
		t.Errorf("%+v", r)
	}
	k = greeted(t, func(k *talk) {})
	k.s.Frame(context.Background(), k.now, []byte{0x92, 35, 0x80})
	if r := k.ended(Refused); r.Code != wire.CodeUnknownMessage {
		t.Errorf("%+v", r)
	}
}

// One entry that the replica cannot take holds back what follows it, and nothing before it.
func TestWhatFollowsABadEntryWaits(t *testing.T) {
	for _, code := range []core.Code{core.Corrupt, core.Invalid} {
		k := greeted(t, func(k *talk) {
			for range 5 {
				k.h.write(2, put("a", 3))
			}
		})
		k.r.refuse[4] = &core.Error{Code: code, Message: "bad"}
		k.give(k.h.changes(1, 5))
		if r := k.ended(Faulty); r.Seq != 4 || r.Code != wire.Code(code) {
			t.Errorf("%+v", r)
		}
		if want := [][]uint64{{1}, {2}, {3}}; !reflect.DeepEqual(k.r.applies, want) {
			t.Errorf("commits %v, want %v", k.r.applies, want)
		}
	}
}

func TestOwnStorageFails(t *testing.T) {
	for _, err := range []error{&core.Error{Code: core.Quota, Message: "full"}, errors.New("strange")} {
		k := greeted(t, func(k *talk) { k.h.write(2, put("a", 3)) })
		k.r.refuse[1] = err
		k.give(k.h.changes(1, 1))
		if r := k.ended(Failed); !errors.Is(r.Err, err) || r.Code == "" {
			t.Errorf("%+v", r)
		}
	}
}

func TestCredit(t *testing.T) {
	k := greeted(t, func(k *talk) {
		for range 12 {
			k.h.write(2, put("a", 100_000))
		}
	})
	seen := func(want uint64) {
		t.Helper()
		if m := expect[*wire.Seen](k); m.Seq != want || m.Hash != k.h.feed[want-1].after {
			t.Errorf("%+v, want %d", m, want)
		}
		k.silent()
	}
	for seq := range uint64(5) {
		k.give(k.h.changes(seq+1, seq+1))
		k.silent()
	}
	k.give(k.h.changes(6, 6))
	seen(6) // more than half of the credit
	k.give(k.h.changes(7, 7))
	k.silent()
	k.s.Idle(k.now)
	seen(7) // behind, and nothing more has come
	k.give(k.h.changes(8, 12))
	k.silent()
	k.pass(wire.SeenAfter)
	seen(12)
	k.pass(wire.SeenAfter)
	k.silent() // said already

	k.h.write(2, put("a", 10))
	k.give(k.h.changes(13, 13))
	k.s.Idle(k.now)
	k.silent() // live, and little: a second is soon enough
	k.h.write(2, put("a", 100_000))
	k.give(k.h.changes(14, 14))
	k.s.Idle(k.now)
	seen(14)
}

// Where the frame does not give the hub's running hash, nothing of it is known to be right.
func TestNothingOfAnUnprovenFrameIsApplied(t *testing.T) {
	for _, spoil := range []func(m *wire.Changes){
		func(m *wire.Changes) { m.Hash[0]++ },
		func(m *wire.Changes) { m.Entries[1] = m.Entries[1][:20] },
	} {
		k := greeted(t, func(k *talk) {
			for range 5 {
				k.h.write(2, put("a", 3))
			}
		})
		m := k.h.changes(1, 5)
		spoil(m)
		k.r.refuse[4] = &core.Error{Code: core.Corrupt, Message: "bad"}
		k.give(m)
		if r := k.ended(Faulty); r.Seq != 1 || len(k.r.applies) > 0 {
			t.Errorf("%+v, %v", r, k.r.applies)
		}
	}
}
