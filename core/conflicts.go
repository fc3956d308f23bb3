package core

import (
	"context"
	"errors"
	"iter"

	"vsync/core/change"
	"vsync/core/dag"
	"vsync/core/merge"
	"vsync/core/objects"
	"vsync/core/order"
)

// A conflict is an object whose leaves wrote different things, whatever the rule of its collection:
//
//	           ┌─ a7 ─┐                     Conflict: base x3, sides a7 and b2, the one that is shown first
//	x3 (base) ─┤      ├─ a write that names both ends it, on any device
//	           └─ b2 ─┘
//
// What is written without seeing the other sides ends nothing: under Keep a plain write replaces the shown side only. Two
// devices that end it by writing the same have two leaves again, with equal values, which is none.

// Conflict is an object in conflict.
type Conflict struct {
	Key   change.Key
	Sides []Side        // in the order of the winner rule: the first is what Latest and Keep show
	Base  *HistoryEntry // the nearest version that all of them come from; nil: there is none, or history does not reach it
}

// Side is a version that no other replaces.
type Side struct {
	Version change.Version
	Time    uint64 // its stamp, ms since 1970
	Deleted bool
	Value   []byte // canonical msgpack, as it was written
}

// Versions are the sides' names: what a write names as seen that ends the conflict.
func (c *Conflict) Versions() []change.Version {
	out := make([]change.Version, len(c.Sides))
	for i := range c.Sides {
		out[i] = c.Sides[i].Version
	}
	return out
}

// Conflict returns the sides of an object; false where it is in no conflict.
func (r *Replica) Conflict(ctx context.Context, key change.Key) (c Conflict, ok bool, err error) {
	if err := validKey(key); err != nil {
		return c, false, err
	}
	if err := r.readable(); err != nil {
		return c, false, err
	}
	row, found, err := r.tables.GetRow(ctx, objectRow(key))
	if err != nil || !found {
		return c, false, typed(err, "reading "+key.String())
	}
	var o objects.Object
	if err := o.Load(row); err != nil {
		return c, false, wrapf(Corrupt, err, "the object %s cannot be read", key)
	}
	v := o.Visible()
	if !v.Conflict {
		return c, false, nil
	}
	c.Key = key
	for _, l := range objects.Ranked(v.Leaves) {
		c.Sides = append(c.Sides, Side{Version: l.Version, Time: l.Stamp, Deleted: l.Deleted, Value: l.Value})
	}
	base, has, err := r.mergeBase(ctx, key, v.Frontier())
	if has {
		c.Base = &base
	}
	if errors.Is(err, dag.ErrTooWide) { // history that nobody can walk takes the base away, not the conflict
		err = nil
	}
	return c, true, unlessDamaged(err)
}

// Conflicts yields the objects of a range that are in conflict, in the order of their keys.
func (r *Replica) Conflicts(ctx context.Context, q ScanRange) iter.Seq2[Conflict, error] {
	return func(yield func(Conflict, error) bool) {
		limit, n := q.Limit, 0
		q.Limit = 0
		for e, err := range r.Scan(ctx, q) {
			if err == nil && !e.Conflict {
				continue
			}
			var c Conflict
			is := true
			if err == nil {
				c, is, err = r.Conflict(ctx, e.Key)
			}
			if err == nil && !is { // it ended meanwhile
				continue
			}
			if n++; !yield(c, err) || err != nil || n == limit {
				return
			}
		}
	}
}

// plainParents are what a write replaces that names nothing as seen: all that is there, and under Keep what is shown.
func plainParents(v *objects.View, rules *merge.Rules) []change.Version {
	if rules.Mode != merge.Keep || !v.Conflict {
		return v.Frontier()
	}
	var shown []change.Version
	for i := range v.Leaves {
		if v.Leaves[i].Same(v.Leaves[v.Winner]) {
			shown = append(shown, v.Leaves[i].Version)
		}
	}
	order.By(shown, change.Version.Compare)
	return shown
}
