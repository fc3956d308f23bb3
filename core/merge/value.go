package merge

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"

	"vsync/core/change"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// The kinds of values, in the order that max and min give them.
type kind uint8

const (
	kindNone kind = iota // no value, or bytes that are none
	kindNil
	kindBool
	kindNumber
	kindString
	kindBin
	kindTime
	kindArray
	kindMap
)

// A head is the first bytes of a value.
type head struct {
	kind kind
	n    int // length of a string, bin or time; items of an array; fields of a map
	size int // bytes of the head; of a number all of it
}

// A form is what the first byte of a value says.
type form struct {
	kind kind
	size uint8 // bytes of the head
	n    uint8 // length or count, where the byte has it
	wide uint8 // bytes of the length or count that follow it
}

var forms = func() (f [256]form) {
	for i := range f {
		f[i] = formOf(byte(i))
	}
	return f
}()

// headOf reads a head; kindNone where the bytes do not hold the whole of it, or the length that it names.
func headOf(b []byte) head {
	if len(b) == 0 {
		return head{}
	}
	f := &forms[b[0]]
	h := head{f.kind, int(f.n), int(f.size)}
	if h.size > len(b) {
		return head{}
	}
	if f.wide > 0 {
		n := uint64(0)
		for _, x := range b[1 : 1+f.wide] {
			n = n<<8 | uint64(x)
		}
		h.n = int(min(n, math.MaxInt32))
	}
	if h.n > len(b)-h.size {
		return head{}
	}
	return h
}

func formOf(code byte) form {
	switch {
	case msgpcode.IsFixedNum(code):
		return form{kindNumber, 1, 0, 0}
	case msgpcode.IsFixedString(code):
		return form{kindString, 1, code & msgpcode.FixedStrMask, 0}
	case msgpcode.IsFixedMap(code):
		return form{kindMap, 1, code & msgpcode.FixedMapMask, 0}
	case msgpcode.IsFixedArray(code):
		return form{kindArray, 1, code & msgpcode.FixedArrayMask, 0}
	}
	switch code {
	case msgpcode.Nil:
		return form{kindNil, 1, 0, 0}
	case msgpcode.False, msgpcode.True:
		return form{kindBool, 1, 0, 0}
	case msgpcode.Uint8, msgpcode.Uint16, msgpcode.Uint32, msgpcode.Uint64:
		return form{kindNumber, 1 + 1<<(code-msgpcode.Uint8), 0, 0}
	case msgpcode.Int8, msgpcode.Int16, msgpcode.Int32, msgpcode.Int64:
		return form{kindNumber, 1 + 1<<(code-msgpcode.Int8), 0, 0}
	case msgpcode.Double:
		return form{kindNumber, 9, 0, 0}
	case msgpcode.Str8, msgpcode.Str16, msgpcode.Str32:
		return counted(kindString, 1<<(code-msgpcode.Str8))
	case msgpcode.Bin8, msgpcode.Bin16, msgpcode.Bin32:
		return counted(kindBin, 1<<(code-msgpcode.Bin8))
	case msgpcode.Array16, msgpcode.Array32:
		return counted(kindArray, 2<<(code-msgpcode.Array16))
	case msgpcode.Map16, msgpcode.Map32:
		return counted(kindMap, 2<<(code-msgpcode.Map16))
	case msgpcode.FixExt4:
		return form{kindTime, 2, 4, 0}
	case msgpcode.FixExt8:
		return form{kindTime, 2, 8, 0}
	case msgpcode.Ext8:
		return form{kindTime, 3, 12, 0}
	}
	return form{}
}

func counted(k kind, wide uint8) form { return form{k, 1 + wide, 0, wide} }

func kindOf(b []byte) kind { return headOf(b).kind }

// sizeOf is the length of the value that b begins with, 0 where there is none.
func sizeOf(b []byte) int {
	off := 0
	for left := 1; left > 0; left-- {
		h := headOf(b[off:])
		off += h.size
		switch h.kind {
		case kindNone:
			return 0
		case kindString, kindBin, kindTime:
			off += h.n
		case kindArray:
			left += h.n
		case kindMap:
			left += 2 * h.n
		}
	}
	return off
}

// text returns the bytes of a string or bin.
func text(b []byte) []byte {
	h := headOf(b)
	return b[h.size : h.size+h.n]
}

// A cursor reads the items of an array or the fields of a map; on bytes that are damaged it ends.
type cursor struct {
	b    []byte
	left int
}

func items(b []byte) cursor {
	h := headOf(b)
	if h.kind != kindArray && h.kind != kindMap {
		return cursor{}
	}
	return cursor{b[h.size:], h.n}
}

func (c *cursor) next() ([]byte, bool) {
	if c.left == 0 {
		return nil, false
	}
	n := sizeOf(c.b)
	if n == 0 {
		c.left = 0
		return nil, false
	}
	c.left--
	item := c.b[:n:n]
	c.b = c.b[n:]
	return item, true
}

func (c *cursor) field() (key, value []byte, ok bool) {
	h := headOf(c.b)
	if c.left == 0 || h.kind != kindString {
		return nil, nil, false
	}
	key, c.b = c.b[h.size:h.size+h.n], c.b[h.size+h.n:]
	value, ok = c.next()
	return key, value, ok
}

// fields is a map, taken apart.
type fields struct {
	list  []field
	index map[string]int // made when there are too many to look through
}

type field struct{ key, value []byte }

const fewFields = 24

func fieldsOf(b []byte, buf []field) fields {
	f := fields{list: buf[:0]}
	if kindOf(b) != kindMap {
		return f
	}
	c := items(b)
	for {
		key, value, ok := c.field()
		if !ok {
			break
		}
		f.list = append(f.list, field{key, value})
	}
	if len(f.list) > fewFields {
		f.index = make(map[string]int, len(f.list))
		for i := range f.list {
			f.index[string(f.list[i].key)] = i
		}
	}
	return f
}

// find returns the value under key, nil for none; hint is the place where it probably is.
func (f *fields) find(key []byte, hint int) []byte {
	if hint < len(f.list) && bytes.Equal(f.list[hint].key, key) {
		return f.list[hint].value
	}
	if f.index != nil {
		if i, ok := f.index[string(key)]; ok {
			return f.list[i].value
		}
		return nil
	}
	for i := range f.list {
		if bytes.Equal(f.list[i].key, key) {
			return f.list[i].value
		}
	}
	return nil
}

// same reports whether two values are equal but for the order of their maps' fields.
func same(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	h, g := headOf(a), headOf(b)
	if h.kind != g.kind || h.n != g.n || (h.kind != kindArray && h.kind != kindMap) || len(a) != len(b) {
		return false
	}
	if h.kind == kindArray {
		c, d := items(a), items(b)
		for {
			x, more := c.next()
			y, _ := d.next()
			if !more || !same(x, y) {
				return !more
			}
		}
	}
	var buf [fewFields]field
	of := fieldsOf(b, buf[:0])
	c := items(a)
	for i := 0; ; i++ {
		key, x, more := c.field()
		if !more {
			return i == h.n
		}
		if y := of.find(key, i); y == nil || !same(x, y) {
			return false
		}
	}
}

//go:noinline
func appendHead(dst []byte, n, fixed int, fix, one, two byte) []byte {
	switch {
	case n < fixed:
		return append(dst, fix|byte(n))
	case n < 1<<8 && one != 0:
		return append(dst, one, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, two), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, two+1), uint32(n))
}

//go:noinline
func appendArray(dst []byte, n int) []byte {
	return appendHead(dst, n, 16, msgpcode.FixedArrayLow, 0, msgpcode.Array16)
}

func appendMap(dst []byte, n int) []byte {
	return appendHead(dst, n, 16, msgpcode.FixedMapLow, 0, msgpcode.Map16)
}

func appendString[T string | []byte](dst []byte, s T) []byte {
	return append(appendHead(dst, len(s), 32, msgpcode.FixedStrLow, msgpcode.Str8, msgpcode.Str16), s...)
}

//go:noinline
func appendUint(dst []byte, n uint64) []byte {
	switch {
	case n < 1<<7:
		return append(dst, byte(n))
	case n < 1<<8:
		return append(dst, msgpcode.Uint8, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, msgpcode.Uint16), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(dst, msgpcode.Uint32), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, msgpcode.Uint64), n)
}

//go:noinline
func appendInt(dst []byte, n int64) []byte {
	switch {
	case n >= 0:
		return appendUint(dst, uint64(n))
	case n >= -1<<5:
		return append(dst, byte(n))
	case n >= -1<<7:
		return append(dst, msgpcode.Int8, byte(n))
	case n >= -1<<15:
		return binary.BigEndian.AppendUint16(append(dst, msgpcode.Int16), uint16(n))
	case n >= -1<<31:
		return binary.BigEndian.AppendUint32(append(dst, msgpcode.Int32), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, msgpcode.Int64), uint64(n))
}

// appendFloat writes a number as the canonical form wants it: as an integer where it is one that JavaScript holds exactly.
func appendFloat(dst []byte, f float64) []byte {
	if f == math.Trunc(f) && math.Abs(f) <= change.MaxNumber && !(f == 0 && math.Signbit(f)) {
		return appendInt(dst, int64(f))
	}
	return binary.BigEndian.AppendUint64(append(dst, msgpcode.Double), math.Float64bits(f))
}

// A number is an integer of 128 bits, of which a value needs 65, or a float.
type number struct {
	hi      int64
	lo      uint64
	float   float64
	isFloat bool
}

//go:noinline
func numberOf(b []byte) number {
	code := b[0]
	if code == msgpcode.Double {
		return number{float: math.Float64frombits(binary.BigEndian.Uint64(b[1:])), isFloat: true}
	}
	if msgpcode.IsFixedNum(code) {
		return signed(int64(int8(code)))
	}
	n := uint64(0)
	for _, x := range b[1:headOf(b).size] {
		n = n<<8 | uint64(x)
	}
	if code <= msgpcode.Uint64 {
		return number{lo: n}
	}
	shift := 64 - 8<<(code-msgpcode.Int8)
	return signed(int64(n<<shift) >> shift)
}

func signed(n int64) number { return number{hi: n >> 63, lo: uint64(n)} }

func (n number) asFloat() float64 {
	if n.isFloat {
		return n.float
	}
	if n.hi < 0 {
		return float64(int64(n.lo))
	}
	return float64(n.lo)
}

func (n number) add(m number) number {
	lo, carry := bits.Add64(n.lo, m.lo, 0)
	return number{hi: n.hi + m.hi + int64(carry), lo: lo}
}

func (n number) sub(m number) number {
	lo, borrow := bits.Sub64(n.lo, m.lo, 0)
	return number{hi: n.hi - m.hi - int64(borrow), lo: lo}
}

// append writes the number; an integer beyond what a value holds stops at the border.
func (n number) append(dst []byte) []byte {
	switch {
	case n.isFloat:
		return appendFloat(dst, n.float)
	case n.hi > 0:
		return appendUint(dst, math.MaxUint64)
	case n.hi == 0:
		return appendUint(dst, n.lo)
	case n.hi < -1 || n.lo < 1<<63:
		return appendInt(dst, math.MinInt64)
	}
	return appendInt(dst, int64(n.lo))
}

func (n number) compare(m number) int {
	if n.isFloat && m.isFloat {
		return cmp.Compare(n.float, m.float)
	}
	if n.isFloat {
		return n.compareInteger(m)
	}
	if m.isFloat {
		return -m.compareInteger(n)
	}
	return cmp.Or(cmp.Compare(n.hi, m.hi), cmp.Compare(n.lo, m.lo))
}

// compareInteger compares a float with an integer, without rounding either.
func (n number) compareInteger(m number) int {
	whole := math.Trunc(n.float)
	if math.Abs(whole) >= 1<<64 {
		return cmp.Compare(n.float, 0)
	}
	i := number{lo: uint64(math.Abs(whole))}
	if whole < 0 {
		i = number{}.sub(i)
	}
	return cmp.Or(cmp.Compare(i.hi, m.hi), cmp.Compare(i.lo, m.lo), cmp.Compare(n.float, whole))
}

// compare is a total order of values: by kind, then by number, bytes or time. Equal are only equal bytes.
func compare(a, b []byte) int {
	h, g := headOf(a), headOf(b)
	if h.kind != g.kind {
		return cmp.Compare(h.kind, g.kind)
	}
	switch h.kind {
	case kindNumber:
		return cmp.Or(numberOf(a).compare(numberOf(b)), bytes.Compare(a, b))
	case kindString, kindBin:
		return bytes.Compare(text(a), text(b))
	case kindTime:
		s, n := timeOf(text(a))
		t, m := timeOf(text(b))
		return cmp.Or(cmp.Compare(s, t), cmp.Compare(n, m))
	}
	return bytes.Compare(a, b)
}

func timeOf(body []byte) (sec int64, nsec uint32) {
	switch len(body) {
	case 4:
		return int64(binary.BigEndian.Uint32(body)), 0
	case 8:
		n := binary.BigEndian.Uint64(body)
		return int64(n & (1<<34 - 1)), uint32(n >> 34)
	}
	return int64(binary.BigEndian.Uint64(body[4:])), binary.BigEndian.Uint32(body)
}
