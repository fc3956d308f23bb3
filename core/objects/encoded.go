package objects

import (
	"sync"

	"vsync/core/change"
	"vsync/core/dag"
)

// The functions below are the steps of an Object from bytes to bytes, as a replica that applies a feed
// takes them for each mutation. Beside the new bytes they allocate nothing, but what a list of parents
// may need. old is nil where there is no row; it is read and never changed.

// benches hold Objects to work on, whose lists are used again. The collector empties it.
var benches = sync.Pool{New: func() any { return new(Object) }}

// take returns an Object that holds the row; put it back after use.
func take(row []byte) (*Object, error) {
	o := benches.Get().(*Object)
	if err := o.Load(row); err != nil {
		put(o)
		return nil, err
	}
	return o, nil
}

// put gives an Object back, without holding on to the bytes of its row.
func put(o *Object) {
	clear(o.Confirmed[:cap(o.Confirmed)])
	clear(o.Pending[:cap(o.Pending)])
	if cap(o.Pending) <= MaxLeaves {
		benches.Put(o)
	}
}

// GraftEncoded is Graft. Where the result is Known and old had nothing of it pending, old comes back.
func GraftEncoded(old []byte, v Leaf, parents []change.Version) ([]byte, dag.Result, error) {
	o, err := take(old)
	if err != nil {
		return old, 0, err
	}
	defer put(o)
	before := len(o.Pending)
	result := o.Graft(v, parents)
	if result == dag.Known && len(o.Pending) == before {
		return old, result, nil
	}
	return o.Encode(), result, nil
}

// ConfirmEncoded is Confirm. Where it gives false, old comes back.
func ConfirmEncoded(old []byte, v change.Version, stamp, accepted uint64, parents []change.Version) ([]byte, dag.Result, bool, error) {
	o, err := take(old)
	if err != nil {
		return old, 0, false, err
	}
	defer put(o)
	result, was := o.Confirm(v, stamp, accepted, parents)
	if !was {
		return old, 0, false, nil
	}
	return o.Encode(), result, true, nil
}

// AddPendingEncoded is AddPending.
func AddPendingEncoded(old []byte, p Pending) ([]byte, error) {
	o, err := take(old)
	if err != nil {
		return old, err
	}
	defer put(o)
	o.AddPending(p)
	return o.Encode(), nil
}
