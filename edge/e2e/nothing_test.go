package e2e

import (
	"context"
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"vsync/core"
	"vsync/core/store"
	"vsync/core/watcher"
	"vsync/core/wire"
	"vsync/edge/clock"
	"vsync/edge/e2e/program"
	"vsync/edge/token"
	"vsync/edge/ws"
)

// Who may only read makes no database, by no knock. A device of his says what it waits for, and begins by itself when there is one.
func TestAttackReaderMakesNothing(t *testing.T) {
	t.Parallel() // the hub of each is its own
	f := fortified(t)
	reads := f.sign(token.Claims{Subject: "bert", Databases: []string{token.All}})
	for i := range byte(3) {
		p, m := f.greets(fmt.Sprint("nothing-", i), reads, 1+i)
		if e, is := m.(*wire.Error); is && (e.Retry < 1000 || e.Retry > 30_000) {
			t.Errorf("%+v", e)
		}
		p.refused("a database that is not there", m, wire.CodeNotFound)
	}
	replica, err := core.Open(t.Context(), store.NewMemory(), core.Config{Database: "later", Now: now, Rand: crand.Reader, Feed: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { replica.Close() })
	feed, err := watcher.NewWatcher(replica, watcher.Feed{
		URL: program.DatabaseURL(f.hub.Addr(), "later"), Database: "later", Agent: "e2e", Dial: ws.Dialer{}.Dial, Clock: clock.System{},
		Token: func(context.Context) (string, error) { return reads, nil }, Rand: rand.NewPCG(1, 1), Delays: hasty,
	})
	if err != nil {
		t.Fatal(err)
	}
	go feed.Run(context.Background())
	t.Cleanup(feed.Close)
	reach := func(ok func(watcher.Status) bool) {
		t.Helper()
		for until := time.Now().Add(program.Patience); !ok(feed.Status()); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("%+v", feed.Status())
			}
		}
	}
	reach(func(s watcher.Status) bool {
		return s.Phase == watcher.PhaseWaiting && s.Fault.Code == wire.CodeNotFound && s.Waiting.For == watcher.ForAttempt && !s.NextAttemptAt.IsZero()
	})
	for i := range byte(3) {
		if _, err := f.hub.FindFile(fmt.Sprint("nothing-", i)); err == nil {
			t.Errorf("database %d was made", i)
		}
	}
	if status, _ := f.call("GET", "/v1/later/changes", reads, ""); status != 404 {
		t.Errorf("%d", status)
	}
	writer := f.sign(token.Claims{Subject: "anna", Databases: []string{"later"}, Write: true})
	if status, code := f.call("POST", "/v1/later/batch", writer, strings.ReplaceAll(evil, "evil", "good")); status != 200 {
		t.Fatal(status, code)
	}
	reach(func(s watcher.Status) bool {
		return s.Phase == watcher.PhaseLive && s.Marker.Seq == 1 && s.Fault.IsZero()
	})
}
