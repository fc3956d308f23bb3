package merge

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"vsync/core/change"
)

// state is what writes, one after the other, make.
func state(r *Rules, values ...[]byte) (s State) {
	for i, value := range values {
		v := version('a', i+1)
		switch {
		case value == nil:
			s.Deleted = true
		case s.Shown() == nil:
			s = born(v, value)
		default:
			s = r.Apply(s, Write{Version: v, Changes: r.Diff(s.Value, s, value), Value: value})
		}
	}
	return s
}

func TestUndo(t *testing.T) {
	fields := `{"n":"counter","tags":"set","body":"text","top":"max"}`
	for _, c := range []struct{ rules, before, after, now, want string }{
		{fields, `{"n":1}`, `{"n":5}`, `{"n":7}`, `{"n":3}`},
		{fields, `{"n":1}`, `{"n":5}`, `{"n":5}`, `{"n":1}`},
		{fields, `{"tags":["p","q"]}`, `{"tags":["q","r"]}`, `{"tags":["q","r","s"]}`, `{"tags":["q","s","p"]}`},
		{fields, `{"body":"1\n2"}`, `{"body":"1\nx\n2"}`, `{"body":"0\n1\nx\n2\n3"}`, `{"body":"0\n1\n2\n3"}`},
		{fields, `{"body":"1\n2\n3"}`, `{"body":"1\n3"}`, `{"body":"1\n3\n4"}`, `{"body":"1\n2\n3\n4"}`},
		{fields, `{"top":3}`, `{"top":9}`, `{"top":9,"n":1}`, `{"top":3,"n":1}`},
		{fields, `{"top":3}`, `{"top":9}`, `{"top":12}`, `{"top":12}`}, // somebody has gone further
		{fields, `{"n":1}`, ``, ``, `{"n":1}`},
		{fields, ``, `{"n":1,"tags":["p"]}`, `{"n":3,"tags":["p","q"]}`, `{"n":3,"tags":["q"]}`}, // somebody went on with it
		{`"latest"`, `{"a":1,"b":1}`, `{"a":2,"b":2}`, `{"a":2,"b":3,"c":4}`, `{"a":1,"b":3,"c":4}`},
		{`"latest"`, `{"a":1}`, `{"a":2}`, `{"a":3}`, `{"a":3}`},
		{`"latest"`, `{"a":1,"b":1}`, `{"b":1}`, `{"b":2}`, `{"b":2,"a":1}`},
		{`"latest"`, `{"a":1}`, `{"a":1,"b":{"c":1,"d":1}}`, `{"a":2,"b":{"c":1,"d":2}}`, `{"a":2,"b":{"d":2}}`},
		{`"latest"`, `{"a":1}`, `{"a":1,"b":{"c":1}}`, `{"a":2,"b":{"c":1}}`, `{"a":2}`},
		{`"latest"`, `{"a":{"b":1}}`, `{"a":"x"}`, `{"a":"y"}`, `{"a":"y"}`},
		{`"latest"`, `{"a":{"b":1}}`, `{"a":"x"}`, `{"a":"x","c":1}`, `{"a":{"b":1},"c":1}`},
		{`"latest"`, `{"a":{}}`, `{}`, `{"c":1}`, `{"c":1,"a":{}}`},
		{`"latest"`, `1`, `2`, `2`, `1`},
		{`"latest"`, `1`, `2`, `3`, `3`},
		{`"latest"`, ``, `{"a":1}`, `{"a":1}`, ``},
		{`"latest"`, ``, `{"a":1,"b":1}`, `{"a":2,"b":1}`, `{"a":2}`},
		{`"keep"`, ``, `{"a":1}`, ``, ``},               // gone since
		{`"keep"`, `{"a":1}`, ``, `{"b":2}`, `{"b":2}`}, // came again since
		{`"keep"`, `{"a":1}`, `{"a":2}`, ``, ``},
	} {
		r := rulesOf(t, c.rules)
		var values [][]byte
		for _, text := range []string{c.before, c.after, c.now} {
			values = append(values, val(t, text))
		}
		if c.before == "" {
			values = values[1:]
		}
		now := state(r, values...)
		got := r.Undo(val(t, c.before), val(t, c.after), now, version('b', 1))
		if js(t, got) != js(t, val(t, c.want)) {
			t.Errorf("%s: %s → %s → %s: undone is %s, want %s", c.rules, c.before, c.after, c.now, js(t, got), c.want)
		}
	}
}

// Whatever was written: undone at once it is as before, undone twice as it was, and it never panics on what is something else by now.
func TestUndoOfAnything(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	r := rulesOf(t, everyRule)
	for range 2000 {
		before, after, since := value(t, document(rnd)), value(t, document(rnd)), value(t, document(rnd))
		back := r.Undo(before, after, born(version('a', 1), after), version('b', 1))
		if !bytes.Equal(back, before) {
			t.Fatalf("%s → %s: undone is %s", js(t, before), js(t, after), js(t, back))
		}
		now := state(r, before, after, since)
		if out := r.Undo(before, after, now, version('b', 1)); out != nil && change.CheckValue(out) != nil {
			t.Fatalf("%s → %s → %s: undone is no value: %x", js(t, before), js(t, after), js(t, since), out)
		}
		if out := plain.Undo(after, now.Value, now, version('b', 1)); !bytes.Equal(out, after) {
			t.Fatalf("%s → %s: undone under latest is %s", js(t, after), js(t, since), js(t, out))
		}
	}
}

func value(t testing.TB, v any) []byte {
	t.Helper()
	b, err := change.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDifferences(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{`{"a":1}`, `{"a":1}`, ``},
		{``, `1`, `:→1`},
		{`1`, ``, `:1→`},
		{`{"a":1,"b":2}`, `{"b":3,"c":4}`, `b:2→3 c:→4 a:1→`},
		{`{"a":{"b":{"c":1}}}`, `{"a":{"b":{"c":2},"d":{}}}`, `a/b/c:1→2 a/d:→{}`},
		{`{"a":{"b":1,"c":{}}}`, `{}`, `a/b:1→ a/c:{}→`},
		{`{"a":"x"}`, `{"a":{"b":1}}`, `a:"x"→{"b":1}`},
		{`{"a":[1]}`, `{"a":[1,2]}`, `a:[1]→[1,2]`},
		{`{}`, `{"a":1}`, `a:→1`},
		{`{}`, ``, `:{}→`},
		{``, `{"a":{"b":1}}`, `a/b:→1`},
		{`{"a":1,"b":2}`, `{"b":2,"a":1}`, ``},
	} {
		var got []string
		for _, d := range Differences(val(t, c.before), val(t, c.after)) {
			got = append(got, fmt.Sprintf("%s:%s→%s", strings.Join(d.Path, "/"), js(t, d.Before), js(t, d.After)))
			if at := Lookup(val(t, c.after), d.Path); !bytes.Equal(at, d.After) {
				t.Errorf("%s → %s: at %q there is %s", c.before, c.after, d.Path, js(t, at))
			}
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s → %s: %q, want %q", c.before, c.after, text, c.want)
		}
	}
}
