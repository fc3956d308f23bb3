package mutants

// Rows that are damaged, and input that makes no sense.
var harm = []Mutant{
	{
		Name:   "checksum of a page not looked at",
		File:   "core/pages/page.go",
		Old:    `	if len(row) >= 3 && len(b) >= pageLen && checksum(row, b[:len(b)-4])`,
		New:    `	if len(row) >= 3 && len(b) >= pageLen<<20 && checksum(row, b[:len(b)-4])`,
		Breaks: "a damaged page is believed",
		Rule:   "checksums; promise 7",
	},
	{
		Name:   "checksum of a record not looked at",
		File:   "core/changelog/segment.go",
		Old:    `	if recordSum(name.Incarnation, commit, body) != binary.LittleEndian.Uint32(b[w:]) {`,
		New:    `	if n > recordMax && recordSum(name.Incarnation, commit, body) != binary.LittleEndian.Uint32(b[w:]) {`,
		Breaks: "a damaged record of the log is believed",
		Rule:   "checksums; promise 7",
	},
	{
		Name: "damaged page read as empty",
		File: "core/quarantine.go",
		Old: `	rows, _, err := g.run(ctx)
	return rows, err`,
		New: `	_, _, err := g.run(ctx)
	return nil, err`,
		Breaks: "in place of a damaged page stands none, and not what the log has of it",
		Rule:   "quarantine and repair; promise 7",
	},
	{
		Name: "damaged row not set aside",
		File: "core/quarantine.go",
		Old: `	putAside(tx, quarantined{inc: r.inc, number: r.harm.number(), Finding: Finding{Row: row, Reason: clip(reason, maxReason),
		Time: r.cfg.Now(), Commit: commit, Missing: !is, Bytes: val}})
	return nil`,
		New: `	_, _, _ = val, is, commit
	return nil`,
		Breaks: "a damaged row is written over, and nobody is told that there was one",
		Rule:   "quarantine and repair; promise 5",
	},
	{
		Name:   "summary one generation short",
		File:   "core/changelog/summary.go",
		Old:    `			b = change.AppendUvarint(b, uint64(sp.to))`,
		New:    `			b = change.AppendUvarint(b, uint64(max(sp.from, sp.to-1)))`,
		Breaks: "the last batch of a device in a segment is not found",
		Rule:   "summaries say where a version's record is",
	},
	{
		Name:   "end of a long value left out",
		File:   "core/pages/checkpoint.go",
		Old:    `	for part := 0; part*overflowRow < len(val); part++ {`,
		New:    `	for part := 0; part*overflowRow < len(val)-overflowRow; part++ {`,
		Breaks: "of a value of several rows the last is not written",
		Rule:   "a long value spans rows, in one transaction",
	},
	{
		Name:   "bad batch stands in the way",
		Defect: 10,
		File:   "core/accept.go",
		Old:    `		return r.void(s, &h, nil, nil, Invalid, fmt.Sprintf("a batch has at most %d bytes, and this one has more", change.MaxBatch))`,
		New:    `		return refuse(Invalid, h.Gen, "a batch has at most %d bytes, and this one has more", change.MaxBatch), nil`,
		Breaks: "a batch that can never be right is refused again and again, and what its device wrote after it waits",
		Rule:   "refusals; promise 6",
	},
	{
		Name:   "malformed frame kills the hub",
		Defect: 11,
		File:   "edge/conn.go",
		Old: `	if err != nil {
		return 1, c.refuse(answer(err))
	}
	if hello`,
		New: `	if err != nil {
		panic(err)
	}
	if hello`,
		Breaks: "who sends the hub what cannot be read ends it",
		Rule:   "what a peer did wrong is an error; promise 7",
	},
	{
		Name:   "malformed frame kills the device",
		Defect: 11,
		File:   "core/watcher/session.go",
		Old: `	if err != nil {
		s.blame(err)
		return
	}
	if _, pong`,
		New: `	if err != nil {
		panic(err)
	}
	if _, pong`,
		Breaks: "a hub that sends what cannot be read ends its devices",
		Rule:   "what a peer did wrong is an error; promise 7",
	},
}
