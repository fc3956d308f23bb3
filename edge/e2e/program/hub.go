package program

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
)

// A Hub is the program as a server: one port and one directory, and process after process.
type Hub struct {
	*Process
	Dir   string
	t     *testing.T
	port  int
	flags []string
}

// Serve starts a hub, which answers when it returns. It is killed with the test at the latest.
func Serve(t *testing.T, dir string, flags ...string) *Hub {
	t.Helper()
	h := &Hub{t: t, Dir: dir, port: FreePort(t), flags: flags}
	h.Start()
	return h
}

// FreePort is a port that nobody listens on. A hub keeps its own, whatever becomes of its processes.
func FreePort(t *testing.T) int {
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
	args := append([]string{"serve", "--host", "127.0.0.1", "--port", strconv.Itoa(h.port), "--data", h.Dir}, h.flags...)
	h.Process = Start(h.t, Command(args...))
	h.Await(h.t, "where it listens", func(line string) bool { return strings.Contains(line, "ws://"+h.Addr()) })
	go func(p *Process) { // what it logs later must not hold it up
		for range p.Lines {
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

// Wipe takes all data of a hub that does not run: what starts next is another hub, at the same address.
func (h *Hub) Wipe() {
	h.t.Helper()
	if err := os.RemoveAll(h.Dir); err != nil {
		h.t.Fatal(err)
	}
}

// DatabaseURL is where devices find a database behind addr.
func DatabaseURL(addr, database string) string { return "ws://" + addr + "/v1/" + database }
