// Package merge holds field rules: what a writer changed, as bytes within his mutation, and the value that changes fold to.
// It does no IO, keeps nothing, and knows no replica.
//
//	writer    seen, new value ── Diff ──▶ changes ──▶ in the mutation, beside the value
//	feed      state, changes  ── Apply ─▶ state, in the order of the feed: the confirmed layer
//	shown     that state, and the device's own unsent mutations applied on top, in the order of writing
//
// # Rules
//
// The rules of a collection are an object of the system's collection change.RulesCollection; its id is the collection's name. Its value
// is canonical msgpack, fields in this order, paths by their bytes; Parse also takes other orders, and names without "@1", as
// applications write them, and leaves out fields that it does not know:
//
//	{ version:  1 … 2^53-1
//	  conflict: "latest" | "keep" | { path: "latest" | "counter@1" | "set@1" | "text@1" | "max@1" | "min@1" }
//	  indexes:  [path …]                      left out where there are none }
//
// A path is keys with dots between them; \ before a dot, a star or a backslash makes it a letter of a key. A star stands for
// any key; at the end, for all that is there and below: "*" is for the rest, a root that is no map too. Of
// several paths that fit, the first difference from the left decides: a key comes before a star, a path that ends there before one that
// ends in a star. A path without a star at its end takes the value there whole, a map too, and a path below it is refused.
// Where none fits, it is "latest". Maps are looked into, lists are not: a list is one value.
//
//	a.b            a.*.n            a.*            *
//	{a:{b:1}}      {a:{x:{n:1}}}    {a:{x:1}}      {c:{d:1}}      what each of the four is the rule for
//
// A rules object is itself folded by one rule, of any collection's: the highest version counts, of equals the winner rule's choice. The
// rules in force at a place of the feed are what that object shows in the confirmed layer before the batch there; what a batch says
// of rules it says first. A change of rules changes no object: what is shown stays, and the next mutation is folded by the new rules.
//
// # Functions
//
//	latest     what comes last in the feed, at this path
//	counter@1  numbers. A change is old and new; what is there gets new − old. Integers are exact within -2^63 … 2^64-1 and stop
//	           at the borders; as soon as a float takes part the sum is a float64, rounded in the order of the feed
//	set@1      lists, each member once, equal by canonical bytes, so fields of maps in it in the same order. Order: as the list was,
//	           then as added in the order of the feed. Removed is what the writer knew to have been added, nothing else
//	text@1     strings. Lines come and go; between two texts of one line, characters do
//	max@1      the larger, by the order nil < bool < number < string < bytes < time < list < map; min@1 the smaller. One who sets
//	           back what he saw sets it back if nobody has gone further since
//
// An op at a path that holds something of another shape, or nothing, does this: a counter becomes what was written; members
// and lines are added to nothing; only taking away is without effect. A path through something that is no map makes it one. Who
// takes away a number that is not what he saw any more, takes nothing away; of sets and texts he takes away what he saw. A map that
// is removed loses the fields that its remover saw, and goes if it is empty then.
//
// # What is promised
//
// For any order of the feed, any parents, any refusals, at every replica, whatever history it holds:
//
//	sum      a counter is what it was at its origin plus all differences of mutations that were not refused
//	set      a member is there if one added it whom nobody removed who had it in view
//	text     the same for each line, while texts of two lines or more are changed: a line stays whole, between lines; lines that
//	         stand in one order never change it. What one writes at a place comes after what came to that place before
//	         The same for each character of texts of one line. Where lines and characters are changed at once, a line of
//	         which characters are left keeps its end
//	shown    what a device shows with its own on top is, byte for byte, what the feed gives when it has passed them
//	writer   who reads what he wrote reads it, but for the order of fields and members
//
// "In view": a removal takes the additions that its writer's replica showed. What an own mutation had removed before, which is then
// refused, comes back.
//
// How lines are matched is the writer's business alone, and may change: his changes name bytes. What Apply does is text@1 and stays as
// it is.
//
// # Who brought what
//
// Sets and texts cannot keep their promise from values alone. So a state has, beside the value:
//
//	origin   the version that brought all that no mark names: member by member, byte by byte
//	marks    for each path where that is not so: of a set, per member the versions that added it, each unseen by the others;
//	         of a text, per byte the version and the place in the text that it wrote, in runs: a byte has that name too where
//	         the write counts as a whole, since what it had changed was refused, or other rules are in force
//
// A removal names these versions, a deletion of text these bytes, an insertion its neighbours. So a text is edited as a text
// of lines that all end in a line feed, the last one too; the value leaves that one out.
//
//	marks    = n, n × version, n, n × entry      ascending by path; uvarints; nothing at all where n is 0
//	version  = index of its device [device 16, where that is a new one], gen
//	entry    = keys n, n × (length, key)
//	           2 × runs, runs × (index of version, start, length ≥ 1)
//	         | 2 × groups + 1, groups × (members ≥ 1, n, n × index of version)
//
// Versions stand in the order of their first use. Marks of a text cost about 20 bytes for its first foreign version and 3 for each
// further run, those of a set 20 and 3 a group. What one version wrote at once is one run.
//
// # Changes
//
// The changes of a mutation are a value in canonical msgpack, where core/change has room for one: bit 2 of a mutation's kind, then
// length and value, before the mutation's own value. The body's hash, and with it the chain, covers them. An engine older than
// this package checks that they are canonical and folds by latest.
//
//	changes  = 0                                 the writer saw nothing: all that he wrote is his
//	         | [1, [op …]]                       ops ascending by path, each path once
//	         | [1, [op …], devices, versions]    bytes, 16 a device; [index of device, gen …], in the order of first use
//	op       = [0, path, value]                  assign; at most 64 keys, 65,536 ops, 1 MiB
//	         | [1, path]                         remove
//	         | [2, path]                         a map, if there is none
//	         | [3, path]                         after all ops below: the map goes, if it is empty
//	         | [4, path, old, new]               counter@1; nil is none, as below
//	         | [5, path, old, new]               max@1
//	         | [6, path, old, new]               min@1
//	         | [7, path, [member …], [[member, version …] …], true?]
//	                                             set@1: added, removed; true: nothing is left, not even []
//	         | [8, path, [version, start, length …], [[text, at, version | nil, start?, version, start …] …], true?]
//	                                             text@1: deleted; inserted, at a place of the text as it was written: before the
//	                                             first neighbour, or after the nearest of the others that is there, or at the end
//	path     = [key …]                           from the root, [] itself
//
// A mutation without changes, and one whose changes Apply cannot read (another format than 1), counts as a whole: it sets the value.
// An op with another code, or of another function than the rule in force has at its path, assigns what the mutation's value
// has there. So a mutation that was written under older rules counts for what the rules in force can take of it.
//
// # Attack on the fold
//
// One could say: a mutation that replaces the whole frontier sets the value, one that leaves a fork is folded in. Histories in which
// that fails, and what is done instead. a1 is a version, a1+1 one that adds 1 to a counter, feeds are read from the left.
//
//	refused   feed x1(n=0), void of a1+10, a2+1. a2's effective parents are x1, which is the whole frontier: n would be set to 11,
//	          and a3+1, which knows a2 as its parent and was written before the refusal was known, would set 12. Wanted: 1, 2.
//	          → The value is never set because of parents. Apply goes by changes alone, always. Where all was seen that gives what was
//	          written. Parents decide leaves, conflicts and deletion, nothing else.
//	set       feed x1{}, a1 adds x, b1 adds x, a2 (which saw a1 only) removes x. By members alone x is gone, though nobody who knew of
//	          b1's addition removed it. A count for each member does not help: two who remove the same addition count twice.
//	          → Marks.
//	text      feed x1("1 _ 3 _ 5"), a1 and b1 both remove the first empty line. By content b1 would take the second. → Marks.
//	twice     both remove a counter that stood at 5: a sum would be -5. → Removal only of what was seen, unchanged.
//	pending   own a1 sets t from p to q, a2 back to p; foreign b1 has set it to r. A pending layer that keeps one difference for the
//	          two says r, the feed says p. → Own unsent mutations are applied one by one, not composed.
//	criss     both add, both see both, both add again: the fold adds four times. Two removals, a member removed and added across: as
//	          promised. Holds.
//	pages     a state is value, origin and marks; a device that has nothing else goes on as one that saw all. Holds.
//	rules     raised between a write and its place in the feed: see Changes; between two that differ: what was merged stays.
//
//	deleted   feed x1("1 2"), a1 deletes, b1 adds a line, b2 removes line 1 (both had not seen a1). With a1 the value goes, and what
//	          b2 names is nowhere. → A deleted object keeps its state as long as its row, and an update that has not seen the deletion
//	          goes on with it, in this order as in the other. One that has seen it begins another life.
//
// What stays: where the creation of an object was refused, or its row is gone after a deletion, there is no value to apply changes to.
// Then the next mutation brings the value as its writer wrote it, a whole document: effects of an earlier one of his that was refused
// are in it, and what later ones of his take away by other names stays.
//
// # How a replica uses it
//
// Fold of a mutation v with the parents in force, into a layer (leaves, state), under the rules in force:
//
//	leaves' = (leaves − parents) ∪ {v}, as always, at most 64
//	put     Fields   state' = Apply(state, v)
//	        Latest, Keep, Unknown   state' = none: the winner's value is shown
//	delete  state' = state: an update beats a concurrent deletion. Deleted' where all leaves' are deleted: nothing is shown
//
// A layer without a state has that of its winner: its value, its version as origin, no marks; if it is deleted, none. Sides of
// a conflict are the leaves with what each wrote. Which leaf falls out beyond 64 changes no value.
//
//	writing      Diff(seen, shown state, value), by the rules in force, not by own ones that were not sent: changes name versions in
//	             the state, so those made by other rules could name what is no mark at the hub. What is written before the first
//	             rules are in force counts as a whole. Seen is what is shown for update, tx.get and a plain put; for an explicit
//	             version other than the frontier, what that version wrote, from the log, or the shown value if it is gone
//	own on top   the row has the shown state. Own mutations are applied to it as they are written. When the feed passes the oldest
//	             of them the confirmed state gets it and the shown one stays ("shown" above). When the feed brings a
//	             foreign mutation of the object, a void, or other rules, the shown state is made anew, at the end of the commit
//	             if there are many: the confirmed one, and the own unsent mutations of this object, read from the log, which
//	             holds them until they are sent
//	re-entry     Rename on each rewritten mutation; shown states of their objects are made anew
//	hub          Check on each mutation's changes, Parse on each put to the rules: INVALID, and void
//	unknown      Rules.Unknown is not empty: the collection folds as Latest, states stay in rows as they are, and a problem is listed.
//	             What such an engine writes assigns the paths that it changed. One that knows more builds the states anew, from
//	             the log or from the hub's pages
//	watchers     what is shown may be no version's own value: then a turn carries it
//	retention    a tombstone's row has the state, until the tombstone goes
//
// Bytes, in what exists: the object's row (package objects) has the two states and the names of the device's unsent mutations of it; a
// confirmed state that is its only leaf's value, from that leaf, without marks, is left out: nearly every object. That the object is
// deleted is seen by its leaves. Turn (core/fold.go): flags bit 2, and at its end length and value. The rules in force stand in the
// superblock, and in each rewind (core/rules.go).
package merge
