package change

import (
	"encoding/binary"
	"hash"
	"slices"
	"unicode/utf8"

	"vsync/core/digest"
	"vsync/core/fmt"
)

const (
	entryFormat = 1

	annStamp   = 1 << 0 // annotation flag: an effective stamp follows
	annParents = 1 << 1 // annotation flag: effective parents follow
	annReason  = 1 << 2 // annotation flag: the reason of a void follows

	macDomain = "vsync entry 1" // keeps the key's other uses apart from this one
)

// An EntryKind says what a feed entry carries.
type EntryKind uint8

const (
	EntryBatch EntryKind = 1 // a batch that the hub accepted
	EntryVoid  EntryKind = 2 // the name of a batch that the hub refused for good
	EntryLost  EntryKind = 3 // what stood here is lost in a hole of the hub's log: up to where a device's chain has come in it
)

func (k EntryKind) String() string {
	switch k {
	case EntryBatch:
		return "batch"
	case EntryVoid:
		return "void"
	case EntryLost:
		return "lost"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// A Reason says why a batch was voided.
type Reason struct {
	Code    string // for programs: 1..32 of A-Z 0-9 _
	Message string // for people: UTF-8, at most 1 KiB
}

// EParents are the parents that count for a mutation in place of its own.
type EParents struct {
	Index   int       // of the mutation in the whole batch
	Parents []Version // ascending, distinct, at most MaxParents; may be empty
}

// An Annotation is what the hub says about a batch; it stands beside the batch's bytes.
type Annotation struct {
	Accepted uint64     // hub's clock at acceptance, ms since 1970
	Stamp    uint64     // effective stamp, only where it differs from the batch's own; 0 = the same
	EParents []EParents // only where a parent was voided; by ascending Index
	Reason   *Reason    // in a void, and only there
}

// An Entry is one place in a hub's feed.
type Entry struct {
	Kind       EntryKind
	Annotation Annotation
	MAC        Hash   // the hub's, see Seal
	Body       []byte // EntryBatch: the batch's bytes, whole or partial; EntryVoid, EntryLost: its name

	// What the body names: filled in by NewBatchEntry, NewVoidEntry, NewLostEntry and DecodeEntry.
	Version Version
	Hash    Hash // the batch's hash; EntryLost: zero where it is not known, and what follows on it is believed
	Running Hash // EntryLost: the running hash of the feed after it, where what was lost cannot say it; else zero
}

// NewBatchEntry returns an entry, not yet sealed, for a batch with these bytes.
// An effective stamp that is the batch's own is taken out of the annotation.
func NewBatchEntry(h *Header, batch []byte, ann Annotation) *Entry {
	if ann.Stamp == h.Stamp {
		ann.Stamp = 0
	}
	return &Entry{Kind: EntryBatch, Annotation: ann, Body: batch, Version: h.Version(), Hash: h.Hash}
}

// NewVoidEntry returns an entry, not yet sealed, that voids the batch with this name.
func NewVoidEntry(v Version, hash Hash, ann Annotation) *Entry {
	body := append(make([]byte, 0, 48), v.Device[:]...)
	body = AppendUvarint(body, uint64(v.Gen))
	body = append(body, hash[:]...)
	return &Entry{Kind: EntryVoid, Annotation: ann, Body: body, Version: v, Hash: hash}
}

// NewLostEntry returns an entry, not yet sealed, that stands where entries were lost, among them those of a device up to a version. Accepted
// is when that one was, as far as it is known.
func NewLostEntry(v Version, hash Hash, accepted uint64, running Hash) *Entry {
	body := append(make([]byte, 0, 64), v.Device[:]...)
	body = AppendUvarint(body, uint64(v.Gen))
	body = append(append(body, hash[:]...), running[:]...)
	return &Entry{Kind: EntryLost, Annotation: Annotation{Accepted: accepted}, Body: body, Version: v, Hash: hash, Running: running}
}

// Append adds the bytes of the entry to dst. The annotation is held against the rules first; on an
// error, a *FormatError, dst comes back as it was.
func (e *Entry) Append(dst []byte) ([]byte, error) {
	a := &e.Annotation
	if a.Stamp == 0 && len(a.EParents) == 0 && a.Reason == nil && a.Accepted <= MaxNumber { // nearly all of them
		dst = slices.Grow(dst, entryRoom+len(e.Body))
		dst = AppendUvarint(append(dst, entryFormat, byte(e.Kind)), uint64(1+uvarintSize(a.Accepted)))
		dst = append(a.Append(dst), e.MAC[:]...)
		return append(dst, e.Body...), nil
	}
	ann := a.Append(make([]byte, 0, 64))
	if _, err := DecodeAnnotation(ann); err != nil {
		return dst, err
	}
	dst = slices.Grow(dst, entryRoom+len(ann)+len(e.Body))
	dst = append(dst, entryFormat, byte(e.Kind))
	dst = AppendUvarint(dst, uint64(len(ann)))
	dst = append(dst, ann...)
	dst = append(dst, e.MAC[:]...)
	return append(dst, e.Body...), nil
}

// Room is what Append takes at most of a slice, as long as the annotation is a plain one.
func (e *Entry) Room() int { return entryRoom + len(e.Body) }

// entryRoom is what an entry with a plain annotation takes at most, beside its body.
const entryRoom = 2 + binary.MaxVarintLen32 + 1 + binary.MaxVarintLen64 + HashSize

// Encode returns the bytes of the entry; see Append.
func (e *Entry) Encode() ([]byte, error) { return e.Append(nil) }

// CutEntry cuts an entry that was checked before into its parts, without looking into them. False where the bytes do not reach.
func CutEntry(b []byte) (kind EntryKind, ann []byte, mac Hash, body []byte, ok bool) {
	r := reader{b: b, what: "entry"}
	r.format(entryFormat)
	kind = EntryKind(r.byte("kind"))
	ann = r.bytes(MaxAnnotation, "annotation")
	mac = Hash(r.array16("MAC"))
	body = r.take(r.left(), "body")
	return kind, ann, mac, body, r.err == nil
}

// DecodeEntry reads an entry: its envelope, its annotation, and the header of its batch, which the
// annotation must fit. Batch reads the rest. Body aliases b. Errors are *FormatError.
func DecodeEntry(b []byte) (*Entry, error) {
	e, err := openEntry(b)
	if err != nil {
		return nil, err
	}
	if e.Kind != EntryBatch {
		err = e.readName()
	} else {
		var h Header
		if h, _, err = DecodeHeader(e.Body); err == nil {
			err = e.fits(&h)
		}
	}
	if err != nil {
		return nil, within(err, "entry", len(b)-len(e.Body))
	}
	return e, nil
}

// DecodeEntryBatch is DecodeEntry and, unless it is a void, DecodeAny of its batch.
func DecodeEntryBatch(b []byte) (*Entry, *Batch, error) {
	e, err := openEntry(b)
	if err != nil {
		return nil, nil, err
	}
	var batch *Batch
	if e.Kind != EntryBatch {
		err = e.readName()
	} else if batch, err = DecodeAny(e.Body); err == nil {
		err = e.fits(&batch.Header)
	}
	if err != nil {
		return nil, nil, within(err, "entry", len(b)-len(e.Body))
	}
	return e, batch, nil
}

// openEntry reads the envelope and the annotation.
func openEntry(b []byte) (*Entry, error) {
	r := reader{b: b, what: "entry"}
	if len(b) > MaxEntry {
		r.failAt(0, ErrTooLarge, fmt.Sprintf("at most %d bytes", MaxEntry), fmt.Sprint(len(b)))
	}
	r.format(entryFormat)
	e := &Entry{Kind: EntryKind(r.byte("kind"))}
	if r.err == nil && (e.Kind < EntryBatch || e.Kind > EntryLost) {
		r.failAt(1, ErrReserved, "kind 1 to 3", fmt.Sprint(uint8(e.Kind)))
	}
	ann := r.bytes(MaxAnnotation, "annotation")
	annEnd := r.off
	e.MAC = Hash(r.array16("MAC"))
	e.Body = r.take(r.left(), "body")
	if r.err != nil {
		return nil, r.err
	}
	var err error
	if e.Annotation, err = DecodeAnnotation(ann); err != nil {
		return nil, within(err, "entry", annEnd-len(ann))
	}
	return e, nil
}

// fits takes the name of the batch, and holds the annotation against what it is about.
func (e *Entry) fits(h *Header) error {
	e.Version, e.Hash = h.Version(), h.Hash
	a := &e.Annotation
	switch {
	case a.Reason != nil:
		return encodeError("annotation", "no reason for a batch", a.Reason.Code, ErrAnnotation)
	case a.Stamp == h.Stamp && a.Stamp != 0:
		return encodeError("annotation", "an effective stamp other than the batch's own, or no flag", "", ErrNotMinimal)
	case len(a.EParents) > 0 && a.EParents[len(a.EParents)-1].Index >= h.Count:
		return encodeError("annotation", fmt.Sprintf("effective parents of mutations below %d", h.Count),
			fmt.Sprint(a.EParents[len(a.EParents)-1].Index), ErrIndex)
	}
	return nil
}

// readName reads the body of an entry that holds no batch.
func (e *Entry) readName() error {
	r := reader{b: e.Body, what: e.Kind.String()}
	e.Version.Device = DeviceID(r.array16("device"))
	if r.err == nil && e.Version.Device.IsZero() {
		r.failAt(0, ErrTooSmall, "a device", "zero")
	}
	e.Version.Gen = Generation(r.positive("generation"))
	e.Hash = Hash(r.array16("batch hash"))
	if e.Kind == EntryLost {
		e.Running = Hash(r.array16("running hash"))
	}
	r.end()
	a := &e.Annotation
	if lost := e.Kind == EntryLost; r.err == nil && lost && (a.Reason != nil || a.Stamp != 0 || a.EParents != nil) {
		return encodeError("annotation", "nothing but a time, for what is lost", "", ErrAnnotation)
	} else if lost {
		return r.err
	}
	if r.err == nil && (a.Reason == nil || a.Stamp != 0 || a.EParents != nil) {
		return encodeError("annotation", "a reason, and neither stamp nor parents, for a void", "", ErrAnnotation)
	}
	return r.err
}

// Batch reads the entry's batch, whole or partial, as DecodeAny does.
func (e *Entry) Batch() (*Batch, error) {
	if e.Kind != EntryBatch {
		return nil, encodeError("entry", "a batch", e.Kind.String(), ErrAnnotation)
	}
	return DecodeAny(e.Body)
}

// EffectiveStamp is the stamp that decides between versions, for a batch with this header.
func (a *Annotation) EffectiveStamp(h *Header) uint64 {
	if a.Stamp != 0 {
		return a.Stamp
	}
	return h.Stamp
}

// EffectiveParents are the parents that count for a mutation: the hub's where it gave some, else the
// mutation's own.
func (a *Annotation) EffectiveParents(m *Mutation) []Version {
	i, found := slices.BinarySearchFunc(a.EParents, m.Index, func(p EParents, index int) int { return p.Index - index })
	if found {
		return a.EParents[i].Parents
	}
	return m.Parents
}

// FeedHash returns the running hash of the feed after this entry, where prev is the one before it:
// zero at the beginning of the first epoch, the fork point's at the beginning of a later one.
func (e *Entry) FeedHash(prev Hash) Hash {
	if !e.Running.IsZero() {
		return e.Running
	}
	buf := append(make([]byte, 0, 256), prev[:]...)
	return sum(e.appendName(buf))
}

// appendName writes what the running hash and the MAC cover.
func (e *Entry) appendName(dst []byte) []byte {
	dst = append(dst, byte(e.Kind))
	dst = e.Annotation.Append(dst)
	dst = append(dst, e.Version.Device[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.Version.Gen))
	dst = append(dst, e.Hash[:]...)
	if e.Kind == EntryLost {
		dst = append(dst, e.Running[:]...)
	}
	return dst
}

// ComputeMAC returns the MAC of the entry by a hub's key: proof, to that hub after a loss, that it
// had accepted this entry.
func (e *Entry) ComputeMAC(key []byte, lineage Lineage) Hash {
	buf := append(make([]byte, 0, 256), macDomain...)
	buf = append(buf, lineage[:]...)
	mac := digest.NewMAC(key)
	mac.Write(e.appendName(buf))
	return Hash(mac.Sum(nil)[:HashSize])
}

// A Sealer seals entries by one key: what Seal does, without preparing the key for each. It is for one goroutine at a time.
type Sealer struct {
	mac  hash.Hash
	head []byte // what comes before an entry's name
	buf  []byte
}

// NewSealer returns the sealer of a hub's key.
func NewSealer(key []byte, lineage Lineage) *Sealer {
	return &Sealer{mac: digest.NewMAC(key), head: append([]byte(macDomain), lineage[:]...)}
}

// Seal sets the MAC.
func (s *Sealer) Seal(e *Entry) {
	s.mac.Reset()
	s.buf = e.appendName(append(s.buf[:0], s.head...))
	s.mac.Write(s.buf)
	s.buf = s.mac.Sum(s.buf[:0])
	e.MAC = Hash(s.buf[:HashSize])
}

// Seal sets the MAC.
func (e *Entry) Seal(key []byte, lineage Lineage) { e.MAC = e.ComputeMAC(key, lineage) }

// VerifyMAC returns nil, or an ErrMAC where the entry was not sealed like this. It takes the same
// time wherever the MACs differ.
func (e *Entry) VerifyMAC(key []byte, lineage Lineage) error {
	want := e.ComputeMAC(key, lineage)
	if !digest.Equal(want[:], e.MAC[:]) {
		return encodeError("entry of "+e.Version.String(), "a MAC by this hub's key", e.MAC.String(), ErrMAC)
	}
	return nil
}

// Append adds the bytes of the annotation to dst.
func (a *Annotation) Append(dst []byte) []byte {
	dst = AppendUvarint(dst, a.flags())
	dst = AppendUvarint(dst, a.Accepted)
	if a.Stamp != 0 {
		dst = AppendUvarint(dst, a.Stamp)
	}
	if len(a.EParents) > 0 {
		dst = AppendUvarint(dst, uint64(len(a.EParents)))
	}
	for _, p := range a.EParents {
		dst = AppendUvarint(dst, uint64(p.Index))
		dst = AppendUvarint(dst, uint64(len(p.Parents)))
		for _, v := range p.Parents {
			dst = append(dst, v.Device[:]...)
			dst = AppendUvarint(dst, uint64(v.Gen))
		}
	}
	if a.Reason != nil {
		dst = appendText(dst, a.Reason.Code)
		dst = appendText(dst, a.Reason.Message)
	}
	return dst
}

// Encode returns the bytes of the annotation.
func (a *Annotation) Encode() []byte { return a.Append(nil) }

func (a *Annotation) flags() (flags uint64) {
	if a.Stamp != 0 {
		flags |= annStamp
	}
	if len(a.EParents) > 0 {
		flags |= annParents
	}
	if a.Reason != nil {
		flags |= annReason
	}
	return flags
}

// DecodeAnnotation reads exactly one annotation. Nothing of b is kept. Errors are *FormatError.
func DecodeAnnotation(b []byte) (Annotation, error) {
	r := reader{b: b, what: "annotation"}
	if len(b) > MaxAnnotation {
		r.failAt(0, ErrTooLarge, fmt.Sprintf("at most %d bytes", MaxAnnotation), fmt.Sprint(len(b)))
	}
	flags := r.uvarint(MaxNumber, "flags")
	if flags&^(annStamp|annParents|annReason) != 0 {
		r.failAt(0, ErrReserved, "flags 0 to 7", fmt.Sprint(flags))
	}
	a := Annotation{Accepted: r.uvarint(MaxNumber, "time of acceptance")}
	if flags&annStamp != 0 {
		a.Stamp = r.positive("effective stamp")
	}
	if flags&annParents != 0 {
		a.EParents = r.effectiveParents()
	}
	if flags&annReason != 0 {
		a.Reason = r.reason()
	}
	r.end()
	if r.err != nil {
		return Annotation{}, r.err
	}
	return a, nil
}

func (r *reader) effectiveParents() []EParents {
	at := r.off
	n := r.count(MaxMutations, 2, "number of effective parents")
	if r.err == nil && n == 0 {
		r.failAt(at, ErrNotMinimal, "one mutation or more, or no flag", "0")
	}
	list := make([]EParents, 0, n)
	for i := 0; i < n && r.err == nil; i++ {
		at := r.off
		p := EParents{Index: int(r.uvarint(MaxMutations-1, "mutation index"))}
		if i > 0 && r.err == nil && p.Index <= list[i-1].Index {
			r.failAt(at, ErrOrder, "mutation indices ascending", fmt.Sprint(p.Index))
		}
		p.Parents = r.versions()
		list = append(list, p)
	}
	return list
}

func (r *reader) versions() []Version {
	n := r.count(MaxParents, len(DeviceID{})+1, "number of parents")
	if n == 0 {
		return nil
	}
	list := make([]Version, 0, n)
	for i := 0; i < n && r.err == nil; i++ {
		at := r.off
		v := Version{DeviceID(r.array16("device")), Generation(r.positive("generation"))}
		switch {
		case r.err != nil:
		case v.Device.IsZero():
			r.failAt(at, ErrTooSmall, "a device", "zero")
		case i > 0 && list[i-1].Compare(v) >= 0:
			r.failAt(at, ErrOrder, "parents ascending", v.String())
		}
		list = append(list, v)
	}
	return list
}

func (r *reader) reason() *Reason {
	at := r.off
	code := r.bytes(MaxReasonCode, "reason code")
	if r.err == nil && !reasonCode(code) {
		r.failAt(at, ErrText, "a reason code of A-Z, 0-9 and _", fmt.Sprintf("%q", code))
	}
	at = r.off
	message := r.bytes(MaxReasonMessage, "reason message")
	if r.err == nil && !utf8.Valid(message) {
		r.failAt(at, ErrNotUTF8, "a reason message of UTF-8", "")
	}
	return &Reason{string(code), string(message)}
}

func reasonCode(code []byte) bool {
	for _, c := range code {
		if !(c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_') {
			return false
		}
	}
	return len(code) > 0
}
