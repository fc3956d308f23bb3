package host

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

func TestPage(t *testing.T) {
	r := start(t, Config{})
	for path, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/index.html": "text/html; charset=utf-8", "/page.js": "text/javascript; charset=utf-8",
		"/page.css": "text/css; charset=utf-8", "/icon.svg": "image/svg+xml",
	} {
		response, body := r.get(path)
		if response.StatusCode != 200 || response.Header.Get("Content-Type") != kind || body == "" {
			t.Errorf("%s: %d %v", path, response.StatusCode, response.Header)
		}
		tag := response.Header.Get("ETag")
		if again, body := r.get(path, "If-None-Match", tag); tag == "" || again.StatusCode != 304 || body != "" {
			t.Errorf("%s again: %d, tag %s", path, again.StatusCode, tag)
		}
	}
}

// readHeaders reads web/static/_headers: a path on a line of its own, then its headers, indented. "/*" is every path.
func readHeaders(t *testing.T) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../web/static/_headers")
	if err != nil {
		t.Fatal(err)
	}
	byPath := map[string]map[string]string{}
	path := ""
	for line := range strings.Lines(string(text)) {
		name, value, is := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case strings.HasPrefix(line, "/"):
			path = strings.TrimSpace(line)
			byPath[path] = map[string]string{}
		case is:
			byPath[path][name] = value
		}
	}
	return byPath
}

// A path has the same headers here as at hosts that read web/static/_headers.
func TestHeaders(t *testing.T) {
	r, written := start(t, Config{}), readHeaders(t)
	if len(written["/*"]) != len(headers) || len(written) != 1+len(publicPaths) || len(headers) < 3 {
		t.Errorf("_headers has %d headers for all, and %d paths; the server %d, and %d", len(written["/*"]), len(written)-1, len(headers), len(publicPaths))
	}
	for path, own := range written {
		if path == "/*" {
			path, own = "/", nil
		} else if !publicPaths[path] || len(own) != len(publicHeaders) {
			t.Errorf("%s: _headers has %d for it, the server %v and %d", path, len(own), publicPaths[path], len(publicHeaders))
		}
		response, _ := r.get(path)
		for _, wanted := range []map[string]string{written["/*"], own} {
			for name, value := range wanted {
				if got := response.Header.Get(name); got != value {
					t.Errorf("%s: %s: %q, want %q", path, name, got, value)
				}
			}
		}
	}
}

// Any page may load the SDK, and read why it gets no socket; the hub is for those that may use it.
func TestTheSDKIsForEveryOrigin(t *testing.T) {
	r := start(t, Config{Origins: []string{"https://app.example"}})
	for path, want := range map[string]struct{ let, read bool }{
		"/vsync.js": {true, true}, "/vsync-worker.js": {true, true}, "/vsync.wasm": {true, true}, "/v1/notes": {false, true},
		"/": {}, "/vsync-sw.js": {}, "/v1/health": {},
	} {
		response, body := r.get(path, "Origin", "https://elsewhere.example")
		if (response.StatusCode != 403) != want.let || (response.Header.Get("Access-Control-Allow-Origin") == "*") != want.read {
			t.Errorf("%s: %d %s %v", path, response.StatusCode, body, response.Header)
		}
		if response, _ := r.get(path, "Origin", "https://app.example"); response.StatusCode == 403 {
			t.Errorf("%s: an allowed origin is refused", path)
		}
	}
	if response, body := r.get("/v1/notes", "Origin", "https://app.example"); response.StatusCode != 426 || !strings.Contains(body, "vsync.1") {
		t.Errorf("a request that is no upgrade: %d %q", response.StatusCode, body)
	}
}

func TestChoose(t *testing.T) {
	for accept, want := range map[string]string{
		"":                                 "",
		"br":                               "br",
		"gzip":                             "gzip",
		"gzip, deflate, br, zstd":          "br",
		"deflate":                          "",
		"*":                                "br",
		"identity":                         "",
		"BR ; Q=1.0":                       "br",
		"br;q=0":                           "",
		"br;q=0, gzip":                     "gzip",
		"br;q=0.5,gzip;q=0.8":              "gzip",
		"br;q=0.5, gzip;q=0.5":             "br",
		"br;q=0.5, identity":               "",
		"gzip;q=0.1, identity;q=0.2":       "",
		"*;q=0":                            "",
		"*;q=0.5, br;q=0":                  "gzip",
		"gzip, *;q=0":                      "gzip",
		"identity;q=0, gzip;q=0.001":       "gzip",
		"br;q=high":                        "",
		"br;q=2, gzip;q=NaN":               "",
		"br;level=3":                       "",
		"gzip;q=0.300 , ,br;q=0.2":         "gzip",
		"brotli, x-br, gzipped":            "",
		"identity;q=0, *;q=0, deflate;q=1": "",
	} {
		if got := choose(http.Header{"Accept-Encoding": {accept}}); got.coding != want {
			t.Errorf("%q: got %q, want %q", accept, got.coding, want)
		}
	}
	if got := choose(http.Header{"Accept-Encoding": {"deflate", "gzip"}}); got.coding != "gzip" {
		t.Errorf("in two lines: got %q", got.coding)
	}
	if got := choose(http.Header{"Accept-Encoding": {"br"}, "Range": {"bytes=0-1"}}); got.coding != "" {
		t.Errorf("for a part: got %q", got.coding)
	}
}

// compressed returns files as package web has them: app.wasm with two forms, old.js with forms of another content.
func compressed(t *testing.T) (f *files, whole string, br, gz []byte) {
	t.Helper()
	whole = strings.Repeat("what is to be sent, ", 500)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write([]byte(whole)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	br, gz = []byte("what stands for brotli"), zipped.Bytes()
	sum := sha256.Sum256([]byte(whole))
	return &files{
		fs: fstest.MapFS{
			"app.wasm": {Data: []byte(whole)}, "app.wasm.br": {Data: br}, "app.wasm.gz": {Data: gz},
			"old.js": {Data: []byte("new")}, "old.js.br": {Data: []byte("old")}, "old.js.gz": {Data: []byte("old")},
			"lost.js": {Data: []byte(whole)}, "plain.js": {Data: []byte("plain")},
		},
		encoded: map[string]string{"app.wasm": hex.EncodeToString(sum[:]), "old.js": hex.EncodeToString(sum[:]), "lost.js": hex.EncodeToString(sum[:])},
		sums:    map[string]string{},
	}, whole, br, gz
}

// ask serves one request over a real connection, without a client that decodes by itself.
func ask(t *testing.T, f http.Handler, method, path string, header ...string) (*http.Response, []byte) {
	t.Helper()
	server := httptest.NewServer(f)
	defer server.Close()
	request, err := http.NewRequest(method, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, body
}

func TestFormsOfAFile(t *testing.T) {
	f, whole, br, gz := compressed(t)
	tags := map[string]string{}
	for accept, want := range map[string]struct {
		coding string
		body   []byte
	}{"br, gzip": {"br", br}, "gzip": {"gzip", gz}, "": {"", []byte(whole)}} {
		for _, method := range []string{"GET", "HEAD"} {
			response, body := ask(t, f, method, "/app.wasm", "Accept-Encoding", accept)
			h := response.Header
			if response.StatusCode != 200 || h.Get("Content-Encoding") != want.coding || h.Get("Content-Type") != "application/wasm" ||
				h.Get("Vary") != "Accept-Encoding" || h.Get("Content-Length") != fmt.Sprint(len(want.body)) {
				t.Errorf("%s %q: %d %v", method, accept, response.StatusCode, h)
			}
			if method == "GET" && !bytes.Equal(body, want.body) || method == "HEAD" && len(body) > 0 {
				t.Errorf("%s %q: %d bytes, want %d", method, accept, len(body), len(want.body))
			}
			tags[want.coding] = h.Get("ETag")
		}
		tag := tags[want.coding]
		response, body := ask(t, f, "GET", "/app.wasm", "Accept-Encoding", accept, "If-None-Match", `"x", `+tag)
		h := response.Header
		if response.StatusCode != 304 || len(body) > 0 || h.Get("ETag") != tag || h.Get("Vary") != "Accept-Encoding" || h.Get("Content-Encoding") != "" {
			t.Errorf("%q again: %d %v", accept, response.StatusCode, h)
		}
		if response, body = ask(t, f, "GET", "/app.wasm", "Accept-Encoding", accept, "If-Match", `"x"`); response.StatusCode != 412 || len(body) > 0 {
			t.Errorf("%q, another one wanted: %d, %d bytes", accept, response.StatusCode, len(body))
		}
	}
	if len(tags) != 3 || tags["br"] == tags["gzip"] || tags["gzip"] == tags[""] || tags["br"] == tags[""] {
		t.Errorf("tags of the forms: %q", tags)
	}
	if response, _ := ask(t, f, "GET", "/app.wasm", "Accept-Encoding", "br", "If-None-Match", tags["gzip"]); response.StatusCode != 200 {
		t.Errorf("the tag of one form is taken for another: %d", response.StatusCode)
	}
}

func TestPartsOfAFile(t *testing.T) {
	f, whole, _, _ := compressed(t)
	response, body := ask(t, f, "GET", "/app.wasm", "Accept-Encoding", "br, gzip", "Range", "bytes=5-14")
	if h := response.Header; response.StatusCode != 206 || string(body) != whole[5:15] || h.Get("Content-Encoding") != "" ||
		h.Get("Content-Range") != fmt.Sprintf("bytes 5-14/%d", len(whole)) {
		t.Errorf("a part: %d %q %v", response.StatusCode, body, h)
	}
	tag := response.Header.Get("ETag")
	if response, body := ask(t, f, "GET", "/app.wasm", "Range", "bytes=5-14", "If-Range", tag); response.StatusCode != 206 || len(body) != 10 {
		t.Errorf("a part of the same: %d, %d bytes", response.StatusCode, len(body))
	}
	if response, body := ask(t, f, "GET", "/app.wasm", "Range", "bytes=5-14", "If-Range", strings.TrimSuffix(tag, `"`)+`.br"`); response.StatusCode != 200 || string(body) != whole {
		t.Errorf("a part of another form: %d, %d bytes", response.StatusCode, len(body))
	}
	if response, _ := ask(t, f, "GET", "/app.wasm", "Accept-Encoding", "br", "Range", "bytes=99999-"); response.StatusCode != 416 {
		t.Errorf("a part beyond the end: %d", response.StatusCode)
	}
}

// What is left over from another build, or is not there, is not sent.
func TestFormsOfAnotherContent(t *testing.T) {
	f, whole, br, _ := compressed(t)
	for path, want := range map[string]string{"/old.js": "new", "/lost.js": whole, "/plain.js": "plain"} {
		response, body := ask(t, f, "GET", path, "Accept-Encoding", "br, gzip")
		if response.StatusCode != 200 || string(body) != want || response.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %d %q %v", path, response.StatusCode, body, response.Header)
		}
	}
	// By its own name it is a file like any other.
	response, body := ask(t, f, "GET", "/app.wasm.br", "Accept-Encoding", "br")
	if response.StatusCode != 200 || !bytes.Equal(body, br) || response.Header.Get("Content-Encoding") != "" || response.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("/app.wasm.br: %d %q %v", response.StatusCode, body, response.Header)
	}
}
