package host

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"log"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"vsync/web"
)

// The headers of web/static/_headers, which static hosts read; a test holds the two together. 'self' lets a page connect to the
// hub that it came from; WebAssembly is compiled, and no text is.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; " +
		"base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
	"X-Content-Type-Options": "nosniff",
	"Referrer-Policy":        "no-referrer",
}

// Pages of every origin may load the SDK: it is public code, the same for all. What they may do with the hub is the guard's to say.
// They may read why they get no socket, too, as the browser itself does not tell them.
var (
	publicPaths   = map[string]bool{"/vsync.js": true, "/vsync-worker.js": true, "/vsync.wasm": true}
	publicHeaders = map[string]string{
		"Access-Control-Allow-Origin":  "*",
		"Cross-Origin-Resource-Policy": "cross-origin",
	}
)

// types by extension: what the system's tables say differs from machine to machine.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".mjs":  "text/javascript; charset=utf-8",
	".json": "application/json",
	".map":  "application/json",
	".wasm": "application/wasm",
	".svg":  "image/svg+xml",
	".png":  "image/png",
	".ico":  "image/x-icon",
	".ts":   "text/plain; charset=utf-8",
	".txt":  "text/plain; charset=utf-8",
}

// silent is for what clients do wrong beneath HTTP: nobody here can mend it.
var silent = log.New(io.Discard, "", 0)

// files serves package web, compressed where that is there and asked for.
type files struct {
	fs      fs.FS
	encoded map[string]string // see web.Encoded
	mu      sync.Mutex
	sums    map[string]string // SHA-256 in hex by name, of what was asked for; as many as the program holds files
}

func newFiles() *files {
	return &files{fs: web.Files(), encoded: web.Encoded(), sums: map[string]string{}}
}

func (f *files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = "index.html"
	}
	content, sum, err := f.open(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer func() { content.Close() }()
	kind, known := types[path.Ext(name)]
	if !known {
		kind = "application/octet-stream"
	}
	tag := sum[:24]
	if f.encoded[name] == sum {
		w.Header().Add("Vary", "Accept-Encoding")
		if form := choose(r.Header); form.coding != "" {
			if compressed, err := openFile(f.fs, name+form.suffix); err == nil {
				content.Close()
				content, tag = compressed, tag+form.suffix
				w = encodedWriter{w, form.coding}
			}
		}
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("ETag", `"`+tag+`"`)
	w.Header().Set("Cache-Control", "no-cache") // kept, and asked about by its tag
	http.ServeContent(w, r, name, time.Time{}, content)
}

// open opens a file, and names what is in it.
func (f *files) open(name string) (content io.ReadSeekCloser, sum string, err error) {
	if content, err = openFile(f.fs, name); err != nil {
		return nil, "", err
	}
	if sum, err = f.sum(name, content); err != nil {
		content.Close()
	}
	return content, sum, err
}

// openFile opens what is a file and can be seeked; nothing else exists.
func openFile(dir fs.FS, name string) (io.ReadSeekCloser, error) {
	file, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	content, is := file.(io.ReadSeekCloser)
	if info, err := file.Stat(); err != nil || info.IsDir() || !is {
		file.Close()
		return nil, fs.ErrNotExist
	}
	return content, nil
}

func (f *files) sum(name string, content io.ReadSeeker) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if sum, known := f.sums[name]; known {
		return sum, nil
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, content); err != nil {
		return "", err
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	f.sums[name] = hex.EncodeToString(hash.Sum(nil))
	return f.sums[name], nil
}

// handler routes, behind the guard.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/{database}", func(w http.ResponseWriter, r *http.Request) {
		if isFeed(r) {
			s.serveFeed(w, r)
		} else {
			s.serveHealth(w, r)
		}
	})
	mux.Handle("GET /", s.files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setAll(w.Header(), headers)
		if publicPaths[r.URL.Path] || isFeed(r) {
			setAll(w.Header(), publicHeaders)
		}
		next := mux.ServeHTTP
		if isAPI(r) {
			next = s.serveAPI // the mux would answer for it where a path is not clean
		}
		s.guard.ServeHTTP(w, r, next)
	})
}

// isFeed says whether a request is about a database. One may be called health too: only an upgrade means it.
func isFeed(r *http.Request) bool {
	name, is := strings.CutPrefix(r.URL.Path, "/v1/")
	return is && !isAPI(r) && (name != "health" || r.Header.Get("Upgrade") != "")
}

func setAll(h http.Header, values map[string]string) {
	for name, value := range values {
		h.Set(name, value)
	}
}
