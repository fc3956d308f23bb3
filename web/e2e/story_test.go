package e2e

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"vsync/edge/e2e/judge"
	"vsync/edge/e2e/ledger"
	"vsync/edge/e2e/program"
)

// A story keeps the ledger of a test, and the mirrors of its devices.
type story struct {
	*world
	ledger *ledger.Ledger
	seen   map[*device]*mirror
}

// newStory begins before anything was written: each device has begun to watch, and so is told every batch.
func newStory(w *world) *story {
	w.t.Helper()
	s := &story{world: w, ledger: ledger.New(), seen: map[*device]*mirror{anna: newMirror("anna"), bert: newMirror("bert")}}
	for _, d := range []*device{anna, bert} {
		p := s.open(d)
		p.js(nil, `e2e.startWatch('start')`)
		if err := s.seen[d].reach(soon(w.t), func() bool { return s.seen[d].from() != "start" }); err != nil {
			w.t.Fatalf("%s: %v%s", d.name, err, p.standing())
		}
		p.close()
	}
	return s
}

// open opens a tab that tells the ledger and the device's mirror.
func (s *story) open(d *device) *tab {
	s.t.Helper()
	p := d.open(s.t, s.address(d), s.listener(d))
	p.js(nil, `await e2e.open()`)
	return p
}

func (s *story) listener(d *device) func(what, text string) {
	return func(what, text string) {
		if what == "event" {
			if err := s.seen[d].take(text); err != nil {
				s.ledger.Tell(ledger.Wrong, fmt.Sprintf("%s: %v", d.name, err))
			}
			return
		}
		s.ledger.Tell(what, text)
	}
}

// noteIDs is how many notes a storm writes: see page/storm.js.
const noteIDs = 25

// mostWrites is how many writes a life makes at most.
const mostWrites = 3000

// storm lets a tab write, watch and look. What a page tells just before its end may be lost, so all that it may come to
// write is noted as tried.
func (s *story) storm(d *device, p *tab) {
	s.t.Helper()
	life := s.seen[d].nextLife()
	for n := 1; n <= mostWrites; n++ {
		s.ledger.Tell(ledger.Tried, fmt.Sprintf("%s.%d.%d", d.name, life, n))
	}
	p.drain()
	p.js(nil, `e2e.startStorm(...args)`, d.name, life, mostWrites, life, s.seen[d].from())
}

// more waits for so many reports more.
func (s *story) more(n int) {
	s.t.Helper()
	s.ledger.More(soon(s.t), n, program.Patience)
	s.fine()
}

// fine fails the test if something is wrong.
func (s *story) fine() {
	s.t.Helper()
	for _, text := range s.ledger.Wrong() {
		s.t.Error(text)
	}
	if s.t.Failed() {
		s.t.FailNow()
	}
}

// judge ends the story: all tabs, which write no more, come to hold the same, and the hub holds each write that was
// confirmed once, and nothing that nobody wrote. Each device has been told each of them once.
func (s *story) judge(a, b *tab) {
	s.t.Helper()
	for d, p := range map[*device]*tab{anna: a, bert: b} {
		p.js(nil, `e2e.stopStorm()`)
		p.drain()
		p.js(nil, `e2e.startWatch(...args)`, s.seen[d].from())
	}
	meet(s.t, a, b)
	alike(s.t, a, b)
	s.compareWithProgram(a)
	s.hub.Stop(s.t)
	replica := judge.OpenHub(s.t, s.hub, database)
	judge.Checked(s.t, "the hub", replica)
	feed := judge.FeedTokens(s.t, replica)
	delete(feed, "") // the fences
	for _, finding := range s.ledger.Misplaced(feed) {
		s.t.Error(finding)
	}
	for d, p := range map[*device]*tab{anna: a, bert: b} {
		if err := s.seen[d].reach(soon(s.t), func() bool { return len(s.seen[d].unwatched(feed)) == 0 }); err != nil {
			for _, finding := range s.seen[d].unwatched(feed) {
				s.t.Errorf("%s: %s", d.name, finding)
			}
		}
		var objects map[string]string
		p.js(&objects, `return e2e.tokens()`)
		for _, finding := range s.seen[d].differs(objects) {
			s.t.Errorf("%s: %s", d.name, finding)
		}
	}
	s.fine()
	s.t.Logf("%d batches are in the feed; writes: %v", len(feed), s.ledger.Sum())
}

// A version is one of an object's history.
type version struct {
	Version string   `json:"version"`
	Parents []string `json:"parents"`
	Time    int64    `json:"time"`
	Deleted bool     `json:"deleted"`
	Note    string   `json:"note"`
}

// compareWithProgram wants a browser to know of the notes what a new device of the command line knows of them, which has
// taken them up from the hub: the same versions with the same parents, written by the same batches.
func (s *story) compareWithProgram(p *tab) {
	s.t.Helper()
	dir := s.t.TempDir()
	run := func(args ...string) []string {
		process := program.Start(s.t, program.Command(append(args, "--data", dir, "--db", database, "--json")...))
		lines := process.Drain()
		if process.Err != nil {
			s.t.Fatalf("vsync %s: %v: %s", args, process.Err, process.Complaints())
		}
		return lines
	}
	run("sync", "--feed", "ws://"+s.hub.Addr())
	var ids []string
	for n := range noteIDs {
		ids = append(ids, fmt.Sprintf("note %02d", n))
	}
	var histories map[string][]version
	p.js(&histories, `return await e2e.histories(args[0])`, ids)
	versions := 0
	for _, id := range ids {
		known := map[string]version{}
		for _, line := range run("history", "notes", id, "--offline") {
			var v version
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				s.t.Fatalf("vsync history prints %q: %v", line, err)
			}
			slices.Sort(v.Parents)
			known[v.Version] = v
		}
		versions += len(known)
		for _, v := range histories[id] {
			if !reflect.DeepEqual(v, known[v.Version]) {
				s.t.Errorf("%s: %s has %+v of %s, and a new device %+v", id, p.name, v, v.Version, known[v.Version])
			}
		}
		if len(histories[id]) != len(known) {
			s.t.Errorf("%s: %s has %d versions, and a new device %d", id, p.name, len(histories[id]), len(known))
		}
	}
	s.t.Logf("a new device of the command line has the same %d versions of %d notes", versions, len(ids))
}
