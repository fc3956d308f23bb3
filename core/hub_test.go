package core

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"vsync/core/change"
)

func putOf(id string, parents ...change.Version) change.Mutation {
	return change.Mutation{Kind: change.Put, Key: key(id), Parents: parents, Value: value("v")}
}

// A batch that comes twice is known by its hash also while the first is still being stored; another one of that name is refused.
func TestDuplicatesInOneGroup(t *testing.T) {
	w := newWorld(t)
	d := change.DeviceID{1}
	h1, b1 := raw(t, d, 1, change.Hash{}, putOf("x"))
	_, b2 := raw(t, d, 2, h1, putOf("x", change.Version{Device: d, Gen: 1}))
	_, copied := raw(t, d, 1, change.Hash{}, putOf("y"))
	accept := func(batches ...[]byte) (out []string) {
		var in []Incoming
		for _, b := range batches {
			in = append(in, Incoming{Device: d, Bytes: b})
		}
		vs, err := w.hub.Accept(w.ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range vs {
			out = append(out, fmt.Sprintf("%v %d %s", v.Kind, v.Seq, v.Code))
		}
		return out
	}
	equalStrings(t, accept(b1, b2, b1, copied, b2), []string{"accepted 1 ", "accepted 2 ", "duplicate 0 ", "refused 0 HASH", "refused 0 GAP"})
	equalStrings(t, accept(b2, b1, copied), []string{"duplicate 0 ", "duplicate 0 ", "refused 0 HASH"})

	// So it is with one that was refused.
	d = change.DeviceID{2}
	_, b1 = raw(t, d, 1, change.Hash{}, putOf("x"))
	damaged := append([]byte{}, b1...)
	damaged[len(damaged)-1]++
	h, _, err := change.DecodeHeader(damaged)
	if err != nil {
		t.Fatal(err)
	}
	_, b2 = raw(t, d, 2, h.Hash, putOf("x", change.Version{Device: d, Gen: 1}))
	_, copied = raw(t, d, 1, change.Hash{}, putOf("y"))
	equalStrings(t, accept(damaged, b2, b1, copied), []string{"voided 3 INVALID", "accepted 4 ", "duplicate 0 ", "refused 0 HASH"})
	equalStrings(t, accept(b1, copied), []string{"duplicate 0 ", "refused 0 HASH"})
	w.hub.check()
	w.hub.crash()
	equalStrings(t, accept(b1, copied), []string{"duplicate 0 ", "refused 0 HASH"})
}

// Settlement finds the highest generation that both have, however the hello was cut.
func TestSettlement(t *testing.T) {
	w := newWorld(t)
	d := change.DeviceID{1}
	hashes := []change.Hash{{}}
	for g := change.Generation(1); g <= 20; g++ {
		h, b := raw(t, d, g, hashes[g-1], putOf("x"))
		if vs, err := w.hub.Accept(w.ctx, []Incoming{{Device: d, Bytes: b}}); err != nil || vs[0].Kind != Accepted {
			t.Fatal(err, vs)
		}
		hashes = append(hashes, h)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		parted := r.IntN(24) // the device went another way after this one
		last := parted + r.IntN(24)
		if parted > 20 {
			last = parted
		}
		hash := func(g int) change.Hash {
			if g <= min(parted, 20) {
				return hashes[g]
			}
			return change.Hash{0xff, byte(g)}
		}
		base := r.IntN(last + 1)
		var own []change.Hash
		for g := base + 1; g <= last && len(own) < 30; g++ {
			own = append(own, hash(g))
		}
		want := change.Generation(0)
		for g := base; g <= last && g <= 20; g++ {
			if g > 0 && hash(g) == hashes[g] {
				want = change.Generation(g)
			}
		}
		got, hubLast, lastHash, err := w.hub.Settlement(w.ctx, d, change.Generation(base), hash(base), own)
		if err != nil || got != want || hubLast != 20 || lastHash != hashes[20] {
			t.Fatalf("parted after %d, base %d, %d hashes: common %d, want %d (%d, %v)", parted, base, len(own), got, want, hubLast, err)
		}
	}
	if got, last, _, err := w.hub.Settlement(w.ctx, change.DeviceID{9}, 0, change.Hash{}, []change.Hash{{1}}); got != 0 || last != 0 || err != nil {
		t.Errorf("a device that was never heard of: %d %d %v", got, last, err)
	}
}

// ReadFeed fills its page from as many segments as it takes, from any place, and says nothing beyond the head.
func TestReadFeed(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	for i := range 300 {
		a.put(fmt.Sprint("k", i%50), fmt.Sprintf("%0100d", i))
		if i%17 == 0 {
			a.push()
		}
	}
	a.push()
	for _, size := range []int{1, 1000, 20_000, 1 << 20} {
		n, calls := 0, 0
		var running change.Hash
		for seq := uint64(0); ; calls++ {
			es, err := w.hub.ReadFeed(w.ctx, seq, size)
			if err != nil {
				t.Fatal(err)
			}
			if len(es) == 0 {
				break
			}
			total := 0
			for _, e := range es {
				if e.Seq != seq+1 {
					t.Fatalf("sequence %d after %d", e.Seq, seq)
				}
				entry, err := change.DecodeEntry(e.Entry)
				if err != nil {
					t.Fatal(err)
				}
				if running = entry.FeedHash(running); running != e.Hash {
					t.Fatalf("sequence %d: hash %s, want %s", e.Seq, e.Hash, running)
				}
				seq, n, total = e.Seq, n+1, total+len(e.Entry)
			}
			if len(es) > 1 && total > size {
				t.Errorf("%d bytes where %d were asked for", total, size)
			}
		}
		if n != 300 || size == 1<<20 && calls != 1 || size == 20_000 && calls > 5 {
			t.Errorf("%d entries in %d pages of %d bytes", n, calls, size)
		}
	}
	located := func(m change.Marker, trail ...change.Place) change.Marker {
		got, err := w.hub.Locate(w.ctx, Whereabouts{Marker: m, Trail: trail})
		if err != nil && codeOf(err) != UnknownMarker {
			t.Error(err)
		}
		if err != nil {
			return change.Marker{}
		}
		return got
	}
	if head := w.hub.Head(); located(head) != head {
		t.Error("its own head is unknown")
	}
	place := func(seq uint64) change.Place {
		es, _ := w.hub.ReadFeed(w.ctx, seq-1, 1)
		return change.Place{Seq: seq, Hash: es[0].Hash}
	}
	for _, seq := range []uint64{1, 150, 299} {
		p := place(seq)
		m := change.Marker{Epoch: 1, Seq: seq, Hash: p.Hash}
		if located(m) != m {
			t.Errorf("%d is unknown", seq)
		}
		m.Hash[0]++
		if got := located(m); !got.IsZero() {
			t.Errorf("another way at %d: %v", seq, got)
		}
	}
	if got := located(change.Marker{Epoch: 1, Seq: 301}); !got.IsZero() {
		t.Errorf("beyond the end: %v", got)
	}
	// What is unknown is found again by its trail, and raises the epoch, once.
	lost := change.Marker{Epoch: 1, Seq: 301, Hash: change.Hash{1}}
	p := place(200)
	for range 2 {
		if got := located(lost, change.Place{Seq: 250, Hash: change.Hash{2}}, p, place(100), change.Place{}); got != (change.Marker{Epoch: 2, Seq: 200, Hash: p.Hash}) {
			t.Errorf("by its trail: %v", got)
		}
	}
	if got := located(lost, change.Place{}); got != (change.Marker{Epoch: 2}) || w.hub.Head().Epoch != 2 {
		t.Errorf("from the beginning: %v", got)
	}
	// Of a hub that lost the news of an earlier loss too.
	if got := located(change.Marker{Epoch: 9, Seq: 200, Hash: p.Hash}); got.Epoch != 9 || got.Seq != 200 {
		t.Errorf("%v", got)
	}
	if got := located(change.Marker{Epoch: change.MaxNumber, Seq: 301}, p); got.Epoch != 9+maxEpochStep {
		t.Errorf("%v", got)
	}
}

// A hub that shows another history of the device at every hello makes it take new ids, but not for ever, and nothing is lost.
func TestReentriesAreBounded(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", "mine")
	lineage := w.hub.Lineage()
	var err error
	for i := range maxAliases + 10 {
		if _, err := a.Hello(w.ctx); err != nil {
			t.Fatal(err)
		}
		_, err = a.Settle(w.ctx, Welcome{Lineage: lineage, Epoch: 1, Last: 5, LastHash: change.Hash{1}, Head: 1})
		if (err != nil) != (i >= maxAliases) {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if codeOf(err) != Protocol {
		t.Error(err)
	}
	a.want("x", "mine")
	if err := a.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	a.crash()
	a.want("x", "mine")

	b := w.device() // one that has written nothing keeps no names
	for range maxAliases + 10 {
		if _, err = b.Settle(w.ctx, Welcome{Lineage: lineage, Epoch: 1, Last: 5, LastHash: change.Hash{1}, Head: 1}); err != nil {
			t.Fatal(err)
		}
	}
	b.put("y", "1")
	b.crash()
	b.want("y", "1")
}

// What a refused batch had replaced is replaced by those that come after it and name it: the hub says so beside them, and every
// replica takes that, also when the hub was opened anew in between. The batch is refused for an annotation that would be too large:
// it names a version that was refused before it, in very many mutations.
func TestAVoidPassesItsParentsOn(t *testing.T) {
	w := newWorld(t)
	reader := w.device()
	accept := func(d change.DeviceID, want VerdictKind, batch []byte) {
		t.Helper()
		if vs, err := w.hub.Accept(w.ctx, []Incoming{{Device: d, Bytes: batch}}); err != nil || vs[0].Kind != want {
			t.Fatalf("%v %+v, want %v", err, vs, want)
		}
	}
	var seen []change.Version
	for i := range change.MaxParents - 1 {
		d := change.DeviceID{1, byte(i)}
		_, b := raw(t, d, 1, change.Hash{}, putOf("x"))
		accept(d, Accepted, b)
		seen = append(seen, change.Version{Device: d, Gen: 1})
	}
	d := change.DeviceID{2}
	h1, b1 := raw(t, d, 1, change.Hash{}, putOf("x"))
	b1[len(b1)-1] ^= 1
	accept(d, Voided, b1)
	many := []change.Mutation{putOf("x", append(slices.Clone(seen), change.Version{Device: d, Gen: 1})...)}
	for i := range 4500 {
		many = append(many, putOf(fmt.Sprint("y", i), append(slices.Clone(seen), change.Version{Device: d, Gen: 1})...))
	}
	h2, b2 := raw(t, d, 2, h1, many...)
	accept(d, Voided, b2)
	w.hub.crash()
	h3, b3 := raw(t, d, 3, h2, putOf("x", change.Version{Device: d, Gen: 2}))
	accept(d, Accepted, b3)
	reader.pull()
	for _, n := range []*node{w.hub, reader} {
		e, _, err := n.Get(w.ctx, key("x"))
		if err != nil || len(e.Frontier) != 1 || e.Frontier[0] != (change.Version{Device: d, Gen: 3}) {
			t.Errorf("%v: what was refused had replaced %d versions, and the next one left %d leaves", err, len(seen), len(e.Frontier))
		}
	}
	// One of another object had none of these before it: what it names besides stays.
	_, b4 := raw(t, d, 4, h3, putOf("z", change.Version{Device: d, Gen: 2}))
	accept(d, Accepted, b4)
	reader.pull()
	reader.crash()
	w.hub.crash()
	if a, b := w.hub.dump(), reader.dump(); a != b {
		t.Errorf("hub and device differ:\n%s\n%s", a, b)
	}
}
