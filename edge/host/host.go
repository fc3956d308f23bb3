// Package host is the native hub: many databases in one process, over HTTP and WebSockets.
//
//	GET /                the page and the SDK, from package web
//	GET /v1/health       how the hub is, as JSON
//	GET /v1/<database>   upgrade to a WebSocket that carries vsync.1
//	/v1/<database>/…     the API for services: package httpapi
//
//	DATA/hub.lock              held by the process that serves DATA
//	DATA/hub.key               the key of the entries' MACs, made at the first start; not among what it signs
//	DATA/databases/NAME.db     one store a database (see package sqlite), opened when somebody asks for it
//
//	request ─▶ guard ─┬─▶ upgrade ─▶ token ─▶ databases.acquire ─▶ edge.Conn ─┬─ reader ─▶ Receive
//	        (Host, Origin)                     (opens, counts)                └─ writer ◀─ Next
//	                  └─▶ token ─▶ httpapi ─▶ databases.acquire ─▶ core.Replica
//
// With keys, whoever comes has to show a token by one of them. Without, whoever reaches the hub may read and write everything: then
// Listen refuses any address but this machine's own, and the guard looks at Host too, as a page of some website, opened in a browser
// on this machine, reaches it.
package host

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"vsync/core"
	"vsync/core/store"
	"vsync/core/wire"
	"vsync/edge/host/lock"
	"vsync/edge/httpapi"
	"vsync/edge/token"
)

// PortInUse: another program listens there. It is a code of this package's, beside those of core.
const PortInUse core.Code = "PORT_IN_USE"

// NoDirectory: a directory is not there, or is none.
const NoDirectory core.Code = "NO_DIRECTORY"

const rateLimited = core.Code(wire.CodeRateLimited)

// Config is what a Server is told. Its zero value, with Data, is right for most.
type Config struct {
	Data    string            // directory; made where its parent is there
	Version string            // of the program, for people
	Origins []string          // whose pages may connect beside the hub's own; see ParseOrigin
	Keys    *token.Keys       // by which tokens are judged, until SetKeys; nil: nobody is asked for one
	Log     func(line string) // nil: nothing is told

	Connections int           // at most, all databases together; 0: 10,000
	Open        int           // databases open at the same time, at most; 0: 128
	Patience    time.Duration // with the head of a request, a hello, a body; 0: 10 s, 10 s, 1 min
	Idle        time.Duration // without a connection, until a database is closed; 0: 1 min

	current *atomic.Pointer[token.Keys] // where there are Keys: those of now
}

func (c *Config) validate() error {
	if c.Data == "" {
		return fail(core.Invalid, "the hub needs a directory for its data")
	}
	if c.Log == nil {
		c.Log = func(string) {}
	}
	if c.Keys != nil {
		c.current = new(atomic.Pointer[token.Keys])
		c.current.Store(c.Keys)
	}
	if c.Connections <= 0 {
		c.Connections = defaultConnections
	}
	if c.Open <= 0 {
		c.Open = defaultOpen
	}
	if c.Idle <= 0 {
		c.Idle = defaultIdle
	}
	return nil
}

func (c *Config) patience(standard time.Duration) time.Duration {
	if c.Patience > 0 {
		return c.Patience
	}
	return standard
}

// A Server serves the databases of one directory.
type Server struct {
	cfg     Config
	guard   guard
	files   *files
	api     *httpapi.API
	dbs     *databases
	lock    *lock.Lock
	http    *http.Server
	started time.Time
	ticking chan struct{} // closed when the ticker is to end
	stop    func()        // ends what requests wait for

	mu      sync.Mutex
	sockets int
	closing bool
	served  sync.WaitGroup // one for each socket and each request of the API, one for the ticker
}

// New takes the directory. Errors: NO_DIRECTORY, READ_ONLY; LOCKED if another process serves it; INVALID
// for an origin that is none.
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, files: newFiles(), started: time.Now(), ticking: make(chan struct{})}
	var err error
	if s.guard, err = newGuard(cfg.Origins, cfg.Keys != nil); err != nil {
		return nil, err
	}
	if err := MakeDirectory(cfg.Data); err != nil {
		return nil, err
	}
	if s.lock, err = lock.Acquire(filepath.Join(cfg.Data, "hub.lock")); err != nil {
		return nil, Explain(err, cfg.Data+" is served by another hub")
	}
	if s.dbs, err = openDatabases(&s.cfg); err != nil {
		s.lock.Release()
		return nil, err
	}
	s.api = s.newAPI()
	requests, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.http = &http.Server{
		Handler: s.handler(), ErrorLog: silent, BaseContext: func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: s.cfg.patience(headerTime), IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
	}
	s.served.Go(s.tick)
	return s, nil
}

// Serve answers on the listeners until Close.
func (s *Server) Serve(listeners ...net.Listener) error {
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- s.http.Serve(l) }()
	}
	err := <-ended
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fail(core.Internal, "the hub cannot take connections any more: %v", err)
}

// tick has the hubs look after their connections, and closes what nobody uses.
func (s *Server) tick() {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			s.dbs.tick(now)
		case <-s.ticking:
			return
		}
	}
}

// Close says bye to all devices, closes all databases with their checkpoints, and gives the directory
// free. What a socket does not take in about two seconds is lost with it.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return nil
	}
	s.closing = true
	close(s.ticking)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), lastWord)
	defer cancel()
	s.dbs.bye()
	s.stop()
	_ = s.http.Shutdown(ctx) // a request that takes longer is cut
	s.http.Close()
	s.served.Wait()
	return errors.Join(s.dbs.close(), s.lock.Release())
}

// enter counts a socket. It says why there is no room for it.
func (s *Server) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return fail(core.Closed, "the hub is closing; come back later")
	case s.sockets >= s.cfg.Connections:
		return fail(rateLimited, "the hub has %d connections, which is all it takes; come back later", s.sockets)
	}
	s.sockets++
	s.served.Add(1)
	return nil
}

func (s *Server) leave() {
	s.mu.Lock()
	s.sockets--
	s.mu.Unlock()
	s.served.Done()
}

func (s *Server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sockets
}

// MakeDirectory makes a directory for data, where its parent is there: a wrong path is not made true.
func MakeDirectory(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if info, statErr := os.Stat(dir); statErr == nil && info.IsDir() {
		return nil
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fail(NoDirectory, "%s cannot be made, because %s is no directory", dir, filepath.Dir(filepath.Clean(dir)))
	case errors.Is(err, syscall.ENOSPC):
		return fail(core.Quota, "%s cannot be made, because no space is left", dir)
	case errors.Is(err, fs.ErrExist):
		return fail(NoDirectory, "%s is a file; expected a directory", dir)
	case err != nil:
		return fail(core.ReadOnly, "the directory cannot be made: %v", err)
	}
	return nil
}

// Explain gives an error of the layers below a code, and says what it means; locked is what a lock means.
func Explain(err error, locked string) error {
	var known *core.Error
	var held *lock.HeldError
	switch {
	case errors.As(err, &held):
		return fail(core.Locked, "%s: it is %s; end that first", locked, held.Owner)
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, store.ErrLocked):
		return &core.Error{Code: core.Locked, Message: locked, Err: err}
	case errors.Is(err, store.ErrReadOnly):
		return &core.Error{Code: core.ReadOnly, Message: "it cannot be written", Err: err}
	case errors.Is(err, store.ErrCorrupt):
		return &core.Error{Code: core.Corrupt, Message: "this is no database, or it is damaged; nothing in it was changed", Err: err}
	case errors.Is(err, store.ErrQuota):
		return &core.Error{Code: core.Quota, Message: "no space is left on the disk", Err: err}
	case errors.Is(err, fs.ErrNotExist):
		return &core.Error{Code: NoDirectory, Message: "a directory is missing", Err: err}
	case errors.Is(err, store.ErrIO):
		return &core.Error{Code: core.StorageLost, Message: "the disk failed", Err: err}
	}
	return &core.Error{Code: core.Internal, Message: "unexpected", Err: err}
}

func fail(code core.Code, format string, args ...any) *core.Error {
	return &core.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Now is the clock of replicas: ms since 1970.
func Now() uint64 { return uint64(max(time.Now().UnixMilli(), 0)) }

// Random is the source of their ids.
var Random = rand.Reader
