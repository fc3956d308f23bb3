package watcher

import (
	"context"
	"fmt"
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
		arrivals[i] = core.Arrival{Seq: m.Seq + uint64(i), Own: true, Gen: m.Gen + change.Generation(i), Ann: ann, MAC: mac}
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
	void := core.Arrival{Seq: m.Seq, Own: true, Gen: m.Gen, Ann: ann, MAC: mac, Void: true}
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
		err = s.applySingly(ctx, arrivals, after)
	}
	if err != nil {
		s.applied = max(s.applied, s.replica.State().Marker.Seq)
		s.unapplied(now, err)
		return
	}
	s.applied = last
	s.answered(now)
	if s.credit.spend(now, bytes, after) {
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
// entry is held back by one behind it. Running hashes between them are not on the wire and computed.
func (s *Session) applySingly(ctx context.Context, arrivals []core.Arrival, after change.Hash) error {
	hash := s.replica.State().Marker.Hash
	for i := range arrivals {
		a := &arrivals[i]
		if a.Seq <= s.applied {
			continue
		}
		if a.Own {
			return &core.Error{Code: core.Corrupt, Message: fmt.Sprintf("places %d to %d of the feed, own batches, cannot be applied together", a.Seq, arrivals[len(arrivals)-1].Seq)}
		}
		entry, err := change.DecodeEntry(a.Entry)
		if err != nil {
			return &core.Error{Code: core.Corrupt, Message: fmt.Sprintf("place %d of the feed cannot be read", a.Seq), Err: err}
		}
		hash = entry.FeedHash(hash)
		if err := s.replica.Apply(ctx, arrivals[i:i+1], hash); err != nil {
			return err
		}
		s.applied = a.Seq
	}
	if hash != after {
		return &core.Error{Code: core.WrongHash, Message: fmt.Sprintf("expected running hash %v behind place %d, got %v", hash, s.applied, after)}
	}
	return nil
}

func size(items [][]byte) (bytes int) {
	for _, item := range items {
		bytes += len(item)
	}
	return bytes
}
