package objects

import (
	"bytes"
	"cmp"
	"slices"

	"vsync/core/change"
	"vsync/core/dag"
)

// MaxLeaves bounds the leaves of an object, so that a write which has seen all of them can name them.
const MaxLeaves = change.MaxParents

// A Leaf is a version that none replaces, with what it wrote.
type Leaf struct {
	Version  change.Version
	Stamp    uint64 // effective stamp, ms since 1970; while pending the writer's own
	Accepted uint64 // hub's clock at acceptance, ms since 1970; 0 while pending
	Deleted  bool
	Value    []byte // canonical msgpack; nil where deleted
}

// A Pending is a version of this device that the feed has not passed yet.
type Pending struct {
	Version change.Version
	Stamp   uint64 // the writer's clock, ms since 1970
	Deleted bool
	Value   []byte           // canonical msgpack; nil where deleted
	Parents []change.Version // what the writer saw: ascending, distinct, at most change.MaxParents
}

// An Object is what a replica knows of one object. The zero Object is one that nothing is known of.
type Object struct {
	Confirmed []Leaf    // at most MaxLeaves, in feed order
	Pending   []Pending // in the order of writing

	arena []change.Version // what the decoder cuts Parents from
}

// IsEmpty reports whether nothing is known of the object: it needs no row.
func (o *Object) IsEmpty() bool { return len(o.Confirmed)+len(o.Pending) == 0 }

// Graft takes a version from the feed into the confirmed layer. The parents are those in force: the
// hub's effective parents where it named some, else the batch's own. A pending of the same version is
// confirmed by it and leaves its layer.
//
// Known is what is a leaf now. That a version came before and was replaced since cannot be seen here:
// the caller drops what its generation vector covers.
func (o *Object) Graft(v Leaf, parents []change.Version) dag.Result {
	if i := o.pending(v.Version); i >= 0 {
		o.Pending = slices.Delete(o.Pending, i, i+1)
	}
	if find(o.Confirmed, v.Version) >= 0 {
		return dag.Known
	}
	before := len(o.Confirmed)
	kept := subtract(o.Confirmed, parents)
	result := dag.Outcome(before, len(kept), len(parents))
	o.Confirmed = add(kept, v)
	return result
}

// Confirm moves a pending version to the confirmed layer, with the effective stamp and the time of
// acceptance that the hub gave it. A nil parents takes those of the pending version; the hub's
// effective parents, where it named some, come as a list that is not nil.
//
// False where it is not pending: then nothing is changed, and the caller, who has to find the value
// elsewhere, uses Graft.
func (o *Object) Confirm(v change.Version, stamp, accepted uint64, parents []change.Version) (dag.Result, bool) {
	i := o.pending(v)
	if i < 0 {
		return 0, false
	}
	p := o.Pending[i]
	if parents == nil {
		parents = p.Parents
	}
	return o.Graft(Leaf{v, stamp, accepted, p.Deleted, p.Value}, parents), true
}

// AddPending puts a version of this device on top. It sorts p.Parents in place. A version that is
// pending already is left as it is.
func (o *Object) AddPending(p Pending) {
	if o.pending(p.Version) >= 0 {
		return
	}
	p.Parents = ordered(p.Parents)
	o.Pending = append(o.Pending, p)
}

// DropPending takes away a version that the hub refused, and returns it. Pending versions that name it
// as a parent get its own parents instead. False where it is not pending.
func (o *Object) DropPending(v change.Version) (Pending, bool) {
	i := o.pending(v)
	if i < 0 {
		return Pending{}, false
	}
	dropped := o.Pending[i]
	o.Pending = slices.Delete(o.Pending, i, i+1)
	for i := range o.Pending {
		if p := &o.Pending[i]; slices.Contains(p.Parents, v) {
			p.Parents = o.inherit(p.Parents, v, dropped.Parents)
		}
	}
	return dropped, true
}

// inherit returns parents with v replaced by those of v. Where that is more than a version may name,
// those go first that stand neither in the confirmed layer nor in the pending one: to subtract them
// from the leaves changes nothing.
func (o *Object) inherit(parents []change.Version, v change.Version, of []change.Version) []change.Version {
	all := make([]change.Version, 0, len(parents)+len(of))
	for _, p := range parents {
		if p != v {
			all = append(all, p)
		}
	}
	all = ordered(append(all, of...))
	if len(all) > change.MaxParents {
		gone := func(p change.Version) bool { return find(o.Confirmed, p) < 0 && o.pending(p) < 0 }
		all = slices.DeleteFunc(all, gone)
		all = all[:min(len(all), change.MaxParents)]
	}
	return all
}

// RenamePending gives all pending versions, and the parents that they name, the names that rename
// returns for them: what a device does that re-enters under a new id. rename returns what it does not
// rename as it is.
func (o *Object) RenamePending(rename func(change.Version) change.Version) {
	for i := range o.Pending {
		p := &o.Pending[i]
		p.Version = rename(p.Version)
		parents := make([]change.Version, len(p.Parents))
		for j, v := range p.Parents {
			parents[j] = rename(v)
		}
		p.Parents = ordered(parents)
	}
}

// pending returns the place of a version in the pending layer, or -1.
func (o *Object) pending(v change.Version) int {
	for i := range o.Pending {
		if o.Pending[i].Version == v {
			return i
		}
	}
	return -1
}

// find returns the place of a version among leaves, or -1.
func find(leaves []Leaf, v change.Version) int {
	for i := range leaves {
		if leaves[i].Version == v {
			return i
		}
	}
	return -1
}

// subtract takes the parents out of the leaves, in place.
func subtract(leaves []Leaf, parents []change.Version) []Leaf {
	kept := leaves[:0]
	for i := range leaves {
		if !slices.Contains(parents, leaves[i].Version) {
			kept = append(kept, leaves[i])
		}
	}
	return kept
}

// add appends a leaf and holds the bound.
func add(leaves []Leaf, v Leaf) []Leaf {
	leaves = append(leaves, v)
	for len(leaves) > MaxLeaves {
		loser := 0
		if leaves[0].Beats(leaves[1]) {
			loser = 1
		}
		leaves = slices.Delete(leaves, loser, loser+1)
	}
	return leaves
}

// ordered sorts versions in place and drops repetitions: the form of a list of parents.
func ordered(versions []change.Version) []change.Version {
	if !slices.IsSortedFunc(versions, change.Version.Compare) {
		slices.SortFunc(versions, change.Version.Compare)
	}
	return slices.Compact(versions)
}

// Beats reports whether the winner rule puts l before m.
func (l Leaf) Beats(m Leaf) bool {
	if l.Deleted != m.Deleted {
		return m.Deleted
	}
	if l.Stamp != m.Stamp {
		return l.Stamp > m.Stamp
	}
	return cmp.Or(l.Version.Device.Compare(m.Version.Device), cmp.Compare(l.Version.Gen, m.Version.Gen)) > 0
}

// Same reports whether two leaves wrote the same: leaves with equal values are no conflict.
func (l Leaf) Same(m Leaf) bool {
	return l.Deleted == m.Deleted && bytes.Equal(l.Value, m.Value)
}
