package core

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"vsync/core/store"
)

// damaged opens a store in which a row may be damaged, reads all of it, and holds what it says: CORRUPT, or what was there; and no
// row but the superblock, which counts openings, was changed. Without want, anything that is whole will do.
func (n *node) damaged(t *testing.T, want string, is bool) (said error) {
	t.Helper()
	before, err := n.st.Scan(n.w.ctx, store.Range{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(n.w.ctx, n.st, n.config())
	if err == nil {
		n.Replica = r
		var b strings.Builder
		for e, scanned := range r.Scan(n.w.ctx, ScanRange{}) {
			if err = scanned; err != nil {
				break
			}
			fmt.Fprintf(&b, "%s %x %s %v %v\n", e.Key, e.Value, e.Version, e.Conflict, e.Frontier)
		}
		if err == nil && want != "" && b.String() != want {
			t.Fatalf("it shows\n%s\nand not\n%s", b.String(), want)
		}
		if err == nil {
			_, err = n.Check(n.w.ctx)
		}
		r.Kill()
	}
	n.st = n.st.Clone() // a failed Open has closed it
	if err != nil {
		refusedWith(t, err, Corrupt, VersionUnknown)
		if !is {
			t.Fatalf("nothing is damaged: %v", err)
		}
	}
	after, scanErr := n.st.Scan(n.w.ctx, store.Range{})
	if scanErr != nil {
		t.Fatal(scanErr)
	}
	if len(after) != len(before) {
		t.Fatalf("%d rows became %d", len(before), len(after))
	}
	for i := range after {
		if string(after[i].Key) != "S" && !bytes.Equal(after[i].Value, before[i].Value) {
			t.Fatalf("the row %q was changed", after[i].Key)
		}
	}
	return err
}

// Every row of a store, damaged in every way that is likely: nobody panics, nobody takes it for something else, and the
// message names the row.
func TestDamageAtRest(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	for _, n := range []*node{a, w.hub} {
		n.Kill()
		n.cp = 4000
		n.open()
	}
	for i := range 150 {
		a.put(fmt.Sprint("k", i%40), fmt.Sprintf("%060d", i))
		if i%20 == 0 {
			b.put(fmt.Sprint("k", i%40), strings.Repeat("large ", 3000))
			w.sync(a, b)
		}
	}
	a.put("unsent", strings.Repeat("very large ", 20_000))
	if err := a.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	a.put("k1", "unsent")
	for _, n := range []*node{a, w.hub} {
		want := n.dump()
		rows, err := n.st.Scan(w.ctx, store.Range{})
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[byte]int{}
		unseen := 0
		for _, r := range rows {
			kinds[r.Key[0]]++
			for _, how := range []store.Fault{
				{Do: store.FlipBit, Bit: 0}, {Do: store.FlipBit, Bit: len(r.Value) * 4}, {Do: store.FlipBit, Bit: len(r.Value)*8 - 1},
				{Do: store.Cut, Bytes: 1}, {Do: store.Cut, Bytes: len(r.Value) / 2}, {Do: store.Cut, Bytes: len(r.Value)},
			} {
				copied := &node{w: w, st: n.st.Clone(), role: n.role, feed: n.feed}
				if _, err := store.Damage(w.ctx, copied.st, r.Key, how); err != nil {
					t.Fatal(err)
				}
				err := copied.damaged(t, want, true)
				if err == nil {
					unseen++
					t.Errorf("%v of row %q goes unnoticed", how.Do, r.Key)
				} else if !names(err, r.Key) {
					t.Errorf("%v of row %q is said as %v", how.Do, r.Key, err)
				}
			}
		}
		if kinds['S'] != 1 || kinds['L'] < 10 || kinds['M'] == 0 || kinds['P'] == 0 || kinds['O'] == 0 {
			t.Errorf("rows of %v", kinds)
		}
	}
}

// names says that a message points at a row.
func names(err error, row []byte) bool {
	switch text := err.Error(); row[0] {
	case 'S':
		return strings.Contains(text, "superblock")
	case 'L':
		return strings.Contains(text, fmt.Sprintf("segment of commit %d", beUint64(row[1:])))
	case 'M':
		return strings.Contains(text, fmt.Sprintf("summary row %x", row))
	case 'O':
		return strings.Contains(text, "overflow rows")
	default:
		return strings.Contains(text, fmt.Sprintf("%q", row))
	}
}
