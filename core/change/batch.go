package change

import (
	"slices"

	"vsync/core/digest"
	"vsync/core/fmt"
)

const (
	batchFormat   = 1 // a whole batch
	partialFormat = 2 // what a reader with limited rights gets of it

	headerNote  = 1 << 0 // header flag: a note follows
	headerNonce = 1 << 1 // header flag: a nonce follows

	mutationKind    = 3      // mask of the kind in a mutation's first byte
	mutationChanges = 1 << 2 // mutation flag: changes follow
)

// A Kind says what a mutation does.
type Kind uint8

const (
	Put    Kind = 0
	Delete Kind = 1
)

func (k Kind) String() string {
	switch k {
	case Put:
		return "put"
	case Delete:
		return "delete"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// A Nonce names one write of one tab, so that a write that is sent twice across a lost engine takes
// effect once. The zero Nonce is none.
type Nonce struct {
	Tab     [8]byte // random, made by the tab
	Counter uint64  // 0..MaxNumber, rising within the tab
}

// IsZero reports whether there is no nonce.
func (n Nonce) IsZero() bool { return n == Nonce{} }

// A Header is what every reader gets of a batch, whatever he may read of its mutations.
type Header struct {
	Device DeviceID   // the writer
	Gen    Generation // 1 or more
	Stamp  uint64     // the writer's clock, ms since 1970
	Nonce  Nonce
	Note   string // UTF-8, at most MaxNote bytes

	// Filled in by the encoder and the decoder.
	Collections []string   // collections used, in order of first use
	Devices     []DeviceID // devices named by parents, in order of first use
	Count       int        // mutations of the whole batch, 1 or more
	Size        int        // bytes of all its frames together
	Body        Hash       // hash of all its frames
	Hash        Hash       // links this batch to the device's previous one
	IsPartial   bool       // only some of the mutations are here
}

// A Mutation is what a batch does to one object.
type Mutation struct {
	Index   int // its place in the whole batch; filled in by the encoder and the decoder
	Kind    Kind
	Key     Key
	Parents []Version // the versions replaced: ascending, distinct, at most MaxParents
	Changes []byte    // under field rules, what was changed, canonical msgpack; nil = none; never with Delete
	Value   []byte    // canonical msgpack; empty in a Delete
}

// A Batch is one atomic write: the mutations of (Device, Gen), each object at most once.
type Batch struct {
	Header
	Mutations []Mutation
}

// Version names what the batch writes.
func (h *Header) Version() Version { return Version{h.Device, h.Gen} }

// Chain returns the hash that this header has after prev, the hash of the device's previous batch
// (zero before generation 1). A partial batch chains as the whole one does.
func (h *Header) Chain(prev Hash) Hash {
	buf := append(make([]byte, 0, 512), prev[:]...)
	return sum(h.append(buf, batchFormat))
}

// Follows returns nil if the header's Hash fits after prev, else an ErrChain.
func (h *Header) Follows(prev Hash) error {
	if want := h.Chain(prev); want != h.Hash {
		return &FormatError{What: "batch " + h.Version().String(), Offset: -1,
			Want: "hash " + want.String() + " after " + prev.String(), Got: h.Hash.String(), Err: ErrChain}
	}
	return nil
}

// append writes the header up to, and without, its hash.
func (h *Header) append(dst []byte, format byte) []byte {
	var flags uint64
	if h.Note != "" {
		flags |= headerNote
	}
	if !h.Nonce.IsZero() {
		flags |= headerNonce
	}
	dst = append(dst, format)
	dst = AppendUvarint(dst, flags)
	dst = append(dst, h.Device[:]...)
	dst = AppendUvarint(dst, uint64(h.Gen))
	dst = AppendUvarint(dst, h.Stamp)
	if flags&headerNonce != 0 {
		dst = append(dst, h.Nonce.Tab[:]...)
		dst = AppendUvarint(dst, h.Nonce.Counter)
	}
	if flags&headerNote != 0 {
		dst = appendText(dst, h.Note)
	}
	dst = AppendUvarint(dst, uint64(len(h.Collections)))
	for _, name := range h.Collections {
		dst = appendText(dst, name)
	}
	dst = AppendUvarint(dst, uint64(len(h.Devices)))
	for i := range h.Devices {
		dst = append(dst, h.Devices[i][:]...)
	}
	dst = AppendUvarint(dst, uint64(h.Count))
	dst = AppendUvarint(dst, uint64(h.Size))
	return append(dst, h.Body[:]...)
}

// Encode returns the bytes of the batch; see Append.
func (b *Batch) Encode(prev Hash) ([]byte, error) { return b.Append(nil, prev) }

// Append adds the bytes of the batch to dst, chained to prev, the hash of the device's previous
// batch. Everything is checked first, the values too. It sorts each mutation's Parents in place and
// fills in the header's tables, Count, Size, Body and Hash and the mutations' Index.
//
// On an error, a *FormatError, dst comes back as it was.
func (b *Batch) Append(dst []byte, prev Hash) ([]byte, error) {
	if err := b.check(); err != nil {
		return dst, err
	}
	start := len(dst)
	e := frameEncoder{}
	for i := range b.Mutations {
		b.Mutations[i].Index = i
		dst = e.frame(dst, &b.Mutations[i])
	}
	h := b.Header
	h.Collections, h.Devices = e.colls.rows, e.devs.rows
	h.Count, h.Size = len(b.Mutations), len(dst)-start
	h.Body = sum(dst[start:])

	buf := append(make([]byte, 0, 512), prev[:]...)
	buf = h.append(buf, batchFormat)
	h.Hash = sum(buf)
	head := append(buf, h.Hash[:]...)[HashSize:]
	if len(head)+h.Size > MaxBatch {
		return dst[:start], encodeError("batch", fmt.Sprintf("at most %d bytes", MaxBatch), fmt.Sprint(len(head)+h.Size), ErrTooLarge)
	}
	b.Header = h
	return slices.Insert(dst, start, head...), nil
}

// Partial returns the bytes of the batch with only those mutations that keep accepts: what a reader
// with limited rights gets. Where nothing is left out of a whole batch, the bytes are the whole
// batch. The batch must be one that Append or a decoder has filled in.
func (b *Batch) Partial(keep func(Mutation) bool) []byte {
	e := frameEncoder{colls: newTable(b.Collections), devs: newTable(b.Devices)}
	var frames []byte
	kept := 0
	for i := range b.Mutations {
		if !keep(b.Mutations[i]) {
			continue
		}
		kept++
		frames = AppendUvarint(frames, uint64(b.Mutations[i].Index))
		frames = e.frame(frames, &b.Mutations[i])
	}
	if kept == b.Count {
		return b.whole(&e)
	}
	dst := b.Header.append(make([]byte, 0, 512+len(frames)), partialFormat)
	dst = append(dst, b.Hash[:]...)
	dst = AppendUvarint(dst, uint64(kept))
	return append(dst, frames...)
}

func (b *Batch) whole(e *frameEncoder) []byte {
	dst := b.Header.append(make([]byte, 0, 512+b.Size), batchFormat)
	dst = append(dst, b.Hash[:]...)
	for i := range b.Mutations {
		dst = e.frame(dst, &b.Mutations[i])
	}
	return dst
}

// A frameEncoder writes mutations and collects the tables that their indices refer to.
type frameEncoder struct {
	colls table[string]
	devs  table[DeviceID]
	head  []byte // reused: the mutation up to its value
}

func (e *frameEncoder) frame(dst []byte, m *Mutation) []byte {
	kind := byte(m.Kind)
	if m.Changes != nil {
		kind |= mutationChanges
	}
	head := append(e.head[:0], kind)
	head = AppendUvarint(head, e.colls.index(m.Key.Collection))
	head = appendText(head, m.Key.ID)
	head = AppendUvarint(head, uint64(len(m.Parents)))
	for _, p := range m.Parents {
		head = AppendUvarint(head, e.devs.index(p.Device))
		head = AppendUvarint(head, uint64(p.Gen))
	}
	if m.Changes != nil {
		head = AppendUvarint(head, uint64(len(m.Changes)))
		head = append(head, m.Changes...)
	}
	e.head = head
	dst = AppendUvarint(dst, uint64(len(head)+len(m.Value)))
	dst = append(dst, head...)
	return append(dst, m.Value...)
}

// A table gives its rows numbers in the order of their first use.
type table[T comparable] struct {
	rows   []T
	last   int       // most mutations use the row that the one before used
	number map[T]int // made when there are too many rows to look through
}

func newTable[T comparable](rows []T) table[T] {
	t := table[T]{}
	for _, row := range rows {
		t.index(row)
	}
	return t
}

func (t *table[T]) index(row T) uint64 {
	if t.last < len(t.rows) && t.rows[t.last] == row {
		return uint64(t.last)
	}
	i, known := t.find(row)
	if !known {
		i = len(t.rows)
		t.rows = append(t.rows, row)
		t.note(row, i)
	}
	t.last = i
	return uint64(i)
}

func (t *table[T]) find(row T) (int, bool) {
	if t.number != nil {
		i, ok := t.number[row]
		return i, ok
	}
	i := slices.Index(t.rows, row)
	return i, i >= 0
}

func (t *table[T]) note(row T, i int) {
	if t.number == nil && len(t.rows) > smallList {
		t.number = make(map[T]int, 2*len(t.rows))
		for j, r := range t.rows {
			t.number[r] = j
		}
	}
	if t.number != nil {
		t.number[row] = i
	}
}

// smallList is the length up to which looking through a list beats a map.
const smallList = 12

func appendText(dst []byte, s string) []byte {
	dst = AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func sum(b []byte) Hash {
	full := digest.Sum(b)
	return Hash(full[:HashSize])
}

//go:noinline
func encodeError(what, want, got string, err error) error {
	return &FormatError{What: what, Offset: -1, Want: want, Got: got, Err: err}
}
