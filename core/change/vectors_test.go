package change

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write core/vectors instead of comparing with it")

// The sentinels by the names that the vectors use. The deepest comes first: a *ValueError is an
// ErrValue and another.
var errorNames = []struct {
	err  error
	name string
}{
	{ErrTruncated, "truncated"}, {ErrTrailing, "trailing"}, {ErrNotMinimal, "not_minimal"},
	{ErrUnknownFormat, "unknown_format"}, {ErrReserved, "reserved"}, {ErrTooLarge, "too_large"},
	{ErrTooSmall, "too_small"}, {ErrNotUTF8, "not_utf8"}, {ErrOrder, "order"}, {ErrDuplicate, "duplicate"},
	{ErrText, "text"}, {ErrKey, "key"}, {ErrIndex, "index"}, {ErrUnused, "unused"},
	{ErrDuplicateObject, "duplicate_object"}, {ErrParent, "parent"}, {ErrSize, "size"},
	{ErrBodyHash, "body_hash"}, {ErrChain, "chain"}, {ErrPartial, "partial"}, {ErrMAC, "mac"},
	{ErrAnnotation, "annotation"}, {ErrValue, "value"},
}

func errorName(t *testing.T, err error) string {
	t.Helper()
	var f *FormatError
	var v *ValueError
	if !errors.As(err, &f) && !errors.As(err, &v) {
		t.Fatalf("error %v (%T) is neither a *FormatError nor a *ValueError", err, err)
	}
	if err.Error() == "" {
		t.Fatal("an error without a message")
	}
	for _, e := range errorNames {
		if errors.Is(err, e.err) {
			return e.name
		}
	}
	t.Fatalf("error %v wraps no sentinel", err)
	return ""
}

// A vectorFile is one file of core/vectors: lists of cases by name, one case a line.
type vectorFile struct {
	about string
	lists []vectorList
}

type vectorList struct {
	name  string
	cases []any
}

func (f vectorFile) bytes(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	out.WriteString("{\n\"about\": " + line(t, f.about))
	for _, list := range f.lists {
		out.WriteString(",\n\n" + line(t, list.name) + ": [")
		for i, c := range list.cases {
			if i > 0 {
				out.WriteByte(',')
			}
			out.WriteString("\n" + line(t, c))
		}
		out.WriteString("\n]")
	}
	out.WriteString("\n}\n")
	return out.Bytes()
}

func line(t *testing.T, v any) string {
	t.Helper()
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(out.Bytes()))
}

func vectorPath(name string) string { return filepath.Join("..", "vectors", name) }

// TestVectors holds the files of core/vectors, which JavaScript reads too, against what this package
// makes of the same cases. With -update it writes them.
func TestVectors(t *testing.T) {
	files := map[string]func(*testing.T) vectorFile{
		"values.json": valueVectors, "batches.json": batchVectors, "entries.json": entryVectors, "keys.json": keyVectors,
	}
	used := map[string]bool{}
	for name, build := range files {
		t.Run(name, func(t *testing.T) {
			f := build(t)
			got := f.bytes(t)
			noteErrors(t, got, used)
			if *update {
				if err := os.WriteFile(vectorPath(name), got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(vectorPath(name))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s differs from what the code makes; if the format was meant to change, run go test ./core/change -run Vectors -update", name)
			}
		})
	}
	for _, e := range errorNames {
		// A value's errors show the deeper sentinel.
		if !used[e.name] && e.err != ErrValue {
			t.Errorf("no vector shows the error %q", e.name)
		}
	}
}

func noteErrors(t *testing.T, file []byte, used map[string]bool) {
	t.Helper()
	var lists map[string]json.RawMessage
	if err := json.Unmarshal(file, &lists); err != nil {
		t.Fatal(err)
	}
	for _, raw := range lists {
		var cases []struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(raw, &cases) == nil {
			for _, c := range cases {
				used[c.Error] = true
			}
		}
	}
}

// A badCase is bytes that must be refused, and how.
type badCase struct {
	About string `json:"about"`
	Hex   string `json:"hex"`
	Prev  string `json:"prev,omitempty"`
	Name  string `json:"error"`
	Path  string `json:"path,omitempty"`
}

// A badText is a text that must be refused, and how.
type badText struct {
	About string `json:"about"`
	Text  string `json:"text"`
	Name  string `json:"error"`
}

// A jsonCase is a JSON text that becomes a value, or must be refused.
type jsonCase struct {
	About string  `json:"about"`
	JSON  string  `json:"json"`
	Hex   *string `json:"hex,omitempty"`
	Name  string  `json:"error,omitempty"`
	Path  string  `json:"path,omitempty"`
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// device returns the device whose 16 bytes are all n.
func device(n byte) (d DeviceID) {
	for i := range d {
		d[i] = n
	}
	return d
}

func mustEncode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
