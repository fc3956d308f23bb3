package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"vsync/core"
	"vsync/core/store"
	"vsync/core/wire"
	"vsync/edge"
	"vsync/wasm/port"
)

// narrow is a way to a hub that takes batches of at most 20,000 bytes.
func narrow(t *testing.T) wire.Dialer {
	t.Helper()
	now := func() uint64 { return uint64(time.Now().UnixMilli()) }
	replica, err := core.Open(t.Context(), store.NewMemory(), core.Config{
		Role: core.RoleHub, Database: "notes", Now: now, Rand: rand.Reader, HubKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	hub := edge.NewHub(replica, edge.Config{Database: "notes", MaxBatch: 20_000})
	t.Cleanup(func() {
		hub.Close()
		replica.Close()
	})
	return func(context.Context, string) (wire.Conn, error) {
		a, b := wire.Pipe(1 << 20)
		c := hub.Connect(now(), edge.Peer{})
		go func() {
			defer c.Close()
			for {
				frame, err := b.Read(t.Context())
				if err != nil || c.Receive(t.Context(), now(), frame) != nil {
					return
				}
			}
		}()
		go func() {
			defer b.Close(wire.CloseNormal, "")
			for {
				frame, err := c.Next(t.Context())
				if err != nil || b.Write(t.Context(), frame) != nil {
					return
				}
			}
		}()
		return a, nil
	}
}

// listed waits until the page is told of so many problems, and returns them.
func (b *tab) listed(n int) (list []any) {
	b.t.Helper()
	b.hear("a list of problems", func(kind int, _ uint64, fields []any) bool {
		if kind != port.Status {
			return false
		}
		told, is := fields[0].(map[string]any)["problems"].([]any)
		list = told
		return is && len(told) == n
	})
	return list
}

// A batch that the hub refused is listed with its values, its synced fails with the hub's reason, now and in the next engine, and it is
// written anew or dismissed.
func TestProblems(t *testing.T) {
	e, places := newEngine(t, narrow(t))
	a := e.tab(t)
	a.hello("notes", "feed", "ws://hub.test")
	a.listed(0)
	large := append([]byte{0xda, 0x75, 0x30}, bytes.Repeat([]byte("x"), 0x7530)...)
	bad := a.answer(a.write([]any{0, "a", large, nil}))[0].(string)
	if text := a.refused(a.say(port.Synced, bad), "INVALID"); !strings.Contains(text, "20000") && !strings.Contains(text, "at most") {
		t.Errorf("the reason is %q", text)
	}
	problem := a.listed(1)[0].([]any)
	if change := problem[4].([]any)[0].([]any); problem[0] != bad || problem[1] != "INVALID" || change[1] != "a" || change[2] != string(large) {
		t.Errorf("%.200v", problem)
	}
	if got := a.answer(a.say(port.Get, "docs", "a"))[0]; got != nil {
		t.Errorf("what was refused is there: %.20v", got)
	}

	again := a.answer(a.say(port.Retry, bad))[0].(string)
	a.refused(a.say(port.Retry, bad), "INVALID")
	a.refused(a.say(port.Dismiss, bad), "INVALID")
	if list := a.listed(1); list[0].([]any)[0] != again { // as large as before
		t.Errorf("%s was written anew as %s, and listed is %.100v", bad, again, list)
	}
	a.answer(a.say(port.Dismiss, again))
	a.listed(0)
	small := a.put("a", 1)
	a.answer(a.say(port.Synced, small))
	a.answer(a.say(port.Close))

	next := New(Config{Storage: places, Dial: e.cfg.Dial, Clock: e.cfg.Clock, Rand: rand.Reader})
	b := next.tab(t)
	b.hello("notes", "feed", "ws://hub.test")
	for _, version := range []string{bad, again} {
		b.refused(b.say(port.Synced, version), "INVALID")
	}
	b.answer(b.say(port.Synced, small))
	b.answer(b.say(port.Synced, "")) // nothing waits any more
}
