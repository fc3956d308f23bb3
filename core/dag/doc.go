// Package dag walks the graph of an object's versions: each version names its parents, the versions
// that it replaces; those that none replaces are the leaves, together the frontier.
//
//	a1 ◀─ a2 ◀──── b3        frontier {b3}: one leaf
//
//	a1 ◀─ a2                 frontier {a2, b1}: a fork; merge base a1
//	 ▲
//	 └─── b1
//
//	a1 ◀─ a2 ◀──── a3        a3 names both: the fork is closed, frontier {a3}
//	 ▲             │
//	 └─── b1 ◀─────┘
//
// The graph has no rows of its own. Its nodes are the records of the log, found by a Lookup that the
// caller gives; history ends where records were dropped (the floor), and that is no error.
//
//	graft      frontier' = (frontier − parents) ∪ {version}; no walk is needed. Package objects does it, and says a Result
//	Walk       each ancestor once, newest first: history
//	MergeBase  what conflicts ask
//	Ranked     walks whose parents have a place that their children's log does not tell
//
// A node's position is its place in this replica's log. Parents arrive before their children, so
// positions fall along every edge: a heap on the position visits all children of a version before the
// version itself. Nothing that was visited has to be remembered, only what waits in the heap: memory
// follows the width of the graph, not its length. A record that breaks this order is damage, reported
// as an *OrderError, so that no walk runs in circles.
//
// No walk ever decides a value: that is done by the fold in feed order (package objects).
package dag
