package change

import (
	"strings"
	"unicode/utf8"

	"vsync/core/fmt"
)

// minFrame is the shortest frame: length, kind, collection, id length, one byte of id, no parents.
const minFrame = 6

// DecodeHeader reads the header of a whole or partial batch and returns where its body begins. It
// checks all that the header alone can show; Follows checks its hash. Nothing of b is kept.
//
// Errors are *FormatError.
func DecodeHeader(b []byte) (h Header, body int, err error) {
	r := reader{b: b, what: "batch header"}
	h.IsPartial = r.batchFormat()
	flags := r.uvarint(MaxNumber, "flags")
	if flags&^(headerNote|headerNonce) != 0 {
		r.failAt(1, ErrReserved, "flags 0 to 3", fmt.Sprint(flags))
	}
	h.Device = DeviceID(r.array16("device"))
	h.Gen = Generation(r.positive("generation"))
	h.Stamp = r.uvarint(MaxNumber, "stamp")
	if flags&headerNonce != 0 {
		h.Nonce = r.nonce()
	}
	if flags&headerNote != 0 {
		h.Note = r.note()
	}
	h.Collections = r.collections()
	h.Devices = r.devices()
	h.Count = int(r.positive("number of mutations"))
	h.Size = int(r.uvarint(MaxBatch, "size of the frames"))
	h.Body = Hash(r.array16("body hash"))
	h.Hash = Hash(r.array16("hash"))
	if r.err == nil {
		r.checkHeader(&h)
	}
	if r.err != nil {
		return Header{}, 0, r.err
	}
	return h, r.off, nil
}

// PeekVersion reads which batch it is off the front of its bytes, which were checked before. False where they do not reach.
func PeekVersion(b []byte) (Version, bool) {
	r := reader{b: b, what: "batch header"}
	r.batchFormat()
	r.uvarint(MaxNumber, "flags")
	v := Version{DeviceID(r.array16("device")), Generation(r.positive("generation"))}
	return v, r.err == nil && !v.Device.IsZero()
}

func (r *reader) batchFormat() (partial bool) {
	switch f := r.byte("format byte"); {
	case r.err != nil || f == batchFormat:
	case f == partialFormat:
		return true
	default:
		r.failAt(0, ErrUnknownFormat, "format 1 or 2", fmt.Sprint(f))
	}
	return false
}

func (r *reader) positive(want string) uint64 {
	at := r.off
	n := r.uvarint(MaxNumber, want)
	if r.err == nil && n == 0 {
		r.failAt(at, ErrTooSmall, want+" of 1 or more", "0")
	}
	return n
}

func (r *reader) nonce() (n Nonce) {
	at := r.off
	copy(n.Tab[:], r.take(len(n.Tab), "nonce tab"))
	n.Counter = r.uvarint(MaxNumber, "nonce counter")
	if r.err == nil && n.IsZero() {
		r.failAt(at, ErrNotMinimal, "a nonce that is not zero, or no flag", "")
	}
	return n
}

func (r *reader) note() string {
	at := r.off
	text := r.bytes(MaxNote, "note")
	switch {
	case r.err != nil:
	case len(text) == 0:
		r.failAt(at, ErrNotMinimal, "a note of 1 byte or more, or no flag", "")
	case !utf8.Valid(text):
		r.failAt(at, ErrNotUTF8, "a note of UTF-8", "")
	}
	return string(text)
}

func (r *reader) collections() []string {
	n := r.count(MaxMutations, 2, "number of collections")
	if r.err != nil || n == 0 {
		return nil
	}
	names := make([]string, 0, n)
	for range n {
		at := r.off
		name := r.bytes(MaxCollection, "collection name")
		if r.err != nil {
			return nil
		}
		if want := collectionProblem(name); want != "" {
			r.failAt(at, ErrKey, "a collection name of "+want, fmt.Sprintf("%q", name))
			return nil
		}
		names = append(names, string(name))
	}
	r.distinct(hasDuplicate(names), "collections")
	return names
}

func (r *reader) devices() []DeviceID {
	n := r.count(MaxBatch, len(DeviceID{}), "number of devices")
	if r.err != nil || n == 0 {
		return nil
	}
	devices := make([]DeviceID, n)
	for i := range devices {
		devices[i] = DeviceID(r.array16("device"))
		if devices[i].IsZero() {
			r.fail(ErrTooSmall, "a device", "zero")
		}
	}
	r.distinct(hasDuplicate(devices), "devices")
	return devices
}

func (r *reader) distinct(duplicate bool, what string) {
	if duplicate {
		r.fail(ErrDuplicate, "distinct "+what, "one twice")
	}
}

func hasDuplicate[T comparable](rows []T) bool {
	if len(rows) < 2 {
		return false
	}
	t := table[T]{}
	for i, row := range rows {
		if _, known := t.find(row); known {
			return true
		}
		t.rows = rows[:i+1]
		t.note(row, i)
	}
	return false
}

func (r *reader) checkHeader(h *Header) {
	switch {
	case h.Device.IsZero():
		r.failAt(2, ErrTooSmall, "a device", "zero")
	case h.Count > MaxMutations:
		r.fail(ErrTooLarge, fmt.Sprintf("at most %d mutations", MaxMutations), fmt.Sprint(h.Count))
	case len(h.Collections) == 0:
		r.fail(ErrTooSmall, "a collection", "none")
	case len(h.Collections) > h.Count:
		r.fail(ErrUnused, fmt.Sprintf("at most %d collections, as there are mutations", h.Count), fmt.Sprint(len(h.Collections)))
	case len(h.Devices) > h.Count*MaxParents:
		r.fail(ErrUnused, "no more devices than parents", fmt.Sprint(len(h.Devices)))
	case h.Size < h.Count*minFrame:
		r.fail(ErrSize, fmt.Sprintf("at least %d bytes of frames", h.Count*minFrame), fmt.Sprint(h.Size))
	case r.off+h.Size > MaxBatch:
		r.fail(ErrTooLarge, fmt.Sprintf("a batch of at most %d bytes", MaxBatch), fmt.Sprint(r.off+h.Size))
	}
}

// Decode reads a whole batch and checks all of it but its place in the chain: bounds, order, the
// body's hash, and that every value is canonical. A partial batch is refused with ErrPartial.
//
// Values and changes of the mutations alias b, which must not be changed as long as they are used.
// Errors are *FormatError; a bad value is a *ValueError within.
func Decode(b []byte) (*Batch, error) {
	if len(b) > 0 && b[0] == partialFormat {
		return nil, partialError()
	}
	return decode(b, true)
}

// DecodeBody is Decode of a batch whose header has been read by DecodeHeader, which returned batch.Header and body. The list of mutations
// that batch has is used again.
func DecodeBody(batch *Batch, b []byte, body int) error {
	if batch.IsPartial {
		return partialError()
	}
	return batch.decodeBody(b, body, true)
}

func partialError() error {
	return &FormatError{What: "batch", Want: "a whole batch (format 1)", Got: "format 2", Err: ErrPartial}
}

// DecodeAny is Decode for a whole or a partial batch; of a partial one the body's hash cannot be
// checked. Look at IsPartial.
func DecodeAny(b []byte) (*Batch, error) { return decode(b, true) }

// DecodeTrusted is DecodeAny for bytes that were checked before, by this engine, and have come back
// from a store that holds a checksum over them. It skips the body's hash, the values, the order of
// the tables and the search for duplicates. It is safe on any bytes: bounds are always checked.
func DecodeTrusted(b []byte) (*Batch, error) { return decode(b, false) }

// Walk calls visit with the mutations of a trusted batch, in order, until it returns false. It
// checks as DecodeTrusted does, but only as far as it goes.
func Walk(b []byte, visit func(Mutation) bool) (Header, error) {
	h, off, err := DecodeHeader(b)
	if err != nil {
		return Header{}, err
	}
	d := frameDecoder{h: &h}
	if err := d.start(b, off); err != nil {
		return Header{}, err
	}
	for range d.n {
		m, err := d.next()
		if err != nil {
			return Header{}, err
		}
		if !visit(m) {
			return h, nil
		}
	}
	return h, d.end()
}

func decode(b []byte, strict bool) (*Batch, error) {
	h, body, err := DecodeHeader(b)
	if err != nil {
		return nil, err
	}
	batch := &Batch{Header: h}
	if err := batch.decodeBody(b, body, strict); err != nil {
		return nil, err
	}
	return batch, nil
}

func (b *Batch) decodeBody(bytes []byte, body int, strict bool) (err error) {
	d := frameDecoder{h: &b.Header, strict: strict}
	if err := d.start(bytes, body); err != nil {
		return err
	}
	if cap(b.Mutations) < d.n {
		b.Mutations = make([]Mutation, d.n)
	}
	b.Mutations = b.Mutations[:d.n]
	for i := range b.Mutations {
		if b.Mutations[i], err = d.next(); err != nil {
			return err
		}
	}
	if err := d.end(); err != nil {
		return err
	}
	if strict {
		if i := duplicateObject(b.Mutations); i >= 0 {
			m := &b.Mutations[i]
			return encodeError(fmt.Sprintf("mutation %d", m.Index), "each object once", m.Key.String(), ErrDuplicateObject)
		}
	}
	return nil
}

// A frameDecoder reads the frames of a batch one after the other. Ids and parents of all mutations
// share two growing buffers, so a batch costs a handful of allocations, not some each mutation.
type frameDecoder struct {
	r      reader
	h      *Header
	strict bool
	n      int // frames present
	index  int // of the next whole-batch mutation at least

	colls, devs int // table rows used so far; in a whole batch they are used in order
	ids         strings.Builder
	parents     []Version
}

// start begins at the frames; h and strict are set.
func (d *frameDecoder) start(b []byte, off int) error {
	d.r, d.n = reader{b: b, off: off, what: "batch body"}, d.h.Count
	if d.h.IsPartial {
		d.startPartial()
	} else {
		d.startWhole()
	}
	if d.r.err != nil {
		return d.r.err
	}
	d.ids.Grow(min(16*d.n, d.r.left()))
	return nil
}

func (d *frameDecoder) startWhole() {
	switch left := d.r.left(); {
	case left < d.h.Size:
		d.r.fail(ErrTruncated, fmt.Sprintf("%d bytes of frames", d.h.Size), fmt.Sprint(left))
	case left > d.h.Size:
		d.r.failAt(d.r.off+d.h.Size, ErrTrailing, "the end", fmt.Sprintf("%d more bytes", left-d.h.Size))
	case d.strict:
		if got := sum(d.r.b[d.r.off:]); got != d.h.Body {
			d.r.fail(ErrBodyHash, "frames with hash "+d.h.Body.String(), got.String())
		}
	}
}

func (d *frameDecoder) startPartial() {
	if len(d.r.b) > MaxPartial {
		d.r.fail(ErrTooLarge, fmt.Sprintf("at most %d bytes", MaxPartial), fmt.Sprint(len(d.r.b)))
	}
	at := d.r.off
	d.n = d.r.count(MaxMutations, 1+minFrame, "number of frames present")
	if d.r.err == nil && d.n >= d.h.Count {
		d.r.failAt(at, ErrNotMinimal, fmt.Sprintf("fewer than %d frames; a batch with all is a whole one", d.h.Count), fmt.Sprint(d.n))
	}
}

func (d *frameDecoder) next() (Mutation, error) {
	if d.h.IsPartial {
		at := d.r.off
		i := int(d.r.uvarint(MaxMutations, "mutation index"))
		switch {
		case d.r.err != nil:
		case i < d.index:
			d.r.failAt(at, ErrOrder, fmt.Sprintf("an index of %d or more", d.index), fmt.Sprint(i))
		case i >= d.h.Count:
			d.r.failAt(at, ErrIndex, fmt.Sprintf("an index below %d", d.h.Count), fmt.Sprint(i))
		}
		d.index = i
	}
	frame := d.r.bytes(MaxBatch, "mutation")
	if d.r.err != nil {
		return Mutation{}, d.r.err
	}
	m := Mutation{Index: d.index}
	d.index++
	r := reader{b: frame}
	d.mutation(&r, &m)
	if r.err != nil {
		return Mutation{}, within(r.err, fmt.Sprintf("mutation %d", m.Index), d.r.off-len(frame))
	}
	return m, nil
}

func (d *frameDecoder) end() error {
	if d.r.err == nil && d.r.left() > 0 {
		// The whole has the right length, so the frames do not add up to it.
		err := ErrSize
		if d.h.IsPartial {
			err = ErrTrailing
		}
		d.r.fail(err, fmt.Sprintf("the end after %d mutations", d.n), fmt.Sprintf("%d more bytes", d.r.left()))
	}
	if d.r.err == nil && d.strict && !d.h.IsPartial && (d.colls < len(d.h.Collections) || d.devs < len(d.h.Devices)) {
		d.r.fail(ErrUnused, fmt.Sprintf("%d collections and %d devices used", len(d.h.Collections), len(d.h.Devices)),
			fmt.Sprintf("%d and %d", d.colls, d.devs))
	}
	return d.r.err
}

func (d *frameDecoder) mutation(r *reader, m *Mutation) {
	head := r.byte("kind")
	if head&^(mutationKind|mutationChanges) != 0 || head&mutationKind > byte(Delete) || head == byte(Delete)|mutationChanges {
		r.failAt(0, ErrReserved, "kind 0, 1 or 4", fmt.Sprint(head))
	}
	m.Kind = Kind(head & mutationKind)
	m.Key.Collection = d.collection(r)
	m.Key.ID = d.id(r)
	m.Parents = d.parentList(r)
	if head&mutationChanges != 0 {
		at := r.off
		m.Changes = r.bytes(MaxValue, "changes")
		d.value(r, m.Changes, "changes", at)
	}
	if m.Kind == Delete {
		r.end()
		return
	}
	at := r.off
	m.Value = r.take(r.left(), "value")
	d.value(r, m.Value, "value", at)
}

func (d *frameDecoder) collection(r *reader) string {
	i := d.row(r, &d.colls, len(d.h.Collections), "collection index")
	if r.err != nil {
		return ""
	}
	return d.h.Collections[i]
}

// row reads an index into a table of size rows. A whole batch uses rows in order of their numbers,
// so that it has one encoding only; used counts those seen.
func (d *frameDecoder) row(r *reader, used *int, size int, what string) int {
	at := r.off
	i := int(r.uvarint(MaxNumber, what))
	switch {
	case r.err != nil:
	case i >= size:
		r.failAt(at, ErrIndex, fmt.Sprintf("%s below %d", what, size), fmt.Sprint(i))
	case i == *used:
		*used++
	case i > *used && d.strict && !d.h.IsPartial:
		r.failAt(at, ErrOrder, fmt.Sprintf("%s %d first", what, *used), fmt.Sprint(i))
	}
	return i
}

func (d *frameDecoder) id(r *reader) string {
	at := r.off
	id := r.bytes(MaxID, "id")
	if r.err != nil {
		return ""
	}
	if want := idProblem(id); want != "" {
		r.failAt(at, ErrKey, "an id of "+want, fmt.Sprintf("%d bytes", len(id)))
		return ""
	}
	start := d.ids.Len()
	d.ids.Write(id)
	return d.ids.String()[start:]
}

func (d *frameDecoder) parentList(r *reader) []Version {
	n := r.count(MaxParents, 2, "number of parents")
	if r.err != nil || n == 0 {
		return nil
	}
	if d.parents == nil {
		d.parents = make([]Version, 0, d.n)
	}
	start := len(d.parents)
	for i := range n {
		at := r.off
		dev := d.row(r, &d.devs, len(d.h.Devices), "device index")
		gen := Generation(r.positive("parent generation"))
		if r.err != nil {
			return nil
		}
		p := Version{d.h.Devices[dev], gen}
		d.parents = append(d.parents, p)
		if i > 0 && d.parents[start+i-1].Compare(p) >= 0 {
			r.failAt(at, ErrOrder, "parents ascending", p.String())
		}
		if p.Device == d.h.Device && p.Gen >= d.h.Gen {
			r.failAt(at, ErrParent, "parents before "+d.h.Version().String(), p.String())
		}
	}
	return d.parents[start:len(d.parents):len(d.parents)]
}

func (d *frameDecoder) value(r *reader, v []byte, what string, at int) {
	if r.err != nil || !d.strict {
		return
	}
	if err := CheckValue(v); err != nil {
		r.failAt(at, err, "canonical msgpack in "+what, "")
	}
}
