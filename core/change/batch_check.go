package change

import (
	"hash/maphash"
	"slices"
	"unicode/utf8"

	"vsync/core/fmt"
	"vsync/core/order"
)

// check holds a batch that is to be encoded against all rules but the size of the whole, and puts
// the parents in order.
func (b *Batch) check() error {
	switch {
	case b.IsPartial:
		return encodeError("batch", "a whole batch", "a partial one", ErrPartial)
	case b.Device.IsZero():
		return encodeError("batch", "a device", "zero", ErrTooSmall)
	case b.Gen == 0:
		return encodeError("batch", "generation 1 or more", "0", ErrTooSmall)
	case b.Gen > MaxNumber || b.Stamp > MaxNumber || b.Nonce.Counter > MaxNumber:
		return encodeError("batch", "generation, stamp and nonce of at most 2^53-1", "", ErrTooLarge)
	case len(b.Note) > MaxNote:
		return encodeError("batch", fmt.Sprintf("a note of at most %d bytes", MaxNote), fmt.Sprint(len(b.Note)), ErrTooLarge)
	case !utf8.ValidString(b.Note):
		return encodeError("batch", "a note of UTF-8", "", ErrNotUTF8)
	case len(b.Mutations) == 0:
		return encodeError("batch", "a mutation", "none", ErrTooSmall)
	case len(b.Mutations) > MaxMutations:
		return encodeError("batch", fmt.Sprintf("at most %d mutations", MaxMutations), fmt.Sprint(len(b.Mutations)), ErrTooLarge)
	}
	for i := range b.Mutations {
		if err := b.Mutations[i].check(b.Version()); err != nil {
			return within(err, fmt.Sprintf("mutation %d (%v)", i, b.Mutations[i].Key), 0)
		}
	}
	if i := duplicateObject(b.Mutations); i >= 0 {
		return encodeError(fmt.Sprintf("mutation %d", i), "each object once", b.Mutations[i].Key.String(), ErrDuplicateObject)
	}
	return nil
}

func (m *Mutation) check(own Version) error {
	if err := m.Key.Validate(); err != nil {
		return err
	}
	if len(m.Parents) > MaxParents {
		return encodeError("", fmt.Sprintf("at most %d parents", MaxParents), fmt.Sprint(len(m.Parents)), ErrTooLarge)
	}
	if !slices.IsSortedFunc(m.Parents, Version.Compare) {
		order.By(m.Parents, Version.Compare)
	}
	for i, p := range m.Parents {
		switch {
		case p.Device.IsZero() || p.Gen == 0:
			return encodeError("", "a parent's device and generation", p.String(), ErrTooSmall)
		case p.Gen > MaxNumber:
			return encodeError("", "a parent's generation of at most 2^53-1", p.String(), ErrTooLarge)
		case i > 0 && p == m.Parents[i-1]:
			return encodeError("", "distinct parents", p.String(), ErrDuplicate)
		case p.Device == own.Device && p.Gen >= own.Gen:
			return encodeError("", "parents before "+own.String(), p.String(), ErrParent)
		}
	}
	return m.checkContent()
}

// checkContent checks what a put or a delete carries.
func (m *Mutation) checkContent() error {
	switch {
	case m.Kind > Delete:
		return encodeError("", "put or delete", m.Kind.String(), ErrReserved)
	case m.Kind == Delete && m.Changes != nil:
		return encodeError("", "no changes in a delete", "", ErrReserved)
	case m.Kind == Delete && len(m.Value) > 0:
		return encodeError("", "no value in a delete", fmt.Sprintf("%d bytes", len(m.Value)), ErrTrailing)
	case m.Kind == Delete:
		return nil
	}
	if m.Changes != nil {
		if err := CheckValue(m.Changes); err != nil {
			return encodeError("changes", "canonical msgpack", "", err)
		}
	}
	if err := CheckValue(m.Value); err != nil {
		return encodeError("value", "canonical msgpack", "", err)
	}
	return nil
}

// within says in which part of what, and from which offset, an inner error arose.
func within(err error, what string, base int) error {
	e, ok := err.(*FormatError)
	if !ok {
		return err
	}
	if e.What != "" {
		what += ", " + e.What
	}
	off := e.Offset
	if off >= 0 {
		off += base
	}
	return &FormatError{What: what, Offset: off, Want: e.Want, Got: e.Got, Err: e.Err}
}

// duplicateObject returns the index of a mutation whose key an earlier one has, or -1.
func duplicateObject(ms []Mutation) int {
	if len(ms) <= smallList {
		for i := range ms {
			for j := range i {
				if ms[i].Key == ms[j].Key {
					return i
				}
			}
		}
		return -1
	}
	if ascending(ms) {
		return -1
	}
	return duplicateByHash(ms)
}

// ascending reports whether each mutation's id is above the one before: most batches are written in the order of their ids.
func ascending(ms []Mutation) bool {
	for i := range ms[1:] {
		if ms[i].Key.ID >= ms[i+1].Key.ID {
			return false
		}
	}
	return true
}

// duplicateByHash keeps the mutations' numbers in an open hash table of at most half its slots: one
// allocation, whatever the number of mutations.
func duplicateByHash(ms []Mutation) int {
	size := 1
	for size < 2*len(ms) {
		size *= 2
	}
	slots := make([]uint32, size) // 1 + number; 0 = free
	seed := maphash.MakeSeed()
	for i := range ms {
		at := int(maphash.String(seed, ms[i].Key.ID)) & (size - 1)
		for slots[at] != 0 {
			if ms[slots[at]-1].Key == ms[i].Key {
				return i
			}
			at = (at + 1) & (size - 1)
		}
		slots[at] = uint32(i + 1)
	}
	return -1
}
