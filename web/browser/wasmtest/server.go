package wasmtest

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/evanw/esbuild/pkg/api"
)

//go:embed page.html
var page []byte

// Server gives pages what a program needs. It outlives browsers, so that an origin stays the same over several of them.
type Server struct {
	root   string // of the module
	worker []byte
	listen net.Listener
	http   http.Server
	mux    *http.ServeMux

	mu       sync.Mutex
	programs []string // files, by their number in the URL
	running  *session // that runs now
}

// Serve serves the module that dir belongs to, and handlers by their patterns, on a free port of this machine.
func Serve(dir string, handlers map[string]http.Handler) (*Server, error) {
	root, err := moduleRoot(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{root: root, mux: http.NewServeMux()}
	if s.worker, err = bundle(filepath.Join(root, "web", "browser", "wasmtest", "worker.ts")); err != nil {
		return nil, err
	}
	s.mux.HandleFunc("GET /{$}", s.content("text/html; charset=utf-8", page))
	s.mux.HandleFunc("GET /worker.js", s.content("text/javascript; charset=utf-8", s.worker))
	s.mux.HandleFunc("GET /program/{number}", s.program)
	s.mux.HandleFunc("GET /files/stat", s.stat)
	s.mux.HandleFunc("GET /files/read", s.read)
	s.mux.HandleFunc("POST /browser/clear", s.clear)
	for pattern, handler := range handlers {
		s.mux.Handle(pattern, handler)
	}
	if s.listen, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("wasmtest: %w", err)
	}
	s.http.Handler = s.mux
	go s.http.Serve(s.listen)
	return s, nil
}

// URL returns where the server is, without a slash at its end.
func (s *Server) URL() string { return "http://" + s.listen.Addr().String() }

// Close ends the server and its connections.
func (s *Server) Close() error { return s.http.Close() }

func moduleRoot(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("wasmtest: %w", err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("wasmtest: %s belongs to no module", dir)
		}
	}
}

// bundle makes one script of Go's own for browsers and ours.
func bundle(entry string) ([]byte, error) {
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("wasmtest: go env GOROOT: %w", err)
	}
	result := api.Build(api.BuildOptions{
		EntryPoints: []string{entry},
		Inject:      []string{filepath.Join(strings.TrimSpace(string(goroot)), "lib", "wasm", "wasm_exec.js")},
		Bundle:      true,
		Format:      api.FormatIIFE,
		Target:      api.ES2022,
		Sourcemap:   api.SourceMapInline,
		LogLevel:    api.LogLevelSilent,
	})
	var errs []error
	for _, message := range api.FormatMessages(result.Errors, api.FormatMessagesOptions{}) {
		errs = append(errs, errors.New(strings.TrimSpace(message)))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("wasmtest: bundle %s: %w", entry, errors.Join(errs...))
	}
	return result.OutputFiles[0].Contents, nil
}

func (s *Server) content(kind string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "no-store")
		w.Write(body)
	}
}

// add makes a program known and returns its path in URLs.
func (s *Server) add(binary string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.programs = append(s.programs, binary)
	return fmt.Sprintf("/program/%d", len(s.programs)-1)
}

func (s *Server) program(w http.ResponseWriter, r *http.Request) {
	number := 0
	_, err := fmt.Sscan(r.PathValue("number"), &number)
	s.mu.Lock()
	known := err == nil && number >= 0 && number < len(s.programs)
	binary := ""
	if known {
		binary = s.programs[number]
	}
	s.mu.Unlock()
	if !known {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/wasm")
	http.ServeFile(w, r, binary)
}

// found is what files.ts knows of a file.
type found struct {
	Size    int64    `json:"size"`
	Mode    uint32   `json:"mode"`
	MtimeMs int64    `json:"mtimeMs"`
	Entries []string `json:"entries,omitempty"`
}

// The kinds of files in stat(2).
const (
	modeFile = 0o100000
	modeDir  = 0o040000
)

func (s *Server) stat(w http.ResponseWriter, r *http.Request) {
	path, info, err := s.find(r)
	if err != nil {
		refuse(w, err)
		return
	}
	f := found{Size: info.Size(), Mode: modeFile | uint32(info.Mode().Perm()), MtimeMs: info.ModTime().UnixMilli()}
	if info.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			refuse(w, err)
			return
		}
		f.Mode, f.Entries = modeDir|uint32(info.Mode().Perm()), []string{}
		for _, entry := range entries {
			f.Entries = append(f.Entries, entry.Name())
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(f)
}

func (s *Server) read(w http.ResponseWriter, r *http.Request) {
	path, _, err := s.find(r)
	if err != nil {
		refuse(w, err)
		return
	}
	content, err := os.ReadFile(path)
	if err != nil {
		refuse(w, err)
		return
	}
	w.Write(content)
}

// find returns the file that a request names, if it lies in the module.
func (s *Server) find(r *http.Request) (string, fs.FileInfo, error) {
	path := filepath.Clean(filepath.FromSlash(r.URL.Query().Get("path")))
	if path != s.root && !strings.HasPrefix(path, s.root+string(filepath.Separator)) {
		return "", nil, fs.ErrNotExist
	}
	info, err := os.Stat(path)
	return path, info, err
}

func refuse(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	if errors.Is(err, fs.ErrNotExist) {
		code = http.StatusNotFound
	}
	http.Error(w, err.Error(), code)
}

// clear lets a program clear the storage that it uses.
func (s *Server) clear(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	running := s.running
	s.mu.Unlock()
	if running == nil {
		http.Error(w, "no program runs", http.StatusConflict)
		return
	}
	if err := running.clear(r.Context()); err != nil {
		refuse(w, err)
	}
}

func (s *Server) setRunning(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = c
}
