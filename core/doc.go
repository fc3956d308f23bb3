// Package core is the replica: it writes batches, keeps their history, takes a hub's feed up, and, at the hub, gives batches their
// order. It does no IO but through a store.Store, and asks no clock but the one it is given.
//
// A write:
//
//	Put, Delete, Write ─▶ form ─▶ commit ─▶ changelog ─▶ Store.Commit ─▶ confirm ─▶ watchers, OnUnsent
//	                       └───────────────▶ objects, devices (memory; pages at the next checkpoint)
//
// The feed:
//
//	Apply ─▶ read ─▶ check ─▶ graft ─▶ changelog ─▶ Store.Commit ─▶ watchers, WaitSynced
//	                           └─────▶ objects, devices             (the marker stands in the same commit)
//
// At the hub:
//
//	Accept ─▶ judge ─▶ place ─▶ changelog ─▶ Store.Commit ─▶ verdicts, OnFeed
//	WriteAs ─▶ form ──┘
//
// Field rules (package merge), where a collection has them:
//
//	SetRules ─▶ feed ─▶ rules in force ─▶ writes carry what they changed ─▶ rows: state of the feed, state shown
//
// Where a hub has lost entries:
//
//	device: Trail ─▶ Applied ─▶ handed back ─▶ GoBack        hub: Locate ─▶ TakeBack ─▶ place ─▶ the feed
//
// Requests wait in one queue; one commit is in flight, and what comes meanwhile forms the next. A request that cannot be formed
// fails alone; a group that the store refuses is tried one by one. Nothing is visible before it is stored.
//
// What is stored, by the first byte of the row's key:
//
//	'S'  superblock, twice: identity, and the place in the log from which replay begins
//	'L'  log segments: every commit, whole batches in the order of arrival (package changelog)
//	'M'  summaries of segments: which commits, sequences and versions they hold
//	'P'  pages of the tables objects, devices, voids, problems, settled (package pages), current up to the stamp they carry
//	'O'  what is too large for a page
//	'Q'  quarantine: damaged rows as they were found, before they were replaced
//
// Damage is mended at the smallest scope. Pages, large values and summaries are built anew from the log when they are met, one
// superblock from the other, both from the log; what a row held before is in quarantine, and listed. Where the log itself has lost a segment,
// a device says in it anew what its tables hold (base.go), and a hub, whose log is the feed, fills the hole from what they hold (fill.go); what
// they do not hold yet is cut out, and what is behind it goes on (rejoin.go). Check holds everything against everything, Repair mends
// what it finds, Config.Repair what stands in the way of opening.
//
// The steps, by file: write, nonces, commit, fold, rules, merging, apply, settle, rewind (device), accept, trial, service, feed,
// handback (hub), read, watch, conflicts, history, blame, undo, past, refused, check.
package core
