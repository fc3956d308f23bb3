package device

import (
	"encoding/binary"
	"unicode/utf8"

	"vsync/core/change"
	"vsync/core/fmt"
)

// A decoder takes strict fields off a row. After the first error it stands still and gives zeros.
type decoder struct {
	b    []byte
	off  int
	what string
	err  error // a *change.FormatError
}

func (d *decoder) failAt(off int, err error, want string, got any) {
	if d.err == nil {
		d.err = &change.FormatError{What: d.what, Offset: off, Want: want, Got: fmt.Sprint(got), Err: err}
	}
	d.off = len(d.b)
}

func (d *decoder) take(n int, want string) []byte {
	if left := len(d.b) - d.off; n > left {
		d.failAt(d.off, change.ErrTruncated, fmt.Sprintf("%d bytes of %s", n, want), left)
		return nil
	}
	d.off += n
	return d.b[d.off-n : d.off]
}

func (d *decoder) byte(want string) byte {
	if b := d.take(1, want); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) format() {
	if got := d.byte("format"); d.err == nil && got != format {
		d.failAt(0, change.ErrUnknownFormat, "format 1", got)
	}
}

func (d *decoder) flags(mask byte) byte {
	f := d.byte("flags")
	if f&^mask != 0 {
		d.failAt(d.off-1, change.ErrReserved, fmt.Sprintf("no other flags than %d", mask), f)
		return 0
	}
	return f
}

func (d *decoder) array16(want string) (a [16]byte) {
	copy(a[:], d.take(len(a), want))
	return a
}

func (d *decoder) uvarint(limit uint64, want string) uint64 {
	n, size := binary.Uvarint(d.b[d.off:])
	switch {
	case size == 0:
		d.failAt(d.off, change.ErrTruncated, want, "the end")
	case size < 0:
		d.failAt(d.off, change.ErrTooLarge, want, "more than 64 bits")
	case size > 1 && d.b[d.off+size-1] == 0:
		d.failAt(d.off, change.ErrNotMinimal, want+" in its shortest form", n)
	case n > limit:
		d.failAt(d.off, change.ErrTooLarge, fmt.Sprintf("%s of at most %d", want, limit), n)
	default:
		d.off += size
		return n
	}
	return 0
}

// text reads a length of at least 1 and as many bytes of UTF-8.
func (d *decoder) text(limit uint64, want string) string {
	at := d.off
	n := d.uvarint(limit, "length of the "+want)
	if d.err == nil && n == 0 {
		d.failAt(at, change.ErrTooSmall, want, "nothing")
	}
	s := d.take(int(n), want)
	if !utf8.Valid(s) {
		d.failAt(at, change.ErrNotUTF8, want+" in UTF-8", fmt.Sprintf("%q", s))
		return ""
	}
	return string(s)
}

func (d *decoder) end() {
	if left := len(d.b) - d.off; d.err == nil && left > 0 {
		d.failAt(d.off, change.ErrTrailing, "the end", fmt.Sprintf("%d more bytes", left))
	}
}
