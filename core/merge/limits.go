package merge

import "vsync/core/change"

// Every limit of merging, each with its reason. What is beyond one is never refused by Apply, which must go on: the value that the
// writer wrote stands there whole.
const (
	// MaxRules is the largest encoded rules object in bytes: it is read whenever an engine opens a collection.
	MaxRules = 32 << 10

	// MaxPaths bounds the paths that rules name: each path of a written value is held against them one by one.
	MaxPaths = 128

	// MaxIndexes bounds the indexed paths, which rules carry and this package does not look at.
	MaxIndexes = 64

	// MaxPathBytes is the longest pattern as text.
	MaxPathBytes = 512

	// MaxChanges is the largest encoding of a mutation's changes; Diff gives none where they would be larger.
	MaxChanges = change.MaxValue

	// MaxOps bounds the paths that one mutation changes, 8 MB or so while they are applied; Diff gives none for more.
	MaxOps = 1 << 16

	// MaxDots bounds the additions of one member of a set that stand beside each other. Each comes from a writer who did not
	// see the others, so there are no more than an object has leaves; the lowest fall out first.
	MaxDots = change.MaxParents

	// MaxRuns bounds the runs that a text's bytes come from, about 100 KB of marks. A text beyond it is taken for
	// written anew by the mutation that passed it; edits of those who have not seen that one then only add.
	MaxRuns = 1 << 14

	// MaxPlace bounds the places in the text that one version wrote, and behind it those of a text that is taken for written anew.
	MaxPlace = 2*change.MaxValue + 1

	// MaxInserts bounds the places at which one mutation adds to a text: each is looked for in it. Diff takes what has more differences
	// for one.
	MaxInserts = 1 << 10

	// maxDifferences is how many units that only one of two texts has the search finds the fewest of.
	maxDifferences = 100

	// maxStretches bounds how often the search goes on behind so many.
	maxStretches = 16

	// anchors bounds the places to the left that an insertion names, at distances 1, 2, 4, 8, 16, 32 lines or characters, or the
	// first of all if that is nearer: where all between were removed by others, it lands near.
	anchors = 6
)
