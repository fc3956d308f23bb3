package change

import (
	"encoding/binary"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"vsync/core/fmt"
	"vsync/core/order"
)

// A Map is a map value in its writer's order.
type Map []Field

// A Field is one entry of a Map.
type Field struct {
	Key   string
	Value any
}

// Get returns the value under key.
func (m Map) Get(key string) (any, bool) {
	for i := range m {
		if m[i].Key == key {
			return m[i].Value, true
		}
	}
	return nil, false
}

// A Raw is a value that is encoded already. Encode checks it and takes it as it is.
type Raw []byte

// Encode returns the canonical bytes of a Go value:
//
//	nil, bool                    as they are
//	integers of all sizes        shortest form
//	float32, float64             as an integer where it is one within ±(2^53-1), -0 apart; NaN is refused
//	json.Number                  as the JSON number, see FromJSON
//	string                       must be UTF-8
//	[]byte                       bin
//	time.Time                    timestamp, cut to whole milliseconds
//	[]any, []string              array
//	Map                          map in this order
//	map[string]any               map in order of its keys
//	Raw                          what it holds, checked
//
// Any other type, and any value beyond the limits, is a *ValueError.
func Encode(v any) ([]byte, error) {
	e := encoder{}
	if err := e.value(v, 0); err != nil {
		err.Path = "$" + err.Path
		return nil, err
	}
	return e.finish()
}

// A number is what json.Number is, whose package would make the engine larger.
type number interface {
	String() string
	Int64() (int64, error)
	Float64() (float64, error)
}

// An encoder appends canonical msgpack.
type encoder struct{ b []byte }

func (e *encoder) finish() ([]byte, error) {
	if len(e.b) > MaxValue {
		return nil, &ValueError{Path: "$", Offset: -1, Problem: fmt.Sprintf("a value has at most %d bytes, this one has %d", MaxValue, len(e.b)), Err: ErrTooLarge}
	}
	return e.b, nil
}

func encodeProblem(err error, format string, args ...any) *ValueError {
	return &ValueError{Offset: -1, Problem: fmt.Sprintf(format, args...), Err: err}
}

func (e *encoder) value(v any, depth int) *ValueError {
	switch v := v.(type) {
	case nil:
		e.b = append(e.b, msgpcode.Nil)
	case bool:
		e.bool(v)
	case string:
		return e.string(v)
	case []byte:
		return e.bin(v)
	case time.Time:
		return e.time(v.Unix(), uint32(v.Nanosecond())/1_000_000*1_000_000)
	case Raw:
		return e.raw(v, depth)
	case []any:
		return encodeList(e, v, depth+1)
	case []string:
		return encodeList(e, v, depth+1)
	case Map:
		return e.mapping(v, depth+1)
	case map[string]any:
		return e.mapping(sorted(v), depth+1)
	default:
		return e.number(v)
	}
	return nil
}

func (e *encoder) number(v any) *ValueError {
	switch v := v.(type) {
	case int:
		e.int(int64(v))
	case int8:
		e.int(int64(v))
	case int16:
		e.int(int64(v))
	case int32:
		e.int(int64(v))
	case int64:
		e.int(v)
	case uint:
		e.uint(uint64(v))
	case uint8:
		e.uint(uint64(v))
	case uint16:
		e.uint(uint64(v))
	case uint32:
		e.uint(uint64(v))
	case uint64:
		e.uint(v)
	case float32:
		return e.float(float64(v))
	case float64:
		return e.float(v)
	case number:
		return e.literal(v.String())
	default:
		return encodeProblem(ErrReserved, "a %T is no value", v)
	}
	return nil
}

func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, msgpcode.True)
	} else {
		e.b = append(e.b, msgpcode.False)
	}
}

func (e *encoder) uint(n uint64) {
	switch {
	case n < 1<<7:
		e.b = append(e.b, byte(n))
	case n < 1<<8:
		e.b = append(e.b, msgpcode.Uint8, byte(n))
	case n < 1<<16:
		e.b = binary.BigEndian.AppendUint16(append(e.b, msgpcode.Uint16), uint16(n))
	case n < 1<<32:
		e.b = binary.BigEndian.AppendUint32(append(e.b, msgpcode.Uint32), uint32(n))
	default:
		e.b = binary.BigEndian.AppendUint64(append(e.b, msgpcode.Uint64), n)
	}
}

func (e *encoder) int(n int64) {
	switch {
	case n >= 0:
		e.uint(uint64(n))
	case n >= -1<<5:
		e.b = append(e.b, byte(n))
	case n >= -1<<7:
		e.b = append(e.b, msgpcode.Int8, byte(n))
	case n >= -1<<15:
		e.b = binary.BigEndian.AppendUint16(append(e.b, msgpcode.Int16), uint16(n))
	case n >= -1<<31:
		e.b = binary.BigEndian.AppendUint32(append(e.b, msgpcode.Int32), uint32(n))
	default:
		e.b = binary.BigEndian.AppendUint64(append(e.b, msgpcode.Int64), uint64(n))
	}
}

func (e *encoder) float(f float64) *ValueError {
	if f != f {
		return encodeProblem(ErrReserved, "NaN is no value")
	}
	if integral(f) {
		e.int(int64(f))
		return nil
	}
	e.b = binary.BigEndian.AppendUint64(append(e.b, msgpcode.Double), math.Float64bits(f))
	return nil
}

// literal encodes a JSON number: the float64 it denotes. Digits of an integer that no float64 holds
// are not dropped in silence.
func (e *encoder) literal(s string) *ValueError {
	if !jsonNumber(s) {
		return encodeProblem(ErrText, "%q is no JSON number", s)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return encodeProblem(ErrTooLarge, "%s is no float64", s)
	}
	if plainInteger(s) && math.Abs(f) > maxSafeInteger && !writesAs(f, s) {
		return encodeProblem(ErrTooLarge, `%s is no float64; write {"$int": "%s"} for an integer of 64 bits`, s, s)
	}
	return e.float(f)
}

// writesAs reports whether s is how a float64 is written: all its digits, or the fewest that denote it
// and zeros, as JavaScript does.
func writesAs(f float64, s string) bool {
	return s == strconv.FormatFloat(f, 'f', 0, 64) || s == strconv.FormatFloat(f, 'f', -1, 64)
}

// plainInteger reports whether a JSON number has neither fraction nor exponent.
func plainInteger(s string) bool {
	for i := range len(s) {
		if s[i] != '-' && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

// length writes the head of something counted: the form with the count in it below fixed, else the
// code for one byte (where there is one), two or four.
func (e *encoder) length(n, fixed int, fix, one, two byte) *ValueError {
	switch {
	case n < fixed:
		e.b = append(e.b, fix|byte(n))
	case n < 1<<8 && one != 0:
		e.b = append(e.b, one, byte(n))
	case n < 1<<16:
		e.b = binary.BigEndian.AppendUint16(append(e.b, two), uint16(n))
	case n <= MaxValue:
		e.b = binary.BigEndian.AppendUint32(append(e.b, two+1), uint32(n))
	default:
		return encodeProblem(ErrTooLarge, "length %d, but a value has at most %d bytes", n, MaxValue)
	}
	return nil
}

func (e *encoder) string(s string) *ValueError {
	if !utf8.ValidString(s) {
		return encodeProblem(ErrNotUTF8, "a string that is not UTF-8 (unpaired surrogates are not)")
	}
	if err := e.length(len(s), 32, msgpcode.FixedStrLow, msgpcode.Str8, msgpcode.Str16); err != nil {
		return err
	}
	e.b = append(e.b, s...)
	return nil
}

func (e *encoder) bin(b []byte) *ValueError {
	if err := e.length(len(b), 0, 0, msgpcode.Bin8, msgpcode.Bin16); err != nil {
		return err
	}
	e.b = append(e.b, b...)
	return nil
}

// time encodes a time of whole milliseconds.
func (e *encoder) time(sec int64, nsec uint32) *ValueError {
	if !dateInRange(sec, nsec) {
		return encodeProblem(ErrTooLarge, "a timestamp is at most 8.64e15 ms away from 1970")
	}
	switch timeSize(sec, nsec) {
	case 4:
		e.b = binary.BigEndian.AppendUint32(append(e.b, msgpcode.FixExt4, extTime), uint32(sec))
	case 8:
		e.b = binary.BigEndian.AppendUint64(append(e.b, msgpcode.FixExt8, extTime), uint64(nsec)<<34|uint64(sec))
	default:
		e.b = binary.BigEndian.AppendUint32(append(e.b, msgpcode.Ext8, 12, extTime), nsec)
		e.b = binary.BigEndian.AppendUint64(e.b, uint64(sec))
	}
	return nil
}

func (e *encoder) raw(b Raw, depth int) *ValueError {
	c := checker{b: b}
	if err := c.value(depth); err != nil {
		return err
	}
	if c.off < len(b) {
		return encodeProblem(ErrTrailing, "%d bytes follow the value", len(b)-c.off)
	}
	e.b = append(e.b, b...)
	return nil
}

func (e *encoder) arrayHead(n, depth int) *ValueError {
	if depth > MaxDepth {
		return encodeProblem(ErrTooLarge, "nested more than %d deep", MaxDepth)
	}
	return e.length(n, 16, msgpcode.FixedArrayLow, 0, msgpcode.Array16)
}

func (e *encoder) mapHead(n, depth int) *ValueError {
	if depth > MaxDepth {
		return encodeProblem(ErrTooLarge, "nested more than %d deep", MaxDepth)
	}
	return e.length(n, 16, msgpcode.FixedMapLow, 0, msgpcode.Map16)
}

func encodeList[T any](e *encoder, list []T, depth int) *ValueError {
	if err := e.arrayHead(len(list), depth); err != nil {
		return err
	}
	for i, v := range list {
		if err := e.value(v, depth); err != nil {
			err.Path = "[" + strconv.Itoa(i) + "]" + err.Path
			return err
		}
	}
	return nil
}

func (e *encoder) mapping(m Map, depth int) *ValueError {
	if err := e.mapHead(len(m), depth); err != nil {
		return err
	}
	keys := make([][]byte, len(m))
	for i, f := range m {
		if err := e.string(f.Key); err != nil {
			return err
		}
		if err := e.value(f.Value, depth); err != nil {
			err.Path = pathStep(f.Key) + err.Path
			return err
		}
		keys[i] = []byte(f.Key)
	}
	if key := repeated(keys); key != nil {
		return encodeProblem(ErrDuplicate, "key %q twice", key)
	}
	return nil
}

func sorted(m map[string]any) Map {
	fields := make(Map, 0, len(m))
	for k, v := range m {
		fields = append(fields, Field{k, v})
	}
	order.By(fields, func(a, b Field) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	return fields
}
