package mutants

// What mutants have to break, so that each of it is shown to be held by something.

// defects is how many defects of an earlier store of this kind could come back; core/scenario/INDEX.txt lists them. Its twelfth is what
// that store left out.
const defects = 11

// notYet are the defects that nothing can have yet.
var notYet = map[int]string{
	5: "bootstrap after history was dropped: none is dropped yet, and no device begins with pages; with retention",
	9: "a dead device that holds retention up: there is none, and there are no leases; with retention",
}

// held are the rules, as mutants name them.
var held = []string{
	"promise 1", "promise 2", "promise 3", "promise 4", "promise 5", "promise 6", "promise 7",

	// How data flows.
	"saved before told",
	"the hub orders, parents tell conflicts",
	"parents arrive before children",
	"the value is a fold in the order of the feed",
	"field rules: the value is a fold in the order of the feed",
	"field rules: the highest version counts",
	"the rule in force is the one at that place of the feed",
	"any number of leaves is legal",
	"leaves with equal values are no conflict",
	"a resolution is a version whose parents are all leaves",
	"a deletion is a version like any other",
	"effective stamp",
	"times of acceptance do not go back",
	"two layers",
	"layers go forward only",
	"what the caller saw",
	"nonces",
	"refusals",
	"a generation names one batch",
	"generations have no gaps",
	"hashes hold batches and feed together",
	"a device id is of one replica",
	"a re-entry maps all names",
	"a re-entry is one commit",
	"loss at the hub",
	"unknown places do not loop",
	"what is at or below the marker is passed over",
	"the stream has no gaps",
	"the hub commits to the disk before it answers",
	"what a peer did wrong is an error",
	"watch markers",

	// How it is stored.
	"data and marker are one commit",
	"one commit is in flight",
	"after an error nothing has changed",
	"a refused group is tried again one write at a time",
	"one writer: an engine rewrites nothing of the one before it",
	"superblock: what it counts is stored",
	"all tables are of one checkpoint",
	"checksums",
	"quarantine and repair",
	"summaries say where a version's record is",
	"a long value spans rows, in one transaction",

	"PROTOCOL 9, resend",
	"PROTOCOL 11, applied when whole",
	"PROTOCOL 12, credit",
	"PROTOCOL 13, dead sockets are found within 30 s",
	"PROTOCOL 14, one connection of a device",
}

// unheld are rules that the simulation cannot show to be broken, with what holds them instead.
var unheld = map[string]string{
	"keep":                       "no collection of the simulation is under it: core.TestKeepKeepsAllSides, and tests of conflicts",
	"held queues":                "the simulated hub asks for no token and knows no rates: edge's tests",
	"batches that kill engines":  "simulated engines die by their stores alone: core.TestABatchThatKillsHubs, core/watcher's tests",
	"lineage and subject":        "there is one hub, and nobody signs in: the script another_hub, core.TestClaim, core/watcher.TestRealSubjects",
	"the tail is read again":     "a simulated connection to a store that is lost does not come back: wasm/idb.TestConnectionEndsInACommit and its like",
	"rows of 60,000 bytes":       "stores refuse larger ones in their conformance suite",
	"partial batches":            "no hub sends any yet",
	"retention, floor, leases":   "not built yet",
	"a device begins with pages": "not built yet",
}
