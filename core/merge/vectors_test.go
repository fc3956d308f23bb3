package merge

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vsync/core/change"
)

var update = flag.Bool("update", false, "write core/vectors/merge.json instead of comparing with it")

// errorNames are the sentinels by the names that the vectors use.
var errorNames = map[error]string{ErrRules: "rules", ErrPath: "path", ErrShadow: "shadow", ErrChanges: "changes"}

func errorName(t *testing.T, err error) string {
	t.Helper()
	for sentinel, name := range errorNames {
		if errors.Is(err, sentinel) {
			return name
		}
	}
	t.Fatalf("%v wraps no sentinel", err)
	return ""
}

// Cases as JavaScript reads them too: values in the tagged form of JSON beside their bytes.
type (
	rulesCase struct {
		About string          `json:"about"`
		JSON  json.RawMessage `json:"json"`
		Hex   string          `json:"hex,omitempty"` // canonical
		Error string          `json:"error,omitempty"`
		Path  string          `json:"path,omitempty"`
	}
	stateCase struct {
		Value  json.RawMessage `json:"value"` // null where there is none
		Hex    string          `json:"hex"`
		Origin string          `json:"origin"`
		Marks  string          `json:"marks"`
	}
	stepCase struct {
		Version string          `json:"version"`
		Seen    int             `json:"seen"` // steps that its writer had seen, in their order; his own are the last of these
		Value   json.RawMessage `json:"value"`
		Changes json.RawMessage `json:"changes"`
		Hex     string          `json:"hex"` // of the changes
		After   stateCase       `json:"after"`
	}
	historyCase struct {
		About string          `json:"about"`
		Rules json.RawMessage `json:"rules"`
		Steps []stepCase      `json:"steps"`
	}
	badChanges struct {
		About string          `json:"about"`
		JSON  json.RawMessage `json:"json"`
		Hex   string          `json:"hex"`
		Error string          `json:"error"`
	}
)

// A told step is a write of a device that has seen the first so many steps of the feed.
type told struct {
	device byte
	seen   int
	value  string
}

var histories = []struct {
	about, rules string
	steps        []told
}{
	{"one writer", everyRule, []told{{'a', 0, `{"n":1,"tags":["x"],"body":"1\n2","title":"t","top":1,"low":1,"unit":{"a":1},"plain":1,"deep":{"a":1}}`},
		{'a', 1, `{"n":2,"tags":["y"],"body":"1\n2\n3","title":"two","top":2,"low":0,"unit":{"b":1},"plain":null,"deep":{"a":2,"b":{"c":1.5}}}`},
		{'a', 2, `{}`}, {'a', 3, `7`}}},
	{"both add, both see, both add again", `{"n":"counter"}`, []told{{'a', 0, `{"n":0}`}, {'a', 1, `{"n":1}`}, {'b', 1, `{"n":1}`}, {'a', 3, `{"n":3}`}, {'b', 3, `{"n":3}`}}},
	{"integers to the borders, and floats", `{"*":"counter"}`, []told{{'a', 0, `{"i":{"$int":"18446744073709551614"},"j":{"$int":"-9223372036854775807"},"f":0.1}`},
		{'a', 1, `{"i":{"$int":"18446744073709551615"},"j":{"$int":"-9223372036854775808"},"f":0.3}`},
		{'b', 1, `{"i":{"$int":"18446744073709551615"},"j":{"$int":"-9223372036854775808"},"f":1.1}`}}},
	{"an addition that the remover had not seen", `{"tags":"set"}`, []told{{'a', 0, `{"tags":["x"]}`}, {'b', 1, `{"tags":["x","y"]}`}, {'c', 1, `{"tags":["x","y","z"]}`}, {'b', 2, `{"tags":["x"]}`}, {'a', 1, `{"tags":[]}`}}},
	{"lines of two writers, across", `{"body":"text"}`, []told{{'a', 0, `{"body":"1\n2\n3"}`}, {'a', 1, `{"body":"1\na\n2\n3"}`}, {'b', 1, `{"body":"1\nb\n3\n4"}`},
		{'a', 3, `{"body":"0\n1\nb\n3\n4"}`}, {'b', 3, `{"body":"1\na\nb\nbb\n3"}`}}},
	{"characters", `{"title":"text"}`, []told{{'a', 0, `{"title":"Zürich 東"}`}, {'a', 1, `{"title":"Zürich 東京"}`}, {'b', 1, `{"title":"Zurich 東!"}`}}},
	{"a line becomes several while its characters change", `{"*":"text"}`, []told{{'a', 0, `"abc"`}, {'a', 1, `"d\ne"`}, {'b', 1, `"abcx"`}, {'c', 1, `""`}}},
	{"set back", `{"*":"max","low":"min"}`, []told{{'a', 0, `{"top":5,"low":5}`}, {'a', 1, `{"top":3,"low":7}`}, {'b', 1, `{"top":7,"low":2}`}, {'c', 1, `{"top":1,"low":9}`}}},
	{"one key, created three times", `{"n":"counter","tags":"set","body":"text","top":"max"}`, []told{{'a', 0, `{"n":1,"tags":["a"],"body":"a","top":3,"who":"a"}`},
		{'b', 0, `{"n":2,"tags":["a","b"],"body":"b","top":9,"who":"b"}`}, {'c', 0, `{"n":4,"body":"","only":{"deep":[]}}`}, {'b', 2, `{"who":"b"}`}}},
	{"shapes that the rules are not for", everyRule, []told{{'a', 0, `{"n":1,"tags":["x"],"body":"b","top":1}`}, {'a', 1, `{"n":"one","tags":{"x":1},"body":["b"],"top":null}`},
		{'b', 1, `{"n":2,"tags":["y"],"body":"b\nc","top":2}`}, {'c', 1, `{"n":{"a":1},"tags":null,"body":5}`}}},
}

func historyVectors(t *testing.T) (list []any) {
	for _, h := range histories {
		r := rulesOf(t, h.rules)
		c := historyCase{About: h.about, Rules: json.RawMessage(js(t, r.Encode()))}
		var writes []Write
		gens := map[byte]int{}
		now := State{}
		for _, s := range h.steps {
			shown := State{}
			for i, w := range writes { // what he had seen, and his own on top
				if i < s.seen || w.Version.Device == version(s.device, 1).Device {
					shown = r.Apply(shown, w)
				}
			}
			gens[s.device]++
			value := val(t, s.value)
			w := Write{version(s.device, gens[s.device]), r.Diff(shown.Value, shown, value), value}
			writes = append(writes, w)
			now = r.Apply(now, w)
			c.Steps = append(c.Steps, stepCase{w.Version.String(), s.seen, json.RawMessage(js(t, value)), json.RawMessage(js(t, w.Changes)),
				hex.EncodeToString(w.Changes), stateOf(t, now)})
		}
		list = append(list, c)
	}
	return list
}

func stateOf(t *testing.T, s State) stateCase {
	return stateCase{json.RawMessage(js(t, s.Value)), hex.EncodeToString(s.Value), s.Origin.String(), hex.EncodeToString(s.Marks)}
}

func rulesVectors(t *testing.T) (good, bad []any) {
	for _, text := range []string{`{"version":1}`, `{"version":1,"conflict":"keep","indexes":["a.b","c"]}`, `{"conflict":"sideways","version":9007199254740991}`,
		`{"version":2,"conflict":{}}`, `{"version":2,"newer":true,"conflict":{"b":"text@1","a.*":"counter","*":"max","c":"what@7","x\\.y":"set"}}`} {
		r, err := Parse(val(t, text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		good = append(good, rulesCase{About: "canonical: " + js(t, r.Encode()), JSON: json.RawMessage(text), Hex: hex.EncodeToString(r.Encode())})
	}
	for _, c := range badRules {
		_, err := Parse(val(t, c.text))
		if err == nil {
			t.Fatalf("%s was accepted", c.text)
		}
		bad = append(bad, rulesCase{About: err.Error(), JSON: json.RawMessage(c.text), Error: errorName(t, err), Path: err.(*Error).Path})
	}
	return good, bad
}

// badChangesTexts are values that cannot be changes.
var badChangesTexts = []struct{ about, json string }{
	{"no list", `"x"`}, {"another number than 0", `1`}, {"nothing in it", `[]`}, {"no ops", `[1]`}, {"three items", `[1,[],{"$bytes":""}]`},
	{"ops that are no list", `[1,{}]`}, {"an op without a path", `[1,[[0]]]`}, {"a path that is no list", `[1,[[1,"a"]]]`}, {"a key that is no text", `[1,[[1,[1]]]]`},
	{"no value to assign", `[1,[[0,["a"]]]]`}, {"something after the op", `[1,[[1,["a"],1]]]`}, {"one path twice", `[1,[[1,["a"]],[1,["a"]]]]`},
	{"paths out of order", `[1,[[1,["b"]],[1,["a"]]]]`}, {"a path below before the one above", `[1,[[1,["a","b"]],[3,["a"]]]]`},
	{"a counter of text", `[1,[[4,["a"],"x",1]]]`}, {"a counter of nothing", `[1,[[4,["a"],null,null]]]`}, {"a negative code", `[1,[[-1,["a"]]]]`},
	{"a version without a table", `[1,[[7,["a"],[],[["x",0]]]]]`}, {"a removal of nothing", `[1,[[7,["a"],[],[[]]]]]`}, {"not true", `[1,[[7,["a"],[],[],false]]]`},
	{"a table that nothing uses", `[1,[],{"$bytes":"AQEBAQEBAQEBAQEBAQEBAQ=="},[0,1]]`}, {"an empty table", `[1,[],{"$bytes":""},[]]`},
	{"a device of 15 bytes", `[1,[[7,["a"],[],[["x",0]]]],{"$bytes":"AQEBAQEBAQEBAQEBAQEB"},[0,1]]`},
	{"a version twice", `[1,[[7,["a"],[],[["x",0,1]]]],{"$bytes":"AQEBAQEBAQEBAQEBAQEBAQ=="},[0,1,0,1]]`},
	{"versions out of order", `[1,[[7,["a"],[],[["x",1,0]]]],{"$bytes":"AQEBAQEBAQEBAQEBAQEBAQ=="},[0,1,0,2]]`},
	{"half a version", `[1,[[7,["a"],[],[["x",0]]]],{"$bytes":"AQEBAQEBAQEBAQEBAQEBAQ=="},[0]]`},
	{"a deletion of no bytes", `[1,[[8,["a"],[0,0,0],[]]],{"$bytes":"AQEBAQEBAQEBAQEBAQEBAQ=="},[0,1]]`},
	{"an op of nothing", `[1,[[]]]`}, {"an insertion of no text", `[1,[[8,["a"],[],[["",0,null]]]]]`}, {"an insertion without neighbours", `[1,[[8,["a"],[],[["x",0]]]]]`}, {"an insertion without a place", `[1,[[8,["a"],[],[["x"]]]]]`},
	{"insertions in another order", `[1,[[8,["a"],[],[["x",5,null],["y",1,null]]]]]`}, {"insertions with nothing between them", `[1,[[8,["a"],[],[["x",1,null],["y",2,null]]]]]`},
	{"too many neighbours", `[1,[[8,["a"],[],[["x",0,null,0,0,0,1,0,2,0,3,0,4,0,5,0,6]]]],{"$bytes":"AQEBAQEBAQEBAQEBAQEBAQ=="},[0,1]]`},
}

func badChangesVectors(t *testing.T) (list []any) {
	deep := struct{ about, json string }{"too many keys", `[1,[[1,[` + strings.Repeat(`"a",`, change.MaxDepth) + `"a"]]]]`}
	for _, c := range append(badChangesTexts, deep) {
		b := val(t, c.json)
		err := Check(b)
		if err == nil {
			t.Fatalf("%s: %s was accepted", c.about, c.json)
		}
		list = append(list, badChanges{c.about + ": " + err.Error(), json.RawMessage(c.json), hex.EncodeToString(b), errorName(t, err)})
	}
	return list
}

// TestVectors holds core/vectors/merge.json, which JavaScript reads too, against what this package makes of the same cases. With
// -update it writes the file.
func TestVectors(t *testing.T) {
	good, bad := rulesVectors(t)
	about := "Field rules. rules: json becomes the canonical hex. badRules: json must be refused, at the path. histories: steps in the order of " +
		"the feed; each was written by one who had seen the first steps, so many, and his own, and wrote value: changes are what he changed, " +
		"after is the state once the step is folded in. badChanges: hex must be refused."
	var out bytes.Buffer
	out.WriteString("{\n\"about\": " + line(t, about))
	for _, list := range []struct {
		name  string
		cases []any
	}{{"rules", good}, {"badRules", bad}, {"histories", historyVectors(t)}, {"badChanges", badChangesVectors(t)}} {
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
	path := filepath.Join("..", "vectors", "merge.json")
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Error("merge.json differs from what the code makes; if the format was meant to change, run go test ./core/merge -run Vectors -update")
	}
}

// The file alone is enough to check an implementation of Apply: it is read back and folded again.
func TestVectorsAreFoldedAgain(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "vectors", "merge.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Histories []historyCase }
	if err := json.Unmarshal(b, &file); err != nil || len(file.Histories) < len(histories) {
		t.Fatalf("%d histories, %v", len(file.Histories), err)
	}
	for _, h := range file.Histories {
		rules, err := change.FromJSON(h.Rules)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Parse(rules)
		if err != nil {
			t.Fatal(err)
		}
		now := State{}
		for i, s := range h.Steps {
			v, err := change.ParseVersion(s.Version)
			if err != nil {
				t.Fatal(err)
			}
			changes, err := hex.DecodeString(s.Hex)
			if err != nil {
				t.Fatal(err)
			}
			now = r.Apply(now, Write{v, changes, val(t, string(s.Value))})
			if got := stateOf(t, now); got.Hex != s.After.Hex || got.Origin != s.After.Origin || got.Marks != s.After.Marks {
				t.Errorf("%s, step %d: %+v", h.About, i, got)
			}
		}
	}
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
