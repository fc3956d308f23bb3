package core

import (
	"context"
	"slices"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/device"
	"vsync/core/order"
)

// revive writes again what this device wrote under ids that it gave up, and which the hub had then and has lost: all of the feed is
// applied, and did not bring it; or another's batch has taken such a name (nameTaken), and with it those after it. It is written under the id of today, with its own stamp and over what it was written over, so that
// what came after it wins. The commit goes back to where it stands, without the pending versions of these ids.
func (r *Replica) revive(ctx context.Context, which func(old change.DeviceID) bool) error {
	return r.submit(ctx, &request{alone: true, strict: true, form: func(s *stage) error {
		var again []*change.Batch
		var settled, lost []change.Version
		former := map[string][]change.Version{}
		for _, a := range s.state.aliases {
			if !which(a.Old) {
				continue
			}
			settled = append(settled, change.Version{Device: a.Old, Gen: a.Common})
			rec, err := s.device(a.Old)
			if err != nil {
				return err
			}
			for g := max(rec.Last, s.state.settledUpTo(a.Old)) + 1; g <= a.Common; g++ {
				v := change.Version{Device: a.Old, Gen: g}
				if refused, err := s.isRefused(v); err != nil {
					return err
				} else if refused {
					continue // it is among the problems, or was dismissed
				}
				b, err := r.formerBatch(ctx, v)
				if err != nil {
					return err
				}
				if b == nil {
					lost = append(lost, v)
				}
				again = append(again, b)
			}
		}
		left, err := r.remains(s, lost)
		if err != nil {
			return err
		}
		for i, b := range again {
			if b != nil {
				continue
			}
			if b, lost = left[lost[0]], lost[1:]; !isStandIn(b) { // for which there is no place among the names of today
				again[i] = b
			}
		}
		again = slices.DeleteFunc(again, func(b *change.Batch) bool { return b == nil })
		rows := map[string][]byte{}
		for _, b := range again {
			for i := range b.Mutations {
				row := objectRow(b.Mutations[i].Key)
				former[row] = append(former[row], b.Version())
			}
		}
		for row, versions := range former {
			was, err := s.get(row)
			if err == nil {
				rows[row], err = withoutPending(was, versions, nil)
			}
			if err != nil {
				return err
			}
		}
		names := map[change.Version]change.Version{}
		for i, b := range again {
			names[b.Version()] = change.Version{Device: s.state.device, Gen: s.state.lastGen + 1 + change.Generation(i)}
		}
		data := rewindData(s.state.marker, rows, names, settled, order.KeysBy(names, change.Version.Compare), s.state.rules, nil)
		s.add(changelog.ItemRewind, data)
		if err := s.goBack(data); err != nil {
			return err
		}
		return s.writeAgain(again, names)
	}})
}

// allFormer are all of the ids that a device gave up.
func allFormer(change.DeviceID) bool { return true }

// nameTaken is the error of a step that meets, in the feed, another's batch under the name of one that this device awaits there under
// an id that it gave up: the hub lost that, and a copy of this device's storage has written since. What is awaited is written again first.
type nameTaken struct{ version change.Version }

func (e *nameTaken) Error() string {
	return "the hub has another batch under the name " + e.version.String() + ", which this replica wrote under a former id"
}

// nameTaken says that an entry is none that this device wrote, and has the name of one that it awaits.
func (s *stage) nameTaken(e *change.Entry) (*nameTaken, error) {
	v := e.Version
	if v.Device == s.state.device || v.Gen <= s.state.settledUpTo(v.Device) {
		return nil, nil
	}
	if hash, wrote, err := s.ownHash(v); err != nil || !wrote || hash == e.Hash {
		return nil, err
	}
	return &nameTaken{v}, nil
}

// formerBatch reads a batch of a former id; nil where it cannot be read.
func (r *Replica) formerBatch(ctx context.Context, v change.Version) (*change.Batch, error) {
	bytes, lost, err := r.ownBatch(ctx, v)
	if err != nil || lost {
		return nil, err
	}
	return change.DecodeTrusted(bytes)
}

// writeAgain writes batches of former ids as the next of today's. What was written over a refused one is over what that had replaced: the
// hub may not know it.
func (s *stage) writeAgain(batches []*change.Batch, names map[change.Version]change.Version) (err error) {
	for _, b := range batches {
		now := names[b.Version()]
		renameChanges(b, func(v change.Version) change.Version {
			if now, is := names[v]; is {
				return now
			}
			return v
		})
		b.Device, b.Gen = now.Device, now.Gen
		for i := range b.Mutations {
			m := &b.Mutations[i]
			var standing, parents, others []change.Version
			for _, p := range m.Parents {
				if standing, err = s.appendStanding(standing, p, m.Key); err != nil {
					return err
				}
			}
			for _, p := range standing {
				if now, is := names[p]; is {
					parents = append(parents, now)
				} else {
					others = append(others, p)
				}
			}
			if others, _, err = s.mapped(others, device.Mapping{}, true); err != nil {
				return err
			}
			m.Parents = append(parents, others...)
			order.By(m.Parents, change.Version.Compare)
			m.Parents = slices.Compact(m.Parents)
		}
		if err := s.addOwn(b, func() ([]turn, error) { return s.local(b, nil) }); err != nil {
			return err
		}
	}
	return nil
}
