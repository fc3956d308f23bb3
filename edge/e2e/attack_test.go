package e2e

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vsync/core/change"
	"vsync/core/wire"
	"vsync/edge/e2e/program"
	"vsync/edge/token"
	"vsync/edge/ws"
)

// A fortress is a hub with keys and a database "db", which has one object, and nothing may change it that is in these tests.
type fortress struct {
	*client
	hub     *program.Hub
	keys    *token.Keys
	secrets map[string]string // kid → what stands in the set: "k" or "x"
	writer  string            // a good token, of anna
	all     string            // one that reads everything, of who watches
	before  string
}

func fortified(t *testing.T, with ...func(*program.Options)) *fortress {
	t.Helper()
	old, err := (*token.Keys)(nil).With("old", token.HS256, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f := &fortress{secrets: map[string]string{}}
	if f.keys, err = old.With("new", token.EdDSA, rand.Reader); err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []struct{ Kid, K, X string } }
	if err := json.Unmarshal(f.keys.Encode(), &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		f.secrets[k.Kid] = k.K + k.X
	}
	f.hub = program.New(t, t.TempDir())
	f.hub.Options = program.Options{Keys: f.keys, Origins: []string{"https://app.example", "https://*.team.example"}}
	for _, with := range with {
		with(&f.hub.Options)
	}
	f.hub.Start()
	f.client = &client{t: t, base: "http://" + f.hub.Addr()}
	f.client.learn()
	f.writer = f.sign(token.Claims{Subject: "anna", Databases: []string{"db"}, Write: true})
	f.all = f.sign(token.Claims{Subject: "watch", Databases: []string{token.All}})
	if status, code := f.call("POST", "/v1/db/batch", f.writer, `{"writes": [{"collection": "c", "id": "x", "value": 1}]}`); status != 200 {
		t.Fatal(status, code)
	}
	f.before = f.state()
	t.Cleanup(func() {
		if now := f.state(); now != f.before {
			t.Errorf("it was %s, and is %s", f.before, now)
		}
	})
	return f
}

func (f *fortress) sign(c token.Claims) string {
	f.t.Helper()
	if c.Expires.IsZero() {
		c.Expires = time.Now().Add(time.Hour)
	}
	text, err := f.keys.Sign(c)
	if err != nil {
		f.t.Fatal(err)
	}
	return text
}

// forge signs a header and claims with any secret, or not at all.
func forge(header, claims map[string]any, secret []byte) string {
	part := func(v any) string {
		text, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := part(header) + "." + part(claims)
	if secret == nil {
		return text + "."
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// call sends a request with a token, and returns the status and the code of its error.
func (f *fortress) call(method, path, token, body string, header ...string) (status int, code string) {
	f.t.Helper()
	c := client{t: f.t, base: f.base, token: token}
	a := c.ask(method, path, body, header...)
	return a.Status, a.Code
}

// state is what the hub has: what is in this database, how far its feed goes, and whether there is another.
func (f *fortress) state() string {
	f.t.Helper()
	c := client{t: f.t, base: f.base, token: f.all}
	export, history, other := c.ask("GET", "/v1/db/export", ""), c.ask("GET", "/v1/db/history?collection=c&id=x", ""), c.ask("GET", "/v1/new-db/changes", "")
	p, m := f.greets("db", f.all, 99)
	defer p.conn.Close(wire.CloseNormal, "")
	w, is := m.(*wire.Welcome)
	if !is || export.Status != 200 || history.Status != 200 {
		f.t.Fatalf("%+v, %s, %s", m, export.Text, history.Text)
	}
	return fmt.Sprint(w.Epoch, w.Head, export.Text, history.Text, other.Status)
}

// A peer is a device's end of a socket, by hand.
type peer struct {
	t    testing.TB
	conn wire.Conn
}

func (f *fortress) dial(database string) *peer {
	f.t.Helper()
	conn, err := ws.Dialer{}.Dial(program.Soon(f.t), program.DatabaseURL(f.hub.Addr(), database))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close(wire.CloseNormal, "") })
	return &peer{f.t, conn}
}

func (p *peer) say(m wire.Message) {
	p.t.Helper()
	if err := p.conn.Write(program.Soon(p.t), frameOf(p.t, m)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) hears() wire.Message {
	p.t.Helper()
	frame, err := p.conn.Read(program.Soon(p.t))
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
	frame, err := p.conn.Read(program.Soon(p.t))
	var closed *wire.CloseError
	if !errors.As(err, &closed) || closed.Code != code {
		p.t.Errorf("expected close code %d, got %x, %v", code, frame, err)
	}
}

// greets says hello with a token and returns the answer.
func (f *fortress) greets(database, text string, device byte) (*peer, wire.Message) {
	f.t.Helper()
	p := f.dial(database)
	p.say(&wire.Hello{Protocol: 1, Database: database, Device: change.DeviceID{device}, LowestHeld: 1, Credit: 1 << 20, Agent: "test", Token: text})
	return p, p.hears()
}

func (f *fortress) enters(text string, device byte) *peer {
	f.t.Helper()
	p, m := f.greets("db", text, device)
	if _, is := m.(*wire.Welcome); !is {
		f.t.Fatalf("expected a welcome, got %+v", m)
	}
	if _, is := p.hears().(*wire.Changes); !is {
		f.t.Fatal("expected the feed")
	}
	return p
}

// refused expects an error, and the end.
func (p *peer) refused(what string, m wire.Message, code wire.Code) {
	p.t.Helper()
	if e, is := m.(*wire.Error); !is || e.Code != code {
		p.t.Errorf("%s: expected an error %s, got %+v", what, code, m)
		return
	}
	p.ends(wire.CloseFault)
}

var theRoutes = map[string]string{"object?collection=c&id=x": "GET", "history?collection=c&id=x": "GET", "scan?collection=c": "GET", "changes": "GET",
	"export": "GET", "batch": "POST"}

const evil = `{"writes": [{"collection": "c", "id": "x", "value": "evil"}]}`

// A token that is not good opens nothing: no socket, no route, no database.
func TestAttackTokens(t *testing.T) {
	t.Parallel() // the hub of each is its own
	f := fortified(t)
	secret, _ := base64.RawURLEncoding.DecodeString(f.secrets["old"])
	public, _ := base64.RawURLEncoding.DecodeString(f.secrets["new"])
	claims := map[string]any{"sub": "anna", "db": "*", "rights": "write", "exp": time.Now().Add(time.Hour).Unix()}
	ended := map[string]any{"sub": "anna", "db": "*", "rights": "write", "exp": time.Now().Add(-time.Hour).Unix()}
	head := func(alg, kid string) map[string]any { return map[string]any{"alg": alg, "kid": kid} }
	if status, code := f.call("GET", "/v1/db/changes", forge(head("HS256", "old"), claims, secret), ""); status != 200 {
		t.Fatal("the forger does not sign as the hub does: ", status, code)
	}
	for name, c := range map[string]struct {
		token  string
		status int
		code   wire.Code
	}{
		"none":             {"", 401, wire.CodeUnauthenticated},
		"no token":         {"open sesame", 401, wire.CodeUnauthenticated},
		"wrong key":        {forge(head("HS256", "old"), claims, make([]byte, 32)), 401, wire.CodeUnauthenticated},
		"unknown key":      {forge(head("HS256", "mine"), claims, secret), 401, wire.CodeUnauthenticated},
		"alg none":         {forge(head("none", "old"), claims, nil), 401, wire.CodeUnauthenticated},
		"public as secret": {forge(head("HS256", "new"), claims, public), 401, wire.CodeUnauthenticated},
		"expired":          {forge(head("HS256", "old"), ended, secret), 401, wire.CodeUnauthenticated},
		"another database": {f.sign(token.Claims{Subject: "anna", Databases: []string{"db2"}, Write: true}), 403, wire.CodeForbidden},
	} {
		for _, database := range []string{"db", "new-db"} { // one that is not there is not made
			p, m := f.greets(database, c.token, 1)
			p.refused(name, m, c.code)
			for route, method := range theRoutes {
				body := ""
				if method == "POST" {
					body = evil
				}
				if status, code := f.call(method, "/v1/"+database+"/"+route, c.token, body); status != c.status || code != string(c.code) {
					t.Errorf("%s: %s: %d %s", name, route, status, code)
				}
			}
		}
	}
	if a := f.client.ask("GET", "/v1/health", ""); a.Status != 200 || strings.Contains(a.Text, `"db"`) {
		t.Errorf("health tells everybody: %s", a.Text)
	}
}

// Who may only read reads by every route, and writes by none, nor by any message.
func TestAttackReadOnly(t *testing.T) {
	t.Parallel() // the hub of each is its own
	f := fortified(t)
	reads := f.sign(token.Claims{Subject: "bert", Databases: []string{"db"}})
	for route, method := range theRoutes {
		status, code := f.call(method, "/v1/db/"+route, reads, map[string]string{"POST": evil}[method])
		if want := map[string]int{"GET": 200, "POST": 403}[method]; status != want {
			t.Errorf("%s: %d %s", route, status, code)
		}
	}
	p := f.enters(reads, 1)
	p.say(&wire.Push{Gen: 1, Batches: [][]byte{batchOf(t, 1, 1, change.Hash{})}})
	p.refused("push", p.hears(), wire.CodeForbidden)

	// A hub that seems to have lost what he has takes nothing of it from him.
	lost := f.dial("db")
	lost.say(&wire.Hello{Protocol: 1, Database: "db", Device: change.DeviceID{1}, LowestHeld: 1, Credit: 1 << 20, Agent: "test", Token: reads,
		Marker: change.Marker{Epoch: 1, Seq: 9, Hash: change.Hash{9}}, Trail: []change.Place{{}}})
	if w, is := lost.hears().(*wire.Welcome); !is || w.Mode != wire.ModeReplay {
		t.Fatalf("expected replay, got %+v", w)
	}
	f.before = f.state() // with the epoch that a marker of another feed asks for
	lost.say(&wire.Handback{Seq: 1, Entries: [][]byte{entryOf(t, batchOf(t, 7, 1, change.Hash{}))}})
	if m, is := lost.hears().(*wire.Handed); !is || m.Taken != 0 {
		t.Errorf("%+v", m)
	}
}

// batchOf is a batch of a device, that would change what is there.
func batchOf(t *testing.T, device byte, gen change.Generation, after change.Hash) []byte {
	t.Helper()
	value, err := change.Encode("evil")
	if err != nil {
		t.Fatal(err)
	}
	b := &change.Batch{Header: change.Header{Device: change.DeviceID{device}, Gen: gen, Stamp: 1},
		Mutations: []change.Mutation{{Kind: change.Put, Key: change.Key{Collection: "c", ID: "x"}, Value: value}}}
	bytes, err := b.Encode(after)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

func entryOf(t *testing.T, batch []byte) []byte {
	t.Helper()
	h, _, err := change.DecodeHeader(batch)
	if err != nil {
		t.Fatal(err)
	}
	e := change.NewBatchEntry(&h, batch, change.Annotation{Accepted: 1})
	change.NewSealer([]byte("not the hub's key"), change.Lineage{1}).Seal(e)
	bytes, err := e.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// Devices, generations and frames that are not what they say.
func TestAttackForged(t *testing.T) {
	t.Parallel() // the hub of each is its own
	f := fortified(t)
	mallory := f.sign(token.Claims{Subject: "mallory", Databases: []string{"db"}, Write: true})
	anna := f.enters(f.writer, 1)
	batch := batchOf(t, 1, 1, change.Hash{})
	push := &wire.Push{Gen: 1, Batches: [][]byte{batch}}
	anna.say(push)
	if _, is := anna.hears().(*wire.Accepted); !is {
		t.Fatal("what is right was refused")
	}
	f.before = f.state()
	anna.say(push) // the same frame again has its place already
	anna.say(&wire.Ping{N: 7})
	for m := anna.hears(); ; m = anna.hears() {
		if pong, is := m.(*wire.Pong); is && pong.N == 7 {
			break
		} else if a, is := m.(*wire.Accepted); !is || a.Seq != 2 {
			t.Fatalf("%+v", m)
		}
	}
	p, m := f.greets("db", mallory, 1)
	p.refused("another subject's device", m, wire.CodeForbidden)
	service, _, _ := strings.Cut(serviceVersion(t, f), ":")
	id, err := change.ParseDeviceID(service)
	if err != nil {
		t.Fatal(err)
	}
	p = f.dial("db")
	p.say(&wire.Hello{Protocol: 1, Database: "db", Device: id, LowestHeld: 1, Credit: 1, Token: mallory})
	p.refused("the device of another's service", p.hears(), wire.CodeForbidden)

	h, _, _ := change.DecodeHeader(batch)
	for name, c := range map[string]struct {
		device byte // of the connection
		send   wire.Message
		want   wire.Code
	}{
		"a batch of another's device":     {2, push, wire.CodeForbidden},
		"another batch of a generation":   {1, &wire.Push{Gen: 1, Batches: [][]byte{batchOf(t, 1, 1, change.Hash{5})}}, wire.CodeHash},
		"a batch that follows another":    {1, &wire.Push{Gen: 2, Batches: [][]byte{batchOf(t, 1, 2, change.Hash{5})}}, wire.CodeHash},
		"a generation that is not its":    {1, &wire.Push{Gen: 2, Batches: [][]byte{batch}}, wire.CodeProtocol},
		"no batch":                        {1, &wire.Push{Gen: 2, Batches: [][]byte{{1, 2, 3}}}, wire.CodeProtocol},
		"a second hello":                  {1, &wire.Hello{Protocol: 1, Database: "db", Device: change.DeviceID{2}, LowestHeld: 1, Credit: 1}, wire.CodeProtocol},
		"handed back where nothing lacks": {1, &wire.Handback{Seq: 1, Entries: [][]byte{entryOf(t, batch)}}, wire.CodeProtocol},
		"seen beyond the feed":            {1, &wire.Seen{Seq: 1 << 40}, wire.CodeProtocol},
	} {
		text := f.writer
		if c.device == 2 {
			text = mallory
		}
		p := f.dial("db")
		p.say(&wire.Hello{Protocol: 1, Database: "db", Device: change.DeviceID{c.device}, LowestHeld: 1, Credit: 1 << 20, Token: text,
			Gen: 0, Own: []change.Hash{h.Hash}})
		p.pass(t, c.send, name, c.want)
	}
	p = f.dial("db") // generations that were left out are asked for
	p.say(&wire.Hello{Protocol: 1, Database: "db", Device: change.DeviceID{1}, LowestHeld: 1, Credit: 1 << 20, Token: f.writer, Own: []change.Hash{h.Hash}})
	p.say(&wire.Push{Gen: 5, Batches: [][]byte{batchOf(t, 1, 5, change.Hash{5})}})
	for m := p.hears(); ; m = p.hears() {
		if r, is := m.(*wire.Resend); is {
			if r.Gen != 2 {
				t.Errorf("%+v", r)
			}
			break
		} else if e, is := m.(*wire.Error); is {
			t.Fatalf("%+v", e)
		}
	}
}

// pass sends a message and expects that it ends the connection, whatever of the feed comes before.
func (p *peer) pass(t *testing.T, send wire.Message, name string, want wire.Code) {
	t.Helper()
	p.say(send)
	for m := p.hears(); ; m = p.hears() {
		switch m.(type) {
		case *wire.Welcome, *wire.Changes, *wire.Accepted:
			continue
		}
		p.refused(name, m, want)
		return
	}
}

// serviceVersion is the version of the object that was written over HTTP, before devices came.
func serviceVersion(t *testing.T, f *fortress) string {
	t.Helper()
	c := client{t: t, base: f.base, token: f.writer}
	page := c.ask("GET", "/v1/db/history?collection=c&id=x", "")
	if len(page.Versions) != 2 {
		t.Fatal(page.Text)
	}
	return page.Versions[1].Version
}

// Pages of other websites get nothing, with a token or without.
func TestAttackOrigin(t *testing.T) {
	t.Parallel() // the hub of each is its own
	f := fortified(t)
	for route, method := range theRoutes {
		for _, text := range []string{"", f.writer} {
			if status, code := f.call(method, "/v1/db/"+route, text, map[string]string{"POST": evil}[method], "Origin", "https://evil.example"); status != 403 || code != "FORBIDDEN" {
				t.Errorf("%s: %d %s", route, status, code)
			}
		}
	}
	if status, _ := f.call("OPTIONS", "/v1/db/batch", "", "", "Origin", "https://evil.example"); status != 403 {
		t.Error(status)
	}
	if status, _ := f.call("OPTIONS", "/v1/db/batch", "", "", "Origin", "https://app.example"); status != 204 {
		t.Error(status)
	}
	for origin, let := range map[string]bool{"https://evil.example": false, "null": false, "http://app.example": false, "https://app.example.evil": false,
		"https://team.example": false, "https://app.example": true, "https://x.team.example": true, f.base: true} {
		conn, err := ws.Dialer{Header: http.Header{"Origin": {origin}}}.Dial(program.Soon(t), program.DatabaseURL(f.hub.Addr(), "db"))
		if (err == nil) != let {
			t.Errorf("a page of %s: %v", origin, err)
		}
		if err == nil {
			conn.Close(wire.CloseNormal, "")
		}
	}
}

// Frames and bodies that are too large, or no frames.
func TestAttackFrames(t *testing.T) {
	t.Parallel() // the hub of each is its own
	f := fortified(t)
	for name, c := range map[string]struct {
		frame []byte
		want  wire.Code // empty: the socket's own end
	}{
		"too large":      {make([]byte, wire.MaxFrame+1), ""},
		"no msgpack":     {[]byte{0xc1}, wire.CodeProtocol},
		"empty":          {[]byte{}, wire.CodeProtocol},
		"unknown type":   {[]byte{0x92, 31, 0x80}, wire.CodeUnknownMessage},
		"a hub's type":   {[]byte{0x92, 33, 0x80}, wire.CodeUnknownMessage},
		"deep":           {append(append([]byte{0x92, 7, 0x82, 0xa1, 'n', 1, 0xa1, 'z'}, bytes.Repeat([]byte{0x91}, 5000)...), 0xc0), wire.CodeTooLarge},
		"a huge promise": {[]byte{0x92, 2, 0x82, 0xa3, 'g', 'e', 'n', 1, 0xa1, 'b', 0xdd, 0xff, 0xff, 0xff, 0xff}, wire.CodeProtocol},
	} {
		for _, greeted := range []bool{false, true} {
			p := f.dial("db")
			if greeted {
				p = f.enters(f.writer, 1)
			}
			_ = p.conn.Write(program.Soon(t), c.frame)
			if c.want == "" {
				p.ends(wire.CloseTooLarge)
				continue
			}
			p.refused(name, p.hears(), c.want)
		}
	}
	if status, code := f.call("POST", "/v1/db/batch", f.writer, `{"writes": [{"collection": "c", "id": "x", "value": "`+strings.Repeat("x", 17<<20)+`"}]}`); status != 413 || code != "TOO_LARGE" {
		t.Errorf("a large body: %d %s", status, code)
	}
}

// A thousand connections of one subject are a hundred, and others come in as ever.
func TestAttackManyConnections(t *testing.T) {
	t.Parallel() // the hub of each is its own
	f := fortified(t)
	var welcomed, limited, other atomic.Int64
	var group sync.WaitGroup
	var mu sync.Mutex
	var open []wire.Conn
	said := make(chan struct{})
	var beats sync.WaitGroup
	beats.Go(func() { // who says nothing for long makes room for others
		ping := frameOf(t, &wire.Ping{})
		for beat := time.NewTicker(5 * time.Second); ; {
			select {
			case <-said:
				beat.Stop()
				return
			case <-beat.C:
			}
			mu.Lock()
			for _, conn := range open {
				_ = conn.Write(context.Background(), ping) // those that were refused are over
			}
			mu.Unlock()
		}
	})
	hello := func(n int, text string) (wire.Message, error) {
		conn, err := ws.Dialer{}.Dial(program.Soon(t), program.DatabaseURL(f.hub.Addr(), "db"))
		if err != nil {
			return nil, err
		}
		defer func() {
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
		}()
		frame, _ := wire.Append(nil, &wire.Hello{Protocol: 1, Database: "db", Device: change.DeviceID{1, byte(n), byte(n >> 8)}, LowestHeld: 1, Credit: 1 << 20, Token: text})
		if err := conn.Write(program.Soon(t), frame); err != nil {
			return nil, err
		}
		if frame, err = conn.Read(program.Soon(t)); err != nil {
			return nil, err
		}
		return wire.DecodeDown(frame)
	}
	next := make(chan int)
	for range 20 {
		group.Go(func() {
			for n := range next {
				m, err := hello(n, f.writer)
				switch m := m.(type) {
				case *wire.Welcome:
					welcomed.Add(1)
				case *wire.Error:
					if m.Code == wire.CodeRateLimited && m.Retry > 0 {
						limited.Add(1)
					}
				default:
					other.Add(1)
					t.Errorf("%+v %v", m, err)
				}
			}
		})
	}
	for n := range 1000 {
		next <- n
	}
	close(next)
	group.Wait()
	if welcomed.Load() != 100 || limited.Load() != 900 || other.Load() != 0 {
		t.Errorf("%d were welcomed, %d limited", welcomed.Load(), limited.Load())
	}
	if m, err := hello(5000, f.sign(token.Claims{Subject: "bert", Databases: []string{"db"}})); err != nil || m.Type() != wire.TypeWelcome {
		t.Errorf("another subject: %+v %v", m, err)
	}
	close(said)
	beats.Wait()
	for _, conn := range open {
		go conn.Close(1000, "")
	}
}

// Two databases know nothing of each other, though one token is for both.
func TestAttackBetweenDatabases(t *testing.T) {
	t.Parallel() // the hub of each is its own
	f := fortified(t)
	both := f.sign(token.Claims{Subject: "anna", Databases: []string{"db", "other"}, Write: true})
	if status, code := f.call("GET", "/v1/other/object?collection=c&id=x", both, ""); status != 404 {
		t.Errorf("%d %s", status, code)
	}
	if status, code := f.call("POST", "/v1/other/batch", both, `{"writes": [{"collection": "c", "id": "y", "value": 2}]}`); status != 200 {
		t.Errorf("%d %s", status, code)
	}
	for path, want := range map[string]int{"/v1/other/object?collection=c&id=x": 404, "/v1/db/object?collection=c&id=y": 404, "/v1/other/object?collection=c&id=y": 200} {
		if status, code := f.call("GET", path, both, ""); status != want {
			t.Errorf("%s: %d %s", path, status, code)
		}
	}
	_, first := f.greets("db", both, 1)
	_, second := f.greets("other", both, 1) // the same device
	a, is := first.(*wire.Welcome)
	b, too := second.(*wire.Welcome)
	if !is || !too || a.Lineage == b.Lineage {
		t.Errorf("%+v, %+v", first, second)
	}
	p := f.dial("other") // one name at the door, and another inside
	p.say(&wire.Hello{Protocol: 1, Database: "db", Device: change.DeviceID{2}, LowestHeld: 1, Credit: 1, Token: both})
	p.refused("another name inside", p.hears(), wire.CodeInvalid)
}
