//go:build workerd

package e2e

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"nhooyr.io/websocket"

	"vsync/core/wire"
	"vsync/edge/e2e/judge"
	"vsync/edge/e2e/program"
	"vsync/edge/e2e/proxy"
	"vsync/edge/token"
	"vsync/edge/ws"
)

// TestWorkerStore runs the conformance suite of stores over the storage of an object.
func TestWorkerStore(t *testing.T) {
	t.Parallel() // they wait more than they work
	h := program.NewVariant(t, t.TempDir(), "rows")
	h.Start()
	request, err := http.NewRequestWithContext(program.Soon(t), http.MethodGet, "http://"+h.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	printed, err := io.ReadAll(answer.Body)
	if passed := strings.Count(string(printed), "--- PASS: TestStore/"); err != nil || answer.StatusCode != http.StatusOK || passed < 20 {
		t.Errorf("%s, %v, %d passed\n%s", answer.Status, err, passed, printed)
	} else {
		t.Logf("%d tests of the suite passed", passed)
	}
}

// TestWorkerSleeps: an object falls asleep with its connections open, and nobody notices: not the devices, whose connections are the
// same before and after, nor who was in the middle of a push that comes in parts, but for a resend.
func TestWorkerSleeps(t *testing.T) {
	t.Parallel() // they wait more than they work
	h := program.New(t, t.TempDir())
	woken := make(chan string, 100)
	h.OnLine = func(line string) {
		if strings.Contains(line, "goes on with") {
			woken <- line
		}
	}
	h.Start()
	p, err := proxy.Listen(h.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	a, b := follower(t, p.Addr(), database, 1), follower(t, p.Addr(), database, 2)
	putNote(t, a, "before", "the sleep")
	awaitNote(t, b, "before", "the sleep")
	raw := newRaw(t, h.Addr(), 3)
	parts := raw.parts(t, 600_000)
	raw.write(t, parts[0])

	// It sleeps 10 s after the last message; beats do not count.
	batches := 2 // the first and the last
	for try := 0; ; try++ {
		raw.write(t, []byte(wire.TextPing))
		select {
		case <-time.After(14 * time.Second):
		case line := <-woken:
			t.Fatalf("%s, and nobody has said anything", line)
		}
		putNote(t, a, fmt.Sprint("after ", try), "it slept")
		batches++
		select {
		case line := <-woken:
			t.Log(line)
			if !strings.Contains(line, "3 connections") {
				t.Errorf("expected 3 connections, got %q", line)
			}
		default:
			if try == 3 {
				t.Fatal("it does not fall asleep")
			}
			continue
		}
		awaitNote(t, b, fmt.Sprint("after ", try), "it slept")
		break
	}
	raw.write(t, parts[1])
	if resend, is := raw.await(t, wire.TypeResend).(*wire.Resend); !is || resend.Gen != 1 {
		t.Errorf("a part without its beginning: %+v", resend)
	}
	for _, part := range parts {
		raw.write(t, part)
	}
	raw.await(t, wire.TypeAccepted)
	if n := p.Stats().Connections; n != 2 {
		t.Errorf("the devices made %d connections, expected one each", n)
	}
	h.Stop(t)
	judge.Hub(t, h, database, map[string]int{"": batches})
}

// TestWorkerPanics: the program in an object fails, and the object begins anew; devices come again, and nothing that was confirmed is gone.
func TestWorkerPanics(t *testing.T) {
	t.Parallel() // they wait more than they work
	h := program.NewVariant(t, t.TempDir(), "provoke")
	h.Start()
	p, err := proxy.Listen(h.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	a, b := follower(t, p.Addr(), database, 1), follower(t, p.Addr(), database, 2)
	for i := range 3 {
		id := fmt.Sprint("note ", i)
		putNote(t, a, id, "kept")
		raw := newRaw(t, h.Addr(), byte(10+i))
		raw.write(t, frameOf(t, &wire.Ping{N: deadly}))
		for {
			if _, err := raw.conn.Read(program.Soon(t)); err != nil {
				t.Logf("the connection that did it: %v", err)
				break
			}
		}
		putNote(t, b, id+" after", "kept")
		awaitNote(t, a, id+" after", "kept")
		awaitNote(t, b, id, "kept")
	}
	if n := p.Stats().Connections; n < 2*4 {
		t.Errorf("%d connections: the object has not failed", n)
	}
	h.Stop(t)
	judge.Hub(t, h, database, map[string]int{"": 2 * 3})
}

// TestWorkerKeepsDatabasesApart: two databases are two objects, and who says one name at the door and another inside is refused.
func TestWorkerKeepsDatabasesApart(t *testing.T) {
	t.Parallel() // they wait more than they work
	h := program.Serve(t, t.TempDir())
	other := "other"
	a := follower(t, h.Addr(), database, 1)
	putNote(t, a, "one", "of the first")
	conn, err := ws.Dialer{}.Dial(program.Soon(t), program.DatabaseURL(h.Addr(), other))
	if err != nil {
		t.Fatal(err)
	}
	raw := &raw{conn: conn}
	raw.write(t, frameOf(t, raw.hello(other, 9)))
	if w := raw.await(t, wire.TypeWelcome).(*wire.Welcome); w.Head != 0 || w.Lineage == a.State().Lineage {
		t.Errorf("the second database begins with %d entries, as hub %v; the first is %v", w.Head, w.Lineage, a.State().Lineage)
	}
	conn, err = ws.Dialer{}.Dial(program.Soon(t), program.DatabaseURL(h.Addr(), other))
	if err != nil {
		t.Fatal(err)
	}
	raw.conn = conn
	raw.write(t, frameOf(t, raw.hello(database, 8)))
	if e := raw.await(t, wire.TypeError).(*wire.Error); e.Code != wire.CodeInvalid {
		t.Errorf("expected INVALID, got %+v", e)
	}
	h.Stop(t)
	if h.File(database) == h.File(other) {
		t.Error("both are in one file")
	}
}

// TestWorkerFront: what comes in, and what does not.
func TestWorkerFront(t *testing.T) {
	t.Parallel() // they wait more than they work
	h := program.Serve(t, t.TempDir())
	dial := func(path, origin, protocol string) (*websocket.Conn, *http.Response, error) {
		o := &websocket.DialOptions{HTTPHeader: http.Header{}}
		if protocol != "" {
			o.Subprotocols = []string{protocol}
		}
		if origin != "" {
			o.HTTPHeader.Set("Origin", origin)
		}
		return websocket.Dial(program.Soon(t), "ws://"+h.Addr()+path, o)
	}
	for _, c := range []struct {
		path, origin, protocol string
		status                 int
	}{
		{"/v1/notes", "", wire.Subprotocol, http.StatusSwitchingProtocols},
		{"/v1/notes", "http://" + h.Addr(), wire.Subprotocol, http.StatusSwitchingProtocols},
		{"/v1/health", "", wire.Subprotocol, http.StatusSwitchingProtocols},
		{"/v1/notes", "https://evil.example", wire.Subprotocol, http.StatusForbidden},
		{"/v1/notes", "null", wire.Subprotocol, http.StatusForbidden},
		{"/v1/notes", "", "", http.StatusUpgradeRequired},
		{"/v1/notes", "", "vsync.2", http.StatusUpgradeRequired},
		{"/v1/Notes", "", wire.Subprotocol, http.StatusNotFound},
		{"/v1/..", "", wire.Subprotocol, http.StatusNotFound},
		{"/v1/notes/more", "", wire.Subprotocol, http.StatusNotFound},
		{"/v1/" + strings.Repeat("n", 65), "", wire.Subprotocol, http.StatusNotFound},
		{"/v2/notes", "", wire.Subprotocol, http.StatusNotFound},
	} {
		conn, answer, err := dial(c.path, c.origin, c.protocol)
		if answer == nil || answer.StatusCode != c.status {
			t.Errorf("%+v: got %v, %v", c, answer, err)
		}
		if err == nil {
			if got := answer.Header.Get("Sec-WebSocket-Extensions"); got != "" {
				t.Errorf("%+v: extensions %q", c, got)
			}
			conn.CloseNow()
		}
	}
	for _, c := range []struct {
		kind websocket.MessageType
		size int
		code websocket.StatusCode
	}{
		{websocket.MessageText, 5, wire.CloseText},
		{websocket.MessageBinary, wire.MaxFrame + 1, wire.CloseTooLarge},
		{websocket.MessageBinary, 5, wire.CloseFault},
	} {
		conn, _, err := dial("/v1/notes", "", wire.Subprotocol)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Write(program.Soon(t), c.kind, []byte(strings.Repeat("x", c.size))); err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, _, err = conn.Read(program.Soon(t))
		}
		if got := websocket.CloseStatus(err); got != c.code {
			t.Errorf("%+v: closed with %v, %v", c, got, err)
		}
	}
}

// checkpointsOf gets the lines in which a hub says that a database has a checkpoint.
func checkpointsOf(h *program.Hub) <-chan string {
	written := make(chan string, 10)
	h.OnLine = func(line string) {
		if strings.Contains(line, "has a checkpoint") {
			written <- line
		}
	}
	return written
}

// TestWorkerCheckpoints: once nothing has been stored for some seconds, an alarm has the log written into pages, so that the next waking
// is short.
func TestWorkerCheckpoints(t *testing.T) {
	t.Parallel()
	h := program.New(t, t.TempDir())
	written := checkpointsOf(h)
	h.Start()
	a := follower(t, h.Addr(), database, 1)
	putNote(t, a, "large", strings.Repeat("x", 200_000))
	select {
	case line := <-written:
		t.Log(line)
	case <-program.Soon(t).Done():
		t.Fatal("no checkpoint was written")
	}
	h.Stop(t)
	judge.Hub(t, h, database, nil)
}

// TestWorkerTokens: with keys, the hub asks for tokens, and they grant what they say.
func TestWorkerTokens(t *testing.T) {
	t.Parallel()
	keys, err := (&token.Keys{}).With("test", token.EdDSA, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(write bool, databases ...string) string {
		text, err := keys.Sign(token.Claims{Subject: "anna", Databases: databases, Write: write, Expires: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	h := program.New(t, t.TempDir())
	h.Options.Keys = keys
	h.Start()
	for i, c := range []struct {
		name, token string
		greeted     wire.Code // "" is a welcome
		pushed      wire.Code // "" is accepted
	}{
		{"no token", "", wire.CodeUnauthenticated, ""},
		{"one of somebody else", sign(true, database) + "x", wire.CodeUnauthenticated, ""},
		{"one for another database", sign(true, "other"), wire.CodeForbidden, ""},
		{"one for reading, before there is anything", sign(false, database), wire.CodeNotFound, ""},
		{"one for writing", sign(true, database), "", ""},
		{"one for reading", sign(false, database), "", wire.CodeForbidden},
	} {
		conn, err := ws.Dialer{}.Dial(program.Soon(t), program.DatabaseURL(h.Addr(), database))
		if err != nil {
			t.Fatal(err)
		}
		r := &raw{conn: conn}
		hello := r.hello(database, byte(20+i))
		hello.Token = c.token
		r.write(t, frameOf(t, hello))
		if c.greeted != "" {
			if e := r.await(t, wire.TypeError).(*wire.Error); e.Code != c.greeted {
				t.Errorf("%s: %+v", c.name, e)
			}
			continue
		}
		r.await(t, wire.TypeWelcome)
		for _, part := range r.parts(t, 300_000) {
			r.write(t, part)
		}
		if c.pushed == "" {
			r.await(t, wire.TypeAccepted)
		} else if e := r.await(t, wire.TypeError).(*wire.Error); e.Code != c.pushed {
			t.Errorf("%s: %+v", c.name, e)
		}
		conn.Close(wire.CloseNormal, "")
	}
}

// TestWorkerExpires: a connection ends with its token, though the object sleeps by then; one that has brought another goes on.
func TestWorkerExpires(t *testing.T) {
	t.Parallel()
	keys, err := (&token.Keys{}).With("test", token.EdDSA, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(left time.Duration) string {
		text, err := keys.Sign(token.Claims{Subject: "anna", Databases: []string{database}, Write: true, Expires: time.Now().Add(left - token.Leeway)})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	h := program.New(t, t.TempDir())
	h.Options.Keys = keys
	woken := make(chan string, 100)
	h.OnLine = func(line string) {
		if strings.Contains(line, "goes on with") {
			woken <- line
		}
	}
	h.Start()
	enter := func(device byte) *raw {
		conn, err := ws.Dialer{}.Dial(program.Soon(t), program.DatabaseURL(h.Addr(), database))
		if err != nil {
			t.Fatal(err)
		}
		r := &raw{conn: conn}
		hello := r.hello(database, device)
		hello.Token = sign(20 * time.Second) // it sleeps 10 s after the last frame
		r.write(t, frameOf(t, hello))
		r.await(t, wire.TypeWelcome)
		return r
	}
	ends, stays := enter(1), enter(2)
	long := sign(time.Hour)
	stays.write(t, frameOf(t, &wire.Token{Token: long}))
	if p := stays.await(t, wire.TypePong).(*wire.Pong); p.Expires < uint64(time.Now().Add(time.Minute).UnixMilli()) {
		t.Errorf("%+v", p)
	}
	if e := ends.await(t, wire.TypeError).(*wire.Error); e.Code != wire.CodeUnauthenticated {
		t.Errorf("%+v", e)
	}
	select {
	case line := <-woken:
		t.Log(line)
	default:
		t.Error("the object has not slept")
	}
	stays.write(t, frameOf(t, &wire.Ping{N: 7}))
	stays.await(t, wire.TypePong)
}

// TestWorkerBoots tells what it takes until a hub that does not run, of a database that is new, says welcome; and one that runs.
func TestWorkerBoots(t *testing.T) {
	h := program.Serve(t, t.TempDir())
	took := func(name string, device byte) time.Duration {
		conn, err := ws.Dialer{}.Dial(program.Soon(t), program.DatabaseURL(h.Addr(), name))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(wire.CloseNormal, "")
		r := &raw{conn: conn}
		from := time.Now()
		r.write(t, frameOf(t, r.hello(name, device)))
		r.await(t, wire.TypeWelcome)
		return time.Since(from)
	}
	var boots, greets []time.Duration
	for i := range 15 {
		name := fmt.Sprint("boot-", i)
		from := time.Now()
		took(name, 1)
		boots = append(boots, time.Since(from))
		greets = append(greets, took(name, 2))
	}
	slices.Sort(boots)
	slices.Sort(greets)
	t.Logf("from dialing to welcome, median of %d: %v where the object begins, and a hello takes %v where it runs", len(boots), boots[7], greets[7])
	if boots[7] > time.Second {
		t.Error("an object takes too long to begin")
	}
}
