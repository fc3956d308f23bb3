package mutants

// The log, pages and superblock.
var stored = []Mutant{
	{
		Name:   "dead engine's last gasp counts",
		File:   "core/changelog/log.go",
		Old:    `			s.data = s.data[:end.Length]`,
		New:    `			_ = end.Length`,
		Breaks: "what a dead engine wrote behind the place where its successor went on is taken up",
		Rule:   "one writer: an engine rewrites nothing of the one before it",
	},
	{
		Name: "predecessor's segment rewritten",
		File: "core/changelog/log.go",
		Old:  `	l.read = Position{s.name, uint32(len(s.data))}`,
		New: `	l.read = Position{s.name, uint32(len(s.data))}
	l.name, l.tail, l.opened = s.name, s.data, true`,
		Breaks: "an engine goes on in the last segment of the one before it",
		Rule:   "one writer: an engine rewrites nothing of the one before it",
	},
	{
		Name:   "cut segment taken for whole",
		File:   "core/changelog/log.go",
		Old:    `		if last < 0 || segs[last].whole() {`,
		New:    `		if last < 0 || len(segs) > 0 {`,
		Breaks: "a commit of several rows, of which the crash left some, is not passed over",
		Rule:   "promise 2",
	},
	{
		Name:   "stale rows replayed twice",
		File:   "core/replay.go",
		Old:    `	return s.Commit >= p.commit, err`,
		New:    `	return s.Commit > p.commit, err`,
		Breaks: "replay takes a commit up that the page has already",
		Rule:   "layers go forward only",
	},
	{
		Name:   "pages' stamps ignored",
		File:   "core/replay.go",
		Old:    `	return s.Commit >= p.commit, err`,
		New:    `	return s.Commit > 1<<40, err`,
		Breaks: "replay takes up again what pages have, in the order of the log",
		Rule:   "layers go forward only",
	},
	{
		Name: "superblock before the pages",
		File: "core/checkpoint.go",
		Old: `	if cp.Done() {
		if strict {`,
		New: `	if !cp.Done() || r.cp != nil {
		if strict {`,
		Breaks: "the checkpoint counts before its last page is written",
		Rule:   "superblock: what it counts is stored",
	},
	{
		Name:   "checkpoint ahead of its pages",
		File:   "core/checkpoint.go",
		Old:    `database: r.cfg.Database, start: start, head: r.cpFrom,`,
		New:    `database: r.cfg.Database, start: start, head: h,`,
		Breaks: "commits between the first and the last step of a checkpoint are not replayed",
		Rule:   "superblock: what it counts is stored",
	},
	{
		Name: "checkpoint forgets the devices",
		File: "core/pages/checkpoint.go",
		Old: `		key, ok = k, v.since <= c.upTo
		return !ok`,
		New: `		key, ok = k, v.since <= c.upTo && k[0] != 'd'
		return !ok`,
		Breaks: "the table of devices stands in the log alone, and the log is not read from its beginning",
		Rule:   "all tables are of one checkpoint",
	},
	{
		Name:   "scan of two moments",
		File:   "core/pages/tables.go",
		Old:    `mem: t.mem.Copy(), has: t.changes}`,
		New:    `mem: t.mem, has: t.changes}`,
		Breaks: "a reader sees what is written while it reads",
		Rule:   "promise 2",
	},
	{
		Name:   "reader's pages change under it",
		Rare:   "more than 100",
		File:   "core/pages/tables.go",
		Old:    `	if s.has < s.t.retired {`,
		New:    `	if s.has < s.t.retired && s.has > 1<<40 {`,
		Breaks: "a reader that stood still while a checkpoint went on reads new pages with old changes",
		Rule:   "promise 2",
	},
	{
		Name:   "checksum of the superblock not looked at",
		File:   "core/superblock.go",
		Old:    `	if n < 2 || crc32.Checksum(b[:n], castagnoli) != binary.LittleEndian.Uint32(b[n:]) {`,
		New:    `	if n < 2 {`,
		Breaks: "a damaged superblock is believed",
		Rule:   "promise 7",
	},
}

// What applications are told.
var watching = []Mutant{
	{
		Name: "watch marker ahead of its event",
		File: "core/watch.go",
		Old: `		w.at = watchMarker{rec.Incarnation, rec.Commit, n}
		e.Marker`,
		New: `		w.at = watchMarker{rec.Incarnation, rec.Commit, 0}
		e.Marker`,
		Breaks: "a watcher that stops between two events of a commit never gets the second",
		Rule:   "watch markers",
	},
	{
		Name:   "watch resumes one event too early",
		File:   "core/watch.go",
		Old:    `		if n++; n <= seen {`,
		New:    `		if n++; n < seen {`,
		Breaks: "a watcher that resumes gets an event twice",
		Rule:   "watch markers",
	},
	{
		Name:   "unknown watch marker believed",
		File:   "core/watch.go",
		Old:    `	return ok && inc == w.at.incarnation`,
		New:    `	return ok && inc != 0`,
		Breaks: "a watcher whose marker is of a history that is gone is not told to begin again",
		Rule:   "watch markers",
	},
	{
		Name: "watcher not told of a lost fork",
		File: "core/fold.go",
		Old: `	*turns = append(*turns, f.turn(m, &view))
}`,
		New: `	if !was.shown {
		*turns = append(*turns, f.turn(m, &view))
	}
}`,
		Breaks: "when a confirmation or a refusal changes what is visible, watchers keep what was",
		Rule:   "promise 2; watch markers",
	},
}
