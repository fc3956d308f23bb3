package core

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
)

func nonceOf(tab byte, counter uint64) change.Nonce {
	return change.Nonce{Tab: [8]byte{tab}, Counter: counter}
}

// ask writes with a nonce, as a tab does that does not know whether it was done before.
func (n *node) ask(nonce change.Nonce, id string) (change.Version, error) {
	r, err := n.Write(n.w.ctx, Write{Ops: []Op{{Key: key(id), Value: value(fmt.Sprint(nonce))}}, Nonce: nonce})
	return r.Version, err
}

func (n *node) asked(nonce change.Nonce, id string, want change.Version) {
	n.w.t.Helper()
	before := n.State().LastGen
	if got, err := n.ask(nonce, id); err != nil || got != want || n.State().LastGen != before {
		n.w.t.Fatalf("write %v again: %v, %v, want %v; generations %d to %d", nonce, got, err, want, before, n.State().LastGen)
	}
}

// A tab whose engine died asks again for what was not answered, which has its effect once: in this engine, in the next, after a
// checkpoint, and when the device had to take a new id meanwhile.
func TestNonces(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	was := map[change.Nonce]change.Version{}
	write := func(tab byte, counter uint64) {
		t.Helper()
		v, err := a.ask(nonceOf(tab, counter), fmt.Sprint("k", tab))
		if err != nil {
			t.Fatal(err)
		}
		was[nonceOf(tab, counter)] = v
	}
	all := func() {
		t.Helper()
		for tab := range byte(3) {
			for counter := range uint64(40) {
				if v, ok := was[nonceOf(tab, counter)]; ok {
					a.asked(nonceOf(tab, counter), fmt.Sprint("k", tab), a.head.today(v))
				}
			}
		}
	}
	for counter := uint64(1); counter <= 12; counter++ {
		write(0, counter)
		if counter%3 > 0 {
			write(1, counter)
		}
		a.put("other", counter)
	}
	all()
	a.crash()
	all()
	w.sync(a)
	for counter := uint64(13); counter <= 20; counter++ {
		write(0, counter)
	}
	all()
	// A copy writes under the id, so that this one must take a new one: what it has not sent gets new names.
	copied := w.start(&node{w: w, st: a.st.Clone(), feed: true})
	copied.put("parted", 1)
	w.sync(copied)
	a.put("parted", 2)
	old := a.State().Device
	w.sync(a, copied)
	if a.State().Device == old {
		t.Fatal("no new id")
	}
	all()
	a.crash()
	all()
	write(1, 30)
	write(2, 1)
	if err := a.Close(); err != nil { // writes the superblock
		t.Fatal(err)
	}
	a.st = a.st.Clone()
	a.open()
	all()
	a.refolded()
	w.sync(a, copied)
	copied.check()
}

// A write that failed is passed over by those behind it: it is not done behind them, which would be another order, and says so. One that depended
// on what was read says that this has changed, whenever it is asked for: who wrote it reads again, and writes what comes of that.
func TestNonceThatWasPassedOver(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	bad := Write{Ops: []Op{{Key: key("x"), Value: value(1)}}, Nonce: nonceOf(1, 5), Checks: []Check{{Key: key("x"), Frontier: []change.Version{{Device: a.State().Device, Gen: 9}}}}}
	if _, err := a.Write(w.ctx, bad); err != ErrChanged {
		t.Fatal(err)
	}
	first, err := a.ask(nonceOf(1, 6), "x") // nothing was written with 5: any other number may be
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := a.Write(w.ctx, bad); err != ErrChanged {
			t.Fatal(err)
		}
		if _, err := a.ask(nonceOf(1, 4), "x"); codeOf(err) != Aborted {
			t.Fatal(err)
		}
		a.asked(nonceOf(1, 6), "x", first)
		a.crash()
	}
	// A check that does not hold any more is none of what was committed already.
	second := Write{Ops: []Op{{Key: key("x"), Value: value(2)}}, Nonce: nonceOf(1, 7), Checks: []Check{{Key: key("x"), Frontier: []change.Version{first}}}}
	rec, err := a.Write(w.ctx, second)
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.Write(w.ctx, second)
	if err != nil || again != rec {
		t.Fatal(again, err)
	}
}

// Asked twice at once, a write happens once, also where both wait for the same commit and the store refuses the first attempt.
func TestNonceTwiceInOneGroup(t *testing.T) {
	w := newWorld(t)
	inner := store.NewMemory()
	broken := store.NewFaulty(inner, store.Fault{On: store.Commits, N: 3, Do: store.Fail, Err: store.ErrQuota})
	c := (&node{w: w}).config()
	gate := make(chan func(), 10)
	c.Go = func(f func()) { gate <- f }
	r, err := Open(w.ctx, broken, c)
	if err != nil {
		t.Fatal(err)
	}
	lead := func() { (<-gate)() }
	begin := func(counter uint64) func() (Receipt, error) {
		return r.Begin(w.ctx, Write{Ops: []Op{{Key: key(fmt.Sprint(counter)), Value: value(1)}}, Nonce: nonceOf(1, counter)})
	}
	for round := range uint64(3) {
		base := round * 10
		var waits []func() (Receipt, error)
		for _, counter := range []uint64{1, 2, 1, 3, 2, 3} {
			waits = append(waits, begin(base+counter))
		}
		lead()
		var got []Receipt
		for _, wait := range waits {
			rec, err := wait()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, rec)
		}
		if got[0] != got[2] || got[1] != got[4] || got[3] != got[5] || got[0] == got[1] || r.State().LastGen != change.Generation(3*(round+1)) {
			t.Fatalf("%v, last generation %d", got, r.State().LastGen)
		}
	}
	if broken.Fired() != 1 {
		t.Fatal("the store refused nothing")
	}
	r.Kill()
}

// The tabs that wrote last are known, as many as are promised; each by what the log says of it.
func TestTabsAreBounded(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	r := rand.New(rand.NewPCG(1, 2))
	counters := make([]uint64, maxTabs+10)
	last := make([]change.Version, len(counters))
	var order []int
	for i := range 600 {
		tab := r.IntN(len(counters))
		counters[tab] += 1 + r.Uint64N(3)
		v, err := a.ask(nonceOf(byte(tab), counters[tab]), "x")
		if err != nil {
			t.Fatal(err)
		}
		last[tab] = v
		order = append(order, tab)
		if i%97 == 0 {
			a.crash()
		}
	}
	known := map[int]bool{}
	for i := len(order) - 1; len(known) < maxTabs; i-- {
		if tab := order[i]; !known[tab] {
			known[tab] = true
			a.asked(nonceOf(byte(tab), counters[tab]), "x", last[tab])
		}
	}
	if len(a.head.tabs) != maxTabs {
		t.Fatalf("%d tabs are known", len(a.head.tabs))
	}
	a.refolded()
}

// A store that no tab wrote to has a superblock as engines before this one read and wrote it, but for the tables that have a last page.
func TestSuperblockOfBefore(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", 1)
	for i, want := range []byte{formatSuperblock, formatMore} {
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		a.st = a.st.Clone()
		row, _, err := a.st.Get(w.ctx, superblockRow)
		if err != nil {
			t.Fatal(err)
		}
		sb, err := parseSuperblock(row)
		if err != nil || string(sb.encode()) != string(row) || sb.lasts == "" {
			t.Fatal("another superblock", err)
		}
		sb.lasts = "" // which engines before did not note
		row = sb.encode()
		if row[0] != want {
			t.Fatalf("format %d, want %d", row[0], want)
		}
		if sb, err = parseSuperblock(row); err != nil || string(sb.encode()) != string(row) {
			t.Fatal("another superblock without the tables", err)
		}
		a.open()
		if _, err := a.ask(nonceOf(7, uint64(i+1)), "x"); err != nil {
			t.Fatal(err)
		}
	}
}
