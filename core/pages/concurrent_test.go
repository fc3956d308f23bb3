package pages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"vsync/core/store"
)

const (
	groups  = 40 // whose entries change together
	members = 30
)

func memberKey(g, i int) string { return fmt.Sprintf("%02d/%02d", g, i) }

// TestReadersBesideCheckpoints: one committer changes whole groups of entries and takes checkpoints as the engine does; every
// snapshot, whenever it is taken, has each group whole and in one state, and in the same state at every look.
func TestReadersBesideCheckpoints(t *testing.T) {
	ctx := context.Background()
	st := store.NewMemory()
	tb := New(st, 1)
	stop := make(chan struct{})
	errs := make(chan error, 8)
	var readers sync.WaitGroup
	for i := range uint64(3) {
		readers.Go(func() {
			rnd := rand.New(rand.NewPCG(i, 8))
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				runtime.Gosched() // WebAssembly has one thread, and takes it from nobody
				if err := readGroups(ctx, tb, rnd); err != nil && !errors.Is(err, ErrSnapshotGone) {
					errs <- err
					return
				}
			}
		})
	}
	rnd := rand.New(rand.NewPCG(9, 9))
	for round := range few(120) {
		for range 1 + rnd.IntN(6) {
			changeGroup(tb, rnd)
		}
		switch rnd.IntN(3) {
		case 0: // as an explicit checkpoint: nothing changes between its steps
			tb.GiveUpSnapshots()
			cp := tb.Begin()
			for !cp.Done() {
				commitStep(t, st, cp, Stamp{Commit: round}, 20_000)()
			}
		case 1: // as one beside the work
			cp := tb.Begin()
			for !cp.Done() {
				if tb.Busy() {
					if rnd.IntN(3) > 0 {
						break
					}
					tb.GiveUpSnapshots()
				}
				commitStep(t, st, cp, Stamp{Commit: round}, 20_000)()
				changeGroup(tb, rnd)
			}
		}
	}
	close(stop)
	readers.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	if err := checkRows(st); err != nil {
		t.Error(err)
	}
}

// changeGroup gives all entries of a group a value, or removes them; one in a while a large one.
func changeGroup(tb *Tables, rnd *rand.Rand) {
	g := rnd.IntN(groups)
	var val []byte
	switch rnd.IntN(12) {
	case 0, 1, 2:
	case 3:
		val = bytes.Repeat([]byte{byte(rnd.IntN(256))}, inlineMax+rnd.IntN(2*overflowRow))
	default:
		val = bytes.Repeat([]byte{byte(rnd.IntN(256))}, 1+rnd.IntN(400))
	}
	var cs []Change
	for i := range members {
		cs = append(cs, Change{RowKey('o', memberKey(g, i)), val})
	}
	tb.Apply(cs)
}

func readGroups(ctx context.Context, tb *Tables, rnd *rand.Rand) error {
	s := tb.Snapshot()
	defer s.Release()
	var first map[string]string
	for range 3 {
		from, to := rnd.IntN(groups), groups
		if rnd.IntN(2) == 0 {
			from = 0
		}
		if first == nil {
			from = 0
		}
		now, err := groupsOf(ctx, s, memberKey(from, 0), memberKey(to, 0), rnd.IntN(2) == 0)
		if err != nil {
			return err
		}
		if first == nil {
			first = now
		}
		for g := from; g < to; g++ {
			if name := fmt.Sprintf("%02d", g); first[name] != now[name] {
				return fmt.Errorf("group %s has changed within a snapshot: %.40q, now %.40q", name, first[name], now[name])
			}
		}
	}
	g := rnd.IntN(groups)
	got, ok, err := s.Get(ctx, 'o', memberKey(g, rnd.IntN(members)))
	if want := first[fmt.Sprintf("%02d", g)]; err == nil && (ok != (want != "") || ok && fmt.Sprint(members, len(got), got[0]) != want) {
		return fmt.Errorf("group %d: get gives %d bytes, %v; a scan %s", g, len(got), ok, want)
	}
	if _, _, err := tb.Get(ctx, 'o', memberKey(g, 0)); err != nil {
		return err
	}
	return err
}

// groupsOf reads groups: how many entries each has, and what they are.
func groupsOf(ctx context.Context, s *Snap, from, to string, reverse bool) (map[string]string, error) {
	out := map[string]string{}
	count := map[string]int{}
	state := map[string]string{}
	for kv, err := range s.Scan(ctx, 'o', from, to, reverse) {
		if err != nil {
			return nil, err
		}
		g, v := kv.Key[:2], fmt.Sprint(members, len(kv.Value), kv.Value[0])
		if count[g]++; count[g] > 1 && state[g] != v {
			return nil, fmt.Errorf("group %s has %s and %s", g, state[g], v)
		}
		state[g] = v
	}
	for g, n := range count {
		if n != members {
			return nil, fmt.Errorf("group %s has %d entries, want %d (reverse %v)", g, n, members, reverse)
		}
		out[g] = state[g]
	}
	return out, nil
}

// TestBetweenACommitAndItsEnd: a step is stored, and the tables do not know it yet. What was cached before is older than the
// store then, and both have to give the same answers.
func TestBetweenACommitAndItsEnd(t *testing.T) {
	ctx := context.Background()
	for seed := range few(20) {
		rnd := rand.New(rand.NewPCG(seed, 10))
		st := store.NewMemory()
		tb := New(st, 1)
		m := tableModel{'o': {}}
		for i := range 3000 {
			k := fmt.Sprintf("k%04d", i)
			m['o'][k] = bytes.Repeat([]byte{byte(i)}, 60)
			tb.Set('o', k, m['o'][k])
		}
		flush(t, st, tb, Stamp{Commit: 1}, 1<<20)
		tb = New(st, 2)
		for range 6 { // some pages are cached, of some the low is known
			if _, _, err := tb.Get(ctx, 'o', fmt.Sprintf("k%04d", rnd.IntN(3000))); err != nil {
				t.Fatal(err)
			}
		}
		for k := range m['o'] {
			if rnd.IntN(20) > 0 && k[1] != '1' {
				delete(m['o'], k)
				tb.Delete('o', k)
			}
		}
		s := tb.Snapshot()
		cp := tb.Begin()
		for !cp.Done() {
			done := commitStep(t, st, cp, Stamp{Commit: 2}, 10_000)
			for range 10 {
				from, to := fmt.Sprintf("k%04d", rnd.IntN(3000)), fmt.Sprintf("k%04d", rnd.IntN(3000))
				if err := m.scan(s, 'o', from, to, rnd.IntN(4) > 0, -1); err != nil {
					t.Fatal(err)
				}
				if got, ok, err := tb.Get(ctx, 'o', from); err != nil || ok != (m['o'][from] != nil) || !bytes.Equal(got, m['o'][from]) {
					t.Fatalf("get %s: %v, %v", from, ok, err)
				}
			}
			done()
		}
		if err := m.scan(s, 'o', "", "", true, -1); err != nil {
			t.Fatal(err)
		}
	}
}

// slow is a store whose reads can be overtaken: then runs between a scan and its return, once.
type slow struct {
	store.Store
	then func()
}

func (s *slow) Scan(ctx context.Context, r store.Range) ([]store.Row, error) {
	rows, err := s.Store.Scan(ctx, r)
	if then := s.then; then != nil {
		s.then = nil
		then()
	}
	return rows, err
}

// TestAReadThatIsOvertaken by a checkpoint neither leaves an old page in the cache, nor misses overflow rows that are gone.
func TestAReadThatIsOvertaken(t *testing.T) {
	ctx := context.Background()
	st := &slow{Store: store.NewMemory()}
	tb := New(st, 1)
	big := bytes.Repeat([]byte{7}, 2*inlineMax)
	tb.Set('o', "big", big)
	tb.Set('o', "quiet", []byte{1})
	tb.Set('o', "small", []byte{1})
	flush(t, st, tb, Stamp{Commit: 1}, 1<<20)
	for i, key := range []string{"quiet", "big"} {
		tb = New(st, uint64(2+i))
		st.then = func() {
			tb.Set('o', "big", big[1:])
			tb.Set('o', "small", []byte{2})
			flush(t, st, tb, Stamp{Commit: 2}, 1<<20)
		}
		if _, ok, err := tb.Get(ctx, 'o', key); !ok || err != nil {
			t.Fatalf("get %s: %v, %v", key, ok, err)
		}
		if val, _, err := tb.Get(ctx, 'o', "small"); err != nil || val[0] != 2 {
			t.Fatalf("after the checkpoint small is %v, %v", val, err)
		}
	}
}

// counting is a store that counts scans.
type counting struct {
	store.Store
	scans int
}

func (c *counting) Scan(ctx context.Context, r store.Range) ([]store.Row, error) {
	c.scans++
	return c.Store.Scan(ctx, r)
}

// TestEmptyTables: where there is no page, the store is asked once and not for each key, until a checkpoint makes one.
func TestEmptyTables(t *testing.T) {
	ctx := context.Background()
	st := &counting{Store: store.NewMemory()}
	tb := New(st, 1)
	look := func(want bool, keys ...string) {
		t.Helper()
		for _, k := range keys {
			if _, ok, err := tb.Get(ctx, 'o', k); ok != want || err != nil {
				t.Fatalf("get %s: %v, %v", k, ok, err)
			}
			if s, err := tb.Stamp(ctx, 'o', k); err != nil || (s.Commit > 0) != want {
				t.Fatalf("stamp of %s: %v, %v", k, s, err)
			}
		}
	}
	look(false, "b", "c", "b", "d")
	if st.scans != 1 {
		t.Errorf("%d scans", st.scans)
	}
	look(false, "a", "b", "a")
	if st.scans != 2 {
		t.Errorf("%d scans, after a smaller key", st.scans)
	}
	for _, k := range []string{"a", "b", "c"} {
		tb.Set('o', k, []byte{1})
	}
	flush(t, st, tb, Stamp{Commit: 1}, 1<<20)
	look(true, "a", "b", "c")
}

// overtaken is a store whose scans can be overtaken: before runs ahead of one, once.
type overtaken struct {
	store.Store
	before func()
}

func (s *overtaken) Scan(ctx context.Context, r store.Range) ([]store.Row, error) {
	if before := s.before; before != nil {
		s.before = nil
		before()
	}
	return s.Store.Scan(ctx, r)
}

// TestABackwardScanThatIsOvertaken: the page of a scan's upper bound is cached; before the fence below it is looked for, a
// checkpoint splits that page, and the bound is in another now. Entries above the bound were given then, and some twice.
func TestABackwardScanThatIsOvertaken(t *testing.T) {
	ctx := context.Background()
	st := &overtaken{Store: store.NewMemory()}
	tb := New(st, 1)
	m := tableModel{'o': {}}
	set := func(i int) {
		k := fmt.Sprintf("k%04d", i)
		m['o'][k] = bytes.Repeat([]byte{byte(i)}, 60)
		tb.Set('o', k, m['o'][k])
	}
	for i := 0; i < 3000; i += 10 {
		set(i)
	}
	flush(t, st, tb, Stamp{Commit: 1}, 1<<20)
	for i, to := range []string{"k0100", "k1500", "k2999", "", "k0100", "k1500", ""} {
		tb = New(st, 2)
		if i > 3 { // the first checkpoint, where there was no page
			st.Store = store.NewMemory()
		}
		for i := range 3000 {
			set(i)
		}
		if _, _, err := tb.Get(ctx, 'o', "k"); err != nil { // not there: the page is read
			t.Fatal(err)
		}
		s := tb.Snapshot()
		st.before = func() { flush(t, st, tb, Stamp{Commit: 2}, 60_000) }
		if err := m.scan(s, 'o', "k0050", to, true, -1); err != nil {
			t.Errorf("down from %q: %v", to, err)
		}
	}
}

// TestABackwardScanOvertakenOnItsWay: a checkpoint splits the page in which a scan against the order stands, after it has given
// some of its entries. The scan looked for its place by the old bound then, went up again, and gave some entries twice.
func TestABackwardScanOvertakenOnItsWay(t *testing.T) {
	for _, to := range []string{"", "k0900", "k0900x", "z"} {
		for _, after := range []int{1, stretchKeys - 1, stretchKeys, stretchKeys + 1, stretchKeys + 200} {
			st := store.NewMemory()
			tb := New(st, 1)
			m := tableModel{'o': {}}
			for i := range 1000 {
				k := fmt.Sprintf("k%04d", i)
				m['o'][k] = bytes.Repeat([]byte{byte(i)}, 100)
				tb.Set('o', k, m['o'][k])
			}
			err := m.scanBeside(tb.Snapshot(), 'o', "k0010", to, true, func(n int) {
				if n == after {
					flush(t, st, tb, Stamp{Commit: 1}, 1<<20)
				}
			})
			if err != nil {
				t.Errorf("a checkpoint after %d: %v", after, err)
			}
		}
	}
}

// TestABackwardScanOvertakenByTheLastPage: a first checkpoint of an earlier build, which wrote the last page last, has stopped in the middle.
// While a scan comes down, at any read of it, the last page is made, and takes over the page before it: the entries of that were
// left out.
func TestABackwardScanOvertakenByTheLastPage(t *testing.T) {
	for _, to := range []string{"", "k0550", "z"} {
		for at, overtaken := 1, true; overtaken; at++ {
			st := store.NewMemory()
			tb := New(st, 1)
			m := tableModel{'o': {}}
			for i := range 1000 {
				k := fmt.Sprintf("k%04d", i)
				m['o'][k] = bytes.Repeat([]byte{byte(i)}, 100)
				tb.Set('o', k, m['o'][k])
			}
			commitStep(t, st, tb.Begin(), Stamp{Commit: 1}, 60_000)()
			tx := &store.Tx{}
			tx.Delete(lastRow('o'))
			if err := st.Commit(context.Background(), tx); err != nil {
				t.Fatal(err)
			}
			tb.cache = newCache()
			delete(tb.lasts, 'o')
			rows := rowsOf(t, st, rowPage)
			row := rows[len(rows)-1]
			p, err := decodePage(row.Key, row.Value)
			if err != nil || p.last || tb.Bytes() == 0 {
				t.Fatalf("the last page is there already: %q, %v", row.Key, err)
			}
			for k := range m['o'] { // few entries stay of this page, and few behind it
				if k > string(p.low) && k <= p.fence && k[4] != '0' || k > "k0560" {
					delete(m['o'], k)
					tb.Delete('o', k)
				}
			}
			s := tb.Snapshot()
			if err := m.scan(s, 'o', "k0550", "", false, -1); err != nil { // there is no page behind that key, and that is kept
				t.Fatal(err)
			}
			reads := 0
			tb.st = &meddled{st, func() {
				if reads++; reads == at {
					flush(t, st, tb, Stamp{Commit: 2}, 1<<20)
				}
			}}
			if err := m.scan(s, 'o', "", to, true, -1); err != nil {
				t.Errorf("at read %d: %v", at, err)
			}
			overtaken = reads >= at
			if _, there, _ := st.Get(context.Background(), row.Key); there && overtaken {
				t.Errorf("at read %d: the page %q is still there", at, row.Key)
			}
		}
	}
}
