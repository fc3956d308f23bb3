package change

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// goodValues are Go values of every shape and at every border of the forms.
func goodValues() []struct {
	about string
	v     any
} {
	type row = struct {
		about string
		v     any
	}
	rows := []row{
		{"nil", nil}, {"false", false}, {"true", true},
		{"a fraction", 1.5}, {"a negative fraction", -0.1}, {"negative zero", math.Copysign(0, -1)},
		{"the smallest float", math.SmallestNonzeroFloat64}, {"the largest float", math.MaxFloat64},
		{"2^53 as a float", float64(1 << 53)}, {"-2^53 as a float", -float64(1 << 53)}, {"1e21", 1e21}, {"1e-7", 1e-7}, {"2^60 as a float", float64(1 << 60)},
		{"infinity", math.Inf(1)}, {"minus infinity", math.Inf(-1)},
		{"a float that is an integer", 3.0},
		{"empty string", ""}, {"Unicode", "Zürich 東京 🌍 \u0000 \u2028 \""},
		{"empty bin", []byte{}}, {"bin", []byte{0, 1, 0xff}},
		{"empty array", []any{}}, {"array", []any{int64(1), "two", nil, []any{true}}},
		{"empty map", Map{}}, {"map in the writer's order", Map{{"z", int64(1)}, {"a", int64(2)}, {"", int64(3)}}},
		{"digits as keys, out of order", Map{{"2", int64(1)}, {"10", int64(2)}, {"1", int64(3)}}},
		{"a map that looks like a tag", Map{{"$date", "x"}}}, {"one that looks like an escaped tag", Map{{"$$bytes", int64(1)}}},
		{"a map with more keys than a tag", Map{{"$date", "x"}, {"y", nil}}}, {"a key that is no tag", Map{{"$ref", "x"}}},
		{"__proto__ as a key", Map{{"__proto__", int64(1)}, {"constructor", int64(2)}}},
		{"the epoch", time.Unix(0, 0)}, {"whole seconds", time.Unix(1767322984, 0)}, {"milliseconds", time.UnixMilli(1767322984678)},
		{"last second of 32 bits", time.Unix(1<<32-1, 0)}, {"first second beyond 32 bits", time.Unix(1<<32, 0)},
		{"last second of 34 bits", time.Unix(1<<34-1, 999_000_000)}, {"first second beyond 34 bits", time.Unix(1<<34, 0)},
		{"before 1970", time.UnixMilli(-1)}, {"year 0", time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"year -1", time.Date(-1, 12, 31, 23, 59, 59, 0, time.UTC)},
		{"the last date", time.UnixMilli(maxDateMillis)}, {"the first date", time.UnixMilli(-maxDateMillis)},
	}
	for _, n := range []int64{0, 1, 127, 128, 255, 256, 65535, 65536, 1<<32 - 1, 1 << 32, 1<<53 - 1, 1 << 53, math.MaxInt64,
		-1, -32, -33, -128, -129, -32768, -32769, -1 << 31, -1<<31 - 1, -(1<<53 - 1), -(1 << 53), math.MinInt64} {
		rows = append(rows, row{"integer", n})
	}
	rows = append(rows, row{"the largest integer", uint64(math.MaxUint64)}, row{"2^63", uint64(1 << 63)})
	for _, n := range []int{31, 32, 255, 256} {
		rows = append(rows, row{"string of that length", strings.Repeat("s", n)}, row{"bin of that length", bytes.Repeat([]byte{7}, n)})
	}
	for _, n := range []int{12, 13, 15, 16} {
		m := Map{}
		for i := range n {
			m = append(m, Field{string(rune('a' + n - i)), int64(i)})
		}
		rows = append(rows, row{"array of that length", make([]any, n)}, row{"map of that length", m})
	}
	return append(rows, row{"64 deep", deep(64)})
}

func deep(n int) any {
	var v any = []any{}
	for range n - 1 {
		v = []any{v}
	}
	return v
}

type goodValue struct {
	About string          `json:"about"`
	Hex   string          `json:"hex"`
	JSON  json.RawMessage `json:"json"`
}

func valueVectors(t *testing.T) vectorFile {
	var good, bad, texts, badTexts []any
	for _, row := range goodValues() {
		b := mustEncode(t, row.v)
		checkRoundTrip(t, b)
		js, err := ToJSON(b)
		if err != nil {
			t.Fatal(err)
		}
		good = append(good, goodValue{row.about, hex.EncodeToString(b), js})
	}
	for _, c := range badValues {
		err := CheckValue(unhex(t, c.Hex))
		if err == nil {
			t.Fatalf("%s: %s was accepted", c.About, c.Hex)
		}
		if name := errorName(t, err); name != c.Name {
			t.Fatalf("%s: got %q (%v)", c.About, name, err)
		}
		if !errors.Is(err, ErrValue) {
			t.Errorf("%s: not an ErrValue", c.About)
		}
		c.Path = err.(*ValueError).Path
		bad = append(bad, c)
	}
	for _, c := range jsonTexts {
		b, err := FromJSON([]byte(c.JSON))
		if err != nil {
			t.Fatalf("%s: %v", c.JSON, err)
		}
		checkRoundTrip(t, b)
		text := hex.EncodeToString(b)
		c.Hex = &text
		texts = append(texts, c)
	}
	for _, c := range badTextsOfJSON {
		b, err := FromJSON([]byte(c.JSON))
		if err == nil {
			t.Fatalf("%q became %x", c.JSON, b)
		}
		if name := errorName(t, err); name != c.Name {
			t.Fatalf("%q: got %q (%v)", c.JSON, name, err)
		}
		c.Path = err.(*ValueError).Path
		badTexts = append(badTexts, c)
	}
	return vectorFile{
		about: "Values in canonical msgpack. good: hex is the value, json what it is, in the tagged form. bad: hex must be refused. " +
			"fromJson: the JSON text becomes the value hex. badJson: the JSON text must be refused.",
		lists: []vectorList{{"good", good}, {"bad", bad}, {"fromJson", texts}, {"badJson", badTexts}},
	}
}

// checkRoundTrip holds a canonical value against every way there and back.
func checkRoundTrip(t *testing.T, b []byte) {
	t.Helper()
	if err := CheckValue(b); err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	v, err := DecodeValue(b)
	if err != nil {
		t.Fatal(err)
	}
	if again := mustEncode(t, v); !bytes.Equal(again, b) {
		t.Fatalf("%x became %#v and then %x", b, v, again)
	}
	js, err := ToJSON(b)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(js) {
		t.Fatalf("%x became %s, which is no JSON", b, js)
	}
	again, err := FromJSON(js)
	if err != nil || !bytes.Equal(again, b) {
		t.Fatalf("%x became %s and then %x, %v", b, js, again, err)
	}
}

var badValues = []badCase{
	{About: "nothing", Hex: "", Name: "truncated"},
	{About: "two values", Hex: "0102", Name: "trailing"},
	{About: "a byte that begins nothing", Hex: "c1", Name: "reserved"},
	{About: "5 as uint8", Hex: "cc05", Name: "not_minimal"},
	{About: "255 as uint16", Hex: "cd00ff", Name: "not_minimal"},
	{About: "65535 as uint32", Hex: "ce0000ffff", Name: "not_minimal"},
	{About: "2^32-1 as uint64", Hex: "cf00000000ffffffff", Name: "not_minimal"},
	{About: "5 as int8", Hex: "d005", Name: "not_minimal"},
	{About: "-32 as int8", Hex: "d0e0", Name: "not_minimal"},
	{About: "200 as int16", Hex: "d100c8", Name: "not_minimal"},
	{About: "-128 as int16", Hex: "d1ff80", Name: "not_minimal"},
	{About: "-32768 as int32", Hex: "d2ffff8000", Name: "not_minimal"},
	{About: "-2^31 as int64", Hex: "d3ffffffff80000000", Name: "not_minimal"},
	{About: "2^32 as int64", Hex: "d30000000100000000", Name: "not_minimal"},
	{About: "uint32 cut short", Hex: "ce000100", Name: "truncated"},
	{About: "a float32", Hex: "ca3fc00000", Name: "not_minimal"},
	{About: "1.0 as a float64", Hex: "cb3ff0000000000000", Name: "not_minimal"},
	{About: "0.0 as a float64", Hex: "cb0000000000000000", Name: "not_minimal"},
	{About: "2^53-1 as a float64", Hex: "cb433fffffffffffff", Name: "not_minimal"},
	{About: "NaN", Hex: "cb7ff8000000000000", Name: "reserved"},
	{About: "a float64 cut short", Hex: "cb3ff8", Name: "truncated"},
	{About: "a string cut short", Hex: "a36162", Name: "truncated"},
	{About: "str8 of 31 bytes", Hex: "d91f" + strings.Repeat("61", 31), Name: "not_minimal"},
	{About: "str16 of 32 bytes", Hex: "da0020" + strings.Repeat("61", 32), Name: "not_minimal"},
	{About: "str32 of 0 bytes", Hex: "db00000000", Name: "not_minimal"},
	{About: "a string that is not UTF-8", Hex: "a1ff", Name: "not_utf8"},
	{About: "an unpaired surrogate", Hex: "a3eda080", Name: "not_utf8"},
	{About: "an overlong form", Hex: "a2c080", Name: "not_utf8"},
	{About: "bin16 of 1 byte", Hex: "c5000101", Name: "not_minimal"},
	{About: "bin32 of 1 byte", Hex: "c60000000101", Name: "not_minimal"},
	{About: "bin32 of 4 GiB", Hex: "c6ffffffff00", Name: "truncated"},
	{About: "array16 of 1 item", Hex: "dc0001c0", Name: "not_minimal"},
	{About: "array32 of 2^32-1 items", Hex: "ddffffffff", Name: "truncated"},
	{About: "an array that ends", Hex: "93c0c0", Name: "truncated"},
	{About: "map16 of 1 pair", Hex: "de0001a161c0", Name: "not_minimal"},
	{About: "map32 of 2^32-1 pairs", Hex: "dfffffffff", Name: "truncated"},
	{About: "a map without its value", Hex: "81a161", Name: "truncated"},
	{About: "a number as key", Hex: "8101c0", Name: "reserved"},
	{About: "a bin as key", Hex: "81c4016101", Name: "reserved"},
	{About: "a key that is not UTF-8", Hex: "81a1ffc0", Name: "not_utf8"},
	{About: "a key in a long form", Hex: "81d90161c0", Name: "not_minimal"},
	{About: "a key twice", Hex: "82a161c0a161c2", Name: "duplicate"},
	{About: "a key twice among 16", Hex: "de0010" + pairs("abcdefghijklmnoa"), Name: "duplicate"},
	{About: "an extension of type 5", Hex: "d40500", Name: "reserved"},
	{About: "an extension of type 5 with 4 bytes", Hex: "d60500000000", Name: "reserved"},
	{About: "a timestamp with 10 bytes", Hex: "c70aff00000000000000000000", Name: "reserved"},
	{About: "a timestamp cut short", Hex: "d6ff0000", Name: "truncated"},
	{About: "whole seconds with nanoseconds", Hex: "d7ff0000000000000001", Name: "not_minimal"},
	{About: "34 bits of seconds in the longest form", Hex: "c70cff000000000000000000000001", Name: "not_minimal"},
	{About: "nanoseconds", Hex: "d7ff0000000400000000", Name: "not_minimal"},
	{About: "a second of nanoseconds", Hex: "d7ffee6b280000000000", Name: "too_large"},
	{About: "a date beyond JavaScript's", Hex: "c70cff00000000000007dba8218001", Name: "too_large"},
	{About: "65 deep", Hex: strings.Repeat("91", 64) + "90", Name: "too_large"},
	{About: "65 deep through maps", Hex: strings.Repeat("81a161", 64) + "80", Name: "too_large"},
	{About: "deep within", Hex: "82a161c0a362206392a0cc05", Name: "not_minimal"},
}

func pairs(keys string) string {
	var s strings.Builder
	for _, k := range []byte(keys) {
		s.WriteString("a1" + hex.EncodeToString([]byte{k}) + "c0")
	}
	return s.String()
}

var jsonTexts = []jsonCase{
	{About: "spaces", JSON: " [ 1 , { \"a\" : null } ]\r\n\t"},
	{About: "an integer with a point", JSON: "1.0"}, {About: "an integer with an exponent", JSON: "1e2"},
	{About: "negative zero", JSON: "-0"}, {About: "underflow", JSON: "1e-400"}, {About: "minus one", JSON: "-1"},
	{About: "2^53 is a float64", JSON: "9007199254740992"}, {About: "2^60 as JavaScript writes it", JSON: "1152921504606847000"},
	{About: "2^60 in full", JSON: "1152921504606846976"}, {About: "a large number with an exponent", JSON: "1.2345678901234567890e25"},
	{About: "escapes", JSON: `"\b\f\n\r\t\"\\\/\u00e9\ud83c\udf0d\u0000"`},
	{About: "bytes", JSON: `{"$bytes":"AAEC"}`}, {About: "no bytes", JSON: `{"$bytes":""}`},
	{About: "a date", JSON: `{"$date":"2026-01-02T03:04:05.678Z"}`}, {About: "a date of another zone", JSON: `{"$date":"2026-01-02T03:04:05+01:00"}`},
	{About: "a far date", JSON: `{"$date":"+275760-09-13T00:00:00.000Z"}`}, {About: "a date before year 0", JSON: `{"$date":"-000004-02-29T00:00:00.000Z"}`},
	{About: "a small tagged integer", JSON: `{"$int":"-5"}`}, {About: "2^53+1", JSON: `{"$int":"9007199254740993"}`},
	{About: "the largest integer", JSON: `{"$int":"18446744073709551615"}`}, {About: "infinity", JSON: `{"$float":"Infinity"}`},
	{About: "an escaped tag", JSON: `{"$$date":"x"}`}, {About: "a tag among others is none", JSON: `{"$date":"x","a":1}`},
	{About: "tags within", JSON: `[{"a":{"$bytes":"AA=="}},{"$$int":{"$int":"1"}}]`},
}

var badTextsOfJSON = []jsonCase{
	{About: "nothing", JSON: "", Name: "truncated"}, {About: "spaces", JSON: "  ", Name: "truncated"},
	{About: "two values", JSON: "1 2", Name: "trailing"}, {About: "a word", JSON: "nul", Name: "text"},
	{About: "NaN", JSON: "NaN", Name: "text"}, {About: "a leading zero", JSON: "01", Name: "text"},
	{About: "a lone minus", JSON: "-", Name: "text"}, {About: "no digit after the point", JSON: "[1.]", Name: "text"},
	{About: "a plus", JSON: "+1", Name: "text"}, {About: "overflow", JSON: "1e400", Name: "too_large"},
	{About: "an integer that no float64 holds", JSON: `{"n":[9007199254740993]}`, Name: "too_large"},
	{About: "a trailing comma", JSON: `[1,]`, Name: "text"}, {About: "no comma", JSON: `[1 2]`, Name: "text"},
	{About: "no colon", JSON: `{"a" 1}`, Name: "text"}, {About: "a key that is no string", JSON: `{1:1}`, Name: "text"},
	{About: "an open array", JSON: `[1`, Name: "truncated"}, {About: "an open string", JSON: `"a`, Name: "truncated"},
	{About: "a control character", JSON: "\"\n\"", Name: "text"}, {About: "an unknown escape", JSON: `"\x"`, Name: "text"},
	{About: "no hexadecimal digits", JSON: `"\u12g4"`, Name: "text"}, {About: "an unpaired high surrogate", JSON: `{"a":"\ud800"}`, Name: "not_utf8"},
	{About: "an unpaired low surrogate", JSON: `"\udc00x"`, Name: "not_utf8"}, {About: "surrogates in the wrong order", JSON: `"\udc00\ud800"`, Name: "not_utf8"},
	{About: "a key twice", JSON: `{"a":1,"b":2,"a":3}`, Name: "duplicate"}, {About: "a key twice, once escaped", JSON: `{"a":1,"\u0061":3}`, Name: "duplicate"},
	{About: "65 deep", JSON: strings.Repeat("[", 65) + strings.Repeat("]", 65), Name: "too_large"},
	{About: "bytes that are no base64", JSON: `{"$bytes":"A"}`, Name: "text"}, {About: "base64 with stray bits", JSON: `{"$bytes":"AB=="}`, Name: "text"},
	{About: "bytes that are no string", JSON: `{"$bytes":[1]}`, Name: "text"},
	{About: "a date with microseconds", JSON: `{"$date":"2026-01-02T03:04:05.678901Z"}`, Name: "text"},
	{About: "a date that is not", JSON: `{"$date":"2026-02-30T00:00:00Z"}`, Name: "text"},
	{About: "a far date that is not", JSON: `{"$date":"+012345-02-30T00:00:00.000Z"}`, Name: "text"},
	{About: "a date beyond JavaScript's", JSON: `{"$date":"+275760-09-13T00:00:00.001Z"}`, Name: "too_large"},
	{About: "an integer beyond 64 bits", JSON: `{"$int":"18446744073709551616"}`, Name: "text"},
	{About: "an integer with a plus", JSON: `{"$int":"+1"}`, Name: "text"},
	{About: "a float that is none of the two", JSON: `{"$float":"NaN"}`, Name: "text"},
}

func TestDecodeValueShapes(t *testing.T) {
	in := Map{{"i", int64(-5)}, {"u", uint64(math.MaxUint64)}, {"f", 0.5}, {"b", []byte{1}}, {"t", time.UnixMilli(1234).UTC()}, {"l", []any{nil, true, "x"}}}
	out, err := DecodeValue(mustEncode(t, in))
	if err != nil || !reflect.DeepEqual(out, any(in)) {
		t.Fatalf("got %#v, %v", out, err)
	}
	if v, ok := out.(Map).Get("f"); !ok || v != 0.5 {
		t.Errorf("Get: %v, %v", v, ok)
	}
	if _, ok := out.(Map).Get("g"); ok {
		t.Error("Get found what is not there")
	}
}
