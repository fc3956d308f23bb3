package change

import (
	"math"
	"time"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// DecodeValue checks a value and returns it as Go values, of which Encode makes the same bytes:
//
//	nil, bool, string, []byte
//	int64; uint64 where it is too large for that
//	float64
//	time.Time in UTC
//	[]any
//	Map
//
// Nothing of b is kept. Errors are *ValueError.
func DecodeValue(b []byte) (any, error) {
	if err := CheckValue(b); err != nil {
		return nil, err
	}
	d := decoder{b: b}
	return d.value(), nil
}

// A decoder reads a value that was checked; on others it would panic.
type decoder struct {
	b   []byte
	off int
}

// The shapes of a value, found by its first byte.
type shape uint8

const (
	shapeNil shape = iota
	shapeBool
	shapeUint
	shapeInt
	shapeFloat
	shapeString
	shapeBin
	shapeArray
	shapeMap
	shapeTime
)

// A token is one scalar, or the head of an array or map.
type token struct {
	shape shape
	n     uint64 // number, its bits, truth, or count of items
	bytes []byte // string, bin, body of a timestamp; aliases the input
}

func (d *decoder) next() token {
	code := d.b[d.off]
	d.off++
	switch {
	case code == msgpcode.Nil:
		return token{shape: shapeNil}
	case code == msgpcode.False, code == msgpcode.True:
		return token{shape: shapeBool, n: uint64(code - msgpcode.False)}
	case code <= msgpcode.PosFixedNumHigh:
		return token{shape: shapeUint, n: uint64(code)}
	case code >= msgpcode.NegFixedNumLow:
		return token{shape: shapeInt, n: uint64(int64(int8(code)))}
	case code >= msgpcode.Uint8 && code <= msgpcode.Uint64:
		return token{shape: shapeUint, n: d.number(1 << (code - msgpcode.Uint8))}
	case code >= msgpcode.Int8 && code <= msgpcode.Int64:
		size := 1 << (code - msgpcode.Int8)
		shift := 64 - 8*size
		return token{shape: shapeInt, n: uint64(int64(d.number(size)<<shift) >> shift)}
	case code == msgpcode.Double:
		return token{shape: shapeFloat, n: d.number(8)}
	case msgpcode.IsFixedString(code):
		return token{shape: shapeString, bytes: d.take(uint64(code & msgpcode.FixedStrMask))}
	case code >= msgpcode.Str8 && code <= msgpcode.Str32:
		return token{shape: shapeString, bytes: d.take(d.number(1 << (code - msgpcode.Str8)))}
	case msgpcode.IsBin(code):
		return token{shape: shapeBin, bytes: d.take(d.number(1 << (code - msgpcode.Bin8)))}
	case msgpcode.IsFixedArray(code):
		return token{shape: shapeArray, n: uint64(code & msgpcode.FixedArrayMask)}
	case code == msgpcode.Array16, code == msgpcode.Array32:
		return token{shape: shapeArray, n: d.number(2 << (code - msgpcode.Array16))}
	case msgpcode.IsFixedMap(code):
		return token{shape: shapeMap, n: uint64(code & msgpcode.FixedMapMask)}
	case code == msgpcode.Map16, code == msgpcode.Map32:
		return token{shape: shapeMap, n: d.number(2 << (code - msgpcode.Map16))}
	}
	head, size := timeForm(d.b[d.off-1:])
	d.off += head - 1
	return token{shape: shapeTime, bytes: d.take(uint64(size))}
}

func (d *decoder) number(size int) uint64 { return bigEndian(d.take(uint64(size))) }

func (d *decoder) take(n uint64) []byte {
	d.off += int(n)
	return d.b[d.off-int(n) : d.off]
}

func (d *decoder) value() any {
	switch t := d.next(); t.shape {
	case shapeArray:
		list := make([]any, t.n)
		for i := range list {
			list[i] = d.value()
		}
		return list
	case shapeMap:
		m := make(Map, t.n)
		for i := range m {
			m[i].Key = string(d.next().bytes)
			m[i].Value = d.value()
		}
		return m
	default:
		return t.scalar()
	}
}

func (t token) scalar() any {
	switch t.shape {
	case shapeBool:
		return t.n == 1
	case shapeUint:
		if t.n > math.MaxInt64 {
			return t.n
		}
		return int64(t.n)
	case shapeInt:
		return int64(t.n)
	case shapeFloat:
		return math.Float64frombits(t.n)
	case shapeString:
		return string(t.bytes)
	case shapeBin:
		return append(make([]byte, 0, len(t.bytes)), t.bytes...)
	case shapeTime:
		return t.time()
	}
	return nil
}

func (t token) time() time.Time {
	sec, nsec := splitTime(t.bytes)
	return time.Unix(sec, int64(nsec)).UTC()
}
