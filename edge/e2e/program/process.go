// Package program runs the program that users run, for tests: as hubs and as devices, in processes of their own that are
// killed and started again.
//
//	process.go   one process and what it prints
//	hub.go       the program as a hub: a port and a directory, process after process
//	native.go    the hub's own program
//	worker.go    the hub of edge/worker, in workerd
//	find.go      which program it is: the one that VSYNC_BIN names, or else one is built
package program

import (
	"bufio"
	"bytes"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Process is a program that runs, with the lines that it prints.
type Process struct {
	Cmd   *exec.Cmd
	Lines chan string   // of its standard output; closed at its end
	Ended chan struct{} // closed when it is gone
	Err   error         // of its end

	mu     sync.Mutex
	errors bytes.Buffer
}

// Start runs a command; it is killed with the test at the latest.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p, err := Launch(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// Launch runs a command. Its standard input is a pipe that stays open.
func Launch(cmd *exec.Cmd) (*Process, error) {
	p := &Process{Cmd: cmd, Lines: make(chan string, 4096), Ended: make(chan struct{})}
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
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.errors.Write(b)
}

// Complaints is all that the process has said on its standard error.
func (p *Process) Complaints() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.errors.String()
}

func (p *Process) read(out io.Reader) {
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err != nil { // what has no end was cut off by a kill
			break
		}
		p.Lines <- strings.TrimSuffix(line, "\n")
	}
	close(p.Lines)
	p.Err = p.Cmd.Wait()
	close(p.Ended)
}

// Kill is kill -9. The process is gone when it returns.
func (p *Process) Kill() {
	p.Cmd.Process.Kill() // fails only where it has ended already
	p.Drain()
}

// Drain reads the process to its end.
func (p *Process) Drain() (lines []string) {
	for line := range p.Lines {
		lines = append(lines, line)
	}
	<-p.Ended
	return lines
}

// Stop asks the process to end, and waits.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	killer := time.AfterFunc(Patience, func() { p.Cmd.Process.Kill() })
	defer killer.Stop()
	p.Drain()
	if p.Err != nil {
		t.Errorf("asked to end, %s ended with %v: %s", p.Cmd.Args[1], p.Err, p.Complaints())
	}
}

// Await returns the first line that ok accepts.
func (p *Process) Await(t testing.TB, what string, ok func(line string) bool) string {
	t.Helper()
	deadline := time.After(Patience)
	for {
		select {
		case line, open := <-p.Lines:
			if !open {
				<-p.Ended
				t.Fatalf("%s ended before it said %s: %v: %s", p.Cmd.Args[1], what, p.Err, p.Complaints())
			}
			if ok(line) {
				return line
			}
		case <-deadline:
			t.Fatalf("%s has not said %s in %v: %s", p.Cmd.Args[1], what, Patience, p.Complaints())
		}
	}
}
