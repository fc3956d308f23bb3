package change

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

func TestEncodeGoTypes(t *testing.T) {
	for _, row := range []struct {
		in   any
		want any
	}{
		{int(-3), int64(-3)}, {int8(-3), int64(-3)}, {int16(300), int64(300)}, {int32(-70000), int64(-70000)},
		{uint(3), int64(3)}, {uint8(200), int64(200)}, {uint16(300), int64(300)}, {uint32(70000), int64(70000)}, {uint64(7), int64(7)},
		{float32(0.5), 0.5}, {float32(2), int64(2)}, {json.Number("1.50"), 1.5}, {json.Number("12"), int64(12)},
		{[]string{"a", "b"}, []any{"a", "b"}}, {map[string]any{"b": 1, "a": 2, "": 3}, Map{{"", 3}, {"a", 2}, {"b", 1}}},
		{Raw{0x93, 1, 2, 3}, []any{1, 2, 3}}, {[]any{Raw{0xc0}}, []any{nil}},
		{time.Unix(5, 1_999_999), time.Unix(5, 1_000_000)}, {time.Unix(-5, 999), time.Unix(-5, 0)},
	} {
		if got, want := mustEncode(t, row.in), mustEncode(t, row.want); !bytes.Equal(got, want) {
			t.Errorf("%#v became %x, want %x", row.in, got, want)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, row := range []struct {
		about string
		v     any
		want  error
		path  string
	}{
		{"NaN", Map{{"a", []any{1, math.NaN()}}}, ErrReserved, "$.a[1]"},
		{"NaN of 32 bits", float32(math.NaN()), ErrReserved, "$"},
		{"string not UTF-8", []string{"a", "\xff"}, ErrNotUTF8, "$[1]"},
		{"key not UTF-8", map[string]any{"\xff": 1}, ErrNotUTF8, "$"},
		{"key twice", Map{{"a b", Map{{"x", 1}, {"x", 2}}}}, ErrDuplicate, `$["a b"]`},
		{"another type", []any{struct{}{}}, ErrReserved, "$[0]"},
		{"no number", json.Number("0x1"), ErrText, "$"},
		{"a number out of range", json.Number("1e999"), ErrTooLarge, "$"},
		{"an integer that no float64 holds", json.Number("-9007199254740993"), ErrTooLarge, "$"},
		{"raw not canonical", []any{Raw{0xcc, 5}}, ErrNotMinimal, "$[0]"},
		{"raw with two values", Raw{1, 2}, ErrTrailing, "$"},
		{"raw empty", Raw{}, ErrTruncated, "$"},
		{"raw too deep", []any{Raw(mustEncode(t, deep(64)))}, ErrTooLarge, "$[0]" + strings.Repeat("[0]", 63)},
		{"65 deep", deep(65), ErrTooLarge, "$" + strings.Repeat("[0]", 64)},
		{"65 maps deep", func() (v any) {
			for range 65 {
				v = Map{{"", v}}
			}
			return v
		}(), ErrTooLarge, "$" + strings.Repeat(`[""]`, 64)},
		{"a date too far", time.UnixMilli(maxDateMillis + 1), ErrTooLarge, "$"},
		{"a date too early", time.UnixMilli(-maxDateMillis - 1), ErrTooLarge, "$"},
		{"too large", make([]byte, MaxValue+1), ErrTooLarge, "$"},
		{"too large with its head", make([]byte, MaxValue), ErrTooLarge, "$"},
	} {
		b, err := Encode(row.v)
		var v *ValueError
		if b != nil || !errors.As(err, &v) || !errors.Is(err, row.want) || !errors.Is(err, ErrValue) || v.Path != row.path {
			t.Errorf("%s: %x, %v, want %v at %s", row.about, b, err, row.want, row.path)
		}
	}
}

func TestValueLimits(t *testing.T) {
	b := mustEncode(t, make([]byte, MaxValue-5))
	if err := CheckValue(b); err != nil || len(b) != MaxValue {
		t.Errorf("a value of %d bytes: %v", len(b), err)
	}
	if err := CheckValue(make([]byte, MaxValue+1)); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	if _, err := ToJSON([]byte{0xc1}); !errors.Is(err, ErrValue) {
		t.Error(err)
	}
	if _, err := DecodeValue([]byte{0xc1}); !errors.Is(err, ErrValue) {
		t.Error(err)
	}
	if _, err := FromJSON(bytes.Repeat([]byte(" "), maxJSON+1)); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	list := []byte("[" + strings.Repeat("0,", 70_000) + "0]")
	b, err := FromJSON(list)
	if err != nil {
		t.Fatal(err)
	}
	checkRoundTrip(t, b)
	checkRoundTrip(t, mustEncode(t, strings.Repeat("s", 70_000)))
	checkRoundTrip(t, mustEncode(t, bytes.Repeat([]byte{1}, 70_000)))
}

// randomValue draws a value with all shapes and border lengths.
func randomValue(r *rand.Rand, depth int) any {
	shapes := 9
	if depth == 0 {
		shapes = 7
	}
	switch r.IntN(shapes) {
	case 0:
		return []any{nil, false, true}[r.IntN(3)]
	case 1:
		return int64(r.Uint64()) >> r.IntN(64)
	case 2:
		return r.Uint64() >> r.IntN(64)
	case 3:
		return []float64{r.NormFloat64(), float64(r.IntN(100)), math.Ldexp(r.Float64(), r.IntN(2000)-1000)}[r.IntN(3)]
	case 4:
		return strings.Repeat("ü", r.IntN(40))
	case 5:
		return bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(300))
	case 6:
		return time.UnixMilli(int64(r.Uint64()) >> (11 + r.IntN(50)))
	case 7:
		list := make([]any, r.IntN(20))
		for i := range list {
			list[i] = randomValue(r, depth-1)
		}
		return list
	}
	m := make(Map, r.IntN(20))
	for i := range m {
		m[i] = Field{strings.Repeat("k", i), randomValue(r, depth-1)}
	}
	return m
}

func TestRandomValues(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		b := mustEncode(t, randomValue(r, 3))
		checkRoundTrip(t, b)
		for range 5 {
			bad := bytes.Clone(b)
			bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
			if CheckValue(bad) == nil {
				checkRoundTrip(t, bad)
			}
		}
	}
}

// An independent reader finds in our bytes what was written, and its own encoder, told to be compact,
// writes the same.
func TestPeerLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		b := mustEncode(t, randomValue(r, 2))
		var out bytes.Buffer
		e := msgpack.NewEncoder(&out)
		e.UseCompactInts(true)
		d := msgpack.NewDecoder(bytes.NewReader(b))
		copyByPeer(t, d, e)
		if !bytes.Equal(out.Bytes(), b) {
			t.Fatalf("%x\nbecame %x", b, out.Bytes())
		}
	}
}

func copyByPeer(t *testing.T, d *msgpack.Decoder, e *msgpack.Encoder) {
	t.Helper()
	code, err := d.PeekCode()
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case code >= 0x90 && code <= 0x9f || code == 0xdc || code == 0xdd:
		n, err := d.DecodeArrayLen()
		must(t, err, e.EncodeArrayLen(n))
		for range n {
			copyByPeer(t, d, e)
		}
	case code >= 0x80 && code <= 0x8f || code == 0xde || code == 0xdf:
		n, err := d.DecodeMapLen()
		must(t, err, e.EncodeMapLen(n))
		for range 2 * n {
			copyByPeer(t, d, e)
		}
	default:
		v, err := d.DecodeInterface()
		if u, ok := v.(*time.Time); ok {
			v = *u
		}
		must(t, err, e.Encode(v))
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// FromJSON agrees with encoding/json about what JSON is, but for what it refuses on purpose.
func TestJSONAgreesWithStandardLibrary(t *testing.T) {
	for _, c := range jsonTexts {
		if !json.Valid([]byte(c.JSON)) {
			t.Errorf("%s: %q is no JSON", c.About, c.JSON)
		}
	}
	for _, c := range badTextsOfJSON {
		if c.Name == "text" && !strings.Contains(c.JSON, `"$`) && json.Valid([]byte(c.JSON)) {
			t.Errorf("%s: %q is JSON", c.About, c.JSON)
		}
	}
}

// Every kind of day, in all years that a date may have, is written as package time writes it.
func TestDatesOfAllYears(t *testing.T) {
	const day, most = 24 * 60 * 60, 8_640_000_000_000
	for sec := int64(-most); sec <= most; sec += 1987*day + 12_345 {
		for _, at := range []time.Time{time.Unix(sec, 7e6).UTC(), time.Unix(sec-sec%day-1, 999e6).UTC()} {
			want := at.Format("2006-01-02T15:04:05.000Z")
			if y := at.Year(); y < 0 || y > 9999 {
				want = fmt.Sprintf("%+07d", y) + at.Format("-01-02T15:04:05.000Z")
			}
			if got := formatDate(at); got != want {
				t.Fatalf("%v is %s", at, got)
			}
		}
	}
}
