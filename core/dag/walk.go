package dag

import (
	"context"

	"vsync/core/change"
	"vsync/core/fmt"
)

// A Node is what the log knows of one version of one object.
type Node struct {
	Version  change.Version
	Parents  []change.Version // the versions that it replaces; not changed here
	Deleted  bool             // it is a deletion
	Position uint64           // its place in the log: above those of all its parents
}

// A Lookup finds the node of a version, of one object. False where its record is gone, or never came.
type Lookup func(ctx context.Context, v change.Version) (Node, bool, error)

// A Walked says how complete a walk was.
type Walked struct {
	Nodes   int              // visited
	Missing []change.Version // named, but their records are gone; at most MaxMissing, in the order of being met
	More    int              // how often further ones were named, which are not in Missing
}

// Walk visits the given versions and all their ancestors, each once, newest position first. History
// that is gone ends a branch and is said in what is returned. An error of visit ends the walk and is
// returned as it is; others are those of the lookup and of the context, ErrTooWide and *OrderError.
func Walk(ctx context.Context, lookup Lookup, from []change.Version, visit func(Node) error) (Walked, error) {
	w := walk[struct{}]{lookup: lookup, merge: func(a, _ struct{}) struct{} { return a }}
	for _, v := range from {
		if err := w.push(ctx, v, nil, struct{}{}); err != nil {
			return w.done, err
		}
	}
	for w.waiting() {
		n, _ := w.pop()
		if err := visit(n); err != nil {
			return w.done, err
		}
		if err := w.pushParents(ctx, n, struct{}{}); err != nil {
			return w.done, err
		}
	}
	return w.done, nil
}

// A walk goes through the graph from the newest position to the oldest. Each version that waits carries
// a mark; one that is reached again before it is visited gets the merge of both marks. After it was
// visited it cannot be reached again: all its children lie at higher positions.
type walk[M any] struct {
	lookup Lookup
	merge  func(a, b M) M
	heap   []Node // highest position first
	marks  map[change.Version]M
	gone   map[change.Version]M // what is missing, with its mark
	done   Walked
}

func (w *walk[M]) waiting() bool { return len(w.heap) > 0 }

// pushParents lets the parents of a node wait. The context is asked here, once a node.
func (w *walk[M]) pushParents(ctx context.Context, n Node, mark M) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, p := range n.Parents {
		if err := w.push(ctx, p, &n, mark); err != nil {
			return err
		}
	}
	return nil
}

// push lets a version wait that was named by child, or by the caller where child is nil.
func (w *walk[M]) push(ctx context.Context, v change.Version, child *Node, mark M) error {
	if had, waits := w.marks[v]; waits {
		w.marks[v] = w.merge(had, mark)
		return nil
	}
	if had, gone := w.gone[v]; gone {
		w.gone[v] = w.merge(had, mark)
		return nil
	}
	n, found, err := w.lookup(ctx, v)
	if err != nil {
		return err
	}
	if !found {
		w.miss(v, mark)
		return nil
	}
	if child != nil && n.Position >= child.Position {
		return &OrderError{Version: child.Version, Parent: v, Position: n.Position, Before: child.Position}
	}
	n.Version = v
	if len(w.heap) >= MaxWaiting {
		return fmt.Errorf("more than %d versions wait: %w", MaxWaiting, ErrTooWide)
	}
	if w.marks == nil {
		w.marks = map[change.Version]M{}
	}
	w.marks[v] = mark
	w.up(n)
	return nil
}

func (w *walk[M]) miss(v change.Version, mark M) {
	if len(w.done.Missing) == MaxMissing {
		w.done.More++
		return
	}
	if w.gone == nil {
		w.gone = map[change.Version]M{}
	}
	w.gone[v] = mark
	w.done.Missing = append(w.done.Missing, v)
}

// pop takes the newest waiting node and its mark.
func (w *walk[M]) pop() (Node, M) {
	n := w.heap[0]
	last := len(w.heap) - 1
	moved := w.heap[last]
	w.heap[last] = Node{}
	w.heap = w.heap[:last]
	if last > 0 {
		w.down(moved)
	}
	mark := w.marks[n.Version]
	delete(w.marks, n.Version)
	w.done.Nodes++
	return n, mark
}

// up puts a node at the end of the heap and lets it rise.
func (w *walk[M]) up(n Node) {
	w.heap = append(w.heap, n)
	i := len(w.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if w.heap[parent].Position >= n.Position {
			break
		}
		w.heap[i] = w.heap[parent]
		i = parent
	}
	w.heap[i] = n
}

// down puts a node at the top of the heap and lets it sink.
func (w *walk[M]) down(n Node) {
	i := 0
	for {
		child := 2*i + 1
		if child >= len(w.heap) {
			break
		}
		if child+1 < len(w.heap) && w.heap[child+1].Position > w.heap[child].Position {
			child++
		}
		if w.heap[child].Position <= n.Position {
			break
		}
		w.heap[i] = w.heap[child]
		i = child
	}
	w.heap[i] = n
}
