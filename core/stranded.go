package core

import (
	"context"
	"slices"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/store"
)

// A stranded batch is one of this device's that a hole in the log has cut off from those before it. It is in quarantine, and among the
// problems until the application dismisses it or writes it anew.

// strandedBatches reads them once; they come only at opening.
func (r *Replica) strandedBatches(ctx context.Context) ([]quarantined, error) {
	r.harm.mu.Lock()
	read, known := r.harm.read, r.harm.stranded
	r.harm.mu.Unlock()
	if read {
		return known, nil
	}
	all, err := readQuarantine(ctx, r.st)
	if err != nil {
		return nil, typed(err, "listing problems")
	}
	all = slices.DeleteFunc(all, func(q quarantined) bool {
		_, is := q.version()
		return !is
	})
	var asked []answered
	for i := range all {
		if h, _, err := change.DecodeHeader(all[i].Bytes); err == nil && !h.Nonce.IsZero() {
			asked = append(asked, answered{h.Nonce, h.Version()})
		}
	}
	all = slices.DeleteFunc(all, func(q quarantined) bool { return q.dismissed })
	r.harm.mu.Lock()
	defer r.harm.mu.Unlock()
	r.harm.read, r.harm.stranded, r.harm.asked = true, all, asked
	return all, nil
}

// strandedAs finds such a batch by its nonce, dismissed or not.
func (r *Replica) strandedAs(ctx context.Context, n change.Nonce) (change.Version, bool, error) {
	if _, err := r.strandedBatches(ctx); err != nil {
		return change.Version{}, false, err
	}
	r.harm.mu.Lock()
	defer r.harm.mu.Unlock()
	for _, a := range r.harm.asked {
		if a.nonce == n {
			return a.version, true, nil
		}
	}
	return change.Version{}, false, nil
}

// stranded lists them as problems.
func (r *Replica) stranded(ctx context.Context) (out []Problem, err error) {
	all, err := r.strandedBatches(ctx)
	if err != nil {
		return nil, err
	}
	for i := range all {
		q := &all[i]
		v, _ := q.version()
		p := Problem{Version: v, Time: q.Time, Code: string(Corrupt), Message: q.Reason}
		if p.Ops, err = opsIn(q.Bytes); err != nil { // it hides no other
			p.Ops, p.Message = nil, p.Message+" (the quarantine, which has its values, is damaged itself)"
		}
		out = append(out, p)
	}
	return out, nil
}

// settleStranded takes such a batch off the list, with the commit that is being formed; it stays in quarantine. False where there is none.
func (r *Replica) settleStranded(s *stage, v change.Version) (was *quarantined) {
	r.harm.mu.Lock()
	defer r.harm.mu.Unlock()
	for _, q := range r.harm.stranded {
		if of, _ := q.version(); of == v {
			was = &q
			q.dismissed = true
			tx := &store.Tx{}
			putAside(tx, q)
			s.beside = append(s.beside, tx.Ops...)
		}
	}
	return was
}

// forgetStranded forgets one that was settled.
func (r *Replica) forgetStranded(v change.Version) {
	r.harm.mu.Lock()
	defer r.harm.mu.Unlock()
	r.harm.stranded = slices.DeleteFunc(slices.Clone(r.harm.stranded), func(q quarantined) bool {
		of, _ := q.version()
		return of == v
	})
}

// isStranded says whether a version is one of them.
func (r *Replica) isStranded(ctx context.Context, v change.Version) (bool, error) {
	all, err := r.strandedBatches(ctx)
	return slices.ContainsFunc(all, func(q quarantined) bool {
		of, _ := q.version()
		return of == v
	}), err
}

// dismissStranded takes such a batch off the list. False where there is none.
func (r *Replica) dismissStranded(ctx context.Context, v change.Version) (bool, error) {
	r.harm.settling.Lock()
	defer r.harm.settling.Unlock()
	if is, err := r.isStranded(ctx, v); !is || err != nil {
		return false, err
	}
	err := r.submit(ctx, &request{weight: groupBytes, form: func(s *stage) error {
		if r.settleStranded(s, v) != nil {
			s.add(changelog.ItemMarker, s.state.marker.Encode()) // a commit has an item
		}
		return nil
	}})
	if err == nil {
		r.forgetStranded(v)
	}
	return true, err
}

// retryStranded writes what such a batch had over what is there now, and takes it off the list, in one commit.
func (r *Replica) retryStranded(ctx context.Context, v change.Version) (rec Receipt, is bool, err error) {
	r.harm.settling.Lock()
	defer r.harm.settling.Unlock()
	if is, err := r.isStranded(ctx, v); !is || err != nil {
		return rec, false, err
	}
	err = r.submit(ctx, &request{weight: groupBytes, strict: r.cfg.Durability == store.Strict, form: func(s *stage) error {
		was := r.settleStranded(s, v)
		if was == nil {
			return errorf(Invalid, "there is no problem %s: list them", v)
		}
		ops, err := opsIn(was.Bytes)
		if err != nil {
			return wrapf(Corrupt, err, "the batch %s, which was set aside, cannot be read", v)
		}
		for i := range ops {
			ops[i].Seen = nil
		}
		h, _, err := change.DecodeHeader(was.Bytes)
		if err != nil {
			return wrapf(Corrupt, err, "the batch %s, which was set aside, cannot be read", v)
		}
		rec.Version, err = r.form(s, &Write{Ops: ops, Note: h.Note})
		return err
	}})
	if err == nil {
		r.forgetStranded(v)
	}
	return rec, true, err
}
