package objects

import (
	"vsync/core/change"
	"vsync/core/dag"
)

// The functions below are the steps of an Object from bytes to bytes, as a replica that applies a feed
// takes them for each mutation. For small objects the new bytes are all that they allocate. old is nil
// where there is no row; it is read and never changed.

// scratch is room for most objects without the heap.
type scratch struct {
	confirmed [4]Leaf
	pending   [3]Pending
	parents   [8]change.Version
}

func (s *scratch) object() Object {
	return Object{Confirmed: s.confirmed[:0], Pending: s.pending[:0], arena: s.parents[:0]}
}

// GraftEncoded is Graft. Where the result is Known and old had nothing of it pending, old comes back.
func GraftEncoded(old []byte, v Leaf, parents []change.Version) ([]byte, dag.Result, error) {
	var s scratch
	o := s.object()
	if err := o.loadRow(old); err != nil {
		return old, 0, err
	}
	before := len(o.Pending)
	result := o.Graft(v, parents)
	if result == dag.Known && len(o.Pending) == before {
		return old, result, nil
	}
	return o.Encode(), result, nil
}

// ConfirmEncoded is Confirm. Where it gives false, old comes back.
func ConfirmEncoded(old []byte, v change.Version, stamp, accepted uint64, parents []change.Version) ([]byte, dag.Result, bool, error) {
	var s scratch
	o := s.object()
	if err := o.loadRow(old); err != nil {
		return old, 0, false, err
	}
	result, was := o.Confirm(v, stamp, accepted, parents)
	if !was {
		return old, 0, false, nil
	}
	return o.Encode(), result, true, nil
}

// AddPendingEncoded is AddPending.
func AddPendingEncoded(old []byte, p Pending) ([]byte, error) {
	var s scratch
	o := s.object()
	if err := o.loadRow(old); err != nil {
		return old, err
	}
	o.AddPending(p)
	return o.Encode(), nil
}

func (o *Object) loadRow(row []byte) error {
	if row == nil {
		return nil
	}
	return o.Load(row)
}
