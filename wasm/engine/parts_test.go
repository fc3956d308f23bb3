package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"vsync/core/change"
	"vsync/wasm/port"
)

// large encodes a text of which two are more than one ITEMS holds.
func large(t *testing.T, letter string) []byte {
	t.Helper()
	text, err := change.Encode(strings.Repeat(letter, port.MaxItems*2/3))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// changesOf gives the ids of an event's changes.
func changesOf(event []any) (out []string) {
	for _, x := range event[6].([]any) {
		out = append(out, x.([]any)[1].(string))
	}
	return out
}

// No packet to a page is large, whatever a batch has: an event comes in parts, all of which say whose they are.
func TestEventsComeInParts(t *testing.T) {
	e, _ := newEngine(t, nil)
	a := e.tab(t)
	a.hello("notes")
	text := large(t, "x")
	live := a.say(port.Watch, "docs", "", "now")
	a.items(live)
	v := a.answer(a.say(port.Write, []string{"docs"}, []any{
		[]any{0, "a", text, nil}, []any{0, "b", text, nil}, []any{0, "c", nil, nil}, []any{0, "d", text, nil},
	}, []any{}, "four"))[0].(string)
	expect := func(n uint64, flags uint64, marker string, want ...string) []any {
		t.Helper()
		f := a.items(n)
		if number(f[1]) != flags || (marker != "" && f[0] != marker) || !slices.Equal(changesOf(f), want) {
			t.Fatalf("flags %v, marker %v, %v; want %d, %q, %v", f[1], f[0], changesOf(f), flags, marker, want)
		}
		return f
	}
	first := expect(live, port.FlagLocal|port.FlagPart, "", "a", "b")
	rest := expect(live, port.FlagLocal, first[0].(string), "c", "d")
	for _, f := range [][]any{first, rest} {
		device, _, _ := strings.Cut(v, ":")
		if f[2] != device || f[4] != "four" || !slices.Equal(texts(f[5]), []string{device}) {
			t.Errorf("a part of %s says %v of %v", v, f[:5], f[5])
		}
	}
	// What was there before comes so too, and a part is full only when there is more.
	past := a.say(port.Watch, "docs", "", "start")
	place := expect(past, port.FlagInitial|port.FlagPart, "", "a", "b")
	expect(past, port.FlagInitial, place[0].(string), "d")
	a.answer(a.write([]any{0, "e", text, nil}, []any{0, "f", text, nil}))
	expect(past, port.FlagLocal, "", "e", "f")
}

// Values that are large come in pieces, and are of one moment all the same: what is written while they are on the way is in none of them.
func TestManyValuesComeInParts(t *testing.T) {
	e, _ := newEngine(t, nil)
	a := e.tab(t)
	a.hello("notes")
	x, y := large(t, "x"), large(t, "y")
	wanted := []string{"none"}
	var first, second []any
	for i := range 2 * (port.Window + 2) {
		id := string(rune('a' + i))
		wanted = append(wanted, id)
		first, second = append(first, []any{0, id, x, nil}), append(second, []any{0, id, y, nil})
	}
	a.answer(a.write(first...))
	n := a.say(port.GetMany, "docs", wanted)
	piece := func() []any {
		return a.hear("a piece", func(kind int, m uint64, _ []any) bool { return kind == port.Items && m == n })[0].([]any)
	}
	var values []any
	for range port.Window { // without a word from the page
		values = append(values, piece()...)
	}
	a.answer(a.write(second...))
	a.sayAs(n, port.More, 1)
	values = append(values, piece()...)
	values = append(values, a.answer(n)[0].([]any)...)
	if len(values) != len(wanted) || values[0] != nil {
		t.Fatalf("%d values, the first %v", len(values), values[0])
	}
	for i, v := range values[1:] {
		if v != string(x) {
			t.Errorf("%s is of another moment", wanted[i+1])
		}
	}
	for _, want := range [][]string{{"c"}, {"c", "none", "none"}, {}} {
		if got := a.answer(a.say(port.GetMany, "docs", want))[0].([]any); len(got) != len(want) {
			t.Errorf("of %v come %d values", want, len(got))
		}
	}
}

func TestConflictsComeInParts(t *testing.T) {
	e, _ := newEngine(t, nil)
	a := e.tab(t)
	a.hello("notes")
	base := a.answer(a.write(op("a", 0), op("b", 0), op("c", 0)))[0].(string)
	n := a.say(port.LiveConflicts, "docs")
	a.items(n)
	write := func(letter string, seen []string) []string {
		text := large(t, letter)
		return []string{a.answer(a.write([]any{0, "a", text, seen}, []any{0, "b", text, seen}, []any{0, "c", text, seen}))[0].(string)}
	}
	left, right := write("l", []string{base}), write("r", []string{base})
	expect := func(part uint64, conflicts int, gone ...string) {
		t.Helper()
		if f := a.items(n); number(f[0]) != part || len(f[1].([]any)) != conflicts || !slices.Equal(texts(f[2]), gone) {
			t.Fatalf("part %v has %d conflicts, and gone are %v", f[0], len(f[1].([]any)), f[2])
		}
	}
	for range 3 { // each has two sides, which are more than one ITEMS holds
		expect(port.Part, 1)
	}
	expect(port.Delta, 0)
	write("m", append(left, right...))
	expect(port.Delta, 0, "a", "b", "c")
}

// A result with a limit is read whole each time, and told in pieces, unless it is the one that is shown.
func TestALimitedResultComesInPieces(t *testing.T) {
	e, _ := newEngine(t, nil)
	a := e.tab(t)
	a.hello("notes")
	text := large(t, "x")
	for _, id := range []string{"b", "c", "d", "e"} {
		a.answer(a.write([]any{0, id, text, nil}))
	}
	n := a.say(port.Live, query("", "", "", false, 3))
	expect := func(part uint64, want ...string) {
		t.Helper()
		if f := a.items(n); number(f[0]) != part || !slices.Equal(ids(f[3]), want) {
			t.Fatalf("part %v has %v, want %d with %v", f[0], ids(f[3]), part, want)
		}
	}
	expect(port.Piece, "b", "c")
	expect(port.Whole, "d")
	a.answer(a.write([]any{0, "aa", nil, nil})) // nothing that is shown: nothing is told
	a.answer(a.write([]any{0, "a", text, nil}))
	expect(port.Piece, "a", "b")
	expect(port.Whole, "c")
}

// Under field rules a side that comes makes another value, though the version that is shown stays: a limited result is told of it.
func TestALimitedResultWhoseValuesAreMerged(t *testing.T) {
	dial, late := narrow(t), &lateClock{}
	counter := change.Map{{Key: "n", Value: "counter"}}
	open := func(set func(e *Engine)) *tab {
		e, _ := newEngine(t, dial)
		set(e)
		a := e.tab(t)
		a.hello("notes", "feed", "ws://hub.test", "collections", map[string][]byte{"docs": rules(1, counter)})
		a.answer(a.say(port.Synced, ""))
		e.inForce(t, "docs", 1)
		return a
	}
	count := func(a *tab, n int) string {
		t.Helper()
		b, err := change.Encode(change.Map{{Key: "n", Value: n}})
		if err != nil {
			t.Fatal(err)
		}
		return a.answer(a.write([]any{0, "x", b, nil}))[0].(string)
	}
	a := open(func(e *Engine) { e.cfg.Clock = late })
	a.answer(a.say(port.Synced, count(a, 1)))
	b := open(func(*Engine) {})
	b.answer(b.say(port.Pause))
	count(b, 2)
	late.by.Store(int64(time.Second)) // so that the version that is shown is of a
	count(a, 2)
	n := a.say(port.Live, query("", "", "", false, 3))
	version := func(want int) string {
		t.Helper()
		f := a.items(n)
		row := f[3].([]any)[0].([]any)
		v, err := change.DecodeValue([]byte(row[1].(string)))
		if err != nil || fmt.Sprint(v) != fmt.Sprint(change.Map{{Key: "n", Value: want}}) {
			t.Fatalf("the value is %v, want %d", v, want)
		}
		return fmt.Sprint(f[2], row[2:4])
	}
	mine := version(2)
	b.answer(b.say(port.Resume))
	if now := version(3); now != mine {
		t.Errorf("the version %s is shown, and not %s: the test shows nothing", now, mine)
	}
}
