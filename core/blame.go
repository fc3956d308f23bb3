package core

import (
	"bytes"
	"context"
	"errors"

	"vsync/core/change"
	"vsync/core/dag"
	"vsync/core/merge"
)

// Blame says who set what an object has at a path.
type Blame struct {
	Path    []string // keys from the root; none: the whole value
	Value   []byte   // canonical msgpack
	Version change.Version
	Time    uint64 // its stamp, ms since 1970
	Note    string // of its batch
	Older   bool   // it was set by this version or before: history goes no further
}

// Blame returns, for each path of what is shown, the newest version that gave it the value that it has, looking back from what is
// shown. What a merge made of several counts for the newest that changed it. Maps are looked into, lists are not. Nothing where there is no object.
func (r *Replica) Blame(ctx context.Context, key change.Key) ([]Blame, error) {
	e, ok, err := r.Get(ctx, key)
	if err != nil || !ok {
		return nil, err
	}
	b := &blamer{r: r, key: key, found: map[change.Version]HistoryEntry{}}
	for _, d := range merge.Differences(nil, e.Value) {
		b.out = append(b.out, Blame{Path: d.Path, Value: d.After})
	}
	b.open, b.done, b.second = len(b.out), make([]bool, len(b.out)), make([]bool, len(b.out))
	from := e.Frontier
	if !r.Rules(key.Collection).Merges() {
		from = []change.Version{e.Version}
	}
	if err := b.walk(ctx, from); err != nil {
		return nil, typed(err, "reading the history of "+key.String())
	}
	for i := range b.out {
		if x := &b.out[i]; x.Version.IsZero() {
			x.Version, x.Time, x.Older = e.Version, e.Time, true
		}
	}
	return b.out, nil
}

type blamer struct {
	r      *Replica
	key    change.Key
	found  map[change.Version]HistoryEntry // looked up, and not visited yet
	out    []Blame
	done   []bool // the version is found
	second []bool // one that changed the path is noted, to another value than is shown
	open   int    // paths that nobody is found for
}

var errAllBlamed = errors.New("core: nothing more to look for")

func (b *blamer) walk(ctx context.Context, from []change.Version) error {
	lookup := func(ctx context.Context, v change.Version) (dag.Node, bool, error) {
		h, at, ok, err := b.r.version(ctx, b.key, v)
		if ok {
			b.found[v] = h
		}
		return dag.Node{Version: v, Parents: h.Parents, Deleted: h.Deleted, Position: at}, ok, err
	}
	ordered, err := b.r.ordered(ctx, lookup, from)
	if err != nil {
		return err
	}
	_, err = dag.Walk(ctx, ordered, from, func(n dag.Node) error {
		h, known := b.found[n.Version]
		if !known {
			return nil
		}
		delete(b.found, n.Version)
		if err := b.visit(ctx, &h); err != nil {
			return err
		}
		if b.open == 0 {
			return errAllBlamed
		}
		return nil
	})
	if errors.Is(err, errAllBlamed) {
		return nil
	}
	return err
}

// visit holds a version against its parents.
func (b *blamer) visit(ctx context.Context, h *HistoryEntry) error {
	var before [][]byte
	older := false
	for _, p := range h.Parents {
		parent, _, ok, err := b.r.version(ctx, b.key, p)
		if err != nil {
			return err
		}
		if older = older || !ok; ok {
			before = append(before, parent.Value)
		}
	}
	for i := range b.out {
		x := &b.out[i]
		mine := merge.Lookup(h.Value, x.Path)
		shown := mine != nil && bytes.Equal(mine, x.Value)
		if mine == nil || b.done[i] || !shown && b.second[i] || unchanged(mine, before, x.Path) {
			continue
		}
		if x.Version, x.Time, x.Note, x.Older = h.Version, h.Time, h.Note, older; shown {
			b.done[i] = true
			b.open--
		}
		b.second[i] = true
	}
	return nil
}

// unchanged says that one of the parents had the same at a path.
func unchanged(mine []byte, before [][]byte, path []string) bool {
	for _, value := range before {
		if bytes.Equal(merge.Lookup(value, path), mine) {
			return true
		}
	}
	return false
}
