package merge

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"vsync/core/change"
)

func TestRulesAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]string{
		`{"version":1}`: `{"version":1,"conflict":"latest"}`,
		`{"conflict":"keep","version":9007199254740991,"indexes":["b","a.c"],"newer":1}`: `{"version":9007199254740991,"conflict":"keep","indexes":["b","a.c"]}`,
		`{"version":2,"conflict":{}}`: `{"version":2,"conflict":{}}`,
		`{"version":2,"conflict":{"b":"text@1","a.*":"counter","*":"max","c":"what@7"}}`: `{"version":2,"conflict":{"*":"max@1","a.*":"counter@1","b":"text@1","c":"what@7"}}`,
		`{"version":2,"conflict":"sideways"}`:                                            `{"version":2,"conflict":"sideways"}`,
	} {
		r, err := Parse(val(t, text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := js(t, r.Encode()); got != want {
			t.Errorf("%s was written as %s, not %s", text, got, want)
		}
	}
}

// badRules are texts that are refused: where, and why.
var badRules = []struct {
	text, path string
	err        error
}{
	{`7`, "$", ErrRules},
	{`{}`, "$.version", ErrRules},
	{`{"version":0}`, "$.version", ErrRules},
	{`{"version":1.5}`, "$.version", ErrRules},
	{`{"version":-1}`, "$.version", ErrRules},
	{`{"version":"1"}`, "$.version", ErrRules},
	{`{"version":1,"conflict":5}`, "$.conflict", ErrRules},
	{`{"version":1,"conflict":{"a":5}}`, `$.conflict["a"]`, ErrRules},
	{`{"version":1,"conflict":{"":"set"}}`, `$.conflict[""]`, ErrPath},
	{`{"version":1,"conflict":{"a..b":"set"}}`, `$.conflict["a..b"]`, ErrPath},
	{`{"version":1,"conflict":{"a.":"set"}}`, `$.conflict["a."]`, ErrPath},
	{`{"version":1,"conflict":{"a\\b":"set"}}`, `$.conflict["a\\b"]`, ErrPath},
	{`{"version":1,"conflict":{"a\\":"set"}}`, `$.conflict["a\\"]`, ErrPath},
	{`{"version":1,"conflict":{"` + strings.Repeat("a.", 64) + `a":"set"}}`, `$.conflict["` + strings.Repeat("a.", 64) + `a"]`, ErrPath},
	{`{"version":1,"conflict":{"a":"latest","a.b":"set"}}`, `$.conflict["a.b"]`, ErrShadow},
	{`{"version":1,"conflict":{"\\*":"latest","\\*.*":"set"}}`, `$.conflict["\\*.*"]`, ErrShadow},
	{`{"version":1,"indexes":"a"}`, "$.indexes", ErrRules},
	{`{"version":1,"indexes":["a",1]}`, "$.indexes[1]", ErrRules},
}

func TestBadRulesSayWhere(t *testing.T) {
	for _, c := range badRules {
		_, err := Parse(val(t, c.text))
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, c.err) || e.Path != c.path {
			t.Errorf("%s: %v", c.text, err)
		}
	}
	if _, err := Parse([]byte{0xc1}); !errors.Is(err, change.ErrReserved) {
		t.Errorf("no value: %v", err)
	}
	if _, err := Parse(encoded(t, strings.Repeat("x", MaxRules))); !errors.Is(err, ErrRules) {
		t.Errorf("too large: %v", err)
	}
	paths := change.Map{}
	for i := range MaxPaths + 1 {
		paths = append(paths, change.Field{Key: string(rune('a'+i/26)) + string(rune('a'+i%26)), Value: "set"})
	}
	if _, err := Parse(encoded(t, change.Map{{Key: "version", Value: 1}, {Key: "conflict", Value: paths}})); !errors.Is(err, ErrRules) {
		t.Errorf("too many paths: %v", err)
	}
}

// Which of several patterns is the one for a path: the first difference from the left decides.
func TestTheMostExactPathCounts(t *testing.T) {
	r := rulesOf(t, `{"*":"text","a.*":"counter","a.*.n":"set","a.b":"max","*.n":"min","x\\.y":"set","\\*":"max","deep.down.*":"latest"}`)
	for path, want := range map[string]Func{
		"": Text, "q": Text, "q.r.s": Text, "a": Counter, "a.q": Counter, "a.q.r.s": Counter, "a.q.n": Set, "a.b": Max, "a.n": Counter,
		"b.n": Min, "b.n.x": Text, "x|y": Set, "*": Max, "deep": Text, "deep.n": Min, "deep.down": LatestValue, "deep.down.n": LatestValue,
	} {
		var keys [][]byte
		for _, key := range strings.Split(path, ".") {
			if path != "" {
				keys = append(keys, []byte(strings.ReplaceAll(key, "|", ".")))
			}
		}
		if got, _ := r.at(keys); got != want {
			t.Errorf("%q: %v, not %v", path, got, want)
		}
	}
}

// Counters: integers exactly, to the borders; floats as floats.
func TestCounterArithmetic(t *testing.T) {
	for _, c := range []struct{ now, old, new, want any }{
		{5, 1, 3, 7}, {5, 3, 1, 3}, {5, nil, 3, 8}, {nil, 5, 7, 2}, {nil, nil, 7, 7}, {5, 5, nil, nil}, {6, 5, nil, 6}, {nil, 5, nil, nil},
		{uint64(math.MaxUint64), int64(math.MinInt64), int64(math.MinInt64 + 1), uint64(math.MaxUint64)},
		{0, int64(math.MinInt64), uint64(math.MaxUint64), uint64(math.MaxUint64)},
		{0, uint64(math.MaxUint64), int64(math.MinInt64), int64(math.MinInt64)},
		{uint64(math.MaxUint64), uint64(math.MaxUint64) - 1, 0, 1},
		{int64(math.MaxInt64), 0, int64(math.MaxInt64), uint64(math.MaxUint64) - 1},
		{1<<53 - 1, 0, 2, int64(1<<53 + 1)}, {0.5, 0, 1, 1.5}, {0.5, 0.25, 0.75, 1}, {1, 0.1, 0.3, 1.2}, {0.1, 0.1, 0.3, 0.3},
		{"text", 1, 2, 2}, {"text", 1, nil, "text"}, {math.Inf(1), 0, math.Inf(-1), math.Inf(-1)},
	} {
		bytes := func(v any) []byte {
			if v == nil {
				return nil
			}
			return encoded(t, v)
		}
		got := count(bytes(c.now), bytes(c.old), bytes(c.new))
		if want := bytes(c.want); string(got) != string(want) || (got == nil) != (want == nil) {
			t.Errorf("%v + (%v - %v) = %x, not %x", c.now, c.new, c.old, got, want)
		}
	}
}

// Values in the order that max and min give them: each before the next.
func TestValuesHaveAnOrder(t *testing.T) {
	list := []string{`null`, `false`, `true`, `{"$float":"-Infinity"}`, `{"$int":"-9223372036854775808"}`, `-1.5`, `-1`, `0`, `0.5`, `9007199254740991`,
		`{"$int":"9007199254740993"}`, `{"$int":"18446744073709551615"}`, `18446744073709551616`, `""`, `"a"`, `"aa"`, `"b"`, `{"$bytes":"AA=="}`,
		`{"$date":"1969-12-31T23:59:59.999Z"}`, `{"$date":"2026-01-02T03:03:04.000Z"}`, `{"$date":"2026-01-02T03:03:04.678Z"}`, `{"$date":"2600-01-02T03:03:04.678Z"}`, `[]`, `[1]`, `{}`}
	for i := range list {
		for j := range list {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := compare(val(t, list[i]), val(t, list[j])); got != want {
				t.Errorf("%s and %s: %d", list[i], list[j], got)
			}
		}
	}
}

// Whoever sets a maximum back does so only if nobody has gone further than he saw.
func TestMaxIsSetBackOnlyAsItWasSeen(t *testing.T) {
	r := rulesOf(t, `{"*":"max","low":"min"}`)
	now := born(version('a', 1), val(t, `{"top":5,"low":5}`))
	back := Write{version('a', 2), r.Diff(now.Value, now, val(t, `{"top":3,"low":7}`)), val(t, `{"top":3,"low":7}`)}
	on := Write{version('b', 1), r.Diff(now.Value, now, val(t, `{"top":7,"low":2}`)), val(t, `{"top":7,"low":2}`)}
	for _, order := range [][2]Write{{back, on}, {on, back}} {
		if got := js(t, r.Apply(r.Apply(now, order[0]), order[1]).Value); got != `{"top":7,"low":2}` {
			t.Errorf("%s came", got)
		}
	}
	if got := js(t, r.Apply(now, back).Value); got != `{"top":3,"low":7}` {
		t.Errorf("alone: %s came", got)
	}
}

// What would be no value any more is taken as its writer wrote it.
func TestWhatCannotBeMergedIsTakenWhole(t *testing.T) {
	r := rulesOf(t, `{"body":"text"}`)
	now := born(version('a', 1), val(t, `{"body":""}`))
	large := func(letter string) []byte {
		return encoded(t, change.Map{{Key: "body", Value: strings.Repeat(letter+"\n", 300_000)}})
	}
	one := Write{version('a', 2), r.Diff(now.Value, now, large("a")), large("a")}
	two := Write{version('b', 1), r.Diff(now.Value, now, large("b")), large("b")}
	got := r.Apply(r.Apply(now, one), two)
	if string(got.Value) != string(two.Value) || got.Origin != two.Version {
		t.Errorf("%d bytes came, from %s", len(got.Value), got.Origin)
	}
	odd := Write{version('b', 1), []byte{0xc0}, val(t, `{"body":"b"}`)}
	if got := r.Apply(now, odd); js(t, got.Value) != `{"body":"b"}` || got.Origin != odd.Version || Check(odd.Changes) == nil {
		t.Errorf("%s came", js(t, got.Value))
	}
}

// A text of very many pieces is taken for written anew: a bound, and the same everywhere.
func TestTextsOfTooManyPieces(t *testing.T) {
	r := rulesOf(t, `{"*":"text"}`)
	m := &marks{}
	body := strings.Repeat("a\n", MaxRuns+1)
	runs := make([]span, 0, MaxRuns+1)
	for i := range MaxRuns + 1 {
		runs = append(runs, span{m.version(version('a', 1+i%2)), 10 * i, 2})
	}
	runs[MaxRuns].n = 3 // its last line is empty
	m.entries = []entry{{runs: runs}}
	now := State{Value: encoded(t, body), Origin: version('a', 1), Marks: m.encode()}
	value := encoded(t, "b\n"+body)
	got := r.Apply(now, Write{version('c', 1), r.Diff(now.Value, now, value), value})
	if e := decodeMarks(got.Marks).entries; string(got.Value) != string(value) || len(e) != 1 || len(e[0].runs) != 1 {
		t.Fatalf("%d bytes of marks", len(got.Marks))
	}
}

// So many paths, and so many places in a text, are in changes; more make the value count as a whole, or the text as one piece.
func TestTooMuchIsChanged(t *testing.T) {
	r := rulesOf(t, `{"body":"text"}`)
	none, many := change.Map{}, change.Map{}
	for i := range MaxOps + 1 {
		many = append(many, change.Field{Key: fmt.Sprintf("k%06d", i), Value: 1})
	}
	old, value := encoded(t, none), encoded(t, many)
	if got := r.Diff(old, born(version('a', 1), old), value); got != nil {
		t.Errorf("%d bytes of changes", len(got))
	}
	value = encoded(t, many[:MaxOps])
	w := Write{version('a', 2), r.Diff(old, born(version('a', 1), old), value), value}
	if got := r.Apply(born(version('a', 1), old), w); Check(w.Changes) != nil || string(got.Value) != string(value) || got.Origin != version('a', 1) {
		t.Errorf("%d bytes of changes: %v", len(w.Changes), Check(w.Changes))
	}
	ops := []byte{0x92, 1, 0xdd, 0, 1, 0, 1}
	for i := range MaxOps + 1 {
		ops = appendString(append(ops, 0x92, 1, 0x91), fmt.Sprintf("k%06d", i))
	}
	if err := Check(ops); !errors.Is(err, ErrChanges) {
		t.Errorf("too many ops: %v", err)
	}
	inserts := appendArray([]byte{0x92, 1, 0x91, 0x94, 8, 0x90, 0x90}, MaxInserts+1)
	for range MaxInserts + 1 {
		inserts = append(inserts, 0x92, 0xa1, 'x', 0xc0)
	}
	if err := Check(inserts); !errors.Is(err, ErrChanges) {
		t.Errorf("too many insertions: %v", err)
	}
}
