package core

import (
	"bytes"
	"context"
	"slices"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/merge"
	"vsync/core/objects"
	"vsync/core/store"
)

// What was written is never taken out of history: undoing is one more write, which merges as any.
//
//	before ──▶ batch ──▶ what came since ──▶ now          Revert:  now ──▶ the value of an earlier version
//	   └──────────────────────────────────▶ now − batch   Undo:    now ──▶ without what the batch changed
//
// What the batch changed is the difference to what its writer had before him. Paths that hold another value by now stay as they are, and
// of counters, sets and texts just his part goes: merge.Undo.

// Signed is what a write of these carries beside what it does: see Write.
type Signed struct {
	Note  string
	Nonce change.Nonce
}

// Revert writes what an earlier version of an object had, over what is there now.
//
// Errors: INVALID for a version that did not write the object; TOO_OLD where its record is gone; as Write.
func (r *Replica) Revert(ctx context.Context, key change.Key, v change.Version, as Signed) (Receipt, error) {
	h, err := r.versionOf(ctx, key, v)
	if err != nil {
		return Receipt{}, err
	}
	return r.Write(ctx, Write{Ops: []Op{{Key: key, Delete: h.Deleted, Value: h.Value}}, Note: as.Note, Nonce: as.Nonce})
}

// Undo takes back what a batch changed, of all its objects or of the named ones alone, and leaves what happened since. It is a batch
// itself, so that it can be undone.
//
// Errors: INVALID where nothing of the batch is left, or it wrote no such object; TOO_OLD where it, or what it replaced, is gone; as Write.
func (r *Replica) Undo(ctx context.Context, v change.Version, keys []change.Key, as Signed) (rec Receipt, err error) {
	if r.cfg.Role != RoleDevice {
		return rec, errorf(Invalid, "a hub's replica takes batches from devices, and writes none of its own")
	}
	steps, err := r.stepsOf(ctx, v, keys)
	if err != nil {
		return rec, err
	}
	err = r.submit(ctx, &request{strict: r.cfg.Durability == store.Strict, weight: groupBytes, form: func(s *stage) error {
		w := Write{Note: as.Note, Nonce: as.Nonce}
		if was, ok, err := r.written(s, w.Nonce); ok || err != nil {
			rec.Version = was
			return err
		}
		if err := s.takeBack(&w, steps); err != nil {
			return err
		}
		if len(w.Ops) == 0 {
			return errorf(Invalid, "nothing of %s is left to be undone: all that it changed was changed again since", v)
		}
		if err := w.validate(); err != nil {
			return err
		}
		rec.Version, err = r.form(s, &w)
		return err
	}})
	return rec, err
}

// A step is what a batch did to an object.
type step struct {
	key           change.Key
	parents       []change.Version
	before, after []byte // nil: no value
}

func (s *stage) takeBack(w *Write, steps []step) error {
	next := change.Version{Device: s.state.device, Gen: s.state.lastGen + 1}
	for i := range steps {
		st := &steps[i]
		if _, _, err := s.view(st.key); err != nil {
			return err
		}
		now := shownState(&s.obj)
		was := now.Shown()
		value := s.state.rulesOf(st.key.Collection).Undo(st.before, st.after, now, next)
		if (value == nil) == (was == nil) && bytes.Equal(value, was) {
			continue
		}
		w.Ops = append(w.Ops, Op{Key: st.key, Delete: value == nil, Value: bytes.Clone(value)})
	}
	return nil
}

// stepsOf reads what a batch did, and what its writer had before him.
func (r *Replica) stepsOf(ctx context.Context, v change.Version, keys []change.Key) ([]step, error) {
	if err := r.readable(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	v = r.head.today(v)
	r.mu.Unlock()
	batch, rec, ok, err := r.log.Find(ctx, v)
	if err != nil || !ok {
		return nil, gone(v, err)
	}
	i := itemOf(&rec, batch)
	ann, err := r.annotationOf(ctx, v, rec.Items[i])
	if err != nil {
		return nil, typed(err, "reading a batch")
	}
	var steps []step
	_, err = change.Walk(batch, func(m change.Mutation) bool {
		if m.Key.System() || keys != nil && !slices.Contains(keys, m.Key) {
			return true
		}
		st := step{key: m.Key, parents: slices.Clone(ann.EffectiveParents(&m))}
		if m.Kind == change.Put {
			st.after = bytes.Clone(m.Value)
		}
		steps = append(steps, st)
		return true
	})
	if err == nil && len(steps) == 0 {
		return nil, errorf(Invalid, "the batch %s wrote no such object: name a version that history gives", v)
	}
	if err == nil {
		err = r.beforeSteps(ctx, steps)
	}
	return steps, typed(err, "reading a batch")
}

// beforeSteps finds what was there before a batch: what its one parent wrote, found in one pass over that one's batch, or what several
// make together.
func (r *Replica) beforeSteps(ctx context.Context, steps []step) (err error) {
	by := map[change.Version]map[change.Key]*step{}
	for i := range steps {
		switch st := &steps[i]; len(st.parents) {
		case 0:
		case 1:
			p := st.parents[0]
			if by[p] == nil {
				by[p] = map[change.Key]*step{}
			}
			by[p][st.key] = st
		default:
			if st.before, err = r.together(ctx, st.key, st.parents); err != nil {
				return err
			}
		}
	}
	for p, of := range by {
		batch, _, ok, err := r.log.Find(ctx, p)
		if err != nil || !ok {
			return gone(p, err)
		}
		if _, err := change.Walk(batch, func(m change.Mutation) bool {
			if st := of[m.Key]; st != nil && m.Kind == change.Put {
				st.before = bytes.Clone(m.Value)
			}
			return true
		}); err != nil {
			return err
		}
	}
	return nil
}

// together is what several versions showed to one who saw them beside each other; nil for a deletion.
func (r *Replica) together(ctx context.Context, key change.Key, vs []change.Version) ([]byte, error) {
	var leaves []objects.Leaf
	for _, v := range vs {
		h, err := r.versionOf(ctx, key, v)
		if err != nil {
			return nil, err
		}
		if !h.Deleted {
			leaves = append(leaves, objects.Leaf{Version: v, Stamp: h.Time, Value: h.Value})
		}
	}
	leaves = objects.Ranked(leaves)
	rules := r.Rules(key.Collection)
	if len(leaves) == 0 {
		return nil, nil
	}
	s := merge.State{Value: leaves[0].Value, Origin: leaves[0].Version}
	if !rules.Merges() || len(leaves) == 1 {
		return s.Value, nil
	}
	base, has, err := r.mergeBase(ctx, key, vs)
	if err != nil || !has {
		return s.Value, err
	}
	for _, l := range leaves[1:] {
		s = rules.Apply(s, merge.Write{Version: l.Version, Changes: rules.Diff(base.Value, s, l.Value), Value: l.Value})
	}
	return s.Value, nil
}

// versionOf is a version of an object, which has to be there.
func (r *Replica) versionOf(ctx context.Context, key change.Key, v change.Version) (HistoryEntry, error) {
	if err := validKey(key); err != nil {
		return HistoryEntry{}, err
	}
	if err := r.readable(); err != nil {
		return HistoryEntry{}, err
	}
	r.mu.Lock()
	v = r.head.today(v)
	r.mu.Unlock()
	h, _, ok, err := r.version(ctx, key, v)
	switch {
	case err != nil:
		return h, typed(err, "reading the history of "+key.String())
	case !ok && r.log.Has(v):
		return h, errorf(Invalid, "the version %s did not write %s: name one that the object's history gives", v, key)
	case !ok:
		return h, gone(v, nil)
	}
	return h, nil
}

// gone says that the record of a version is not here.
func gone(v change.Version, err error) error {
	if err != nil {
		return typed(err, "reading "+v.String())
	}
	return errorf(TooOld, "the record of the version %s is not here: it lies before what history holds, or this replica never had it", v)
}

// itemOf is the place of a batch among the items of its commit.
func itemOf(rec *changelog.Record, batch []byte) int {
	return max(slices.IndexFunc(rec.Items, func(it changelog.Item) bool {
		b := changelog.BatchBytes(it)
		return len(b) > 0 && len(batch) > 0 && &b[0] == &batch[0]
	}), 0)
}

// Difference is what is other at one path; merge has it, which hosts do not import.
type Difference = merge.Difference

// Diff says where two versions of an object differ; a zero version stands for what is shown now.
//
// Errors: INVALID for a version that did not write the object; TOO_OLD where its record is gone.
func (r *Replica) Diff(ctx context.Context, key change.Key, from, to change.Version) ([]Difference, error) {
	var values [2][]byte
	for i, v := range []change.Version{from, to} {
		if v.IsZero() {
			e, ok, err := r.Get(ctx, key)
			if err != nil {
				return nil, err
			}
			if ok {
				values[i] = e.Value
			}
			continue
		}
		h, err := r.versionOf(ctx, key, v)
		if err != nil {
			return nil, err
		}
		if !h.Deleted {
			values[i] = h.Value
		}
	}
	return merge.Differences(values[0], values[1]), nil
}
