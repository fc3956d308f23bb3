package httpapi

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/store"
	"vsync/core/wire"
	"vsync/edge"
	"vsync/edge/token"
)

// A server has one database, "db", and tokens that are subjects, with "-" before who may only read.
type server struct {
	t       testing.TB
	url     string
	api     *API
	replica *core.Replica
	st      *store.Memory
	retry   atomic.Uint64 // what Charge answers
	open    atomic.Int64  // databases that were not released
	expires uint64
}

func newServer(t testing.TB) *server {
	s := &server{t: t, st: store.NewMemory(), expires: 1 << 50}
	s.start()
	s.api = New(Config{Open: s.database, Auth: s.auth, Origin: func(r *http.Request) bool { return r.Header.Get("Origin") == "https://app.example" }})
	server := httptest.NewServer(s.api)
	s.url = server.URL
	t.Cleanup(func() {
		server.Close()
		s.replica.Close()
		if n := s.open.Load(); n != 0 {
			t.Errorf("%d databases were not released", n)
		}
	})
	return s
}

func (s *server) start() {
	s.t.Helper()
	var err error
	s.replica, err = core.Open(context.Background(), s.st, core.Config{Role: core.RoleHub, Database: "db", Rand: rand.Reader,
		Now: func() uint64 { return uint64(time.Now().UnixMilli()) }, HubKey: []byte("0123456789abcdef")})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) crash() {
	s.t.Helper()
	s.st = s.st.Clone()
	s.replica.Kill()
	s.start()
}

func (s *server) database(_ context.Context, name string, write bool) (Database, error) {
	if name == "broken" {
		return Database{}, errors.New("/secret/path: broken")
	}
	if name != "db" {
		return Database{}, &core.Error{Code: NotFound, Message: "there is no such database"}
	}
	s.open.Add(1)
	return Database{Replica: s.replica, Release: func() { s.open.Add(-1) }, Charge: func(string, uint64, int) uint64 { return s.retry.Load() }}, nil
}

func (s *server) auth(_ context.Context, text, database string) (edge.Grant, error) {
	subject, reads := strings.CutPrefix(text, "-")
	switch {
	case text == "":
		return edge.Grant{}, &core.Error{Code: token.Unauthenticated, Message: "none came"}
	case database == "other":
		return edge.Grant{}, &core.Error{Code: core.Forbidden, Message: "another database"}
	}
	return edge.Grant{Subject: subject, ReadOnly: reads, Expires: s.expires}, nil
}

type headers map[string]string

// ask sends a request with the token "anna", if no other is given, and decodes the answer.
func (s *server) ask(method, path, body string, h headers, into any) *http.Response {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer anna")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range h {
		if req.Header.Set(name, value); value == "" {
			req.Header.Del(name)
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if method != "OPTIONS" {
		if err := description(s.t).Check(method, path, resp, text); err != nil {
			s.t.Error(err)
		}
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			s.t.Fatalf("%s %s: %v: %.200q", method, path, err, text)
		}
	}
	return resp
}

func (s *server) get(path string, into any) {
	s.t.Helper()
	if resp := s.ask("GET", path, "", nil, into); resp.StatusCode != 200 {
		s.t.Fatalf("%s: %s %+v", path, resp.Status, into)
	}
}

func (s *server) write(body string, h headers) string {
	s.t.Helper()
	var r receipt
	if resp := s.ask("POST", "/v1/db/batch", body, h, &r); resp.StatusCode != 200 || r.Version == "" {
		s.t.Fatalf("%.100s: %s", body, resp.Status)
	}
	return r.Version
}

// refused wants a status and a code.
func (s *server) refused(status int, code core.Code, method, path, body string, h headers) (p problem) {
	s.t.Helper()
	before := s.replica.Head()
	if resp := s.ask(method, path, body, h, &p); resp.StatusCode != status || p.Code != code || p.Message == "" {
		s.t.Errorf("%s %s %.80s: %s %+v, want %d %s", method, path, body, resp.Status, p, status, code)
	}
	if s.replica.Head() != before {
		s.t.Errorf("%s %s %.80s: it was refused, and something was written", method, path, body)
	}
	return p
}

func put(id, value string) string {
	return fmt.Sprintf(`{"writes": [{"collection": "c", "id": %q, "value": %s}]}`, id, value)
}

// What JSON cannot hold comes back as it was given, null too.
func TestWriteAndRead(t *testing.T) {
	s := newServer(t)
	for i, value := range []string{`{"text":"milk","n":[1,2.5,null]}`, `null`, `"ä"`, `{"$bytes":"aGk="}`, `{"$date":"2026-01-02T03:04:05.678Z"}`, `{"$int":"12345678901234567890"}`} {
		id := fmt.Sprint("a/b .. ", i)
		v := s.write(put(id, value), nil)
		var o object
		s.get("/v1/db/object?collection=c&id="+strings.ReplaceAll(id, " ", "%20"), &o)
		if string(o.Value) != value || o.Version != v || len(o.Frontier) != 1 || o.Frontier[0] != v || o.Time == 0 || o.ID != id || o.Collection != "c" {
			t.Errorf("%s: %+v", value, o)
		}
	}
	s.write(`{"writes": [{"collection": "c", "id": "x", "value": 1}, {"collection": "d", "id": "x", "value": 2}], "note": "both"}`, nil)
	v := s.write(`{"writes": [{"collection": "c", "id": "x", "delete": true}]}`, nil)
	p := s.refused(404, NotFound, "GET", "/v1/db/object?collection=c&id=x", "", nil)
	if len(p.Objects) != 1 || !p.Objects[0].Deleted || p.Objects[0].Frontier[0] != v {
		t.Errorf("%+v", p)
	}
	var page versionPage
	s.get("/v1/db/history?collection=c&id=x", &page)
	if len(page.Versions) != 2 || page.More || !page.Versions[0].Deleted || page.Versions[0].Parents[0] != page.Versions[1].Version ||
		string(page.Versions[1].Value) != "1" || page.Versions[1].Note != "both" {
		t.Errorf("%+v", page)
	}
	s.get("/v1/db/history?collection=c&id=x&limit=1", &page)
	if len(page.Versions) != 1 || !page.More {
		t.Errorf("%+v", page)
	}
	if resp := s.ask("HEAD", "/v1/db/object?collection=d&id=x", "", nil, nil); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
}

// Pages join without a gap or an overlap, whatever stands in the ids.
func TestScan(t *testing.T) {
	s := newServer(t)
	var writes []string
	for i := range 250 {
		writes = append(writes, fmt.Sprintf(`{"collection": "c", "id": "é %03d", "value": %d}`, i, i))
	}
	s.write(`{"writes": [`+strings.Join(writes, ",")+`, {"collection": "b", "id": "1", "value": 0}, {"collection": "d", "id": "1", "value": 0}]}`, nil)
	for _, limit := range []int{1, 7, 100, 250, 1000} {
		n, pages := 0, 0
		for cursor := ""; pages == 0 || cursor != ""; pages++ {
			var page objectPage
			s.get(fmt.Sprintf("/v1/db/scan?collection=c&prefix=%%C3%%A9&limit=%d&cursor=%s", limit, cursor), &page)
			for _, o := range page.Objects {
				if o.ID != fmt.Sprintf("é %03d", n) {
					t.Fatalf("limit %d: %q in the place of %d", limit, o.ID, n)
				}
				n++
			}
			cursor = page.Cursor
		}
		if n != 250 || pages != (250+limit-1)/limit {
			t.Errorf("limit %d: %d objects in %d pages", limit, n, pages)
		}
	}
	for range 5 {
		s.write(put("big", `"`+strings.Repeat("x", 1<<20-100)+`"`), nil)
	}
	for i := range 6 {
		s.write(put(fmt.Sprint("~", i), `"`+strings.Repeat("x", 1<<20-100)+`"`), nil)
	}
	var page objectPage
	if s.get("/v1/db/scan?collection=c&prefix=~", &page); len(page.Objects) != 5 || page.Cursor == "" {
		t.Errorf("a page has %d MB", len(page.Objects))
	}
}

// What is expected is what stands there, or nothing is written and the answer says what does.
func TestExpect(t *testing.T) {
	s := newServer(t)
	first := s.write(`{"writes": [{"collection": "c", "id": "n", "value": 1, "expect": []}]}`, nil)
	expecting := func(versions string) string {
		return fmt.Sprintf(`{"writes": [{"collection": "c", "id": "other", "value": 9}, {"collection": "c", "id": "n", "value": 2, "expect": [%s]}]}`, versions)
	}
	p := s.refused(409, changed, "POST", "/v1/db/batch", expecting(""), nil)
	if len(p.Objects) != 1 || string(p.Objects[0].Value) != "1" || p.Objects[0].Frontier[0] != first {
		t.Errorf("%+v", p)
	}
	second := s.write(expecting(`"`+first+`"`), nil)
	p = s.refused(409, changed, "POST", "/v1/db/batch", expecting(`"`+first+`"`), nil)
	if len(p.Objects) != 1 || p.Objects[0].Version != second {
		t.Errorf("%+v", p)
	}
	p = s.refused(409, changed, "POST", "/v1/db/batch", `{"writes": [{"collection": "c", "id": "new", "value": 1, "expect": ["`+first+`"]}]}`, nil)
	if len(p.Objects) != 1 || p.Objects[0].Version != "" || p.Objects[0].Value != nil {
		t.Errorf("%+v", p)
	}
	s.refused(400, core.Invalid, "POST", "/v1/db/batch", expecting(`"one"`), nil)

	var group sync.WaitGroup // of many who count, each counts once
	for i := range 4 {
		group.Go(func() {
			for done := 0; done < 10; {
				var o object
				s.get("/v1/db/object?collection=c&id=n", &o)
				n := 0
				json.Unmarshal(o.Value, &n)
				body := fmt.Sprintf(`{"writes": [{"collection": "c", "id": "n", "value": %d, "expect": ["%s"]}]}`, n+1, o.Frontier[0])
				if resp := s.ask("POST", "/v1/db/batch", body, headers{"Authorization": fmt.Sprint("Bearer s", i)}, nil); resp.StatusCode == 200 {
					done++
				} else if resp.StatusCode != 409 {
					t.Error(resp.Status)
					return
				}
			}
		})
	}
	group.Wait()
	var o object
	if s.get("/v1/db/object?collection=c&id=n", &o); string(o.Value) != "42" {
		t.Errorf("%s", o.Value)
	}
}

// A write that is asked for again, because its answer was lost, is written once, also by a hub that died meanwhile.
func TestIdempotencyKey(t *testing.T) {
	s := newServer(t)
	h := headers{"Idempotency-Key": "order 17"}
	v := s.write(put("x", "1"), h)
	other := s.write(put("x", "1"), headers{"Idempotency-Key": "order 18"})
	for range 3 {
		if again := s.write(put("x", "1"), h); again != v || again == other {
			t.Errorf("%s, then %s", v, again)
		}
		s.crash()
	}
	if n := s.replica.Head().Seq; n != 2 {
		t.Errorf("%d places", n)
	}
	s.refused(400, core.Invalid, "POST", "/v1/db/batch", put("x", "2"), h)
	s.refused(400, core.Invalid, "POST", "/v1/db/batch", put("x", "2"), headers{"Idempotency-Key": strings.Repeat("x", 256)})
	if bert := s.write(put("x", "1"), headers{"Idempotency-Key": "order 17", "Authorization": "Bearer bert"}); bert == v {
		t.Error("the key is another subject's")
	}
}

// Who follows from an export on has, at every moment, what is there: each batch once, whole, in order, whatever he waits for.
func TestChanges(t *testing.T) {
	s := newServer(t)
	s.write(put("a", "0"), nil)
	resp := s.ask("GET", "/v1/db/export", "", nil, nil)
	since := resp.Header.Get("Vsync-Marker")
	var page eventPage
	if s.get("/v1/db/changes", &page); len(page.Events) != 0 || page.Marker == "" {
		t.Errorf("%+v", page)
	}
	follow := func(query string) (got []string) {
		t.Helper()
		var page eventPage
		s.get("/v1/db/changes?since="+since+query, &page)
		for _, e := range page.Events {
			one := e.Note
			for _, o := range e.Changes {
				one += fmt.Sprintf(" %s/%s=%s", o.Collection, o.ID, o.Value)
			}
			got = append(got, one)
		}
		since = page.Marker
		return got
	}
	want := func(got []string, want ...string) {
		t.Helper()
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	want(follow(""))
	s.write(`{"writes": [{"collection": "c", "id": "a", "value": 1}, {"collection": "d", "id": "b", "value": 2}], "note": "both"}`, nil)
	s.write(`{"writes": [{"collection": "c", "id": "a", "delete": true}]}`, nil)
	want(follow("&limit=1"), "both c/a=1 d/b=2")
	s.crash()
	want(follow("&wait=30"), " c/a=")
	s.write(put("z", "3"), nil)
	want(follow("&collection=d"))

	done := make(chan []string) // it waits, and wakes only for what it wants
	go func() { done <- follow("&collection=d&wait=30") }()
	for s.open.Load() == 0 { // until it is there
		runtime.Gosched()
	}
	s.write(put("z", "4"), nil)
	s.write(`{"writes": [{"collection": "d", "id": "b", "value": 5}]}`, nil)
	want(<-done, " d/b=5")

	s.expires = uint64(time.Now().UnixMilli()) + 20 // the token ends while it waits
	want(follow("&wait=30"))
	s.expires = 1 << 50
	s.refused(410, core.UnknownMarker, "GET", "/v1/db/changes?since=0123456789abcdef-7-0", "", nil)
	s.refused(410, core.UnknownMarker, "GET", "/v1/db/changes?since=yesterday", "", nil)
	s.refused(400, core.Invalid, "GET", "/v1/db/changes?since=start", "", nil)
}

func TestExport(t *testing.T) {
	s := newServer(t)
	want := map[string]string{}
	for i := range 40 {
		value := fmt.Sprintf(`"%d %s"`, i, strings.Repeat("x", 10_000))
		s.write(put(fmt.Sprint(i), value), nil)
		want[fmt.Sprint("c/", i)] = value
	}
	s.write(`{"writes": [{"collection": "d", "id": "1", "value": null}]}`, nil)
	want["d/1"] = "null"
	for _, path := range []string{"/v1/db/export", "/v1/db/export?collection=c"} {
		req, _ := http.NewRequest("GET", s.url+path, nil)
		req.Header.Set("Authorization", "Bearer -reader")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/x-ndjson") {
			t.Error(kind)
		}
		n := 0
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); n++ {
			var l line
			if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(path, "?") != (l.Collection == "") {
				t.Errorf("%s: %+v", path, l)
			}
			if l.Collection == "" {
				l.Collection = "c"
			}
			if want[l.Collection+"/"+l.ID] != string(l.Value) {
				t.Errorf("%s/%s is %.20s", l.Collection, l.ID, l.Value)
			}
		}
		if wanted := map[bool]int{true: 40, false: 41}[strings.Contains(path, "?")]; n != wanted {
			t.Errorf("%s: %d lines", path, n)
		}
	}
}

// Each line is a request that is refused, and nothing is written.
func TestRefused(t *testing.T) {
	s := newServer(t)
	long := strings.Repeat("x", 600)
	post := func(status int, code core.Code, body string, h headers) {
		t.Helper()
		s.refused(status, code, "POST", "/v1/db/batch", body, h)
	}
	none := headers{"Authorization": ""}
	for name, route := range routes {
		body := ""
		if route.write {
			body = put("x", "1")
		}
		path := "/v1/db/" + name + "?collection=c&id=x"
		s.refused(401, token.Unauthenticated, route.method, path, body, none)
		s.refused(403, core.Forbidden, route.method, strings.Replace(path, "db", "other", 1), body, nil)
		s.refused(405, notAllowed, "DELETE", path, "", nil)
		s.refused(400, core.Invalid, route.method, "/v1/db/"+name+"?colection=c", body, nil)
		s.refused(400, core.Invalid, route.method, "/v1/db/"+name+"?collection=c&collection=d", body, nil)
		s.refused(400, core.Invalid, route.method, "/v1/db/"+name+"?%zz", body, nil)
		s.refused(404, NotFound, route.method, "/v1/none/"+name, body, nil)
		p := s.refused(500, core.Internal, route.method, "/v1/broken/"+name, body, nil)
		if strings.Contains(p.Message, "secret") {
			t.Errorf("it shows files: %+v", p)
		}
	}
	post(403, core.Forbidden, put("x", "1"), headers{"Authorization": "Bearer -bert"})
	for _, path := range []string{"/v1/db/", "/v1/db/objects", "/v1/db/object/x", "/v1/"} {
		s.refused(404, NotFound, "GET", path, "", nil)
	}
	for _, query := range []string{"object?collection=&id=x", "object?collection=c&id=", "object?collection=c&id=%ff", "history?collection=c&id=x&limit=0",
		"history?collection=c&id=x&limit=1001", "scan?limit=5", "scan?collection=c&limit=-1", "scan?collection=c&cursor=!", "scan?collection=c&cursor=_w",
		"changes?since=x&wait=31", "changes?since=x&wait=soon"} {
		s.refused(400, core.Invalid, "GET", "/v1/db/"+query, "", nil)
	}
	s.refused(400, core.KeyTooLong, "GET", "/v1/db/object?collection=c&id="+long, "", nil)
	s.refused(404, NotFound, "GET", "/v1/db/history?collection=c&id=none", "", nil)

	post(400, core.Invalid, "{", nil)
	post(400, core.Invalid, `{"writes": []}`, nil)
	post(400, core.Invalid, `{"writes": [{"collection": "c", "id": "x"}]}`, nil)
	post(400, core.Invalid, `{"writes": [{"collection": "c", "id": "x", "value": 1, "delete": true}]}`, nil)
	post(400, core.Invalid, `{"writes": [{"collection": "c", "id": "x", "value": 1, "expected": []}]}`, nil)
	post(400, core.Invalid, put("x", "1")+"{}", nil)
	post(400, core.Invalid, put("x", `{"$bytes": "no base64"}`), nil)
	post(400, core.Invalid, put("x", `{"a": 1, "a": 2}`), nil)
	post(400, core.Invalid, `{"writes": [{"collection": "c", "id": "x", "value": 1}, {"collection": "c", "id": "x", "value": 2}]}`, nil)
	post(400, core.Invalid, `{"writes": [{"collection": "$c", "id": "x", "value": 1}]}`, nil)
	post(400, core.Invalid, `{"writes": [{"collection": "c", "id": "x", "value": 1}], "note": "`+strings.Repeat(long, 2)+`"}`, nil)
	post(400, core.KeyTooLong, put(long, "1"), nil)
	post(413, core.ValueTooLarge, put("x", `"`+strings.Repeat("x", change.MaxValue)+`"`), nil)
	post(413, tooLarge, put("x", `"`+strings.Repeat("x", maxBody)+`"`), nil)
	post(400, core.Invalid, put("x", "1"), headers{"Content-Type": "text/plain"})
	if resp := s.ask("POST", "/v1/db/batch", `{"writes": [{"collection": "c", "id": "x", "value": 1}]}`, headers{"Content-Type": "application/json; charset=utf-8"}, nil); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
}

// A subject that asks for too much, or too often at once, is told when to come back; so is everybody by a hub that closes.
func TestLimited(t *testing.T) {
	s := newServer(t)
	s.retry.Store(1500)
	var p problem
	resp := s.ask("POST", "/v1/db/batch", put("x", "1"), nil, &p)
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "2" || p.Retry != 1500 || p.Code != core.Code(wire.CodeRateLimited) {
		t.Errorf("%s %v %+v", resp.Status, resp.Header, p)
	}
	s.retry.Store(0)
	var leaves []func()
	for range maxOfSubject {
		leave, err := s.api.gate.enter("anna")
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	s.refused(429, limited, "GET", "/v1/db/changes", "", nil)
	s.get("/v1/openapi.json", nil)
	if resp := s.ask("GET", "/v1/db/changes", "", headers{"Authorization": "Bearer bert"}, nil); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
	for i := range maxRequests - maxOfSubject {
		leave, err := s.api.gate.enter(fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	s.refused(429, limited, "GET", "/v1/db/changes", "", headers{"Authorization": "Bearer bert"})
	for _, leave := range leaves {
		leave()
	}
	s.get("/v1/db/changes", nil)
	if len(s.api.gate.of) != 0 {
		t.Error(s.api.gate.of)
	}
	s.replica.Close()
	s.refused(503, core.Closed, "GET", "/v1/db/object?collection=c&id=x", "", nil)
}

// Pages of an allowed origin read answers, and ask before they send; others get no word that lets them.
func TestOrigins(t *testing.T) {
	s := newServer(t)
	for origin, allowed := range map[string]bool{"https://app.example": true, "https://evil.example": false} {
		for _, method := range []string{"OPTIONS", "GET"} {
			resp := s.ask(method, "/v1/db/changes", "", headers{"Origin": origin}, nil)
			if got := resp.Header.Get("Access-Control-Allow-Origin"); (got == origin) != allowed || got != "" && !allowed {
				t.Errorf("%s %s: %q", method, origin, got)
			}
			if resp.Header.Get("Vary") != "Origin" {
				t.Error(resp.Header)
			}
		}
	}
	if resp := s.ask("OPTIONS", "/v1/db/batch", "", headers{"Authorization": "", "Origin": "https://app.example"}, nil); resp.StatusCode != 204 ||
		!strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "Idempotency-Key") {
		t.Error(resp.Status, resp.Header)
	}
}

func TestServes(t *testing.T) {
	for path, want := range map[string]bool{"/v1/openapi.json": true, "/v1/db/object": true, "/v1/db/": true, "/v1/db": false, "/v1/health": false, "/": false, "/v1/": false, "/v2/db/object": false} {
		if Serves(path) != want {
			t.Error(path)
		}
	}
}
