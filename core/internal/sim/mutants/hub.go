package mutants

// The hub's judgement.
var hub = []Mutant{
	{
		Name: "batch that comes again taken again",
		File: "core/accept.go",
		Old: `	if h.Gen <= rec.Last {
		return r.duplicate(s, &h, rec.Last, rec.Hash)
	}`,
		New: `	if h.Gen <= rec.Last {
		b, err := change.Decode(in.Bytes)
		if err != nil {
			return Verdict{}, err
		}
		return r.accept(s, b, in.Bytes, nil)
	}`,
		Breaks: "a batch that is pushed again after a broken connection has two places in the feed",
		Rule:   "promise 4",
	},
	{
		Name:   "hash chain not checked",
		File:   "core/accept.go",
		Old:    `	if err := h.Follows(rec.Hash); err != nil {`,
		New:    `	if err := h.Follows(rec.Hash); err != nil && rec.Last == 0 {`,
		Breaks: "the hub takes a batch that follows another one than it has",
		Rule:   "hashes hold batches and feed together",
	},
	{
		Name:   "other batch of a generation taken for the same",
		File:   "core/accept.go",
		Old:    `	if have != h.Hash {`,
		New:    `	if have.IsZero() {`,
		Breaks: "a copy of a storage is told that the hub has its batches, which are another's",
		Rule:   "hashes hold batches and feed together; a generation names one batch",
	},
	{
		Name:   "unknown parent taken",
		File:   "core/accept.go",
		Old:    `			if p.Gen > last {`,
		New:    `			if p.Gen > last+1<<40 {`,
		Breaks: "the feed names versions that it does not have",
		Rule:   "parents arrive before children",
	},
	{
		Name: "no effective parents",
		File: "core/accept.go",
		Old: `	if none {
		return nil, nil
	}`,
		New: `	if none || len(b.Mutations) > 0 {
		return nil, nil
	}`,
		Breaks: "a batch whose parent was voided replaces nothing",
		Rule:   "refusals",
	},
	{
		Name:   "voids forgotten at opening",
		File:   "core/accept.go",
		Old:    `			r.voided[v] = true`,
		New:    `			_ = v`,
		Breaks: "a hub that was opened again does not know what it voided",
		Rule:   "refusals",
	},
	{
		Name:   "clock of a writer believed",
		File:   "core/accept.go",
		Old:    `	if limit := ann.Accepted + allowedSkew; b.Stamp > limit {`,
		New:    `	if limit := ann.Accepted + allowedSkew; b.Stamp > limit+1<<40 {`,
		Breaks: "a batch counts as written in the future",
		Rule:   "effective stamp",
	},
	{
		Name:   "hub's time goes back",
		File:   "core/accept.go",
		Old:    `	return max(s.state.accepted, s.clock)`,
		New:    `	return s.clock`,
		Breaks: "a later entry of the feed was accepted earlier",
		Rule:   "times of acceptance do not go back",
	},
	{
		Name:   "hub's commits not strict",
		File:   "core/accept.go",
		Old:    `	err := r.mendingSubmit(ctx, &request{weight: weight, strict: true, form: func(s *stage) (err error) {`,
		New:    `	err := r.mendingSubmit(ctx, &request{weight: weight, form: func(s *stage) (err error) {`,
		Breaks: "a power cut at the hub takes what devices were told is there",
		Rule:   "the hub commits to the disk before it answers; promise 1",
	},
}

// What crosses the socket, and when.
var sockets = []Mutant{
	{
		Name:   "unsent not sent again",
		File:   "core/settle.go",
		Old:    `			return Settled{PushFrom: w.Last + 1}, nil`,
		New:    `			return Settled{PushFrom: h.lastGen + 1}, nil`,
		Breaks: "after a new connection only what is written then is pushed",
		Rule:   "promise 6",
	},
	{
		Name: "resend not heeded",
		Rare: "more than 100",
		File: "core/watcher/push.go",
		Old: `	w.rewind(m.Gen)
	if w.resends`,
		New:    `	if w.resends`,
		Breaks: "the hub asks for a generation, and nothing comes",
		Rule:   "PROTOCOL 9, resend",
	},
	{
		Name:   "part taken for the whole",
		Defect: 8,
		File:   "core/wire/split.go",
		Old: `	if p.part.More {
		return Waiting, nil
	}`,
		New: `	if p.part.More && p.typ != TypePush {
		return Waiting, nil
	}`,
		Breaks: "the first part of a large batch is judged as if it were all",
		Rule:   "PROTOCOL 11, applied when whole",
	},
	{
		Name:   "credit ignored",
		File:   "edge/stream.go",
		Old:    `	return at.piece > 0 || bytes <= at.room || at.idle && entries == 1`,
		New:    `	return entries > 0`,
		Breaks: "a slow reader gets more than it asked for",
		Rule:   "PROTOCOL 12, credit",
	},
	{
		Name: "seen never said",
		File: "core/watcher/credit.go",
		Old: `	s.credit.used, s.credit.due = 0, time.Time{}
	s.send(&wire.Seen{Seq: s.applied, Hash: s.credit.hash})`,
		New:    `	s.credit.used, s.credit.due = 0, time.Time{}`,
		Breaks: "the hub's credit runs out, and the stream stands until it ends the connection",
		Rule:   "promise 6; PROTOCOL 12, credit",
	},
	{
		Name:   "stream begins one too late",
		File:   "edge/greet.go",
		Old:    `		c.pos = welcome.Marker.Seq`,
		New:    `		c.pos = min(welcome.Marker.Seq+1, welcome.Head)`,
		Breaks: "a device that comes back misses an entry",
		Rule:   "the stream has no gaps; promise 6",
	},
	{
		Name:   "older connection of a device kept",
		File:   "edge/hub.go",
		Old:    `		h.endLocked(old, superseded())`,
		New:    `		_ = old.peer`,
		Breaks: "a device that comes again has two connections, and its copy is not noticed",
		Rule:   "PROTOCOL 14, one connection of a device",
	},
	{
		Name:   "dead sockets kept",
		File:   "edge/conn.go",
		Old:    `	case passed(c.heard, now, wire.HubGiveUp):`,
		New:    `	case passed(c.heard, now, 1000*wire.HubGiveUp):`,
		Breaks: "the hub keeps connections whose other end is gone",
		Rule:   "PROTOCOL 13, dead sockets are found within 30 s",
	},
}
