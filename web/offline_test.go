//go:build !js

package web_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/chromedp"
	"github.com/evanw/esbuild/pkg/api"

	"vsync/web/browser"
)

// An application is served in builds; each of its files says of which build it is, and the page gathers what they say.
const (
	pageHTML = `<!doctype html><title>page %d</title><meta name="build" content="%d"><script type="module" src="/app.js"></script>`
	appJS    = `
import { build, keepOffline } from "/vsync.js";
const worker = new Worker("/vsync-worker.js");
const fromWorker = new Promise((done) => (worker.onmessage = ({ data }) => done(data)));
window.updates = 0;
window.parts = Promise.all([Number(document.querySelector("meta").content), %d, build, fromWorker, fetch("/vsync.wasm").then((r) => r.json())]);
window.kept = keepOffline({ files: ["/app.js"], onUpdate: (take) => { window.updates++; window.take = take; } });`
	workerJS = `postMessage(%d);`
)

var names = []string{"/", "/app.js", "/vsync.js", "/vsync-worker.js", "/vsync.wasm", "/vsync-sw.js"}

// built returns the files of one build of the application, on one build of vsync.
func built(t *testing.T, app, vsync int) map[string]string {
	t.Helper()
	files := map[string]string{
		"/":                fmt.Sprintf(pageHTML, app, app),
		"/app.js":          fmt.Sprintf(appJS, app),
		"/vsync.js":        bundle(t, "src/offline.ts", api.FormatESModule, nil) + fmt.Sprintf("\nexport const build = %d;", vsync),
		"/vsync-worker.js": fmt.Sprintf(workerJS, vsync),
		"/vsync.wasm":      fmt.Sprint(vsync),
	}
	sums := map[string]string{}
	for _, name := range names[2:5] {
		sum := sha256.Sum256([]byte(files[name]))
		sums[name[1:]] = hex.EncodeToString(sum[:])
	}
	text, err := json.Marshal(sums)
	if err != nil {
		t.Fatal(err)
	}
	files["/vsync-sw.js"] = bundle(t, "src/sw.ts", api.FormatIIFE, map[string]string{"FILES": string(text)})
	return files
}

func bundle(t *testing.T, entry string, format api.Format, define map[string]string) string {
	t.Helper()
	result := api.Build(api.BuildOptions{EntryPoints: []string{entry}, Bundle: true, Format: format, Target: api.ES2022, Define: define})
	for _, message := range result.Errors {
		t.Errorf("%s: %s", entry, message.Text)
	}
	if t.Failed() {
		t.FailNow()
	}
	return string(result.OutputFiles[0].Contents)
}

// A site is a server at one address, that can be away.
type site struct {
	t       *testing.T
	address string

	mu     sync.Mutex
	server *http.Server
	files  map[string]string
	asked  map[string]int                 // by method and path
	before func(path string, fromSW bool) // called with mu held
	stuck  chan struct{}                  // not nil: what is asked for is not answered before it is closed
}

func newSite(t *testing.T, files map[string]string) *site {
	s := &site{t: t, files: files, asked: map[string]int{}, address: "127.0.0.1:0"}
	s.up()
	t.Cleanup(s.down)
	return s
}

func (s *site) url() string { return "http://" + s.address + "/" }

func (s *site) up() {
	s.t.Helper()
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.address = listener.Addr().String()
	s.server = &http.Server{Handler: s}
	go s.server.Serve(listener)
}

func (s *site) down() { s.server.Close() }

func (s *site) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *site) deploy(files map[string]string) { s.set(func() { s.files = files }) }

func (s *site) requests(what string) (n int) {
	s.set(func() { n = s.asked[what] })
	return n
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.before != nil {
		s.before(r.URL.Path, r.Header.Get("Sec-Fetch-Dest") == "empty")
	}
	s.asked[r.Method+" "+r.URL.Path]++
	text, there := s.files[r.URL.Path]
	stuck := s.stuck
	s.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	kinds := map[string]string{"/": "text/html", "m": "application/wasm", "s": "text/javascript"}
	kind := kinds[r.URL.Path[len(r.URL.Path)-1:]]
	switch {
	case there:
		sum := sha256.Sum256([]byte(text))
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "max-age=3600") // the worst that a server does to updates
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sum[:8]))
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	case strings.HasPrefix(r.URL.Path, "/v1/"), r.URL.Path == "/now.txt", r.URL.Path == "/never.txt":
		if r.URL.Path == "/never.txt" {
			w.Header().Set("Cache-Control", "no-store")
		}
		fmt.Fprint(w, "said by the server")
	default:
		http.NotFound(w, r)
	}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// A tab is a page of the application.
type tab struct {
	t   *testing.T
	ctx context.Context
	*browser.Page
}

func startBrowser(t *testing.T, dir string) *browser.Browser {
	t.Helper()
	b, err := browser.Start(within(t), browser.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func openTab(t *testing.T, b *browser.Browser, url string) tab {
	t.Helper()
	page, err := b.Open(within(t), url)
	if err != nil {
		t.Fatal(err)
	}
	return tab{t, within(t), page}
}

func (p tab) eval(into any, expression string) {
	p.t.Helper()
	if err := p.Eval(p.ctx, into, expression); err != nil {
		p.t.Fatalf("%v; printed: %v", err, p.Messages())
	}
}

func (p tab) reload() {
	p.t.Helper()
	if err := p.Reload(p.ctx); err != nil {
		p.t.Fatal(err)
	}
}

// isKept waits until the application is kept.
func (p tab) isKept() {
	p.t.Helper()
	p.eval(nil, "window.kept")
}

// isWhole checks of which build the files are that this page is made of.
func (p tab) isWhole(app, vsync int) {
	p.t.Helper()
	var got []int
	p.eval(&got, "window.parts")
	if fmt.Sprint(got) != fmt.Sprint([]int{app, app, vsync, vsync, vsync}) {
		p.t.Fatalf("page, script, SDK, worker and engine are of builds %v, want %d on %d", got, app, vsync)
	}
}

// becomes waits until the page is of a build; it loads by itself.
func (p tab) becomes(app, vsync int) {
	p.t.Helper()
	p.until(fmt.Sprintf(`document.title === "page %d" && document.readyState === "complete" && !!window.parts`, app))
	p.isWhole(app, vsync)
}

// until asks again in pages that come one after the other.
func (p tab) until(expression string) {
	p.t.Helper()
	for {
		var is bool
		if err := p.Eval(p.ctx, &is, expression); err == nil && is {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-p.ctx.Done():
			p.t.Fatalf("never: %s; printed: %v", expression, p.Messages())
		}
	}
}

// check looks for a new version, and says whether there is one.
func (p tab) check() (is bool) {
	p.t.Helper()
	p.eval(&is, "window.kept.then((kept) => kept.check())")
	return is
}

func (p tab) text(path string) (text string) {
	p.t.Helper()
	p.eval(&text, fmt.Sprintf(`fetch(%q).then((r) => r.text(), () => "failed")`, path))
	return text
}

func TestOffline(t *testing.T) {
	b := startBrowser(t, "")
	s := newSite(t, built(t, 1, 1))
	p := openTab(t, b, s.url())
	p.isWhole(1, 1)
	p.isKept()
	p.until("!!navigator.serviceWorker.controller")
	p.text("/never.txt")
	p.text("/now.txt")
	p.until(`caches.match("/now.txt").then(Boolean)`) // the copy is made behind the answer
	if got := p.text("/v1/health"); got != "said by the server" {
		t.Errorf("the feed: %q", got)
	}

	s.down()
	p.reload()
	p.isWhole(1, 1)
	p.isKept()
	for path, want := range map[string]string{"/now.txt": "said by the server", "/never.txt": "failed", "/v1/health": "failed", "/other.txt": "failed"} {
		if got := p.text(path); got != want {
			t.Errorf("%s without a network: %q, want %q", path, got, want)
		}
	}
	for _, path := range []string{"?db=notes#x", "some/where"} {
		if err := p.Go(p.ctx, s.url()+path); err != nil {
			t.Fatal(err)
		}
		p.isWhole(1, 1)
	}
	// Another tab, and the first one after it.
	openTab(t, b, s.url()).isWhole(1, 1)

	s.up()
	posts := s.requests("POST /now.txt")
	p.eval(nil, `fetch("/now.txt", {method: "POST"})`)
	if s.requests("POST /now.txt") != posts+1 || p.text("/other.txt") != "404 page not found\n" {
		t.Error("the network is back, and is not used")
	}
}

// A server that takes requests and does not answer is worse than none.
func TestBehindADeadNetwork(t *testing.T) {
	b := startBrowser(t, "")
	s := newSite(t, built(t, 1, 1))
	p := openTab(t, b, s.url())
	p.isKept()
	stuck := make(chan struct{})
	s.set(func() { s.stuck = stuck })
	defer close(stuck)
	from := time.Now()
	p.reload()
	p.isWhole(1, 1)
	t.Logf("loaded again in %v", time.Since(from))
}

func TestNewVersionOfTheApplication(t *testing.T) {
	b := startBrowser(t, "")
	s := newSite(t, built(t, 1, 1))
	first := openTab(t, b, s.url())
	first.isKept()
	second := openTab(t, b, s.url())
	second.isKept()
	if first.check() {
		t.Error("there is a new version, and nothing has changed")
	}

	s.deploy(built(t, 2, 1))
	first.reload() // is what looks
	first.isWhole(1, 1)
	for _, p := range []tab{first, second} {
		p.until("window.updates === 1")
	}
	second.reload() // changes nothing but that it is told too
	second.isWhole(1, 1)
	second.until("window.updates === 1")
	first.eval(nil, "window.take()")
	first.becomes(2, 1)
	second.becomes(2, 1)
	s.down()
	first.reload()
	first.isWhole(2, 1)
}

func TestNewVersionOfEverything(t *testing.T) {
	b := startBrowser(t, "")
	s := newSite(t, built(t, 1, 1))
	p := openTab(t, b, s.url())
	p.isKept()
	s.deploy(built(t, 1, 2)) // only vsync is another
	if !p.check() {
		t.Fatalf("the new version is not found; printed: %v", p.Messages())
	}
	p.until("window.updates === 1")
	p.isWhole(1, 1)
	s.down()
	p.reload()
	p.isWhole(1, 1)
	p.until("!!window.take")
	p.eval(nil, "window.take()")
	p.until(`window.parts.then((parts) => parts[2] === 2)`)
	p.isWhole(1, 2)
}

// Who opens the first page gets what is new without being asked.
func TestNewVersionWithoutAPage(t *testing.T) {
	b := startBrowser(t, "")
	s := newSite(t, built(t, 1, 1))
	p := openTab(t, b, s.url())
	p.isKept()
	s.deploy(built(t, 2, 2))
	if !p.check() {
		t.Fatal("the new version is not found")
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	s.down()
	p = openTab(t, b, "")
	if err := p.Go(p.ctx, s.url()); err != nil {
		t.Fatal(err)
	}
	p.isWhole(2, 2)
}

// A deployment that goes one file after the other is taken when it is done, and never in between.
func TestDeploymentInSteps(t *testing.T) {
	b := startBrowser(t, "")
	before, after := built(t, 1, 1), built(t, 2, 2)
	s := newSite(t, before)
	p := openTab(t, b, s.url())
	p.isKept()
	files := map[string]string{}
	for name, text := range before {
		files[name] = text
	}
	for i, name := range []string{"/vsync.wasm", "/", "/vsync-sw.js", "/app.js", "/vsync.js"} {
		files[name] = after[name]
		next := map[string]string{}
		for name, text := range files {
			next[name] = text
		}
		s.deploy(next)
		if found := p.check(); found {
			t.Fatalf("after step %d a new version is found", i)
		}
	}
	s.down()
	p.reload()
	p.isWhole(1, 1)
	s.up()
	s.deploy(after)
	if !p.check() {
		t.Fatalf("the new version is not found; printed: %v", p.Messages())
	}
	p.eval(nil, "window.kept.then((kept) => kept.take())")
	p.becomes(2, 2)
}

// Files that change between two requests of the service worker are not put together.
func TestDeploymentUnderneath(t *testing.T) {
	b := startBrowser(t, "")
	s := newSite(t, built(t, 1, 1))
	p := openTab(t, b, s.url())
	p.isKept()
	second, third := built(t, 2, 1), built(t, 3, 1)
	s.deploy(second)
	s.set(func() {
		pages := 0
		s.before = func(path string, fromSW bool) {
			if path != "/" || !fromSW {
				return
			}
			// The look, the first collection, and, before this page is answered, the change under the other files.
			if pages++; pages == 2 {
				s.files = map[string]string{}
				for name, text := range third {
					s.files[name] = text
				}
				s.files["/"] = second["/"]
			} else if pages == 3 {
				s.files = third
			}
		}
	})
	if !p.check() {
		t.Fatalf("the new version is not found; printed: %v", p.Messages())
	}
	p.eval(nil, "window.kept.then((kept) => kept.take())")
	p.becomes(3, 1)
}

func TestFullDisk(t *testing.T) {
	b := startBrowser(t, "")
	s := newSite(t, built(t, 1, 1))
	p := openTab(t, b, s.url())
	p.isKept()
	larger := built(t, 2, 1)
	larger["/app.js"] += "//" + strings.Repeat("large ", 1<<20)
	s.deploy(larger)
	quota := func(bytes *float64) {
		t.Helper()
		err := p.Do(p.ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, storage.OverrideQuotaForOrigin, storage.OverrideQuotaForOriginParams{Origin: strings.TrimSuffix(s.url(), "/"), QuotaSize: bytes})
			return err
		}))
		if err != nil {
			t.Fatal(err)
		}
	}
	little := 1e6
	quota(&little)
	if p.check() {
		t.Fatal("a version that does not fit was taken")
	}
	var caches []string
	p.eval(&caches, "caches.keys()")
	if len(caches) > 3 {
		t.Errorf("what does not fit left %q", caches)
	}
	s.down()
	p.reload()
	p.isWhole(1, 1)
	s.up()
	quota(nil)
	if !p.check() {
		t.Fatal("the new version is not found, and there is room for it")
	}
}

// A version that lacks a file is none.
func TestBrokenVersion(t *testing.T) {
	b := startBrowser(t, "")
	s := newSite(t, built(t, 1, 1))
	p := openTab(t, b, s.url())
	p.isKept()
	broken := built(t, 2, 2)
	delete(broken, "/vsync-worker.js")
	s.deploy(broken)
	if p.check() {
		t.Fatal("a version that lacks a file was taken")
	}
	s.down()
	p.reload()
	p.isWhole(1, 1)
}

// A browser that died has lost the notes, which it wrote last, and has the files. An older set that is not whole stands beside them.
func TestNotesAreLost(t *testing.T) {
	b := startBrowser(t, "")
	s := newSite(t, built(t, 1, 1))
	p := openTab(t, b, s.url())
	p.isKept()
	var lost int
	p.eval(&lost, `(async () => {
		const names = (await caches.keys()).filter((name) => name.endsWith(' notes'));
		for (const name of names) await (await caches.open(name)).delete(location.href);
		const set = (await caches.keys()).find((name) => name.includes(' set '));
		const half = await caches.open(set.replace(/.$/, (last) => (last === '0' ? '1' : '0')));
		await half.put('/app.js', new Response('throw "half"'));
		return names.length;
	})()`)
	if lost != 1 {
		t.Fatalf("%d notes were lost, expected one", lost)
	}
	s.down()
	p.reload()
	p.isWhole(1, 1)
	s.up()
	s.deploy(built(t, 2, 2))
	if !p.check() {
		t.Fatal("the new version is not found after the loss")
	}
}

// The browser dies while a version is collected, and after it.
func TestBrowserDies(t *testing.T) {
	dir := t.TempDir()
	b := startBrowser(t, dir)
	s := newSite(t, built(t, 1, 1))
	p := openTab(t, b, s.url())
	p.isKept()
	s.deploy(built(t, 2, 2))
	stuck, reached := make(chan struct{}), make(chan struct{})
	s.set(func() {
		s.before = func(path string, fromSW bool) {
			if path == "/vsync.wasm" && s.stuck == nil {
				s.stuck = stuck
				close(reached)
			}
		}
	})
	p.eval(nil, "void window.kept.then((kept) => kept.check())")
	select {
	case <-reached:
	case <-p.ctx.Done():
		t.Fatal("the new version is not collected")
	}
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	close(stuck)
	s.set(func() { s.before, s.stuck = nil, nil })
	s.down()

	b = startBrowser(t, dir)
	p = openTab(t, b, s.url())
	p.isWhole(1, 1)
	s.up()
	if !p.check() {
		t.Fatal("the new version is not found after the crash")
	}
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	s.down()
	openTab(t, startBrowser(t, dir), s.url()).isWhole(2, 2)
}
