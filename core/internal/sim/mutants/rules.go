package mutants

// What merges by fields. These are looked for in histories that have rules.
var rules = []Mutant{
	{
		Ruled:  true,
		Name:   "rules: delta lost",
		File:   "core/merging.go",
		Old:    `			o.SetState(rowState(rules.Apply(before, merge.Write{Version: v.Version, Changes: m.Changes, Value: m.Value})))`,
		New:    `			o.SetState(rowState(rules.Apply(before, merge.Write{Version: v.Version, Value: m.Value})))`,
		Breaks: "of two who add, the later one sets what he wrote",
		Rule:   "field rules: the value is a fold in the order of the feed",
	},
	{
		Ruled: true,
		Name:  "rules: applied twice",
		File:  "core/merging.go",
		Old:   `			o.SetState(rowState(rules.Apply(before, merge.Write{Version: v.Version, Changes: m.Changes, Value: m.Value})))`,
		New: `			twice := merge.Write{Version: v.Version, Changes: m.Changes, Value: m.Value}
			o.SetState(rowState(rules.Apply(rules.Apply(before, twice), twice)))`,
		Breaks: "what is added counts double",
		Rule:   "field rules: the value is a fold in the order of the feed; promise 4",
	},
	{
		Ruled:  true,
		Name:   "rules: own mutations folded in the wrong order",
		File:   "core/merging.go",
		Old:    `	for _, v := range o.Own {`,
		New:    `	for _, v := range slices.Backward(o.Own) {`,
		Breaks: "of what a device has on top, the last written is folded first",
		Rule:   "two layers",
	},
	{
		Ruled:  true,
		Name:   "rules: an older version counts",
		File:   "core/rules.go",
		Old:    `		if n.rules.Version < was.rules.Version || n.rules.Version == was.rules.Version && !n.leaf.Beats(was.leaf) {`,
		New:    `		if n.leaf.Version == was.leaf.Version {`,
		Breaks: "rules that an offline device brings late take the place of higher ones",
		Rule:   "field rules: the highest version counts",
	},
	{
		Ruled:  true,
		Name:   "rules: what is unsent stays under the old ones",
		File:   "core/rules.go",
		Old:    `	return f.rerule(changed)`,
		New:    `	return nil`,
		Breaks: "own mutations are shown as the rules had them that were in force when they were written",
		Rule:   "promise 3; the rule in force is the one at that place of the feed",
	},
	{
		Ruled: true,
		Name:  "rules: what comes is not folded under what is unsent",
		File:  "core/merging.go",
		Old: `	return f.reshowSoon(m.Key)
}`,
		New: `	return false, nil
}`,
		Breaks: "what others add is not shown until own mutations are confirmed",
		Rule:   "promise 3; two layers",
	},
	{
		Ruled:  true,
		Name:   "rules: what was refused stays in the sum",
		Rare:   "more than 100",
		File:   "core/fold.go",
		Old:    `		put, err := f.reshowSoon(m.Key)`,
		New:    `		put, err := false, error(nil)`,
		Breaks: "what the hub refused is still shown in what was written on top of it",
		Rule:   "refusals",
	},
	{
		Ruled:  true,
		Name:   "rules: re-entry without new names in changes",
		File:   "core/settle.go",
		Old:    `		renameChanges(b, a.Map)`,
		New:    `		_ = renameChanges`,
		Breaks: "who takes away what he added himself takes nothing away, once he has another name",
		Rule:   "a re-entry maps all names",
	},
	{
		Ruled: true,
		Name:  "rules: loss: the rules stay",
		File:  "core/rewind.go",
		Old: `		f.head.rules = rules
	}`,
		New: `		_ = rules
	}`,
		Breaks: "a device that goes back before rules has them in force",
		Rule:   "loss at the hub; promise 3",
	},
	{
		Ruled:  true,
		Name:   "rules: replay loses what was unsent before a re-entry",
		Rare:   "more than 250",
		File:   "core/merging.go",
		Old:    `	if f.head.rulesOf(k.Collection).Merges() && !slices.Contains(o.Own, v) {`,
		New:    `	if f.ctx == nil {`,
		Breaks: "a device that took a new id shows another value after a crash",
		Rule:   "promise 1",
	},
}
