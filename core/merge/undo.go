package merge

import (
	"bytes"

	"vsync/core/change"
)

// plain rules look into maps and know nothing but assignment: what is undone in a collection without field rules.
var plain = &Rules{Mode: Fields, merges: true}

// Undo takes a change back, and leaves what has happened since: it returns what becomes of a value, nil for a deletion.
//
//	before ──▶ after ──▶ … ──▶ now       a writer changed before to after, others went on
//	   └────────────────────────▶ now, without what he changed
//
// Of counters, sets and texts just his part goes. Elsewhere a path gets back what it had before only if it has still what he wrote. Nil
// is no value, before as after; v is the version that will say so.
func (r *Rules) Undo(before, after []byte, now State, v change.Version) []byte {
	shown := now.Shown()
	switch {
	case after == nil && shown == nil, shown != nil && after != nil && bytes.Equal(shown, after):
		return before
	case after == nil || shown == nil:
		return shown // it came again since, or is gone
	}
	if !r.Merges() {
		r = plain
	}
	d := differ{rules: r, now: now}
	d.node(after, before)
	c := d.finish()
	kept := c.ops[:0]
	for _, o := range c.ops {
		if back := o.code == opAssign || o.code == opRemove || o.code == opObject; !back || untouched(after, shown, o.path) {
			kept = append(kept, o)
		}
	}
	if c.ops = kept; len(kept) == 0 {
		return shown
	}
	a := applier{rules: r, now: now, write: Write{Version: v, Value: before}, changes: c}
	out, ok := a.node(nil, shown, c.ops, 0)
	switch {
	case !ok:
		return nil
	case change.CheckValue(out) != nil:
		return shown
	}
	return out
}

// untouched says that two values have the same at a path. Where one of them ends earlier, there.
func untouched(a, b []byte, path [][]byte) bool {
	for i := range path {
		if kindOf(a) != kindMap || kindOf(b) != kindMap {
			break
		}
		a, b = lookup(a, path[i:i+1]), lookup(b, path[i:i+1])
	}
	return (a == nil) == (b == nil) && same(a, b)
}
