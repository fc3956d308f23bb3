package core

import (
	"bytes"
	"fmt"
	"slices"
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
			var rep Report
			if rep, err = n.Check(n.w.ctx); err == nil && !rep.OK {
				err = errorf(Corrupt, "%s", fmt.Sprint(rep.Findings))
			}
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
	counted := func(r store.Row) bool { return r.Key[0] == 'S' || r.Key[0] == 'Q' } // of openings, and what they set aside
	before, after = slices.DeleteFunc(before, counted), slices.DeleteFunc(after, counted)
	if len(after) != len(before) {
		t.Fatalf("%d rows became %d", len(before), len(after))
	}
	for i := range after {
		if !bytes.Equal(after[i].Value, before[i].Value) {
			t.Fatalf("the row %q was changed", after[i].Key)
		}
	}
	return err
}

// harmed is one thing that happens to a row.
type harmed struct {
	name string
	do   func(r store.Row) (val []byte, is bool) // what is there after; not there at all; nil: nothing to do
}

// harms are all that are likely, of a row of rows; older has what rows held some time before.
func harms(rows []store.Row, older map[string][]byte) []harmed {
	flip := func(bit func(n int) int) func(store.Row) ([]byte, bool) {
		return func(r store.Row) ([]byte, bool) {
			if len(r.Value) == 0 {
				return nil, true
			}
			v, at := bytes.Clone(r.Value), bit(len(r.Value)*8)
			v[at/8] ^= 1 << (at % 8)
			return v, true
		}
	}
	cut := func(keep func(n int) int) func(store.Row) ([]byte, bool) {
		return func(r store.Row) ([]byte, bool) { return r.Value[:keep(len(r.Value))], true }
	}
	return []harmed{
		{"a flipped bit at the front", flip(func(int) int { return 0 })},
		{"a flipped bit in the middle", flip(func(n int) int { return n / 2 })},
		{"a flipped bit at the end", flip(func(n int) int { return n - 1 })},
		{"the last byte cut off", cut(func(n int) int { return n - 1 })},
		{"half cut off", cut(func(n int) int { return n / 2 })},
		{"all cut off", cut(func(int) int { return 0 })},
		{"missing", func(store.Row) ([]byte, bool) { return nil, false }},
		{"what another row holds", func(r store.Row) ([]byte, bool) {
			for _, other := range rows {
				if other.Key[0] == r.Key[0] && !bytes.Equal(other.Value, r.Value) {
					return other.Value, true
				}
			}
			return nil, true
		}},
		{"an older copy", func(r store.Row) ([]byte, bool) { return older[string(r.Key)], true }},
	}
}

// harm does it to a row of a copy of a store; false where there is nothing to do.
func (n *node) harmRow(t *testing.T, r store.Row, h harmed) (*node, bool) {
	t.Helper()
	val, is := h.do(r)
	if is && (val == nil || bytes.Equal(val, r.Value)) {
		return nil, false
	}
	copied := &node{w: n.w, st: n.st.Clone(), role: n.role, feed: n.feed}
	var tx store.Tx
	if is {
		tx.Put(r.Key, val)
	} else {
		tx.Delete(r.Key)
	}
	if err := copied.st.Commit(n.w.ctx, &tx); err != nil {
		t.Fatal(err)
	}
	return copied, true
}

// mended opens a store that is damaged where the log can mend it: everything is as it was, the damage is listed, what is damaged is
// kept, and after a checkpoint nothing is damaged any more.
func (n *node) mended(t *testing.T, want string, r store.Row, h harmed) {
	t.Helper()
	found, _, err := n.st.Get(n.w.ctx, r.Key)
	if err != nil {
		t.Fatal(err)
	}
	n.open()
	if got := n.dump(); got != want {
		t.Fatalf("it shows\n%s\nand not\n%s", got, want)
	}
	n.tableRows()
	all, err := n.Damage(n.w.ctx)
	if err != nil || len(all) == 0 {
		t.Fatalf("it is not listed: %v", err)
	}
	if err := n.Checkpoint(n.w.ctx); err != nil {
		t.Fatal(err)
	}
	n.listed(t, r, h, found)
	n.check()
	n.refolded()
	n.Kill()
	n.st = n.st.Clone()
	n.open()
	if got := n.dump(); got != want {
		t.Fatalf("after a checkpoint it shows\n%s\nand not\n%s", got, want)
	}
	n.check()
	n.refolded()
	if met := n.harm.all(); len(met) > 0 {
		t.Fatalf("after a checkpoint it meets %v", met)
	}
	n.Kill()
}

// listed holds that what is damaged is in quarantine, as it was found.
func (n *node) listed(t *testing.T, r store.Row, h harmed, found []byte) {
	t.Helper()
	all, err := n.Damage(n.w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	gone := h.name == "missing"
	for _, f := range all {
		switch {
		case string(f.Row) == string(r.Key) && f.Missing == gone && string(f.Bytes) == string(found):
			return
		case gone && f.Missing && f.Scope == scopeOfRow(r.Key): // what nobody could name, at the place where it is missed
			return
		case gone && string(f.Row[:len(f.Row)-2]) == string(r.Key[:len(r.Key)-2]): // the rest of a value, or of a segment, of several rows
			return
		}
	}
	t.Fatalf("not listed as it was found: %v", all)
}

// Every row of a log, damaged in every way that is likely: with repair nothing is left that does not fit, what was damaged is in quarantine, and
// all values are there that a checkpoint had seen, or that are in the log before the hole. A hub has what it had before the hole.
func TestDamageOfTheLogIsListed(t *testing.T) {
	a, hub, older := damageWorld(t)
	for i, n := range []*node{a, hub} {
		want := n.dump()
		rows, err := n.st.Scan(n.w.ctx, store.Range{From: []byte{'L'}, To: []byte{'M'}})
		if err != nil {
			t.Fatal(err)
		}
		start := n.startOf(t)
		for j, r := range rows[:len(rows)-1] { // the end of the log may have been torn
			if j%3 > 0 || testing.Short() && j%12 > 0 {
				continue
			}
			for _, h := range harms(rows, older[i]) {
				copied, is := n.harmRow(t, r, h)
				if !is {
					continue
				}
				t.Run(fmt.Sprintf("%s/%x/%s", n.role, r.Key[1:], h.name), func(t *testing.T) {
					found, _, err := copied.st.Get(n.w.ctx, r.Key)
					if err != nil {
						t.Fatal(err)
					}
					c := copied.config()
					c.Repair = true
					if copied.Replica, err = Open(n.w.ctx, copied.st, c); err != nil {
						t.Fatal(err)
					}
					if rep, err := copied.Repair(n.w.ctx); err != nil || !rep.OK {
						t.Fatalf("%v: %v", err, rep.Findings)
					}
					if before := string(r.Key) < string(start); before && n.role == RoleDevice && copied.dump() != want {
						t.Fatalf("it shows\n%s\nand not\n%s", copied.dump(), want)
					}
					copied.listed(t, r, h, found)
					copied.crash()
					copied.check()
					copied.Kill()
				})
			}
		}
	}
}

// damageWorld is a device and a hub with rows of all kinds, and what their stores held some time before.
func damageWorld(t *testing.T) (a *node, hub *node, older []map[string][]byte) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	for _, n := range []*node{a, w.hub} {
		n.Kill()
		n.cp = 4000
		n.open()
	}
	write := func(from, to int) {
		for i := from; i < to; i++ {
			a.put(fmt.Sprint("k", i%40), fmt.Sprintf("%060d", i))
			if i%20 == 0 {
				b.put(fmt.Sprint("k", i%40), strings.Repeat("large ", 3000))
				w.sync(a, b)
			}
		}
	}
	write(0, 100)
	for _, n := range []*node{a, w.hub} {
		older = append(older, rowsByKey(t, n.st))
	}
	write(100, 150)
	gen := a.hello()
	a.put("k1", "refused")
	a.refuse(gen)
	w.sync(a, b)
	for i := range 60 { // enough for several pages
		a.put(fmt.Sprint("p", i), strings.Repeat("p", 1000))
	}
	a.push()
	a.put("unsent", strings.Repeat("very large ", 20_000))
	for _, n := range []*node{a, w.hub} {
		if err := n.Checkpoint(w.ctx); err != nil {
			t.Fatal(err)
		}
	}
	a.put("k1", "unsent")
	return a, w.hub, older
}

func rowsByKey(t *testing.T, st store.Store) map[string][]byte {
	t.Helper()
	rows, err := st.Scan(t.Context(), store.Range{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, r := range rows {
		out[string(r.Key)] = r.Value
	}
	return out
}

// Every row of a store, damaged in every way that is likely. Nobody panics, nobody takes it for something else. What the log can
// mend is mended when it is met; otherwise the message names the row.
func TestDamageAtRest(t *testing.T) {
	a, hub, older := damageWorld(t)
	for i, n := range []*node{a, hub} {
		want := n.dump()
		rows, err := n.st.Scan(n.w.ctx, store.Range{})
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[byte]int{}
		for _, r := range rows {
			kinds[r.Key[0]]++
			for j, h := range harms(rows, older[i]) {
				if testing.Short() && kinds[r.Key[0]] > 2 && (kinds[r.Key[0]]+j)%4 > 0 {
					continue
				}
				if copied, is := n.harmRow(t, r, h); is {
					t.Run(fmt.Sprintf("%s/%c/%x/%s", n.role, r.Key[0], r.Key[1:], h.name), func(t *testing.T) {
						copied.one(t, want, r, h)
					})
				}
			}
		}
		if kinds['S'] != 2 || kinds['L'] < 10 || kinds['M'] == 0 || kinds['P'] < 5 || kinds['O'] == 0 {
			t.Errorf("rows of %v", kinds)
		}
	}
}

// one holds what a harm does to one row.
func (n *node) one(t *testing.T, want string, r store.Row, h harmed) {
	t.Helper()
	switch kind := r.Key[0]; {
	case kind == 'P' && h.name == "an older copy": // seen only against the log
		n.outdated(t, want, r)
	case kind == 'S' && len(r.Key) > 1 && h.name == "missing": // the other says all, and stores of before have no second
		n.open()
		if got := n.dump(); got != want {
			t.Fatalf("it shows\n%s\nand not\n%s", got, want)
		}
		n.check()
		n.Kill()
	case kind == 'P' || kind == 'O' || kind == 'M' || kind == 'S':
		n.mended(t, want, r, h)
	case kind == 'L' && (h.name == "missing" || h.name == "an older copy"): // below
	default:
		if err := n.damaged(t, want, true); err == nil {
			t.Error("it goes unnoticed")
		} else if !names(err, r.Key) {
			t.Errorf("it is said as %v", err)
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

// outdated opens a store in which a page is an older copy, which nothing shows but the log: the check finds it, and the repair mends it.
func (n *node) outdated(t *testing.T, want string, r store.Row) {
	t.Helper()
	n.open()
	rep, err := n.Check(n.w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if rep.OK { // mended already, because what it names is gone, or because a page of its split was not there then
		if met := n.harm.all(); len(met) == 0 {
			t.Fatal("it goes unnoticed")
		}
	}
	if rep, err = n.Repair(n.w.ctx); err != nil {
		t.Fatal(err)
	}
	for _, f := range rep.Findings {
		if f.Repair == "" {
			t.Errorf("not mended: %v", f)
		}
	}
	n.whole(t, want)
	n.Kill()
	n.st = n.st.Clone()
	n.open()
	n.whole(t, want)
	n.Kill()
}

// whole holds that a replica shows what it should, and that everything stored fits.
func (n *node) whole(t *testing.T, want string) {
	t.Helper()
	if got := n.dump(); got != want {
		t.Fatalf("it shows\n%s\nand not\n%s", got, want)
	}
	if rep, err := n.Check(n.w.ctx); err != nil || len(rep.Findings) > 0 {
		t.Fatalf("%v %v", err, rep.Findings)
	}
	n.refolded()
}

// Both superblocks damaged, missing, or older copies: without repair the store says so, with it everything is there again.
func TestSuperblockLost(t *testing.T) {
	a, hub, older := damageWorld(t)
	for i, n := range []*node{a, hub} {
		want, device, lineage := n.dump(), n.State().Device, n.State().Lineage
		for _, how := range []string{"damaged", "missing", "older"} {
			t.Run(fmt.Sprint(n.role, " ", how), func(t *testing.T) {
				copied := &node{w: n.w, st: n.st.Clone(), role: n.role, feed: n.feed}
				var tx store.Tx
				for _, row := range [][]byte{superblockRow, superblockTwo} {
					switch how {
					case "damaged":
						tx.Put(row, []byte("nothing that one could read"))
					case "missing":
						tx.Delete(row)
					default:
						tx.Put(row, older[i][string(row)])
					}
				}
				if err := copied.st.Commit(n.w.ctx, &tx); err != nil {
					t.Fatal(err)
				}
				if how != "older" {
					_, err := Open(n.w.ctx, copied.st.Clone(), copied.config())
					refusedWith(t, err, Corrupt)
				}
				for range 2 {
					c := copied.config()
					c.Repair = true
					r, err := Open(n.w.ctx, copied.st, c)
					if err != nil {
						t.Fatal(err)
					}
					copied.Replica = r
					copied.whole(t, want)
					if s := r.State(); s.Device != device || s.Lineage != lineage || r.inc <= n.inc {
						t.Fatalf("it is %s of %s, and was %s of %s; incarnation %x after %x", s.Device, s.Lineage, device, lineage, r.inc, n.inc)
					}
					if err := r.Checkpoint(n.w.ctx); err != nil {
						t.Fatal(err)
					}
					copied.whole(t, want)
					r.Kill()
					copied.st = copied.st.Clone()
				}
			})
		}
	}
}
