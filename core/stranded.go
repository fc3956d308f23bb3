package core

import (
	"context"
	"slices"

	"vsync/core/change"
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
		return !is || q.dismissed
	})
	r.harm.mu.Lock()
	defer r.harm.mu.Unlock()
	r.harm.read, r.harm.stranded = true, all
	return all, nil
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
		if p.Ops, err = opsIn(q.Bytes); err != nil {
			return nil, wrapf(Corrupt, err, "the batch %s, which was set aside, cannot be read", v)
		}
		out = append(out, p)
	}
	return out, nil
}

// dismissStranded takes such a batch off the list; it stays in quarantine. False where there is none.
func (r *Replica) dismissStranded(ctx context.Context, v change.Version) (bool, error) {
	all, err := r.strandedBatches(ctx)
	if err != nil {
		return false, err
	}
	tx := &store.Tx{}
	left := make([]quarantined, 0, len(all))
	for _, q := range all {
		if of, _ := q.version(); of != v {
			left = append(left, q)
			continue
		}
		q.dismissed = true
		putAside(tx, q)
	}
	if len(tx.Ops) == 0 {
		return false, nil
	}
	if err := r.st.Commit(ctx, tx); err != nil {
		return true, typed(err, "dismissing a problem")
	}
	r.harm.mu.Lock()
	defer r.harm.mu.Unlock()
	r.harm.stranded = left
	return true, nil
}

// retryStranded writes what such a batch had over what is there now. It is dismissed after that: an engine that dies between the two
// lists it once more.
func (r *Replica) retryStranded(ctx context.Context, v change.Version) (rec Receipt, is bool, err error) {
	problems, err := r.stranded(ctx)
	if err != nil {
		return rec, false, err
	}
	i := slices.IndexFunc(problems, func(p Problem) bool { return p.Version == v })
	if i < 0 {
		return rec, false, nil
	}
	ops := problems[i].Ops
	for j := range ops {
		ops[j].Seen = nil
	}
	if rec, err = r.Write(ctx, Write{Ops: ops}); err != nil {
		return rec, true, err
	}
	_, err = r.dismissStranded(ctx, v)
	return rec, true, err
}
