package core

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/dag"
)

// HistoryEntry is one version of an object.
type HistoryEntry struct {
	Version change.Version
	Parents []change.Version // the versions that it replaced: as its writer named them, or as the hub said where it names others
	Time    uint64           // its stamp, ms since 1970
	Deleted bool
	Value   []byte // canonical msgpack
	Note    string // of its batch
}

// History yields the versions of an object, the newest first: each once, before those that it replaced. It ends where records are gone.
func (r *Replica) History(ctx context.Context, key change.Key) iter.Seq2[HistoryEntry, error] {
	return func(yield func(HistoryEntry, error) bool) {
		e, _, err := r.Get(ctx, key)
		if err != nil {
			yield(HistoryEntry{}, err)
			return
		}
		found := map[change.Version]HistoryEntry{} // looked up, and not visited yet
		lookup := func(ctx context.Context, v change.Version) (dag.Node, bool, error) {
			h, at, ok, err := r.version(ctx, key, v)
			found[v] = h
			return dag.Node{Version: v, Parents: h.Parents, Deleted: h.Deleted, Position: at}, ok, err
		}
		stop := errors.New("enough")
		ordered, err := r.ordered(ctx, lookup, e.Frontier)
		if err == nil {
			_, err = dag.Walk(ctx, ordered, e.Frontier, func(n dag.Node) error {
				h := found[n.Version]
				delete(found, n.Version)
				if !yield(h, nil) {
					return stop
				}
				return nil
			})
		}
		if err != nil && !errors.Is(err, stop) {
			yield(HistoryEntry{}, typed(err, "reading the history of "+key.String()))
		}
	}
}

// version finds a version of an object in the log, and its place there.
func (r *Replica) version(ctx context.Context, key change.Key, v change.Version) (h HistoryEntry, at uint64, ok bool, err error) {
	batch, rec, ok, err := r.log.Find(ctx, v)
	if err != nil || !ok {
		return h, 0, false, err
	}
	index := 0
	head, err := change.Walk(batch, func(m change.Mutation) bool {
		if m.Key != key {
			return true
		}
		index = m.Index
		h = HistoryEntry{Version: v, Parents: slices.Clone(m.Parents), Deleted: m.Kind == change.Delete, Value: bytes.Clone(m.Value)}
		return false
	})
	if err != nil || h.Version.IsZero() {
		return h, 0, false, err
	}
	h.Time, h.Note = head.Stamp, head.Note
	// Within one commit, items stand in order: their index makes the place unique.
	i := itemOf(&rec, batch)
	ann, err := r.annotationOf(ctx, v, rec.Items[i])
	h.Parents = slices.Clone(ann.EffectiveParents(&change.Mutation{Index: index, Parents: h.Parents}))
	h.Parents = slices.DeleteFunc(h.Parents, func(p change.Version) bool { return p == v }) // one that came back replaced
	return h, rec.Commit<<20 | uint64(i), true, err
}

// annotationOf is what the hub said of a version whose batch stands in an item of the log, as far as it is needed for its parents.
func (r *Replica) annotationOf(ctx context.Context, v change.Version, it changelog.Item) (ann change.Annotation, err error) {
	if it.Kind == changelog.ItemEntry {
		_, e, err := entryOf(it)
		if err == nil {
			ann = e.Annotation
		}
		return ann, err
	}
	if it.Kind != changelog.ItemBatch || !r.wentBack() {
		return ann, nil // of its own batches, a device that never went back has seen all parents under the names that it gave
	}
	r.said.mu.Lock()
	defer r.said.mu.Unlock()
	if r.said.of == nil {
		r.said.of = map[change.Version]change.Annotation{}
	}
	err = r.said.read(ctx, r)
	return r.said.of[v], err
}

// said are the annotations of own batches that have effective parents: they stand in confirmations, which are not looked up by name.
type said struct {
	mu   sync.Mutex
	upTo uint64 // commit that is read
	of   map[change.Version]change.Annotation
}

func (s *said) read(ctx context.Context, r *Replica) error {
	upTo := r.State().Commit
	err := r.eachItem(ctx, s.upTo+1, upTo, func(commit uint64, it changelog.Item) (bool, error) {
		if it.Kind != changelog.ItemConfirm || r.hasLeft(commit, it) {
			return true, nil
		}
		c := &cutter{b: it.Data}
		c.uvarint()
		c.take(1)
		v := change.Version{Device: change.DeviceID(c.take(16)), Gen: change.Generation(c.uvarint())}
		c.take(16)
		ann, err := change.DecodeAnnotation(c.b)
		if delete(s.of, v); len(ann.EParents) > 0 {
			s.of[v] = ann
		}
		return true, errors.Join(err, c.err)
	})
	if err == nil {
		s.upTo = upTo
	}
	return err
}

// ordered returns a lookup by whose positions parents lie before children. The log's are so, unless the device went back in the feed, or the
// feed has brought again what it had lost of its own, behind what was written over that.
func (r *Replica) ordered(ctx context.Context, lookup dag.Lookup, from []change.Version) (dag.Lookup, error) {
	r.mu.Lock()
	straight := len(r.head.rewinds) == 0 && r.head.base == 0
	r.mu.Unlock()
	if straight && len(r.log.Holes()) == 0 {
		return lookup, nil
	}
	return dag.Ranked(ctx, lookup, from)
}

func (r *Replica) wentBack() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.head.rewinds) > 0
}

func (r *Replica) aliases() []alias {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head.aliases
}

// MergeBase returns the nearest version that all leaves of an object descend from; false where there is none, or
// history does not reach it.
func (r *Replica) MergeBase(ctx context.Context, key change.Key) (HistoryEntry, bool, error) {
	e, _, err := r.Get(ctx, key)
	if err != nil {
		return HistoryEntry{}, false, err
	}
	return r.mergeBase(ctx, key, e.Frontier)
}

func (r *Replica) mergeBase(ctx context.Context, key change.Key, leaves []change.Version) (HistoryEntry, bool, error) {
	lookup := func(ctx context.Context, v change.Version) (dag.Node, bool, error) {
		h, at, ok, err := r.version(ctx, key, v)
		return dag.Node{Version: v, Parents: h.Parents, Deleted: h.Deleted, Position: at}, ok, err
	}
	ordered, err := r.ordered(ctx, lookup, leaves)
	if err != nil {
		return HistoryEntry{}, false, typed(err, "looking for the merge base of "+key.String())
	}
	base, ok, err := dag.MergeBase(ctx, ordered, leaves)
	if err != nil || !ok {
		return HistoryEntry{}, false, typed(err, "looking for the merge base of "+key.String())
	}
	h, _, ok, err := r.version(ctx, key, base)
	return h, ok, typed(err, "reading the merge base of "+key.String())
}
