package core

import (
	"context"
	"slices"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/device"
	"vsync/core/merge"
	"vsync/core/order"
)

// HelloState is what a device says of itself when it connects.
type HelloState struct {
	Device   change.DeviceID
	Lineage  change.Lineage    // zero: it belongs to no hub yet
	Marker   change.Marker     // what it has applied; its epoch is 0 before the first
	Base     change.Generation // own generations up to here are common with the hub, or confirmed
	BaseHash change.Hash
	Own      []change.Hash     // of Base+1, Base+2, …
	Back     change.Place      // where the hub's feed has to end, or to have been, unless what this replica has left is lost there; zero: nothing is
	Held     change.Generation // lowest own generation whose bytes are here, up to the last
}

// Hello returns what the device says when it connects.
func (r *Replica) Hello(ctx context.Context) (HelloState, error) {
	if err := r.readable(); err != nil {
		return HelloState{}, err
	}
	r.mu.Lock()
	h, base, short := r.head, r.helloBase, false
	r.mu.Unlock()
	s := HelloState{Device: h.device, Lineage: h.lineage, Marker: h.marker, Held: r.log.Held(h.device, h.lastGen)}
	if h.owing() {
		s.Back = h.back
	}
	rec, err := readDevice(ctx, r.tables, h.device)
	if err != nil {
		return s, typed(err, "connecting")
	}
	s.Base, s.BaseHash = rec.Last, rec.Hash
	if base > s.Base && base <= h.lastGen {
		hash, err := r.ownHash(ctx, h, base)
		if err == nil {
			s.Base, s.BaseHash = base, hash
		} else if !IsLost(err) { // else the hello names less
			return s, err
		}
	}
	most := firstHashes
	if base > 0 {
		most = helloHashes
	}
	for g := s.Base + 1; g <= h.lastGen && len(s.Own) < most; g++ {
		hash, err := r.ownHash(ctx, h, g)
		if IsLost(err) {
			s.Held, err = r.heldFrom(ctx, &h, g)
			if err != nil {
				return s, err
			}
			short = true
			break
		}
		if err != nil {
			return s, err
		}
		s.Own = append(s.Own, hash)
	}
	r.mu.Lock()
	r.helloEnd, r.helloShort = s.Base+change.Generation(len(s.Own)), short
	r.mu.Unlock()
	return s, nil
}

// ownHash is the hash of one of the device's own batches; zero for generation 0.
func (r *Replica) ownHash(ctx context.Context, h head, g change.Generation) (change.Hash, error) {
	switch {
	case g == 0:
		return change.Hash{}, nil
	case g == h.lastGen:
		return h.lastHash, nil
	}
	v := change.Version{Device: h.device, Gen: g}
	batch, lost, err := r.ownBatch(ctx, v)
	if err != nil {
		return change.Hash{}, err
	}
	if lost {
		return change.Hash{}, lostBatch(v)
	}
	head, _, err := change.DecodeHeader(batch)
	return head.Hash, typed(err, "reading an unsent batch")
}

// Welcome is what the hub answers, as far as the replica needs it.
type Welcome struct {
	Lineage  change.Lineage
	Epoch    uint64
	Common   change.Generation // highest of the generations in the hello that the hub has too
	Last     change.Generation // the hub's last generation of this device
	LastHash change.Hash
	Head     uint64 // sequence at the feed's end
}

// Settled says how a device goes on after the welcome.
type Settled struct {
	PushFrom  change.Generation // the first generation that the hub has not
	Reentered bool              // the device has a new id: connect anew, at once
	Again     bool              // connect anew, at once: the next hello names what this one's hashes did not reach
}

// Settle compares the hub's knowledge of this device with its own, before anything else is exchanged. A device that has gone
// another way than the one whose batches the hub has (its storage was copied, restored or lost its end)
// comes back under a new id.
//
// Errors: OTHER_HUB where the replica belongs to a hub of another lineage.
func (r *Replica) Settle(ctx context.Context, w Welcome) (Settled, error) {
	r.mu.Lock()
	h := r.head
	r.mu.Unlock()
	if !h.lineage.IsZero() && h.lineage != w.Lineage {
		return Settled{}, errorf(OtherHub, "this replica belongs to the hub of lineage %s, and the one that answers has %s: check the address, or begin with an empty replica", h.lineage, w.Lineage)
	}
	if h.lineage.IsZero() || h.marker.Epoch != w.Epoch {
		if err := r.belong(ctx, w); err != nil {
			return Settled{}, err
		}
	}
	if w.Last <= h.lastGen {
		own, err := r.ownHashOrConfirmed(ctx, h, w.Last)
		same := own == w.LastHash
		if named, _ := r.helloNamed(); IsLost(err) && w.Common < named {
			same, err = false, nil
		} else if IsLost(err) {
			same, err = r.sameWay(ctx, &h, w)
		}
		if err != nil {
			return Settled{}, err
		}
		if same {
			r.setHelloFrom(0)
			return Settled{PushFrom: w.Last + 1}, nil
		}
	}
	rec, err := readDevice(ctx, r.tables, h.device)
	if err != nil {
		return Settled{}, typed(err, "connecting")
	}
	common := max(w.Common, rec.Last)
	if w.Common > h.lastGen {
		return Settled{}, errorf(Protocol, "the hub shares generation %d with this device, which has written %d", w.Common, h.lastGen)
	}
	if named, short := r.helloNamed(); common == named && !short && common < h.lastGen && w.Last > common {
		r.setHelloFrom(common) // all that the hello named is common, and there is more by now, or than one hello can name
		return Settled{Again: true}, nil
	}
	r.setHelloFrom(0)
	return Settled{Reentered: true}, r.reenter(ctx, common, false)
}

// helloNamed is up to where the last hello named own batches, and whether the next one cannot be read, so that no hello names more.
func (r *Replica) helloNamed() (end change.Generation, short bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.helloEnd, r.helloShort
}

func (r *Replica) setHelloFrom(g change.Generation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.helloBase = g
}

func (r *Replica) ownHashOrConfirmed(ctx context.Context, h head, g change.Generation) (change.Hash, error) {
	rec, err := readDevice(ctx, r.tables, h.device)
	if err != nil {
		return change.Hash{}, typed(err, "connecting")
	}
	if g == rec.Last {
		return rec.Hash, nil
	}
	return r.ownHash(ctx, h, g)
}

// belong notes the hub that the replica belongs to from now on, and the epoch of its feed.
func (r *Replica) belong(ctx context.Context, w Welcome) error {
	return r.submit(ctx, &request{weight: 64, form: func(s *stage) error {
		if s.state.lineage == w.Lineage && s.state.marker.Epoch == w.Epoch {
			return nil
		}
		if s.state.lineage != w.Lineage {
			s.state.lineage = w.Lineage
			s.add(changelog.ItemIdentity, w.Lineage[:])
		}
		s.state.marker.Epoch = w.Epoch
		s.add(changelog.ItemMarker, s.state.marker.Encode())
		return nil
	}})
}

// Reenter gives the device a new id: for one that finds a living copy of itself at the hub.
// All of the feed is applied then, so a parent that it has not brought is one that the hub will never know: it is left out.
// Where batches of former ids are missing at the hub, this one is given up with all that was not sent under it, too, and what is missing
// is written again in the order in which it was written, so that what was written over it stays over it.
func (r *Replica) Reenter(ctx context.Context) error {
	if r.State().Former == 0 {
		return r.reenter(ctx, 0, true)
	}
	if err := r.reenter(ctx, allOwn, true); err != nil {
		return err
	}
	return r.revive(ctx, allFormer)
}

// allOwn is a common prefix of all that was written: under the new id nothing is written anew, and what the hub has not got of it is
// missing when all of the feed is applied.
const allOwn = change.Generation(change.MaxNumber)

// reenter writes all batches after the common prefix, which is at least what is confirmed, anew, under a new device id, in
// one commit; known: with those parents alone that the feed has brought.
func (r *Replica) reenter(ctx context.Context, common change.Generation, known bool) error {
	return r.submit(ctx, &request{alone: true, strict: true, form: func(s *stage) error {
		rec, err := s.device(s.state.device)
		if err != nil {
			return err
		}
		common = min(max(common, rec.Last), s.state.lastGen) // more may have been confirmed since the caller looked
		a := device.Mapping{Old: s.state.device, Common: common}
		if len(s.state.aliases) >= maxAliases {
			return errorf(Protocol, "this replica has taken a new id %d times, because the hub had other batches under its own each time: look for another replica that uses the same storage, or begin with an empty one", maxAliases)
		}
		old, err := r.unsentAfter(s, common)
		if err != nil {
			return err
		}
		if len(old) > 0 && !old[0].Hash.IsZero() {
			a.New = device.ReentryID(a.Old, common, old[0].Hash)
		}
		// Where the feed has brought something under that id, a copy of this storage came back with it, and has gone on. The hub may
		// have lost that since, and what was written here over it names it.
		taken, err := s.device(a.New)
		if err != nil {
			return err
		}
		if a.New.IsZero() || taken.Last > 0 || anyNames(old, a.New) {
			id, err := newID(r.cfg.Rand)
			if err != nil {
				return err
			}
			a.New = id
		}
		return s.rewrite(a, old, known)
	}})
}

// anyNames says that one of some batches was written over one of a device.
func anyNames(batches []*change.Batch, d change.DeviceID) bool {
	return slices.ContainsFunc(batches, func(b *change.Batch) bool {
		return slices.ContainsFunc(b.Mutations, func(m change.Mutation) bool {
			return slices.ContainsFunc(m.Parents, func(p change.Version) bool { return p.Device == d }) || changesName(m.Changes, d)
		})
	})
}

// changesName says that changes under field rules name a version of a device.
func changesName(changes []byte, d change.DeviceID) (names bool) {
	if changes == nil {
		return false
	}
	_, err := merge.Rename(changes, func(v change.Version) change.Version {
		names = names || v.Device == d
		return v
	})
	return names && err == nil // what cannot be read is left out
}

// unsentAfter returns the batches to be written again. Those that cannot be read have no hash.
func (r *Replica) unsentAfter(s *stage, common change.Generation) (old []*change.Batch, err error) {
	var lost []change.Version
	for g := common + 1; g <= s.state.lastGen; g++ {
		v := change.Version{Device: s.state.device, Gen: g}
		bytes, gone, err := r.ownBatch(s.ctx, v)
		if err != nil {
			return nil, err
		}
		var b *change.Batch
		if gone {
			lost = append(lost, v)
		} else if b, err = change.DecodeTrusted(bytes); err != nil {
			return nil, err
		}
		old = append(old, b)
	}
	left, err := r.remains(s, lost)
	for _, v := range lost {
		old[v.Gen-common-1] = left[v]
	}
	if err == nil {
		err = s.withoutSettled(old)
	}
	return old, err
}

// rewrite is deterministic: copies of one storage that come back write the same bytes.
func (s *stage) rewrite(a device.Mapping, old []*change.Batch, known bool) error {
	var dropped []change.Version
	for _, b := range old {
		renameChanges(b, a.Map)
		for i := range b.Mutations {
			parents, out, err := s.mapped(b.Mutations[i].Parents, a, known)
			if err != nil {
				return err
			}
			b.Mutations[i].Parents, dropped = parents, append(dropped, out...)
		}
	}
	order.By(dropped, change.Version.Compare)
	dropped = slices.Compact(dropped)
	data := change.AppendUvarint(append([]byte(nil), a.Old[:]...), uint64(a.Common))
	data = append(data, a.New[:]...)
	for _, v := range dropped {
		data = appendVersion(data, v)
	}
	s.add(changelog.ItemReentry, data)
	s.reenter(a)
	s.dropped = dropped
	for _, b := range old {
		b.Device, b.Gen = a.New, s.state.lastGen+1
		if err := s.addOwn(b, func() ([]turn, error) { return s.renamed(b, a) }); err != nil {
			return err
		}
	}
	s.wrote = true
	err := s.showAnew()
	s.addTurns(nil)
	return err
}

// addOwn adds the next batch under this device's id, which was written before under another, and takes it in.
func (s *stage) addOwn(b *change.Batch, take func() ([]turn, error)) error {
	bytes, err := b.Encode(s.state.lastHash)
	if err != nil {
		return err
	}
	turns, err := take()
	if err != nil {
		return err
	}
	s.add(changelog.ItemBatch, bytes)
	s.addTurns(turns)
	s.wrote = true
	return nil
}

// renameChanges gives the versions that a batch's changes name other names. Changes that cannot be read are left out: what was written
// counts as a whole.
func renameChanges(b *change.Batch, name func(change.Version) change.Version) {
	for i := range b.Mutations {
		m := &b.Mutations[i]
		if m.Changes == nil {
			continue
		}
		var err error
		if m.Changes, err = merge.Rename(m.Changes, name); err != nil {
			m.Changes = nil
		}
	}
}

// mapped gives parents their new names. With known it leaves out those of other devices, and of former ids, that the feed has not
// brought: a hub that lost them would refuse the batch for ever.
func (s *stage) mapped(parents []change.Version, a device.Mapping, known bool) (mapped, dropped []change.Version, err error) {
	for _, p := range parents {
		if known && a.Map(p) == p {
			if rec, err := s.device(p.Device); err != nil {
				return nil, nil, err
			} else if p.Gen > rec.Last {
				dropped = append(dropped, p)
				continue
			}
		}
		mapped = append(mapped, a.Map(p))
	}
	return mapped, dropped, nil
}

// alias is an id that the replica had. The hub may go on with that id, by a copy that kept it: then one name means two batches, and
// which one is meant depends on when it was said.
type alias struct {
	device.Mapping
	last   change.Generation // of the old id, at the re-entry; what came after it has no new name
	commit uint64            // of the re-entry: what the log names before it has old names
}

// Map returns the new name of a batch that this replica wrote.
func (a alias) Map(v change.Version) change.Version {
	if v.Gen > a.last {
		return v
	}
	return a.Mapping.Map(v)
}

// today returns the name that a batch of this replica has now.
func (h *head) today(v change.Version) change.Version {
	for _, a := range h.aliases {
		v = a.Map(h.revivedBefore(v, a.commit))
	}
	return h.revivedBefore(v, h.commit+1)
}

// names are those that a batch of this device had before, under ids that it gave up, or before it was written again.
func (h *head) names(v change.Version) (before []change.Version) {
	for i := len(h.aliases) - 1; i >= 0; i-- {
		v = h.revivedFrom(v, &before)
		if a := &h.aliases[i]; a.New == v.Device && v.Gen+a.Common <= a.last {
			v = change.Version{Device: a.Old, Gen: v.Gen + a.Common}
			before = append(before, v)
		}
	}
	h.revivedFrom(v, &before)
	return before
}

// revivedFrom is the name of what was written again under another, which is added to those before it; v, where it was not.
func (h *head) revivedFrom(v change.Version, before *[]change.Version) change.Version {
	for _, r := range h.revived {
		if r.now == v {
			*before = append(*before, r.was)
			return r.was
		}
	}
	return v
}

// revivedBefore returns the name under which a batch was written again before a commit.
func (h *head) revivedBefore(v change.Version, commit uint64) change.Version {
	for _, r := range h.revived {
		if r.was == v && r.commit < commit {
			return r.now
		}
	}
	return v
}

// reenter changes the id; the batches under the new one follow.
func (f *fold) reenter(m device.Mapping) {
	if f.head.lastGen > 0 { // else nothing has the old name
		a := alias{m, f.head.lastGen, f.head.commit + 1}
		f.head.aliases = append(f.head.aliases[:len(f.head.aliases):len(f.head.aliases)], a)
	}
	f.head.device, f.head.lastGen, f.head.lastHash = m.New, 0, change.Hash{}
}

// reentryOf reads an ItemReentry: old id 16 ‖ common uv ‖ new id 16 ‖ left out parents, each device 16 ‖ gen uv.
func reentryOf(data []byte) (a device.Mapping, dropped []change.Version, err error) {
	c := &cutter{b: data}
	copy(a.Old[:], c.take(16))
	a.Common = change.Generation(c.uvarint())
	copy(a.New[:], c.take(16))
	for len(c.b) > 0 {
		dropped = append(dropped, c.version())
	}
	return a, dropped, c.err
}

// Unsent returns own batches from a generation on, in order, about maxBytes of them and at least one if there is any. An error of
// IsLost is about the first.
func (r *Replica) Unsent(ctx context.Context, from change.Generation, maxBytes int) (gens []change.Generation, batches [][]byte, err error) {
	if err := r.readable(); err != nil {
		return nil, nil, err
	}
	r.mu.Lock()
	h := r.head
	r.mu.Unlock()
	size := 0
	for g := max(from, 1); g <= h.lastGen && len(gens) < pendingScan; g++ {
		v := change.Version{Device: h.device, Gen: g}
		batch, lost, err := r.ownBatch(ctx, v)
		switch {
		case err != nil:
			return nil, nil, err
		case lost && len(gens) > 0:
			return gens, batches, nil
		case lost:
			return nil, nil, lostBatch(v)
		}
		if len(gens) > 0 && size+len(batch) > maxBytes {
			break
		}
		gens, batches, size = append(gens, g), append(batches, batch), size+len(batch)
	}
	return gens, batches, nil
}

// OnUnsent sets what is called after a local write was stored; it must not block. Nil takes it away.
func (r *Replica) OnUnsent(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onWrite = fn
}
