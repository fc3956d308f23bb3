package edge

import (
	"context"
	"errors"
	"testing"

	"vsync/core/change"
	"vsync/core/wire"
)

// begin sends the first part of a push, of so many bytes, at a time.
func (d *device) begin(now uint64, bytes int) error {
	ctx := context.Background()
	for index := 0; bytes > 0; index++ {
		n := min(bytes, 900_000)
		bytes -= n
		p := &wire.Push{Gen: d.base + 1, Batches: [][]byte{make([]byte, n)}, Part: wire.Part{Index: uint64(index), More: true}}
		if err := d.conn.Receive(ctx, now, frame(p)); err != nil {
			return err
		}
	}
	return nil
}

// Who begins a push in parts and does not go on is left, though he says other things: what he holds is others' room.
func TestAPartThatDoesNotCome(t *testing.T) {
	ctx := context.Background()
	for name, beats := range map[string]bool{"pings": false, "beats": true} {
		h := NewHub(newFake(), Config{Database: "db"})
		d := newDevice('A')
		join(t, h, d)
		if err := d.begin(1_000, 1_000); err != nil {
			t.Fatal(err)
		}
		for at := uint64(5_000); at <= 30_000; at += 5_000 {
			if d.conn.Heard(at); !beats {
				if err := d.conn.Receive(ctx, at, frame(&wire.Ping{N: at})); err != nil {
					t.Fatal(err)
				}
			}
			h.Tick(at)
		}
		drain(t, d)
		h.Tick(30_999)
		expect(t, d)
		h.Tick(31_000)
		expect(t, d, "error PROTOCOL", "over 4000 PROTOCOL")
		if s := h.Stats(); s.Joining != 0 {
			t.Errorf("%s: %d bytes are left", name, s.Joining)
		}
	}
}

// A push on a slow line takes as long as it takes: each part has its time.
func TestPartsThatComeSlowly(t *testing.T) {
	h := NewHub(newFake(), Config{Database: "db"})
	d := newDevice('A')
	join(t, h, d)
	d.write(100_000)
	at := uint64(1_000)
	for p := range wire.SplitPush(1, d.batches, wire.MinFrameBudget) {
		if err := d.conn.Receive(context.Background(), at, frame(p)); err != nil {
			t.Fatal(err)
		}
		at += 29_000
		h.Tick(at)
	}
	expect(t, d, "accepted 1: 1 to 1")
	d.conn.Heard(at)
	h.Tick(at + 29_000) // nothing waits for its end any more
	expect(t, d)
}

// One subject does not take the room for unfinished pushes from others, however many connections it has.
func TestPartsOfASubject(t *testing.T) {
	h := granting(newFake(), Config{Joining: 1, Work: 1 << 30}) // the least: an entry and a batch
	refused := 0
	for name := range byte(20) {
		d := newDevice(100 + name)
		d.greet(t, h, "mallory")
		if err := d.begin(0, change.MaxBatch-1); err != nil {
			refusedWith(t, d.lastWord(t), wire.CodeRateLimited)
			refused++
		}
	}
	if refused != 19 {
		t.Errorf("%d of 20 were refused", refused)
	}
	d := newDevice('A')
	d.greet(t, h, "anna")
	if err := d.begin(0, change.MaxBatch-1); err != nil {
		t.Fatalf("there is no room for another: %v, %#v", err, d.lastWord(t))
	}
	d.conn.Close()
	if s := h.Stats(); s.Joining != change.MaxBatch-1 {
		t.Errorf("%d bytes are held", s.Joining)
	}
	h.Close()
	if s := h.Stats(); s.Joining != 0 || len(h.joins.of) != 0 {
		t.Errorf("%d bytes are left, of %v", s.Joining, h.joins.of)
	}
}

// A subject has one thing of any size, and several as far as they are its share.
func TestShareOfASubject(t *testing.T) {
	h := granting(newFake(), Config{Joining: 64 << 20, Work: 1 << 30})
	begun := 0
	for name := range byte(30) {
		d := newDevice(100 + name)
		d.greet(t, h, "anna")
		if d.begin(0, 1<<20) == nil {
			begun++
		}
	}
	if begun != 16 {
		t.Errorf("%d of 1 MiB were begun", begun)
	}
	if s := h.Stats(); s.Joining != 16<<20 {
		t.Errorf("%d bytes are held", s.Joining)
	}
}

// Who may only read makes the hub hold nothing.
func TestPartsOfAReader(t *testing.T) {
	ctx, f := context.Background(), newFake()
	h := granting(f, Config{})
	reader := newDevice('B')
	reader.conn = h.Connect(0, Peer{})
	hello := reader.hello()
	hello.Token, hello.Marker, hello.Trail = "-bert", change.Marker{Epoch: 1, Seq: 9, Hash: change.Hash{9}}, []change.Place{{}}
	if err := reader.conn.Receive(ctx, 0, frame(hello)); err != nil {
		t.Fatal(err)
	}
	if w, is := reader.lastWord(t).(*wire.Welcome); !is || w.Mode != wire.ModeReplay {
		t.Fatal("expected replay")
	}
	for i, more := range []bool{true, true, false} {
		m := &wire.Handback{Seq: 9, Entries: [][]byte{make([]byte, 100_000)}, Part: wire.Part{Index: uint64(i), More: more}}
		if err := reader.conn.Receive(ctx, 0, frame(m)); err != nil {
			t.Fatal(err)
		}
		if s := h.Stats(); s.Joining != 0 {
			t.Errorf("%d bytes are held for a reader", s.Joining)
		}
	}
	if m, is := reader.lastWord(t).(*wire.Handed); !is || m.Taken != 0 || m.Seq != 9 {
		t.Errorf("%#v", m)
	}
	var over *End
	if err := reader.begin(0, 100); !errors.As(err, &over) {
		t.Errorf("a push: %v", err)
	}
}
