package changelog

import (
	"slices"
	"sync"

	"vsync/core/change"
	"vsync/core/order"
)

// decoded is a segment's records, up to a commit.
type decoded struct {
	name Name
	last uint64
	size int // bytes
	recs []Record

	once sync.Once
	at   map[change.Version]spot // where each batch stands
}

// spot is the place of an item: record and item within it.
type spot struct{ rec, item int }

// find returns where the bytes of a batch stand; where it stands twice, the latest.
func (d *decoded) find(v change.Version) (spot, bool) {
	d.once.Do(func() {
		d.at = make(map[change.Version]spot)
		for i, r := range d.recs {
			for j, it := range r.Items {
				if v, _, ok := batchOf(it); ok {
					d.at[v] = spot{i, j}
				}
			}
		}
	})
	s, ok := d.at[v]
	return s, ok
}

// findAt returns the latest batch of a name up to a commit; nil where there is none.
func (d *decoded) findAt(v change.Version, commit uint64) (Record, []byte) {
	for _, rec := range slices.Backward(d.recs) {
		if rec.Commit > commit {
			continue
		}
		for _, it := range slices.Backward(rec.Items) {
			if of, _, ok := batchOf(it); ok && of == v {
				return rec, BatchBytes(it)
			}
		}
	}
	return Record{}, nil
}

// cache keeps the segments that were read last, decoded.
type cache struct {
	mu   sync.Mutex
	list []*decoded // the latest first
	size int
}

func (c *cache) get(n Name, last uint64) (*decoded, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.index(n)
	if i < 0 || c.list[i].last < last {
		return nil, false
	}
	d := c.list[i]
	copy(c.list[1:i+1], c.list[:i])
	c.list[0] = d
	return d, true
}

// add keeps a segment. One that is larger than the cache is kept until the next comes.
func (c *cache) add(d *decoded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.index(d.name); i >= 0 {
		if c.list[i].last > d.last { // another reader was faster, and has seen more
			return
		}
		c.remove(i)
	}
	c.list = order.Insert(c.list, 0, d)
	c.size += d.size
	for len(c.list) > 1 && (c.size > cacheBytes || len(c.list) > cacheSegments) {
		c.remove(len(c.list) - 1)
	}
}

func (c *cache) forget(n Name) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.index(n); i >= 0 {
		c.remove(i)
	}
}

func (c *cache) index(n Name) int {
	return slices.IndexFunc(c.list, func(d *decoded) bool { return d.name == n })
}

func (c *cache) remove(i int) {
	c.size -= c.list[i].size
	c.list = slices.Delete(c.list, i, i+1)
}
