package core

import (
	"context"
	"errors"
	"slices"
	"unicode/utf8"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/objects"
	"vsync/core/order"
	"vsync/core/store"
)

// Op is one mutation of a write.
type Op struct {
	Key    change.Key
	Delete bool
	Value  []byte // canonical msgpack; nothing in a deletion
	// Seen are the versions that the writer had before him, and that this one replaces. Nil: whatever is there now; of a conflict under
	// Keep, what is shown.
	// Empty and not nil: nothing, so that whatever is there stays beside it.
	Seen []change.Version
}

// Check makes a write depend on an object being as it was read.
type Check struct {
	Key      change.Key
	Frontier []change.Version // of the Entry that was read, in any order; empty where there was none
}

// Write is one atomic batch.
type Write struct {
	Ops        []Op // each object at most once
	Checks     []Check
	Note       string            // at most 1 KiB, for history and watchers
	Nonce      change.Nonce      // names the write, in the order of its tab's counters, so that asking again does no harm; zero: none
	Durability *store.Durability // nil: the replica's
}

// Receipt names a batch that is stored.
type Receipt struct {
	Version change.Version // of the batch, and of every object it wrote
}

// Put writes one object.
func (r *Replica) Put(ctx context.Context, key change.Key, value []byte) (Receipt, error) {
	return r.Write(ctx, Write{Ops: []Op{{Key: key, Value: value}}})
}

// Delete deletes one object. Deleting what is not there is a write like any other.
func (r *Replica) Delete(ctx context.Context, key change.Key) (Receipt, error) {
	return r.Write(ctx, Write{Ops: []Op{{Key: key, Delete: true}}})
}

// Write writes a batch: all of it or nothing. It returns when the batch is stored, and before anyone else sees it.
//
// One whose nonce was committed before, by whichever engine, is not written again: its receipt is the one of then, by the name that
// the batch has now. Tabs beyond the 64 that wrote last are forgotten.
//
// Errors: INVALID, KEY_TOO_LONG, VALUE_TOO_LARGE, BATCH_TOO_LARGE for what cannot be written; ErrChanged where a check does
// not hold; QUOTA where no space is left; ABORTED for a nonce
// whose write had failed before later ones of its tab; CLOSED, STORAGE_LOST.
func (r *Replica) Write(ctx context.Context, w Write) (Receipt, error) {
	return r.Begin(ctx, w)()
}

// Begin gives a write its place behind those begun before, and returns the way to wait for its end, as Write would. What is called
// in one order is written in it, though nobody waits.
func (r *Replica) Begin(ctx context.Context, w Write) (wait func() (Receipt, error)) {
	fail := func(err error) func() (Receipt, error) { return func() (Receipt, error) { return Receipt{}, err } }
	if r.cfg.Role != RoleDevice {
		return fail(errorf(Invalid, "a hub's replica takes batches from devices, and writes none of its own"))
	}
	if err := w.validate(); err != nil {
		return fail(err)
	}
	durability := r.cfg.Durability
	if w.Durability != nil {
		durability = *w.Durability
	}
	var rec Receipt
	q := &request{strict: durability == store.Strict, weight: w.weight(), form: func(s *stage) (err error) {
		rec.Version, err = r.form(s, &w)
		return err
	}}
	if err := r.enqueue(ctx, q); err != nil {
		return fail(err)
	}
	return func() (Receipt, error) {
		err := r.await(ctx, q)
		return rec, err
	}
}

func (w *Write) weight() int {
	n := 200
	for i := range w.Ops {
		n += len(w.Ops[i].Key.Collection) + len(w.Ops[i].Key.ID) + len(w.Ops[i].Value) + 32
	}
	return n
}

func (w *Write) validate() error {
	if len(w.Ops) == 0 {
		return errorf(Invalid, "a batch without mutations: write at least one object")
	}
	if len(w.Ops) > change.MaxMutations {
		return errorf(BatchTooLarge, "a batch has at most %d mutations, this one has %d: split it", change.MaxMutations, len(w.Ops))
	}
	if n := w.weight() - 232*len(w.Ops); n > change.MaxBatch {
		return errorf(BatchTooLarge, "a batch has at most %d bytes, this one has %d: split it", change.MaxBatch, n)
	}
	if len(w.Note) > change.MaxNote || !utf8.ValidString(w.Note) {
		return errorf(Invalid, "a note is UTF-8 of at most %d bytes, this one has %d: it is a label, put the rest into a value", change.MaxNote, len(w.Note))
	}
	if w.Nonce.Counter > change.MaxNumber {
		return errorf(Invalid, "the counter of a nonce is at most 2^53-1, not %d", w.Nonce.Counter)
	}
	if w.Durability != nil && *w.Durability > store.Strict {
		return errorf(Invalid, "there is no %v", *w.Durability)
	}
	for i := range w.Ops {
		if err := w.Ops[i].validate(); err != nil {
			return err
		}
	}
	for i := range w.Checks {
		if err := validKey(w.Checks[i].Key); err != nil {
			return err
		}
	}
	return nil
}

func (o *Op) validate() error {
	if err := validKey(o.Key); err != nil {
		return err
	}
	if o.Key.System() {
		return errorf(Invalid, "collections that begin with %q are the system's own, and %q does: choose another name", change.SystemPrefix, o.Key.Collection)
	}
	if len(o.Seen) > maxSeen {
		return errorf(Invalid, "%s: at most %d versions can be named as seen, not %d", o.Key, maxSeen, len(o.Seen))
	}
	if o.Delete {
		if len(o.Value) > 0 {
			return errorf(Invalid, "%s: a deletion has no value", o.Key)
		}
		return nil
	}
	if len(o.Value) > change.MaxValue {
		return errorf(ValueTooLarge, "%s: a value has at most %d bytes encoded, this one has %d: split it over several objects", o.Key, change.MaxValue, len(o.Value))
	}
	if err := change.CheckValue(o.Value); err != nil {
		return wrapf(Invalid, err, "%s: the value cannot be stored", o.Key)
	}
	return nil
}

func validKey(k change.Key) error {
	if len(k.Collection) > change.MaxCollection {
		return errorf(KeyTooLong, "the name of a collection has at most %d bytes of UTF-8, this one has %d", change.MaxCollection, len(k.Collection))
	}
	if len(k.ID) > change.MaxID {
		return errorf(KeyTooLong, "an id has at most %d bytes of UTF-8, this one has %d", change.MaxID, len(k.ID))
	}
	if err := k.Validate(); err != nil {
		return wrapf(Invalid, err, "the key cannot be used")
	}
	return nil
}

// form makes the batch of a write, as the objects stand at this moment.
func (r *Replica) form(s *stage, w *Write) (change.Version, error) {
	if v, ok, err := r.written(s, w.Nonce); ok || err != nil {
		if len(w.Checks) > 0 && errors.Is(err, &Error{Code: Aborted}) {
			err = ErrChanged // that is why it had failed, and the answer did not arrive
		}
		return v, err
	}
	for i := range w.Checks {
		if err := s.check(&w.Checks[i]); err != nil {
			return change.Version{}, err
		}
	}
	h := change.Header{Device: s.state.device, Gen: s.state.lastGen + 1, Stamp: r.cfg.Now(), Nonce: w.Nonce, Note: w.Note}
	b, rows, err := s.batch(h, w.Ops)
	if err != nil {
		return change.Version{}, err
	}
	bytes, err := b.Encode(s.state.lastHash)
	if err != nil {
		return change.Version{}, writeError(err)
	}
	turns, err := s.local(b, rows)
	if err != nil {
		return change.Version{}, err
	}
	s.add(changelog.ItemBatch, bytes)
	s.addTurns(turns)
	s.wrote = true
	return b.Version(), nil
}

// batch forms the mutations of a batch, and returns the rows of their objects.
func (s *stage) batch(h change.Header, ops []Op) (*change.Batch, []had, error) {
	b := &change.Batch{Header: h, Mutations: make([]change.Mutation, len(ops))}
	rows := make([]had, len(ops))
	for i := range ops {
		op, m := &ops[i], &b.Mutations[i]
		m.Key, m.Value = op.Key, op.Value
		if op.Delete {
			m.Kind, m.Value = change.Delete, nil
		}
		var err error
		if m.Parents, rows[i], err = s.parents(op); err != nil {
			return nil, nil, err
		}
		if !op.Delete {
			if m.Changes, err = s.changesOf(op); err != nil {
				return nil, nil, err
			}
		}
	}
	return b, rows, nil
}

func writeError(err error) error {
	switch {
	case errors.Is(err, change.ErrDuplicateObject):
		return wrapf(Invalid, err, "an object stands twice in one batch: keep the last value only")
	case errors.Is(err, change.ErrTooLarge):
		return wrapf(BatchTooLarge, err, "the batch is beyond its limits: split it")
	}
	return wrapf(Invalid, err, "the batch cannot be written")
}

// view looks an object up, and says under which name and as what it was found. The view is good until the next.
func (s *stage) view(key change.Key) (objects.View, had, error) {
	h := had{row: objectRow(key)}
	var err error
	if h.val, err = s.get(h.row); err != nil {
		return objects.View{}, h, err
	}
	if err := s.obj.Load(h.val); err != nil {
		return objects.View{}, h, wrapf(Corrupt, err, "the object %s cannot be read", key)
	}
	return s.obj.Visible(), h, nil
}

// parents are the versions that a mutation replaces, and the row of its object.
func (s *stage) parents(op *Op) ([]change.Version, had, error) {
	v, h, err := s.view(op.Key)
	if op.Seen == nil || err != nil {
		return plainParents(&v, s.state.rulesOf(op.Key.Collection)), h, err
	}
	now := v.Frontier()
	seen := make([]change.Version, 0, len(op.Seen))
	for _, v := range op.Seen {
		v = s.today(v, now)
		if err := s.held(v); err != nil {
			return nil, h, err
		}
		if seen, err = s.appendStanding(seen, v, op.Key); err != nil {
			return nil, h, err
		}
	}
	order.By(seen, change.Version.Compare)
	return slices.Compact(seen), h, nil
}

// appendStanding appends a version, or, where the hub refused it, what it had replaced: that is visible again, and is what a write over it
// replaces.
func (f *fold) appendStanding(to []change.Version, v change.Version, key change.Key) ([]change.Version, error) {
	if refused, err := f.isRefused(v); err != nil {
		return nil, err
	} else if !refused {
		return append(to, v), nil
	}
	batch, _, ok, err := f.log.FindAt(f.ctx, v, f.head.commit+1)
	if err != nil || !ok {
		return to, unlessDamaged(err)
	}
	var parents []change.Version
	if _, err := change.Walk(batch, func(m change.Mutation) bool {
		if m.Key == key {
			parents = slices.Clone(m.Parents)
		}
		return m.Key != key
	}); err != nil {
		return nil, err
	}
	for _, p := range parents {
		if to, err = f.appendStanding(to, p, key); err != nil {
			return nil, err
		}
	}
	return to, nil
}

// today returns the name that a version has now which the caller saw as a leaf of an object; the object's leaves are those of now.
// What this replica wrote may have been written again under a new id. A leaf that has the old name is not that: it came from a
// copy of this replica that kept the id.
func (s *stage) today(v change.Version, leaves []change.Version) change.Version {
	for _, a := range s.state.aliases {
		if slices.Contains(leaves, v) {
			break
		}
		v = a.Map(v)
	}
	return v
}

// held refuses a version that this replica does not have: the hub would refuse the whole batch for it.
func (s *stage) held(v change.Version) error {
	if v.Device == s.state.device && v.Gen <= s.state.lastGen && v.Gen > 0 {
		return nil
	}
	for _, a := range s.state.aliases {
		if v.Device == a.Old && v.Gen <= a.Common && v.Gen > 0 {
			return nil
		}
	}
	rec, err := s.device(v.Device)
	if err != nil {
		return err
	}
	if v.Gen == 0 || v.Gen > rec.Last {
		return errorf(Invalid, "the version %s was named as seen, and this replica does not have it: name one of an Entry that it gave", v)
	}
	return nil
}

func (s *stage) check(c *Check) error {
	v, _, err := s.view(c.Key)
	if err != nil {
		return err
	}
	want := slices.Clone(c.Frontier)
	for i := range want {
		want[i] = s.today(want[i], v.Frontier())
	}
	order.By(want, change.Version.Compare)
	if !slices.Equal(want, v.Frontier()) {
		return ErrChanged
	}
	return nil
}
