package objects

import (
	"bytes"
	"cmp"
	"slices"

	"vsync/core/change"
	"vsync/core/dag"
	"vsync/core/order"
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

// A Pending is a version of this device that the feed has not passed yet and that no later one of them replaces. Those that it
// replaces are folded into it: of them only the names are kept, and their values stand in the log.
type Pending struct {
	Version change.Version
	Stamp   uint64 // the writer's clock, ms since 1970
	Deleted bool
	Value   []byte   // canonical msgpack; nil where deleted
	Hides   []Hidden // what it, or one folded into it, replaces; ascending, distinct
}

// Hidden are versions that a pending one hides: a leaf of the confirmed layer, or versions of this device that are still to come
// there. Of several each is replaced by the next, and the last by Until. What the feed has passed by decides for itself: when it
// passes a version, what only that one replaced is not hidden any more.
type Hidden struct {
	Device      change.DeviceID
	First, Last change.Generation
	Until       change.Version // what replaces the last; zero: the pending version itself
}

// An Object is what a replica knows of one object. The zero Object is one that nothing is known of.
type Object struct {
	Confirmed []Leaf    // at most MaxLeaves, in feed order
	Pending   []Pending // at most MaxLeaves, in the order of writing

	// Under field rules: the state of the confirmed layer, nil where it is the winner's; the device's unsent versions of this object, in
	// the order of writing; and the state that these make of the confirmed one, nil where there is nothing.
	State *State
	Own   []change.Version
	Shown *State

	// Coming says of versions that are not here that the feed will bring them: a pending version that names them hides them then.
	// Nil: of none.
	Coming func(change.Version) bool

	arena  []Hidden // what Hides are cut from
	leaves []Leaf   // what a view is made in
}

// IsEmpty reports whether nothing is known of the object: it needs no row.
func (o *Object) IsEmpty() bool { return len(o.Confirmed)+len(o.Pending) == 0 }

// Is reports whether all that is known of the object is what one version wrote, which the feed has passed.
func (o *Object) Is(v change.Version) bool {
	return len(o.Confirmed) == 1 && len(o.Pending) == 0 && o.State == nil && o.Confirmed[0].Version == v
}

// Graft takes a version from the feed into the confirmed layer. The parents are those in force: the
// hub's effective parents where it named some, else the batch's own. One that is among its own parents is replaced already. If it is pending, it leaves that layer; if it was folded, it
// goes on being hidden by what replaced it.
//
// Known is what is a leaf now. That a version came before and was replaced since cannot be seen here:
// the caller drops what its generation vector covers.
func (o *Object) Graft(v Leaf, parents []change.Version) dag.Result {
	if i := o.pending(v.Version); i >= 0 {
		o.Pending = slices.Delete(o.Pending, i, i+1)
	}
	for i := range o.Pending {
		o.Pending[i].passed(v.Version)
	}
	if find(o.Confirmed, v.Version) >= 0 {
		return dag.Known
	}
	before := len(o.Confirmed)
	kept := subtract(o.Confirmed, parents)
	result := dag.Outcome(before, len(kept), len(parents))
	if o.Confirmed = kept; len(kept) == 0 || !slices.Contains(parents, v.Version) { // else it came back after those that replaced it
		o.Confirmed = add(kept, v)
	}
	return result
}

// AddPending puts a version of this device on top. Pending versions among its parents are folded into it. A version that
// is pending already, or was folded, changes nothing.
func (o *Object) AddPending(v Leaf, parents []change.Version) {
	if o.IsPending(v.Version) {
		return
	}
	start := len(o.arena)
	for _, parent := range parents {
		if o.pending(parent) >= 0 || find(o.Confirmed, parent) >= 0 || o.IsPending(parent) || o.Coming != nil && o.Coming(parent) {
			o.arena = append(o.arena, only(parent))
		}
	}
	kept := o.Pending[:0]
	for i := range o.Pending {
		q := &o.Pending[i]
		if !slices.Contains(parents, q.Version) {
			kept = append(kept, *q)
			continue
		}
		for _, h := range q.Hides {
			if h.Until.IsZero() {
				h.Until = q.Version
			}
			o.arena = append(o.arena, h)
		}
	}
	o.Pending = kept
	hides := o.joined(tidied(o.arena[start:len(o.arena):len(o.arena)]))
	o.Pending = append(o.Pending, Pending{v.Version, v.Stamp, v.Deleted, v.Value, hides})
	for len(o.Pending) > MaxLeaves {
		o.dropFirst()
	}
}

// Replaces returns the versions that it replaces itself, as far as they are known here.
func (p *Pending) Replaces() (versions []change.Version) {
	for _, h := range p.Hides {
		if h.Until.IsZero() {
			versions = append(versions, change.Version{Device: h.Device, Gen: h.Last})
		}
	}
	return versions
}

// dropFirst holds the bound: of the first two the loser goes, as among leaves. What it hides stays hidden.
func (o *Object) dropFirst() {
	loser, winner := 0, 1
	if o.Pending[0].leaf().Beats(o.Pending[1].leaf()) {
		loser, winner = 1, 0
	}
	l, w := o.Pending[loser], &o.Pending[winner]
	w.Hides = tidied(slices.Concat(w.Hides, l.Hides))
	o.Pending = slices.Delete(o.Pending, loser, loser+1)
}

// joined puts together what is one chain: each the versions that the next replaces, and no other version of this object between
// them. So a chain of any length takes no more room than one of two.
func (o *Object) joined(hides []Hidden) []Hidden {
	out := hides[:0]
	for i, h := range hides {
		j := slices.IndexFunc(out, func(g Hidden) bool {
			return g.Device == h.Device && g.Last < h.First && g.Until == change.Version{Device: h.Device, Gen: h.First}
		})
		if j < 0 || o.between(h.Device, out[j].Last+1, h.First-1, out, hides[i+1:]) {
			out = append(out, h)
			continue
		}
		out[j].Last, out[j].Until = h.Last, h.Until
	}
	return tidied(out)
}

// between says whether there is a version of this object, other than those that are being joined, in a gap between two.
func (o *Object) between(d change.DeviceID, from, to change.Generation, lists ...[]Hidden) bool {
	in := func(v change.Version) bool { return v.Device == d && from <= v.Gen && v.Gen <= to }
	for i := range o.Confirmed {
		if in(o.Confirmed[i].Version) {
			return true
		}
	}
	for i := range o.Pending {
		if in(o.Pending[i].Version) {
			return true
		}
		lists = append(lists, o.Pending[i].Hides)
	}
	for _, list := range lists {
		for _, h := range list {
			if h.Device == d && h.First <= to && from <= h.Last {
				return true
			}
		}
	}
	return false
}

// DropPending takes away a version that the hub refused. What it replaced is replaced by those that replace it. False
// where it is not pending.
func (o *Object) DropPending(v change.Version) bool {
	o.Disown(v)
	if i := o.pending(v); i >= 0 {
		o.Pending = slices.Delete(o.Pending, i, i+1)
		return true
	}
	if !o.IsPending(v) {
		return false
	}
	start := len(o.arena)
	for i := range o.Pending {
		for _, h := range o.Pending[i].Hides {
			if o.Pending[i].ends(h, v) {
				o.arena = append(o.arena, h)
			} else if h.has(v) && h.First < v.Gen {
				o.arena = append(o.arena, Hidden{Device: h.Device, First: h.First, Last: h.First})
			}
		}
	}
	bare := o.arena[start:len(o.arena):len(o.arena)]
	for i := range o.Pending {
		o.Pending[i].inherit(v, bare)
	}
	return true
}

// Expect says of a version of this device that is pending, or was folded, that it is not pushed again, and comes with the feed: what
// was written over it goes on hiding it, and what it replaced is shown until then.
func (o *Object) Expect(v change.Version) {
	o.Disown(v)
	if i := o.pending(v); i >= 0 {
		o.Pending = slices.Delete(o.Pending, i, i+1)
	}
	for i := range o.Pending {
		o.Pending[i].passed(v)
	}
}

// inherit lets a pending version hide what was hidden by one that was refused, if that one was hidden by it.
func (p *Pending) inherit(v change.Version, bare []Hidden) {
	var heirs []Hidden
	kept := p.Hides[:0:0]
	for _, h := range p.Hides {
		if p.ends(h, v) {
			continue
		}
		kept = append(kept, h)
		if !h.has(v) {
			continue
		}
		until := h.Until
		if v.Gen < h.Last { // the next of them; whichever it is, it is the first that passes
			until = change.Version{Device: h.Device, Gen: v.Gen + 1}
		}
		for _, b := range bare {
			b.Until = until
			heirs = append(heirs, b)
		}
	}
	p.Hides = tidied(append(kept, heirs...))
}

// passed notes that the feed has passed a version: what it replaced is not hidden any more for its sake.
func (p *Pending) passed(v change.Version) {
	if !slices.ContainsFunc(p.Hides, func(h Hidden) bool { return h.Device == v.Device || h.Until.Device == v.Device }) {
		return
	}
	kept := p.Hides[:0:0]
	for _, h := range p.Hides {
		if !p.ends(h, v) {
			kept = append(kept, h)
		}
	}
	p.Hides = kept
	for i := range p.Hides {
		if h := &p.Hides[i]; h.has(v) {
			h.First = v.Gen
		}
	}
	p.Hides = tidied(p.Hides)
}

// ends says that the feed, when it passes v, has passed what replaces the last of h. In a chain of which a re-entry has cut off the
// end, what replaces one may have been cut off: then what replaces the whole of it counts. What has a later name under the id that was
// given up is of a copy that kept it, and no part of the chain.
func (p *Pending) ends(h Hidden, v change.Version) bool {
	ends := h.replacedBy(v)
	for i := range p.Hides {
		g := &p.Hides[i]
		if h.Until.Device != g.Device || h.Until.Gen > g.Last {
			continue
		}
		if g.replacedBy(v) {
			return true
		}
		if g.Last < v.Gen && g.Device != p.next(g).Device {
			ends = false
		}
	}
	return ends
}

// next is what replaces the last of h.
func (p *Pending) next(h *Hidden) change.Version {
	if h.Until.IsZero() {
		return p.Version
	}
	return h.Until
}

// RenamePending gives all pending versions that the device old wrote after the generation common, and those folded into
// them, the names that they have as versions of the device next: what a device does that re-enters. The first of these has the name first.
func (o *Object) RenamePending(old change.DeviceID, common change.Generation, first change.Version) {
	next := first.Device
	rename := func(v change.Version) change.Version {
		if v.Device != old || v.Gen <= common {
			return v
		}
		return change.Version{Device: next, Gen: v.Gen - common}
	}
	for i := range o.Own {
		o.Own[i] = rename(o.Own[i])
	}
	for i := range o.Pending {
		p := &o.Pending[i]
		p.Version = rename(p.Version)
		var hides []Hidden
		for _, h := range p.Hides {
			h.Until = rename(h.Until)
			if h.Device == old && h.Last > common {
				if h.First <= common {
					hides = append(hides, Hidden{old, h.First, common, first})
					h.First = common + first.Gen
				}
				if h.First > h.Last { // these were lost, and what is written in their place is of other objects
					continue
				}
				h.Device, h.First, h.Last = next, h.First-common, h.Last-common
			}
			hides = append(hides, h)
		}
		p.Hides = tidied(hides)
	}
}

// Unhide has no pending version hide these, which a device has left out as parents: the feed will not bring them, or those that it
// brings under these names are others. Neither does it hide what one of them replaced, or what stands in one chain with it: at the hub
// nothing replaces that, unless what is written again of these does.
func (o *Object) Unhide(versions []change.Version) {
	if len(versions) == 0 {
		return
	}
	for i := range o.Pending {
		p := &o.Pending[i]
		p.Hides = slices.DeleteFunc(slices.Clone(p.Hides), func(h Hidden) bool {
			return slices.ContainsFunc(versions, func(v change.Version) bool { return h.has(v) || h.Until == v })
		})
	}
}

// IsPending reports whether a version is pending, or folded into one that is.
func (o *Object) IsPending(v change.Version) bool {
	for i := range o.Pending {
		if p := &o.Pending[i]; p.Version == v || p.hides(v) {
			return true
		}
	}
	return false
}

func (p *Pending) hides(v change.Version) bool {
	for i := range p.Hides {
		if p.Hides[i].has(v) {
			return true
		}
	}
	return false
}

func (p *Pending) leaf() Leaf {
	return Leaf{Version: p.Version, Stamp: p.Stamp, Deleted: p.Deleted, Value: p.Value}
}

// only is what hides one version.
func only(v change.Version) Hidden { return Hidden{Device: v.Device, First: v.Gen, Last: v.Gen} }

func (h *Hidden) has(v change.Version) bool {
	return v.Device == h.Device && h.First <= v.Gen && v.Gen <= h.Last
}

// replacedBy says that v is what replaces the last of h, or has passed after it.
func (h *Hidden) replacedBy(v change.Version) bool {
	return v.Device == h.Until.Device && v.Gen >= h.Until.Gen
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

// compare orders by what is hidden, then by until when.
func (h Hidden) compare(g Hidden) int {
	return cmp.Or(h.Device.Compare(g.Device), cmp.Compare(h.First, g.First), cmp.Compare(h.Last, g.Last), h.Until.Compare(g.Until))
}

// tidied sorts in place and drops repetitions.
func tidied(hides []Hidden) []Hidden {
	if len(hides) < 2 {
		return hides
	}
	order.By(hides, Hidden.compare)
	return slices.Compact(hides)
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
