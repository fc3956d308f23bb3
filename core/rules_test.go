package core

import (
	"errors"
	"fmt"
	"testing"

	"vsync/core/change"
	"vsync/core/merge"
	"vsync/core/store"
)

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
		if done, err := b.step(w.ctx, false); done || err != nil {
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
