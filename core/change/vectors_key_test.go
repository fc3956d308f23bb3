package change

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

type keyCase struct {
	About      string `json:"about"`
	Collection string `json:"collection"`
	ID         string `json:"id"`
	Hex        string `json:"hex"`
}

type markerCase struct {
	About string `json:"about"`
	Epoch uint64 `json:"epoch"`
	Seq   uint64 `json:"seq"`
	Hash  string `json:"hash"`
	Scope string `json:"scope"`
	Hex   string `json:"hex"`
	Text  string `json:"text"`
}

type numberCase struct {
	N   uint64 `json:"n"`
	Hex string `json:"hex"`
}

func keyVectors(t *testing.T) vectorFile {
	return vectorFile{
		about: "Keys, in the order of their bytes; resume markers and their text; uvarints; texts of versions. bad…: must be refused.",
		lists: []vectorList{
			{"keys", goodKeys(t)}, {"badKeys", badKeys(t)},
			{"markers", goodMarkers(t)}, {"badMarkers", badMarkers(t)}, {"badMarkerTexts", badMarkerTexts(t)},
			{"uvarints", goodNumbers(t)}, {"badUvarints", badNumbers(t)},
			{"badVersionTexts", badVersionTexts(t)},
		},
	}
}

func goodKeys(t *testing.T) (cases []any) {
	var before []byte
	var last Key
	for _, c := range []keyCase{
		{About: "of the system", Collection: "$rules", ID: "cities"},
		{About: "shortest", Collection: "a", ID: "a"},
		{About: "a NUL is an id", Collection: "a", ID: "a\x00"},
		{About: "ids order by bytes", Collection: "a", ID: "a\x00b"},
		{About: "not by letters", Collection: "a", ID: "aa"},
		{About: "beyond ASCII", Collection: "a", ID: "ä"},
		{About: "a longer collection comes later", Collection: "a ", ID: "a"},
		{About: "longest", Collection: strings.Repeat("k", 64), ID: strings.Repeat("i", 512)},
		{About: "an emoji", Collection: "🌍", ID: "🌍"},
	} {
		k := Key{c.Collection, c.ID}
		b := k.Encode()
		d, err := DecodeKey(b)
		if err != nil || d != k {
			t.Fatalf("%v: %v, %v", k, d, err)
		}
		if before != nil && (slices.Compare(before, b) >= 0 || last.Compare(k) >= 0 || k.Compare(last) <= 0 || k.Compare(k) != 0) {
			t.Fatalf("%v does not come after %v", k, last)
		}
		before, last = b, k
		c.Hex = hex.EncodeToString(b)
		cases = append(cases, c)
	}
	return cases
}

func badKeys(t *testing.T) (cases []any) {
	for _, c := range []struct {
		about, key, name string
	}{
		{"no NUL", "abc", "truncated"}, {"no collection", "\x00a", "key"}, {"no id", "a\x00", "key"},
		{"a control character", "a\x1fb\x00a", "key"}, {"a delete character", "a\x7f\x00a", "key"},
		{"collection not UTF-8", "\xff\x00a", "key"}, {"id not UTF-8", "a\x00\xff", "key"},
		{"65 bytes of collection", strings.Repeat("k", 65) + "\x00a", "key"},
		{"513 bytes of id", "a\x00" + strings.Repeat("i", 513), "key"},
		{"far too long", "a\x00" + strings.Repeat("i", MaxKey), "too_large"},
	} {
		_, err := DecodeKey([]byte(c.key))
		refused(t, c.about, c.name, err)
		cases = append(cases, badCase{About: c.about, Hex: hex.EncodeToString([]byte(c.key)), Name: c.name})
	}
	return cases
}

// refused checks that err is the one named want.
func refused(t *testing.T, about, want string, err error) {
	t.Helper()
	if err == nil {
		t.Fatalf("%s: accepted", about)
	}
	if name := errorName(t, err); name != want {
		t.Fatalf("%s: got %q (%v), want %q", about, name, err, want)
	}
}

func sampleMarkers() []Marker {
	return []Marker{{}, {Epoch: 1}, {Epoch: 3, Seq: 300, Hash: Hash(device(5)), Scope: Hash(device(6))},
		{Epoch: MaxNumber, Seq: MaxNumber, Hash: Hash(device(0xff)), Scope: Hash(device(0xff))}}
}

func goodMarkers(t *testing.T) (cases []any) {
	for i, m := range sampleMarkers() {
		b := m.Encode()
		d, err := DecodeMarker(b)
		p, err2 := ParseMarker(m.String())
		if err != nil || err2 != nil || d != m || p != m || len(b) > MaxMarker || m.IsZero() != (i == 0) {
			t.Fatalf("%+v: %+v, %v; %+v, %v", m, d, err, p, err2)
		}
		about := []string{"before anything was received", "the beginning of the feed", "with a scope", "the last there can be"}[i]
		cases = append(cases, markerCase{about, m.Epoch, m.Seq, m.Hash.String(), m.Scope.String(), hex.EncodeToString(b), m.String()})
	}
	return cases
}

func badMarkers(t *testing.T) (cases []any) {
	good := Marker{Epoch: 1, Seq: 2}.Encode()
	set := func(i int, b ...byte) []byte { return slices.Concat(good[:i], b, good[i+1:]) }
	for _, c := range []struct {
		about, name string
		b           []byte
	}{
		{"nothing", "truncated", nil}, {"format 2", "unknown_format", set(0, 2)},
		{"epoch 0", "too_small", set(1, 0)}, {"epoch in two bytes", "not_minimal", set(1, 0x81, 0)},
		{"sequence 2^53", "too_large", set(2, binary.AppendUvarint(nil, 1<<53)...)},
		{"cut short", "truncated", good[:len(good)-1]}, {"bytes after", "trailing", append(slices.Clone(good), 0)},
	} {
		_, err := DecodeMarker(c.b)
		refused(t, c.about, c.name, err)
		cases = append(cases, badCase{About: c.about, Hex: hex.EncodeToString(c.b), Name: c.name})
	}
	return cases
}

func badMarkerTexts(t *testing.T) (cases []any) {
	good := Marker{Epoch: 1}.String()
	for _, c := range []struct{ about, text, name string }{
		{"nothing", "", "truncated"}, {"not base64url", good[:5] + "+" + good[6:], "text"}, {"padded", good + "=", "text"},
		{"a line end", good[:6] + "\n" + good[6:], "text"}, {"stray bits", good[:len(good)-1] + "B", "text"},
		{"too long", strings.Repeat(good, 3), "text"}, {"another format", base64.RawURLEncoding.EncodeToString([]byte{9}), "unknown_format"},
	} {
		_, err := ParseMarker(c.text)
		refused(t, c.about, c.name, err)
		cases = append(cases, badText{c.about, c.text, c.name})
	}
	return cases
}

func goodNumbers(t *testing.T) (cases []any) {
	for _, n := range []uint64{0, 1, 127, 128, 300, 16383, 16384, 1<<32 - 1, 1 << 32, MaxNumber} {
		b := binary.AppendUvarint(nil, n)
		r := reader{b: b}
		if got := r.uvarint(MaxNumber, "number"); got != n || r.err != nil || r.left() != 0 {
			t.Fatalf("%d: %d, %v", n, got, r.err)
		}
		cases = append(cases, numberCase{n, hex.EncodeToString(b)})
	}
	return cases
}

func badNumbers(t *testing.T) (cases []any) {
	for _, c := range []struct{ about, hex, name string }{
		{"nothing", "", "truncated"}, {"cut short", "80", "truncated"}, {"0 in two bytes", "8000", "not_minimal"},
		{"127 in two bytes", "ff00", "not_minimal"}, {"2^53", "8080808080808010", "too_large"},
		{"2^64-1", "ffffffffffffffffff01", "too_large"}, {"2^64", "80808080808080808002", "too_large"},
		{"11 bytes", "8080808080808080808001", "too_large"},
	} {
		r := reader{b: unhex(t, c.hex)}
		r.uvarint(MaxNumber, "number")
		refused(t, c.about, c.name, r.err)
		cases = append(cases, badCase{About: c.about, Hex: c.hex, Name: c.name})
	}
	return cases
}

func badVersionTexts(t *testing.T) (cases []any) {
	d := device(0xab).String()
	for _, c := range []struct{ about, text string }{
		{"nothing", ""}, {"no generation", d}, {"generation 0", d + ":0"}, {"a leading zero", d + ":01"}, {"a plus", d + ":+1"},
		{"2^53", d + ":9007199254740992"}, {"capital digits", strings.ToUpper(d) + ":1"}, {"31 digits", d[1:] + ":1"},
		{"33 digits", d + "a:1"}, {"no digits", strings.Repeat("g", 32) + ":1"}, {"something after", d + ":1:"},
	} {
		_, err := ParseVersion(c.text)
		refused(t, c.about, "text", err)
		cases = append(cases, badText{c.about, c.text, "text"})
	}
	return cases
}
