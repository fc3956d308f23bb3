//go:build workerd

package e2e

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vsync/core/watcher"
	"vsync/core/wire"
	"vsync/edge/e2e/judge"
	"vsync/edge/e2e/program"
	"vsync/edge/ws"
)

// deadly and the number of a place is a ping that has the program end there: see edge/worker/provoke_js.go.
const deadly = 0xdead00

// one is a batch of a service.
const one = `{"writes": [{"collection": "other", "id": "1", "value": 1}]}`

var places = []string{"ping", "room", "start", "open", "state", "connect", "thaw", "frame", "late", "gone", "settle", "body", "wrote", "alarm", "request"}

// A provoker has the program of an object end.
type provoker struct {
	t    *testing.T
	hub  *program.Hub
	name string // of the database
	raw  *raw
}

// arm has it end when it comes to a place next, and returns when it has heard so: by a pong, or by its end, as what others do may lead it
// there at once.
func (p *provoker) arm(place string) {
	p.t.Helper()
	p.raw = p.enter(100)
	p.say(deadly + uint64(slices.Index(places, place)))
	for place != "ping" {
		frame, err := p.raw.conn.Read(program.Soon(p.t))
		if err != nil {
			return
		}
		if m, err := wire.DecodeDown(frame); err == nil && m.Type() == wire.TypePong {
			return
		}
	}
}

// say says it, if anybody is there to hear it.
func (p *provoker) say(n uint64) {
	p.t.Helper()
	_ = p.raw.conn.Write(program.Soon(p.t), frameOf(p.t, &wire.Ping{N: n}))
}

func (p *provoker) dial() *raw {
	p.t.Helper()
	conn, err := ws.Dialer{}.Dial(program.Soon(p.t), program.DatabaseURL(p.hub.Addr(), p.name))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close(wire.CloseNormal, "") })
	return &raw{conn: conn}
}

func (p *provoker) enter(device byte) *raw {
	p.t.Helper()
	r := p.dial()
	r.write(p.t, frameOf(p.t, r.hello(p.name, device)))
	r.await(p.t, wire.TypeWelcome)
	return r
}

// knock opens a connection, or fails to.
func (p *provoker) knock() {
	if conn, err := (ws.Dialer{}).Dial(program.Soon(p.t), program.DatabaseURL(p.hub.Addr(), p.name)); err == nil {
		p.t.Cleanup(func() { conn.Close(wire.CloseNormal, "") })
	}
}

// ask makes a request in the middle of which the object ends.
func (p *provoker) ask(method, path, body string) {
	p.t.Helper()
	c := &client{t: p.t, base: "http://" + p.hub.Addr()}
	if a := c.ask(method, "/v1/"+p.name+path, body); a.Status != http.StatusServiceUnavailable || a.Code != "CLOSED" || a.Header.Get("Retry-After") == "" {
		p.t.Errorf("%s %s: %d %q", method, path, a.Status, a.Text)
	}
}

// provoke has the object come to a place.
func (p *provoker) provoke(place string) {
	switch place {
	case "room", "frame":
		p.say(1)
	case "start", "open":
		p.say(deadly)
	case "state", "connect":
		p.knock()
	case "gone":
		p.raw.conn.Close(wire.CloseNormal, "")
	case "body":
		p.ask("POST", "/batch", one)
	case "wrote":
		resp, err := http.Get("http://" + p.hub.Addr() + "/v1/" + p.name + "/export") // of which a part comes
		if err == nil {
			resp.Body.Close()
		}
	case "request":
		p.ask("GET", "/changes", "")
	}
}

// TestWorkerPanicsEverywhere: whatever function the program ends in, the object ends with it and begins anew; devices come again by
// themselves, services are told to, and nothing that was confirmed is gone.
func TestWorkerPanicsEverywhere(t *testing.T) {
	t.Parallel()
	h := program.NewVariant(t, t.TempDir(), "provoke")
	came := map[string]chan struct{}{}
	for _, place := range places {
		came[place] = make(chan struct{}, 1)
	}
	h.OnLine = func(line string) {
		if _, place, is := strings.Cut(line, ": provoked: "); is {
			select {
			case came[strings.TrimSpace(place)] <- struct{}{}:
			default:
			}
		}
	}
	h.Start()
	var all sync.WaitGroup // as no other test has to wait for these, which wait more than they work
	for _, place := range places {
		if place == "late" {
			continue // TestWorkerPanicsLate
		}
		all.Go(func() { panicAt(t, h, place, came[place]) })
	}
	all.Wait()
	h.Stop(t)
	for _, place := range places {
		if place != "late" && !t.Failed() {
			judge.Hub(t, h, "at-"+place, nil)
		}
	}
}

func panicAt(t *testing.T, h *program.Hub, place string, came <-chan struct{}) {
	p := &provoker{t: t, hub: h, name: "at-" + place}
	a, b := follower(t, h.Addr(), p.name, 1), follower(t, h.Addr(), p.name, 2)
	before := "kept"
	if place != "thaw" {
		before = strings.Repeat("kept", 50_000) // so much that a checkpoint and a stream follow
	}
	putNote(t, a, "before", before)
	p.arm(place)
	p.provoke(place)
	await := program.Soon(t).Done()
	for there := false; !there; {
		var idle <-chan time.Time
		if place == "thaw" {
			idle = time.After(13 * time.Second) // it sleeps then, unless the machine has too much to do
		}
		select {
		case <-came:
			there = true
		case <-idle:
			put(t, a, "that wakes", 1)
		case <-await:
			t.Errorf("%s: the program has not come there", place)
			return
		}
	}
	putNote(t, b, "after", "kept")
	awaitNote(t, a, "after", "kept")
	awaitNote(t, b, "before", before)
}

// TestWorkerPanicsLate: the same where somebody has shown no token in time.
func TestWorkerPanicsLate(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := fortified(t, func(o *program.Options) { o.Variant = "provoke" })
	armed := f.enters(f.writer, 1)
	armed.say(&wire.Ping{N: deadly + uint64(slices.Index(places, "late"))})
	armed.hears()
	f.dial("db")
	armed.ends(wire.CloseAbnormal)
}

// fail has storage fail from now on, or come back.
func fail(t *testing.T, h *program.Hub, reads, writes string) {
	t.Helper()
	said := url.Values{}
	for what, text := range map[string]string{"reads": reads, "writes": writes} {
		if text != "" {
			said.Set(what, text)
		}
	}
	resp, err := http.Get("http://" + h.Addr() + "/v1/" + database + "/fail?" + said.Encode())
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
}

const ioFails = "disk I/O error: SQLITE_IOERR"

// TestWorkerStorageFails: SQLite fails under an object that lives, in what is written or in everything. Nothing is confirmed then; who writes is
// told so, and when storage is back, what was written arrives without anybody's help.
func TestWorkerStorageFails(t *testing.T) {
	t.Parallel()
	for name, reads := range map[string]string{"writing": "", "all": ioFails} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := program.NewVariant(t, t.TempDir(), "faulty")
			h.Start()
			services := &client{t: t, base: "http://" + h.Addr()}
			services.learn()
			a, b := follower(t, h.Addr(), database, 1), follower(t, h.Addr(), database, 2)
			putNote(t, a, "before", "kept")
			fail(t, h, reads, ioFails)
			put(t, a, "meanwhile", 1000)
			must(t, a.reach(program.Soon(t), "the failure", func(s watcher.Status) bool { return s.Fault.Code == "INTERNAL" && s.Pending == 1 }))
			for range 3 {
				if answer := services.ask("POST", "/v1/e2e/batch", one, "Idempotency-Key", "one"); answer.Status < 500 || answer.Code == "" {
					t.Errorf("a batch that cannot be stored: %d %s", answer.Status, answer.Text)
				}
			}
			fail(t, h, "", "")
			services.ask("POST", "/v1/e2e/batch", one, "Idempotency-Key", "one").is(t, "a batch", http.StatusOK, "")
			must(t, errors.Join(a.Synced(program.Soon(t)), b.reach(program.Soon(t), "all", func(s watcher.Status) bool { return s.Marker.Seq == 3 })))
			h.Stop(t)
			judge.Hub(t, h, database, map[string]int{"": 3})
		})
	}
}

// TestWorkerOpensLater: storage fails where a database is opened. Devices and services are told so, and the same object opens it when it is
// asked once storage is back.
func TestWorkerOpensLater(t *testing.T) {
	t.Parallel()
	h := program.NewVariant(t, t.TempDir(), "faulty")
	h.Start()
	fail(t, h, ioFails, ioFails)
	services := &client{t: t, base: "http://" + h.Addr()}
	services.learn()
	services.ask("POST", "/v1/e2e/batch", one).is(t, "a batch", http.StatusInternalServerError, "INTERNAL")
	p := &provoker{t: t, hub: h, name: database}
	r := p.dial()
	if e := r.await(t, wire.TypeError).(*wire.Error); e.Code != wire.CodeInternal || e.Retry == 0 {
		t.Errorf("%+v", e)
	}
	fail(t, h, "", "")
	for until := time.Now().Add(program.Patience); services.ask("POST", "/v1/e2e/batch", one).Status != http.StatusOK; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("storage is back, and the database does not open")
		}
	}
	putNote(t, follower(t, h.Addr(), database, 1), "after", "kept")
	h.Stop(t)
	judge.Hub(t, h, database, map[string]int{"": 2})
}

// TestWorkerFull: an object may have so much, and SQLite says so where it is written. Who writes is told QUOTA, what is there is read, nobody's
// connection ends but the writer's, and when there is room, everything arrives.
func TestWorkerFull(t *testing.T) {
	t.Parallel()
	h := program.NewVariant(t, t.TempDir(), "faulty")
	begun := make(chan struct{}, 1000)
	h.OnLine = func(line string) {
		if strings.Contains(line, "opens "+database) {
			begun <- struct{}{}
		}
	}
	h.Start()
	services := &client{t: t, base: "http://" + h.Addr()}
	services.learn()
	dir, reader := t.TempDir(), follower(t, h.Addr(), database, 2)
	writer := join(t, dir, program.DatabaseURL(h.Addr(), database))
	putNote(t, writer, "before", "kept")
	fail(t, h, "", "database or disk is full: SQLITE_FULL")
	put(t, writer, "meanwhile", 1000)
	must(t, writer.reach(program.Soon(t), "the refusal", func(s watcher.Status) bool { return s.Fault.Code == "QUOTA" && s.Pending == 1 }))
	services.ask("POST", "/v1/e2e/batch", one).is(t, "a batch", http.StatusInsufficientStorage, "QUOTA")
	services.ask("GET", "/v1/e2e/object?collection=notes&id=before", "").is(t, "what is there", http.StatusOK, "")
	awaitNote(t, follower(t, h.Addr(), database, 3), "before", "kept") // who comes new
	fail(t, h, "", "")
	services.ask("POST", "/v1/e2e/batch", one).is(t, "a batch", http.StatusOK, "")
	must(t, reader.reach(program.Soon(t), "that batch", func(s watcher.Status) bool { return s.Marker.Seq == 2 }))
	must(t, writer.close())
	writer = join(t, dir, program.DatabaseURL(h.Addr(), database)) // it would come back by itself, when the hub has said
	must(t, writer.Synced(program.Soon(t)))
	if len(begun) != 1 {
		t.Errorf("the object has begun %d times", len(begun))
	}
	h.Stop(t)
	judge.Hub(t, h, database, map[string]int{"": 3})
}
