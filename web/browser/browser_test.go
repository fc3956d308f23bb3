package browser_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vsync/web/browser"
)

const html = `<!doctype html><title>test</title><script>
const kept = () => new Promise((done, failed) => {
	const open = indexedDB.open("kept");
	open.onupgradeneeded = () => open.result.createObjectStore("rows");
	open.onerror = () => failed(open.error);
	open.onsuccess = () => done(open.result);
});
const request = (r) => new Promise((done, failed) => { r.onsuccess = () => done(r.result); r.onerror = () => failed(r.error); });
</script>`

// site is a page, a worker of each kind, and nothing else.
func site(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	serve := func(path, kind, body string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Write([]byte(body))
		})
	}
	serve("/{$}", "text/html", html)
	serve("/worker.js", "text/javascript", `console.log("a worker speaks"); onmessage = () => { throw new Error("a worker fails"); };`)
	serve("/shared.js", "text/javascript", `console.log("a shared worker speaks"); let n = 41; onconnect = (e) => { n++; e.ports[0].postMessage(n); };`)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL + "/"
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T, o browser.Options) *browser.Browser {
	t.Helper()
	b, err := browser.Start(within(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func open(t *testing.T, b *browser.Browser, url string) *browser.Page {
	t.Helper()
	page, err := b.Open(within(t), url)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func TestMissing(t *testing.T) {
	t.Setenv("CHROMIUM", "/nowhere/chromium")
	_, err := browser.Start(within(t), browser.Options{})
	if !errors.Is(err, browser.ErrMissing) || !strings.HasSuffix(err.Error(), "install chromium, or set CHROMIUM") {
		t.Fatalf("CHROMIUM points nowhere: %v", err)
	}
	t.Setenv("CHROMIUM", "")
	t.Setenv("PATH", t.TempDir())
	_, err = browser.Start(within(t), browser.Options{})
	if !errors.Is(err, browser.ErrMissing) || !strings.HasSuffix(err.Error(), "install chromium, or set CHROMIUM") {
		t.Fatalf("an empty PATH: %v", err)
	}
}

// A program that is no browser is told with its name, and leaves nothing behind.
func TestStartFails(t *testing.T) {
	program := filepath.Join(t.TempDir(), "chromium")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	t.Setenv("CHROMIUM", program)
	if _, err := browser.Start(within(t), browser.Options{}); err == nil || !strings.Contains(err.Error(), program) {
		t.Fatalf("start of a program that ends at once: %v", err)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
		t.Fatalf("it left %v, %v", left, err)
	}
}

func TestEval(t *testing.T) {
	b := start(t, browser.Options{})
	page := open(t, b, site(t))
	ctx := within(t)

	var title string
	if err := page.Eval(ctx, &title, "document.title"); err != nil || title != "test" {
		t.Errorf("a value: %q, %v", title, err)
	}
	var list []int
	if err := page.Eval(ctx, &list, "new Promise((done) => setTimeout(done, 1, [1, 2, 3]))"); err != nil || len(list) != 3 {
		t.Errorf("a promise: %v, %v", list, err)
	}
	sum := 0
	if err := page.Call(ctx, &sum, "async (a, b) => a.n + b", map[string]int{"n": 40}, 2); err != nil || sum != 42 {
		t.Errorf("a call: %d, %v", sum, err)
	}
	nothing := &sum
	if err := page.Call(ctx, &nothing, "() => {}"); err != nil || nothing != nil {
		t.Errorf("undefined: %v, %v", nothing, err)
	}
	var thrown *browser.Exception
	if err := page.Eval(ctx, nil, "Promise.reject(new TypeError('no milk'))"); !errors.As(err, &thrown) || !strings.Contains(thrown.Text, "TypeError: no milk") {
		t.Errorf("a rejection: %v", err)
	}
	if err := page.Eval(ctx, nil, "nobody.home()"); !errors.As(err, &thrown) || !strings.Contains(thrown.Text, "nobody is not defined") {
		t.Errorf("an exception: %v", err)
	}
	if err := page.Eval(ctx, nil, "setTimeout(() => { globalThis.late = 'here' }, 20)"); err != nil {
		t.Error(err)
	}
	if err := page.Until(ctx, "globalThis.late === 'here'"); err != nil {
		t.Errorf("until: %v", err)
	}

	brief, cancel := context.WithTimeoutCause(ctx, 50*time.Millisecond, errors.New("too long"))
	defer cancel()
	if err := page.Until(brief, "false"); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("what never becomes true: %v", err)
	}
	if err := page.Eval(ctx, &title, "document.title"); err != nil {
		t.Errorf("after a call whose time ran out: %v", err)
	}
}

// All that a page and its workers print and throw can be read, from the page or from the browser.
func TestMessages(t *testing.T) {
	b := start(t, browser.Options{})
	page := open(t, b, site(t))
	ctx := within(t)
	if err := page.Eval(ctx, nil, `(() => {
		console.log("a page speaks", 7);
		setTimeout(() => { throw new Error("a page fails") });
		Promise.reject(new Error("a page breaks its word"));
		new Worker("worker.js").postMessage(1);
		new SharedWorker("shared.js");
	})()`); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"log: a page speaks 7", "exception: Uncaught Error: a page fails", "exception: Uncaught (in promise) Error: a page breaks its word",
		"log: a worker speaks", "exception: Uncaught Error: a worker fails", "log: a shared worker speaks",
	} {
		await(t, want, func() bool {
			for _, m := range b.Messages() {
				if strings.HasPrefix(m.String(), want) {
					return true
				}
			}
			return false
		})
	}
	for _, m := range page.Messages() {
		if strings.Contains(m.Text, "worker speaks") {
			t.Errorf("a worker's message counts as the page's: %v", m)
		}
	}
}

// await polls what no event tells.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("there is still no %q", what)
		}
	}
}

// A shared worker can be looked into and killed under its page.
func TestSharedWorker(t *testing.T) {
	b := start(t, browser.Options{})
	page := open(t, b, site(t))
	ctx := within(t)
	const connect = `new Promise((done) => { new SharedWorker("shared.js", "counter").port.onmessage = (e) => done(e.data); })`
	n := 0
	for _, want := range []int{42, 43} {
		if err := page.Eval(ctx, &n, connect); err != nil || n != want {
			t.Fatalf("the worker says %d, want %d, %v", n, want, err)
		}
	}
	shared := func(target browser.Target) bool { return target.Type == "shared_worker" }
	worker, err := b.Worker(ctx, shared)
	if err != nil {
		t.Fatal(err)
	}
	if err := worker.Eval(ctx, &n, "n"); err != nil || n != 43 {
		t.Fatalf("inside the worker: %d, %v", n, err)
	}
	if err := worker.Close(); err != nil {
		t.Fatal(err)
	}
	targets, err := b.Targets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		if shared(target) {
			if err := b.CloseTarget(ctx, target.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	await(t, "end of the worker", func() bool {
		_, err := b.Worker(ctx, shared)
		return err != nil
	})
	if err := page.Eval(ctx, &n, connect); err != nil || n != 42 {
		t.Fatalf("a new worker says %d, %v", n, err)
	}
}

// What was stored is there after SIGKILL, for the next process on the same directory.
func TestKillAndStartAgain(t *testing.T) {
	url, dir := site(t), t.TempDir()
	b := start(t, browser.Options{Dir: dir})
	first := b.PID()
	page := open(t, b, url)
	if err := page.Eval(within(t), nil, `(async () => {
		const tx = (await kept()).transaction("rows", "readwrite", { durability: "strict" });
		tx.objectStore("rows").put("milk", "a");
		await new Promise((done) => { tx.oncomplete = done });
	})()`); err != nil {
		t.Fatal(err)
	}
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-b.Done():
	default:
		t.Error("a killed browser is not done")
	}
	if err := page.Eval(within(t), nil, "1"); err == nil {
		t.Error("a page of a killed browser answers")
	}
	if err := b.Kill(); err != nil {
		t.Errorf("a second kill: %v", err)
	}

	b = start(t, browser.Options{Dir: b.Dir()})
	if b.PID() == first {
		t.Errorf("both have process id %d", first)
	}
	var value string
	page = open(t, b, url)
	if err := page.Eval(within(t), &value, `(async () => request((await kept()).transaction("rows").objectStore("rows").get("a")))()`); err != nil || value != "milk" {
		t.Fatalf("after the kill: %q, %v", value, err)
	}
}

func TestPagesLife(t *testing.T) {
	b := start(t, browser.Options{})
	url := site(t)
	page := open(t, b, url)
	ctx := within(t)
	if err := page.Eval(ctx, nil, "globalThis.mark = 1"); err != nil {
		t.Fatal(err)
	}
	if err := page.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	fresh := false
	if err := page.Eval(ctx, &fresh, "globalThis.mark === undefined"); err != nil || !fresh {
		t.Errorf("after a reload: %v, %v", fresh, err)
	}
	if err := page.Offline(ctx, true); err != nil {
		t.Fatal(err)
	}
	if err := page.Eval(ctx, nil, "fetch('/')"); err == nil {
		t.Error("a page that is offline reaches its server")
	}
	if err := page.Offline(ctx, false); err != nil {
		t.Fatal(err)
	}
	if err := page.Eval(ctx, nil, "fetch('/')"); err != nil {
		t.Errorf("online again: %v", err)
	}
	if err := page.Crash(ctx); err != nil {
		t.Fatal(err)
	}
	if err := page.Go(ctx, url); err != nil {
		t.Fatalf("after a crash: %v", err)
	}
	if err := page.Eval(ctx, &fresh, "document.title === 'test'"); err != nil || !fresh {
		t.Errorf("after a crash: %v, %v", fresh, err)
	}
	if err := page.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open(ctx, strings.Replace(url, "http:", "wrong:", 1)); err == nil {
		t.Error("a URL that leads nowhere opens")
	}
	targets, err := b.Targets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		if target.URL == url {
			t.Errorf("a closed page is still there: %+v", target)
		}
	}
}

// The directory that nobody named is gone with the browser, one that was named stays.
func TestCloseRemovesItsDirectory(t *testing.T) {
	b := start(t, browser.Options{})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(b.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary directory after the close: %v", err)
	}
}
