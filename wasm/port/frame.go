package port

import (
	"vsync/core/fmt"
	"vsync/core/wire/msgpack"
)

// What a frame is.
const (
	Hello   = 1
	Destroy = 2
	Get     = 3
	GetMany = 4
	Read    = 5 // ENTRY
	Write   = 6
	Count   = 7
	Scan    = 8
	Live    = 9
	Watch   = 10
	History = 11
	Synced  = 12
	Pause   = 13
	Resume  = 14
	Dismiss = 15
	Retry   = 16
	Close   = 17
	Cancel  = 18
	More    = 19
	Hidden  = 20
	Token   = 21
	Wake    = 22
	Ping    = 23

	Conflicts     = 30
	LiveConflicts = 31
	Revert        = 32
	Undo          = 33
	Diff          = 34
	Blame         = 35
	Past          = 36
	ScanPast      = 37
	Check         = 38

	OK     = 64
	Fail   = 65
	Items  = 66
	End    = 67
	Status = 68
	Ask    = 69
)

// Parts of a live result.
const (
	Piece = 0 // of the whole, more follows
	Whole = 1 // the last piece
	Delta = 2 // what one batch changed
	Void  = 3 // the pieces since the last whole are void, and come anew
	Part  = 4 // of what one batch changed; the rest follows as a Delta
)

// Flags of a watch event.
const (
	FlagInitial = 1
	FlagReset   = 2
	FlagLocal   = 4
	FlagPart    = 8 // the event's other changes follow
)

// Frame begins a frame with so many fields behind its number.
func Frame(b []byte, kind int, n uint64, fields int) []byte {
	return msgpack.AppendUint(msgpack.AppendUint(msgpack.AppendArray(b, 2+fields), uint64(kind)), n)
}

// Failure is a FAIL frame.
func Failure(n uint64, code, message string) []byte {
	return msgpack.AppendStr(msgpack.AppendStr(Frame(nil, Fail, n, 2), code), message)
}

// Value appends a value as a bin, or nil where there is none.
func Value(b, value []byte, there bool) []byte {
	if !there {
		return msgpack.AppendNil(b)
	}
	return msgpack.AppendBin(b, value)
}

// A Reader takes a packet apart. What it returns belongs to the packet. After the first fault it stands still and gives zeros.
type Reader struct {
	b   []byte
	off int
	err error
}

// NewReader returns a reader of a packet.
func NewReader(packet []byte) *Reader { return &Reader{b: packet} }

// More says that another frame follows.
func (r *Reader) More() bool { return r.err == nil && r.off < len(r.b) }

// Err returns the first fault.
func (r *Reader) Err() error { return r.err }

func (r *Reader) fail(want string) {
	if r.err == nil {
		r.err = fmt.Errorf("expected %s at byte %d of a packet of %d", want, r.off, len(r.b))
	}
	r.off = len(r.b)
}

// Fail notes that something well-formed is not what may stand there.
func (r *Reader) Fail(want string) { r.fail(want) }

func (r *Reader) head(want string) byte {
	if r.err != nil || r.off >= len(r.b) {
		r.fail(want)
		return 0xc1
	}
	r.off++
	return r.b[r.off-1]
}

func (r *Reader) size(n int, want string) int {
	if r.err != nil || len(r.b)-r.off < n {
		r.fail(want)
		return 0
	}
	v := uint64(0)
	for _, c := range r.b[r.off : r.off+n] {
		v = v<<8 | uint64(c)
	}
	r.off += n
	if v > 1<<53-1 {
		r.fail("a number of at most 2^53-1")
		return 0
	}
	return int(v)
}

func (r *Reader) take(n int, want string) []byte {
	if r.err != nil || n > len(r.b)-r.off {
		r.fail(want)
		return nil
	}
	r.off += n
	return r.b[r.off-n : r.off : r.off]
}

// Uint takes an unsigned integer of at most 2^53-1.
func (r *Reader) Uint() uint64 {
	const want = "an unsigned integer"
	switch c := r.head(want); {
	case c < 0x80:
		return uint64(c)
	case c >= 0xcc && c <= 0xcf:
		return uint64(r.size(1<<(c-0xcc), want))
	}
	r.fail(want)
	return 0
}

// Bool takes a truth value.
func (r *Reader) Bool() bool {
	c := r.head("a bool")
	if c != 0xc2 && c != 0xc3 {
		r.fail("a bool")
	}
	return c == 0xc3
}

// Str takes a string, and copies it.
func (r *Reader) Str() string {
	const want = "a string"
	switch c := r.head(want); {
	case c >= 0xa0 && c <= 0xbf:
		return string(r.take(int(c&0x1f), want))
	case c >= 0xd9 && c <= 0xdb:
		return string(r.take(r.size(1<<(c-0xd9), want), want))
	}
	r.fail(want)
	return ""
}

// IsStr says that a string is what comes.
func (r *Reader) IsStr() bool {
	if r.err != nil || r.off >= len(r.b) {
		return false
	}
	c := r.b[r.off]
	return c >= 0xa0 && c <= 0xbf || c >= 0xd9 && c <= 0xdb
}

// Bin takes bytes.
func (r *Reader) Bin() []byte {
	const want = "bytes"
	if c := r.head(want); c >= 0xc4 && c <= 0xc6 {
		return r.take(r.size(1<<(c-0xc4), want), want)
	}
	r.fail(want)
	return nil
}

// Nil takes nil if it is what comes.
func (r *Reader) Nil() bool {
	if r.err == nil && r.off < len(r.b) && r.b[r.off] == 0xc0 {
		r.off++
		return true
	}
	return false
}

// Array takes what stands before an array: how many elements follow. Each has at least one byte, so the number is safe to allocate by.
func (r *Reader) Array() int { return r.count("an array", 0x90, 0xdc, 1) }

// Map takes what stands before a map: how many keys with a value follow.
func (r *Reader) Map() int { return r.count("a map", 0x80, 0xde, 2) }

func (r *Reader) count(want string, fix, wide byte, each int) int {
	c := r.head(want)
	n := 0
	switch {
	case c >= fix && c <= fix+15:
		n = int(c - fix)
	case c == wide || c == wide+1:
		n = r.size(2<<(c-wide), want)
	default:
		r.fail(want)
	}
	if r.err == nil && n > (len(r.b)-r.off)/each {
		r.fail(want + " that ends within the packet")
	}
	if r.err != nil {
		return 0
	}
	return n
}

// Strs takes an array of strings.
func (r *Reader) Strs() []string {
	out := make([]string, r.Array())
	for i := range out {
		out[i] = r.Str()
	}
	return out
}
