package core

import (
	"context"
	"encoding/binary"

	"vsync/core/change"
	"vsync/core/changelog"
)

// Head returns the end of the hub's feed.
func (r *Replica) Head() change.Marker {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head.marker
}

// Lineage returns the hub's identity.
func (r *Replica) Lineage() change.Lineage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head.lineage
}

// OnFeed sets what is called after each commit with the feed entries that it brought: in order, one call at a time, on the
// committer's goroutine, so it must not block and must not write. Nil takes it away.
func (r *Replica) OnFeed(fn func([]FeedEntry)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onFeed = fn
}

// ReadFeed returns the entries after a sequence, about maxBytes of them and at least one if there is any.
func (r *Replica) ReadFeed(ctx context.Context, after uint64, maxBytes int) (out []FeedEntry, err error) {
	err = r.mending(ctx, func() error { out, err = r.readFeed(ctx, after, maxBytes); return err })
	return out, err
}

func (r *Replica) readFeed(ctx context.Context, after uint64, maxBytes int) ([]FeedEntry, error) {
	if err := r.readable(); err != nil {
		return nil, err
	}
	end := r.Head().Seq
	var out []FeedEntry
	size := 0
	for full := false; after < end && !full; {
		recs, err := r.log.BySeq(ctx, after+1)
		if err != nil {
			return nil, typed(err, "reading the feed")
		}
		next := after + 1
		err = eachEntry(recs, func(seq uint64, e *change.Entry, bytes []byte, running change.Hash) bool {
			if seq < next || seq > end {
				return seq < next
			}
			if full = len(out) > 0 && size+len(bytes) > maxBytes; full || seq != next {
				return false
			}
			out, size, next = append(out, feedEntry(seq, e, bytes, running)), size+len(bytes), next+1
			return true
		})
		if err == nil && next == after+1 && !full {
			err = errorf(Corrupt, "the feed has no sequence %d, and ends at %d", next, end)
		}
		if err != nil {
			return nil, typed(err, "reading the feed")
		}
		after = next - 1
	}
	return out, nil
}

// eachEntry visits the feed entries of a hub's commits until visit returns false. The running hash goes on from where each commit says it began.
func eachEntry(recs []changelog.Record, visit func(seq uint64, e *change.Entry, bytes []byte, running change.Hash) bool) error {
	var running change.Hash
	for _, rec := range recs {
		for _, it := range rec.Items {
			switch it.Kind {
			case changelog.ItemBefore:
				m, err := change.DecodeMarker(it.Data)
				if err != nil {
					return wrapf(Corrupt, err, "commit %d of the log", rec.Commit)
				}
				running = m.Hash
			case changelog.ItemEntry:
				seq, e, err := entryOf(it)
				if err != nil {
					return wrapf(Corrupt, err, "commit %d of the log", rec.Commit)
				}
				running = e.FeedHash(running)
				_, w := binary.Uvarint(it.Data)
				if !visit(seq, e, it.Data[w:], running) {
					return nil
				}
			}
		}
	}
	return nil
}

// Settlement finds what a device's hello and the hub have in common: the highest generation named in the hello that the hub
// has too, and the hub's last one with its hash.
func (r *Replica) Settlement(ctx context.Context, d change.DeviceID, base change.Generation, baseHash change.Hash, own []change.Hash) (common, last change.Generation, lastHash change.Hash, err error) {
	err = r.mending(ctx, func() error {
		common, last, lastHash, err = r.settlement(ctx, d, base, baseHash, own)
		return err
	})
	return common, last, lastHash, err
}

func (r *Replica) settlement(ctx context.Context, d change.DeviceID, base change.Generation, baseHash change.Hash, own []change.Hash) (common, last change.Generation, lastHash change.Hash, err error) {
	rec, err := readDevice(ctx, r.tables, d)
	if err != nil {
		return 0, 0, change.Hash{}, typed(err, "looking a device up")
	}
	// What agrees at one generation agrees at all before it: the hashes are chained. Between them, the highest is searched.
	agrees := func(g change.Generation) (bool, error) {
		want := baseHash
		if g > base {
			want = own[g-base-1]
		}
		if g == rec.Last {
			return rec.Hash == want, nil
		}
		have, err := r.hashOf(ctx, change.Version{Device: d, Gen: g})
		return have == want, err
	}
	low, high := base, min(rec.Last, base+change.Generation(len(own)))
	for g := high; low <= high && g > 0; g = low + (high-low+1)/2 {
		ok, err := agrees(g)
		if err != nil {
			return 0, 0, change.Hash{}, err
		}
		if ok {
			common, low = g, g+1
		} else {
			high = g - 1
		}
	}
	return common, rec.Last, rec.Hash, nil
}

// hashOf is the hash of a batch in the feed, of a void one too; zero where it is not known.
func (r *Replica) hashOf(ctx context.Context, v change.Version) (change.Hash, error) {
	batch, _, ok, err := r.log.Find(ctx, v)
	if err != nil {
		return change.Hash{}, typed(err, "looking a batch up")
	}
	if ok {
		h, _, err := change.DecodeHeader(batch)
		return h.Hash, typed(err, "looking a batch up")
	}
	val, _, err := r.tables.GetRow(ctx, versionRow(tableVoids, v))
	if err != nil || len(val) < 16 {
		return change.Hash{}, typed(err, "looking a batch up")
	}
	return change.Hash(val[:16]), nil
}
