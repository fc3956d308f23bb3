package objects

import (
	"bytes"

	"vsync/core/change"
	"vsync/core/order"
)

// A View is what an application sees of an object: both layers, folded.
type View struct {
	Leaves   []Leaf // confirmed ones in feed order, then pending ones in the order of writing; at most MaxLeaves
	Winner   int    // which of them is shown, -1 where there is none
	Conflict bool   // there are leaves that wrote different things

	// Of the winner; zero where there is none.
	Version change.Version
	Stamp   uint64
	Deleted bool
	Value   []byte // under field rules what all of them make together, which the winner may not have written
}

// Visible folds the pending versions on the confirmed leaves. The view shares its leaves and values with the
// object: it is good until the object is changed, or looked at again.
func (o *Object) Visible() View {
	leaves := o.Confirmed
	if len(o.Pending) > 0 {
		leaves = o.leaves[:0]
		for i := range o.Confirmed {
			if !o.hidden(o.Confirmed[i].Version) {
				leaves = append(leaves, o.Confirmed[i])
			}
		}
		for i := range o.Pending {
			leaves = add(leaves, o.Pending[i].leaf())
		}
		o.leaves = leaves
	}
	v := view(leaves)
	if s := o.merged(); s != nil && v.Exists() {
		v.Value = s.Value
	}
	return v
}

// Merged reports whether the value is not the one that the winner wrote.
func (v *View) Merged() bool { return v.Exists() && !bytes.Equal(v.Value, v.Leaves[v.Winner].Value) }

func (o *Object) hidden(v change.Version) bool {
	for i := range o.Pending {
		if o.Pending[i].hides(v) {
			return true
		}
	}
	return false
}

func view(leaves []Leaf) View {
	v := View{Leaves: leaves, Winner: -1}
	for i := range leaves {
		if v.Winner < 0 || leaves[i].Beats(leaves[v.Winner]) {
			v.Winner = i
		}
		v.Conflict = v.Conflict || !leaves[i].Same(leaves[0])
	}
	if v.Winner >= 0 {
		w := &leaves[v.Winner]
		v.Version, v.Stamp, v.Deleted, v.Value = w.Version, w.Stamp, w.Deleted, w.Value
	}
	return v
}

// Exists reports whether there is a value to show.
func (v *View) Exists() bool { return v.Winner >= 0 && !v.Deleted }

// Frontier returns the versions of all leaves, ascending: the parents of a write that has seen them.
func (v *View) Frontier() []change.Version {
	if len(v.Leaves) == 0 {
		return nil
	}
	frontier := make([]change.Version, len(v.Leaves))
	for i := range v.Leaves {
		frontier[i] = v.Leaves[i].Version
	}
	order.By(frontier, change.Version.Compare)
	return frontier
}

// Ranked returns leaves in the order of the winner rule: the one that is shown comes first. There are few.
func Ranked(leaves []Leaf) []Leaf {
	out := make([]Leaf, 0, len(leaves))
	for i := range leaves {
		at := len(out)
		for at > 0 && leaves[i].Beats(out[at-1]) {
			at--
		}
		out = order.Insert(out, at, leaves[i])
	}
	return out
}
