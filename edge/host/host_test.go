package host

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire"
	"vsync/edge/ws"
)

// A running server, with what it logged.
type running struct {
	t *testing.T
	*Server
	base   string // http://127.0.0.1:port
	mu     sync.Mutex
	logged []string
}

func start(t *testing.T, cfg Config) *running {
	t.Helper()
	r := &running{t: t}
	if cfg.Data == "" {
		cfg.Data = t.TempDir()
	}
	cfg.Version = "test"
	cfg.Log = func(line string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.logged = append(r.logged, line)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	listeners, err := Listen("127.0.0.1", 0, cfg.Keys)
	if err != nil {
		t.Fatal(err)
	}
	r.Server, r.base = s, "http://"+listeners[0].Addr().String()
	served := make(chan error, 1)
	go func() { served <- s.Serve(listeners...) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *running) get(path string, header ...string) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequest("GET", r.base+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response, string(body)
}

func (r *running) health() (h health, status int) {
	r.t.Helper()
	response, body := r.get("/v1/health")
	if err := json.Unmarshal([]byte(body), &h); err != nil {
		r.t.Fatalf("%v: %s", err, body)
	}
	return h, response.StatusCode
}

// A peer is a device's end of a socket, by hand.
type peer struct {
	t    *testing.T
	conn wire.Conn
}

func (r *running) dial(database string) *peer {
	r.t.Helper()
	conn, err := ws.Dialer{}.Dial(context.Background(), r.base+"/v1/"+database)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close(1000, "") })
	return &peer{r.t, conn}
}

func (p *peer) say(m wire.Message) {
	p.t.Helper()
	frame, err := wire.Append(nil, m)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.conn.Write(context.Background(), frame); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) hears() wire.Message {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	frame, err := p.conn.Read(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	m, err := wire.DecodeDown(frame)
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// ends expects the end of the connection, with this code.
func (p *peer) ends(code int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	frame, err := p.conn.Read(ctx)
	var closed *wire.CloseError
	if !errors.As(err, &closed) || closed.Code != code {
		p.t.Errorf("expected close code %d, got %x, %v", code, frame, err)
	}
}

func (p *peer) hello(database string, device byte) *wire.Welcome {
	p.t.Helper()
	p.say(&wire.Hello{Protocol: 1, Database: database, Device: change.DeviceID{device}, LowestHeld: 1, Credit: 1 << 20, Agent: "test"})
	welcome, is := p.hears().(*wire.Welcome)
	if !is {
		p.t.Fatal("expected a welcome")
	}
	return welcome
}

// eventually waits for what other goroutines bring about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 1000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func code(err error) core.Code {
	var known *core.Error
	if errors.As(err, &known) {
		return known.Code
	}
	return ""
}

func TestDatabasesOfOneServer(t *testing.T) {
	r := start(t, Config{})
	if h, status := r.health(); status != 200 || h.Status != "ok" || h.Version != "test" || h.Databases == nil || len(h.Databases) != 0 {
		t.Errorf("health of an empty hub: %d %+v", status, h)
	}
	a, b := r.dial("a"), r.dial("b..c_d-e")
	first, second := a.hello("a", 1).Lineage, b.hello("b..c_d-e", 1).Lineage
	if first == second {
		t.Error("two databases have one lineage")
	}
	r.dial("a").hello("a", 2)
	eventually(t, "three connections are counted", func() bool {
		h, _ := r.health()
		return h.Connections == 3 && len(h.Databases) == 2 && h.Databases[0].Name == "a" && *h.Databases[0].Devices == 2 &&
			h.Databases[0].Connections == 2 && *h.Databases[0].Head == 0 && h.Databases[1].Connections == 1
	})
	// The name in hello has to be that of the path.
	c := r.dial("a")
	c.say(&wire.Hello{Protocol: 1, Database: "b..c_d-e", Device: change.DeviceID{3}, LowestHeld: 1, Credit: 1})
	if e, is := c.hears().(*wire.Error); !is {
		t.Errorf("hello for another database: %+v", e)
	}
	c.ends(wire.CloseFault)
	// A database may be called health.
	r.dial("health").hello("health", 1)
}

func TestWhatIsNoDatabase(t *testing.T) {
	r := start(t, Config{})
	for path, want := range map[string]int{
		"/v1/notes": 426, "/v1/UPPER": 404, "/v1/a%2Fb": 404, "/v1/" + strings.Repeat("x", 65): 404, "/v1/": 404, "/v1/a/b": 404,
		"/v1/%2e%2e": 404, "/v2/x": 404, "/hub.key": 404, "/_headers": 404, "/.keep": 404, "/nothing": 404, "/static/index.html": 404,
	} {
		if response, _ := r.get(path); response.StatusCode != want && !(want == 404 && response.StatusCode/100 == 3) {
			t.Errorf("%s: %d, want %d", path, response.StatusCode, want)
		}
	}
	if names, err := r.dbs.names(); err != nil || len(names) != 0 {
		t.Errorf("these requests made %v, %v", names, err)
	}
	response, err := http.Post(r.base+"/v1/health", "text/plain", nil)
	if err != nil || response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %v, %v", response, err)
	}
}

func TestGarbage(t *testing.T) {
	r := start(t, Config{})
	for _, frame := range [][]byte{nil, {0}, {0x92, 1, 0x80}, []byte(strings.Repeat("\xff", 1000))} {
		p := r.dial("a")
		if err := p.conn.Write(context.Background(), frame); err != nil {
			t.Fatal(err)
		}
		if _, is := p.hears().(*wire.Error); !is {
			t.Errorf("%.20x was not refused", frame)
		}
		p.ends(wire.CloseFault)
	}
	r.dial("a").hello("a", 1)
	eventually(t, "only one is left", func() bool { h, _ := r.health(); return h.Connections == 1 })
}

func TestDamagedDatabase(t *testing.T) {
	data := t.TempDir()
	path := filepath.Join(data, "databases", "broken.db")
	os.Mkdir(filepath.Dir(path), 0o755)
	damaged := strings.Repeat("no database. ", 1000)
	if err := os.WriteFile(path, []byte(damaged), 0o644); err != nil {
		t.Fatal(err)
	}
	r := start(t, Config{Data: data})
	p := r.dial("broken")
	if e, is := p.hears().(*wire.Error); !is || e.Code != wire.CodeCorrupt || strings.Contains(e.Text, data) {
		t.Errorf("a device is told %+v", e)
	}
	p.ends(wire.CloseFault)
	if h, status := r.health(); status != 503 || h.Status != "degraded" || !strings.Contains(h.Message, "broken: CORRUPT") {
		t.Errorf("health: %d %+v", status, h)
	}
	r.dial("whole").hello("whole", 1) // others go on
	if text, err := os.ReadFile(path); err != nil || string(text) != damaged {
		t.Errorf("the damaged file was changed, %v", err)
	}
	if len(r.logged) != 2 || !strings.Contains(r.logged[1], "broken: CORRUPT") { // the first is about the key
		t.Errorf("logged: %q", r.logged)
	}

	// Once it is mended, it is opened, and health is good again.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.dial("broken").hello("broken", 1)
	if h, status := r.health(); status != 200 || h.Status != "ok" {
		t.Errorf("health: %d %+v", status, h)
	}
}

func TestIdleDatabasesAreClosed(t *testing.T) {
	r := start(t, Config{Idle: time.Millisecond})
	p := r.dial("a")
	lineage := p.hello("a", 1).Lineage
	p.conn.Close(1000, "")
	eventually(t, "a is closed", func() bool {
		r.dbs.mu.Lock()
		defer r.dbs.mu.Unlock()
		return len(r.dbs.named) == 0
	})
	if h, _ := r.health(); len(h.Databases) != 1 || *h.Databases[0].Devices != 1 || h.Databases[0].Connections != 0 {
		t.Errorf("health of a closed database: %+v", h)
	}
	if r.dial("a").hello("a", 1).Lineage != lineage {
		t.Error("it is another database now")
	}
}

func TestBounds(t *testing.T) {
	r := start(t, Config{Open: 2, Connections: 4})
	a := r.dial("a")
	a.hello("a", 1)
	r.dial("b").hello("b", 1)
	full := r.dial("c")
	if e, is := full.hears().(*wire.Error); !is || e.Code != wire.CodeRateLimited || e.Retry == 0 {
		t.Errorf("a third database: %+v", e)
	}
	full.ends(wire.CloseFault)
	// One that nobody uses makes room.
	a.conn.Close(1000, "")
	eventually(t, "c is opened", func() bool {
		p := r.dial("c")
		p.say(&wire.Hello{Protocol: 1, Database: "c", Device: change.DeviceID{1}, LowestHeld: 1, Credit: 1 << 20})
		_, welcome := p.hears().(*wire.Welcome)
		if !welcome {
			p.conn.Close(1000, "")
		}
		return welcome
	})

	eventually(t, "the connections before are gone", func() bool { return r.connections() == 2 })
	r.dial("b").hello("b", 2)
	r.dial("b").hello("b", 3)
	conn, err := ws.Dialer{}.Dial(context.Background(), r.base+"/v1/b")
	if err == nil {
		conn.Close(1000, "")
		t.Error("a fifth connection was taken")
	}
	if response, _ := r.get("/"); response.StatusCode != 200 {
		t.Error("sockets keep the page away")
	}
}

// Many come and go while databases are opened, closed and evicted.
func TestComingAndGoing(t *testing.T) {
	r := start(t, Config{Idle: time.Nanosecond, Open: 3})
	lineages := [3]sync.Map{}
	var group sync.WaitGroup
	stop := make(chan struct{})
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				r.dbs.tick(time.Now().Add(time.Hour))
			}
		}
	})
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for i := range 15 {
				n := (w + i) % 3
				name := string(rune('a' + n))
				d, err := r.dbs.acquire(name)
				if err != nil {
					t.Error(err)
					return
				}
				lineages[n].Store(d.replica.Lineage(), true)
				if err := d.replica.State().Failed; err != nil {
					t.Error(err)
				}
				r.dbs.release(d)
			}
		})
	}
	workers.Wait()
	close(stop)
	group.Wait()
	for n := range lineages {
		count := 0
		lineages[n].Range(func(any, any) bool { count++; return true })
		if count != 1 {
			t.Errorf("database %d was seen with %d lineages", n, count)
		}
	}
}

func TestCloseSaysBye(t *testing.T) {
	r := start(t, Config{})
	p := r.dial("a")
	p.hello("a", 1)
	silent := r.dial("a") // one that never said hello, and does not read
	_ = silent
	from := time.Now()
	closed := make(chan error)
	go func() { closed <- r.Close() }()
	if bye, is := p.hears().(*wire.Bye); !is || bye.Why != wire.WhyClosing || bye.Retry == 0 {
		t.Errorf("expected a bye, got %+v", bye)
	}
	p.ends(wire.CloseGoing)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if took := time.Since(from); took > 5*time.Second {
		t.Errorf("closing took %v", took)
	}
	// The directory is free, and nothing waits to be replayed or rolled back.
	entries, _ := os.ReadDir(filepath.Join(r.cfg.Data, "databases"))
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "-wal") {
			t.Errorf("%s is left", e.Name())
		}
	}
	start(t, Config{Data: r.cfg.Data}).dial("a").hello("a", 1)
}

func TestOneServerOfADirectory(t *testing.T) {
	r := start(t, Config{})
	if _, err := New(Config{Data: r.cfg.Data}); code(err) != core.Locked || !strings.Contains(err.Error(), "served by another hub") {
		t.Errorf("second server: %v", err)
	}
}

func TestKey(t *testing.T) {
	dir := t.TempDir()
	var told []string
	log := func(line string) { told = append(told, line) }
	key, err := readKey(dir, log)
	if err != nil || len(key) != keyBytes {
		t.Fatal(key, err)
	}
	path := filepath.Join(dir, "hub.key")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if again, err := readKey(dir, log); err != nil || string(again) != string(key) || len(told) != 0 {
		t.Errorf("the key is another one at the second start: %v, %q", err, told)
	}
	os.Chmod(path, 0o644)
	if _, err := readKey(dir, log); err != nil || len(told) != 1 {
		t.Errorf("a key that others may read: %v, %q", err, told)
	}
	os.WriteFile(path, key[:31], 0o600)
	if _, err := readKey(dir, log); code(err) != core.Corrupt {
		t.Errorf("a short key: %v", err)
	}
}

func TestLostKey(t *testing.T) {
	r := start(t, Config{})
	lineage := r.dial("a").hello("a", 1).Lineage
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(r.cfg.Data, "hub.key")); err != nil {
		t.Fatal(err)
	}
	again := start(t, Config{Data: r.cfg.Data})
	if len(r.logged) != 0 || len(again.logged) != 1 || !strings.Contains(again.logged[0], "hub.key is gone") {
		t.Errorf("logged %q, then %q", r.logged, again.logged)
	}
	if again.dial("a").hello("a", 1).Lineage != lineage {
		t.Error("it is another database now")
	}
}

func TestListen(t *testing.T) {
	for _, address := range []string{"", "0.0.0.0", "::", "10.0.0.1", "example.com", "127.0.0.1.example.com"} {
		if l, err := Listen(address, 0, nil); code(err) != core.Forbidden {
			t.Errorf("%q: %v, %v", address, l, err)
		}
	}
	for _, address := range []string{"localhost", "127.0.0.1"} {
		listeners, err := Listen(address, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Listen(address, Port(listeners[0]), nil); code(err) != PortInUse {
			t.Errorf("%s twice: %v", address, err)
		}
		for _, l := range listeners {
			l.Close()
		}
	}
}

func TestOriginsAreJudged(t *testing.T) {
	for _, text := range []string{"", "app.example", "https://", "https://a/b", "https://a?b", "https://u@a", "https://[", "://a"} {
		if _, err := parseOrigin(text); code(err) != core.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
	g, err := newGuard([]string{"https://App.example/", "https://*.team.example", "null"}, false)
	if err != nil {
		t.Fatal(err)
	}
	for origin, want := range map[string]bool{
		"": true, "https://app.example": true, "https://x.team.example": true, "null": true, "http://localhost:8787": true,
		"https://app.example:8443": false, "http://app.example": false, "https://team.example": false, "http://localhost:8788": false, "%": false,
	} {
		if g.allows(origin, "localhost:8787") != want {
			t.Errorf("origin %q: %v", origin, !want)
		}
	}
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST:8787": true, "127.0.0.1:1": true, "127.1.2.3": true, "[::1]:8787": true, "hub.localhost:1": true,
		"app.example": true, "x.team.example": true, "": false, "evil.example": false, "127.0.0.1.evil.example": false, "192.168.0.1:8787": false,
	} {
		if g.knowsHost(host) != want {
			t.Errorf("host %q: %v", host, !want)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "a.b-c_9": true, "...": true, strings.Repeat("x", 64): true,
		"": false, ".": false, "..": false, "A": false, "a/b": false, "ä": false, "a b": false, strings.Repeat("x", 65): false,
	} {
		if ValidName(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

// A device that does not read is no reason to stay.
func TestCloseUnderAStuckReader(t *testing.T) {
	r := start(t, Config{})
	d, err := r.dbs.acquire("a")
	if err != nil {
		t.Fatal(err)
	}
	writer, prev := change.DeviceID{9}, change.Hash{}
	for gen := range change.Generation(12) {
		value, err := change.Encode(strings.Repeat("x", 1_000_000))
		if err != nil {
			t.Fatal(err)
		}
		b := change.Batch{
			Header:    change.Header{Device: writer, Gen: gen + 1, Stamp: 1},
			Mutations: []change.Mutation{{Key: change.Key{Collection: "c", ID: gen.String() + "x"}, Value: value}},
		}
		bytes, err := b.Encode(prev)
		if err != nil {
			t.Fatal(err)
		}
		h, _, err := change.DecodeHeader(bytes)
		if err != nil {
			t.Fatal(err)
		}
		verdicts, err := d.replica.Accept(context.Background(), []core.Incoming{{Device: writer, Bytes: bytes}})
		if err != nil || verdicts[0].Kind != core.Accepted {
			t.Fatal(verdicts, err)
		}
		prev = h.Hash
	}
	r.dbs.release(d)
	p := r.dial("a")
	p.say(&wire.Hello{Protocol: 1, Database: "a", Device: change.DeviceID{1}, LowestHeld: 1, Credit: 64 << 20})
	p.hears()
	time.Sleep(200 * time.Millisecond) // the sockets' buffers are full now
	from := time.Now()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(from); took > 5*time.Second {
		t.Errorf("closing took %v", took)
	}
}
