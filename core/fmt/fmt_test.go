package fmt

import (
	"errors"
	std "fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

type (
	number  uint16
	signed  int8
	name    string
	truth   bool
	id      [4]byte
	packed  []byte
	told    struct{ text string }
	fault   struct{ text string }
	counted uint8
)

func (t *told) String() string { return t.text }
func (f *fault) Error() string { return f.text }
func (c counted) String() string {
	return "counted " + string('0'+rune(c))
}

// all are values of every kind that messages have.
var all = []any{
	0, 1, -1, math.MinInt, int8(-128), int16(7), int32('ä'), int64(math.MinInt64), uint(9), uint8('"'), uint16(9), uint32(1 << 20), uint64(math.MaxUint64),
	number(12), signed(-12), counted(3), "", "text", "a \"quoted\"\n tèxt\xff", name("n"), true, truth(false), []byte("by\x00"), []byte(nil), packed("pq"),
	id{1, 2, 0xff}, []int{1, -2}, []string{"a", "b c"}, []number{1, 2}, []name{"a"}, &told{"told"}, &fault{"fault"}, (*told)(nil), (*fault)(nil),
	io.EOF, time.Duration(1500) * time.Millisecond, time.Unix(0, 0).UTC(), 1.5, float32(0.1), nil, 'x',
}

// fits says whether a value and a verb are among what the package promises.
func fits(value any, verb byte) bool {
	switch value.(type) {
	case float64, float32, nil, bool, truth:
		return verb == 'v' || verb == 'T'
	case string, name, []string, []name, *told, *fault, error:
		return verb != 'd' && verb != 'c'
	case time.Time:
		return verb != 'd' && verb != 'c'
	case []byte, packed, id:
		return verb != 'd' && verb != 'c'
	case counted, time.Duration:
		return verb != 'c'
	}
	return verb != 's' // the rest is numbers
}

func isList(value any) bool {
	kind := reflect.ValueOf(value).Kind()
	return kind == reflect.Slice || kind == reflect.Array
}

func TestAsGo(t *testing.T) {
	tried := 0
	for _, value := range all {
		for _, verb := range []byte("svqdxcT") {
			if !fits(value, verb) {
				continue
			}
			for _, flags := range []string{"", "9", "020", ".3"} {
				if _, text := value.(string); !text && flags == ".3" {
					continue
				}
				if verb == 'x' && flags == ".3" || verb == 'T' && flags != "" {
					continue
				}
				if flags != "" && (isList(value) || std.Sprint(value) == "<nil>") {
					continue // a width is of a whole list here, and of each element there
				}
				format := "<%" + flags + string(verb) + ">"
				want, got := std.Sprintf(format, value), Sprintf(format, value)
				if tried++; got != want {
					t.Errorf("%s of %T: expected %q, got %q", format, value, want, got)
				}
			}
		}
		if want, got := std.Sprint(value), Sprint(value); got != want {
			t.Errorf("Sprint of %T: expected %q, got %q", value, want, got)
		}
	}
	if tried < 300 {
		t.Errorf("only %d were compared", tried)
	}
	for _, values := range [][]any{nil, {1, 2}, {"a", "b"}, {1, "a", 2, 3, name("x"), 'y', io.EOF, io.EOF}} {
		if want, got := std.Sprint(values...), Sprint(values...); got != want {
			t.Errorf("Sprint of %v: expected %q, got %q", values, want, got)
		}
	}
	var written strings.Builder
	n, err := Fprintf(&written, "100 %% of %d, %s%s", 7, "a", "ü")
	if want := std.Sprintf("100 %% of %d, %s%s", 7, "a", "ü"); written.String() != want || n != len(want) || err != nil {
		t.Errorf("expected %q, got %q (%d, %v)", want, written.String(), n, err)
	}
}

func TestErrorsAreWrapped(t *testing.T) {
	mine := &fault{"mine"}
	for _, values := range [][]any{{"a", 1}, {io.EOF, 1}, {io.EOF, mine}} {
		format := "%v at %v"
		for _, v := range values {
			if _, is := v.(error); is {
				format = strings.Replace(format, "%v", "%w", 1)
			}
		}
		want, got := std.Errorf(format, values...), Errorf(format, values...)
		var as *fault
		if got.Error() != want.Error() || errors.Is(got, io.EOF) != errors.Is(want, io.EOF) || errors.As(got, &as) != errors.As(want, new(*fault)) {
			t.Errorf("%s: expected %v, got %v", format, want, got)
		}
	}
	format := "%w"
	if got := Errorf(format, 1); got.Error() != "%!w(no error to wrap)" || errors.Unwrap(got) != nil {
		t.Errorf("a number was wrapped: %v", got)
	}
}

type breaks struct{}

func (breaks) Error() string { panic("broken") }

// What a message should not have is shown as such, and is never the end of a program.
func TestWhatDoesNotFit(t *testing.T) {
	for _, c := range []struct {
		want   string
		format string
		values []any
	}{
		{"%!d(MISSING)", "%d", nil},
		{"%!!(MISSING)", "%", nil},
		{"1%!(EXTRA string, int)", "%d", []any{1, "a", 2}},
		{"%!d(a string)", "%d", []any{"a"}},
		{"%!s(a number)", "%s", []any{1}},
		{"%!y(a number)", "%y", []any{1}},
		{"%!v(PANIC)", "%v", []any{breaks{}}},
		{"%!v(struct {})", "%v", []any{struct{}{}}},
		{"%!v(func())", "%v", []any{func() {}}},
		{"%!s(<nil>)", "%s", []any{nil}},
	} {
		if got := Sprintf(c.format, c.values...); got != c.want {
			t.Errorf("%q of %v: expected %q, got %q", c.format, c.values, c.want, got)
		}
	}
	if got := len(Sprintf("%99999999999d", 1)); got != maxWidth {
		t.Errorf("a width of 99999999999 filled %d", got)
	}
}

func FuzzFormat(f *testing.F) {
	f.Add("%d of %q %", "text", 7)
	f.Fuzz(func(t *testing.T, format, text string, n int) {
		Sprintf(format, text, n, []byte(text), io.EOF, nil, &told{text}, (*fault)(nil), []any{n, nil})
	})
}
