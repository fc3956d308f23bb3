package core

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/fmt"
	"vsync/core/merge"
	"vsync/core/objects"
	"vsync/core/order"
	"vsync/core/store"
)

// A batch that the hub refused, and what becomes of it:
//
//	void in the feed ─▶ problem: listed with its values ─┬─ Dismiss ─────────────────▶ settled
//	                                                     └─ Retry: a batch of its own ─▶ settled    (in one commit)
//
// What is settled is listed no more. That it was refused stays known: WaitSynced of it goes on to fail with the hub's reason.

// Problem is a batch of this device that the hub refused, with what it would have written. It is listed until it is
// dismissed.
type Problem struct {
	Version       change.Version
	Time          uint64 // when the hub refused it, ms since 1970
	Code, Message string
	Ops           []Op
}

// Problems lists what was refused and not dismissed.
func (r *Replica) Problems(ctx context.Context) ([]Problem, error) {
	if err := r.readable(); err != nil {
		return nil, err
	}
	s := r.tables.Snapshot()
	defer s.Release()
	var out []Problem
	for kv, err := range s.Scan(ctx, tableProblems, "", "", false) {
		if err != nil {
			return nil, typed(err, "listing problems")
		}
		v, ok := versionOfKey(kv.Key)
		rec, err := decodeProblem(kv.Value)
		if !ok || err != nil {
			return nil, wrapf(Corrupt, err, "the problem %x cannot be read", kv.Key)
		}
		p := Problem{Version: v, Time: rec.Accepted, Code: rec.Reason.Code, Message: rec.Reason.Message}
		if p.Ops, err = r.opsOf(ctx, v); unlessDamaged(err) != nil {
			return nil, err
		} else if err != nil {
			p.Message += " (its values stand in a damaged segment of the log)"
		}
		out = append(out, p)
	}
	cut, err := r.stranded(ctx)
	return append(append(out, cut...), r.notUnderstood()...), err
}

// notUnderstood lists rules of newer engines. They are not dismissed: a newer engine understands them.
func (r *Replica) notUnderstood() (out []Problem) {
	r.mu.Lock()
	list := r.head.rules
	r.mu.Unlock()
	for i := range list {
		if names := list[i].rules.Unknown(); len(names) > 0 {
			out = append(out, Problem{Version: list[i].leaf.Version, Time: list[i].leaf.Stamp, Code: string(VersionUnknown),
				Message: fmt.Sprintf("the rules of the collection %q name %s, which this engine does not know: what comes last is shown, until a newer engine opens the database", list[i].collection, strings.Join(names, ", "))})
		}
	}
	return out
}

// refusedBatch finds a batch of this device in the log. Where a hub that had lost its refusal has taken another one under its name, from a
// copy of this device, the log finds that.
func (r *Replica) refusedBatch(ctx context.Context, v change.Version) (batch []byte, ok bool, err error) {
	batch, rec, ok, err := r.log.Find(ctx, v)
	if err != nil || !ok || !r.wentBack() {
		return batch, ok, err
	}
	if writtenHere(&rec, batch) {
		return batch, true, nil
	}
	batch, ok = nil, false
	err = r.eachItem(ctx, 1, rec.Commit, func(_ uint64, it changelog.Item) (bool, error) {
		if it.Kind == changelog.ItemBatch {
			if have, is := change.PeekVersion(it.Data); is && have == v {
				batch, ok = it.Data, true
			}
		}
		return !ok, nil
	})
	return batch, ok, err
}

// writtenHere says that a batch that was found in a commit was written by this replica, and did not come with the feed.
func writtenHere(rec *changelog.Record, batch []byte) bool {
	return slices.ContainsFunc(rec.Items, func(it changelog.Item) bool {
		b := changelog.BatchBytes(it)
		return it.Kind == changelog.ItemBatch && len(b) > 0 && &b[0] == &batch[0]
	})
}

func (r *Replica) opsOf(ctx context.Context, v change.Version) (ops []Op, err error) {
	batch, ok, err := r.refusedBatch(ctx, v)
	if err != nil || !ok {
		return nil, typed(err, "reading a refused batch")
	}
	ops, err = opsIn(batch)
	return ops, typed(err, "reading a refused batch")
}

func opsIn(batch []byte) (ops []Op, err error) {
	_, err = change.Walk(batch, func(m change.Mutation) bool {
		ops = append(ops, Op{Key: m.Key, Delete: m.Kind == change.Delete, Value: bytes.Clone(m.Value), Seen: m.Parents})
		return true
	})
	return ops, err
}

// Dismiss takes a problem off the list. Its values stay in the log as long as history does.
//
// Errors: INVALID where there is no such problem.
func (r *Replica) Dismiss(ctx context.Context, v change.Version) error {
	if done, err := r.dismissStranded(ctx, v); done || err != nil {
		return err
	}
	return r.submit(ctx, &request{weight: 64, form: func(s *stage) error {
		_, err := s.settleProblem(v)
		return err
	}})
}

// Retry writes anew what a refused batch had, over what is there now, and takes the problem off the list: in one commit, so that
// neither can happen without the other.
//
// Errors: INVALID where there is no such problem; as Write for what cannot be written now.
func (r *Replica) Retry(ctx context.Context, v change.Version) (rec Receipt, err error) {
	if rec, done, err := r.retryStranded(ctx, v); done || err != nil {
		return rec, err
	}
	err = r.submit(ctx, &request{strict: r.cfg.Durability == store.Strict, weight: groupBytes, form: func(s *stage) error {
		name, err := s.settleProblem(v)
		if err != nil {
			return err
		}
		w, err := r.again(s.ctx, name)
		if err == nil {
			err = r.rebase(s, &w, name)
		}
		if err == nil {
			rec.Version, err = r.form(s, &w)
		}
		return err
	}})
	return rec, err
}

// again is the write that made a refused batch; what it replaces is decided anew.
func (r *Replica) again(ctx context.Context, v change.Version) (w Write, err error) {
	if w.Ops, err = r.opsOf(ctx, v); err != nil {
		return w, err
	}
	if len(w.Ops) == 0 {
		return w, errorf(Invalid, "the values of %s are not kept any more: dismiss it, and write them again", v)
	}
	for i := range w.Ops {
		w.Ops[i].Seen = nil
	}
	batch, _, err := r.refusedBatch(ctx, v)
	if err != nil {
		return w, err
	}
	h, _, err := change.DecodeHeader(batch)
	w.Note = h.Note
	return w, err
}

// rebase has a write that is made again change what the refused one changed, where its collection has field rules: what it wrote knew
// nothing of what came since.
func (r *Replica) rebase(s *stage, w *Write, v change.Version) error {
	batch, ok, err := r.refusedBatch(s.ctx, v)
	if err != nil || !ok {
		return err
	}
	changes := map[change.Key][]byte{}
	if _, err := change.Walk(batch, func(m change.Mutation) bool {
		changes[m.Key] = bytes.Clone(m.Changes)
		return true
	}); err != nil {
		return err
	}
	for i := range w.Ops {
		op := &w.Ops[i]
		rules := s.state.rulesOf(op.Key.Collection)
		if op.Delete || !rules.Merges() || changes[op.Key] == nil {
			continue
		}
		if _, _, err := s.view(op.Key); err != nil {
			return err
		}
		op.Value = bytes.Clone(rules.Apply(shownState(&s.obj), merge.Write{Version: v, Changes: changes[op.Key], Value: op.Value}).Value)
	}
	return nil
}

// settleProblem takes a problem off the list, and returns the name that it is listed by: it may be called by one from before
// a re-entry. Where a copy has had the hub refuse it by such a name too, it is listed twice, and settled by both.
func (s *stage) settleProblem(v change.Version) (listed change.Version, err error) {
	now := s.state.today(v)
	for i, name := range append([]change.Version{v, now}, s.state.names(now)...) {
		if i > 0 { // a copy that kept the id may have written them under what is another's old name here
			if err := s.state.staysProblem(v); err != nil {
				return name, err
			}
		}
		row, err := s.get(versionRow(tableProblems, name))
		if err != nil {
			return name, err
		}
		if row == nil {
			continue
		}
		row = bytes.Clone(row)
		s.add(changelog.ItemSettled, append([]byte(versionKey(name)), row...))
		if err := s.settled(name, row); err != nil {
			return name, err
		}
		if listed.Device.IsZero() {
			listed = name
		}
	}
	if listed.Device.IsZero() {
		return v, errorf(Invalid, "there is no problem %s: list them", v)
	}
	return listed, nil
}

// staysProblem refuses to settle rules that are in force and not understood.
func (h *head) staysProblem(v change.Version) error {
	for i := range h.rules {
		if r := &h.rules[i]; r.leaf.Version == v && len(r.rules.Unknown()) > 0 {
			return errorf(Invalid, "the rules of the collection %q stay a problem until an engine opens the database that knows what they name, or newer rules are written: wait, or update", r.collection)
		}
	}
	return nil
}

// settled moves a problem from one table to the other. A row that is nil is not known any more: logs of before had only the name.
func (f *fold) settled(v change.Version, row []byte) error {
	name := versionRow(tableProblems, v)
	if stale, err := f.rows.stale(name); err != nil {
		return err
	} else if !stale {
		if was, err := f.rows.get(name); err != nil || was == nil {
			return err // in a history without its refusal there is nothing to settle
		}
		f.rows.set(name, nil)
	}
	name = versionRow(tableSettled, v)
	if stale, err := f.rows.stale(name); err != nil || stale || row == nil {
		return err
	}
	f.rows.set(name, row)
	return nil
}

// isRefused says that a batch of this device is known as one that the hub refused, whether that was dismissed or not.
func (f *fold) isRefused(v change.Version) (bool, error) {
	for _, table := range []byte{tableProblems, tableSettled} {
		if row, err := f.rows.get(versionRow(table, v)); err != nil || row != nil {
			return err == nil, err
		}
	}
	return false, nil
}

// isSettled says that a batch of this device is one whose refusal was dismissed, or stands for it behind a re-entry, or has stood for it
// before: if the hub refuses that again, as a copy of this device may have it do, it is listed no more.
func (f *fold) isSettled(v change.Version) (bool, error) {
	now := f.head.today(v)
	for _, name := range append(f.head.names(now), now, v) {
		if row, err := f.rows.get(versionRow(tableSettled, name)); err != nil || row != nil {
			return err == nil, err
		}
	}
	return false, nil
}

// withoutSettled puts stand-ins in the place of batches whose refusal was dismissed: they are not written again with those around them.
// What was written over one of them is over what that had replaced, as the hub would have it.
func (s *stage) withoutSettled(old []*change.Batch) error {
	gone := map[change.Version]bool{}
	for i, b := range old {
		v := b.Version()
		row, err := s.get(versionRow(tableSettled, v))
		if err != nil {
			return err
		}
		if row == nil {
			if err := s.passOver(b, gone); err != nil {
				return err
			}
			continue
		}
		if shown, err := s.shows(b); err != nil {
			return err
		} else if !shown { // else an older engine went back, and took it for unsent
			old[i], gone[v] = standIn(v, b.Stamp), true
			old[i].Hash = b.Hash   // the new id is made of it
			old[i].Nonce = b.Nonce // whose tab asks again is answered as before
		}
	}
	return nil
}

// passOver has a batch replace, in the place of some that are gone, what those had replaced.
func (s *stage) passOver(b *change.Batch, gone map[change.Version]bool) (err error) {
	for i := range b.Mutations {
		m := &b.Mutations[i]
		if !slices.ContainsFunc(m.Parents, func(p change.Version) bool { return gone[p] }) {
			continue
		}
		var standing []change.Version
		for _, p := range m.Parents {
			if !gone[p] {
				standing = append(standing, p)
			} else if standing, err = s.appendStanding(standing, p, m.Key); err != nil {
				return err
			}
		}
		order.By(standing, change.Version.Compare)
		standing = slices.Compact(standing)
		m.Parents = standing[:min(len(standing), change.MaxParents)]
	}
	return nil
}

// shows says that an object shows a batch among what is unsent, if only folded into another under field rules.
func (s *stage) shows(b *change.Batch) (bool, error) {
	for i := range b.Mutations {
		row, err := s.get(objectRow(b.Mutations[i].Key))
		if err != nil {
			return false, err
		}
		o := &objects.Object{}
		if err := o.Load(row); err != nil {
			return false, wrapf(Corrupt, err, "the object %s cannot be read", b.Mutations[i].Key)
		}
		if slices.Contains(o.Own, b.Version()) || slices.ContainsFunc(o.Pending, func(p objects.Pending) bool { return p.Version == b.Version() }) {
			return true, nil
		}
	}
	return false, nil
}

// settledOf reads an ItemSettled or an ItemDismiss.
func settledOf(it changelog.Item) (v change.Version, row []byte, err error) {
	c := &cutter{b: it.Data}
	copy(v.Device[:], c.take(16))
	v.Gen = change.Generation(c.be64())
	if it.Kind == changelog.ItemSettled {
		row = bytes.Clone(c.b)
	}
	return v, row, c.err
}

// refusal is the error of a batch that the hub refused; nil if it took it.
func (r *Replica) refusal(ctx context.Context, v change.Version) error {
	for _, table := range []byte{tableProblems, tableSettled} {
		b, ok, err := r.tables.GetRow(ctx, versionRow(table, v))
		if err != nil {
			return typed(err, "waiting for the hub")
		}
		if !ok {
			continue
		}
		p, err := decodeProblem(b)
		if err != nil {
			return wrapf(Corrupt, err, "the problem %s cannot be read", v)
		}
		text := "the hub refused the batch; its values are kept among the problems: "
		if table == tableSettled {
			text = "the hub refused the batch, which was dismissed or written anew since: "
		}
		return &Error{Code: Code(p.Reason.Code), Gen: v.Gen, Message: text + p.Reason.Message}
	}
	return nil
}

// problemRecord is why a batch of this device was refused; its values stay in the log.
type problemRecord struct {
	Accepted uint64 // when, ms
	Reason   change.Reason
}

func (p problemRecord) encode() []byte {
	b := change.AppendUvarint(nil, p.Accepted)
	b = change.AppendUvarint(b, uint64(len(p.Reason.Code)))
	b = append(b, p.Reason.Code...)
	return append(b, p.Reason.Message...)
}

func decodeProblem(b []byte) (p problemRecord, err error) {
	r := &cutter{b: b}
	p.Accepted = r.uvarint()
	p.Reason.Code = string(r.bytes())
	p.Reason.Message = string(r.b)
	return p, r.err
}
