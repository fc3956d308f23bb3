package changelog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
)

// model is what a log should say, found by looking at everything.
type model struct {
	commits []modelCommit
	batches map[change.Version]held1 // those that count
	given   []change.Version         // those that were given up, ever
	seq     uint64
	self    change.DeviceID
	selves  byte
	last    map[change.DeviceID]change.Generation
}

type modelCommit struct {
	items []Item
	inc   uint64
	seq   uint64 // highest feed sequence, 0 for none
}

type held1 struct {
	bytes  []byte
	commit uint64
}

func newModel() *model {
	m := &model{batches: map[change.Version]held1{}, last: map[change.DeviceID]change.Generation{}}
	m.newSelf()
	return m
}

func (m *model) newSelf() {
	m.selves++
	m.self = device(100 + m.selves)
}

func (m *model) next(d change.DeviceID) change.Version {
	m.last[d]++
	return change.Version{Device: d, Gen: m.last[d]}
}

func (m *model) nextSeq() uint64 {
	m.seq++
	return m.seq
}

// size is that of a value: mostly small, sometimes more than a tail takes, seldom more than a row.
func size(rnd *rand.Rand) int {
	switch rnd.IntN(40) {
	case 0:
		return rnd.IntN(3 * partMax)
	case 1, 2, 3:
		return rnd.IntN(2 * TailMax)
	}
	return rnd.IntN(300)
}

// form makes the items of a commit; the model takes them in with store.
func (m *model) form(t *testing.T, rnd *rand.Rand) []Item {
	var items []Item
	batch := func(v change.Version) []byte { return batchOfSize(t, v, size(rnd), byte(rnd.IntN(256))) }
	for range 1 + rnd.IntN(4) {
		d := device(byte(rnd.IntN(6)))
		switch rnd.IntN(18) {
		case 0, 1, 2, 3, 4:
			items = append(items, Item{ItemBatch, batch(m.next(m.self))})
		case 5, 6, 7, 8, 9:
			items = append(items, entryItem(t, m.nextSeq(), batch(m.next(d))))
		case 10:
			items = append(items, voidItem(t, m.nextSeq(), m.next(d)))
		case 11:
			items = append(items, Item{ItemConfirm, append(binary.AppendUvarint(nil, m.nextSeq()), 1, 2, 3)})
		case 12: // one that came before comes once more: an own batch as an entry, or other bytes under the same name
			if last := m.last[m.self]; last > 0 {
				v := change.Version{Device: m.self, Gen: 1 + change.Generation(rnd.Uint64N(uint64(last)))}
				items = append(items, entryItem(t, m.nextSeq(), batch(v)))
			}
		case 13: // a given-up device's batches come again, with other bytes
			if len(m.given) > 0 {
				old := m.given[rnd.IntN(len(m.given))].Device
				items = append(items, entryItem(t, m.nextSeq(), batch(m.next(old))))
			}
		case 14:
			items = append(items, m.reenter(t, rnd)...)
		case 15: // very many devices, so that there are several summary rows
			for range 40 {
				v := m.next(change.DeviceID{byte(rnd.Uint32()), byte(rnd.Uint32()), 7})
				items = append(items, entryItem(t, m.nextSeq(), batchOfSize(t, v, 100, 1)))
			}
		default:
			items = append(items, plain(rnd.IntN(50), 1)...)
		}
	}
	return items
}

func (m *model) reenter(t *testing.T, rnd *rand.Rand) []Item {
	if rnd.IntN(4) > 0 {
		return nil
	}
	old, last := m.self, m.last[m.self]
	common := change.Generation(rnd.Uint64N(uint64(last) + 1))
	m.last[old] = common
	m.newSelf()
	data := binary.AppendUvarint(old[:], uint64(common))
	items := []Item{{ItemReentry, append(data, m.self[:]...)}}
	for range last - common {
		items = append(items, Item{ItemBatch, batchOfSize(t, m.next(m.self), 100, 1)})
	}
	return items
}

func (m *model) store(items []Item, inc uint64) {
	c := modelCommit{items: items, inc: inc}
	n := uint64(len(m.commits) + 1)
	for _, it := range items {
		if it.Kind == ItemReentry {
			old, common, _ := reentryOf(it)
			for v := range m.batches {
				if v.Device == old && v.Gen > common {
					m.given = append(m.given, v)
					delete(m.batches, v)
				}
			}
			slices.SortFunc(m.given, change.Version.Compare) // the map's order must not show
		}
		v, seq, ok := batchOf(it)
		c.seq = max(c.seq, seq)
		if ok {
			m.batches[v] = held1{BatchBytes(it), n}
		}
	}
	m.commits = append(m.commits, c)
}

func (m *model) items(from uint64) (out [][]Item) {
	for _, c := range m.commits[from-1:] {
		out = append(out, c.items)
	}
	return out
}

// check asks the log for everything that the model knows.
func (m *model) check(l *Log, full bool) error {
	if l.Last() != uint64(len(m.commits)) {
		return fmt.Errorf("last is %d, want %d", l.Last(), len(m.commits))
	}
	for v := range m.last {
		if err := m.checkHeld(l, v); err != nil {
			return err
		}
	}
	if !full {
		return nil
	}
	for v, want := range m.batches {
		got, rec, ok, err := l.Find(ctx, v)
		if err != nil || !ok || !bytes.Equal(got, want.bytes) || rec.Commit != want.commit || !l.Has(v) {
			return fmt.Errorf("find %s: commit %d, %v, %v; want commit %d", v, rec.Commit, ok, err, want.commit)
		}
	}
	for d, last := range m.last {
		for g := range last + 3 {
			v := change.Version{Device: d, Gen: g}
			if _, want := m.batches[v]; l.Has(v) != want {
				return fmt.Errorf("has %s: %v, want %v", v, !want, want)
			}
		}
	}
	for _, v := range m.given {
		if _, came := m.batches[v]; l.Has(v) != came {
			return fmt.Errorf("%s was given up, and came again: %v", v, came)
		}
	}
	return m.checkCommits(l)
}

func (m *model) checkCommits(l *Log) error {
	for from := uint64(1); from <= l.Last(); from++ {
		recs, err := l.Records(ctx, from)
		if err != nil || len(recs) == 0 {
			return fmt.Errorf("no records from %d: %v", from, err)
		}
		want := m.items(from)
		if err := same(recs, from, want[:min(len(want), len(recs))]); err != nil {
			return err
		}
		if inc, ok := l.IncarnationOf(from); !ok || inc != m.commits[from-1].inc || recs[0].Incarnation != inc {
			return fmt.Errorf("commit %d is of incarnation %d (%v), want %d", from, inc, ok, m.commits[from-1].inc)
		}
	}
	for seq := range m.seq + 2 {
		want := slices.IndexFunc(m.commits, func(c modelCommit) bool { return c.seq > 0 && c.seq >= seq })
		recs, err := l.BySeq(ctx, seq)
		if err != nil || (want < 0) != (len(recs) == 0) {
			return fmt.Errorf("by sequence %d: %d records, %v", seq, len(recs), err)
		}
		if want >= 0 && !slices.ContainsFunc(recs, func(r Record) bool { return r.Commit == uint64(want+1) }) {
			return fmt.Errorf("by sequence %d: commits %d to %d, want %d", seq, recs[0].Commit, recs[len(recs)-1].Commit, want+1)
		}
	}
	return nil
}

func (m *model) checkHeld(l *Log, d change.DeviceID) error {
	last := m.last[d]
	for _, to := range []change.Generation{last, last / 2} {
		want := to + 1
		for want > 1 {
			if _, ok := m.batches[change.Version{Device: d, Gen: want - 1}]; !ok {
				break
			}
			want--
		}
		if got := l.Held(d, to); got != want {
			return fmt.Errorf("held %s up to %d: %d, want %d", d, to, got, want)
		}
	}
	return nil
}

// history is an engine with checkpoints, as core uses the log.
type history struct {
	t    *testing.T
	rnd  *rand.Rand
	st   store.Store
	m    *model
	l    *Log
	inc  uint64
	from Name // as the superblock has it
	base uint64
}

func (h *history) reopen() {
	h.t.Helper()
	h.inc++
	l, recs, err := tryOpen(h.st, h.inc, h.from)
	if err != nil {
		h.t.Fatal(err)
	}
	first := max(h.from.First, 1)
	mustSame(h.t, recs, first, h.m.items(first))
	h.l = l
}

// checkpoint writes summaries, and the place to begin from as the last row. It may fail, or break off in the middle.
func (h *history) checkpoint() {
	commit := h.base
	if n := h.l.Last(); n > commit {
		commit += h.rnd.Uint64N(n - commit + 1)
	}
	start := h.l.Start(commit)
	if uint64(len(h.m.commits)) > commit && start.First > commit+1 {
		h.t.Fatalf("reading from %d does not see commit %d", start.First, commit+1)
	}
	tx := &store.Tx{}
	done := h.l.Summaries(tx, start)
	tx.Put([]byte("S"), start.row(0))
	switch h.rnd.IntN(4) {
	case 0: // broken off
		tx.Ops = tx.Ops[:h.rnd.IntN(len(tx.Ops))]
		h.commit(tx)
		h.reopen()
	case 1: // refused
	default:
		h.commit(tx)
		done()
		h.from, h.base = start, commit
	}
}

func (h *history) commit(tx *store.Tx) {
	h.t.Helper()
	if err := h.st.Commit(ctx, tx); err != nil {
		h.t.Fatal(err)
	}
}

// TestHistoriesAgainstModel: commits, confirmed or not, checkpoints, broken ones too, and engines that follow each other.
func TestHistoriesAgainstModel(t *testing.T) {
	for seed := range few(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			h := &history{t: t, rnd: rand.New(rand.NewPCG(seed, 3)), st: store.NewMemory(), m: newModel()}
			h.reopen()
			for range 150 {
				switch h.rnd.IntN(12) {
				case 0:
					h.reopen()
				case 1, 2:
					h.checkpoint()
				case 3:
					h.l.Append(&store.Tx{}, plain(h.rnd.IntN(9000), 1)) // refused
				default:
					items := h.m.form(t, h.rnd)
					commit(t, h.st, h.l, items)
					h.m.store(items, h.inc)
				}
				if err := h.m.check(h.l, h.rnd.IntN(40) == 0); err != nil {
					t.Fatal(err)
				}
			}
			h.reopen()
			if err := h.m.check(h.l, true); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestASegmentOfManyDevices: its summary is larger than a row, and every checkpoint must fit nevertheless.
func TestASegmentOfManyDevices(t *testing.T) {
	st := store.NewMemory()
	l, _ := open(t, st, 1, Name{})
	var all []change.Version
	seq := uint64(0)
	inc := uint64(1)
	from := Name{}
	for round := range 12 {
		var items []Item
		for i := range []int{1, 3000, 2, 1, 5000}[round%5] {
			v := change.Version{Device: change.DeviceID{byte(round), byte(i), byte(i >> 8), 1}, Gen: 9}
			seq++
			items = append(items, entryItem(t, seq, batchOfSize(t, v, 20, 1)))
			all = append(all, v)
		}
		commit(t, st, l, items)
		commit(t, st, l, plain(TailMax, 1))
		from = l.Start(l.Last())
		tx := &store.Tx{}
		done := l.Summaries(tx, from)
		if round%4 == 3 { // broken off, and done again by the next engine
			tx.Ops = tx.Ops[:1]
		}
		if err := st.Commit(ctx, tx); err != nil {
			t.Fatal(err)
		}
		if round%4 == 3 {
			inc++
			l, _ = open(t, st, inc, Name{})
			tx := &store.Tx{}
			done = l.Summaries(tx, from)
			if err := st.Commit(ctx, tx); err != nil {
				t.Fatal(err)
			}
		}
		done()
		if round%3 == 2 {
			inc++
			l, _ = open(t, st, inc, from)
		}
	}
	for _, r := range rows(t, st, rowSummary) {
		if len(r.Value) > 2*summaryRow {
			t.Errorf("a summary row has %d bytes", len(r.Value))
		}
	}
	l, _ = open(t, st, inc+1, from)
	for _, v := range all {
		if !l.Has(v) {
			t.Fatalf("%s is not found", v)
		}
	}
}
