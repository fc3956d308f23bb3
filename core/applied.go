package core

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"vsync/core/change"
	"vsync/core/changelog"
)

// What was applied of the feed, read from the log again: for a hub that lost it.

// Trail returns earlier places of the feed that is applied, the latest first, at steps that double, and the beginning as the
// last: at most 64.
func (r *Replica) Trail(ctx context.Context) ([]change.Place, error) {
	if err := r.readable(); err != nil {
		return nil, err
	}
	places, _, err := r.places(ctx)
	if err != nil {
		return nil, typed(err, "looking for earlier places of the feed")
	}
	var out []change.Place
	for back := 1; back <= len(places) && len(out) < maxTrail-1; back *= 2 {
		out = append(out, places[len(places)-back])
	}
	return append(out, change.Place{}), nil
}

// places returns the places of the feed at which commits ended, and which were not left, in order; and the sequence with which a base
// begins, 0 where there is none.
func (r *Replica) places(ctx context.Context) (out []change.Place, begin uint64, err error) {
	r.mu.Lock()
	gone, base, upTo := r.head.rewinds, r.head.beginsAt(), r.head.commit
	r.mu.Unlock()
	err = r.eachItem(ctx, base, upTo, func(commit uint64, it changelog.Item) (bool, error) {
		if it.Kind != changelog.ItemMarker {
			return true, nil
		}
		m, err := change.DecodeMarker(it.Data)
		if base > 1 && begin == 0 && len(out) == 0 {
			begin = m.Seq
		}
		if err == nil && !leaves(gone, commit, m.Seq) && (len(out) == 0 && m.Seq > 0 || len(out) > 0 && m.Seq > out[len(out)-1].Seq) {
			out = append(out, change.Place{Seq: m.Seq, Hash: m.Hash})
		}
		return true, err
	})
	return out, begin, err
}

// eachItem visits the items of commits, until visit returns false. What is lost in a hole is passed over.
func (r *Replica) eachItem(ctx context.Context, from, upTo uint64, visit func(commit uint64, it changelog.Item) (bool, error)) error {
	holes := r.log.Holes()
	for next := max(from, 1); next <= upTo; {
		if i := slices.IndexFunc(holes, func(h changelog.Hole) bool { return h.First <= next && next <= h.Last }); i >= 0 {
			next = holes[i].Last + 1
			continue
		}
		recs, err := r.log.Records(ctx, next)
		if err != nil {
			return err
		}
		if len(recs) == 0 {
			return errorf(Corrupt, "commit %d is not in the log, which ends at %d", next, upTo)
		}
		for _, rec := range recs {
			if rec.Commit > upTo {
				return nil
			}
			for _, it := range rec.Items {
				if more, err := visit(rec.Commit, it); err != nil || !more {
					return err
				}
			}
			next = rec.Commit + 1
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// AppliedCursor is a place in what a device has applied.
type AppliedCursor struct {
	Seq    uint64 // what comes behind it is read
	Left   bool   // so is all that was left, in the order in which it was applied; Seq then only counts what was read
	behind uint64 // Left: what Seq was at the beginning
	commit uint64 // in which to look for it
	item   int    // Left: items of the commit that were read
}

// Applied returns entries of the feed that were applied, as they came, behind a place: about maxBytes of them and at least one
// if there is any; and where to go on.
func (r *Replica) Applied(ctx context.Context, at AppliedCursor, maxBytes int) (entries [][]byte, next AppliedCursor, err error) {
	if err := r.readable(); err != nil {
		return nil, at, err
	}
	r.mu.Lock()
	gone, upTo := r.head.rewinds, r.head.commit
	r.mu.Unlock()
	if at.Left && at.commit == 0 {
		at.behind = at.Seq
	}
	size, in, n := 0, uint64(0), 0
	holes := len(r.log.Holes()) > 0
	err = r.eachItem(ctx, at.commit, upTo, func(commit uint64, it changelog.Item) (bool, error) {
		if commit != in {
			in, n = commit, 0
		}
		n++
		if takes, err := at.takes(gone, commit, n, it, holes); !takes {
			return err == nil, err
		}
		bytes, err := r.entryBytes(ctx, commit, it)
		if (holes || at.Left) && errors.Is(err, errUnheld) {
			return true, nil // it was given up with its id, and is pushed under another name; or it is lost
		}
		if err != nil {
			return false, err
		}
		if len(entries) > 0 && size+len(bytes) > maxBytes {
			return false, nil
		}
		entries, size = append(entries, bytes), size+len(bytes)
		at = AppliedCursor{at.Seq + 1, at.Left, at.behind, commit, n}
		return true, nil
	})
	return entries, at, typed(err, "reading what was applied")
}

// takes says whether an item is to be read, the n-th of its commit. In a log with holes, places of the feed may be missing.
func (at *AppliedCursor) takes(gone []rewind, commit uint64, n int, it changelog.Item, holes bool) (bool, error) {
	if it.Kind != changelog.ItemEntry && it.Kind != changelog.ItemConfirm {
		return false, nil
	}
	seq, _ := binary.Uvarint(it.Data)
	left := leaves(gone, commit, seq)
	switch {
	case at.Left:
		return (commit > at.commit || n > at.item) && (left || seq > at.behind), nil
	case left || seq <= at.Seq:
		return false, nil
	case seq != at.Seq+1 && holes:
		at.Seq = seq - 1
	case seq != at.Seq+1:
		return false, errorf(Corrupt, "commit %d holds sequence %d of the feed, and %d expected", commit, seq, at.Seq+1)
	}
	return true, nil
}

// entryBytes is the entry that an item of the log stands for.
func (r *Replica) entryBytes(ctx context.Context, commit uint64, it changelog.Item) ([]byte, error) {
	if it.Kind == changelog.ItemEntry {
		_, w := binary.Uvarint(it.Data)
		return it.Data[w:], nil
	}
	_, e, err := (&fold{ctx: ctx, log: r.log}).confirmOf(commit, it)
	if err != nil {
		return nil, err
	}
	return e.Encode()
}
