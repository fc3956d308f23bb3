package mutants

// What a hub lost, and how it comes back.
var loss = []Mutant{
	{
		Name:   "loss: nothing taken back",
		File:   "core/handback.go",
		Old:    `	return true, r.place(s, e, b)`,
		New:    `	return false, nil`,
		Breaks: "what devices hand back to a hub that lost it is not taken",
		Rule:   "loss at the hub; promise 5",
	},
	{
		Name:   "loss: taken back twice",
		File:   "core/handback.go",
		Old:    `		if err != nil || have.IsZero() || have == e.Hash {`,
		New:    `		if err != nil || have.IsZero() {`,
		Breaks: "what the hub has is taken once more, under another name",
		Rule:   "loss at the hub; promise 4",
	},
	{
		Name:   "loss: refusals not taken back",
		File:   "core/handback.go",
		Old:    `		return r.takeVoidBack(s, e, rec)`,
		New:    `		return false, nil`,
		Breaks: "a refusal is forgotten, and what its device wrote after it does not follow",
		Rule:   "loss at the hub; refusals",
	},
	{
		Name:   "loss: gone back one place too little",
		File:   "core/rewind.go",
		Old:    `	g.gone = addRewind(g.gone, rewind{s.state.commit + 1, m.Seq})`,
		New:    `	g.gone = addRewind(g.gone, rewind{s.state.commit + 1, m.Seq + 1})`,
		Breaks: "the first entry behind the fork stays in the rows of a device that goes back",
		Rule:   "loss at the hub; promise 3",
	},
	{
		Name: "loss: own batches stay confirmed",
		File: "core/replay.go",
		Old: `	case changelog.ItemConfirm:
		if f.isLeft(it) {`,
		New: `	case changelog.ItemConfirm:
		if f.isLeft(it) && f.ctx == nil {`,
		Breaks: "a device that goes back keeps own batches as confirmed, which the feed has not",
		Rule:   "loss at the hub; two layers",
	},
	{
		Name:   "loss: watchers not told of it",
		File:   "core/watch.go",
		Old:    `			if rewound(&recs[i]) || reshown(&recs[i]) {`,
		New:    `			if reshown(&recs[i]) {`,
		Breaks: "what a device leaves when it goes back stays in what its watchers have built",
		Rule:   "watch markers",
	},
	{
		Name:   "loss: what was left before forgotten",
		File:   "core/stretch.go",
		Old:    `			return b, b.leftBefore(ctx, r, s, seq)`,
		New:    `			return b, nil`,
		Breaks: "a device that goes back twice no longer knows what it left the first time, and shows it beside what was written over it",
		Rule:   "loss at the hub; two layers",
	},
	{
		Name:   "loss: refused batch awaited",
		File:   "core/rewind.go",
		Old:    `		if refused[v] {`,
		New:    `		if refused[v] && o.IsEmpty() {`,
		Breaks: "a device that goes back awaits a batch of a former id that was refused, and shows what it had replaced",
		Rule:   "loss at the hub; refusals",
	},
	{
		Name:   "loss: dismissed refusal shown again",
		File:   "core/rewind.go",
		Old:    `	g.left, g.without = b.left, b.gone`,
		New:    `	g.left = b.left`,
		Breaks: "a device that goes back shows a batch again whose refusal was dismissed, until it is refused once more",
		Rule:   "loss at the hub; refusals",
	},
	{
		Name:   "loss: asked again for what came back",
		File:   "edge/accept.go",
		Old:    `	c.last = max(c.last, c.ownSent) // others hand back what this device has written`,
		New:    ``,
		Breaks: "the hub asks a device for what another has handed back, which the device takes for a fault",
		Rule:   "PROTOCOL 9, resend",
	},
}
