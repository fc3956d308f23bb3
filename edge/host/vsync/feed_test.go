package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vsync/core"
	"vsync/core/store"
	"vsync/edge"
	"vsync/edge/host"
	"vsync/edge/ws"
)

func TestTwoDevices(t *testing.T) {
	s := newShell(t)
	hub := s.serve("--data", "hub")
	s.ok("put", "--data", "a", "--feed", hub.Feed, "todo", "1", `"milk"`, "--note", "first")
	equal(t, s.ok("get", "--data", "b", "--feed", hub.Feed, "todo", "1"), "\"milk\"\n")

	w := s.start("watch", "--data", "b", "todo", "--json")
	var e jsonEvent
	read := func() jsonEvent {
		t.Helper()
		e = jsonEvent{}
		if err := json.Unmarshal([]byte(w.next()), &e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	if read(); !e.Initial || len(e.Changes) != 1 || string(e.Changes[0].Value) != `"milk"` {
		t.Errorf("first event: %+v", e)
	}
	s.ok("put", "--data", "a", "todo", "2", `"eggs"`, "--note", "second")
	if read(); e.Initial || e.Local || e.Note != "second" || len(e.Changes) != 1 || e.Changes[0].ID != "2" {
		t.Errorf("second event: %+v", e)
	}
	marker := e.Marker
	s.ok("delete", "--data", "a", "todo", "1")
	if read(); !e.Changes[0].Deleted {
		t.Errorf("third event: %+v", e)
	}
	if r := w.end(os.Interrupt); r.code != 0 {
		t.Errorf("watch: %+v", r)
	}

	// Written while b was away; b's next watch goes on where the marker stands.
	s.in = "1\n2\n3\n"
	if out := s.ok("import", "--data", "a", "bulk", "-", "--json"); !strings.Contains(out, `"synced":true`) {
		t.Errorf("import: %s", out)
	}
	s.ok("put", "--data", "a", "todo", "3", `"tea"`)
	w = s.start("watch", "--data", "b", "todo", "--json", "--from", marker)
	if read(); !e.Changes[0].Deleted {
		t.Errorf("first event behind the marker: %+v", e)
	}
	if read(); e.Changes[0].ID != "3" {
		t.Errorf("second event behind the marker: %+v", e)
	}
	w.end(os.Interrupt)

	all := s.ok("export", "--data", "a")
	equal(t, s.ok("export", "--data", "b"), all)
	equal(t, s.ok("export", "--data", "c", "--feed", hub.Feed), all)
	if out := s.ok("status", "--data", "c"); !strings.Contains(out, "phase      live") || !strings.Contains(out, "sequence   5") {
		t.Errorf("status: %s", out)
	}
	equal(t, s.ok("sync", "--data", "c"), "in sync at sequence 5\n")
	for _, data := range []string{"a", "b", "c"} {
		s.ok("check", "--data", data)
	}
	if r := hub.end(syscall.SIGTERM); r.code != 0 || r.err != "" {
		t.Errorf("serve: %+v", r)
	}
}

// An export that is restored on two devices, and on one of them again, beside the device that it is of: nothing is lost, doubled, or a
// conflict, since equal values are none; the two are devices of their own.
func TestExportRestoredTwice(t *testing.T) {
	s := newShell(t)
	hub := s.serve("--data", "hub")
	s.in = "10\n20\n30\n"
	s.ok("import", "--data", "a", "--feed", hub.Feed, "rows", "-")
	s.ok("delete", "--data", "a", "rows", "00000002")
	all := s.ok("export", "--data", "a", "rows")
	for _, data := range []string{"b", "c", "b"} {
		s.in = all
		s.ok("import", "--data", data, "rows", "-", "--exported", "--offline")
	}
	for _, data := range []string{"b", "c", "b", "a"} {
		s.ok("sync", "--data", data, "--feed", hub.Feed)
	}
	for _, data := range []string{"a", "b", "c"} {
		equal(t, s.ok("export", "--data", data, "rows"), all)
		if out := s.ok("scan", "--data", data, "rows", "--json"); strings.Contains(out, "conflict") {
			t.Errorf("%s: %s", data, out)
		}
		s.ok("check", "--data", data)
	}
	hub.end(syscall.SIGTERM)
}

func TestHubAway(t *testing.T) {
	s := newShell(t)
	hub := s.serve("--data", "hub")
	s.ok("put", "--data", "a", "--feed", hub.Feed, "c", "1", "1")
	hub.end(syscall.SIGTERM)

	r := s.fails(exitUnsynced, "TIMEOUT", "put", "--data", "a", "c", "2", "2", "--timeout", "500ms")
	if !strings.HasSuffix(r.out, ":2\n") || !strings.Contains(r.err, "one write is stored here") {
		t.Errorf("put without the hub: %+v", r)
	}
	s.ok("put", "--data", "a", "c", "3", "3", "--no-wait")
	s.ok("put", "--data", "a", "c", "4", "4", "--offline")
	s.fails(exitUnsynced, "TIMEOUT", "sync", "--data", "a", "--timeout", "300ms")
	if r := s.run("scan", "--data", "a", "c"); r.code != 0 || r.out != "1\t1\n2\t2\n3\t3\n4\t4\n" || strings.Count(r.err, "\n") != 1 {
		t.Errorf("scan without the hub: %+v", r)
	}
	if r := s.run("scan", "--data", "a", "c", "--offline"); r.code != 0 || r.err != "" {
		t.Errorf("scan --offline: %+v", r)
	}
	if out := s.ok("status", "--data", "a"); !strings.Contains(out, "phase      waiting: UNREACHABLE") || !strings.Contains(out, "pending    3") {
		t.Errorf("status: %s", out)
	}

	hub = s.serve("--data", "hub", "--port", fmt.Sprint(hub.Port))
	equal(t, s.ok("sync", "--data", "a"), "in sync at sequence 4\n")
	equal(t, s.ok("get", "--data", "b", "--feed", hub.Feed, "c", "4"), "4\n")
}

// A hub that ends says bye; the watcher stays, and gets what comes when there is a hub again.
func TestHubEndsUnderAWatcher(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		s := newShell(t)
		hub := s.serve("--data", "hub")
		s.ok("put", "--data", "a", "--feed", hub.Feed, "c", "1", "1")
		w := s.start("watch", "--data", "b", "--feed", hub.Feed)
		if line := w.next(); line != "put    c 1 1" { // behind the first event, which is empty
			t.Errorf("watch printed %q", line)
		}
		if r := hub.end(signal); r.code != 0 || r.err != "" {
			t.Errorf("serve: %+v", r)
		}
		s.serve("--data", "hub", "--port", fmt.Sprint(hub.Port))
		s.ok("put", "--data", "a", "c", "2", "2")
		if line := w.next(); line != "put    c 2 2" {
			t.Errorf("watch printed %q", line)
		}
		if r := w.end(signal); r.code != 0 || !strings.Contains(r.err, "trying again") { // that it is live again it may not have said yet
			t.Errorf("watch: %+v", r)
		}
	}
}

func TestServeRefuses(t *testing.T) {
	s := newShell(t)
	for _, address := range []string{"0.0.0.0", "::", "", "192.168.0.1", "example.com", "localhost.example.com"} {
		r := s.fails(exitUsage, "FORBIDDEN", "serve", "--host", address, "--port", "0")
		if !strings.Contains(r.err, "this machine alone") {
			t.Errorf("--host %s: %s", address, r.err)
		}
	}
	s.fails(exitUsage, "INVALID", "serve", "--port", "0", "--origin", "app.example")
	s.fails(exitUsage, "USAGE", "serve", "--port", "0", "argument")

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s.fails(exitLocked, "PORT_IN_USE", "serve", "--port", fmt.Sprint(host.Port(taken)))

	s.serve("--data", "hub")
	r := s.fails(exitLocked, "LOCKED", "serve", "--data", "hub", "--port", "0")
	if !strings.Contains(r.err, "served by another hub") {
		t.Errorf("second hub: %s", r.err)
	}
	if info, err := os.Stat(filepath.Join(s.dir, "hub", "hub.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
}

// upgrade asks for a socket as a browser on a page of that origin does.
func upgrade(t *testing.T, page, path, hostName, origin string) int {
	t.Helper()
	req, err := http.NewRequest("GET", page+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
		"Sec-WebSocket-Protocol": "vsync.1", "Origin": origin,
	} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if hostName != "" {
		req.Host = hostName
	}
	response, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

func TestOrigins(t *testing.T) {
	s := newShell(t)
	hub := s.serve("--data", "hub", "--origin", "https://app.example,https://*.team.example", "--origin", "http://localhost:3000")
	page := strings.TrimSuffix(hub.Page, "/")
	here := fmt.Sprintf("http://localhost:%d", hub.Port)
	for origin, want := range map[string]int{
		"": 101, here: 101, "https://app.example": 101, "https://a.team.example": 101, "http://localhost:3000": 101,
		"https://evil.example": 403, "http://app.example": 403, "https://app.example:444": 403, "https://app.example.evil": 403,
		"http://localhost": 403, "http://localhost:3001": 403, "null": 403, "https://team.example": 403, "://": 403,
	} {
		if got := upgrade(t, page, "/v1/notes", "", origin); got != want {
			t.Errorf("origin %q: %d, want %d", origin, got, want)
		}
	}
	// A website that gave its own name this machine's address.
	if got := upgrade(t, page, "/v1/notes", "evil.example", "http://evil.example"); got != 403 {
		t.Errorf("another host's name: %d", got)
	}
	if got := upgrade(t, page, "/v1/notes", "app.example", "https://app.example"); got != 101 {
		t.Errorf("an allowed host's name: %d", got)
	}
}

// A hub whose data is another's is refused, and so is what a hub finds too large; all of it stays here.
func TestRefused(t *testing.T) {
	s := newShell(t)
	hub := s.serve("--data", "hub")
	s.ok("put", "--data", "a", "--feed", hub.Feed, "c", "1", "1")
	other := s.serve("--data", "other")
	s.fails(exitRefused, "OTHER_HUB", "sync", "--data", "a", "--feed", other.Feed)
	s.fails(exitRefused, "OTHER_HUB", "get", "--data", "a", "c", "1")
	equal(t, s.ok("get", "--data", "a", "c", "1", "--offline"), "1\n")
	s.ok("sync", "--data", "a", "--feed", hub.Feed)
}

func TestVoided(t *testing.T) {
	s := newShell(t)
	feed := narrowHub(t, "main")
	s.ok("put", "--data", "a", "--feed", feed, "c", "1", `"small"`)
	large := `"` + strings.Repeat("x", 4000) + `"`
	r := s.fails(exitRefused, "INVALID", "put", "--data", "a", "c", "1", large)
	version := strings.TrimSpace(r.out)
	equal(t, s.ok("get", "--data", "a", "c", "1"), "\"small\"\n")
	s.ok("put", "--data", "a", "c", "2", `"goes on"`)

	var p jsonProblem
	if err := json.Unmarshal([]byte(s.ok("problems", "--data", "a", "--json")), &p); err != nil {
		t.Fatal(err)
	}
	if p.Version != version || len(p.Ops) != 1 || string(p.Ops[0].Value) != large {
		t.Errorf("the problem is %+v", p)
	}
	s.ok("put", "--data", "a", "c", "3", large, "--no-wait")
	s.fails(exitRefused, "REFUSED", "sync", "--data", "a")
	s.in = "1\n" + large + "\n2\n"
	s.fails(exitRefused, "INVALID", "import", "--data", "a", "rows", "-", "--batch", "1")
	again := strings.TrimSpace(s.ok("retry", "--data", "a", version))
	s.fails(exitNotFound, "NOT_FOUND", "retry", "--data", "a", version)
	s.fails(exitRefused, "REFUSED", "sync", "--data", "a") // as large as before
	equal(t, s.ok("get", "--data", "a", "c", "1"), "\"small\"\n")
	if list := s.ok("problems", "--data", "a"); strings.Contains(list, version) || !strings.Contains(list, again) {
		t.Errorf("%s was written anew as %s, and listed are %s", version, again, list)
	}
	version = again
	s.ok("dismiss", "--data", "a", version)
	s.fails(exitNotFound, "NOT_FOUND", "dismiss", "--data", "a", version)
	s.ok("dismiss", "--data", "a", "all")
	equal(t, s.ok("problems", "--data", "a"), "none\n")
	s.ok("sync", "--data", "a")
}

// narrowHub is a hub that takes small batches only.
func narrowHub(t *testing.T, database string) (feed string) {
	t.Helper()
	replica, err := core.Open(context.Background(), store.NewMemory(), core.Config{
		Role: core.RoleHub, Database: database, Now: host.Now, Rand: host.Random, HubKey: make([]byte, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	hub := edge.NewHub(replica, edge.Config{Database: database, MaxBatch: 1000})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		socket, err := ws.Accept(w, r, ws.AcceptOptions{})
		if err != nil {
			return
		}
		c := hub.Connect(host.Now(), edge.Peer{})
		defer c.Close()
		go func() {
			for {
				frame, err := c.Next(context.Background())
				if err != nil || socket.Write(context.Background(), frame) != nil {
					socket.Close(1000, "")
					return
				}
			}
		}()
		for {
			frame, err := socket.Read(context.Background())
			if err != nil || c.Receive(context.Background(), host.Now(), frame) != nil {
				return
			}
		}
	}))
	t.Cleanup(func() {
		hub.Close()
		server.Close()
		replica.Close()
	})
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

// Many devices write the same objects at the same time, and all end alike.
func TestDevicesAtOnce(t *testing.T) {
	s := newShell(t)
	hub := s.serve("--data", "hub")
	const devices = 4
	done := make(chan result, devices)
	for d := range devices {
		go func() {
			var r result
			for i := range 5 {
				if r = s.run("put", "--data", fmt.Sprint("d", d), "--feed", hub.Feed, "c", fmt.Sprint(i), fmt.Sprint(d)); r.code != 0 {
					break
				}
			}
			done <- r
		}()
	}
	for range devices {
		if r := <-done; r.code != 0 {
			t.Errorf("put: %+v", r)
		}
	}
	all := s.ok("export", "--data", "d0", "--json")
	for d := range devices {
		data := fmt.Sprint("d", d)
		equal(t, s.ok("export", "--data", data, "--json"), all)
		s.ok("check", "--data", data)
	}
	from := time.Now()
	hub.end(syscall.SIGTERM)
	if took := time.Since(from); took > 3*time.Second {
		t.Errorf("a hub without connections took %v to end", took)
	}
}
