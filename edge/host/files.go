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

// The headers of web/static/_headers, which static hosts read; a test holds the two together.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
	"X-Content-Type-Options":  "nosniff",
	"Referrer-Policy":         "no-referrer",
}

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

// files serves package web.
type files struct {
	fs   fs.FS
	mu   sync.Mutex
	tags map[string]string // ETag by name, of what was asked for; as many as the program holds files
}

func newFiles() *files { return &files{fs: web.Files(), tags: map[string]string{}} }

func (f *files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = "index.html"
	}
	content, tag, err := f.open(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer content.Close()
	kind, known := types[path.Ext(name)]
	if !known {
		kind = "application/octet-stream"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "no-cache") // kept, and asked about by its tag
	http.ServeContent(w, r, name, time.Time{}, content)
}

// open opens a file, and names what is in it. What is no file, or none that can be seeked, does not exist.
func (f *files) open(name string) (io.ReadSeekCloser, string, error) {
	file, err := f.fs.Open(name)
	if err != nil {
		return nil, "", err
	}
	content, is := file.(io.ReadSeekCloser)
	if info, err := file.Stat(); err != nil || info.IsDir() || !is {
		file.Close()
		return nil, "", fs.ErrNotExist
	}
	tag, err := f.tag(name, content)
	if err != nil {
		file.Close()
	}
	return content, tag, err
}

func (f *files) tag(name string, content io.ReadSeeker) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if tag, known := f.tags[name]; known {
		return tag, nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, content); err != nil {
		return "", err
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	f.tags[name] = `"` + hex.EncodeToString(sum.Sum(nil)[:12]) + `"`
	return f.tags[name], nil
}

// handler routes, behind the guard.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/{database}", func(w http.ResponseWriter, r *http.Request) {
		// A database may be called health too: only an upgrade means it.
		if r.PathValue("database") == "health" && r.Header.Get("Upgrade") == "" {
			s.serveHealth(w, r)
			return
		}
		s.serveFeed(w, r)
	})
	mux.Handle("GET /", s.files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		s.guard.ServeHTTP(w, r, mux.ServeHTTP)
	})
}
