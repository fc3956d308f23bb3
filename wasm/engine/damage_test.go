package engine

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/store"
	"vsync/wasm/port"
)

// A database whose log is damaged comes up all the same: what was before is there, what was written behind the hole is among the
// problems, with its values, and is written anew or dismissed.
func TestADamagedDatabaseComesUp(t *testing.T) {
	st := store.NewMemory()
	replica, err := core.Open(t.Context(), st, core.Config{Database: "notes", Rand: rand.Reader, Now: func() uint64 { return uint64(time.Now().UnixMilli()) }})
	if err != nil {
		t.Fatal(err)
	}
	var versions []string
	for i := range 4 {
		v, err := change.Encode(fmt.Sprint(i, strings.Repeat(" long", 1000)))
		if err != nil {
			t.Fatal(err)
		}
		rec, err := replica.Put(t.Context(), change.Key{Collection: "docs", ID: fmt.Sprint(i)}, v)
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, rec.Version.String())
	}
	replica.Kill()
	rows, err := st.Scan(t.Context(), store.Range{From: []byte{'L'}, To: []byte{'M'}})
	if err != nil || len(rows) != 4 {
		t.Fatal(len(rows), err)
	}
	if _, err := store.Damage(t.Context(), st, rows[1].Key, store.Fault{Do: store.FlipBit, Bit: 8000}); err != nil {
		t.Fatal(err)
	}

	e, places := newEngine(t, nil)
	places.open = map[string]*place{"notes": {Store: st}}
	a := e.tab(t)
	a.hello("notes")
	list := a.listed(2)
	for i, p := range list {
		p := p.([]any)
		if text := p[4].([]any)[0].([]any)[2].(string); p[0] != versions[i+2] || p[1] != "CORRUPT" || !strings.Contains(text, fmt.Sprint(i+2, " long")) {
			t.Errorf("%.300v", p)
		}
	}
	if got := a.answer(a.say(port.Get, "docs", "0"))[0]; got == nil {
		t.Error("what was written before the hole is not there")
	}
	// A check is content with what is there now, and names what was set aside.
	for _, repair := range []bool{false, true} {
		report := a.answer(a.say(port.Check, repair))
		if ok, aside := report[0], report[4].([]any); ok != true || len(aside) == 0 || !strings.Contains(fmt.Sprint(aside), "segment") {
			t.Errorf("repair %v: %v", repair, report)
		}
	}
	a.put("5", 5)
	a.answer(a.say(port.Retry, versions[2]))
	if got := a.answer(a.say(port.Get, "docs", "2"))[0]; got == nil {
		t.Error("what was written anew is not there")
	}
	a.answer(a.say(port.Dismiss, versions[3]))
	a.answer(a.say(port.Close))
	b := New(Config{Storage: places, Clock: e.cfg.Clock, Rand: rand.Reader}).tab(t)
	b.hello("notes")
	b.listed(0)
}
