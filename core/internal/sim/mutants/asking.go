package mutants

// What applications ask for: to write over what they have seen, on conditions, once; and to end a conflict.
var asking = []Mutant{
	{
		Name:   "what was seen ignored",
		File:   "core/write.go",
		Old:    `	if op.Seen == nil || err != nil {`,
		New:    `	if op.Seen == nil || err != nil || op.Key.Collection != "" {`,
		Breaks: "a write replaces what is there, and not what its writer has seen",
		Rule:   "what the caller saw",
	},
	{
		Name:   "condition of a write ignored",
		File:   "core/write.go",
		Old:    `		if err := s.check(&w.Checks[i]); err != nil {`,
		New:    `		if err := s.check(&w.Checks[i]); err != nil && err != ErrChanged {`,
		Breaks: "an update goes through, though the object was written since it was read",
		Rule:   "what the caller saw",
	},
	{
		Name:   "asked again, written again",
		File:   "core/write.go",
		Old:    `	if v, ok, err := r.written(s, w.Nonce); ok || err != nil {`,
		New:    `	if v, ok, err := r.written(s, change.Nonce{}); ok || err != nil {`,
		Breaks: "a tab that asks the next engine again for what was not answered has its write twice",
		Rule:   "promise 4; nonces",
	},
	{
		Name: "tabs' numbers forgotten by a crash",
		File: "core/fold.go",
		Old: `		f.head.wrote(b.Nonce, b.Version())
	}
	return turns, err`,
		New: `		if _, live := f.rows.(*stage); live {
			f.head.wrote(b.Nonce, b.Version())
		}
	}
	return turns, err`,
		Breaks: "after a crash, what a tab asks again for is written again",
		Rule:   "promise 4; nonces",
	},
	{
		Name:   "equal values taken for a conflict",
		File:   "core/objects/view.go",
		Old:    `		v.Conflict = v.Conflict || !leaves[i].Same(leaves[0])`,
		New:    `		v.Conflict = v.Conflict || i > 0`,
		Breaks: "two who write or delete the same have a conflict that nobody sees",
		Rule:   "leaves with equal values are no conflict",
	},
	{
		Name:   "third leaf dropped",
		Defect: 6,
		File:   "core/objects/object.go",
		Old:    `	for len(leaves) > MaxLeaves {`,
		New:    `	for len(leaves) > 2 {`,
		Breaks: "of three who write at once, one is gone",
		Rule:   "any number of leaves is legal; promise 5",
	},
	{
		Name:   "conflict ended on one side only",
		Defect: 7,
		File:   "core/conflicts.go",
		Old: `	out := make([]change.Version, len(c.Sides))
	for i := range c.Sides {`,
		New: `	out := make([]change.Version, 1)
	for i := range c.Sides[:1] {`,
		Breaks: "what ends a conflict replaces the side that was picked, and not the others, so that devices that pick differently go on doing so",
		Rule:   "a resolution is a version whose parents are all leaves",
	},
}
