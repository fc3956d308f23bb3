package pages

import (
	"container/list"
	"sync"

	"github.com/tidwall/btree"
)

// cache keeps decoded pages, found by the keys they cover.
//
// A page may be taken from here for a key only if the store would answer that lookup with the same row. What is
// known of that is from: the smallest key for which the store did. It is not the page's low, because a commit that
// was torn between two parts of a split leaves the right page with the low of the time before.
type cache struct {
	mu     sync.Mutex
	byRow  btree.Map[string, *cached]
	recent *list.List // of *cached, the latest first
	last   *cached    // that was found last, or nil: a batch writes keys that stand together
}

type cached struct {
	p     *page
	from  string // smallest key known to belong here
	exact bool   // from is the first key that belongs here: no page lies between it and the page before
	elem  *list.Element
}

func newCache() *cache { return &cache{recent: list.New()} }

// find returns the page of a key, nil if it is not here.
func (c *cache) find(table byte, key string) *page {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v := c.last; v == nil || v.p.row[1] != table || key < v.from || !v.p.covers(key) {
		c.last = c.at(table, key)
	}
	return c.use(c.last)
}

// findExact returns the page of a key ("": the last page) if its low is known to be the fence before it.
func (c *cache) findExact(table byte, key string) *page {
	c.mu.Lock()
	defer c.mu.Unlock()
	hit := c.at(table, key)
	if key == "" {
		hit, _ = c.byRow.Get(string(lastRow(table)))
	}
	if hit == nil || !hit.exact {
		return nil
	}
	return c.use(hit)
}

// at returns what holds the page of a key. The caller holds mu.
func (c *cache) at(table byte, key string) (hit *cached) {
	c.byRow.Ascend(string(rowOf(table, key)), func(row string, v *cached) bool {
		hit = v
		return false
	})
	if hit == nil || hit.p.row[1] != table || key < hit.from {
		return nil
	}
	return hit
}

func (c *cache) use(hit *cached) *page {
	if hit == nil {
		return nil
	}
	c.recent.MoveToFront(hit.elem)
	return hit.p
}

// exactLow returns the fence before the page, if it is known.
func (c *cache) exactLow(p *page) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.byRow.Get(string(p.row))
	if !ok || v.p != p || !v.exact {
		return "", false
	}
	return string(p.low), true
}

// fenceBefore returns the greatest fence before a row, of the pages of its table that are here; "" if there is none.
func (c *cache) fenceBefore(row []byte) (fence string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byRow.Descend(string(row), func(k string, v *cached) bool {
		if k == string(row) {
			return true
		}
		if v.p.row[1] == row[1] {
			fence = v.p.fence
		}
		return false
	})
	return fence
}

// rows are the keys of the pages that are here.
func (c *cache) rows() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]bool{}
	c.byRow.Scan(func(k string, _ *cached) bool {
		out[k] = true
		return true
	})
	return out
}

// add keeps a page of which the store has said that key belongs to it. What was known of the row before is forgotten: it may have
// been of the page as it was before a commit whose end was not heard of yet, and other keys belonged to that.
func (c *cache) add(p *page, key string, exact bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addLocked(p, key, exact)
}

func (c *cache) addLocked(p *page, key string, exact bool) {
	c.last = nil // another may lie between now
	row := string(p.row)
	if old, ok := c.byRow.Get(row); ok {
		old.p, old.from, old.exact = p, key, exact
		c.recent.MoveToFront(old.elem)
		return
	}
	v := &cached{p: p, from: key, exact: exact}
	v.elem = c.recent.PushFront(v)
	c.byRow.Set(row, v)
	for c.byRow.Len() > cachePages {
		c.drop(c.recent.Back().Value.(*cached))
	}
}

// replace takes the result of a checkpoint step: rows that are gone, and pages as they were written.
func (c *cache) replace(gone [][]byte, written []*page) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, row := range gone {
		if v, ok := c.byRow.Get(string(row)); ok {
			c.drop(v)
		}
	}
	for _, p := range written {
		c.addLocked(p, after(string(p.low)), true)
	}
}

func (c *cache) drop(v *cached) {
	c.last = nil
	c.byRow.Delete(string(v.p.row))
	c.recent.Remove(v.elem)
}
