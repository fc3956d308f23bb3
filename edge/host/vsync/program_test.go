package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tests run the program as users do: one binary, built once, in processes of its own.

var program string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "vsync-program")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755) // some tests run the program as nobody
	program = filepath.Join(dir, "vsync")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if raced {
		build = exec.Command("go", "build", "-buildvcs=false", "-race", "-o", program, ".")
	}
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// A shell is a directory in which a test runs the program.
type shell struct {
	t   *testing.T
	dir string
	env []string
	uid int // 0: as the test
	in  string
}

func newShell(t *testing.T) *shell {
	t.Helper()
	dir := t.TempDir()
	os.Chmod(filepath.Dir(dir), 0o755)
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + os.TempDir(), "GORACE=halt_on_error=1 exitcode=66 atexit_sleep_ms=0"}
	return &shell{t: t, dir: dir, env: env}
}

func (s *shell) command(args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = s.dir, s.env, strings.NewReader(s.in)
	cmd.WaitDelay = 20 * time.Second
	if s.uid != 0 && os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(s.uid), Gid: uint32(s.uid)}}
	}
	return cmd
}

// A result is what a run of the program left.
type result struct {
	out, err string
	code     int
}

func (s *shell) run(args ...string) result {
	s.t.Helper()
	var out, errs bytes.Buffer
	cmd := s.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("vsync %s: %v", strings.Join(args, " "), err)
	}
	r := result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
	if strings.Contains(r.err, "goroutine ") || strings.Contains(r.err, "DATA RACE") {
		s.t.Fatalf("vsync %s: %s", strings.Join(args, " "), r.err)
	}
	return r
}

// ok runs the program, which has to succeed, and returns what it printed.
func (s *shell) ok(args ...string) string {
	s.t.Helper()
	r := s.run(args...)
	if r.code != 0 {
		s.t.Fatalf("vsync %s: exit %d, %s", strings.Join(args, " "), r.code, r.err)
	}
	return r.out
}

// fails runs the program, which has to fail with this exit code and one line that names the code.
func (s *shell) fails(exit int, code string, args ...string) result {
	s.t.Helper()
	r := s.run(args...)
	lines := strings.Split(strings.TrimSpace(r.err), "\n")
	last := lines[len(lines)-1]
	if r.code != exit || !strings.HasPrefix(last, "vsync: "+code+": ") {
		s.t.Errorf("vsync %.200s: exit %d, %q; want exit %d, code %s", strings.Join(args, " "), r.code, r.err, exit, code)
	}
	for _, warning := range lines[:len(lines)-1] {
		if strings.HasSuffix(warning, " a second") { // how far it is, after a second
			continue
		}
		if !strings.HasPrefix(warning, "vsync: ") || strings.HasPrefix(warning, "vsync: "+code) {
			s.t.Errorf("vsync %s: expected one error, got %q", strings.Join(args, " "), r.err)
		}
	}
	return r
}

func (s *shell) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *shell) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// equal compares what was printed.
func equal(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// A process is a program that runs beside the test.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // of stdout; closed at its end
	errs  bytes.Buffer
	ended bool
}

func (s *shell) start(args ...string) *process {
	s.t.Helper()
	p := &process{t: s.t, cmd: s.command(args...), lines: make(chan string, 1000)}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	p.cmd.Stderr = &p.errs
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			p.lines <- in.Text()
		}
		io.Copy(io.Discard, out)
	}()
	s.t.Cleanup(func() {
		if !p.ended {
			p.cmd.Process.Kill()
			p.cmd.Wait()
		}
	})
	return p
}

const patience = 20 * time.Second

// next returns the next line that the process prints.
func (p *process) next() string {
	p.t.Helper()
	select {
	case line, open := <-p.lines:
		if !open {
			p.t.Fatalf("%v ended: %s", p.cmd.Args[1:], p.end(nil).err)
		}
		return line
	case <-time.After(patience):
		p.t.Fatalf("%v printed nothing more", p.cmd.Args[1:])
	}
	return ""
}

// end sends a signal, waits for the end, and returns the exit code with what was said.
func (p *process) end(signal os.Signal) result {
	p.t.Helper()
	if signal != nil {
		p.cmd.Process.Signal(signal)
	}
	from := time.Now()
	late := time.AfterFunc(patience, func() { p.cmd.Process.Kill() })
	defer late.Stop()
	var out strings.Builder
	for line := range p.lines {
		out.WriteString(line + "\n")
	}
	p.cmd.Wait()
	p.ended = true
	if took := time.Since(from); took > 8*time.Second {
		p.t.Errorf("%v took %v to end", p.cmd.Args[1:], took)
	}
	return result{out.String(), p.errs.String(), p.cmd.ProcessState.ExitCode()}
}

// A hub is a running `vsync serve`.
type hubProcess struct {
	*process
	Feed string `json:"feed"`
	Page string `json:"page"`
	Port int    `json:"port"`
}

func (s *shell) serve(args ...string) *hubProcess {
	s.t.Helper()
	h := &hubProcess{process: s.start(append([]string{"serve", "--json", "--port", "0"}, args...)...)}
	if err := json.Unmarshal([]byte(h.next()), h); err != nil {
		s.t.Fatal(err)
	}
	return h
}
