package pages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"vsync/core/store"
)

// oddKey is a key that lies near others, with bytes from both ends of the range.
func oddKey(rnd *rand.Rand) string {
	b := make([]byte, 1+rnd.IntN(5))
	for i := range b {
		b[i] = []byte{0x00, 0x01, 'a', 'b', 0xfe, 0xff}[rnd.IntN(6)]
	}
	return string(b)
}

func oddValue(rnd *rand.Rand) []byte {
	n := rnd.IntN(900)
	switch rnd.IntN(60) {
	case 0:
		n = inlineMax - 5 + rnd.IntN(10)
	case 1:
		n = rnd.IntN(3 * overflowRow)
	case 2:
		n = 0
	}
	return bytes.Repeat([]byte{byte(rnd.IntN(256))}, n)
}

type tableModel map[byte]map[string][]byte

func (m tableModel) within(table byte, from, to string, reverse bool) (keys []string) {
	for k := range m[table] {
		if k >= from && (to == "" || k < to) {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	if reverse {
		slices.Reverse(keys)
	}
	return keys
}

// scan compares one scan with the model; it stops after limit entries.
func (m tableModel) scan(s *Snap, table byte, from, to string, reverse bool, limit int) error {
	return m.compare(s, table, from, to, reverse, limit, func(int) {})
}

// scanBeside compares a whole scan with the model; beside runs after each entry, and is told how many there were.
func (m tableModel) scanBeside(s *Snap, table byte, from, to string, reverse bool, beside func(n int)) error {
	return m.compare(s, table, from, to, reverse, -1, beside)
}

func (m tableModel) compare(s *Snap, table byte, from, to string, reverse bool, limit int, beside func(n int)) error {
	want := m.within(table, from, to, reverse)
	n := 0
	for kv, err := range s.Scan(context.Background(), table, from, to, reverse) {
		if err != nil {
			return err
		}
		if n == len(want) || kv.Key != want[n] || !bytes.Equal(kv.Value, m[table][kv.Key]) {
			return fmt.Errorf("table %c, %q to %q, reverse %v: entry %d is %q", table, from, to, reverse, n, kv.Key)
		}
		if n++; n == limit {
			return nil
		}
		beside(n)
	}
	if n != len(want) {
		return fmt.Errorf("table %c, %q to %q, reverse %v: %d entries, want %d", table, from, to, reverse, n, len(want))
	}
	return nil
}

// checkRows states what holds of the rows of all tables, after whatever broke off.
func checkRows(st store.Store) error {
	rows, err := st.Scan(context.Background(), store.Prefix([]byte{rowPage}))
	if err != nil {
		return err
	}
	table, before := byte(0), ""
	for _, r := range rows {
		p, err := decodePage(r.Key, r.Value)
		if err != nil {
			return err
		}
		if r.Key[1] != table {
			table, before = r.Key[1], ""
		}
		if string(p.low) > before {
			return fmt.Errorf("page %q begins after %q, and the one before ends at %q", r.Key, p.low, before)
		}
		last := string(p.low)
		for i := range p.count {
			k, _, _, _ := p.at(i)
			if string(k) <= last || !p.covers(string(k)) {
				return fmt.Errorf("page %q after %q has the key %q after %q", r.Key, p.low, k, last)
			}
			last = string(k)
		}
		if len(r.Value) > pageMax+keyMax+100 {
			return fmt.Errorf("page %q has %d bytes", r.Key, len(r.Value))
		}
		before = p.fence
	}
	return nil
}

func TestScansWithBounds(t *testing.T) {
	for seed := range few(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 5))
			st := store.NewMemory()
			tb := New(st, 1)
			m := tableModel{'n': {}, 'o': {}, 'p': {}}
			for round := range uint64(25) {
				for range rnd.IntN(900) {
					table, key := "nop"[rnd.IntN(3)], oddKey(rnd)
					if rnd.IntN(3) == 0 {
						tb.Delete(table, key)
						delete(m[table], key)
					} else {
						m[table][key] = oddValue(rnd)
						tb.Set(table, key, m[table][key])
					}
				}
				if rnd.IntN(5) == 0 { // nearly all dies
					for k := range m['o'] {
						if k > "\x00" && k < "\xfe\xfe" {
							delete(m['o'], k)
							tb.Delete('o', k)
						}
					}
				}
				switch rnd.IntN(4) {
				case 0:
					flush(t, st, tb, Stamp{Commit: round}, 1<<uint(8+rnd.IntN(14)))
				case 1: // some steps of it
					cp := tb.Begin()
					for i := rnd.IntN(4); i >= 0 && !cp.Done(); i-- {
						commitStep(t, st, cp, Stamp{Commit: round}, 30_000)()
					}
				case 2:
					flush(t, st, tb, Stamp{Commit: round}, 1<<20)
					tb = New(st, round+2)
				}
				if err := checkRows(st); err != nil {
					t.Fatal(err)
				}
				s := tb.Snapshot()
				for range 40 {
					from, to := oddKey(rnd), oddKey(rnd)
					if rnd.IntN(5) == 0 {
						from = ""
					}
					if rnd.IntN(5) == 0 {
						to = ""
					}
					if err := m.scan(s, "nop"[rnd.IntN(3)], from, to, rnd.IntN(2) == 0, 1+rnd.IntN(2000)); err != nil {
						t.Fatal(err)
					}
				}
				s.Release()
			}
			for _, table := range []byte("nop") { // and empty tables at the end
				for k := range m[table] {
					tb.Delete(table, k)
				}
				clear(m[table])
			}
			flush(t, st, tb, Stamp{Commit: 99}, 20_000)
			for range 2 {
				for _, table := range []byte("mnopq") {
					for _, reverse := range []bool{false, true} {
						if err := m.scan(tb.Snapshot(), table, "", "", reverse, -1); err != nil {
							t.Fatal(err)
						}
					}
				}
				tb = New(st, 99)
			}
			if n := len(rowsOf(t, st, rowOverflow)); n > 0 {
				t.Errorf("%d overflow rows of nothing", n)
			}
		})
	}
}

func rowsOf(t *testing.T, st store.Store, kind byte) []store.Row {
	t.Helper()
	rows, err := st.Scan(context.Background(), store.Prefix([]byte{kind}))
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// commitStep commits one step and returns what is to be called then.
func commitStep(t *testing.T, st store.Store, cp *Checkpoint, stamp Stamp, maxBytes int) func() {
	t.Helper()
	tx := &store.Tx{}
	done, err := cp.Step(context.Background(), tx, stamp, maxBytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Commit(context.Background(), tx); err != nil {
		t.Fatal(err)
	}
	return done
}

// TestStepsAreBounded: an import is not one transaction, and neither is the removal of what it brought.
func TestStepsAreBounded(t *testing.T) {
	const maxBytes, n = 200_000, 20_000
	st := store.NewMemory()
	tb := New(st, 1)
	m := tableModel{'o': {}}
	run := func(commit uint64) (steps int) {
		cp := tb.Begin()
		for ; !cp.Done(); steps++ {
			tx := &store.Tx{}
			done, err := cp.Step(context.Background(), tx, Stamp{Commit: commit}, maxBytes)
			if err != nil {
				t.Fatal(err)
			}
			if b := tx.Bytes(); b > maxBytes+2*pageMax {
				t.Fatalf("step %d has %d bytes", steps, b)
			}
			if err := st.Commit(context.Background(), tx); err != nil {
				t.Fatal(err)
			}
			done()
			if err := errors.Join(checkRows(st), m.scan(tb.Snapshot(), 'o', "k0100", "k0300", steps%2 == 0, -1)); err != nil {
				t.Fatal(err)
			}
		}
		return steps
	}
	set := func(i int, val []byte) {
		k := fmt.Sprintf("k%05d", i)
		tb.Set('o', k, val)
		m['o'][k] = val
	}
	for i := range n {
		set(i*2, bytes.Repeat([]byte{1}, 100))
	}
	if got := run(1); got < 10 {
		t.Fatalf("%d steps for 2 MB", got)
	}
	for i := range n { // again, into the pages that are there, and behind them
		set(i*2+1, bytes.Repeat([]byte{2}, 100))
		set(2*n+i, bytes.Repeat([]byte{2}, 100))
	}
	run(2)
	if tb.Bytes() != 0 {
		t.Fatalf("%d bytes are left in memory", tb.Bytes())
	}
	for k := range m['o'] {
		if k > "k00500" && k < "k50000" {
			tb.Delete('o', k)
			delete(m['o'], k)
		}
	}
	run(3)
	if got := len(rowsOf(t, st, rowPage)); got > 2*len(m['o'])*120/pageTarget {
		t.Errorf("%d pages for %d entries", got, len(m['o']))
	}
	if err := m.scan(New(st, 2).Snapshot(), 'o', "", "", false, -1); err != nil {
		t.Fatal(err)
	}
}

// TestAStepThatFailedIsDoneAgain, by the same checkpoint.
func TestAStepThatFailedIsDoneAgain(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 6))
	st := store.NewMemory()
	tb := New(st, 1)
	m := tableModel{'o': {}}
	for round := range uint64(10) {
		for range 600 {
			k := oddKey(rnd)
			m['o'][k] = oddValue(rnd)
			tb.Set('o', k, m['o'][k])
		}
		cp := tb.Begin()
		for !cp.Done() {
			for range rnd.IntN(3) {
				if _, err := cp.Step(context.Background(), &store.Tx{}, Stamp{Commit: round}, 40_000); err != nil {
					t.Fatal(err)
				}
			}
			commitStep(t, st, cp, Stamp{Commit: round}, 40_000)()
		}
		tb = New(st, round+2)
		if err := errors.Join(checkRows(st), m.scan(tb.Snapshot(), 'o', "", "", false, -1)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMissingPages: a page that is gone is missed, whoever looks for it, unless it is the last.
func TestMissingPages(t *testing.T) {
	ctx := context.Background()
	st := store.NewMemory()
	tb := New(st, 1)
	for i := range 2000 {
		tb.Set('o', fmt.Sprintf("k%05d", i), bytes.Repeat([]byte{1}, 100))
	}
	flush(t, st, tb, Stamp{Commit: 1}, 1<<20)
	rows := rowsOf(t, st, rowPage)
	for _, r := range rows[:len(rows)-1] {
		tx := &store.Tx{}
		tx.Delete(r.Key)
		if err := st.Commit(ctx, tx); err != nil {
			t.Fatal(err)
		}
		p, _ := decodePage(r.Key, r.Value)
		key, _, _, _ := p.at(p.count / 2)
		tb := New(st, 2)
		var ce *CorruptError
		if _, _, err := tb.Get(ctx, 'o', string(key)); !errors.As(err, &ce) || string(ce.Row) != string(r.Key) {
			t.Fatalf("get from the missing page %q: %v", r.Key, err)
		}
		for _, reverse := range []bool{false, true} {
			var failed error
			for _, err := range tb.Snapshot().Scan(ctx, 'o', "", "", reverse) {
				failed = err
			}
			if ce = nil; !errors.As(failed, &ce) || string(ce.Row) != string(r.Key) {
				t.Fatalf("scan over the missing page %q, reverse %v: %v", r.Key, reverse, failed)
			}
		}
		tx.Reset()
		tx.Put(r.Key, r.Value)
		if err := st.Commit(ctx, tx); err != nil {
			t.Fatal(err)
		}
	}
}
