package objects

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"vsync/core/change"
	"vsync/core/dag"
)

// A version is a letter, its device, and its generation: "a3".
func ver(text string) change.Version {
	var gen uint64
	if _, err := fmt.Sscanf(text[1:], "%d", &gen); err != nil {
		panic("no version: " + text)
	}
	return change.Version{Device: change.DeviceID{text[0]}, Gen: change.Generation(gen)}
}

func vers(texts string) []change.Version {
	all := []change.Version{}
	for _, text := range strings.Fields(texts) {
		all = append(all, ver(text))
	}
	return all
}

// leaf is a version that wrote its own name, or with "!" a deletion, stamped at.
func leaf(text string, at uint64) Leaf {
	text, deleted := strings.CutSuffix(text, "!")
	l := Leaf{Version: ver(text), Stamp: at, Accepted: at + 1, Deleted: deleted}
	if !deleted {
		l.Value = str(text)
	}
	return l
}

// write puts an own version on top.
func write(o *Object, text string, at uint64, parents string) {
	l := leaf(text, at)
	l.Accepted = 0
	o.AddPending(l, vers(parents))
}

func str(text string) []byte { return append([]byte{0xa0 | byte(len(text))}, text...) }

func leafNames(leaves []Leaf) string {
	var texts []string
	for _, l := range leaves {
		text := fmt.Sprintf("%c%d", l.Version.Device[0], l.Version.Gen)
		if l.Deleted {
			text += "!"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " ")
}

func pendingNames(o *Object) string {
	var texts []string
	for _, p := range o.Pending {
		text := fmt.Sprintf("%c%d<", p.Version.Device[0], p.Version.Gen)
		for _, h := range p.Hides {
			text += fmt.Sprintf("%c%d", h.Device[0], h.First)
			if h.Last > h.First {
				text += fmt.Sprintf("-%d", h.Last)
			}
			if !h.Until.IsZero() {
				text += fmt.Sprintf(">%c%d", h.Until.Device[0], h.Until.Gen)
			}
			text += ","
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " ")
}

// sees checks both layers, what is visible, its winner, and that the bytes hold all of it.
func sees(t *testing.T, o *Object, confirmed, pending, visible, winner string, conflict bool) {
	t.Helper()
	v := o.Visible()
	shown := ""
	if v.Winner >= 0 {
		shown = leafNames(v.Leaves[v.Winner : v.Winner+1])
	}
	got := fmt.Sprintf("%s | %s | %s | %s | %v", leafNames(o.Confirmed), pendingNames(o), leafNames(v.Leaves), shown, v.Conflict)
	want := fmt.Sprintf("%s | %s | %s | %s | %v", confirmed, pending, visible, winner, conflict)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	same(t, o)
}

// same checks that an object survives its bytes.
func same(t *testing.T, o *Object) {
	t.Helper()
	b := o.Encode()
	if len(b) != cap(b) {
		t.Errorf("%d bytes in a slice of %d", len(b), cap(b))
	}
	back, err := Decode(b)
	if err != nil {
		t.Fatalf("%v: %x", err, b)
	}
	if !equal(o, back) {
		t.Errorf("got  %+v\nwant %+v", back, o)
	}
}

func equal(o, p *Object) bool {
	return slices.EqualFunc(o.Confirmed, p.Confirmed, func(a, b Leaf) bool {
		return a.Version == b.Version && a.Stamp == b.Stamp && a.Accepted == b.Accepted && a.Same(b)
	}) && slices.EqualFunc(o.Pending, p.Pending, func(a, b Pending) bool {
		return a.Version == b.Version && a.Stamp == b.Stamp && a.Deleted == b.Deleted &&
			string(a.Value) == string(b.Value) && slices.Equal(a.Hides, b.Hides)
	}) && sameState(o.State, p.State) && sameState(o.Shown, p.Shown) && slices.Equal(o.Own, p.Own)
}

func sameState(a, b *State) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Origin == b.Origin && string(a.Value) == string(b.Value) && string(a.Marks) == string(b.Marks)
}

func graft(t *testing.T, o *Object, l Leaf, parents string, want dag.Result) {
	t.Helper()
	if got := o.Graft(l, vers(parents)); got != want {
		t.Errorf("graft of %s: %v, want %v", leafNames([]Leaf{l}), got, want)
	}
}

func TestNothing(t *testing.T) {
	o := &Object{}
	sees(t, o, "", "", "", "", false)
	v := o.Visible()
	if !o.IsEmpty() || v.Winner != -1 || v.Exists() || v.Frontier() != nil {
		t.Errorf("nothing is seen as %+v", v)
	}
}

func TestFeed(t *testing.T) {
	o := &Object{}
	graft(t, o, leaf("a1", 10), "", dag.FastForward)
	graft(t, o, leaf("a2", 20), "a1", dag.FastForward)
	graft(t, o, leaf("a2", 20), "a1", dag.Known)
	graft(t, o, leaf("b1", 15), "a1", dag.Fork)
	sees(t, o, "a2 b1", "", "a2 b1", "a2", true)
	graft(t, o, leaf("c1", 30), "a2 b1", dag.FastForward)
	graft(t, o, leaf("c2!", 40), "c1", dag.FastForward)
	sees(t, o, "c2!", "", "c2!", "c2!", false)
	if v := o.Visible(); v.Exists() || !v.Deleted || v.Value != nil {
		t.Errorf("what is deleted is seen as %+v", v)
	}
	graft(t, o, leaf("c3", 50), "c2", dag.FastForward)
	sees(t, o, "c3", "", "c3", "c3", false)
}

func TestPastBelowTheFloor(t *testing.T) {
	o := &Object{}
	graft(t, o, leaf("a5", 10), "a4", dag.Orphan)
	graft(t, o, leaf("b1", 10), "a3", dag.Fork) // what it replaces was replaced before
	sees(t, o, "a5 b1", "", "a5 b1", "b1", true)
}

func TestWinner(t *testing.T) {
	for _, c := range []struct{ winner, loser Leaf }{
		{leaf("a1", 1), leaf("b1!", 9)},  // not deleted
		{leaf("a1", 9), leaf("b1", 8)},   // stamp
		{leaf("b1", 9), leaf("a2", 9)},   // device
		{leaf("a2", 9), leaf("a1", 9)},   // generation
		{leaf("b1!", 9), leaf("a1!", 9)}, // the same among deletions
	} {
		if !c.winner.Beats(c.loser) || c.loser.Beats(c.winner) || c.winner.Beats(c.winner) {
			t.Errorf("%+v does not beat %+v", c.winner, c.loser)
		}
	}
}

func TestEqualValuesAreNoConflict(t *testing.T) {
	a, b := leaf("a1", 1), leaf("b1", 2)
	b.Value = a.Value
	o := &Object{Confirmed: []Leaf{a, b}}
	sees(t, o, "a1 b1", "", "a1 b1", "b1", false)
	o = &Object{Confirmed: []Leaf{leaf("a1!", 1), leaf("b1!", 2)}}
	sees(t, o, "a1! b1!", "", "a1! b1!", "b1!", false)
	o = &Object{Confirmed: []Leaf{leaf("a1!", 3), leaf("b1", 2)}}
	sees(t, o, "a1! b1", "", "a1! b1", "b1", true)
}

func TestPendingOnTop(t *testing.T) {
	o := &Object{}
	o.Graft(leaf("b1", 5), nil)
	write(o, "a1", 10, "b1")
	write(o, "a2", 11, "a1")
	write(o, "a2", 99, "") // once only
	write(o, "a1", 99, "")
	sees(t, o, "b1", "a2<a1,b1>a1,", "a2", "a2", false)

	graft(t, o, leaf("b2", 12), "b1", dag.FastForward) // meanwhile elsewhere
	sees(t, o, "b2", "a2<a1,b1>a1,", "b2 a2", "b2", true)

	graft(t, o, leaf("a1", 9), "b1", dag.Fork)
	sees(t, o, "b2 a1", "a2<a1,", "b2 a2", "b2", true)
	write(o, "a3", 30, "b2 a2")
	sees(t, o, "b2 a1", "a3<a1-2,b2,", "a3", "a3", false)
	graft(t, o, leaf("a2", 11), "a1", dag.Fork)
	graft(t, o, leaf("a3", 30), "b2 a2", dag.FastForward)
	sees(t, o, "a3", "", "a3", "a3", false)
}

// A chain of any length is one version and one span, whatever generations other objects took in between.
func TestChainsAreFolded(t *testing.T) {
	o := &Object{}
	o.Graft(leaf("b1", 5), nil)
	write(o, "a3", 1, "b1")
	size := len(o.Encode())
	for gen := 4; gen < 4000; gen += 1 + gen%3 {
		v := o.Visible()
		o.AddPending(Leaf{Version: change.Version{Device: ver("a1").Device, Gen: change.Generation(gen)}, Value: str("x")}, v.Frontier())
	}
	if n := len(o.Encode()); n > size+40 || len(o.Pending) != 1 || len(o.Pending[0].Hides) > 2 {
		t.Errorf("%d bytes became %d: %s", size, n, pendingNames(o))
	}
	same(t, o)
}

// A side that was written without having seen the rest stays beside it, and its place in the numbers stays free.
func TestFoldedAroundASide(t *testing.T) {
	o := &Object{}
	write(o, "a1", 1, "")
	write(o, "a2", 2, "a1")
	write(o, "a3", 3, "") // the side
	write(o, "a4", 4, "a2")
	write(o, "a5", 5, "a4")
	sees(t, o, "", "a3< a5<a1-2>a4,a4,", "a3 a5", "a5", true)
	for _, c := range []struct{ v, parents string }{{"a1", ""}, {"a2", "a1"}, {"a3", ""}, {"a4", "a2"}} {
		o.Graft(leaf(c.v, 1), vers(c.parents))
		if v := o.Visible(); len(v.Leaves) != 2 {
			t.Errorf("after %s: %s", c.v, leafNames(v.Leaves))
		}
	}
	sees(t, o, "a3 a4", "a5<a4,", "a3 a5", "a5", true)
	write(o, "a6", 6, "a3 a5")
	sees(t, o, "a3 a4", "a6<a3,a4-5,", "a6", "a6", false)
	write(o, "a7", 7, "a6")
	o.Graft(leaf("a5", 1), vers("a4"))
	o.Graft(leaf("a6", 1), vers("a3 a5"))
	sees(t, o, "a6", "a7<a6,", "a7", "a7", false)
	write(o, "a9", 8, "a7")
	sees(t, o, "a6", "a9<a6-7,", "a9", "a9", false)
}

// The own version may come back as a foreign one does, as after a restart from an older marker.
func TestOwnVersionFromTheFeed(t *testing.T) {
	o := &Object{}
	write(o, "a1", 10, "")
	write(o, "a2", 11, "a1")
	graft(t, o, leaf("a1", 9), "", dag.FastForward)
	sees(t, o, "a1", "a2<a1,", "a2", "a2", false)
	o.Pending = append(o.Pending, Pending{Version: ver("b1"), Value: str("b1")}) // in both layers, which no step leaves behind
	o.Confirmed = append(o.Confirmed, leaf("b1", 1))
	graft(t, o, leaf("b1", 1), "", dag.Known)
	sees(t, o, "a1 b1", "a2<a1,", "b1 a2", "a2", true)
}

func TestRefused(t *testing.T) {
	o := &Object{}
	o.Graft(leaf("b1", 5), nil)
	o.Graft(leaf("c1", 5), nil)
	write(o, "a1", 10, "b1 c1")
	write(o, "a2", 11, "a1")
	if !o.DropPending(ver("a1")) {
		t.Error("a folded version is not pending")
	}
	sees(t, o, "b1 c1", "a2<a1,b1,c1,", "a2", "a2", false)
	write(o, "a3", 12, "a2")
	graft(t, o, leaf("a2", 11), "b1 c1", dag.FastForward) // the hub put a1's parents in its place
	sees(t, o, "a2", "a3<a2,", "a3", "a3", false)
	if !o.DropPending(ver("a3")) || o.DropPending(ver("a3")) {
		t.Error("dropped not once")
	}
	sees(t, o, "a2", "", "a2", "a2", false)
}

func TestRenamed(t *testing.T) {
	o := &Object{}
	o.Graft(leaf("a1", 5), nil)
	o.Graft(leaf("m1", 5), nil)
	for _, c := range []struct{ v, parents string }{{"a2", "a1 m1"}, {"a3", "a2"}, {"a4", "a3"}, {"a5", "a4"}} {
		write(o, c.v, 10, c.parents)
	}
	sees(t, o, "a1 m1", "a5<a1-4,m1>a2,", "a5", "a5", false)
	o.RenamePending(ver("a1").Device, 3, ver("z1"))
	sees(t, o, "a1 m1", "z2<a1-3>z1,m1>a2,z1,", "z2", "z2", false)
	o.RenamePending(ver("a1").Device, 3, ver("z1"))
	o.Graft(leaf("a2", 1), vers("a1 m1"))
	o.Graft(leaf("a3", 1), vers("a2"))
	sees(t, o, "a3", "z2<a3>z1,z1,", "z2", "z2", false)
	write(o, "z3", 11, "z2")
	sees(t, o, "a3", "z3<a3>z1,z1-2,", "z3", "z3", false)
}

// A copy goes on under the id that this device gave up. Its versions are no part of the chain that was cut.
func TestRenamedBesideACopy(t *testing.T) {
	o := &Object{}
	o.Graft(leaf("m1", 5), nil)
	for _, c := range []struct{ v, parents string }{{"a1", "m1"}, {"a3", "a1"}, {"a4", "a3"}, {"a6", "a4"}} {
		write(o, c.v, 10, c.parents)
	}
	o.RenamePending(ver("a1").Device, 2, ver("z1"))
	sees(t, o, "m1", "z4<a1-2>z1,m1>a1,z1-2,", "z4", "z4", false)
	o.DropPending(ver("a1")) // the hub does not know what it replaced
	sees(t, o, "m1", "z4<a1-2>z1,m1>a2,z1-2,", "z4", "z4", false)
	o.Graft(leaf("a3", 20), nil)
	sees(t, o, "m1 a3", "z4<a1-2>z1,m1>a2,z1-2,", "a3 z4", "a3", true)
	o.RenamePending(ver("z1").Device, 1, ver("y1"))
	sees(t, o, "m1 a3", "y3<a1-2>z1,m1>a2,y1,z1>y1,", "a3 y3", "a3", true)
	o.Graft(leaf("z1", 10), nil) // with what it replaced the hub knows nothing to replace
	sees(t, o, "m1 a3 z1", "y3<y1,z1>y1,", "m1 a3 y3", "a3", true)
}

// What follows first on what was common need not be the first that was written again: other objects were written between.
func TestRenamedByTheirFirst(t *testing.T) {
	o := &Object{}
	for _, c := range []struct{ v, parents string }{{"a1", ""}, {"a4", "a1"}, {"a7", "a4"}} {
		write(o, c.v, 10, c.parents)
	}
	sees(t, o, "", "a7<a1-4,", "a7", "a7", false)
	o.RenamePending(ver("a1").Device, 2, ver("z2"))
	sees(t, o, "", "z5<a1-2>z2,z2,", "z5", "z5", false)
	o.RenamePending(ver("z1").Device, 1, ver("y1"))
	sees(t, o, "", "y4<a1-2>y1,y1,", "y4", "y4", false)
}

// The end of what was folded was lost with a segment of the log; what is written in its place is of other objects, and the chain ends with
// what was common.
func TestRenamedBehindWhatWasLost(t *testing.T) {
	o := &Object{}
	for _, c := range []struct{ v, parents string }{{"a1", ""}, {"a2", "a1"}, {"a3", "a2"}, {"a4", "a3"}} {
		write(o, c.v, 10, c.parents)
	}
	sees(t, o, "", "a4<a1-3,", "a4", "a4", false)
	o.RenamePending(ver("a1").Device, 2, ver("z2")) // a3 was z1, which is of another object
	sees(t, o, "", "z2<a1-2>z2,", "z2", "z2", false)
}

// A parent that is left out at a re-entry takes with it what is hidden with it, and what was hidden until it: at the hub nothing replaces
// these.
func TestUnhidden(t *testing.T) {
	o := &Object{}
	for _, c := range []struct{ v, parents string }{{"a1", ""}, {"a3", "a1"}, {"a4", "a3"}} {
		write(o, c.v, 10, c.parents)
	}
	o.RenamePending(ver("a1").Device, 2, ver("z1"))
	sees(t, o, "", "z2<a1-2>z1,z1,", "z2", "z2", false)
	o.Unhide(vers("b1"))
	sees(t, o, "", "z2<a1-2>z1,z1,", "z2", "z2", false)
	o.Unhide(vers("a1"))
	sees(t, o, "", "z2<z1,", "z2", "z2", false)
	o.Graft(leaf("a1", 1), nil)
	sees(t, o, "a1", "z2<z1,", "a1 z2", "z2", true)
}

func TestPendingIsBounded(t *testing.T) {
	o := &Object{}
	o.Graft(leaf("m1", 5), nil)
	write(o, "a1", 1, "m1")
	for gen := 2; gen < 200; gen++ {
		write(o, fmt.Sprintf("a%d", gen), uint64(gen), "")
	}
	v := o.Visible()
	if len(o.Pending) != MaxLeaves || len(v.Leaves) != MaxLeaves || v.Version != ver("a199") || slices.Contains(v.Frontier(), ver("m1")) {
		t.Errorf("%d pending, %s", len(o.Pending), leafNames(v.Leaves))
	}
	same(t, o)
}

func TestLeavesAreBounded(t *testing.T) {
	o := &Object{}
	for i := range MaxLeaves {
		l := leaf("b1", uint64(100+i))
		l.Version.Gen += change.Generation(i)
		o.Graft(l, nil)
	}
	same(t, o)
	o.Graft(leaf("a1", 1), nil)
	first := leafNames(o.Confirmed[:1])
	if len(o.Confirmed) != MaxLeaves || first != "b2" || o.Confirmed[MaxLeaves-1].Version != ver("a1") {
		t.Errorf("%d leaves from %s", len(o.Confirmed), first)
	}
	o.Confirmed[0].Stamp = 1000
	write(o, "c1", 2, "")
	v := o.Visible()
	if got := leafNames(v.Leaves[:2]); len(v.Leaves) != MaxLeaves || got != "b2 b4" {
		t.Errorf("%d visible leaves from %s", len(v.Leaves), got)
	}
	if len(o.Confirmed) != MaxLeaves || leafNames(o.Confirmed[:2]) != "b2 b3" {
		t.Error("looking changed the confirmed layer")
	}
}

func TestFrontier(t *testing.T) {
	o := &Object{Confirmed: []Leaf{leaf("c1", 1), leaf("a9", 1), leaf("a2", 1)}}
	v := o.Visible()
	if got := v.Frontier(); !slices.Equal(got, vers("a2 a9 c1")) {
		t.Errorf("got %v", got)
	}
}
