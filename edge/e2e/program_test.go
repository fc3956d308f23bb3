package e2e

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A process is a program that runs, with the lines that it prints.
type process struct {
	cmd    *exec.Cmd
	lines  chan string // of its standard output; closed at its end
	ended  chan struct{}
	err    error // of its end
	mu     sync.Mutex
	errors bytes.Buffer
}

// start runs a command; it is killed with the test at the latest.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p, err := launch(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// launch runs a command. Its standard input is a pipe that stays open.
func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, lines: make(chan string, 4096), ended: make(chan struct{})}
	cmd.Stderr = p
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if _, err := cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go p.read(out)
	return p, nil
}

// Write takes what the process says on its standard error.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.errors.Write(b)
}

// complaints is all that the process has said on its standard error.
func (p *process) complaints() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.errors.String()
}

func (p *process) read(out io.Reader) {
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err != nil { // what has no end was cut off by a kill
			break
		}
		p.lines <- strings.TrimSuffix(line, "\n")
	}
	close(p.lines)
	p.err = p.cmd.Wait()
	close(p.ended)
}

// kill is kill -9. The process is gone when it returns.
func (p *process) kill() {
	p.cmd.Process.Kill() // fails only where it has ended already
	p.drain()
}

// drain reads the process to its end.
func (p *process) drain() (lines []string) {
	for line := range p.lines {
		lines = append(lines, line)
	}
	<-p.ended
	return lines
}

// stop asks the process to end, and waits.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer killer.Stop()
	p.drain()
	if p.err != nil {
		t.Errorf("asked to end, %s ended with %v: %s", p.cmd.Args[1], p.err, p.complaints())
	}
}

// await returns the first line that ok accepts.
func (p *process) await(t *testing.T, what string, ok func(line string) bool) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line, open := <-p.lines:
			if !open {
				<-p.ended
				t.Fatalf("%s ended before it said %s: %v: %s", p.cmd.Args[1], what, p.err, p.complaints())
			}
			if ok(line) {
				return line
			}
		case <-deadline:
			t.Fatalf("%s has not said %s in %v: %s", p.cmd.Args[1], what, patience, p.complaints())
		}
	}
}

// command is the program with arguments, and nothing in its environment that means anything to it.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "GORACE=halt_on_error=1"}
	return cmd
}

// A hub is the program as a server: one port and one directory, and process after process.
type hub struct {
	t    *testing.T
	dir  string
	port int
	*process
}

// serve starts a hub, which answers when it returns.
func serve(t *testing.T, dir string) *hub {
	t.Helper()
	h := &hub{t: t, dir: dir, port: freePort(t)}
	h.start()
	return h
}

// freePort is a port that nobody listens on. It stays the hub's, whatever becomes of its processes.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func (h *hub) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(h.port)) }

func (h *hub) start() {
	h.t.Helper()
	h.process = start(h.t, command("serve", "--host", "127.0.0.1", "--port", strconv.Itoa(h.port), "--data", h.dir))
	h.await(h.t, "where it listens", func(line string) bool { return strings.Contains(line, "ws://"+h.addr()) })
	go func(p *process) { // what it logs later must not hold it up
		for range p.lines {
		}
	}(h.process)
}

// restart kills the hub and starts it again.
func (h *hub) restart() {
	h.t.Helper()
	select {
	case <-h.ended:
		h.t.Errorf("the hub ended by itself: %v: %s", h.err, h.complaints())
	default:
	}
	h.kill()
	h.start()
}

// databaseURL is where devices find a database behind addr.
func databaseURL(addr, database string) string { return "ws://" + addr + "/v1/" + database }
