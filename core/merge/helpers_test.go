package merge

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"vsync/core/change"
)

// rulesOf makes rules of a JSON text of the conflict part.
func rulesOf(t testing.TB, conflict string) *Rules {
	t.Helper()
	r, err := Parse(val(t, `{"version":1,"conflict":`+conflict+`}`))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// val is a value, by its JSON text; no text is none.
func val(t testing.TB, js string) []byte {
	t.Helper()
	if js == "" {
		return nil
	}
	b, err := change.FromJSON([]byte(js))
	if err != nil {
		t.Fatalf("%s: %v", js, err)
	}
	return b
}

func js(t testing.TB, value []byte) string {
	t.Helper()
	if value == nil {
		return ""
	}
	b, err := change.ToJSON(value)
	if err != nil {
		t.Fatalf("%x: %v", value, err)
	}
	return string(b)
}

// version is the generation of a device that is called by a letter.
func version(device byte, gen int) change.Version {
	v := change.Version{Gen: change.Generation(gen)}
	for i := range v.Device {
		v.Device[i] = device
	}
	return v
}

// born is the state after a first write.
func born(v change.Version, value []byte) State { return State{Value: value, Origin: v} }

// word draws a short key or word.
func word(rnd *rand.Rand) string { return string(rune('a' + rnd.IntN(6))) }

// document draws a value of any shape that the paths of everyRule are for, or not.
func document(rnd *rand.Rand) change.Map {
	m := change.Map{}
	put := func(key string, v any) {
		if rnd.IntN(4) > 0 {
			m = append(m, change.Field{Key: key, Value: v})
		}
	}
	put("n", number64(rnd))
	put("tags", someList(rnd))
	put("body", someText(rnd))
	put("title", sentence(rnd))
	put("top", number64(rnd))
	put("low", number64(rnd))
	put("unit", change.Map{{Key: word(rnd), Value: rnd.IntN(3)}})
	put("plain", []any{nil, true, word(rnd), 1.5, rnd.IntN(3)}[rnd.IntN(5)])
	put("deep", change.Map{{Key: "a", Value: number64(rnd)}, {Key: "b", Value: change.Map{{Key: word(rnd), Value: number64(rnd)}}}})
	if rnd.IntN(8) == 0 {
		m = append(m, change.Field{Key: "odd", Value: slices.Clone(m)})
	}
	for i := range m {
		if rnd.IntN(12) == 0 { // of a shape that the rule is not for
			m[i].Value = []any{"text", nil, change.Map{}, []any{}, 7, change.Map{{Key: "x", Value: 1}}}[rnd.IntN(6)]
		}
	}
	rnd.Shuffle(len(m), func(i, j int) { m[i], m[j] = m[j], m[i] })
	return m
}

const everyRule = `{"n":"counter","tags":"set","body":"text","title":"text","top":"max","low":"min","unit":"latest","deep.*":"counter","odd.tags":"set"}`

func number64(rnd *rand.Rand) any {
	return []any{rnd.IntN(5), -rnd.IntN(300), rnd.Float64() * 10, int64(rnd.Uint64()), rnd.Uint64(), 0.1, 1e300}[rnd.IntN(7)]
}

func someList(rnd *rand.Rand) any {
	list := []any{}
	for _, i := range rnd.Perm(6)[:rnd.IntN(6)] {
		list = append(list, word(rnd)+fmt.Sprint(i))
	}
	return list
}

func someText(rnd *rand.Rand) any {
	lines := make([]string, rnd.IntN(7))
	for i := range lines {
		lines[i] = strings.Repeat(word(rnd), rnd.IntN(3))
	}
	return strings.Join(lines, "\n")
}

func sentence(rnd *rand.Rand) any {
	s := ""
	for range rnd.IntN(12) {
		s += []string{"a", "b", "ü", "東", " ", "🌍"}[rnd.IntN(6)]
	}
	return s
}

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	b, err := change.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// alike says that values are equal but for the order of fields and, where lists are sets, of those.
func alike(t testing.TB, a, b []byte, sets bool) bool {
	t.Helper()
	x, err := change.DecodeValue(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := change.DecodeValue(b)
	if err != nil {
		t.Fatal(err)
	}
	return sorted(x, sets) == sorted(y, sets)
}

// sorted is a text that is the same for what is alike.
func sorted(v any, sets bool) string {
	switch v := v.(type) {
	case change.Map:
		parts := make([]string, len(v))
		for i, f := range v {
			parts[i] = fmt.Sprintf("%q:%s", f.Key, sorted(f.Value, sets))
		}
		return "{" + strings.Join(inOrder(parts), ",") + "}"
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = sorted(v[i], sets)
		}
		if sets {
			parts = inOrder(parts)
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	return fmt.Sprintf("%T %#v", v, v)
}

func inOrder(list []string) []string {
	for i := range list {
		for j := i; j > 0 && list[j] < list[j-1]; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
	return list
}

// rounds is how many histories a test lives: fewer with -short, as in browsers, which take ten times as long.
func rounds(n uint64) uint64 {
	if testing.Short() {
		n /= 10
	}
	return n
}
