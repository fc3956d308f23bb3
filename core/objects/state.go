package objects

import (
	"bytes"
	"slices"

	"vsync/core/change"
)

// A State is a value under field rules, which may be no leaf's, and what the next versions need to be folded into it: package merge
// says what that is.
type State struct {
	Value  []byte         // canonical msgpack
	Origin change.Version // which brought all that Marks do not name
	Marks  []byte         // nil: none
}

// ConfirmedState is the state of the confirmed layer; deleted where nothing of it is shown. False where there is none.
func (o *Object) ConfirmedState() (s State, deleted, ok bool) {
	v := view(o.Confirmed)
	if o.State != nil {
		return *o.State, v.Deleted, true
	}
	return stateOf(&v)
}

// ShownState is the state of what is shown.
func (o *Object) ShownState() (s State, deleted, ok bool) {
	v := o.Visible()
	if m := o.merged(); m != nil {
		return *m, v.Deleted, true
	}
	return stateOf(&v)
}

// stateOf is the state of a layer that has none of its own: its winner's.
func stateOf(v *View) (s State, deleted, ok bool) {
	if !v.Exists() {
		return State{}, v.Deleted, false
	}
	return State{Value: v.Leaves[v.Winner].Value, Origin: v.Version}, false, true
}

// merged is the state that is shown, if it is another than the winner's.
func (o *Object) merged() *State {
	if len(o.Pending) == 0 {
		return o.State
	}
	return o.Shown
}

// SetState gives the confirmed layer a state; what its only leaf says is left out.
func (o *Object) SetState(s State) {
	o.State = &s
	if len(o.Confirmed) == 1 && o.Confirmed[0].says(&s) {
		o.State = nil
	}
}

func (l *Leaf) says(s *State) bool {
	return !l.Deleted && s.Origin == l.Version && len(s.Marks) == 0 && bytes.Equal(s.Value, l.Value)
}

// Disown takes a version out of the device's unsent ones, and says whether it was the first; the shown state is the caller's to make
// anew.
func (o *Object) Disown(v change.Version) (was, first bool) {
	i := slices.Index(o.Own, v)
	if i < 0 {
		return false, false
	}
	o.Own = slices.Delete(o.Own, i, i+1)
	if len(o.Own) == 0 {
		o.Shown = nil
	}
	return true, i == 0
}

// from is what the row says of where a state's value stands: 0 for the state itself, else 1 + the index of the first leaf that wrote the
// same, of the first n confirmed ones and then of pending ones.
func (o *Object) from(s *State, shown bool) int {
	for i := range o.Confirmed {
		if l := &o.Confirmed[i]; !l.Deleted && bytes.Equal(l.Value, s.Value) {
			return 1 + i
		}
	}
	for i := range o.Pending {
		if p := &o.Pending[i]; shown && !p.Deleted && bytes.Equal(p.Value, s.Value) {
			return 1 + len(o.Confirmed) + i
		}
	}
	return 0
}

// valueAt is the value that from names; false where it names none.
func (o *Object) valueAt(from int, shown bool) ([]byte, bool) {
	i := from - 1
	if i < len(o.Confirmed) {
		return o.Confirmed[i].Value, !o.Confirmed[i].Deleted
	}
	if i -= len(o.Confirmed); shown && i < len(o.Pending) {
		return o.Pending[i].Value, !o.Pending[i].Deleted
	}
	return nil, false
}
