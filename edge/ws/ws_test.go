//go:build !js

package ws

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nhooyr.io/websocket"

	"vsync/core/wire"
	"vsync/core/wire/conntest"
)

// open counts the sockets of both sides.
type open struct{ n atomic.Int64 }

type countedConn struct {
	net.Conn
	once *sync.Once
	open *open
}

func (o *open) count(c net.Conn) net.Conn {
	o.n.Add(1)
	return countedConn{c, new(sync.Once), o}
}

func (c countedConn) Close() error {
	c.once.Do(func() { c.open.n.Add(-1) })
	return c.Conn.Close()
}

type countedListener struct {
	net.Listener
	open *open
}

func (l countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.open.count(c), nil
}

// A rig is a server on a loopback socket, which hands over what it accepts.
type rig struct {
	open     *open
	url      string
	dialer   Dialer
	accepted chan *Conn
}

func newRig(t testing.TB, o AcceptOptions) *rig {
	g := &rig{open: &open{}, accepted: make(chan *Conn, 1)}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := Accept(w, r, o); err == nil {
			g.accepted <- c
		}
	}))
	server.Listener = countedListener{server.Listener, g.open}
	server.Start()
	t.Cleanup(server.Close)
	g.url = "ws" + strings.TrimPrefix(server.URL, "http")
	g.dialer.Client = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return g.open.count(c), nil
		},
	}}
	return g
}

func (g *rig) pair(t testing.TB) (client, server *Conn) {
	t.Helper()
	c, err := g.dialer.Dial(context.Background(), g.url)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*Conn), <-g.accepted
}

func TestConn(t *testing.T) {
	for name, swap := range map[string]bool{"a dials": false, "a accepts": true} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, AcceptOptions{})
			before := runtime.NumGoroutine()
			conntest.Run(t, conntest.Harness{
				Pair: func(t *testing.T) (a, b wire.Conn) {
					client, server := g.pair(t)
					if swap {
						return server, client
					}
					return client, server
				},
				SendText: func(t *testing.T, a wire.Conn, text string) {
					if err := a.(*Conn).ws.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
						t.Error(err)
					}
				},
				Open:  func() int { return int(g.open.n.Load()) },
				After: time.After,
			})
			for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					stacks := make([]byte, 1<<20)
					t.Fatalf("%d goroutines, before %d\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
				}
			}
		})
	}
}

// What came while nobody read is handed over together and in order, also where the peer has closed behind it; but only a little is read ahead.
func TestReadAll(t *testing.T) {
	g := newRig(t, AcceptOptions{})
	client, server := g.pair(t)
	defer server.Close(wire.CloseNormal, "")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	const messages = 20
	for i := range messages {
		if err := client.Write(ctx, []byte{byte(i), 1, 2, 3}); err != nil {
			t.Fatal(err)
		}
	}
	for server.waiting() < messages && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	all, err := server.ReadAll(ctx)
	if len(all) != messages || err != nil {
		t.Fatalf("%d messages of %d, %v", len(all), messages, err)
	}
	for i, m := range all {
		if m[0] != byte(i) {
			t.Errorf("at place %d message %d", i, m[0])
		}
	}

	large := make([]byte, ahead/2)
	sent := make(chan error, 1)
	go func() {
		for range 5000 { // more than what sockets hold
			if err := client.Write(ctx, large); err != nil {
				sent <- err
				return
			}
		}
		sent <- client.Close(wire.CloseNormal, "done")
	}()
	time.Sleep(100 * time.Millisecond)
	if n := server.waiting(); n > 3 {
		t.Errorf("%d messages of %d bytes are read ahead", n, len(large))
	}
	select {
	case err := <-sent:
		t.Errorf("the peer does not feel that nobody reads: %v", err)
	default:
	}
	got := 0
	for err == nil {
		if all, err = server.ReadAll(ctx); err == nil {
			got += len(all)
		}
	}
	var closed *wire.CloseError
	if got != 5000 || !errors.As(err, &closed) || closed.Code != wire.CloseNormal {
		t.Errorf("%d messages, then %v", got, err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// waiting is how many messages have come that nobody has read.
func (c *Conn) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.messages)
}

func TestOnlyOurSubprotocol(t *testing.T) {
	g := newRig(t, AcceptOptions{})
	for _, protocols := range [][]string{nil, {"vsync.2"}, {"VSYNC.1"}} {
		_, response, err := websocket.Dial(context.Background(), g.url, &websocket.DialOptions{HTTPClient: g.dialer.Client, Subprotocols: protocols})
		if err == nil || response.StatusCode != http.StatusUpgradeRequired {
			t.Errorf("asking for %q: %v", protocols, err)
		}
	}
	c, _, err := websocket.Dial(context.Background(), g.url, &websocket.DialOptions{HTTPClient: g.dialer.Client, Subprotocols: []string{"chat", wire.Subprotocol}})
	if err != nil {
		t.Fatal(err)
	}
	c.CloseNow()
	(<-g.accepted).Close(wire.CloseNormal, "")
}

func TestDialRefusesAServerThatSpeaksSomethingElse(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := websocket.Accept(w, r, nil); err == nil {
			c.Read(r.Context())
			c.CloseNow()
		}
	}))
	defer server.Close()
	if c, err := (Dialer{}).Dial(context.Background(), server.URL); err == nil || !strings.Contains(err.Error(), wire.Subprotocol) {
		t.Errorf("got %v, %v", c, err)
	}
}

// A portal or a proxy answers in the hub's place: the error says so, whatever status it has, and also after it has sent us to its page.
func TestDialNamesAPortal(t *testing.T) {
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "/login", http.StatusFound)
		case "/proxy":
			w.WriteHeader(http.StatusProxyAuthRequired)
		case "/511":
			w.WriteHeader(http.StatusNetworkAuthenticationRequired)
		case "/hub":
			http.Error(w, "no such database", http.StatusNotFound)
		default:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Write([]byte("<!doctype html><title>Welcome to our café</title>"))
		}
	}))
	defer portal.Close()
	const page = "sign in to the network"
	for path, want := range map[string]string{"/login": page, "/away": page, "/511": page, "/proxy": "a proxy on the way", "/hub": "404"} {
		_, err := (Dialer{}).Dial(context.Background(), "ws"+strings.TrimPrefix(portal.URL, "http")+path)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sign in") != (path != "/hub") {
			t.Errorf("%s: expected an error with %q, got %v", path, want, err)
		}
		t.Log(err)
	}
}

func TestOrigins(t *testing.T) {
	g := newRig(t, AcceptOptions{Origins: []string{"*.example.com", "localhost:*"}})
	own := strings.Replace(g.url, "ws:", "http:", 1)
	for origin, allowed := range map[string]bool{
		"": true, own: true, "https://app.example.com": true, "http://localhost:3000": true,
		"https://example.org": false, "https://app.example.com.evil.org": false, "null": false,
	} {
		d := g.dialer
		if origin != "" {
			d.Header = http.Header{"Origin": {origin}}
		}
		c, err := d.Dial(context.Background(), g.url)
		if (err == nil) != allowed {
			t.Errorf("origin %q: %v", origin, err)
		}
		if err == nil {
			s := <-g.accepted
			c.Close(wire.CloseNormal, "")
			s.Close(wire.CloseNormal, "")
		}
	}
	if n := g.open.n.Load(); n > 0 {
		t.Logf("%d sockets end with the server", n)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := (Dialer{}).Dial(ctx, "ws://"+silent.Addr().String()); err == nil || time.Since(start) > 5*time.Second {
		t.Errorf("got %v after %v", err, time.Since(start))
	}
}

func BenchmarkEcho(b *testing.B) {
	client, server := newRig(b, AcceptOptions{}).pair(b)
	defer client.Close(wire.CloseNormal, "")
	ctx := context.Background()
	go func() {
		for {
			m, err := server.Read(ctx)
			if err != nil {
				server.Close(wire.CloseNormal, "")
				return
			}
			server.Write(ctx, m)
		}
	}()
	message := make([]byte, 300)
	b.ReportAllocs()
	for b.Loop() {
		if err := client.Write(ctx, message); err != nil {
			b.Fatal(err)
		}
		if _, err := client.Read(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
