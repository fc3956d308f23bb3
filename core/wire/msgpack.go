package wire

import "vsync/core/fmt"

// A reader takes msgpack off a frame. It is strict about kinds and lenient about lengths: any form
// that holds the number will do. After the first fault it stands still and gives zeros.
type reader struct {
	b     []byte
	off   int
	typ   Type   // of the message, once it is known
	outer string // key of the map around, with a dot
	err   *ProtocolError
}

//go:noinline
func (r *reader) fail(code Code, field string, off int, problem string) {
	if r.err == nil {
		r.err = &ProtocolError{Code: code, Message: r.typ, Field: r.outer + field, Offset: off, Problem: problem}
	}
	r.off = len(r.b)
}

// wrong reports that something of another kind stands at off.
func (r *reader) wrong(field, want string, off int) {
	got := "the end"
	if off < len(r.b) {
		got = kind(r.b[off])
	}
	r.fail(CodeProtocol, field, off, "expected "+want+", got "+got)
}

// size reads a big-endian number of n bytes behind a head byte.
func (r *reader) size(field string, n int) uint64 {
	if len(r.b)-r.off < n {
		r.fail(CodeProtocol, field, len(r.b), fmt.Sprintf("expected %d more bytes, got the end", n-(len(r.b)-r.off)))
		return 0
	}
	var v uint64
	for _, c := range r.b[r.off : r.off+n] {
		v = v<<8 | uint64(c)
	}
	r.off += n
	return v
}

// head takes the next head byte; false at the end and after a fault.
func (r *reader) head(field, want string) (byte, bool) {
	if r.err != nil {
		return 0, false
	}
	if r.off >= len(r.b) {
		r.wrong(field, want, r.off)
		return 0, false
	}
	r.off++
	return r.b[r.off-1], true
}

// take returns the next n bytes of the frame itself.
func (r *reader) take(field string, n uint64) []byte {
	if r.err != nil {
		return nil
	}
	if left := len(r.b) - r.off; n > uint64(left) {
		r.fail(CodeProtocol, field, r.off, fmt.Sprintf("expected %d bytes, got %d and the end", n, left))
		return nil
	}
	start := r.off
	r.off += int(n)
	return r.b[start:r.off:r.off]
}

func (r *reader) uint(field string) uint64 {
	at := r.off
	c, ok := r.head(field, "an unsigned integer")
	switch {
	case !ok:
		return 0
	case c < 0x80:
		return uint64(c)
	case c >= 0xcc && c <= 0xcf:
		return r.size(field, 1<<(c-0xcc))
	case c >= 0xd0 && c <= 0xd3: // a signed form, fine while it is not negative
		n := 1 << (c - 0xd0)
		if v := r.size(field, n); v>>(8*n-1) == 0 {
			return v
		}
	}
	r.wrong(field, "an unsigned integer", at)
	return 0
}

func (r *reader) bool(field string) bool {
	at := r.off
	c, ok := r.head(field, "a bool")
	if ok && c != 0xc2 && c != 0xc3 {
		r.wrong(field, "a bool", at)
		return false
	}
	return c == 0xc3
}

func (r *reader) bin(field string) []byte {
	at := r.off
	c, ok := r.head(field, "bin")
	if ok && (c < 0xc4 || c > 0xc6) {
		r.wrong(field, "bin", at)
	}
	if !ok || r.err != nil {
		return nil
	}
	return r.take(field, r.size(field, 1<<(c-0xc4)))
}

// strBytes returns a string's bytes, which still belong to the frame.
func (r *reader) strBytes(field string) []byte {
	at := r.off
	c, ok := r.head(field, "str")
	switch {
	case !ok:
		return nil
	case c >= 0xa0 && c <= 0xbf:
		return r.take(field, uint64(c&0x1f))
	case c >= 0xd9 && c <= 0xdb:
		return r.take(field, r.size(field, 1<<(c-0xd9)))
	}
	r.wrong(field, "str", at)
	return nil
}

// str copies a string of at most limit bytes. Its UTF-8 is checked with the message.
func (r *reader) str(field string, limit int) string {
	at := r.off
	s := r.strBytes(field)
	if len(s) > limit {
		r.fail(CodeTooLarge, field, at, fmt.Sprintf("expected at most %d bytes, got %d", limit, len(s)))
		return ""
	}
	return string(s)
}

// count reads the header of an array or map whose n elements take at least one byte each, which the
// frame must still hold: what it returns is safe to allocate by.
func (r *reader) count(field, want string, fix, wide byte, perElement int) int {
	at := r.off
	c, ok := r.head(field, want)
	var n uint64
	switch {
	case !ok:
		return 0
	case c >= fix && c <= fix+15:
		n = uint64(c - fix)
	case c == wide || c == wide+1:
		n = r.size(field, 2<<(c-wide))
	default:
		r.wrong(field, want, at)
		return 0
	}
	if r.err == nil && n*uint64(perElement) > uint64(len(r.b)-r.off) {
		r.fail(CodeProtocol, field, at, fmt.Sprintf("expected %d elements, got %d bytes", n, len(r.b)-r.off))
		return 0
	}
	return int(n)
}

func (r *reader) array(field string) int { return r.count(field, "an array", 0x90, 0xdc, 1) }
func (r *reader) mapping(field string) int {
	return r.count(field, "a map", 0x80, 0xde, 2)
}

// skip passes over one value of any kind, which must be whole and well-formed. Around it stand depth
// arrays and maps of the value that skipping began with.
func (r *reader) skip(field string, depth int) {
	if r.err != nil || r.off >= len(r.b) {
		r.wrong(field, "a value", r.off)
		return
	}
	at, elements, nested := r.off, 0, false
	switch c := r.b[r.off]; {
	case c < 0x80 || c >= 0xe0 || c == 0xc0 || c == 0xc2 || c == 0xc3:
		r.off++
	case c <= 0x8f || c == 0xde || c == 0xdf:
		elements, nested = 2*r.mapping(field), true
	case c <= 0x9f || c == 0xdc || c == 0xdd:
		elements, nested = r.array(field), true
	case c <= 0xbf || c >= 0xd9 && c <= 0xdb:
		r.strBytes(field)
	case c >= 0xc4 && c <= 0xc6:
		r.bin(field)
	default:
		r.skipScalar(field, c)
	}
	if nested && depth == MaxNesting {
		r.fail(CodeTooLarge, field, at, fmt.Sprintf("expected at most %d arrays and maps in each other", MaxNesting))
	}
	for ; elements > 0 && r.err == nil; elements-- {
		r.skip(field, depth+1)
	}
}

// skipScalar passes over numbers and extensions.
func (r *reader) skipScalar(field string, c byte) {
	at := r.off
	r.off++
	switch {
	case c >= 0xc7 && c <= 0xc9:
		r.take(field, r.size(field, 1<<(c-0xc7))+1)
	case c == 0xca || c == 0xcb:
		r.take(field, 4<<(c-0xca))
	case c >= 0xcc && c <= 0xcf:
		r.take(field, 1<<(c-0xcc))
	case c >= 0xd0 && c <= 0xd3:
		r.take(field, 1<<(c-0xd0))
	case c >= 0xd4 && c <= 0xd8:
		r.take(field, 1+1<<(c-0xd4))
	default:
		r.wrong(field, "a value", at)
	}
}

// kind names what a head byte begins, for messages.
func kind(c byte) string {
	switch {
	case c < 0x80 || c >= 0xcc && c <= 0xcf:
		return "an unsigned integer"
	case c <= 0x8f || c == 0xde || c == 0xdf:
		return "a map"
	case c <= 0x9f || c == 0xdc || c == 0xdd:
		return "an array"
	case c <= 0xbf || c >= 0xd9 && c <= 0xdb:
		return "str"
	case c == 0xc0:
		return "nil"
	case c == 0xc1:
		return "a byte that is no msgpack"
	case c <= 0xc3:
		return "a bool"
	case c <= 0xc6:
		return "bin"
	case c == 0xca || c == 0xcb:
		return "a float"
	case c >= 0xd0 && c <= 0xd3 || c >= 0xe0:
		return "a signed integer"
	}
	return "an extension"
}
