package core

import (
	"errors"
	"slices"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/device"
	"vsync/core/order"
)

// Hub and device may go back in time together: one machine is restored that both stood on. Then the device writes its next batches
// under generations that others have seen already, and those others hand back what is another batch's name by now:
//
//	hub, restored:     D:1 D:2 │ D:3′            pushed by D, which went back too
//	handed back:       D:1 D:2 │ D:3 X:7 D:4     X:7 names D:3 as a parent
//	taken:                       N:1 X:7 N:2     X:7 with N:1 as its effective parent
//
// D:3 and D:4 are orphans. They get the names that D would have given them, had it come with them: those of a re-entry behind what is
// common. So nothing is lost, whoever hands them back, and should D come after all, it writes the same bytes once more.

// Orphans are the new names of what a device has handed back on one connection. The zero value is one that has none.
type Orphans struct {
	named map[change.Version]orphan
}

type orphan struct {
	hash change.Hash    // of the batch that was handed back
	now  change.Version // the name that it has; of one that was refused, that of the one before it, generation 0 where there is none
	end  change.Hash    // of the batch with that name
}

// name maps a version that was handed back.
func (o *Orphans) name(v change.Version) change.Version {
	if n, is := o.named[v]; is {
		return n.now
	}
	return v
}

// living is name, but for a refused one that follows nothing, which keeps its name.
func (o *Orphans) living(v change.Version) change.Version {
	if now := o.name(v); !now.Gen.IsZero() {
		return now
	}
	return v
}

func (o *Orphans) add(v change.Version, n orphan) {
	if o.named == nil {
		o.named = map[change.Version]orphan{}
	}
	o.named[v] = n
}

// before is the orphan that a batch follows.
func (o *Orphans) before(h *change.Header) (orphan, bool) {
	n, is := o.named[change.Version{Device: h.Device, Gen: h.Gen - 1}]
	return n, is && h.Follows(n.hash) == nil
}

// adopt takes a batch back whose name is another's by now, under a new one. False where it follows nothing that is known.
func (r *Replica) adopt(s *stage, o *Orphans, e *change.Entry, b *change.Batch, old device.Record) (took bool, err error) {
	last, is := o.before(&b.Header)
	if !is {
		var prev change.Hash
		if b.Gen > 1 {
			if prev, err = s.hashAt(r, change.Version{Device: b.Device, Gen: b.Gen - 1}, old); err != nil {
				return false, err
			}
		}
		if b.Gen-1 > old.Last || b.Follows(prev) != nil {
			return false, nil
		}
		last.now = change.Version{Device: device.ReentryID(b.Device, b.Gen-1, b.Hash)}
	}
	n, bytes, err := r.newName(s, o, b, last)
	if err != nil || n == nil {
		return false, err
	}
	ann := e.Annotation
	o.add(b.Version(), orphan{hash: b.Hash, now: n.Version(), end: n.Hash})
	rec, err := s.device(n.Device)
	if err != nil || n.Gen != rec.Last+1 || n.Follows(rec.Hash) != nil {
		return false, err // it was taken before
	}
	ann.Stamp, ann.EParents = ann.EffectiveStamp(&b.Header), o.effective(n, &ann)
	if gap, err := s.unknownParent(n, &ann); err != nil || gap != (change.Version{}) {
		return false, err
	}
	if rec.Subject != old.Subject && rec.Subject == "" {
		s.add(changelog.ItemSubject, append(append([]byte(nil), n.Device[:]...), old.Subject...))
		if err := s.claim(n.Device, old.Subject); err != nil {
			return false, err
		}
	}
	return true, r.place(s, change.NewBatchEntry(&n.Header, bytes, ann), n)
}

// newName writes an orphan again as the one behind another. Where it names that id, or the hub has something else there, a copy of its
// device has come back under that id, and has gone on: so it is one of another re-entry, behind what these two share. Nil where all of
// maxRenames are taken.
func (r *Replica) newName(s *stage, o *Orphans, b *change.Batch, last orphan) (*change.Batch, []byte, error) {
	for range maxRenames {
		n := &change.Batch{Header: b.Header, Mutations: slices.Clone(b.Mutations)}
		renameChanges(n, o.living)
		n.Device, n.Gen = last.now.Device, last.now.Gen+1
		for i := range n.Mutations {
			n.Mutations[i].Parents = o.names(n.Mutations[i].Parents)
		}
		bytes, err := n.Encode(last.end)
		if err != nil && !errors.Is(err, change.ErrParent) {
			return nil, nil, err
		}
		if err == nil {
			if other, err := r.isOther(s, n); err != nil || !other {
				return n, bytes, err
			}
		}
		last = orphan{now: change.Version{Device: device.ReentryID(n.Device, n.Gen-1, b.Hash)}}
	}
	return nil, nil, nil
}

// isOther says that the hub has another batch under the name of one.
func (r *Replica) isOther(s *stage, b *change.Batch) (bool, error) {
	rec, err := s.device(b.Device)
	if err != nil || b.Gen > rec.Last {
		return false, err
	}
	have, err := s.hashAt(r, b.Version(), rec)
	return have != b.Hash, err
}

// names maps parents, in their order.
func (o *Orphans) names(parents []change.Version) []change.Version {
	out := make([]change.Version, 0, len(parents))
	for _, p := range parents {
		if now := o.name(p); !now.Gen.IsZero() {
			out = append(out, now)
		}
	}
	order.By(out, change.Version.Compare)
	return slices.Compact(out)
}

// effective returns the effective parents of a batch, with new names. Those that say no more than the batch are left out.
func (o *Orphans) effective(b *change.Batch, ann *change.Annotation) (out []change.EParents) {
	for i := range b.Mutations {
		m := &b.Mutations[i]
		if ps := o.names(ann.EffectiveParents(m)); !slices.Equal(ps, m.Parents) {
			out = append(out, change.EParents{Index: m.Index, Parents: ps})
		}
	}
	return out
}

// hashAt is the hash of a batch in the feed, up to a device's last.
func (s *stage) hashAt(r *Replica, v change.Version, rec device.Record) (change.Hash, error) {
	if v.Gen == rec.Last {
		return rec.Hash, nil
	}
	return s.hashOf(r, v)
}
