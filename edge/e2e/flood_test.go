package e2e

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"

	"vsync/core/change"
	"vsync/core/wire"
	"vsync/edge/token"
)

// Who has the hub do more than he may is told when to come back, by the socket and by HTTP, whatever he does it with; others do not notice.
func TestAttackFlood(t *testing.T) {
	t.Parallel() // the hub of each is its own
	f := fortified(t)
	mallory := f.sign(token.Claims{Subject: "mallory", Databases: []string{"db"}})
	page := (&client{t: t, base: f.base, token: f.all}).ask("GET", "/v1/db/changes", "")
	served := func(what string) {
		t.Helper()
		if status, code := f.call("GET", "/v1/db/object?collection=c&id=x", f.all, ""); status != 200 {
			t.Errorf("%s: others get %d %s", what, status, code)
		}
		if _, m := f.greets("db", f.writer, 1); m.Type() != wire.TypeWelcome {
			t.Errorf("%s: others get %+v", what, m)
		}
	}

	// More requests at a time than a subject may have.
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var group sync.WaitGroup
	said := make(chan *http.Response, 130)
	poll := "/v1/db/changes?wait=30&since=" + url.QueryEscape(page.Marker)
	for range cap(said) {
		c := client{t: t, base: f.base, token: mallory}
		req := c.request("GET", poll, "").WithContext(ctx)
		group.Go(func() {
			if resp, err := http.DefaultTransport.RoundTrip(req); err == nil {
				said <- resp
				resp.Body.Close()
			}
		})
	}
	for n := 0; ; n++ {
		resp := <-said
		if resp.StatusCode == http.StatusOK && n < 100 {
			continue // a machine that has much to do answers some polls before it has all
		}
		if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); resp.StatusCode != http.StatusTooManyRequests || err != nil || after < 1 {
			t.Errorf("requests: %s, %v", resp.Status, resp.Header)
		}
		break
	}
	served("requests")
	stop()
	group.Wait()

	// More work than a subject may have done: frames that are small and cost a lot.
	p := f.dial("db")
	p.say(&wire.Hello{Protocol: 1, Database: "db", Device: change.DeviceID{50}, LowestHeld: 1, Credit: 1 << 20, Agent: "test", Token: mallory,
		Marker: change.Marker{Epoch: 1, Seq: 9, Hash: change.Hash{9}}, Trail: []change.Place{{}}})
	if w, is := p.hears().(*wire.Welcome); !is || w.Mode != wire.ModeReplay {
		t.Fatalf("expected replay, got %+v", w)
	}
	f.before = f.state() // with the epoch that a marker of another feed asks for
	entries := make([][]byte, wire.MaxItems)
	for i := range entries {
		entries[i] = []byte{1}
	}
	var ended *wire.Error
	for n := 0; ended == nil; n++ {
		if n > 2000 {
			t.Fatal("there is no end to it")
		}
		p.say(&wire.Handback{Seq: 1, Entries: entries})
		ended, _ = p.hears().(*wire.Error)
	}
	if ended.Code != wire.CodeRateLimited || ended.Retry == 0 {
		t.Errorf("%+v", ended)
	}
	served("work")
}
