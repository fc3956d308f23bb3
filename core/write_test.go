package core

import (
	"bytes"
	"strings"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
)

// What cannot be written is refused with its code, says what was expected and what came, and leaves no trace.
func TestBadWrites(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("there", "1")
	before := a.State()
	v := value("v")
	none := store.Durability(7)
	put := func(k change.Key) Op { return Op{Key: k, Value: v} }
	for _, c := range []struct {
		name string
		w    Write
		code Code
		says string
	}{
		{"nothing", Write{}, Invalid, "at least one object"},
		{"no collection", Write{Ops: []Op{put(change.Key{ID: "x"})}}, Invalid, "collection"},
		{"no id", Write{Ops: []Op{put(change.Key{Collection: "c"})}}, Invalid, "id"},
		{"long collection", Write{Ops: []Op{put(change.Key{Collection: strings.Repeat("c", 65), ID: "x"})}}, KeyTooLong, "64"},
		{"long id", Write{Ops: []Op{put(change.Key{Collection: "c", ID: strings.Repeat("é", 257)})}}, KeyTooLong, "514"},
		{"control character", Write{Ops: []Op{put(change.Key{Collection: "c\n", ID: "x"})}}, Invalid, "control"},
		{"bad UTF-8", Write{Ops: []Op{put(change.Key{Collection: "c", ID: "\xff"})}}, Invalid, "UTF-8"},
		{"system collection", Write{Ops: []Op{put(change.Key{Collection: change.SystemPrefix + "x", ID: "x"})}}, Invalid, "system"},
		{"no value", Write{Ops: []Op{{Key: key("x")}}}, Invalid, "value"},
		{"bad value", Write{Ops: []Op{{Key: key("x"), Value: []byte{0xc1}}}}, Invalid, "value"},
		{"two values", Write{Ops: []Op{{Key: key("x"), Value: []byte{1, 2}}}}, Invalid, "value"},
		{"not the shortest", Write{Ops: []Op{{Key: key("x"), Value: []byte{0xcc, 1}}}}, Invalid, "value"},
		{"deletion with value", Write{Ops: []Op{{Key: key("x"), Delete: true, Value: v}}}, Invalid, "deletion"},
		{"large value", Write{Ops: []Op{{Key: key("x"), Value: make([]byte, change.MaxValue+1)}}}, ValueTooLarge, "1048576"},
		{"object twice", Write{Ops: []Op{put(key("x")), put(key("y")), put(key("x"))}}, Invalid, "twice"},
		{"many objects", Write{Ops: make([]Op, change.MaxMutations+1)}, BatchTooLarge, "20000"},
		{"large batch", Write{Ops: largeOps(9)}, BatchTooLarge, "8388608"},
		{"long note", Write{Ops: []Op{put(key("x"))}, Note: strings.Repeat("n", 1025)}, Invalid, "note"},
		{"note of no UTF-8", Write{Ops: []Op{put(key("x"))}, Note: "\xff"}, Invalid, "note"},
		{"nonce", Write{Ops: []Op{put(key("x"))}, Nonce: change.Nonce{Counter: 1 << 60}}, Invalid, "nonce"},
		{"durability", Write{Ops: []Op{put(key("x"))}, Durability: &none}, Invalid, "urability"},
		{"unknown version seen", Write{Ops: []Op{{Key: key("x"), Value: v, Seen: []change.Version{{Device: change.DeviceID{9}, Gen: 1}}}}}, Invalid, "seen"},
		{"no version seen", Write{Ops: []Op{{Key: key("x"), Value: v, Seen: []change.Version{{}}}}}, Invalid, "seen"},
		{"future version seen", Write{Ops: []Op{{Key: key("x"), Value: v, Seen: []change.Version{{Device: before.Device, Gen: 2}}}}}, Invalid, "seen"},
		{"much seen", Write{Ops: []Op{{Key: key("x"), Value: v, Seen: make([]change.Version, 65)}}}, Invalid, "64"},
		{"check of no key", Write{Ops: []Op{put(key("x"))}, Checks: []Check{{}}}, Invalid, "collection"},
	} {
		_, err := a.Write(w.ctx, c.w)
		if codeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if after := a.State(); after != before {
		t.Errorf("%+v became %+v", before, after)
	}
	if _, err := w.hub.Put(w.ctx, key("x"), v); codeOf(err) != Invalid {
		t.Errorf("a write at the hub: %v", err)
	}
	if _, err := a.Accept(w.ctx, nil); codeOf(err) != Invalid {
		t.Errorf("acceptance at a device: %v", err)
	}
	if err := w.hub.Apply(w.ctx, nil, change.Hash{}); codeOf(err) != Invalid {
		t.Errorf("a feed for the hub: %v", err)
	}
	if err := a.Dismiss(w.ctx, change.Version{}); codeOf(err) != Invalid {
		t.Errorf("no problem: %v", err)
	}
	for _, v := range []change.Version{{Device: before.Device, Gen: 2}} {
		if err := a.WaitSynced(w.ctx, v); codeOf(err) != Invalid {
			t.Errorf("waiting for %v: %v", v, err)
		}
	}
	for _, q := range []ScanRange{{Prefix: "x"}, {From: "x"}, {To: "x"}, {Collection: "\x00"}, {Collection: strings.Repeat("c", 65)}} {
		for _, err := range a.Scan(w.ctx, q) {
			if codeOf(err) != Invalid && codeOf(err) != KeyTooLong {
				t.Errorf("%+v: %v", q, err)
			}
		}
	}
	for _, from := range []string{"what", "0-0-0", "0000000000000001-1--1", " 0000000000000001-1-1", "0000000000000001-1-1\n", "start "} {
		for _, err := range a.Watch(w.ctx, WatchOptions{From: from}) {
			if codeOf(err) != UnknownMarker {
				t.Errorf("watch from %q: %v", from, err)
			}
			break
		}
	}
}

func largeOps(n int) (ops []Op) {
	v := value(strings.Repeat("x", change.MaxValue-10))
	for i := range n {
		ops = append(ops, Op{Key: key(string(rune('a' + i))), Value: v})
	}
	return ops
}

// The largest of everything is taken, stored, sent and read.
func TestLargestWrites(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	long := change.Key{Collection: strings.Repeat("c", change.MaxCollection), ID: strings.Repeat("i", change.MaxID)}
	ops := append(largeOps(6), Op{Key: long, Value: value(strings.Repeat("x", change.MaxValue-5))})
	if _, err := a.Write(w.ctx, Write{Ops: ops, Note: strings.Repeat("n", change.MaxNote)}); err != nil {
		t.Fatal(err)
	}
	many := make([]Op, change.MaxMutations)
	for i := range many {
		many[i] = Op{Key: benchKey(i), Value: []byte{1}}
	}
	if _, err := a.Write(w.ctx, Write{Ops: many}); err != nil {
		t.Fatal(err)
	}
	w.sync(a, b)
	a.crash()
	if err := b.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	b.crash()
	w.sync(a, b)
	e, ok, err := b.Get(w.ctx, long)
	if !ok || err != nil || len(e.Value) != change.MaxValue {
		t.Errorf("%v %v, %d bytes", ok, err, len(e.Value))
	}
}

// What the caller does with his slices afterwards changes nothing that is stored or read by others.
func TestNothingIsShared(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	v, seen := value("before"), []change.Version{}
	rec, err := a.Write(w.ctx, Write{Ops: []Op{{Key: key("x"), Value: v, Seen: seen}}})
	if err != nil {
		t.Fatal(err)
	}
	v[1] = 'X'
	a.want("x", "before")
	e, _, _ := a.Get(w.ctx, key("x"))
	e.Frontier[0].Gen = 99
	for h := range a.History(w.ctx, key("x")) {
		h.Value[1] = 'X'
	}
	a.put("y", "1") // the tail of the log is written anew, with what stood in it
	_, batches, _ := a.Unsent(w.ctx, 1, 1<<20)
	in := bytes.Clone(batches[0])
	if _, err := w.hub.Accept(w.ctx, []Incoming{{Device: a.State().Device, Bytes: in}}); err != nil {
		t.Fatal(err)
	}
	clear(in)
	es, _ := w.hub.ReadFeed(w.ctx, 0, 1)
	entry := bytes.Clone(es[0].Entry)
	b := w.device()
	b.hello()
	if err := b.Apply(w.ctx, []Arrival{{Seq: 1, Entry: entry}}, es[0].Hash); err != nil {
		t.Fatal(err)
	}
	clear(entry)
	for _, n := range []*node{a, b, w.hub} {
		n.want("x", "before")
		n.crash()
		n.want("x", "before")
	}
	if rec.Version.Gen != 1 {
		t.Error(rec)
	}
	if h := a.history("x"); len(h) != 1 || h[0] != "before" {
		t.Error(h)
	}
}
