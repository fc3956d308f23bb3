package watcher

import (
	"context"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire"
)

// changes applies the next entries of the feed: all of a frame in one commit.
func (s *Session) changes(ctx context.Context, now time.Time, m *wire.Changes) {
	arrivals := make([]core.Arrival, len(m.Entries))
	for i, entry := range m.Entries {
		arrivals[i] = core.Arrival{Seq: m.Seq + uint64(i), Entry: entry}
	}
	s.apply(ctx, now, arrivals, m.Hash, size(m.Entries))
}

// accepted applies the places that own batches have in the feed.
func (s *Session) accepted(ctx context.Context, now time.Time, m *wire.Accepted) {
	if !s.until.IsZero() {
		s.window.answered(m.Gen + change.Generation(len(m.Annotations)-1))
		return
	}
	arrivals := make([]core.Arrival, len(m.Annotations))
	for i, item := range m.Annotations {
		ann, mac, ok := wire.SplitAnnotation(item)
		if !ok {
			s.end(s.faulty(wire.CodeProtocol, "an annotation is too short"))
			return
		}
		arrivals[i] = core.Arrival{Seq: m.Seq + uint64(i), Gen: m.Gen + change.Generation(i), Ann: ann, MAC: mac}
	}
	s.apply(ctx, now, arrivals, m.Hash, size(m.Annotations))
}

// voided applies the place of an own batch that the hub refused for good.
func (s *Session) voided(ctx context.Context, now time.Time, m *wire.Voided) {
	if !s.until.IsZero() {
		s.window.answered(m.Gen)
		return
	}
	ann, mac, ok := wire.SplitAnnotation(m.Annotation)
	if !ok {
		s.end(s.faulty(wire.CodeProtocol, "an annotation is too short"))
		return
	}
	void := core.Arrival{Seq: m.Seq, Gen: m.Gen, Ann: ann, MAC: mac, Void: true}
	s.apply(ctx, now, []core.Arrival{void}, m.Hash, len(m.Annotation))
}

// apply stores arrivals, and the marker behind them, in one commit; after is the running hash of the
// feed there. Those that are stored already, a hub may send again: the replica passes over them.
func (s *Session) apply(ctx context.Context, now time.Time, arrivals []core.Arrival, after change.Hash, bytes int) {
	last := arrivals[len(arrivals)-1].Seq
	if last <= s.applied {
		return
	}
	err := s.replica.Apply(ctx, arrivals, after)
	if len(arrivals) > 1 && isolable(err) {
		err = s.applySingly(ctx, arrivals, after, err)
	}
	if err != nil {
		s.applied = max(s.applied, s.replica.State().Marker.Seq)
		s.unapplied(now, err)
		return
	}
	s.applied = last
	s.answered(now)
	s.part()
	if s.credit.spend(now, bytes, after) && s.stage == streaming {
		s.saySeen()
	}
}

// answered lets go of the pushes that what was applied has answered.
func (s *Session) answered(now time.Time) {
	if gen := s.replica.State().ConfirmedGen; gen > s.settled {
		s.settled, s.confirmed = gen, now
		s.window.answered(gen)
	}
}

// applySingly applies what it can of entries that cannot be applied together, up to the bad one: no
// entry is held back by one behind it. Together they must give the hub's running hash, the bad one
// included, or nothing is known to be right; refused is why they could not be applied together.
func (s *Session) applySingly(ctx context.Context, arrivals []core.Arrival, after change.Hash, refused error) error {
	for arrivals[0].Seq <= s.applied { // the last one is not
		arrivals = arrivals[1:]
	}
	hashes, ok := running(s.replica.State().Marker.Hash, arrivals)
	if !ok || hashes[len(hashes)-1] != after {
		return refused
	}
	for i := range arrivals {
		if err := s.replica.Apply(ctx, arrivals[i:i+1], hashes[i]); err != nil {
			return err
		}
		s.applied = arrivals[i].Seq
	}
	return nil
}

// running returns the running hashes of the feed behind each arrival; false if they do not show it:
// own batches, and entries of which not even the envelope can be read.
func running(hash change.Hash, arrivals []core.Arrival) (hashes []change.Hash, ok bool) {
	for i := range arrivals {
		entry, err := change.DecodeEntry(arrivals[i].Entry)
		if err != nil {
			return nil, false
		}
		hash = entry.FeedHash(hash)
		hashes = append(hashes, hash)
	}
	return hashes, len(hashes) > 0
}

func size(items [][]byte) (bytes int) {
	for _, item := range items {
		bytes += len(item)
	}
	return bytes
}
