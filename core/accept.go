package core

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/fmt"
	"vsync/core/order"
)

// Incoming is one batch as a device pushed it.
type Incoming struct {
	Device   change.DeviceID // of the connection
	Bytes    []byte
	Alone    bool // engines seem to have died at it: it is tried with care
	Oversize bool // Bytes begins with the header, and the whole was larger than a batch may be
}

// VerdictKind says what became of a pushed batch.
type VerdictKind uint8

const (
	// Accepted: it has a place in the feed.
	Accepted VerdictKind = iota + 1
	// Duplicate: it has had one before.
	Duplicate
	// Voided: it can never be right; the feed says so by its name, and the device's next generations go on.
	Voided
	// Refused: it was not looked at further, and neither were those after it. Code says why.
	Refused
)

func (k VerdictKind) String() string {
	return [...]string{"none", "accepted", "duplicate", "voided", "refused"}[min(int(k), 4)]
}

// Verdict is the answer to one pushed batch.
type Verdict struct {
	Kind    VerdictKind
	Gen     change.Generation
	Seq     uint64 // its place in the feed, where it was given one now
	Code    string // Voided, Refused: one of the protocol's codes
	Message string
}

// FeedEntry is one place of the hub's feed.
type FeedEntry struct {
	Seq    uint64
	Kind   change.EntryKind
	Device change.DeviceID
	Gen    change.Generation
	Entry  []byte // the encoded entry
	Ann    []byte // its annotation
	MAC    change.Hash
	Hash   change.Hash // running hash of the feed, after it

	Code, Message string // of a void
}

// Accept gives batches their places in the feed, in order, in one commit, which it may share with other calls. An error is the
// store's, and nothing was taken then.
func (r *Replica) Accept(ctx context.Context, in []Incoming) ([]Verdict, error) {
	if r.cfg.Role != RoleHub {
		return nil, errorf(Invalid, "only a hub's replica accepts batches")
	}
	if len(in) == 1 && in[0].Alone {
		return r.acceptAlone(ctx, &in[0])
	}
	weight := 0
	for i := range in {
		weight += len(in[i].Bytes) + 64
	}
	var out []Verdict
	err := r.mendingSubmit(ctx, &request{weight: weight, strict: true, form: func(s *stage) (err error) {
		out, err = r.judge(s, in)
		return err
	}})
	return out, err
}

func (r *Replica) judge(s *stage, in []Incoming) (out []Verdict, err error) {
	refused := false
	out = make([]Verdict, 0, len(in))
	if len(in) > 1 {
		weight := 0
		for i := range in {
			weight += len(in[i].Bytes) + entryOverhead
		}
		s.entries.expect(weight)
		s.room.expect(weight)
	}
	for i := range in {
		if refused {
			out = append(out, Verdict{Kind: Refused, Code: string(Gap), Message: "a batch before it was refused"})
			continue
		}
		v, err := r.judgeOne(s, &in[i])
		if err != nil {
			return nil, err
		}
		refused = v.Kind == Refused
		out = append(out, v)
	}
	return out, nil
}

func refuse(code Code, gen change.Generation, format string, args ...any) Verdict {
	return Verdict{Kind: Refused, Code: string(code), Gen: gen, Message: fmt.Sprintf(format, args...)}
}

// judgeOne decides on one batch: header, device, generation, chain, body, parents, in this order.
func (r *Replica) judgeOne(s *stage, in *Incoming) (Verdict, error) {
	h, body, err := change.DecodeHeader(in.Bytes)
	if errors.Is(err, change.ErrUnknownFormat) {
		return refuse(VersionUnknown, 0, "the batch has a format that this hub does not know: %v", err), nil
	}
	if err != nil {
		return refuse(Protocol, 0, "the header of the batch cannot be read: %v", err), nil
	}
	if h.Device != in.Device {
		return refuse(Forbidden, h.Gen, "the batch is of device %s, and the connection of %s", h.Device, in.Device), nil
	}
	if h.IsPartial {
		return refuse(Protocol, h.Gen, "a partial batch is never pushed"), nil
	}
	rec, err := s.device(h.Device)
	if err != nil {
		return Verdict{}, err
	}
	if h.Gen <= rec.Last {
		return r.duplicate(s, &h, rec.Last, rec.Hash)
	}
	if h.Gen != rec.Last+1 {
		return refuse(Gap, h.Gen, "generation %d expected, %d came: push again from there", rec.Last+1, h.Gen), nil
	}
	if err := h.Follows(rec.Hash); err != nil {
		return refuse(WrongHash, h.Gen, "generation %d does not follow the one that the hub has: %v", h.Gen, err), nil
	}
	if in.Oversize {
		return r.void(s, &h, nil, nil, Invalid, fmt.Sprintf("a batch has at most %d bytes, and this one has more", change.MaxBatch))
	}
	b := &r.spare.judged
	b.Header = h
	if err := change.DecodeBody(b, in.Bytes, body); err != nil {
		return r.void(s, &h, nil, nil, Invalid, err.Error())
	}
	if known, err := r.knownAgain(s, h.Version()); err != nil {
		return Verdict{}, err
	} else if known != nil && known.hash == h.Hash {
		return Verdict{Kind: Voided, Gen: h.Gen, Seq: s.state.marker.Seq + 1, Code: keptCode}, r.keep(s, b, known.now)
	}
	if gap, err := s.unknownParent(b, &change.Annotation{}); err != nil {
		return Verdict{}, err
	} else if gap != (change.Version{}) {
		return refuse(Gap, h.Gen, "generation %d names %s as a parent, which the hub does not have", h.Gen, gap), nil
	}
	eparents, err := r.effectiveParents(s, b)
	if err != nil {
		return Verdict{}, err
	}
	for _, e := range eparents {
		if len(e.Parents) > change.MaxParents {
			return r.void(s, &h, b, eparents, Invalid, fmt.Sprintf("mutation %d has more than %d parents once those that were refused are replaced", e.Index, change.MaxParents))
		}
	}
	for i := range b.Mutations {
		if err := s.judgeRules(&b.Mutations[i]); err != nil {
			return r.void(s, &h, b, eparents, Invalid, fmt.Sprintf("mutation %d: %v", i, err))
		}
	}
	return r.accept(s, b, in.Bytes, eparents)
}

// duplicate recognises a batch that the hub has, by its hash.
func (r *Replica) duplicate(s *stage, h *change.Header, last change.Generation, lastHash change.Hash) (Verdict, error) {
	have := lastHash
	if h.Gen != last {
		var err error
		if have, err = s.hashOf(r, h.Version()); err != nil {
			return Verdict{}, err
		}
		if have.IsZero() { // its record is gone: the chain that has gone on behind it stands for it
			return Verdict{Kind: Duplicate, Gen: h.Gen}, nil
		}
	}
	if have != h.Hash {
		return refuse(WrongHash, h.Gen, "the hub has another batch of generation %d: this device's storage was copied or restored; it needs a new id", h.Gen), nil
	}
	return Verdict{Kind: Duplicate, Gen: h.Gen}, nil
}

// hashOf is the hash of a batch in the feed or in the commit that is being formed.
func (s *stage) hashOf(r *Replica, v change.Version) (change.Hash, error) {
	for i := len(s.feed) - 1; i >= 0; i-- {
		if f := &s.feed[i]; f.Device == v.Device && f.Gen == v.Gen {
			e, err := change.DecodeEntry(f.Entry)
			if err != nil {
				return change.Hash{}, err
			}
			return e.Hash, nil
		}
	}
	return r.hashOf(s.ctx, v)
}

// unknownParent finds a parent of another device that the hub has never had, of those in force.
func (s *stage) unknownParent(b *change.Batch, ann *change.Annotation) (change.Version, error) {
	var known map[change.DeviceID]change.Generation
	for i := range b.Mutations {
		for _, p := range ann.EffectiveParents(&b.Mutations[i]) {
			if known == nil { // most batches of new objects name none
				known = map[change.DeviceID]change.Generation{b.Device: b.Gen - 1}
			}
			last, ok := known[p.Device]
			if !ok {
				rec, err := s.device(p.Device)
				if err != nil {
					return p, err
				}
				last = rec.Last
				known[p.Device] = last
			}
			if p.Gen > last {
				return p, nil
			}
		}
	}
	return change.Version{}, nil
}

// effectiveParents replaces parents that were voided by what these had as parents.
func (r *Replica) effectiveParents(s *stage, b *change.Batch) (out []change.EParents, err error) {
	r.mu.Lock()
	none := len(r.voided) == 0 && len(s.voided) == 0
	r.mu.Unlock()
	if none {
		return nil, nil
	}
	for i := range b.Mutations {
		m := &b.Mutations[i]
		var ps []change.Version
		replaced := false
		for _, p := range m.Parents {
			if !r.isVoided(s, p) {
				ps = append(ps, p)
				continue
			}
			replaced = true
			instead, err := s.voidParents(p, m.Key)
			if err != nil {
				return nil, err
			}
			ps = append(ps, instead...)
		}
		if replaced {
			order.By(ps, change.Version.Compare)
			out = append(out, change.EParents{Index: m.Index, Parents: slices.Compact(ps)})
		}
	}
	return out, nil
}

func (r *Replica) isVoided(s *stage, v change.Version) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.voided[v] || slices.Contains(s.voided, v)
}

func (r *Replica) loadVoided(ctx context.Context) error {
	s := r.tables.Snapshot()
	defer s.Release()
	for kv, err := range s.Scan(ctx, tableVoids, "", "", false) {
		if err != nil {
			return err
		}
		if v, ok := versionOfKey(kv.Key); ok {
			r.voided[v] = true
		}
	}
	for _, err := range s.Scan(ctx, tableAgain, "", "", false) {
		r.rejoined = true
		return err
	}
	return nil
}

// A row of tableVoids: hash 16 ‖ n uv × (key uv bytes ‖ m uv × (device 16 ‖ gen uv)); the effective parents of each mutation.
func encodeVoid(hash change.Hash, b *change.Batch, eparents []change.EParents) []byte {
	out := append([]byte(nil), hash[:]...)
	if b == nil {
		return append(out, 0)
	}
	out = change.AppendUvarint(out, uint64(len(b.Mutations)))
	for i := range b.Mutations {
		m := &b.Mutations[i]
		ann := change.Annotation{EParents: eparents}
		key := m.Key.Encode()
		out = change.AppendUvarint(out, uint64(len(key)))
		out = append(out, key...)
		ps := ann.EffectiveParents(m)
		out = change.AppendUvarint(out, uint64(len(ps)))
		for _, p := range ps {
			out = append(out, p.Device[:]...)
			out = change.AppendUvarint(out, uint64(p.Gen))
		}
	}
	return out
}

// voidParents returns what a voided version of an object had as parents; none where that is not known: then what
// it replaced stays beside what comes, which is a conflict and no loss.
func (s *stage) voidParents(v change.Version, key change.Key) (ps []change.Version, err error) {
	row, err := s.get(versionRow(tableVoids, v))
	if err != nil || row == nil {
		return nil, err
	}
	c := &cutter{b: row}
	c.take(16)
	want := string(key.Encode())
	for range c.count(2) {
		k := string(c.bytes())
		ps = ps[:0]
		for range c.count(17) {
			var p change.Version
			copy(p.Device[:], c.take(16))
			p.Gen = change.Generation(c.uvarint())
			ps = append(ps, p)
		}
		if k == want && c.err == nil {
			return ps, nil
		}
	}
	return nil, c.err
}

// accept gives a batch the next place.
func (r *Replica) accept(s *stage, b *change.Batch, bytes []byte, eparents []change.EParents) (Verdict, error) {
	ann := change.Annotation{Accepted: r.acceptedAt(s), EParents: eparents}
	if limit := ann.Accepted + allowedSkew; b.Stamp > limit {
		ann.Stamp = limit
	}
	e := change.NewBatchEntry(&b.Header, bytes, ann)
	if err := r.place(s, e, b); err != nil {
		if errors.Is(err, change.ErrTooLarge) {
			return r.void(s, &b.Header, b, eparents, Invalid, err.Error())
		}
		return Verdict{}, err
	}
	return Verdict{Kind: Accepted, Gen: b.Gen, Seq: s.state.marker.Seq}, nil
}

// void gives the name of a batch the next place, and keeps what later versions need to pass it by.
func (r *Replica) void(s *stage, h *change.Header, b *change.Batch, eparents []change.EParents, code Code, message string) (Verdict, error) {
	message = clip(message, change.MaxReasonMessage)
	ann := change.Annotation{Accepted: r.acceptedAt(s), Reason: &change.Reason{Code: string(code), Message: message}}
	e := change.NewVoidEntry(h.Version(), h.Hash, ann)
	if err := r.placeVoid(s, e, encodeVoid(h.Hash, b, eparents)); err != nil {
		return Verdict{}, err
	}
	return Verdict{Kind: Voided, Gen: h.Gen, Seq: s.state.marker.Seq, Code: string(code), Message: message}, nil
}

// acceptedAt is the time at which a commit's batches count as accepted. The clock is asked once for all of them.
func (r *Replica) acceptedAt(s *stage) uint64 {
	if s.clock == 0 {
		s.clock = r.cfg.Now()
	}
	return max(s.state.accepted, s.clock)
}

// clip cuts a text between two runes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}

// place seals an entry, appends it to the feed and takes it up.
func (r *Replica) place(s *stage, e *change.Entry, b *change.Batch) error {
	if r.sealer == nil {
		r.sealer = change.NewSealer(r.cfg.HubKey, s.state.lineage)
	}
	r.sealer.Seal(e)
	seq := s.state.marker.Seq + 1
	data, err := e.Append(change.AppendUvarint(s.entries.take(binary.MaxVarintLen64+e.Room()), seq))
	if err != nil {
		return err
	}
	if seq == 1 { // the log has to tell whose it is, if the superblock is lost
		s.add(changelog.ItemIdentity, s.state.lineage[:])
	}
	if len(s.feed) == 0 {
		s.add(changelog.ItemBefore, s.state.marker.Encode())
	}
	s.advance(seq, e)
	turns, err := s.entry(e, b)
	if err != nil {
		return err
	}
	s.add(changelog.ItemEntry, data)
	s.addTurns(turns)
	s.tried(e.Version.Device)
	_, w := binary.Uvarint(data)
	s.feed = append(s.feed, feedEntry(seq, e, data[w:], s.state.marker.Hash))
	return nil
}

func feedEntry(seq uint64, e *change.Entry, bytes []byte, running change.Hash) FeedEntry {
	_, ann, _, _, _ := change.CutEntry(bytes)
	f := FeedEntry{Seq: seq, Kind: e.Kind, Device: e.Version.Device, Gen: e.Version.Gen, Entry: bytes,
		Ann: ann, MAC: e.MAC, Hash: running}
	if e.Annotation.Reason != nil {
		f.Code, f.Message = e.Annotation.Reason.Code, e.Annotation.Reason.Message
	}
	return f
}
