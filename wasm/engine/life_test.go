package engine

import (
	"runtime"
	"strings"
	"testing"

	"vsync/core"
	"vsync/core/store"
	"vsync/wasm/port"
)

func TestTabsShareADatabase(t *testing.T) {
	e, _ := newEngine(t, nil)
	a, b := e.tab(t), e.tab(t)
	device := a.hello("notes")
	a.put("a", 1)
	if other := b.hello("notes"); other != device {
		t.Errorf("devices %s and %s", device, other)
	}
	c := e.tab(t)
	text := c.refused(c.say(port.Hello, port.Protocol, helloOf("notes", "durability", "strict")), "INVALID")
	if !strings.Contains(text, "durability") || !strings.Contains(text, "strict") {
		t.Errorf("message: %s", text)
	}
	a.answer(a.say(port.Close))
	if got := b.answer(b.say(port.Get, "docs", "a"))[0]; got == nil {
		t.Error("the second tab lost the database with the first one's close")
	}
	b.answer(b.say(port.Close))
	if d := e.tab(t); d.hello("notes", "durability", "strict") != device {
		t.Error("another device after closing and opening")
	}
}

func TestAPageThatVanishesIsAwaited(t *testing.T) {
	e, p := newEngine(t, nil)
	a := e.tab(t)
	a.hello("notes")
	a.put("a", 1)
	db := e.current()
	vanish(e, a)
	b := e.tab(t)
	b.hello("notes")
	if e.current() != db || !p.open["notes"].used {
		t.Error("the database was closed between two pages")
	}
	b.answer(b.say(port.Close))
	if p.open["notes"].used {
		t.Error("the database is open after the last close")
	}
}

// A page that is gone holds nobody to its options.
func TestOptionsOfAPageThatVanished(t *testing.T) {
	e, _ := newEngine(t, nil)
	a := e.tab(t)
	device := a.hello("notes")
	a.put("a", 1)
	vanish(e, a)
	b := e.tab(t)
	if b.hello("notes", "durability", "strict") != device {
		t.Error("another device")
	}
	if got := b.answer(b.say(port.Get, "docs", "a"))[0]; got == nil {
		t.Error("what was written before is not there")
	}
}

// vanish lets a page go without a word, and waits until the engine has noticed.
func vanish(e *Engine, a *tab) {
	db := e.current()
	a.p.Gone()
	for held := true; held; runtime.Gosched() {
		db.mu.Lock()
		held = db.ports[a.p]
		db.mu.Unlock()
	}
}

func TestDestroy(t *testing.T) {
	e, p := newEngine(t, nil)
	a := e.tab(t)
	a.hello("notes")
	a.put("a", 1)
	b := e.tab(t)
	text := b.refused(b.say(port.Destroy, port.Protocol, "notes", false), "UNSENT")
	if !strings.Contains(text, "1 batch") || !strings.Contains(text, "force") {
		t.Errorf("message: %s", text)
	}
	a.put("a", 2) // still open
	c := e.tab(t)
	c.answer(c.say(port.Destroy, port.Protocol, "notes", true))
	if p.open["notes"] != nil {
		t.Error("the storage is still there")
	}
	f := a.hear("the end", func(kind int, _ uint64, fields []any) bool {
		return kind == port.Status && fields[0].(map[string]any)["phase"] == "closed"
	})
	if f[0].(map[string]any)["code"] != "CLOSED" {
		t.Errorf("status: %v", f)
	}
	a.refused(a.say(port.Get, "docs", "a"), "CLOSED")
	a.refused(a.write(op("a", 3)), "CLOSED")
	d := e.tab(t)
	d.hello("notes")
	if got := d.answer(d.say(port.Get, "docs", "a"))[0]; got != nil {
		t.Errorf("destroyed, and still there: %v", got)
	}
	d.answer(d.say(port.Close))
	// What is not open is destroyed as well, and not opened for it where it holds unsent changes.
	g := e.tab(t)
	g.hello("notes")
	g.put("a", 1)
	g.answer(g.say(port.Close))
	h := e.tab(t)
	h.refused(h.say(port.Destroy, port.Protocol, "notes", false), "UNSENT")
	if p.open["notes"].used {
		t.Error("left open after a refusal")
	}
}

func TestStorageTakenAway(t *testing.T) {
	e, p := newEngine(t, nil)
	a := e.tab(t)
	a.hello("notes")
	a.put("a", 1)
	n := a.say(port.Live, query("", "", "", false, 0))
	a.items(n)
	p.open["notes"].lost(store.ErrLost)
	f := a.hear("the end", func(kind int, _ uint64, fields []any) bool {
		return kind == port.Status && fields[0].(map[string]any)["phase"] == "closed"
	})
	if s := f[0].(map[string]any); s["code"] != "STORAGE_LOST" || !strings.Contains(s["message"].(string), "open it again") {
		t.Errorf("status: %v", s)
	}
	a.refused(n, "STORAGE_LOST")
	a.refused(a.say(port.Get, "docs", "a"), "STORAGE_LOST")
	b := e.tab(t)
	b.hello("notes")
	b.put("b", 1)
	// A newer program that takes it says what to do.
	p.open["notes"].lost(&core.Error{Code: core.VersionUnknown, Message: "reload the page"})
	b.hear("the end", func(kind int, _ uint64, fields []any) bool {
		s, is := fields[0].(map[string]any)
		return kind == port.Status && is && s["phase"] == "closed" && s["code"] == "VERSION" && s["message"] == "reload the page"
	})
	b.refused(b.say(port.Get, "docs", "a"), "VERSION")
}

// Who was about to tell a status when the database ended tells it to nobody: the end is the last that a page hears.
func TestTheEndIsTheLastStatus(t *testing.T) {
	e, p := newEngine(t, nil)
	a := e.tab(t)
	a.hello("notes")
	a.put("a", 1)
	db := e.current()
	last := func(what string) {
		t.Helper()
		a.mu.Lock()
		defer a.mu.Unlock()
		var s map[string]any
		for _, f := range a.frames {
			if number(f[0]) == port.Status {
				s = f[2].(map[string]any)
			}
		}
		if s["code"] != "STORAGE_LOST" {
			t.Errorf("%s: the last status is %v", what, s)
		}
	}
	db.board.mu.Lock() // a status is being read
	p.open["notes"].lost(store.ErrLost)
	for db.ended() == nil {
		runtime.Gosched()
	}
	db.board.told = status{}
	db.board.mu.Unlock()
	if err := e.enter(t.Context()); err != nil { // all of it has ended then
		t.Fatal(err)
	}
	<-e.gate
	last("of its own accord")
	db.tell()
	last("after a sync")
	db.greet(a.p)
	last("greeted")
}
