package merge

import (
	"slices"
	"strings"
	"testing"

	"vsync/core/change"
)

// Histories that are hard, told step by step: what is shown, and that all replicas agree.

// story is a town whose values are written as JSON.
type story struct{ *town }

func tell(t *testing.T, conflict string, devices int, first string) *story {
	s := &story{newTown(t, rulesOf(t, conflict), devices)}
	if first != "" {
		s.put(0, first)
		s.push(0)
		s.everyone()
	}
	return s
}

func (s *story) put(d int, value string) { s.devices[d].put(val(s.t, value)) }
func (s *story) push(d int)              { s.devices[d].push(false) }
func (s *story) everyone() {
	for _, d := range s.devices {
		d.pull()
	}
}

func (s *story) shows(d int, want string) {
	s.t.Helper()
	o := s.devices[d].visible()
	if got := js(s.t, o.state.Shown()); got != want {
		s.t.Fatalf("device %c shows %s, not %s", s.devices[d].letter, got, want)
	}
}

// ends settles and says what all must have, and how many leaves.
func (s *story) ends(want string, leaves int) {
	s.t.Helper()
	s.settle()
	s.agree()
	if got := js(s.t, s.hub.state.Shown()); got != want {
		s.t.Fatalf("the hub has %s, not %s", got, want)
	}
	if len(s.hub.leaves) != leaves {
		s.t.Fatalf("%d leaves, not %d", len(s.hub.leaves), leaves)
	}
}

func TestBothIncrementBothSeeBothIncrementAgain(t *testing.T) {
	s := tell(t, `{"n":"counter"}`, 2, `{"n":0}`)
	s.put(0, `{"n":1}`)
	s.put(1, `{"n":1}`)
	s.push(0)
	s.push(1)
	s.everyone()
	s.shows(0, `{"n":2}`)
	s.put(0, `{"n":3}`)
	s.put(1, `{"n":3}`)
	s.ends(`{"n":4}`, 2)
}

// a1 ◀ a2, b1, c1: three leaves, of which b2 replaces one, and c2 another that had been folded in between.
func TestForksOfForks(t *testing.T) {
	s := tell(t, `{"n":"counter","tags":"set"}`, 3, `{"n":10,"tags":[]}`)
	s.put(0, `{"n":11,"tags":["a"]}`)
	s.put(1, `{"n":12,"tags":["b"]}`)
	s.put(1, `{"n":14,"tags":["b","bb"]}`)
	s.put(2, `{"n":13,"tags":["c"]}`)
	s.put(2, `{"n":12,"tags":[]}`)
	s.push(0)
	s.push(1)
	s.push(2)
	s.devices[0].pull()
	s.shows(0, `{"n":16,"tags":["a","b","c"]}`)
	if got := len(s.hub.leaves); got != 3 {
		t.Fatalf("%d leaves", got)
	}
	s.put(0, `{"n":16,"tags":["a","c"]}`) // has seen all three: takes b away
	s.ends(`{"n":17,"tags":["a","bb"]}`, 3)
}

// Two resolve the same fork, each without the other.
//
//	a2 ◀──── a3
//	   ╲   ╱
//	     ╳
//	   ╱   ╲
//	b1 ◀──── b2
func TestCrissCross(t *testing.T) {
	s := tell(t, `{"n":"counter","tags":"set","body":"text"}`, 2, `{"n":0,"tags":[],"body":"1\n2"}`)
	s.put(0, `{"n":1,"tags":["x"],"body":"1\na\n2"}`)
	s.put(1, `{"n":1,"tags":["x"],"body":"1\nb\n2"}`)
	s.push(0)
	s.push(1)
	s.everyone()
	s.shows(0, `{"n":2,"tags":["x"],"body":"1\na\nb\n2"}`)
	s.put(0, `{"n":12,"tags":[],"body":"1\na\nb"}`)                  // takes x away, and 2
	s.put(1, `{"n":102,"tags":["x","y"],"body":"0\n1\na\nb\nc\n2"}`) // knows nothing of that
	s.ends(`{"n":112,"tags":["y"],"body":"0\n1\na\nb\nc"}`, 2)
}

// One removes what he saw while another, who has not seen that it was there, adds it too: it stays.
func TestAnAdditionThatTheRemoverHadNotSeenStays(t *testing.T) {
	s := tell(t, `{"tags":"set"}`, 2, `{"tags":[]}`)
	s.put(0, `{"tags":["x"]}`)
	s.put(0, `{"tags":[]}`)
	s.put(1, `{"tags":["x"]}`)
	s.push(0)
	s.push(1)
	s.push(0) // the removal comes last, and names what its writer saw
	s.ends(`{"tags":["x"]}`, 2)
}

func TestUpdateBeatsConcurrentDeletion(t *testing.T) {
	for _, first := range []int{0, 1} {
		s := tell(t, `{"n":"counter"}`, 2, `{"n":5,"k":1}`)
		s.devices[0].delete()
		s.put(1, `{"n":6,"k":1}`)
		s.push(first)
		s.push(1 - first)
		s.ends(`{"n":6,"k":1}`, 2)
	}
}

// d1 deletes, u updates without knowing, d2 deletes what it knows of both.
func TestDeleteUpdateDelete(t *testing.T) {
	s := tell(t, `{"n":"counter"}`, 3, `{"n":5}`)
	s.devices[0].delete()
	s.put(1, `{"n":6}`)
	s.put(2, `{"n":7}`)
	s.push(0)
	s.push(1)
	s.devices[0].pull()
	s.shows(0, `{"n":6}`)
	s.devices[0].delete() // has seen the update of b, not that of c
	s.push(0)
	if !s.hub.state.Deleted || len(s.hub.leaves) != 1 {
		t.Fatal("the object is not deleted")
	}
	s.push(2)
	s.ends(`{"n":8}`, 2) // it comes back, and no increment is lost
}

// An update that meets a deletion goes on with what was deleted: the next ones of its writer find what they name.
func TestEditsOnADeletedObject(t *testing.T) {
	s := tell(t, `{"n":"counter","tags":"set","body":"text"}`, 3, `{"n":1,"tags":["a","b"],"body":"1\n2\n3"}`)
	s.devices[0].delete()
	s.put(1, `{"n":2,"tags":["a","b","c"],"body":"1\nx\n2\n3"}`)
	s.put(1, `{"n":2,"tags":["b","c"],"body":"1\nx\ny\n3"}`)
	s.put(2, `{"n":11,"tags":["a","b"],"body":"1\n2\n3\n4"}`)
	s.push(0)
	s.push(1)
	s.push(2)
	s.ends(`{"n":12,"tags":["b","c"],"body":"1\nx\ny\n3\n4"}`, 3)
}

// Who saw the deletion and writes again begins another life: nothing of the old one is in it.
func TestAnotherLife(t *testing.T) {
	s := tell(t, `{"n":"counter","tags":"set"}`, 2, `{"n":5,"tags":["a"]}`)
	s.put(1, `{"n":6,"tags":["a","b"]}`) // has not seen any of it
	s.devices[0].delete()
	s.push(0)
	s.put(0, `{"n":1,"tags":[]}`)
	s.push(0)
	s.shows(0, `{"n":1,"tags":[]}`)
	s.ends(`{"n":2,"tags":["b"]}`, 2)
}

// What a device wrote offline it writes anew under another id: what it took away are its own additions, by their new names.
func TestReentry(t *testing.T) {
	s := tell(t, `{"n":"counter","tags":"set","body":"text"}`, 2, `{"n":0,"tags":["a"],"body":"1\n2"}`)
	s.put(1, `{"n":1,"tags":["a","x"],"body":"1\nx\n2"}`)
	s.put(1, `{"n":2,"tags":["y"],"body":"1\ny\n2"}`)
	rename := func(v change.Version) change.Version {
		if v.Device == version('b', 1).Device {
			return version('z', int(v.Gen))
		}
		return v
	}
	b := s.devices[1]
	for i, w := range b.pending {
		changes, err := Rename(w.Changes, rename)
		if err != nil {
			t.Fatal(err)
		}
		w.Version, w.Changes = rename(w.Version), changes
		w.parents = slices.Clone(w.parents)
		for j := range w.parents {
			w.parents[j] = rename(w.parents[j])
		}
		b.pending[i] = w
	}
	s.put(0, `{"n":10,"tags":["a","b"],"body":"0\n1\n2"}`)
	s.push(0)
	s.ends(`{"n":12,"tags":["b","y"],"body":"0\n1\ny\n2"}`, 2)
	if got := s.hub.leaves[1].version; got != version('z', 2) {
		t.Fatalf("the second leaf is %s", got)
	}
}

// More writers than an object has leaves: no increment is lost, and of the additions of one member so many are told apart.
func TestMoreWritersThanLeaves(t *testing.T) {
	const writers = MaxDots + 36
	s := tell(t, `{"n":"counter","tags":"set"}`, writers, `{"n":0,"tags":[]}`)
	for i := range writers {
		s.put(i, `{"n":1,"tags":["x"]}`)
	}
	s.settle()
	if got := js(t, s.hub.state.Value); got != `{"n":100,"tags":["x"]}` {
		t.Fatalf("the hub has %s", got)
	}
	if e := decodeMarks(s.hub.state.Marks).entries; len(e) != 1 || len(e[0].dots) != 1 || len(e[0].dots[0].versions) != MaxDots {
		t.Fatalf("marks %+v", e)
	}
	s.put(7, `{"n":100,"tags":[]}`)
	s.ends(`{"n":100,"tags":[]}`, 1)
}

func TestTwoDeletionsDelete(t *testing.T) {
	s := tell(t, `{"n":"counter"}`, 2, `{"n":5}`)
	s.devices[0].delete()
	s.devices[1].delete()
	s.ends(``, 2)
	s.put(0, `{"n":1}`)
	s.ends(`{"n":1}`, 1)
}

func TestOneKeyCreatedOnThreeDevices(t *testing.T) {
	s := tell(t, `{"n":"counter","tags":"set","body":"text","top":"max"}`, 3, ``)
	s.put(0, `{"n":1,"tags":["a"],"body":"a1\na2","top":3,"who":"a"}`)
	s.put(1, `{"n":2,"tags":["a","b"],"body":"b1","top":9,"who":"b"}`)
	s.put(2, `{"n":4,"tags":[],"body":"","top":5,"who":"c","only":{"deep":1}}`)
	s.put(2, `{"n":5,"tags":[],"body":"c","top":5,"who":"c","only":{"deep":2}}`)
	s.ends(`{"n":8,"tags":["a","b"],"body":"a1\na2\nb1\nc","top":9,"who":"c","only":{"deep":2}}`, 3)
}

// resolve writes a value whose parents are all leaves; a write that had not seen it goes on beside it.
func TestResolveAgainstWrite(t *testing.T) {
	s := tell(t, `{"n":"counter"}`, 3, `{"n":0,"t":"0"}`)
	s.put(0, `{"n":1,"t":"a"}`)
	s.put(1, `{"n":1,"t":"b"}`)
	s.push(0)
	s.push(1)
	s.everyone()
	s.put(2, `{"n":0,"t":"resolved"}`) // takes both increments back
	s.put(0, `{"n":7,"t":"b"}`)        // adds 5 to the 2 that it saw
	s.push(0)
	s.push(2)
	s.ends(`{"n":5,"t":"resolved"}`, 2)
}

// A batch that is refused takes its effect with it, and that of none that came after it.
func TestVoidedInBetween(t *testing.T) {
	s := tell(t, `{"n":"counter","tags":"set","body":"text"}`, 2, `{"n":0,"tags":[],"body":"1\n2","p":0}`)
	s.put(0, `{"n":10,"tags":["v"],"body":"1\nv\n2","p":1}`)
	s.put(0, `{"n":11,"tags":["v","w"],"body":"1\nv\nw\n2","p":1}`)
	s.put(0, `{"n":12,"tags":["w"],"body":"1\nw\n2","p":1}`) // written before the refusal was known, parents are the second
	s.devices[0].push(true)
	s.shows(0, `{"n":2,"tags":["w"],"body":"1\nw\n2","p":0}`)
	s.ends(`{"n":2,"tags":["w"],"body":"1\nw\n2","p":0}`, 1)
}

// What made the object is refused: the next counts as a whole, and what came after it goes on naming the bytes that it brought.
func TestCreationRefusedUnderEdits(t *testing.T) {
	s := tell(t, `{"t":"text"}`, 2, "")
	s.put(0, `{"t":"a\nb\nc"}`)
	s.put(0, `{"t":"x\na\nb\ny\nc"}`)
	s.put(0, `{"t":"x\na\nb\nc\nd"}`)        // y was its own
	s.put(0, `{"t":"x\nx too\na\nb\nc\nd"}`) // behind x
	s.devices[0].push(true)
	for range 3 {
		s.push(0)
	}
	s.everyone()
	s.shows(1, `{"t":"x\nx too\na\nb\nc\nd"}`)
	s.ends(`{"t":"x\nx too\na\nb\nc\nd"}`, 1)

	s = tell(t, `{"t":"text"}`, 2, "")
	s.put(0, `{"t":"one line"}`)
	s.put(0, `{"t":"one longer line"}`)
	s.put(0, `{"t":"one line"}`)
	s.devices[0].push(true)
	s.push(0)
	s.push(0)
	s.ends(`{"t":"one line"}`, 1)
}

// A device raises the rules while another is offline: what that one wrote counts as what the rule in force can take of it.
func TestRuleRaisedWhileADeviceIsOffline(t *testing.T) {
	s := tell(t, `{"n":"counter"}`, 2, `{"n":5,"m":5,"tags":["a"]}`)
	s.put(1, `{"n":7,"m":6,"tags":["a","b"]}`) // n is added to, m and tags are assigned
	s.raise(rulesOf(t, `{"m":"counter","tags":"set"}`))
	s.devices[0].pull()
	s.put(0, `{"n":9,"m":105,"tags":["a","c"]}`)
	s.push(0)
	s.ends(`{"n":7,"m":6,"tags":["a","b"]}`, 2)
	s.put(0, `{"n":7,"m":7,"tags":["b"]}`) // by now all have the new rules
	s.put(1, `{"n":7,"m":8,"tags":["a","b","d"]}`)
	s.ends(`{"n":7,"m":9,"tags":["b","d"]}`, 2)
}

// Rules that turn merging on, and off again: what is shown stays until the next mutation.
func TestRulesTurnMergingOnAndOff(t *testing.T) {
	s := tell(t, `"latest"`, 2, `{"n":1}`)
	s.raise(rulesOf(t, `{"n":"counter"}`))
	s.everyone()
	s.shows(1, `{"n":1}`)
	s.put(0, `{"n":2}`)
	s.put(1, `{"n":2}`)
	s.ends(`{"n":3}`, 2)
	s.raise(rulesOf(t, `"keep"`))
	s.everyone()
	s.shows(0, `{"n":3}`)
}

// text@2 is a newer engine's: the collection cannot be folded, and says so.
func TestUnknownMergeFunction(t *testing.T) {
	r := rulesOf(t, `{"n":"counter","body":"text@2"}`)
	if r.Merges() || !slices.Equal(r.Unknown(), []string{"text@2"}) {
		t.Fatalf("merges %v, unknown %q", r.Merges(), r.Unknown())
	}
	if got := js(t, r.Diff(val(t, `{"n":1,"body":"a"}`), State{}, val(t, `{"n":2,"body":"b"}`))); got != `[1,[[0,["body"],"b"],[0,["n"],2]]]` {
		t.Fatalf("changes %s: not what this engine can mean", got)
	}
	now := born(version('a', 1), val(t, `{"n":1}`))
	if got := r.Apply(now, Write{version('b', 1), []byte{0}, val(t, `{"n":2}`)}); js(t, got.Value) != `{"n":2}` {
		t.Fatalf("%s came", js(t, got.Value))
	}
	if u := rulesOf(t, `"newest"`); u.Mode != Unknown || !slices.Equal(u.Unknown(), []string{"newest"}) {
		t.Fatalf("mode %v, unknown %q", u.Mode, u.Unknown())
	}
}

// An op of a function that is not known, in changes that are: what was written there counts.
func TestUnknownOp(t *testing.T) {
	r := rulesOf(t, `{"n":"counter"}`)
	now := born(version('a', 1), val(t, `{"n":1,"x":1}`))
	changes := val(t, `[1,[[4,["n"],1,3],[77,["x"],"what","ever"]]]`)
	if err := Check(changes); err != nil {
		t.Fatal(err)
	}
	got := r.Apply(now, Write{version('b', 1), changes, val(t, `{"n":3,"x":5}`)})
	if js(t, got.Value) != `{"n":3,"x":5}` {
		t.Fatalf("%s came", js(t, got.Value))
	}
	newer := r.Apply(now, Write{version('b', 1), val(t, `[2,{"all":"new"}]`), val(t, `{"n":3}`)})
	if js(t, newer.Value) != `{"n":3}` || newer.Origin != version('b', 1) {
		t.Fatalf("%s came", js(t, newer.Value))
	}
}

// A writer who names an older version as seen: what he took away is what was there then.
func TestSeenIsOlderThanNow(t *testing.T) {
	r := rulesOf(t, `{"n":"counter","tags":"set","body":"text"}`)
	seen := val(t, `{"n":1,"tags":["a","b"],"body":"1\n2\n3"}`)
	now := born(version('a', 1), seen)
	later := val(t, `{"n":5,"tags":["b","c"],"body":"0\n1\n3\n4"}`)
	now = r.Apply(now, Write{version('b', 1), r.Diff(seen, now, later), later})
	value := val(t, `{"n":2,"tags":["a","d"],"body":"1\nx\n2"}`)
	got := r.Apply(now, Write{version('a', 2), r.Diff(seen, now, value), value})
	if want := `{"n":6,"tags":["c","d"],"body":"0\n1\nx\n4"}`; js(t, got.Value) != want {
		t.Fatalf("%s came, not %s", js(t, got.Value), want)
	}
}

// Characters of one line, and lines of several.
func TestText(t *testing.T) {
	for _, c := range []struct{ about, base, a, b, want string }{
		{"both in one word", "color", "colour", "colors", "colours"},
		{"both ends", "fox", "the fox", "fox runs", "the fox runs"},
		{"beyond ASCII", "Zürich 東", "Zürich 東京", "Zurich 東", "Zurich 東京"},
		{"both replace all of a line", "abc", "xyz", "123", "xyz123"},
		{"lines at the same place", "1\n2", "1\na\n2", "1\nb\n2", "1\na\nb\n2"},
		{"lines at the end", "1\n2", "1\n2\na", "1\n2\nb", "1\n2\na\nb"},
		{"lines at the beginning", "1\n2", "a\n1\n2", "b\n1\n2", "a\nb\n1\n2"},
		{"with a line feed at the end", "1\n2\n", "1\n2\na\n", "1\n2\nb\n", "1\n2\na\nb\n"},
		{"both change a line", "1\n2\n3", "1\na\n3", "1\nb\n3", "1\na\nb\n3"},
		{"both remove a line", "1\n\n3\n\n5", "1\n\n3\n5", "1\n\n3\n5", "1\n\n3\n5"},
		{"one removes what the other writes after", "1\n2\n3\n4", "1\n4", "1\n2\n3\nb\n4", "1\nb\n4"},
		{"all around is gone", "1\n2\n3", "", "1\n2\nb\n3", "b"},
		{"both clear", "1\n2", "", "", ""},
		{"one line becomes several", "abc", "abc\nd", "abxc", "abxc\nd"},
		{"one line is replaced by several", "abc", "d\ne", "abcx", "d\ne\nx"},
		{"and the other way round", "abc", "abcx", "d\ne", "x\nd\ne"},
		{"from an empty text", "", "a", "b", "a\nb"},
	} {
		t.Run(c.about, func(t *testing.T) {
			r := rulesOf(t, `{"*":"text"}`)
			base, a, b := encoded(t, c.base), encoded(t, c.a), encoded(t, c.b)
			s := born(version('a', 1), base)
			x, y := Write{version('a', 2), r.Diff(base, s, a), a}, Write{version('b', 1), r.Diff(base, s, b), b}
			if got := string(text(r.Apply(r.Apply(s, x), y).Value)); got != c.want {
				t.Errorf("%q came, not %q", got, c.want)
			}
			other := string(text(r.Apply(r.Apply(s, y), x).Value))
			if got, want := inOrder(strings.Split(other, "\n")), inOrder(strings.Split(c.want, "\n")); len(c.want) > 6 && strings.Contains(c.base, "\n") && !slices.Equal(got, want) {
				t.Errorf("the other way round %q came", other)
			}
		})
	}
}

// The rule of a path goes from text to another, and back, while a device is offline: what it edited twice names the bytes of its first edit.
func TestRuleOfAPathGoesAndComesBack(t *testing.T) {
	for between, want := range map[string]string{
		`{"t":"latest","n":"counter"}`: `{"n":1,"t":"a\nb\nmore\nc","tags":["y"]}`,
		`{"n":"counter"}`:              `{"n":1,"t":"a\nb\nmore\nc","tags":["y"]}`,
		`{"t":"counter"}`:              `{"n":1,"t":"a\nb\nmore\nc","tags":["y"]}`,
		`{"t":"set","tags":"text"}`:    `{"n":1,"t":"a\nb\nmore\nc","tags":["y"]}`,
		`"latest"`:                     `{"n":1,"t":"a\nb\nc\nmore","tags":["x","y"]}`, // as a whole: nothing is known of what was there
	} {
		s := tell(t, `{"t":"text","tags":"set"}`, 2, `{"n":1,"t":"a\nb\nc","tags":["x"]}`)
		s.put(0, `{"n":1,"t":"a\nnew\nb\nc","tags":["x","y"]}`)
		s.put(0, `{"n":1,"t":"a\nb\nc","tags":["y"]}`)
		s.put(0, `{"n":1,"t":"a\nb\nmore\nc","tags":["y"]}`)
		s.raise(rulesOf(t, between))
		s.push(0)
		s.raise(rulesOf(t, `{"t":"text","tags":"set"}`))
		s.push(0)
		s.push(0)
		s.ends(want, 1)
	}
}
