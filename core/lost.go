package core

import (
	"context"
	"errors"
	"slices"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/objects"
	"vsync/core/store"
)

// An own batch that was not sent yet may stand in a segment that is damaged. What it wrote is in the pages still, as far as nothing
// was written over it; its bytes, and with them its hash, are gone:
//
//	own: 1 … 4 │ 5 6 (7) 8       4: the last that the feed has passed; (7) cannot be read
//	hello:       5 6             what the hub knows of 7 it says by its last, or the feed brings it: then it is whole again
//	push:        5 6, then 7 ─▶ LOST ─▶ a parting connection: nothing is pushed, all that the hub has is applied
//	re-entry:    N:1 N:2 N:3 N:4  8 and what is not at the hub is written again; 7 is what the pages show of it
//
// A lost batch keeps its place among the new generations, since others name them. If nothing of it is left, it deletes an object
// that never was.

// lostCollection and the batch's name are the key of what stands for a batch of which nothing is left.
const lostCollection = change.SystemPrefix + "lost"

// leftNote begins the note of what stands for a lost batch.
const leftNote = "what was left of "

// ownBatch returns the bytes of one of this device's batches; lost where the log should have them, and they cannot be read.
func (r *Replica) ownBatch(ctx context.Context, v change.Version) (batch []byte, lost bool, err error) {
	batch, _, ok, err := r.log.Find(ctx, v)
	if unlessDamaged(err) == nil && !ok {
		return nil, true, nil
	}
	return batch, false, typed(err, "reading an unsent batch")
}

// lostBatch is the error of a batch that cannot be sent.
func lostBatch(v change.Version) error {
	return &Error{Code: Corrupt, Gen: v.Gen, Message: "the batch " + v.String() + ", which the hub may not have, stands in a damaged segment of the log: what the pages show of it is written again"}
}

// IsLost says that an error is about an own batch that cannot be read, and so not be sent: Reenter writes again what is left of it.
func IsLost(err error) bool {
	e, is := errors.AsType[*Error](err)
	return is && e.Code == Corrupt && e.Gen > 0
}

// heldFrom is the lowest own generation from which on all are readable, behind one that is lost.
func (r *Replica) heldFrom(ctx context.Context, h *head, lost change.Generation) (change.Generation, error) {
	from := lost + 1
	for g := from; g <= h.lastGen; g++ {
		_, gone, err := r.ownBatch(ctx, change.Version{Device: h.device, Gen: g})
		if err != nil {
			return 0, err
		}
		if gone {
			from = g + 1
		}
	}
	return from, nil
}

// sameWay says whether the hub's last batch of this device can be this device's own, where that is lost: the one behind it tells, if it
// can be read.
func (r *Replica) sameWay(ctx context.Context, h *head, w Welcome) (bool, error) {
	next, lost, err := r.ownBatch(ctx, change.Version{Device: h.device, Gen: w.Last + 1})
	if err != nil || lost {
		return err == nil, err
	}
	header, _, err := change.DecodeHeader(next)
	return err == nil && header.Follows(w.LastHash) == nil, typed(err, "connecting")
}

// remains makes batches of what the pages show of lost ones, and lists these as damaged.
func (r *Replica) remains(s *stage, lost []change.Version) (map[change.Version]*change.Batch, error) {
	out := map[change.Version]*change.Batch{}
	if len(lost) == 0 {
		return out, nil
	}
	for _, v := range lost {
		out[v] = &change.Batch{Header: change.Header{Device: v.Device, Gen: v.Gen, Note: leftNote + v.String()}}
		tx := &store.Tx{}
		putAside(tx, quarantined{inc: r.inc, number: r.harm.number(), Finding: Finding{Scope: ScopeSegment, Missing: true, What: v.String(), Time: r.cfg.Now(), Commit: s.state.commit,
			Reason: "the batch " + v.String() + ", which was not sent, cannot be read: what the pages showed of it was written again"}})
		s.beside = append(s.beside, tx.Ops...)
	}
	snap := r.tables.Snapshot()
	defer snap.Release()
	for kv, err := range snap.Scan(s.ctx, tableObjects, "", "", false) {
		if err != nil {
			return nil, err
		}
		key, err := change.DecodeKey([]byte(kv.Key))
		if err != nil {
			return nil, err
		}
		o, err := objects.Decode(kv.Value)
		if err != nil {
			return nil, err
		}
		for i := range o.Pending {
			p := &o.Pending[i]
			b := out[p.Version]
			if b == nil || len(b.Mutations) == change.MaxMutations {
				continue
			}
			m := change.Mutation{Kind: change.Put, Key: key, Value: slices.Clone(p.Value), Parents: p.Replaces()}
			if p.Deleted {
				m.Kind = change.Delete
			}
			b.Stamp = max(b.Stamp, p.Stamp)
			b.Mutations = append(b.Mutations, m)
		}
	}
	for v, b := range out {
		if len(b.Mutations) == 0 {
			out[v] = standIn(v, r.cfg.Now())
		}
	}
	return out, nil
}

// isStandIn says that nothing of a batch is left.
func isStandIn(b *change.Batch) bool {
	return len(b.Mutations) == 1 && b.Mutations[0].Key.Collection == lostCollection
}

// standIn keeps a batch's place among the generations, where nothing of it is to be written again.
func standIn(v change.Version, stamp uint64) *change.Batch {
	return &change.Batch{
		Header:    change.Header{Device: v.Device, Gen: v.Gen, Stamp: stamp, Note: leftNote + v.String()},
		Mutations: []change.Mutation{{Kind: change.Delete, Key: change.Key{Collection: lostCollection, ID: v.String()}}},
	}
}

// voidedLost is the error of a step that meets the refusal of an own batch that cannot be read. What the tables show of it is taken away first,
// in a commit of its own that says what they hold then: replay could not find that.
type voidedLost struct{ version change.Version }

func (e *voidedLost) Error() string {
	return "the hub has refused " + e.version.String() + ", which cannot be read here"
}

// voidedLost says that an entry is such a refusal, unless that was done already.
func (s *stage) voidedLost(e *change.Entry) error {
	v := e.Version
	if e.Kind != change.EntryVoid || e.Annotation.Reason.Code == keptCode || s.takenAway[v] || v.Device != s.state.device && !s.isAlias(v) || s.reads(v) {
		return nil
	}
	if rows, err := s.awaiting(v); err != nil || len(rows) == 0 {
		return err
	}
	return &voidedLost{v}
}

// awaiting are the objects of which a version is pending.
func (s *stage) awaiting(v change.Version) (rows []string, err error) {
	snap := s.tables.Snapshot()
	defer snap.Release()
	for kv, err := range snap.Scan(s.ctx, tableObjects, "", "", false) {
		if err == nil {
			err = s.obj.Load(kv.Value)
		}
		if err != nil {
			return nil, err
		}
		if s.obj.IsPending(v) {
			rows = append(rows, string(rune(tableObjects))+kv.Key)
		}
	}
	return rows, nil
}

// takeAway takes a version that was refused out of all objects.
func (r *Replica) takeAway(ctx context.Context, v change.Version) error {
	return r.submit(ctx, &request{alone: true, strict: true, form: func(s *stage) error {
		names, err := s.awaiting(v)
		if err != nil {
			return err
		}
		rows := map[string][]byte{}
		for _, row := range names {
			was, err := s.get(row)
			if err == nil {
				rows[row], err = withoutPending(was, []change.Version{v}, map[change.Version]bool{v: true})
			}
			if err != nil {
				return err
			}
		}
		data := rewindData(s.state.marker, rows, nil, nil, []change.Version{v}, s.state.rules, nil)
		s.add(changelog.ItemRewind, data)
		return s.goBack(data)
	}})
}
