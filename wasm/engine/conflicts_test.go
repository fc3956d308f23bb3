package engine

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"vsync/core"
	"vsync/core/change"
	"vsync/wasm/port"
)

func rules(version int, conflict any) []byte {
	b, err := change.Encode(change.Map{{Key: "version", Value: version}, {Key: "conflict", Value: conflict}})
	if err != nil {
		panic(err)
	}
	return b
}

// inForce waits until a collection has the rules of a version.
func (e *Engine) inForce(t *testing.T, collection string, version uint64) {
	t.Helper()
	late := time.After(patience)
	for r := e.current().replica; ; {
		news := r.Changed()
		if r.Rules(collection).Version == version {
			return
		}
		select {
		case <-news:
		case <-late:
			t.Fatalf("%s has the rules of version %d, want %d", collection, r.Rules(collection).Version, version)
		}
	}
}

func TestRulesAreWrittenAfterTheFirstSync(t *testing.T) {
	dial := narrow(t)
	open := func(collections map[string][]byte) (*Engine, *tab) {
		e, _ := newEngine(t, dial)
		a := e.tab(t)
		a.hello("notes", "feed", "ws://hub.test", "collections", collections)
		return e, a
	}
	first, a := open(map[string][]byte{"docs": rules(2, "keep")})
	a.answer(a.say(port.Synced, ""))
	if v := first.current().replica.Rules("docs").Version; v != 2 {
		t.Errorf("synced, and the rules of version %d are in force", v)
	}

	// One that is behind takes what is in force, and writes nothing.
	second, b := open(map[string][]byte{"docs": rules(1, "latest"), "other": rules(1, change.Map{{Key: "n", Value: "counter"}})})
	second.inForce(t, "other", 1)
	second.inForce(t, "docs", 2)
	first.inForce(t, "other", 1)
	if mode := second.current().replica.Rules("docs").Mode.String(); mode != "keep" {
		t.Errorf("docs is merged by %s", mode)
	}
	if n := second.current().replica.State().LastGen; n != 1 {
		t.Errorf("%d batches were written, want the rules of one collection", n)
	}

	// A tab that comes later may say more, as long as it says nothing else.
	c := second.tab(t)
	c.hello("notes", "feed", "ws://hub.test", "collections", map[string][]byte{"third": rules(1, "keep")})
	second.inForce(t, "third", 1)
	second.tab(t).hello("notes", "feed", "ws://hub.test")
	_ = b
}

func TestTabsWithOtherRules(t *testing.T) {
	e, _ := newEngine(t, nil)
	a := e.tab(t)
	a.hello("notes", "collections", map[string][]byte{"docs": rules(1, "keep"), "more": rules(1, "latest")})
	wrong := func(collections map[string][]byte, words ...string) {
		t.Helper()
		b := e.tab(t)
		text := b.refused(b.say(port.Hello, port.Protocol, helloOf("notes", "collections", collections)), "INVALID")
		for _, word := range words {
			if !strings.Contains(text, word) {
				t.Errorf("%q does not say %q", text, word)
			}
		}
	}
	wrong(map[string][]byte{"more": rules(1, "latest"), "docs": rules(2, "keep")}, `"docs"`, `"version":1`, `"version":2`)
	wrong(map[string][]byte{"docs": rules(1, change.Map{{Key: "n", Value: "counter"}})}, `"keep"`, `"n":"counter@1"`)
	wrong(map[string][]byte{"docs": rules(0, "keep")}, `"docs"`, "$.version")
	wrong(map[string][]byte{"$rules": rules(1, "keep")}, "system")
	wrong(map[string][]byte{"docs": {0xc1}}, `"docs"`)
	e.tab(t).hello("notes", "collections", map[string][]byte{"docs": rules(1, "keep")})
	e.tab(t).hello("notes")
}

// sides are those of a CONFLICT: values, the first one shown; nil is a deletion.
func sides(conflict any) (out []any) {
	for _, s := range conflict.([]any)[2].([]any) {
		out = append(out, s.([]any)[2])
	}
	return out
}

func TestConflictsOfACollection(t *testing.T) {
	e, _ := newEngine(t, nil)
	a := e.tab(t)
	a.hello("notes")
	base := a.put("a", 1)
	n := a.say(port.LiveConflicts, "docs")
	if f := a.items(n); number(f[0]) != port.Whole || len(f[1].([]any)) != 0 {
		t.Fatalf("first: %v", f)
	}
	left := a.put("a", 2)
	right := a.answer(a.write([]any{0, "a", value(3), []string{base}}))[0].(string)
	f := a.items(n)
	if number(f[0]) != port.Delta || len(f[1].([]any)) != 1 {
		t.Fatalf("a conflict: %v", f)
	}
	x := f[1].([]any)[0].([]any)
	if got := sides(x); x[0] != "a" || x[1] != string(value(1)) || !slices.Equal(got, []any{string(value(3)), string(value(2))}) {
		t.Errorf("the conflict is %v", x)
	}
	a.answer(a.write([]any{0, "b", value(1), nil}))
	list := a.say(port.Conflicts, "docs")
	if f := a.items(list); len(f[0].([]any)) != 1 || f[0].([]any)[0].([]any)[0] != "a" {
		t.Errorf("listed: %v", f)
	}
	a.answer(list)
	// A third side, and the end.
	a.answer(a.write([]any{0, "a", nil, []string{base}}))
	if f := a.items(n); len(sides(f[1].([]any)[0])) != 3 {
		t.Errorf("a third side: %v", f)
	}
	third := a.answer(a.say(port.Read, "docs", "a"))[2].([]any)
	a.answer(a.write([]any{0, "a", value(9), []string{left, right}})) // one who did not see the deletion
	if f := a.items(n); len(sides(f[1].([]any)[0])) != 2 {
		t.Errorf("of two sides one was ended: %v", f)
	}
	a.answer(a.write([]any{0, "a", value(10), texts(append(third, a.answer(a.say(port.Read, "docs", "a"))[2].([]any)...))}))
	if f := a.items(n); number(f[0]) != port.Delta || !slices.Equal(texts(f[2]), []string{"a"}) {
		t.Errorf("the end: %v", f)
	}
	a.refused(a.say(port.LiveConflicts, ""), "INVALID")
}

func TestWhatWas(t *testing.T) {
	e, _ := newEngine(t, nil)
	a := e.tab(t)
	a.hello("notes")
	doc := func(pairs ...any) []byte {
		var m change.Map
		for i := 0; i < len(pairs); i += 2 {
			m = append(m, change.Field{Key: pairs[i].(string), Value: pairs[i+1]})
		}
		b, err := change.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	put := func(id string, v []byte) string { return a.answer(a.write([]any{0, id, v, nil}))[0].(string) }
	v1 := put("a", doc("p", 1, "q", 1))
	watch := a.say(port.Watch, "docs", "", "start")
	marker := a.items(watch)[0].(string)
	v2 := put("a", doc("p", 2, "q", 1))
	put("a", doc("p", 2, "q", 3))

	diffs := a.answer(a.say(port.Diff, "docs", "a", v1, ""))[0].([]any)
	if text := fmt.Sprint(diffs); text != fmt.Sprint([]any{[]any{[]any{"p"}, string(value(1)), string(value(2))}, []any{[]any{"q"}, string(value(1)), string(value(3))}}) {
		t.Errorf("differences: %s", text)
	}
	blamed := a.answer(a.say(port.Blame, "docs", "a"))[0].([]any)
	if p := blamed[0].([]any); len(blamed) != 2 || p[2] != v2 || p[5] != false {
		t.Errorf("blame: %v", blamed)
	}
	rows := a.answer(a.say(port.Past, marker, "docs", []string{"a", "none"}))[1].([]any)
	if len(rows) != 1 || rows[0].([]any)[1] != string(doc("p", 1, "q", 1)) {
		t.Errorf("as of the marker: %v", rows)
	}
	n := a.say(port.ScanPast, marker, query("", "", "", false, 0))
	if f := a.items(n); !slices.Equal(ids(f[1]), []string{"a"}) {
		t.Errorf("scan as of the marker: %v", f)
	}
	a.answer(n)
	a.answer(a.say(port.ScanPast, 1, query("", "", "", false, 0))) // long before
	a.refused(a.say(port.Past, "nonsense", "docs", []string{}), "UNKNOWN_MARKER")

	a.answer(a.say(port.Undo, v2, "", []string{}, "back", []byte("tab-0001"), 1))
	a.answer(a.say(port.Undo, v2, "", []string{}, "back", []byte("tab-0001"), 1)) // asked again: it is not done twice
	get := func() string { return a.answer(a.say(port.Get, "docs", "a"))[0].(string) }
	if got := get(); got != string(doc("p", 1, "q", 3)) {
		t.Errorf("undone: %x", got)
	}
	a.answer(a.say(port.Revert, "docs", "a", v1, "", []byte("tab-0001"), 2))
	if got := get(); got != string(doc("p", 1, "q", 1)) {
		t.Errorf("reverted: %x", got)
	}
	h := a.say(port.History, "docs", "a", 2)
	if list := a.items(h)[0].([]any); list[1].([]any)[5] != "back" {
		t.Errorf("history: %v", list)
	}
	a.answer(h)
	old := strings.Repeat("9", 32) + ":1"
	a.refused(a.say(port.Revert, "docs", "a", old, "", []byte("tab-0001"), 3), "TOO_OLD")
	a.refused(a.say(port.Diff, "docs", "a", old, v1), "TOO_OLD")
	a.refused(a.say(port.Undo, v2, "docs", []string{"none"}, "", []byte("tab-0001"), 4), "INVALID")
	a.refused(a.say(port.Undo, "nonsense", "docs", []string{"none"}, "", []byte("tab-0001"), 4), "INVALID")

	// What no frame may be.
	for _, fields := range [][]any{{port.Past, true, "docs", []string{}}, {port.Blame, 5}, {port.Conflicts}} {
		b := e.tab(t)
		b.hello("notes")
		var packet bytes.Buffer
		if err := msgpack.NewEncoder(&packet).Encode(append([]any{fields[0], 9}, fields[1:]...)); err != nil {
			t.Fatal(err)
		}
		b.p.Receive(packet.Bytes())
		b.refused(0, string(core.Protocol))
	}
}
