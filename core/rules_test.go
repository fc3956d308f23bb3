package core

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"vsync/core/change"
	"vsync/core/merge"
	"vsync/core/store"
)

var townRules = change.Map{{Key: "version", Value: 1}, {Key: "conflict", Value: change.Map{
	{Key: "n", Value: "counter"}, {Key: "tags", Value: "set"}, {Key: "text", Value: "text"}, {Key: "top", Value: "max"}}}}

func withVersion(m change.Map, version int) change.Map {
	m = slices.Clone(m)
	m[0].Value = version
	return m
}

// ruled is a world whose collection "c" has field rules, which all devices know.
func ruled(t testing.TB, devices int) (*world, []*node) {
	w := newWorld(t)
	var ns []*node
	for range devices {
		ns = append(ns, w.device())
	}
	ns[0].setRules(townRules)
	w.sync(ns...)
	return w, ns
}

func (n *node) setRules(v any) {
	n.w.t.Helper()
	_, written, err := n.SetRules(n.w.ctx, "c", value(v))
	if err != nil || !written {
		n.w.t.Fatalf("rules: written %v, %v", written, err)
	}
}

func obj(fields ...any) (m change.Map) {
	for i := 0; i < len(fields); i += 2 {
		m = append(m, change.Field{Key: fields[i].(string), Value: fields[i+1]})
	}
	return m
}

// field is a field of what is shown.
func (n *node) field(id, name string) any {
	n.w.t.Helper()
	e, ok, err := n.Get(n.w.ctx, key(id))
	if err != nil || !ok {
		return nil
	}
	v, err := change.DecodeValue(e.Value)
	if err != nil {
		n.w.t.Fatal(err)
	}
	m, _ := v.(change.Map)
	for _, f := range m {
		if f.Key == name {
			return f.Value
		}
	}
	return nil
}

func (n *node) wantField(id, name string, want any) {
	n.w.t.Helper()
	if got := n.field(id, name); fmt.Sprint(got) != fmt.Sprint(want) {
		n.w.t.Fatalf("%s.%s is %v, want %v", id, name, got, want)
	}
}

func (n *node) number(id string) int64 {
	var got int64
	fmt.Sscan(fmt.Sprint(n.field(id, "n")), &got)
	return got
}

// plus adds to what is shown.
func (n *node) plus(id string, by int64) change.Version {
	n.w.t.Helper()
	return n.put(id, obj("n", n.number(id)+by))
}

// objectRows are the rows of objects, bit for bit.
func (n *node) objectRows() (out []string) {
	n.w.t.Helper()
	snap := n.tables.Snapshot()
	defer snap.Release()
	for kv, err := range snap.Scan(n.w.ctx, tableObjects, "", "", false) {
		if err != nil {
			n.w.t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%q %x", kv.Key, kv.Value))
	}
	return out
}

// same fails where a device that has nothing unsent has other rows than the hub.
func (w *world) same(ns ...*node) {
	w.t.Helper()
	for i, n := range ns {
		if got, want := n.objectRows(), w.hub.objectRows(); !slices.Equal(got, want) {
			w.t.Fatalf("device %d has\n%s\nand the hub\n%s", i, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if got, want := n.Rules("c"), w.hub.Rules("c"); string(got.Encode()) != string(want.Encode()) {
			w.t.Fatalf("device %d has rules %+v in force, and the hub %+v", i, got, want)
		}
	}
}

func (w *world) checkAll(ns ...*node) {
	w.t.Helper()
	w.hub.check()
	for _, n := range ns {
		n.check()
	}
}

func TestBothIncrement(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	a.put("x", obj("n", 1))
	w.sync(a, b)
	a.plus("x", 10)
	b.plus("x", 100)
	a.plus("x", 1000)
	a.wantField("x", "n", 1011)
	b.wantField("x", "n", 101)
	b.push()
	a.pull()
	a.wantField("x", "n", 1111) // b's is in the feed, its own upon it
	w.checkAll(a, b)
	w.sync(a, b)
	w.hub.wantField("x", "n", 1111)
	// Both see it, and both go on.
	a.plus("x", 1)
	b.plus("x", 2)
	w.sync(a, b)
	a.wantField("x", "n", 1114)
	a.plus("x", 1)
	w.sync(a, b)
	if e, _, _ := a.Get(w.ctx, key("x")); e.Conflict || len(e.Frontier) != 1 {
		t.Errorf("a write that saw all leaves a fork: %+v", e)
	}
	w.checkAll(a, b)
}

func TestCrissCross(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	a.put("x", obj("n", 0, "tags", []any{"p", "q"}))
	w.sync(a, b)
	a.put("x", obj("n", 1, "tags", []any{"q", "r"}))
	b.put("x", obj("n", 2, "tags", []any{"p", "s"}))
	w.sync(a, b)
	a.wantField("x", "n", 3)
	a.wantField("x", "tags", []any{"r", "s"})
	if e, _, _ := a.Get(w.ctx, key("x")); !e.Conflict || len(e.Frontier) != 2 {
		t.Errorf("two sides wrote different things: %+v", e)
	}
	a.put("x", obj("n", 13, "tags", []any{"r", "s", "t"}))
	b.put("x", obj("n", 103, "tags", []any{"s", "u"}))
	w.sync(a, b)
	a.wantField("x", "n", 113)
	a.wantField("x", "tags", []any{"s", "t", "u"})
	w.checkAll(a, b)
}

func TestDeleteUpdateDelete(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	a.put("x", obj("n", 5))
	w.sync(a, b)
	a.del("x")
	b.plus("x", 2)
	a.push()
	b.pull()
	b.wantField("x", "n", 7)
	w.sync(a, b)
	a.wantField("x", "n", 7) // an update beats a concurrent deletion
	a.del("x")
	w.sync(a, b)
	b.want("x", "-")
	w.checkAll(a, b)
	b.plus("x", 3) // another life
	b.wantField("x", "n", 3)
	w.sync(a, b)
	a.wantField("x", "n", 3)
	w.checkAll(a, b)
}

// A deleted object keeps what was there: those who have not seen the deletion go on with it.
func TestDeletedKeepsItsState(t *testing.T) {
	w, ns := ruled(t, 3)
	a, b, c := ns[0], ns[1], ns[2]
	a.put("x", obj("tags", []any{"p", "q"}))
	w.sync(ns...)
	a.del("x")
	b.put("x", obj("tags", []any{"p", "q", "r"}))
	c.put("x", obj("tags", []any{"q"}))
	a.push()
	a.pull()
	a.want("x", "-")
	w.sync(ns...)
	c.wantField("x", "tags", []any{"q", "r"})
	w.checkAll(ns...)
}

// One who names an older version as seen changed what he changed of that.
func TestSeenOlder(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	old := a.put("x", obj("n", 1))
	w.sync(a, b)
	b.plus("x", 10)
	w.sync(a, b)
	if _, err := a.Write(w.ctx, Write{Ops: []Op{{Key: key("x"), Value: value(obj("n", 6)), Seen: []change.Version{old}}}}); err != nil {
		t.Fatal(err)
	}
	a.wantField("x", "n", 16)
	w.sync(a, b)
	b.wantField("x", "n", 16)
	seen := b.plus("x", 100) // somebody else's
	w.sync(a, b)
	b.plus("x", 1000)
	w.sync(a, b)
	if _, err := a.Write(w.ctx, Write{Ops: []Op{{Key: key("x"), Value: value(obj("n", 117)), Seen: []change.Version{seen}}}}); err != nil {
		t.Fatal(err)
	}
	a.wantField("x", "n", 1117)
	w.sync(a, b)
	b.wantField("x", "n", 1117)
	w.checkAll(a, b)
}

// The device's page is written before the objects', the engine dies in between, and replay goes over a change of rules with it.
func TestRulesAtReplayWithNewerPages(t *testing.T) {
	for confirmed := range 3 {
		w, ns := ruled(t, 2)
		a, b := ns[0], ns[1]
		a.put("x", obj("n", 1))
		w.sync(a, b)
		if err := b.Checkpoint(w.ctx); err != nil {
			t.Fatal(err)
		}
		b.plus("x", 10)
		b.plus("x", 100)
		a.plus("x", 1000)
		a.push()
		a.setRules(obj("version", 2, "conflict", obj("n", "max")))
		a.push()
		b.pull()
		gens, batches, err := b.Unsent(w.ctx, b.hello(), 1<<20)
		if err != nil || len(gens) != 2 {
			t.Fatal(gens, err)
		}
		for _, batch := range batches[:confirmed] {
			if _, err := w.hub.Accept(w.ctx, []Incoming{{Device: b.State().Device, Bytes: batch}}); err != nil {
				t.Fatal(err)
			}
		}
		b.pull()
		b.cfg.StepBytes = 1
		b.mu.Lock()
		b.begin()
		b.mu.Unlock()
		if done, err := b.step(w.ctx); done || err != nil {
			t.Fatal(done, err)
		}
		shown := b.dump()
		b.crash()
		if got := b.dump(); got != shown {
			t.Fatalf("%d: before the crash\n%s\nafter\n%s", confirmed, shown, got)
		}
		w.sync(a, b)
		w.same(a, b)
		w.checkAll(a, b)
	}
}

// A service writes at the hub what it changed, as a device would.
func TestServiceUnderRules(t *testing.T) {
	w, ns := ruled(t, 1)
	a := ns[0]
	a.put("x", obj("n", 1))
	w.sync(a)
	a.plus("x", 10)
	if _, err := w.hub.WriteAs(w.ctx, "s", Write{Ops: []Op{{Key: key("x"), Value: value(obj("n", 101))}}}); err != nil {
		t.Fatal(err)
	}
	a.pull()
	a.wantField("x", "n", 111)
	w.sync(a)
	w.hub.wantField("x", "n", 111)
	w.checkAll(a)
}

func TestThreeLeaves(t *testing.T) {
	w, ns := ruled(t, 3)
	ns[0].put("x", obj("n", 0, "text", "1\n2\n3"))
	w.sync(ns...)
	for i, n := range ns {
		lines := []string{"1", "2", "3"}
		lines[i] = fmt.Sprint("line ", i)
		n.put("x", obj("n", 1<<i, "text", lines[0]+"\n"+lines[1]+"\n"+lines[2]))
	}
	w.sync(ns...)
	ns[0].wantField("x", "n", 7)
	ns[0].wantField("x", "text", "line 0\nline 1\nline 2")
	w.checkAll(ns...)
}

func TestRefusedIncrement(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	a.put("x", obj("n", 1))
	w.sync(a, b)
	v := a.plus("x", 10)
	a.plus("x", 1)
	a.refuse(v.Gen)
	a.pull()
	a.wantField("x", "n", 2)
	w.sync(a, b)
	w.hub.wantField("x", "n", 2)
	w.checkAll(a, b)
	if ps, err := a.Problems(w.ctx); err != nil || len(ps) != 1 {
		t.Fatal(ps, err)
	}
	b.plus("x", 100)
	w.sync(a, b)
	if _, err := a.Retry(w.ctx, v); err != nil { // adds, and does not set what it had
		t.Fatal(err)
	}
	a.wantField("x", "n", 112)
	w.sync(a, b)
	b.wantField("x", "n", 112)
	a.put("x", obj("n", 2))
	w.sync(a, b)
	// Refused while what follows is unsent.
	v = a.plus("x", 10)
	gens, batches, err := a.Unsent(w.ctx, a.hello(), 1<<20)
	if err != nil || len(gens) != 1 {
		t.Fatal(gens, err)
	}
	batches[0] = append(slices.Clone(batches[0][:len(batches[0])-1]), ^batches[0][len(batches[0])-1])
	if _, err := w.hub.Accept(w.ctx, []Incoming{{Device: v.Device, Bytes: batches[0]}}); err != nil {
		t.Fatal(err)
	}
	a.plus("x", 1)
	a.wantField("x", "n", 13)
	a.pull()
	a.wantField("x", "n", 3)
	a.check()
	w.sync(a, b)
	b.wantField("x", "n", 3)
	w.checkAll(a, b)
}

// What was written over a text whose beginning is refused counts as a whole. Its bytes have the names that they had before.
func TestRefusedBeginningOfAText(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	v := a.put("x", obj("text", "one\ntwo"))
	a.put("x", obj("text", "one\nbetween\ntwo\nthree"))
	a.put("x", obj("text", "one\ntwo\nthree"))
	a.refuse(v.Gen)
	w.sync(a, b)
	b.wantField("x", "text", "one\ntwo\nthree")
	a.put("x", obj("text", "one\ntwo\nthree\nfour"))
	b.put("x", obj("text", "zero\none\ntwo"))
	w.sync(a, b)
	b.wantField("x", "text", "zero\none\ntwo\nfour")
	w.checkAll(a, b)
}

// One who saw what was refused changed what he changed of that.
func TestSeenRefused(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	a.put("x", obj("n", 1))
	w.sync(a, b)
	seen := a.plus("x", 10)
	b.plus("x", 100)
	b.push()
	a.refuse(seen.Gen)
	a.pull()
	if _, err := a.Write(w.ctx, Write{Ops: []Op{{Key: key("x"), Value: value(obj("n", 12)), Seen: []change.Version{seen}}}}); err != nil {
		t.Fatal(err)
	}
	a.wantField("x", "n", 102)
	w.sync(a, b)
	b.wantField("x", "n", 102)
	w.checkAll(a, b)
}

func TestRulesRaisedWhileOffline(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	a.put("x", obj("n", 1))
	w.sync(a, b)
	b.put("x", obj("n", 5)) // under no rules: it counts as a whole
	a.setRules(townRules)
	a.push()
	a.pull()
	a.plus("x", 10)
	a.push()
	b.plus("x", 1)
	b.pull()
	b.check()
	b.wantField("x", "n", 6)
	w.sync(a, b)
	a.wantField("x", "n", 6)
	w.checkAll(a, b)

	// From here on both know them. b writes under the old ones while others come.
	b.plus("x", 1)
	a.setRules(obj("version", 2, "conflict", obj("n", "max")))
	a.push()
	a.pull()
	a.plus("x", 100)
	a.push()
	b.plus("x", 1)
	b.pull()
	shown := b.get("x")
	b.check()
	w.sync(a, b)
	if got := b.get("x"); got != shown && got != shown+"!" && got+"!" != shown {
		t.Errorf("%s was shown before the hub had it, and is %s now", shown, got)
	}
	w.checkAll(a, b)
	if v := b.Rules("c").Version; v != 2 {
		t.Errorf("version %d of the rules is in force", v)
	}
	if _, written, err := b.SetRules(w.ctx, "c", value(townRules)); written || err != nil {
		t.Errorf("lower rules: %v, %v", written, err)
	}
}

// Rules that come alone: what is shown of own unsent mutations is what the feed will give.
func TestOtherRulesAreShown(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	a.put("x", obj("n", 1))
	w.sync(a, b)
	b.put("x", obj("n", 5))
	a.put("x", obj("n", 3))
	a.push()
	b.pull()
	b.wantField("x", "n", 3) // written later
	a.setRules(townRules)
	a.push()
	from := ""
	for e, err := range b.Watch(w.ctx, WatchOptions{From: FromNow, Once: true}) {
		t.Fatal(e, err)
	}
	for e := range b.Watch(w.ctx, WatchOptions{Once: true}) {
		from = e.Marker
	}
	b.pull()
	b.check()
	b.wantField("x", "n", 5) // comes later in the feed
	resets := 0
	for e := range b.Watch(w.ctx, WatchOptions{From: from, Once: true}) {
		if e.Reset {
			resets++
		}
	}
	if resets != 1 {
		t.Errorf("%d events say that all begins again, where other objects are shown otherwise", resets)
	}
	b.crash()
	b.wantField("x", "n", 5)
	w.sync(a, b)
	a.wantField("x", "n", 5)

	b.plus("x", 1)
	a.plus("x", 10)
	a.push()
	b.pull()
	b.wantField("x", "n", 16)
	a.setRules(obj("version", 2, "conflict", obj("n", "max")))
	a.push()
	b.pull()
	b.check()
	b.wantField("x", "n", 6) // a counter's change is no maximum's: it counts for what was written
	w.sync(a, b)
	a.wantField("x", "n", 6)
	a.plus("x", 1)
	b.plus("x", 2)
	a.setRules(obj("version", 3, "conflict", "latest"))
	a.push()
	b.pull()
	b.check()
	w.sync(a, b)
	w.checkAll(a, b)
}

// A device goes back in the feed to before the rules: what it shows of objects that nothing else touched is as it was.
func TestBackBeforeTheRules(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.device(), w.device(), w.device()
	a.put("x", obj("n", 1))
	w.sync(a, b, c)
	b.put("x", obj("n", 5))
	a.put("x", obj("n", 3))
	a.push()
	b.pull()
	c.pull()
	copied := w.hub.st.Clone()
	a.setRules(townRules)
	a.push()
	b.pull()
	b.wantField("x", "n", 5)
	w.hub.Kill()
	w.hub.st = copied
	w.hub.open()
	c.put("y", 1)
	c.push()
	begin := b.State().Marker
	handed, _, back := b.meet() // with a check behind the way back
	if handed == 0 || !back || b.State().Marker.Seq >= begin.Seq {
		t.Fatalf("handed %d back, went back: %v", handed, back)
	}
	b.wantField("x", "n", 3)
	b.crash()
	b.pull()
	b.wantField("x", "n", 5)
	b.check()
	w.sync(a, b, c)
	w.checkAll(a, b, c)
}

func TestUnknownFunction(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	a.setRules(obj("version", 1, "conflict", obj("n", "counter@9")))
	w.sync(a, b)
	a.put("x", obj("n", 1))
	w.sync(a, b)
	a.plus("x", 1)
	b.plus("x", 5)
	w.sync(a, b)
	a.wantField("x", "n", 6) // the latest
	ps, err := a.Problems(w.ctx)
	if err != nil || len(ps) != 1 || ps[0].Code != string(VersionUnknown) {
		t.Fatalf("%+v %v", ps, err)
	}
	w.checkAll(a, b)
}

func TestRulesRefused(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	if _, _, err := a.SetRules(w.ctx, "c", value(obj("version", 0))); codeOf(err) != Invalid || !errors.Is(err, merge.ErrRules) {
		t.Errorf("version 0: %v", err)
	}
	if _, _, err := a.SetRules(w.ctx, change.RulesCollection, value(townRules)); codeOf(err) != Invalid {
		t.Errorf("rules of rules: %v", err)
	}
	d := change.DeviceID{9}
	var hash change.Hash
	for i, m := range []change.Mutation{
		{Key: change.Key{Collection: change.RulesCollection, ID: "c"}, Value: value("nothing")},
		{Key: change.Key{Collection: change.RulesCollection, ID: "c"}, Kind: change.Delete},
		{Key: key("x"), Value: value(1), Changes: value("odd")},
	} {
		var b []byte
		hash, b = raw(t, d, change.Generation(i+1), hash, m)
		vs, err := w.hub.Accept(w.ctx, []Incoming{{Device: d, Bytes: b}})
		if err != nil || vs[0].Kind != Voided || vs[0].Code != string(Invalid) {
			t.Errorf("%d: %+v %v", i, vs, err)
		}
	}
	w.hub.check()
}

func TestRulesAfterReentry(t *testing.T) {
	w, ns := ruled(t, 2)
	a, b := ns[0], ns[1]
	a.put("x", obj("n", 1, "tags", []any{"p"}))
	w.sync(a, b)
	twin := w.start(&node{w: w, st: a.st.Clone(), feed: true})
	a.plus("x", 10)
	a.push()
	twin.put("x", obj("n", 101, "tags", []any{"p", "q"}))
	twin.put("x", obj("n", 101, "tags", []any{"p"})) // takes away what its own version added, whose name changes
	twin.put("z", obj("n", 1))
	twin.hello() // the re-entry, before anything else is made anew
	twin.check()
	twin.wantField("z", "n", 1)
	w.sync(a, b, twin)
	twin.wantField("x", "n", 111)
	a.wantField("x", "tags", a.field("x", "tags"))
	if tags := fmt.Sprint(a.field("x", "tags")); tags == "[q]" || tags == "[p q]" {
		t.Errorf("%s: what was taken away is there", tags)
	}
	w.checkAll(a, b, twin)
}

func TestRulesAndLossAtTheHub(t *testing.T) {
	for _, rulesLost := range []bool{false, true} {
		w := newWorld(t)
		a, b := w.device(), w.device()
		a.put("x", obj("n", 1))
		w.sync(a, b)
		copied := w.hub.st.Clone()
		a.setRules(townRules)
		w.sync(a, b)
		if !rulesLost {
			copied = w.hub.st.Clone()
		}
		a.plus("x", 10)
		w.sync(a, b)
		b.plus("x", 100)
		w.hub.Kill()
		w.hub.st = copied
		w.hub.open()
		b.pull()
		b.check()
		w.sync(a, b)
		a.wantField("x", "n", 111)
		w.checkAll(a, b)
		a.plus("x", 1000)
		a.crash()
		a.wantField("x", "n", 1111)
		w.sync(a, b)
		w.checkAll(a, b)
	}
}

func TestRulesThroughCrashes(t *testing.T) {
	w := newWorld(t)
	a := w.start(&node{w: w, st: store.NewMemory(), feed: true, cp: 2000})
	b := w.device()
	w.hub.cp = 2000
	w.hub.crash()
	a.put("x", obj("n", 1))
	w.sync(a, b)
	for i := range 30 {
		if i%7 == 0 {
			b.setRules(withVersion(townRules, 1+i))
		}
		a.plus("x", 1)
		b.plus("x", 1)
		if i%3 == 0 {
			a.plus("y", 1)
			b.push()
		}
		a.pull()
		a.check()
		shown := a.dump()
		a.crash()
		if got := a.dump(); got != shown {
			t.Fatalf("%d: before the crash\n%s\nafter\n%s", i, shown, got)
		}
		if i%5 == 0 {
			w.sync(a, b)
			w.hub.crash()
		}
	}
	w.sync(a, b)
	w.checkAll(a, b)
}
