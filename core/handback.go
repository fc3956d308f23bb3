package core

import (
	"context"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/device"
)

// What a hub does about what it lost. A place of the feed is known by the running hash up to it, which depends on the entries alone:
//
//	marker known ────────────────────────────▶ the stream begins behind it
//	marker unknown, with a trail ─▶ new epoch ─▶ the latest place of the trail that is known, or the beginning
//	entries handed back ─▶ MAC, next of its device, parents known ─▶ place: annotation and MAC as they were
//
// The epoch says that the feed is not what it was; it grows with the first device that notices. Entries that come back get new places,
// behind what was accepted since. They are not judged again: the hub said once, under its key, what it says of them.

// Whereabouts are the places of the feed that a device names.
type Whereabouts struct {
	Marker change.Marker  // up to where it has applied the feed
	Trail  []change.Place // earlier places, the latest first, where this hub did not know the marker
	Back   change.Place   // the feed's end when it had taken what the device handed back; zero: nothing was
}

// Locate finds where the stream for a device begins: behind its marker, if this feed has that place, or behind the latest place of
// its trail that this feed has. The marker that it returns is of the epoch in force.
//
// Errors: UNKNOWN_MARKER where the marker is unknown and there is no trail, or what was handed back is lost again.
func (r *Replica) Locate(ctx context.Context, at Whereabouts) (m change.Marker, err error) {
	err = r.mending(ctx, func() error { m, err = r.locate(ctx, at); return err })
	return m, err
}

func (r *Replica) locate(ctx context.Context, at Whereabouts) (change.Marker, error) {
	m, trail := at.Marker, at.Trail
	if err := r.readable(); err != nil {
		return m, err
	}
	if kept, err := r.knows(ctx, at.Back.Seq, at.Back.Hash); err != nil || !kept {
		if err == nil {
			err = errorf(UnknownMarker, "this feed does not have sequence %d with hash %s, behind which it had what was handed back: the hub has lost entries once more. Hand back again", at.Back.Seq, at.Back.Hash)
		}
		return m, typed(err, "looking for a place of the feed")
	}
	known, err := r.knows(ctx, m.Seq, m.Hash)
	if err != nil {
		return m, typed(err, "looking for a place of the feed")
	}
	if !known && len(trail) == 0 {
		h := r.Head()
		return m, errorf(UnknownMarker, "the marker names sequence %d of epoch %d with hash %s, which this feed does not have; it ends at %d of epoch %d: the hub has lost entries. Name earlier places", m.Seq, m.Epoch, m.Hash, h.Seq, h.Epoch)
	}
	least := m.Epoch
	if !known {
		least++
		m.Seq, m.Hash = 0, change.Hash{}
	}
	for i := 0; !known && i < len(trail); i++ {
		if known, err = r.knows(ctx, trail[i].Seq, trail[i].Hash); err != nil {
			return m, typed(err, "looking for a place of the feed")
		}
		if known {
			m.Seq, m.Hash = trail[i].Seq, trail[i].Hash
		}
	}
	m.Epoch, err = r.raiseEpoch(ctx, least)
	return m, err
}

// knows says whether the running hash of this feed after a sequence is the one that is given.
func (r *Replica) knows(ctx context.Context, seq uint64, hash change.Hash) (bool, error) {
	h := r.Head()
	switch {
	case seq > h.Seq:
		return false, nil
	case seq == 0:
		return hash.IsZero(), nil
	case seq == h.Seq:
		return hash == h.Hash, nil
	}
	recs, err := r.log.BySeq(ctx, seq)
	if err != nil {
		return false, err
	}
	var have change.Hash
	err = eachEntry(recs, func(at uint64, _ *change.Entry, _ []byte, running change.Hash) bool {
		if at == seq {
			have = running
		}
		return at < seq
	})
	return have == hash, err
}

// raiseEpoch lets the feed's epoch grow to at least the given one, and returns what it is. Devices' markers say what it was: one that
// is out of all reason is not believed, or the numbers would end.
func (r *Replica) raiseEpoch(ctx context.Context, least uint64) (epoch uint64, err error) {
	if epoch = r.Head().Epoch; least <= epoch {
		return epoch, nil
	}
	err = r.submit(ctx, &request{weight: 64, strict: true, form: func(s *stage) error {
		m := &s.state.marker
		if epoch = m.Epoch; least <= epoch {
			return nil
		}
		m.Epoch = min(least, epoch+maxEpochStep)
		epoch = m.Epoch
		if m.Seq == 0 { // as before the first entry: the log has to tell whose it is
			s.add(changelog.ItemIdentity, s.state.lineage[:])
		}
		s.add(changelog.ItemEpoch, m.Encode())
		return nil
	}})
	return epoch, err
}

// TakeBack gives places to entries that a device hands back, oldest first, in one commit, and says how many it took and where the feed
// ends then. Passed by is what the hub has; what it never said, by the MAC; and what follows on something that is missing. Orphans
// are those of the connection.
func (r *Replica) TakeBack(ctx context.Context, entries [][]byte, orphans *Orphans) (taken int, head change.Marker, err error) {
	if r.cfg.Role != RoleHub {
		return 0, head, errorf(Invalid, "only a hub's replica takes entries back")
	}
	weight := 0
	for _, e := range entries {
		weight += len(e) + 64
	}
	err = r.mendingSubmit(ctx, &request{weight: weight, strict: true, form: func(s *stage) error {
		taken = 0
		for _, bytes := range entries {
			took, err := r.takeBack(s, bytes, orphans)
			if err != nil {
				return err
			}
			if took {
				taken++
			}
		}
		head = s.state.marker
		return nil
	}})
	return taken, head, err
}

func (r *Replica) takeBack(s *stage, bytes []byte, o *Orphans) (bool, error) {
	e, b, err := change.DecodeEntryBatch(bytes)
	if err != nil || e.Kind == change.EntryLost || e.VerifyMAC(r.cfg.HubKey, s.state.lineage) != nil || b != nil && b.IsPartial {
		return false, nil
	}
	v := e.Version
	rec, err := s.device(v.Device)
	if err != nil {
		return false, err
	}
	if v.Gen <= rec.Last {
		have, err := s.hashAt(r, v, rec)
		if err != nil || have.IsZero() || have == e.Hash {
			return false, err
		}
	}
	before, follows := o.named[change.Version{Device: v.Device, Gen: v.Gen - 1}]
	switch {
	case b == nil && follows: // a refusal among orphans: of whom nobody asks
		o.add(v, orphan{hash: e.Hash, now: before.now, end: before.end})
		return false, nil
	case b == nil && v.Gen <= rec.Last: // the first of them
		o.add(v, orphan{hash: e.Hash, now: change.Version{Device: device.ReentryID(v.Device, v.Gen-1, e.Hash)}})
		return false, nil
	case b == nil:
		return r.takeVoidBack(s, e, rec)
	case v.Gen != rec.Last+1 || b.Follows(rec.Hash) != nil:
		return r.adopt(s, o, e, b, rec)
	}
	if len(o.named) > 0 {
		e.Annotation.EParents = o.effective(b, &e.Annotation)
	}
	if gap, err := s.unknownParent(b, &e.Annotation); err != nil || gap != (change.Version{}) {
		return false, err
	}
	switch known, err := r.knownAgain(s, v); {
	case err != nil:
		return false, err
	case known != nil && known.hash == e.Hash:
		return true, r.keep(s, b, known.now)
	case known != nil:
		known.replacedAlready(b, &e.Annotation)
	}
	return true, r.place(s, e, b)
}

func (r *Replica) takeVoidBack(s *stage, e *change.Entry, rec device.Record) (bool, error) {
	if e.Version.Gen != rec.Last+1 {
		return false, nil
	}
	return true, r.placeVoid(s, e, encodeVoid(e.Hash, nil, nil))
}
