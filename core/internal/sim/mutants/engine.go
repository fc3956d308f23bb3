package mutants

// From a write to its place on top of what is confirmed.
var writing = []Mutant{
	{
		Name:   "generation used again after a crash",
		Defect: 1,
		File:   "core/fold.go",
		Old: `	if err == nil {
		f.head.lastGen, f.head.lastHash = b.Gen, b.Hash
		f.head.wrote(b.Nonce, b.Version())`,
		New: `	if _, live := f.rows.(*stage); err == nil && live {
		f.head.lastGen, f.head.lastHash = b.Gen, b.Hash
		f.head.wrote(b.Nonce, b.Version())`,
		Breaks: "replay does not count the device's own generations, so that a crash gives the next batch an old number",
		Rule:   "a generation names one batch",
	},
	{
		Name: "generation of an aborted group kept",
		File: "core/commit.go",
		Old: `	if err := r.st.Commit(ctx, tx); err != nil {
		return typed(err, "writing")
	}`,
		New: `	if err := r.st.Commit(ctx, tx); err != nil {
		r.mu.Lock()
		r.head.lastGen, r.head.lastHash = s.state.lastGen, s.state.lastHash
		r.mu.Unlock()
		return typed(err, "writing")
	}`,
		Breaks: "a commit that the store refused leaves a gap in the generations",
		Rule:   "generations have no gaps",
	},
	{
		Name:   "failed neighbour left in the group",
		File:   "core/commit.go",
		Old:    `			s.rollback(m)`,
		New:    `			_ = m`,
		Breaks: "what a write did that could not be formed is stored with its neighbours",
		Rule:   "one commit is in flight; after an error nothing has changed",
	},
	{
		Name:   "one refusal fails the whole group",
		File:   "core/commit.go",
		Old:    `	if r.dead(err) || len(group) == 1 {`,
		New:    `	if r.dead(err) || len(group) >= 1 {`,
		Breaks: "a write that the store refuses fails its neighbours",
		Rule:   "a refused group is tried again one write at a time",
	},
	{
		Name:   "strict forgotten",
		File:   "core/commit.go",
		Old:    `		s.strict = s.strict || q.strict`,
		New:    `		_ = q.strict`,
		Breaks: "strict writes are stored like relaxed ones, and a power cut takes them",
		Rule:   "promise 1",
	},
	{
		Name: "told before it is stored",
		File: "core/commit.go",
		Old: `	if err := r.putFence(ctx); err != nil {
		return typed(err, "writing")
	}`,
		New: `	if err := r.putFence(ctx); err != nil {
		return typed(err, "writing")
	}
	if r.onFeed != nil && len(s.feed) > 0 {
		r.onFeed(s.feed)
		s.feed = nil
	}`,
		Breaks: "the hub's readers hear of a commit that the store may still refuse",
		Rule:   "promise 1; saved before told",
	},
	{
		Name:   "second deletion dropped",
		Defect: 4,
		File:   "core/fold.go",
		Old:    `		if changed, err := step(m); err != nil {`,
		New: `		if view := f.obj.Visible(); m.Kind == change.Delete && view.Winner >= 0 && view.Deleted {
			continue
		}
		if changed, err := step(m); err != nil {`,
		Breaks: "deleting what is deleted leaves no version",
		Rule:   "a deletion is a version like any other",
	},
	{
		Name:   "deletion taken for a value",
		File:   "core/fold.go",
		Old:    `Accepted: e.Annotation.Accepted, Deleted: m.Kind == change.Delete, Value: m.Value}`,
		New:    `Accepted: e.Annotation.Accepted, Value: m.Value}`,
		Breaks: "a deletion that comes through the feed does not delete",
		Rule:   "a deletion is a version like any other",
	},
	{
		Name:   "unsent versions in the wrong order",
		File:   "core/objects/object.go",
		Old:    `	o.Pending = append(o.Pending, Pending{v.Version, v.Stamp, v.Deleted, v.Value, hides})`,
		New:    `	o.Pending = append([]Pending{{v.Version, v.Stamp, v.Deleted, v.Value, hides}}, o.Pending...)`,
		Breaks: "of two unsent versions the later one is folded first",
		Rule:   "two layers",
	},
	{
		Name: "replaced versions shown again",
		File: "core/objects/object.go",
		Old: `		for _, h := range q.Hides {
			if h.Until.IsZero() {
				h.Until = q.Version
			}
			o.arena = append(o.arena, h)
		}`,
		New:    `		_ = q`,
		Breaks: "what an unsent version replaced is visible again once a second one has replaced that",
		Rule:   "two layers",
	},
	{
		Name:   "winner without a tie-break",
		File:   "core/objects/object.go",
		Old:    `	return cmp.Or(l.Version.Device.Compare(m.Version.Device), cmp.Compare(l.Version.Gen, m.Version.Gen)) > 0`,
		New:    `	return false`,
		Breaks: "of two versions of the same time the one wins that came first",
		Rule:   "the value is a fold in the order of the feed",
	},
}

// From the feed into the confirmed layer.
var applying = []Mutant{
	{
		Name:   "marker before the data",
		Defect: 2,
		File:   "core/apply.go",
		Old:    `		err := r.submit(ctx, &request{weight: weight, strict: false, form: func(s *stage) error {`,
		New: `	if err := r.submit(ctx, &request{weight: 64, form: func(s *stage) error {
		m := s.state.marker
		for i := range arrivals {
			m.Seq = max(m.Seq, arrivals[i].Seq)
		}
		if m.Seq > s.state.marker.Seq {
			m.Hash = after
			s.add(changelog.ItemMarker, m.Encode())
		}
		return nil
	}}); err != nil {
		return err
	}
		err := r.submit(ctx, &request{weight: weight, strict: false, form: func(s *stage) error {`,
		Breaks: "the marker is stored in a commit of its own, and a crash before the next loses what it promises",
		Rule:   "data and marker are one commit",
	},
	{
		Name: "applied below the marker",
		File: "core/apply.go",
		Old: `		if a.Seq <= s.state.marker.Seq {
			continue
		}
		if a.Seq != s.state.marker.Seq+1 {`,
		New:    `		if a.Seq != s.state.marker.Seq+1 {`,
		Breaks: "what a hub sends again is not passed over",
		Rule:   "what is at or below the marker is passed over",
	},
	{
		Name:   "running hash not compared",
		File:   "core/apply.go",
		Old:    `	if s.state.marker.Hash != after {`,
		New:    `	if after.IsZero() {`,
		Breaks: "what was changed on the way is taken up",
		Rule:   "hashes hold batches and feed together",
	},
	{
		Name:   "parents ignored",
		File:   "core/fold.go",
		Old:    `		put, err := f.graft(v, e.Annotation.EffectiveParents(m), m)`,
		New:    `		put, err := f.graft(v, nil, m)`,
		Breaks: "each version of the feed stays beside those that it replaces",
		Rule:   "the hub orders, parents tell conflicts",
	},
	{
		Name:   "effective stamp ignored",
		File:   "core/fold.go",
		Old:    `	stamp := e.Annotation.EffectiveStamp(&b.Header)`,
		New:    `	stamp := b.Stamp`,
		Breaks: "a writer whose clock is ahead wins for as long as it is",
		Rule:   "effective stamp",
	},
	{
		Name: "one object of a batch left out",
		File: "core/fold.go",
		Old: `	for i := range b.Mutations {
		m := &b.Mutations[i]
		var name string`,
		New: `	for i := range b.Mutations {
		m := &b.Mutations[i]
		if known == nil && i == 2 && f.head.marker.Seq%16 == 15 {
			break
		}
		var name string`,
		Breaks: "now and then a part of a batch is not taken up",
		Rule:   "promise 2",
	},
	{
		Name:   "refused batch's values lost",
		File:   "core/fold.go",
		Old:    `		f.rows.set(name, problemRecord{Accepted: e.Annotation.Accepted, Reason: *e.Annotation.Reason}.encode())`,
		New:    `		_ = name`,
		Breaks: "what the hub refused is not listed",
		Rule:   "promise 5",
	},
	{
		Name: "written anew and still listed",
		File: "core/refused.go",
		Old: `		name, err := s.settleProblem(v)
		if err != nil {
			return err
		}
		w, err`,
		New: `		name, err := s.state.today(v), error(nil)
		if err != nil {
			return err
		}
		w, err`,
		Breaks: "what was refused and is written anew stays a problem, so that it can be written once more",
		Rule:   "promise 4; refusals",
	},
	{
		Name:   "refused version's dependants lose their parents",
		File:   "core/objects/object.go",
		Old:    `		o.Pending[i].inherit(v, bare)`,
		New:    `		o.Pending[i].Hides = bare[:0]`,
		Breaks: "what a refused version replaced is visible again beside those that replaced it",
		Rule:   "refusals",
	},
	{
		Name: "refused version stays",
		File: "core/objects/object.go",
		Old: `	if i := o.pending(v); i >= 0 {
		o.Pending = slices.Delete(o.Pending, i, i+1)
		return true
	}`,
		New: `	if i := o.pending(v); i >= 0 {
		return true
	}`,
		Breaks: "a version that the hub refused goes on being shown",
		Rule:   "refusals",
	},
	{
		Name:   "re-entry without mapped parents",
		File:   "core/settle.go",
		Old:    `		mapped = append(mapped, a.Map(p))`,
		New:    `		mapped = append(mapped, p)`,
		Breaks: "what is written again under a new device id names parents of the old one",
		Rule:   "a re-entry maps all names",
	},
	{
		Name:   "re-entry forgets what was not sent",
		File:   "core/settle.go",
		Old:    `		return s.rewrite(a, old, known)`,
		New:    `		return s.rewrite(a, old[:min(len(old), 1)], known)`,
		Breaks: "of several unsent batches only the first is written again",
		Rule:   "promise 5",
	},
	{
		Name: "re-entry in two commits",
		File: "core/settle.go",
		Old: `		return s.rewrite(a, old, known)
	}})`,
		New: `		if len(old) > 1 {
			rest := old[1:]
			old = old[:1]
			_ = r.enqueue(ctx, &request{alone: true, strict: true, form: func(s *stage) error {
				for _, b := range rest {
					renameChanges(b, a.Map)
					for i := range b.Mutations {
						b.Mutations[i].Parents, _, err = s.mapped(b.Mutations[i].Parents, a, known)
					}
					b.Device, b.Gen = a.New, s.state.lastGen+1
					if err := s.addOwn(b, func() ([]turn, error) { return s.renamed(b, a) }); err != nil {
						return err
					}
				}
				err := s.showAnew()
				s.addTurns(nil)
				return err
			}})
		}
		return s.rewrite(a, old, known)
	}})`,
		Breaks: "of several unsent batches the first is written again, and the others in a commit of their own",
		Rule:   "a re-entry is one commit",
	},
	{
		Name:   "two copies keep one device id",
		File:   "core/watcher/course.go",
		Old:    `		c.parting, c.leaving, step.Reenter, c.deadly = false, false, true, deadly{}`,
		New:    `		c.parting, c.leaving, step.Reenter, c.deadly = false, false, false, deadly{}`,
		Breaks: "a copy of a storage and its original take turns for ever",
		Rule:   "a device id is of one replica; promise 6",
	},
	{
		Name:   "receipt of a former id unknown",
		File:   "core/read.go",
		Old:    `	if v = h.today(v); v != asked {`,
		New:    `	if v != asked {`,
		Breaks: "who waits for what he wrote under an id that was given up is told that it is not there",
		Rule:   "a re-entry maps all names",
	},
}
