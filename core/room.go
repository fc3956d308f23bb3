package core

import (
	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/pages"
)

// room is where the small pieces of one commit are cut from, which it makes by the dozen: an allocation for several. They are let go
// together too, at the next checkpoint, or when the feed's latest are read no more.
type room struct {
	free   []byte
	coming int // about how many bytes will still be asked for
}

// take returns a slice of no length that has room for n bytes.
func (r *room) take(n int) []byte {
	if n > len(r.free) {
		if n > r.coming || n > roomBytes { // nobody shares it
			return make([]byte, 0, n)
		}
		r.free = make([]byte, min(r.coming, roomBytes))
	}
	out := r.free[:0:n]
	r.free = r.free[n:]
	r.coming -= n
	return out
}

// expect says that about so many bytes will be asked for.
func (r *room) expect(n int) { r.coming = max(r.coming, n) }

// rowBytes is about what a batch's objects take as rows, where it is their only version.
func rowBytes(b *change.Batch) (n int) {
	for i := range b.Mutations {
		n += len(b.Mutations[i].Value) + rowOverhead
	}
	return n
}

// spare is what a stage was made of, for the next one.
type spare struct {
	items   []changelog.Item
	changes []pages.Change
	before  []int
	index   map[string]int

	judged change.Batch // RoleHub: the one that is judged
}

func (s *stage) make(of *spare) {
	if of.index != nil {
		s.items, s.changes, s.before, s.index = of.items, of.changes, of.before, of.index
	}
	*of = spare{judged: of.judged}
}

// unmake empties a stage that has been stored, or given up.
func (s *stage) unmake(into *spare) {
	judged := into.judged.Mutations
	if cap(s.items) > spareEntries || cap(s.changes) > spareEntries || len(s.index) > spareEntries || cap(judged) > spareEntries {
		*into = spare{}
		return
	}
	clear(judged[:cap(judged)])
	clear(s.items[:cap(s.items)])
	clear(s.changes[:cap(s.changes)])
	clear(s.index)
	*into = spare{s.items[:0], s.changes[:0], s.before[:0], s.index, change.Batch{Mutations: judged[:0]}}
	s.items, s.changes, s.before, s.index = nil, nil, nil, nil
}
