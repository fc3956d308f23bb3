package program

import (
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"vsync/edge/token"
)

// A host is one of the ways in which a hub runs.
type host interface {
	// command serves a directory on a port; the process says so in a line that listens knows.
	command(dir string, port int, o Options, flags []string) *exec.Cmd
	listens(line, addr string) bool
	// file is the SQLite file of a database, which is there.
	file(dir, database string) (string, error)
	// key is the hub's, by which it proves what it has accepted.
	key(dir string) ([]byte, error)
}

// Options are what both hosts can be told.
type Options struct {
	Keys    *token.Keys // by which tokens are judged; nil: nobody is asked for one
	Origins []string    // whose pages may connect beside the hub's own
	Env     []string    // of its process, beside what it needs

	Variant  string        // directory in build/worker-tests, of a worker.js, hub.wasm and hub.capnp; "": that which is deployed
	OpenTo   string        // "everyone": a worker without keys serves more than its own machine
	BodyTime time.Duration // how long a body may take to come; 0: as ever. Of a worker only
}

// A Hub is a hub as a server: one port and one directory, and process after process.
type Hub struct {
	*Process
	Dir     string
	OnLine  func(line string) // told what it logs; set before Start
	Options Options           // set before Start
	t       testing.TB
	host    host
	port    int
	flags   []string
}

// Serve starts a hub, which answers when it returns. It is killed with the test at the latest.
func Serve(t testing.TB, dir string, flags ...string) *Hub {
	t.Helper()
	h := New(t, dir, flags...)
	h.Start()
	return h
}

// New is a hub that does not run yet.
func New(t testing.TB, dir string, flags ...string) *Hub {
	return &Hub{t: t, Dir: dir, host: theHost, port: FreePort(t), flags: flags}
}

// NewNative is a hub that is the program, whatever others are.
func NewNative(t testing.TB, dir string, flags ...string) *Hub {
	h := New(t, dir, flags...)
	h.host = native{}
	return h
}

// NewVariant is a hub of another build of edge/worker, that in a directory of this name.
func NewVariant(t testing.TB, dir, variant string) *Hub {
	h := New(t, dir)
	h.Options.Variant = variant
	return h
}

// FindFile returns the SQLite file of a database of a hub that does not run.
func (h *Hub) FindFile(database string) (string, error) { return h.host.file(h.Dir, database) }

// File is FindFile for a database that is there.
func (h *Hub) File(database string) string {
	h.t.Helper()
	path, err := h.FindFile(database)
	if err != nil {
		h.t.Fatal(err)
	}
	return path
}

// Key is the hub's key.
func (h *Hub) Key() []byte {
	h.t.Helper()
	key, err := h.host.key(h.Dir)
	if err != nil {
		h.t.Fatal(err)
	}
	return key
}

// FreePort is a port that nobody listens on. A hub keeps its own, whatever becomes of its processes.
func FreePort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// Addr is where the hub listens, as host:port.
func (h *Hub) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(h.port)) }

// Start starts a hub that does not run.
func (h *Hub) Start() {
	h.t.Helper()
	cmd := h.host.command(h.Dir, h.port, h.Options, h.flags)
	h.Process = Start(h.t, cmd)
	h.Await(h.t, "where it listens", func(line string) bool { return h.host.listens(line, h.Addr()) })
	go func(p *Process) { // what it logs later must not hold it up
		for line := range p.Lines {
			if h.OnLine != nil {
				h.OnLine(line)
			}
		}
	}(h.Process)
}

// Restart kills the hub and starts it again.
func (h *Hub) Restart() {
	h.t.Helper()
	h.Die()
	h.Start()
}

// Die kills the hub, which must not have ended by itself.
func (h *Hub) Die() {
	h.t.Helper()
	select {
	case <-h.Ended:
		h.t.Errorf("the hub ended by itself: %v: %s", h.Err, h.Complaints())
	default:
	}
	h.Kill()
}

// Stop asks the hub to end, and waits. Workerd would wait for all connections to end by themselves: it is killed.
func (h *Hub) Stop(t testing.TB) {
	t.Helper()
	if IsWorker() {
		h.Die()
		return
	}
	h.Process.Stop(t)
}

// Wipe takes all data of a hub that does not run: what starts next is another hub, at the same address.
func (h *Hub) Wipe() {
	h.t.Helper()
	if err := os.RemoveAll(h.Dir); err != nil {
		h.t.Fatal(err)
	}
}

// DatabaseURL is where devices find a database behind addr.
func DatabaseURL(addr, database string) string { return "ws://" + addr + "/v1/" + database }
