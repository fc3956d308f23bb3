//go:build !js

package web_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"vsync/web"
	"vsync/web/browser"
)

// caseTime is for one of the cases, on a machine that is busy.
const caseTime = 2 * time.Minute

const (
	casesHTML = `<!doctype html><title>cases</title><link rel="icon" href="/icon.svg"><script type="module">import * as cases from "/cases.js"; window.cases = cases;</script>`
	tabHTML   = `<!doctype html><title>tab</title><link rel="icon" href="/icon.svg"><script>window.vsync = import("/vsync.js")</script>`
)

// TestSDK runs test/chromium/cases.js: the SDK as it was built, with the engine as it was built.
func TestSDK(t *testing.T) {
	cases, err := os.ReadFile("test/chromium/cases.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"vsync.js", "vsync-worker.js", "vsync.wasm"} {
		if f, err := web.Files().Open(name); err != nil {
			t.Fatalf("%v: run ./build.sh wasm", err)
		} else {
			f.Close()
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(web.Files()))
	for path, page := range map[string][2]string{
		"/cases.html": {"text/html", casesHTML}, "/tab.html": {"text/html", tabHTML}, "/cases.js": {"text/javascript", string(cases)},
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", page[0])
			w.Write([]byte(page[1]))
		})
	}
	server := httptest.NewServer(mux)
	defer server.Close()
	b, err := browser.Start(t.Context(), browser.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var names []string
	func() {
		page := openCases(t, b, server.URL)
		defer page.Close()
		if err := page.Eval(t.Context(), &names, "Object.keys(cases)"); err != nil || len(names) == 0 {
			t.Fatalf("there are no cases: %v", err)
		}
	}()
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			page := openCases(t, b, server.URL)
			defer page.Close()
			ctx, cancel := context.WithTimeout(t.Context(), caseTime)
			defer cancel()
			if err := page.Eval(ctx, nil, "cases."+name+"()"); err != nil {
				t.Error(err)
			}
			for _, message := range page.Messages() {
				t.Error(message)
			}
		})
	}
}

func openCases(t *testing.T, b *browser.Browser, url string) *browser.Page {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), caseTime)
	defer cancel()
	page, err := b.Open(ctx, url+"/cases.html")
	if err != nil {
		t.Fatal(err)
	}
	if err := page.Until(ctx, "window.cases"); err != nil {
		t.Fatal(err)
	}
	return page
}
