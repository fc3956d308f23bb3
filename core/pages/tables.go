package pages

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/tidwall/btree"

	"vsync/core/store"
)

// ErrSnapshotGone is returned by a reader that stood still while very much was written.
// Start again after the last key that was read.
var ErrSnapshotGone = errors.New("pages: the snapshot was given up, because too much was written meanwhile; read on from the last key")

// KV is one entry of a table.
type KV struct {
	Key   string
	Value []byte // not to be changed
}

// cell is what the memory table holds for a key; a nil val says that the entry is gone.
type cell struct {
	val   []byte
	since uint64 // the change, counted in the tables, with which the entry became other than in its page
}

// Tables is the set of all tables of one store. Reads may come from any goroutine;
// Set, Delete and checkpoint steps from one at a time (the engine's single committer).
type Tables struct {
	st    store.Store
	cache *cache

	mu       sync.RWMutex
	mem      *btree.Map[string, *cell] // key: table byte ‖ key
	bytes    int                       // keys and values in mem
	flushes  uint64                    // steps that moved entries from mem to pages
	changes  uint64                    // of entries, counted
	stepping bool                      // a step may be in the store of which nothing here knows yet
	pins     map[uint64]int            // snapshots that want the pages unchanged, by the changes they have
	retired  uint64                    // snapshots with fewer changes than this are gone
	none     map[byte]string           // by table: the smallest key for which, since the last flush, the store had no page
	gap      gap                       // that was looked into last, since the last flush
	inc      uint64                    // incarnation, for the names of overflow rows
	over     uint32                    // overflow entries made by this incarnation

	mender  Mender
	mends   sync.Mutex    // one page is mended at a time; taken before mu
	built   []*page       // pages that stand for damaged ones, until a step has written them
	lasts   map[byte]bool // tables that have a last page
	flushed Stamp         // of the last step: up to where some page may be
}

// New opens the tables of a store. The incarnation must be new for each engine on that store.
func New(st store.Store, incarnation uint64) *Tables {
	return &Tables{st: st, cache: newCache(), mem: newMem(), inc: incarnation, pins: map[uint64]int{},
		none: map[byte]string{}, lasts: map[byte]bool{}}
}

func newMem() *btree.Map[string, *cell] { return btree.NewMap[string, *cell](32) }

// Bytes returns the size of what only stands in memory and in the log.
func (t *Tables) Bytes() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.bytes
}

// Set replaces an entry in the memory table. The value is kept and must not change any more.
func (t *Tables) Set(table byte, key string, val []byte) {
	if val == nil {
		val = []byte{}
	}
	t.put(table, key, &cell{val: val})
}

// Delete removes an entry.
func (t *Tables) Delete(table byte, key string) { t.put(table, key, &cell{}) }

func (t *Tables) put(table byte, key string, c *cell) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set(RowKey(table, key), c)
}

func (t *Tables) set(k string, c *cell) {
	t.changes++
	c.since = t.changes
	old, had := t.mem.Set(k, c)
	t.bytes += len(c.val)
	if had {
		c.since = old.since
		t.bytes -= len(old.val)
	} else {
		t.bytes += len(k)
	}
}

// RowKey names an entry of a table in one string.
func RowKey(table byte, key string) string { return string(table) + key }

// Change is one entry to be replaced, or removed where Value is nil.
type Change struct {
	Row   string // RowKey
	Value []byte
}

// Apply makes several changes at once: a snapshot has all of them or none.
func (t *Tables) Apply(cs []Change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	cells := make([]cell, len(cs)) // together: they are written together, and a checkpoint lets them go together
	for i := range cs {
		cells[i].val = cs[i].Value
		t.set(cs[i].Row, &cells[i])
	}
}

// Get returns an entry; nil and false where there is none.
func (t *Tables) Get(ctx context.Context, table byte, key string) ([]byte, bool, error) {
	return t.GetRow(ctx, RowKey(table, key))
}

// GetRow is Get by the RowKey.
func (t *Tables) GetRow(ctx context.Context, k string) ([]byte, bool, error) {
	table, key := k[0], k[1:]
	for {
		t.mu.RLock()
		c, ok := t.mem.Get(k)
		flushes, changes := t.flushes, t.changes
		absent := !ok && t.gap.has(table, key)
		t.mu.RUnlock()
		if ok {
			return c.val, c.val != nil, nil
		}
		if absent {
			return nil, false, nil
		}
		val, found, err := t.mendedFromPage(ctx, table, key)
		t.mu.RLock()
		same := t.flushes == flushes
		if !same || t.changes != changes {
			c, ok = t.mem.Get(k)
		}
		t.mu.RUnlock()
		if ok {
			return c.val, c.val != nil, nil
		}
		if same {
			return val, found, err
		}
	}
}

// mendedFromPage is fromPage, with damage mended.
func (t *Tables) mendedFromPage(ctx context.Context, table byte, key string) (val []byte, found bool, err error) {
	err = t.mending(ctx, func() (err error) {
		val, found, err = t.fromPage(ctx, table, key)
		return err
	})
	return val, found, err
}

// fromPage runs within mending.
func (t *Tables) fromPage(ctx context.Context, table byte, key string) ([]byte, bool, error) {
	t.mu.RLock()
	flushes := t.flushes
	t.mu.RUnlock()
	p, err := t.storedPage(ctx, table, key)
	if err != nil || p == nil {
		return nil, false, err
	}
	i, found := p.search(key)
	if !found {
		t.noEntry(p, key, i, flushes)
		return nil, false, nil
	}
	_, place, val, _ := p.at(i)
	if place == placeOver {
		val, err = t.readOverflow(ctx, p.row, val)
	}
	return val, err == nil, err
}

// Stamp returns up to where the page of a key is current; zero where there is no page.
func (t *Tables) Stamp(ctx context.Context, table byte, key string) (Stamp, error) {
	p, err := t.page(ctx, table, key)
	if err != nil || p == nil {
		return Stamp{}, err
	}
	return p.stamp, nil
}

// page returns the page that a key belongs to, nil if the table has none.
func (t *Tables) page(ctx context.Context, table byte, key string) (p *page, err error) {
	err = t.mending(ctx, func() (err error) {
		p, err = t.storedPage(ctx, table, key)
		return err
	})
	return p, err
}

func (t *Tables) storedPage(ctx context.Context, table byte, key string) (*page, error) {
	t.mu.RLock()
	flushes := t.flushes
	first, none := t.none[table]
	built := t.builtFor(table, key, false)
	t.mu.RUnlock()
	if built != nil {
		return built, nil
	}
	if none && key >= first {
		return nil, nil
	}
	if p := t.cache.find(table, key); p != nil {
		return p, nil
	}
	p, err := t.readPage(ctx, table, key)
	if err != nil {
		return nil, err
	}
	if p == nil {
		t.noPage(table, key, flushes)
		return nil, nil
	}
	t.keep(p, key, false, flushes)
	return p, nil
}

// keep caches a page that was read from the store, unless a checkpoint step has come to its end since the flushes were so many:
// then it may be older than what is cached.
func (t *Tables) keep(p *page, key string, exact bool, flushes uint64) {
	if p.last && !t.hasLast(p.row[1]) { // of a checkpoint that broke off: no superblock has it yet
		t.mu.Lock()
		t.lasts[p.row[1]] = true
		t.mu.Unlock()
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.flushes == flushes {
		t.cache.add(p, key, exact)
	}
}

// noPage remembers that a key has no page, and so none behind it: before the first checkpoint, and in tables that stay
// empty, every lookup would ask the store else.
func (t *Tables) noPage(table byte, key string, flushes uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if first, none := t.none[table]; t.flushes == flushes && (!none || key < first) {
		t.none[table] = key
	}
}

// readPage reads the page of a key from the store.
func (t *Tables) readPage(ctx context.Context, table byte, key string) (*page, error) {
	has := t.hasLast(table) // before it is read: there may be a first one meanwhile
	rows, err := t.st.Scan(ctx, store.Range{From: rowOf(table, key), To: []byte{rowPage, table + 1}, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 && has {
		return nil, noLast(table)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	p, err := decodePage(rows[0].Key, rows[0].Value)
	if err == nil && len(p.low) > 0 && key <= string(p.low) {
		return nil, &CorruptError{Row: rowOf(table, string(p.low)), Problem: "it is missing, and the page after it says that it was there"}
	}
	return p, err
}

// hasLast says that a table has a last page in the store.
func (t *Tables) hasLast(table byte) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.lasts[table] && t.builtOf(lastRow(table)) == nil
}

func noLast(table byte) error {
	return &CorruptError{Row: lastRow(table), Problem: "it is missing, and the checkpoint says that it was there"}
}

// pageBelow is storedBelow, with damage mended.
func (t *Tables) pageBelow(ctx context.Context, table byte, at string) (p *page, low string, err error) {
	err = t.mending(ctx, func() (err error) {
		p, low, err = t.storedBelow(ctx, table, at)
		return err
	})
	return p, low, err
}

// storedBelow returns the page that a key belongs to ("": the last page), nil if there is none, and a fence below the key: what
// lies between the two is in this page and in no other.
//
// Both are from one lookup in the cache, or else the store is asked for the fence first. A checkpoint that comes between may join
// the pages below with this one, which then has what is below the fence too; or split it, and its low shows that. If the page
// were read first, it would not always show that it is older than the fence: not if there was no last page yet, which has taken
// over the page before it since, nor if a torn commit had left an old low and old entries in it.
func (t *Tables) storedBelow(ctx context.Context, table byte, at string) (p *page, low string, err error) {
	t.mu.RLock()
	built := t.builtFor(table, at, at == "")
	t.mu.RUnlock()
	if built != nil {
		return built, string(built.low), nil
	}
	if p := t.cache.findExact(table, at); p != nil {
		return p, string(p.low), nil
	}
	row := lastRow(table)
	if at != "" {
		row = rowOf(table, at)
	}
	for range staleTries {
		t.mu.RLock()
		flushes := t.flushes
		t.mu.RUnlock()
		if low, err = t.fenceBefore(ctx, row); err != nil {
			return nil, "", err
		}
		if at != "" {
			p, err = t.readPage(ctx, table, at)
		} else {
			p, err = t.readLast(ctx, table)
		}
		if err != nil || p == nil {
			return nil, low, err
		}
		if string(p.low) <= low {
			t.keep(p, after(low), string(p.low) == low, flushes)
			return p, low, nil
		}
	}
	problem := "it is missing, and the page after it says that it was there"
	return nil, "", &CorruptError{Row: rowOf(table, string(p.low)), Problem: problem}
}

// after is the first key behind a fence, "" being the fence before the first page.
func after(fence string) string {
	if fence == "" {
		return ""
	}
	return fence + "\x00"
}

// readLast reads the last page of a table, nil if there is none.
func (t *Tables) readLast(ctx context.Context, table byte) (*page, error) {
	row, has := lastRow(table), t.hasLast(table)
	b, ok, err := t.st.Get(ctx, row)
	if err != nil {
		return nil, err
	}
	if !ok && has {
		return nil, noLast(table)
	}
	if !ok {
		return nil, nil
	}
	return decodePage(row, b)
}

// Snap is the state of all tables at one moment, for reads that take several steps.
type Snap struct {
	t    *Tables
	mem  *btree.Map[string, *cell]
	once sync.Once
	has  uint64 // changes
}

// Snapshot keeps the present state readable until Release. Nothing is copied; checkpoints wait for it,
// up to a bound.
func (t *Tables) Snapshot() *Snap {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pins[t.changes]++
	return &Snap{t: t, mem: t.mem.Copy(), has: t.changes}
}

// Release gives the snapshot up. It may be called more than once.
func (s *Snap) Release() {
	s.once.Do(func() {
		s.t.mu.Lock()
		defer s.t.mu.Unlock()
		if s.t.pins[s.has]--; s.t.pins[s.has] <= 0 { // below it where it was given up
			delete(s.t.pins, s.has)
		}
	})
}

func (s *Snap) valid() error {
	s.t.mu.RLock()
	defer s.t.mu.RUnlock()
	if s.has < s.t.retired {
		return ErrSnapshotGone
	}
	return nil
}

// Get returns an entry as it was when the snapshot was taken.
func (s *Snap) Get(ctx context.Context, table byte, key string) ([]byte, bool, error) {
	if c, ok := s.mem.Get(string(table) + key); ok {
		return c.val, c.val != nil, nil
	}
	val, ok, err := s.t.mendedFromPage(ctx, table, key)
	if gone := s.valid(); gone != nil {
		return nil, false, gone
	}
	return val, ok, err
}

// Scan yields the entries with from ≤ key < to ("" for to: the end), in the order of their keys or against it.
func (s *Snap) Scan(ctx context.Context, table byte, from, to string, reverse bool) iter.Seq2[KV, error] {
	if reverse {
		return s.backward(ctx, table, from, to)
	}
	return s.forward(ctx, table, from, to)
}

func (s *Snap) forward(ctx context.Context, table byte, from, to string) iter.Seq2[KV, error] {
	return func(yield func(KV, error) bool) {
		for to == "" || from < to {
			p, err := s.t.page(ctx, table, from)
			if gone := s.valid(); gone != nil {
				err = gone
			}
			if err != nil {
				yield(KV{}, err)
				return
			}
			end, last := to, true // exclusive end of this stretch
			if p != nil && !p.last {
				if next := p.fence + "\x00"; to == "" || next < to {
					end, last = next, false
				}
			}
			if k, more := s.stopAfter(table, from, end); more {
				end, last = k, false
			}
			for _, m := range s.merge(p, table, from, end) {
				if !s.emit(ctx, p, m, yield) {
					return
				}
			}
			if last {
				return
			}
			from = end
		}
	}
}

func (s *Snap) backward(ctx context.Context, table byte, from, to string) iter.Seq2[KV, error] {
	return func(yield func(KV, error) bool) {
		for at := to; ; { // at names the page that to stands in
			p, low, err := s.t.pageBelow(ctx, table, at)
			if gone := s.valid(); gone != nil {
				err = gone
			}
			if err != nil {
				yield(KV{}, err)
				return
			}
			start, more := from, false
			if low != "" && low+"\x00" > from {
				start, more = low+"\x00", true
			}
			if k, cut := s.stopBefore(table, start, to); cut {
				start, more, at = k, true, k
			} else {
				at = low
			}
			ms := s.merge(p, table, start, to)
			for i := len(ms) - 1; i >= 0; i-- {
				if !s.emit(ctx, p, ms[i], yield) {
					return
				}
			}
			if !more {
				return
			}
			to = start
		}
	}
}

// stopAfter returns where a scan has to stop so that it merges no more than stretchKeys changed keys with from ≤ key < to at
// once, if there are more.
func (s *Snap) stopAfter(table byte, from, to string) (stop string, more bool) {
	n := 0
	s.mem.Ascend(string(table)+from, func(k string, _ *cell) bool {
		if k[0] != table || to != "" && k[1:] >= to {
			return false
		}
		n++
		stop, more = k[1:], n > stretchKeys
		return !more
	})
	return stop, more
}

// stopBefore is stopAfter for a scan that comes down from to.
func (s *Snap) stopBefore(table byte, from, to string) (stop string, more bool) {
	pivot := string(table) + to
	if to == "" {
		pivot = string(table + 1)
	}
	n := 0
	s.mem.Descend(pivot, func(k string, _ *cell) bool {
		if k == pivot {
			return true
		}
		if k[0] != table || k[1:] <= from {
			return false
		}
		n++
		stop, more = k[1:], n == stretchKeys
		return !more
	})
	return stop, more
}

// merge lays the memory table over one page, within from ≤ key < to.
func (s *Snap) merge(p *page, table byte, from, to string) []entry {
	var out []entry
	i, n := 0, 0
	if p != nil {
		i, _ = p.search(from)
		n = p.count
	}
	page := func(before string, all bool) {
		for ; i < n; i++ {
			k, place, val, _ := p.at(i)
			if key := string(k); (all || key < before) && (to == "" || key < to) {
				out = append(out, entry{key, place, val})
			} else {
				return
			}
		}
	}
	prefix := string(table)
	s.mem.Ascend(prefix+from, func(k string, c *cell) bool {
		if k[0] != table || (to != "" && k[1:] >= to) {
			return false
		}
		key := k[1:]
		page(key, false)
		if i < n {
			if pk, _, _, _ := p.at(i); string(pk) == key {
				i++
			}
		}
		if c.val != nil {
			out = append(out, entry{key, placeInline, c.val})
		}
		return true
	})
	page("", true)
	return out
}

func (s *Snap) emit(ctx context.Context, p *page, e entry, yield func(KV, error) bool) bool {
	if e.place == placeOver {
		val, err := s.t.readOverflow(ctx, p.row, e.val)
		if err != nil { // a built page stands in the place of the one that named it, or of a damaged one
			val, _, err = s.t.mendedFromPage(ctx, p.row[1], e.key)
		}
		if gone := s.valid(); gone != nil {
			err = gone
		}
		if err != nil {
			yield(KV{}, err)
			return false
		}
		e.val = val
	}
	return yield(KV{e.key, e.val}, nil)
}
