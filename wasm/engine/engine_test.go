package engine

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vsync/core/change"
	"vsync/core/wire"
	"vsync/edge/clock"
	"vsync/wasm/port"
)

func TestWriteAndRead(t *testing.T) {
	e, _ := newEngine(t, nil)
	a := e.tab(t)
	device := a.hello("notes")
	if got := a.put("a", 1); got != device+":1" {
		t.Errorf("version %s of device %s", got, device)
	}
	a.put("b", 2)
	if got := a.answer(a.say(port.Get, "docs", "a"))[0]; got != string(value(1)) {
		t.Errorf("get: %v", got)
	}
	if got := a.answer(a.say(port.Get, "docs", "none"))[0]; got != nil {
		t.Errorf("get of none: %v", got)
	}
	many := a.answer(a.say(port.GetMany, "docs", []string{"b", "none", "a"}))[0].([]any)
	if len(many) != 3 || many[1] != nil || many[0] != string(value(2)) {
		t.Errorf("getMany: %v", many)
	}
	entry := a.answer(a.say(port.Read, "docs", "b"))
	if got := fmt.Sprint(entry[0], ids(entry[1]), entry[2]); got != fmt.Sprintf("[%s] [b] [%s:2]", device, device) {
		t.Errorf("entry: %s", got)
	}
	if n := a.answer(a.say(port.Count, query("", "", "", false, 0)))[0]; number(n) != 2 {
		t.Errorf("count: %v", n)
	}
}

// Requests that nobody waits for are written in order, whatever runs beside them.
func TestWritesKeepTheirOrder(t *testing.T) {
	e, _ := newEngine(t, nil)
	a := e.tab(t)
	device := a.hello("notes")
	var last uint64
	for i := range 300 {
		last = a.write(op("a", i))
	}
	if got := a.answer(last)[0]; got != device+":300" {
		t.Errorf("the last of 300 writes is %v", got)
	}
}

// A tab that lost its engine asks the next one for what was not answered; what the first had stored is not written again.
func TestWritesAreAskedForAgain(t *testing.T) {
	e, places := newEngine(t, nil)
	a := e.tab(t)
	a.hello("notes")
	as := func(b *tab, counter, v int) uint64 {
		return b.say(port.Write, []string{"docs"}, []any{op("a", v)}, []any{}, "", []byte("tab-0001"), counter)
	}
	var versions []string
	for counter := range 5 {
		n := as(a, counter+1, counter)
		versions = append(versions, a.answer(n)[0].(string))
	}
	a.put("b", 1)
	again := func(b *tab) {
		t.Helper()
		for counter, want := range versions {
			if got := b.answer(as(b, counter+1, counter))[0]; got != want {
				t.Errorf("write %d was %s, and %s when asked again", counter+1, want, got)
			}
		}
	}
	again(a)
	a.answer(a.say(port.Close))
	b := New(Config{Storage: places, Clock: e.cfg.Clock, Rand: e.cfg.Rand}).tab(t)
	b.hello("notes")
	again(b)
	if got := b.answer(as(b, 7, 70))[0]; got == versions[4] {
		t.Error("a new write was taken for one of before")
	}
	b.refused(as(b, 6, 60), "ABORTED")
	if rows := b.answer(b.say(port.Read, "docs", "a"))[1].([]any); !reflect.DeepEqual(ids(rows), []string{"a"}) || rows[0].([]any)[1] != string(value(70)) {
		t.Errorf("%v", rows)
	}
	b.sayAs(99, port.Write, []string{"docs"}, []any{op("a", 1)}, []any{}, "", []byte("short"), 8)
	b.refused(0, "PROTOCOL")
}

// A page that an engine has told of a storage is let in by the next engine only where that has the same one, under whatever id.
func TestAnotherStorage(t *testing.T) {
	e, places := newEngine(t, nil)
	a := e.tab(t)
	device := a.hello("notes")
	a.put("a", 1)
	last := a.put("a", 2)
	a.answer(a.say(port.Close))
	next := New(Config{Storage: places, Clock: e.cfg.Clock, Rand: e.cfg.Rand})
	had := func(had string) (*tab, uint64) {
		b := next.tab(t)
		return b, b.say(port.Hello, port.Protocol, helloOf("notes", "had", had))
	}
	for _, same := range []string{device, last} {
		b, n := had(same)
		b.answer(n)
		b.answer(b.say(port.Close))
	}
	for _, other := range []string{device + ":3", strings.Repeat("0d", 16), strings.Repeat("0d", 16) + ":1"} {
		b, n := had(other)
		if text := b.refused(n, "STORAGE_LOST"); !strings.Contains(text, "open it again") {
			t.Errorf("message: %s", text)
		}
	}
	b, n := had(last)
	b.answer(n)
	if err := next.current().replica.Reenter(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, n := had(last)
	if again := c.answer(n)[0]; again == device {
		t.Error("it did not take another id")
	}
	d, n := had(strings.Repeat("0d", 16))
	d.refused(n, "STORAGE_LOST")
	if c.put("a", 3); b.put("a", 4) == "" {
		t.Error("others were closed too")
	}
	f, _ := had("nonsense")
	f.refused(0, "PROTOCOL")
}

// An engine refuses a page of an older build, and makes room for one of a newer build: its own pages are told.
func TestAnotherBuild(t *testing.T) {
	e, places := newEngine(t, nil)
	a := e.tab(t)
	a.hello("notes")
	older := e.tab(t)
	if text := older.refused(older.say(port.Hello, port.Protocol-1, helloOf("notes")), "VERSION"); !strings.Contains(text, "reload") {
		t.Errorf("message: %s", text)
	}
	newer := e.tab(t)
	newer.refused(newer.say(port.Hello, port.Protocol+1, helloOf("notes")), "VERSION") // it cannot end
	a.put("a", 1)
	ended := make(chan struct{})
	e.cfg.End = func() { close(ended) }
	newer = e.tab(t)
	newer.say(port.Hello, port.Protocol+1, helloOf("notes"))
	<-ended
	fields := a.hear("the end", func(kind int, _ uint64, fields []any) bool {
		return kind == port.Status && fields[0].(map[string]any)["phase"] == "closed"
	})
	if s := fields[0].(map[string]any); s["code"] != "VERSION" || !strings.Contains(s["message"].(string), "reload") {
		t.Errorf("%v", s)
	}
	b := New(Config{Storage: places, Clock: e.cfg.Clock, Rand: e.cfg.Rand}).tab(t)
	b.hello("notes")
	if got := b.answer(b.say(port.Get, "docs", "a"))[0]; got != string(value(1)) {
		t.Errorf("what was written before is %v", got)
	}
	if len(newer.frames) > 0 {
		t.Errorf("the newer page was told %v", newer.frames)
	}
}

func TestChecksAndSeen(t *testing.T) {
	e, _ := newEngine(t, nil)
	a := e.tab(t)
	a.hello("notes")
	v1 := a.put("a", 1)
	check := func(frontier ...string) []any { return []any{0, "a", frontier} }
	n := a.say(port.Write, []string{"docs"}, []any{op("b", 1)}, []any{check(v1)}, "")
	a.answer(n)
	a.put("a", 2)
	a.refused(a.say(port.Write, []string{"docs"}, []any{op("b", 2)}, []any{check(v1)}, ""), "CHANGED")
	// A write that saw the first version only stands beside the second.
	a.answer(a.write([]any{0, "a", value(3), []string{v1}}))
	rows := a.answer(a.say(port.Read, "docs", "a"))
	if row := rows[1].([]any)[0].([]any); row[5] != true || len(rows[2].([]any)) != 2 {
		t.Errorf("no conflict: %v", rows)
	}
	if text := a.refused(a.write([]any{0, "a", value(3), []string{"nonsense"}}), "INVALID"); !strings.Contains(text, "nonsense") {
		t.Errorf("message: %s", text)
	}
}

func TestScanIsHeldBackByThePage(t *testing.T) {
	e, _ := newEngine(t, nil)
	a := e.tab(t)
	a.hello("notes")
	big := make([]byte, 60_000)
	big[0], big[1], big[2] = 0xc5, byte((len(big)-3)>>8), byte((len(big)-3)&0xff)
	const objects = 60
	for i := range objects {
		a.answer(a.write([]any{0, fmt.Sprintf("%03d", i), big, nil}))
	}
	n := a.say(port.Scan, query("", "", "", false, 0))
	a.put("zzz", 1) // behind the scan's moment, and answered though the scan waits
	var got []string
	for len(got) < objects {
		got = append(got, ids(a.items(n)[1])...)
	}
	a.answer(n)
	if len(got) != objects || !slices.IsSorted(got) {
		t.Errorf("%d ids: %v", len(got), got)
	}
	// A scan that nobody reads ends when it is cancelled.
	n = a.say(port.Scan, query("", "", "", true, 0))
	a.sayAs(n, port.Cancel)
	a.refused(n, "ABORTED")
}

func TestLive(t *testing.T) {
	e, _ := newEngine(t, nil)
	a, b := e.tab(t), e.tab(t)
	a.hello("notes")
	b.hello("notes")
	a.put("a", 1)
	a.put("c", 1)
	n := b.say(port.Live, query("", "a", "m", false, 0))
	if f := b.items(n); number(f[0]) != port.Whole || !slices.Equal(ids(f[3]), []string{"a", "c"}) {
		t.Fatalf("first: %v", f)
	}
	a.put("z", 1) // out of the range
	a.answer(a.write(op("b", 1), []any{0, "c", nil, nil}))
	if f := b.items(n); number(f[0]) != port.Delta || !slices.Equal(ids(f[3]), []string{"b"}) || !slices.Equal(texts(f[4]), []string{"c"}) {
		t.Fatalf("one batch: %v", f)
	}
	// A large batch comes in parts, of which the last one ends it.
	text, err := change.Encode(strings.Repeat("x", port.MaxItems*2/3))
	if err != nil {
		t.Fatal(err)
	}
	large := func(id string) []any { return []any{0, id, text, nil} }
	a.answer(a.write([]any{0, "b", nil, nil}, large("d"), large("e"), large("f")))
	if f := b.items(n); number(f[0]) != port.Part || !slices.Equal(ids(f[3]), []string{"d", "e"}) || !slices.Equal(texts(f[4]), []string{"b"}) {
		t.Fatalf("a part: %v", ids(f[3]))
	}
	if f := b.items(n); number(f[0]) != port.Delta || !slices.Equal(ids(f[3]), []string{"f"}) || len(texts(f[4])) > 0 {
		t.Fatalf("the rest: %v", ids(f[3]))
	}
	b.sayAs(n, port.Cancel)
	b.refused(n, "ABORTED")
}

func TestLiveWithALimit(t *testing.T) {
	for _, reverse := range []bool{false, true} {
		e, _ := newEngine(t, nil)
		a := e.tab(t)
		a.hello("notes")
		for _, id := range []string{"b", "c", "d", "e"} {
			a.put(id, 1)
		}
		n := a.say(port.Live, query("", "", "", reverse, 2))
		expect := func(want ...string) {
			t.Helper()
			if f := a.items(n); number(f[0]) != port.Whole || !slices.Equal(ids(f[3]), want) {
				t.Fatalf("reverse %v: %v, want %v", reverse, f, want)
			}
		}
		remove := func(id string) { a.answer(a.write([]any{0, id, nil, nil})) }
		if !reverse {
			expect("b", "c")
			remove("e") // beyond the end: nothing to tell
			a.put("a", 1)
			expect("a", "b")
			remove("a")
			expect("b", "c")
			remove("b")
			expect("c", "d")
		} else {
			expect("e", "d")
			remove("b")
			a.put("f", 1)
			expect("f", "e")
			remove("f")
			expect("e", "d")
			remove("e")
			expect("d", "c")
		}
	}
}

// A watcher that begins now is told first where that is: from there another engine goes on, though nothing had happened.
func TestWatchFromNowSaysWhereThatIs(t *testing.T) {
	e, _ := newEngine(t, nil)
	a := e.tab(t)
	a.hello("notes")
	a.put("before", 1)
	place := a.items(a.say(port.Watch, "", "", "now"))
	marker, changes := place[0].(string), place[6].([]any)
	if len(changes) != 0 || number(place[1]) != 0 {
		t.Fatalf("a watcher from now was told %v first", place)
	}
	a.put("after", 2)
	event := a.items(a.say(port.Watch, "", "", marker))
	if changes := event[6].([]any); len(changes) != 1 || changes[0].([]any)[1] != "after" {
		t.Fatalf("behind %q comes %v", marker, event)
	}
}

func TestWatchGoesOnAfterItsMarker(t *testing.T) {
	e, _ := newEngine(t, nil)
	a := e.tab(t)
	device := a.hello("notes")
	a.put("a", 1)
	n := a.say(port.Watch, "docs", "", "start")
	f := a.items(n)
	if number(f[1]) != port.FlagInitial || len(f[6].([]any)) != 1 {
		t.Fatalf("initial: %v", f)
	}
	marker := f[0]
	a.put("b", 2)
	if f = a.items(n); number(f[1]) != port.FlagLocal || f[2] != device {
		t.Fatalf("event: %v", f)
	}
	n = a.say(port.Watch, "", "", marker)
	if g := a.items(n); g[0] != f[0] {
		t.Errorf("after the marker: %v, want %v", g, f)
	}
	a.refused(a.say(port.Watch, "", "", "nonsense"), "UNKNOWN_MARKER")
}

func TestHistory(t *testing.T) {
	e, _ := newEngine(t, nil)
	a := e.tab(t)
	a.hello("notes")
	v1, v2 := a.put("a", 1), a.put("a", 2)
	a.answer(a.say(port.Write, []string{"docs"}, []any{[]any{0, "a", nil, nil}}, []any{}, "a note"))
	n := a.say(port.History, "docs", "a", 0)
	f := a.items(n)[0].([]any)
	a.answer(n)
	last := f[0].([]any)
	if len(f) != 3 || last[3] != true || last[4] != nil || last[5] != "a note" || !slices.Equal(texts(last[1]), []string{v2}) || f[2].([]any)[0] != v1 {
		t.Errorf("history: %v", f)
	}
	n = a.say(port.History, "docs", "a", 1)
	if f := a.items(n)[0].([]any); len(f) != 1 {
		t.Errorf("limit 1: %v", f)
	}
}

func TestTokensComeFromPages(t *testing.T) {
	tokens := make(chan string, 10)
	dial := func(ctx context.Context, url string) (wire.Conn, error) {
		tokens <- url
		return nil, fmt.Errorf("no network")
	}
	e, _ := newEngine(t, dial)
	a := e.tab(t)
	a.hello("notes", "feed", "ws://hub.test/", "token", true)
	asked := uint64(0)
	a.hear("a question", func(kind int, n uint64, _ []any) bool { asked = n; return kind == port.Ask })
	a.sayAs(asked, port.Token, "secret", "")
	if url := <-tokens; url != "ws://hub.test/v1/notes" {
		t.Errorf("dialed %s", url)
	}
	a.hear("waiting", func(kind int, _ uint64, fields []any) bool {
		return kind == port.Status && fields[0].(map[string]any)["phase"] == "waiting"
	})
}

// A page is told what sync waits for; one that goes on after a sleep has a dial that hangs begun anew.
func TestStatusSaysWhatItWaitsFor(t *testing.T) {
	dials := make(chan context.Context, 2)
	e, _ := newEngine(t, func(ctx context.Context, _ string) (wire.Conn, error) {
		dials <- ctx
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	late := &lateClock{}
	e.cfg.Clock = late
	a := e.tab(t)
	a.hello("notes", "feed", "ws://hub.test")
	waits := func(what string) (since uint64) {
		t.Helper()
		a.hear("waiting for "+what, func(kind int, _ uint64, fields []any) bool {
			if kind != port.Status {
				return false
			}
			s := fields[0].(map[string]any)
			waiting := s["waiting"].([]any)
			since = number(waiting[1])
			return waiting[0] == what && waiting[2] == false
		})
		return since
	}
	if since := waits("connection"); since == 0 {
		t.Error("it does not say since when")
	}
	first := <-dials
	late.by.Store(int64(wire.ProbeGiveUp))
	a.sayAs(0, port.Wake)
	<-first.Done()
	<-dials // the next one may follow too soon for the page to be told of a wait
	a.answer(a.say(port.Pause))
	waits("resume")
}

// The engine that follows a paused one is told so by whoever opens the database there. A page that comes back to one that others have
// open may not know that they have resumed.
func TestWhoOpensADatabaseSaysThatItWasPaused(t *testing.T) {
	e, _ := newEngine(t, narrow(t))
	a, b := e.tab(t), e.tab(t)
	a.hello("notes", "feed", "ws://hub.test", "paused", true)
	a.hear("that it is paused", func(kind int, _ uint64, fields []any) bool {
		return kind == port.Status && fields[0].(map[string]any)["paused"] == true
	})
	a.answer(a.say(port.Resume))
	b.hello("notes", "feed", "ws://hub.test", "paused", true)
	b.answer(b.say(port.Synced, b.put("a", 1)))
}

// lateClock can be set forward.
type lateClock struct {
	clock.System
	by atomic.Int64
}

func (c *lateClock) Now() time.Time { return time.Now().Add(time.Duration(c.by.Load())) }

func TestWhatCannotBeReadEndsThePort(t *testing.T) {
	for name, packet := range map[string][]byte{
		"no frame":       {0x01},
		"an empty array": {0x90},
		"too short":      {0x93, 0x06, 0x01},
		"before hello":   {0x94, 0x03, 0x01, 0xa1, 'a', 0xa1, 'b'},
		"huge array":     {0xdd, 0xff, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := newEngine(t, nil)
			a := e.tab(t)
			a.p.Receive(packet)
			a.refused(0, "PROTOCOL")
		})
	}
	e, _ := newEngine(t, nil)
	a := e.tab(t)
	if text := a.refused(a.say(port.Hello, 99, map[string]any{}), "VERSION"); !strings.Contains(text, "reload") {
		t.Errorf("message: %s", text)
	}
}

// FuzzPacket: whatever a page says, the engine answers or ends the port, and serves the next page.
func FuzzPacket(f *testing.F) {
	for _, seed := range [][]byte{{0x93, 0x03, 0x02, 0xa0}, {0x94, 0x03, 0x02, 0xa4, 'd', 'o', 'c', 's', 0xa1, 'a'}, {0xdc, 0, 0}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		e, _ := newEngine(t, nil)
		a := e.tab(t)
		a.hello("notes")
		a.p.Receive(packet)
		b := e.tab(t)
		b.hello("notes")
		b.put("a", 1)
		b.answer(b.say(port.Close))
	})
}
