package core

import (
	"context"
	"encoding/binary"
	"errors"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/device"
	"vsync/core/fmt"
)

// Arrival is one place of the feed, as it came from the hub.
type Arrival struct {
	Seq   uint64
	Entry []byte // a whole entry; nil where the rest says what came

	// A batch of this device, whose bytes are here already: only what the hub says about it came.
	Gen  change.Generation
	Ann  []byte
	MAC  change.Hash
	Void bool // the hub refused it
}

// Apply takes arrivals up, with the marker, in one commit: all of them or none. What is at or below the marker
// is dropped. after is the feed's running hash after the last of them.
//
// Errors: GAP where the first is beyond the next place; HASH where the running hash, or a device's chain, does not
// fit; PROTOCOL where an entry cannot be read. Nothing was applied then.
func (r *Replica) Apply(ctx context.Context, arrivals []Arrival, after change.Hash) error {
	if r.cfg.Role != RoleDevice {
		return errorf(Invalid, "a hub's replica applies no feed")
	}
	weight := 0
	for i := range arrivals {
		weight += len(arrivals[i].Entry) + len(arrivals[i].Ann) + 64
	}
	takenAway := map[change.Version]bool{}
	for {
		err := r.submit(ctx, &request{weight: weight, strict: false, form: func(s *stage) error {
			s.takenAway = takenAway
			return s.apply(arrivals, after)
		}})
		if lost, is := errors.AsType[*voidedLost](err); is {
			takenAway[lost.version] = true
			if err := r.takeAway(ctx, lost.version); err != nil {
				return err
			}
			continue
		}
		taken, is := errors.AsType[*nameTaken](err)
		if !is {
			return err
		}
		if err := r.revive(ctx, func(old change.DeviceID) bool { return old == taken.version.Device }); err != nil {
			return err
		}
	}
}

func (s *stage) apply(arrivals []Arrival, after change.Hash) error {
	moved := false
	s.lostName = nil
	for i := range arrivals {
		a := &arrivals[i]
		if a.Seq <= s.state.marker.Seq {
			continue
		}
		if a.Seq != s.state.marker.Seq+1 {
			return errorf(Gap, "feed sequence %d expected, %d came: reconnect and resume from the marker", s.state.marker.Seq+1, a.Seq)
		}
		if err := s.arrive(a); err != nil {
			return err
		}
		moved = true
	}
	if !moved {
		return nil
	}
	if err := s.showPutOff(); err != nil {
		return err
	}
	if s.state.marker.Hash != after {
		return errorf(WrongHash, "the running hash of the feed at sequence %d is %s here and %s at the hub", s.state.marker.Seq, s.state.marker.Hash, after)
	}
	if taken := s.lostName; taken != nil { // not before: what the wire has changed takes no name
		return taken
	}
	s.add(changelog.ItemMarker, s.state.marker.Encode())
	return nil
}

// arrive takes up one place of the feed.
func (s *stage) arrive(a *Arrival) error {
	it, e, b, err := s.read(a)
	if err != nil {
		return err
	}
	rec, err := s.device(e.Version.Device)
	if err != nil {
		return err
	}
	if e.Version.Gen != rec.Last+1 && e.Kind != change.EntryLost {
		return errorf(WrongHash, "sequence %d brings %s, and the one before it was generation %d: the hub's feed is not in order", a.Seq, e.Version, rec.Last)
	}
	if b != nil && !unknownEnd(&rec) {
		if err := b.Follows(rec.Hash); err != nil {
			return wrapf(WrongHash, err, "sequence %d brings %s", a.Seq, e.Version)
		}
	}
	if err := s.voidedLost(e); err != nil {
		return err
	}
	s.advance(a.Seq, e)
	s.entire = it.Kind == changelog.ItemEntry && e.Kind == change.EntryBatch
	turns, err := s.entry(e, b)
	s.entire = false
	if err != nil {
		return err
	}
	s.add(it.Kind, it.Data)
	s.addTurns(turns)
	if e.Kind == change.EntryVoid {
		return s.settledBefore(e.Version)
	}
	return nil
}

// unknownEnd says of a device that the hub has lost its last batch, and knows no hash of it.
func unknownEnd(rec *device.Record) bool { return rec.Last > 0 && rec.Hash.IsZero() }

// settledBefore settles again what was refused and settled before the hub lost it.
func (s *stage) settledBefore(v change.Version) error {
	row, err := s.get(versionRow(tableSettled, v))
	if err != nil || row == nil {
		return err
	}
	s.add(changelog.ItemSettled, append([]byte(versionKey(v)), row...))
	return s.settled(v, row)
}

// read checks an arrival and returns it as an item of the log, as an entry, and the batch if it is one.
func (s *stage) read(a *Arrival) (it changelog.Item, e *change.Entry, b *change.Batch, err error) {
	if a.Entry == nil {
		it = changelog.Item{Kind: changelog.ItemConfirm, Data: confirmData(a, s.state.device)}
		_, e, err = s.confirmOf(s.state.commit+1, it)
		if errors.Is(err, errUnheld) && a.Gen <= s.state.lastGen {
			err = &Error{Code: Corrupt, Gen: a.Gen, Message: fmt.Sprintf("the hub confirms generation %d, whose batch stood in a segment of the log that a repair has given up since: it comes whole on the next connection", a.Gen)}
		}
		if err == nil && e.Kind == change.EntryBatch {
			b, err = change.DecodeTrusted(e.Body)
		}
		return it, e, b, err
	}
	if e, b, err = change.DecodeEntryBatch(a.Entry); err != nil {
		return it, nil, nil, wrapf(Protocol, err, "the entry at sequence %d cannot be read", a.Seq)
	}
	if err := s.notACopy(e); err != nil {
		return it, nil, nil, err
	}
	it = changelog.Item{Kind: changelog.ItemEntry, Data: append(change.AppendUvarint(make([]byte, 0, binary.MaxVarintLen64+len(a.Entry)), a.Seq), a.Entry...)}
	if e.Kind == change.EntryLost {
		return it, e, nil, nil
	}
	if s.lostName == nil {
		if s.lostName, err = s.nameTaken(e); err != nil {
			return it, nil, nil, err
		}
	}
	own, err := s.isOwn(e)
	if own && b != nil && e.Version.Device != s.state.device && len(s.state.rewinds) > 0 {
		own, err = s.awaits(b)
	}
	if err != nil || own { // its bytes are here, and watchers have seen it
		back := Arrival{Seq: a.Seq, Gen: e.Version.Gen, Ann: e.Annotation.Encode(), MAC: e.MAC, Void: e.Kind == change.EntryVoid}
		return changelog.Item{Kind: changelog.ItemConfirm, Data: confirmData(&back, e.Version.Device)}, e, b, err
	}
	return it, e, b, nil
}

// notACopy refuses an entry under this replica's id that this replica did not write: a copy of its storage did. Nothing of its own
// may be confirmed by it; at the next hello, settling shows the other way.
func (s *stage) notACopy(e *change.Entry) error {
	v := e.Version
	if v.Device != s.state.device {
		return nil
	}
	if v.Gen <= s.state.lastGen {
		if e.Kind == change.EntryLost && e.Hash.IsZero() {
			return nil
		}
		own, err := s.isOwn(e)
		if err != nil || own || !s.reads(v) { // what cannot be read comes from the hub
			return err
		}
	}
	return errorf(WrongHash, "the hub's %s is not this replica's, which has written up to %d: a copy of its storage wrote it; reconnect to settle that", v, s.state.lastGen)
}

// isOwn says that an entry is a batch that this replica wrote, under its id or one that it had.
func (s *stage) isOwn(e *change.Entry) (bool, error) {
	hash, ok, err := s.ownHash(e.Version)
	return ok && hash == e.Hash, err
}

// ownHash is the hash of what this replica wrote under a name; false where it wrote nothing, or that cannot be read.
func (s *stage) ownHash(v change.Version) (hash change.Hash, ok bool, err error) {
	if !(v.Device == s.state.device && v.Gen <= s.state.lastGen) && !s.isAlias(v) {
		return hash, false, nil
	}
	batch, _, ok, err := s.log.Find(s.ctx, v)
	if err != nil || !ok {
		return hash, false, unlessDamaged(err)
	}
	h, _, err := change.DecodeHeader(batch)
	return h.Hash, err == nil, err
}

// awaits says that a batch of a former id is pending still. One that was confirmed and left is not: it comes back like anyone's. Where it
// has, and was left again, its bytes are those of the feed, which count no more, though what was written over it since may hide it: it comes whole.
func (s *stage) awaits(b *change.Batch) (bool, error) {
	if bytes, rec, _, err := s.log.Find(s.ctx, b.Version()); err != nil || !writtenHere(&rec, bytes) {
		return false, err
	}
	for i := range b.Mutations {
		row, err := s.get(objectRow(b.Mutations[i].Key))
		if err != nil {
			return false, err
		}
		if err := s.obj.Load(row); err != nil {
			return false, wrapf(Corrupt, err, "the object %s cannot be read", b.Mutations[i].Key)
		}
		if s.obj.IsPending(b.Version()) {
			return true, nil
		}
	}
	return false, nil
}

// reads says whether a batch of this device can be read.
func (s *stage) reads(v change.Version) bool {
	_, _, ok, err := s.log.Find(s.ctx, v)
	return ok || unlessDamaged(err) != nil
}

// unlessDamaged passes by an error that says that what is asked for lies in a damaged segment.
func unlessDamaged(err error) error {
	if _, is := errors.AsType[*changelog.CorruptError](err); is {
		return nil
	}
	return err
}

// A confirmation in the log: seq uv ‖ kind 1 ‖ device 16 ‖ gen uv ‖ mac 16 ‖ annotation.
func confirmData(a *Arrival, d change.DeviceID) []byte {
	kind := change.EntryBatch
	if a.Void {
		kind = change.EntryVoid
	}
	b := change.AppendUvarint(nil, a.Seq)
	b = append(append(b, byte(kind)), d[:]...)
	b = change.AppendUvarint(b, uint64(a.Gen))
	b = append(b, a.MAC[:]...)
	return append(b, a.Ann...)
}

// errUnheld is the error of a confirmation of what is not there.
var errUnheld = errors.New("this replica does not hold the bytes of the batch")

// confirmOf puts the hub's annotation and the batch's bytes in the log together again, of an item of a commit: others may have come under its
// name since.
func (f *fold) confirmOf(commit uint64, it changelog.Item) (seq uint64, e *change.Entry, err error) {
	c := &cutter{b: it.Data}
	seq = c.uvarint()
	kind := change.EntryKind(c.byte())
	var v change.Version
	copy(v.Device[:], c.take(16))
	v.Gen = change.Generation(c.uvarint())
	var mac change.Hash
	copy(mac[:], c.take(16))
	if c.err != nil {
		return 0, nil, wrapf(Corrupt, c.err, "a confirmation in the log is cut short")
	}
	ann, err := change.DecodeAnnotation(c.b)
	if err != nil {
		return 0, nil, wrapf(Protocol, err, "what the hub says of %s cannot be read", v)
	}
	batch, _, ok, err := f.log.FindAt(f.ctx, v, commit)
	if err != nil {
		return 0, nil, err
	}
	if !ok {
		return seq, nil, wrapf(Protocol, errUnheld, "the hub confirms %s", v)
	}
	h, _, err := change.DecodeHeader(batch)
	if err != nil {
		return 0, nil, err
	}
	if (kind == change.EntryVoid) != (ann.Reason != nil) {
		return 0, nil, errorf(Protocol, "what the hub says of %s fits no %s", v, kind)
	}
	if kind == change.EntryVoid {
		e = change.NewVoidEntry(v, h.Hash, ann)
	} else {
		e = change.NewBatchEntry(&h, batch, ann)
	}
	e.MAC = mac
	return seq, e, nil
}

func entryOf(it changelog.Item) (seq uint64, e *change.Entry, err error) {
	seq, w := binary.Uvarint(it.Data)
	if w <= 0 {
		return 0, nil, errorf(Corrupt, "an entry in the log is cut short")
	}
	e, err = change.DecodeEntry(it.Data[w:])
	return seq, e, err
}

// advance moves the marker over one entry.
func (f *fold) advance(seq uint64, e *change.Entry) {
	m := &f.head.marker
	m.Seq, m.Hash = seq, e.FeedHash(m.Hash)
	f.head.accepted = max(f.head.accepted, e.Annotation.Accepted)
}
