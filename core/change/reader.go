package change

import (
	"encoding/binary"

	"vsync/core/fmt"
)

// A reader takes strict fields off bytes. After the first error it stands still and gives zeros, so
// callers check err once, before they trust or allocate by what they read.
type reader struct {
	b    []byte
	off  int
	what string
	err  error
}

func (r *reader) left() int { return len(r.b) - r.off }

//go:noinline
func (r *reader) failAt(off int, err error, want, got string) {
	if r.err == nil {
		r.err = &FormatError{What: r.what, Offset: off, Want: want, Got: got, Err: err}
	}
	r.off = len(r.b)
}

//go:noinline
func (r *reader) fail(err error, want, got string) { r.failAt(r.off, err, want, got) }

func (r *reader) byte(want string) byte {
	if r.off >= len(r.b) {
		r.fail(ErrTruncated, want, "the end")
		return 0
	}
	r.off++
	return r.b[r.off-1]
}

func (r *reader) format(want byte) {
	if got := r.byte("format byte"); r.err == nil && got != want {
		r.failAt(r.off-1, ErrUnknownFormat, fmt.Sprintf("format %d", want), fmt.Sprint(got))
	}
}

// uvarint reads a LEB128 number in its shortest form, from 0 to limit.
func (r *reader) uvarint(limit uint64, want string) uint64 {
	if r.off < len(r.b) && r.b[r.off] < 0x80 && uint64(r.b[r.off]) <= limit {
		r.off++
		return uint64(r.b[r.off-1])
	}
	n, size := binary.Uvarint(r.b[r.off:])
	switch {
	case size == 0:
		r.fail(ErrTruncated, want, "the end")
	case size < 0:
		r.fail(ErrTooLarge, want, "more than 64 bits")
	case size > 1 && r.b[r.off+size-1] == 0:
		r.fail(ErrNotMinimal, want+" in its shortest form", fmt.Sprintf("%d bytes for %d", size, n))
	case n > limit:
		r.fail(ErrTooLarge, fmt.Sprintf("%s: a number of at most %d", want, limit), fmt.Sprint(n))
	default:
		r.off += size
		return n
	}
	return 0
}

// count reads a number of items of at least size bytes each, which must still fit into the rest, so
// that it is safe to allocate by it.
func (r *reader) count(limit uint64, size int, want string) int {
	at := r.off
	n := r.uvarint(limit, want)
	if r.err == nil && n > uint64(r.left()/size) {
		r.failAt(at, ErrTruncated, fmt.Sprintf("%s and as many items", want), fmt.Sprintf("%d items in %d bytes", n, r.left()))
		return 0
	}
	return int(n)
}

// take returns the next n bytes of the input itself.
func (r *reader) take(n int, want string) []byte {
	if r.err != nil {
		return nil
	}
	if n > r.left() {
		r.fail(ErrTruncated, fmt.Sprintf("%d bytes of %s", n, want), fmt.Sprintf("%d bytes", r.left()))
		return nil
	}
	r.off += n
	return r.b[r.off-n : r.off : r.off]
}

func (r *reader) array16(want string) (a [16]byte) {
	copy(a[:], r.take(len(a), want))
	return a
}

// bytes reads a length and as many bytes. Nothing is joined to want before it is needed: this runs
// several times a mutation.
func (r *reader) bytes(limit uint64, want string) []byte {
	n := r.uvarint(limit, want)
	return r.take(int(n), want)
}

func (r *reader) end() {
	if r.err == nil && r.left() > 0 {
		r.fail(ErrTrailing, "the end", fmt.Sprintf("%d more bytes", r.left()))
	}
}
