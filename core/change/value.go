package change

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"vsync/core/fmt"
	"vsync/core/order"
)

// extTime is msgpack's timestamp extension type, -1, as its byte.
const extTime = 0xff

// CheckValue returns nil if b is exactly one value in canonical form and within the limits, else a
// *ValueError that says where it is not. It allocates nothing for values without large maps.
func CheckValue(b []byte) error {
	if len(b) > MaxValue {
		return &ValueError{Path: "$", Problem: fmt.Sprintf("a value has at most %d bytes, this one has %d", MaxValue, len(b)), Err: ErrTooLarge}
	}
	c := checker{b: b}
	if err := c.value(0); err != nil {
		err.Path = "$" + err.Path
		return err
	}
	if c.off < len(b) {
		return &ValueError{Path: "$", Offset: c.off, Problem: fmt.Sprintf("%d bytes follow the value", len(b)-c.off), Err: ErrTrailing}
	}
	return nil
}

// A checker walks over one value. Its methods return *ValueError, whose Path is built from the leaf
// up while they return.
type checker struct {
	b   []byte
	off int
}

func (c *checker) bad(at int, err error, format string, args ...any) *ValueError {
	return &ValueError{Offset: at, Problem: fmt.Sprintf(format, args...), Err: err}
}

func (c *checker) value(depth int) *ValueError {
	if c.off >= len(c.b) {
		return c.bad(c.off, ErrTruncated, "a value is missing")
	}
	code := c.b[c.off]
	switch {
	case msgpcode.IsFixedNum(code), code == msgpcode.Nil, code == msgpcode.False, code == msgpcode.True:
		c.off++
		return nil
	case code >= msgpcode.Uint8 && code <= msgpcode.Int64:
		return c.integer(code)
	case code == msgpcode.Double:
		return c.float()
	case msgpcode.IsString(code):
		_, err := c.text()
		return err
	case msgpcode.IsBin(code):
		_, err := c.blob(code-msgpcode.Bin8, 0)
		return err
	case msgpcode.IsFixedArray(code), code == msgpcode.Array16, code == msgpcode.Array32:
		return c.array(depth + 1)
	case msgpcode.IsFixedMap(code), code == msgpcode.Map16, code == msgpcode.Map32:
		return c.mapping(depth + 1)
	case code == msgpcode.Float:
		return c.bad(c.off, ErrNotMinimal, "a float32: numbers that are no integers are float64")
	case msgpcode.IsExt(code):
		return c.time()
	}
	return c.bad(c.off, ErrReserved, "byte 0x%02x begins no value", code)
}

// number reads the big-endian number of size bytes behind the code.
func (c *checker) number(size int) (uint64, *ValueError) {
	at := c.off
	if len(c.b)-at-1 < size {
		return 0, c.bad(at, ErrTruncated, "%d bytes should follow, %d do", size, len(c.b)-at-1)
	}
	c.off += 1 + size
	return bigEndian(c.b[at+1 : c.off]), nil
}

func bigEndian(b []byte) (n uint64) {
	for _, x := range b {
		n = n<<8 | uint64(x)
	}
	return n
}

// smallestUint and smallestInt are, per width of 1, 2, 4 and 8 bytes, the first magnitude that needs
// it: n >= smallestUint, or n < smallestInt.
var (
	smallestUint = [4]uint64{1 << 7, 1 << 8, 1 << 16, 1 << 32}
	smallestInt  = [4]int64{-1 << 5, -1 << 7, -1 << 15, -1 << 31}
)

func (c *checker) integer(code byte) *ValueError {
	at, width := c.off, (code-msgpcode.Uint8)%4
	n, err := c.number(1 << width)
	if err != nil {
		return err
	}
	if code < msgpcode.Int8 {
		if n < smallestUint[width] {
			return c.bad(at, ErrNotMinimal, "%d has a shorter form", n)
		}
		return nil
	}
	shift := 64 - 8<<width
	if i := int64(n<<shift) >> shift; i >= smallestInt[width] {
		return c.bad(at, ErrNotMinimal, "%d has another form: shortest, and unsigned unless negative", i)
	}
	return nil
}

func (c *checker) float() *ValueError {
	at := c.off
	n, err := c.number(8)
	if err != nil {
		return err
	}
	f := math.Float64frombits(n)
	if f != f {
		return c.bad(at, ErrReserved, "NaN is no value")
	}
	if integral(f) {
		return c.bad(at, ErrNotMinimal, "%v is an integer and is written as one", f)
	}
	return nil
}

// integral reports whether a number is written as an integer. -0 is not: an integer has no sign
// of zero.
func integral(f float64) bool {
	return f == math.Trunc(f) && math.Abs(f) <= maxSafeInteger && !(f == 0 && math.Signbit(f))
}

// text reads a string and returns its bytes.
func (c *checker) text() ([]byte, *ValueError) {
	at, code := c.off, c.b[c.off]
	var s []byte
	var err *ValueError
	if msgpcode.IsFixedString(code) {
		s, err = c.take(at, 1, uint64(code&msgpcode.FixedStrMask))
	} else {
		s, err = c.blob(code-msgpcode.Str8, 32)
	}
	if err == nil && !utf8.Valid(s) {
		err = c.bad(at, ErrNotUTF8, "a string that is not UTF-8 (unpaired surrogates are not)")
	}
	return s, err
}

// smallestLen is, per width of 1, 2 and 4 bytes, the first length that needs it.
var smallestLen = [3]uint64{0, 1 << 8, 1 << 16}

// blob reads a length of 1<<width bytes and as many bytes; lengths below short have a form without.
func (c *checker) blob(width byte, short uint64) ([]byte, *ValueError) {
	at := c.off
	n, err := c.number(1 << width)
	if err != nil {
		return nil, err
	}
	if n < max(short, smallestLen[width]) {
		return nil, c.bad(at, ErrNotMinimal, "length %d has a shorter form", n)
	}
	return c.take(at, 1+1<<width, n)
}

func (c *checker) take(at, head int, n uint64) ([]byte, *ValueError) {
	if n > uint64(len(c.b)-at-head) {
		return nil, c.bad(at, ErrTruncated, "%d bytes should follow, %d do", n, len(c.b)-at-head)
	}
	c.off = at + head + int(n)
	return c.b[at+head : c.off], nil
}

// items reads the number of items of an array or map, each of at least size bytes.
func (c *checker) items(fixed bool, mask, wide byte, size uint64, depth int) (int, *ValueError) {
	at, code := c.off, c.b[c.off]
	if depth > MaxDepth {
		return 0, c.bad(at, ErrTooLarge, "nested more than %d deep", MaxDepth)
	}
	n := uint64(code & mask)
	if fixed {
		c.off++
	} else {
		long := code - wide // 0: 16 bits, 1: 32 bits; there is no form of 8
		var err *ValueError
		if n, err = c.number(2 << long); err != nil {
			return 0, err
		}
		if n < 16 || long == 1 && n < 1<<16 {
			return 0, c.bad(at, ErrNotMinimal, "length %d has a shorter form", n)
		}
	}
	if n > uint64(len(c.b)-c.off)/size {
		return 0, c.bad(at, ErrTruncated, "%d items cannot follow in %d bytes", n, len(c.b)-c.off)
	}
	return int(n), nil
}

func (c *checker) array(depth int) *ValueError {
	code := c.b[c.off]
	n, err := c.items(msgpcode.IsFixedArray(code), msgpcode.FixedArrayMask, msgpcode.Array16, 1, depth)
	for i := 0; err == nil && i < n; i++ {
		if err = c.value(depth); err != nil {
			err.Path = "[" + strconv.Itoa(i) + "]" + err.Path
		}
	}
	return err
}

func (c *checker) mapping(depth int) *ValueError {
	at, code := c.off, c.b[c.off]
	n, err := c.items(msgpcode.IsFixedMap(code), msgpcode.FixedMapMask, msgpcode.Map16, 2, depth)
	if err != nil {
		return err
	}
	var few [smallList][]byte
	keys := few[:0]
	if n > len(few) {
		keys = make([][]byte, 0, n)
	}
	for range n {
		key, err := c.key()
		if err != nil {
			return err
		}
		if err := c.value(depth); err != nil {
			err.Path = pathStep(key) + err.Path
			return err
		}
		keys = append(keys, key)
	}
	if key := repeated(keys); key != nil {
		return c.bad(at, ErrDuplicate, "key %q twice", key)
	}
	return nil
}

func (c *checker) key() ([]byte, *ValueError) {
	if c.off >= len(c.b) {
		return nil, c.bad(c.off, ErrTruncated, "a key is missing")
	}
	if code := c.b[c.off]; !msgpcode.IsString(code) {
		return nil, c.bad(c.off, ErrReserved, "a map key is a string, not what begins with 0x%02x", code)
	}
	return c.text()
}

// repeated returns a key that is in the list twice, or nil.
func repeated(keys [][]byte) []byte {
	if len(keys) <= smallList {
		for i := range keys {
			for j := range i {
				if bytes.Equal(keys[i], keys[j]) {
					return keys[i]
				}
			}
		}
		return nil
	}
	sorted := slices.Clone(keys) // what is sorted leaves the stack, and who asks has a short list there
	order.By(sorted, bytes.Compare)
	for i := range sorted[1:] {
		if bytes.Equal(sorted[i], sorted[i+1]) {
			return sorted[i]
		}
	}
	return nil
}

// pathStep is ".name" for a plain name, else "[quoted]".
func pathStep[T string | []byte](key T) string {
	for i := 0; i < len(key); i++ {
		ch := key[i] | 0x20
		if !(ch >= 'a' && ch <= 'z' || key[i] == '_' || key[i] == '$' || i > 0 && key[i] >= '0' && key[i] <= '9') {
			return "[" + strconv.Quote(string(key)) + "]"
		}
	}
	if len(key) == 0 {
		return `[""]`
	}
	return "." + string(key)
}

// time checks a timestamp: seconds as uint32, or nanoseconds as 30 bits above seconds as 34 bits, or
// nanoseconds as uint32 and seconds as int64, the first of these that holds it.
func (c *checker) time() *ValueError {
	at := c.off
	head, size := timeForm(c.b[at:])
	if size == 0 {
		return c.bad(at, ErrReserved, "the only extension is the timestamp (type -1)")
	}
	body, err := c.take(at, head, uint64(size))
	if err != nil {
		return err
	}
	sec, nsec := splitTime(body)
	switch {
	case nsec > 999_999_999:
		return c.bad(at, ErrTooLarge, "%d nanoseconds are more than a second", nsec)
	case nsec%1_000_000 != 0:
		return c.bad(at, ErrNotMinimal, "a timestamp has whole milliseconds")
	case size != timeSize(sec, nsec):
		return c.bad(at, ErrNotMinimal, "a timestamp has a shorter form")
	case !dateInRange(sec, nsec):
		return c.bad(at, ErrTooLarge, "a timestamp is at most 8.64e15 ms away from 1970")
	}
	return nil
}

// timeForm returns the lengths of a timestamp's head and body; a body of 0 means that it is none.
func timeForm(b []byte) (head, size int) {
	switch {
	case len(b) >= 2 && b[0] == msgpcode.FixExt4 && b[1] == extTime:
		return 2, 4
	case len(b) >= 2 && b[0] == msgpcode.FixExt8 && b[1] == extTime:
		return 2, 8
	case len(b) >= 3 && b[0] == msgpcode.Ext8 && b[1] == 12 && b[2] == extTime:
		return 3, 12
	}
	return 0, 0
}

func splitTime(body []byte) (sec int64, nsec uint32) {
	switch len(body) {
	case 4:
		return int64(binary.BigEndian.Uint32(body)), 0
	case 8:
		n := binary.BigEndian.Uint64(body)
		return int64(n & (1<<34 - 1)), uint32(n >> 34)
	}
	return int64(binary.BigEndian.Uint64(body[4:])), binary.BigEndian.Uint32(body)
}

// timeSize is the shortest body that holds the time.
func timeSize(sec int64, nsec uint32) int {
	switch {
	case sec < 0 || sec >= 1<<34:
		return 12
	case nsec != 0 || sec >= 1<<32:
		return 8
	}
	return 4
}

func dateInRange(sec int64, nsec uint32) bool {
	const most = maxDateMillis / 1000
	return sec >= -most && (sec < most || sec == most && nsec == 0)
}
