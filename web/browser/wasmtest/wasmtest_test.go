package wasmtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vsync/web/browser"
	"vsync/web/browser/wasmtest"
)

// build builds something of the tree, for the browser or for here.
func build(t *testing.T, forBrowser bool, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "built")
	cmd := exec.Command("go", append(args[:len(args)-1:len(args)-1], "-o", out, args[len(args)-1])...)
	cmd.Env = os.Environ()
	if forBrowser {
		cmd.Env = append(cmd.Env, "GOOS=js", "GOARCH=wasm")
	}
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, said)
	}
	return out
}

func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// host is one server and one browser, for all that follows.
type host struct {
	server  *wasmtest.Server
	browser *browser.Browser
	binary  string
	dir     string
}

func newHost(t *testing.T) *host {
	t.Helper()
	peer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "peer at ", r.URL.Path) })
	server, err := wasmtest.Serve(".", map[string]http.Handler{"/peer/": peer})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	b, err := browser.Start(within(t, time.Minute), browser.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	dir, err := filepath.Abs("testdata/program")
	if err != nil {
		t.Fatal(err)
	}
	return &host{server, b, build(t, true, "test", "-c", "./testdata/program"), dir}
}

func (h *host) run(ctx context.Context, p wasmtest.Program) (code int, stdout, stderr string, err error) {
	var out, complaints bytes.Buffer
	p.Dir, p.Stdout, p.Stderr = h.dir, &out, &complaints
	if p.Binary == "" {
		p.Binary = h.binary
	}
	code, err = h.server.Run(ctx, h.browser.Driver(), p)
	return code, out.String(), complaints.String(), err
}

func TestPrograms(t *testing.T) {
	h := newHost(t)
	for _, c := range []struct {
		name   string
		p      wasmtest.Program
		code   int
		stdout string // a part of it
		stderr string
	}{
		{"Passes", wasmtest.Program{}, 0, "on stdout\n", "on stderr, and no text: \xff\x00é\n"},
		{"Fails", wasmtest.Program{}, 1, "it fails", ""},
		{"Panics", wasmtest.Program{}, 2, "--- FAIL: TestPanics", "panic: it panics"},
		{"Exits", wasmtest.Program{}, 7, "", ""},
		{"Waits", wasmtest.Program{Args: []string{"-test.timeout=1s"}}, 2, "", "test timed out after 1s"},
		{"Arguments", wasmtest.Program{
			Args: []string{"-test.v", "more"}, Env: []string{"VSYNC_TEST=it = this", "HOME=/root"},
		}, 0, "[-test.run=^TestArguments$ -test.v more] it = this true\n", ""},
		{"Worker", wasmtest.Program{}, 0, "DedicatedWorkerGlobalScope", ""},
		{"Worker", wasmtest.Program{Shared: true}, 0, "SharedWorkerGlobalScope", ""},
		{"Files", wasmtest.Program{}, 0, "PASS", ""},
		{"Fetches", wasmtest.Program{}, 0, "peer at /peer/7", ""},
		{"Spawns", wasmtest.Program{}, 0, "PASS", ""},
	} {
		c.p.Args = append([]string{"-test.run=^Test" + c.name + "$"}, c.p.Args...)
		code, stdout, stderr, err := h.run(within(t, time.Minute), c.p)
		if err != nil || code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%s: exit code %d, want %d, %v\nstdout: %s\nstderr: %s", c.name, code, c.code, err, stdout, stderr)
		}
	}
}

// What cannot be run is an error that says why, and never waits.
func TestWhatCannotRun(t *testing.T) {
	h := newHost(t)
	broken := filepath.Join(t.TempDir(), "broken.test")
	if err := os.WriteFile(broken, []byte("\x00asm, but no further"), 0o644); err != nil {
		t.Fatal(err)
	}
	for binary, want := range map[string]string{broken: "CompileError", filepath.Join(t.TempDir(), "none.test"): "Error"} {
		if _, _, _, err := h.run(within(t, time.Minute), wasmtest.Program{Binary: binary}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", binary, err, want)
		}
	}
	long := wasmtest.Program{Args: []string{strings.Repeat("x", 9000)}}
	if _, _, _, err := h.run(within(t, time.Minute), long); err == nil || !strings.Contains(err.Error(), "exceeds limit") {
		t.Errorf("an argument of 9,000 bytes: %v", err)
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(within(t, time.Minute), time.Second, enough)
	defer cancel()
	if _, _, _, err := h.run(ctx, wasmtest.Program{Args: []string{"-test.run=^TestBusy$"}}); !errors.Is(err, enough) {
		t.Errorf("a program that never waits: %v", err)
	}
	go func() {
		h.browser.Kill()
	}()
	if _, _, _, err := h.run(within(t, time.Minute), wasmtest.Program{Args: []string{"-test.run=^TestWaits$"}}); err == nil {
		t.Error("a program whose browser dies: no error")
	}
}

// The command, as `go test -exec` calls it.
func TestRunner(t *testing.T) {
	runner, binary := build(t, false, "build", "./runner"), build(t, true, "test", "-c", "./testdata/program")
	command := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(within(t, time.Minute), runner, args...)
		cmd.Dir = "testdata/program"
		return cmd
	}
	if out, err := command(binary, "-test.run=^TestFiles$").Output(); err != nil || !bytes.Contains(out, []byte("PASS")) {
		t.Errorf("a test that passes: %v\n%s", err, out)
	}
	var exit *exec.ExitError
	if err := command("-worker=shared", binary, "-test.run=^TestExits$").Run(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("a program that exits with 7: %v", err)
	}
	busy := command("-grace=1s", binary, "-test.run=^TestBusy$", "-test.timeout=1s")
	if out, err := busy.CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != 1 || !bytes.Contains(out, []byte("does not return to the event loop")) {
		t.Errorf("a program that never waits: %v\n%s", err, out)
	}
	missing := command(binary)
	missing.Env = append(os.Environ(), "CHROMIUM=/nowhere/chromium")
	if out, err := missing.CombinedOutput(); !errors.As(err, &exit) || exit.ExitCode() != 1 || !bytes.Contains(out, []byte("install chromium, or set CHROMIUM")) {
		t.Errorf("without Chromium: %v\n%s", err, out)
	}

	// Output comes when it is printed, not at the end.
	slow := command(binary, "-test.run=^TestSpeaksInTime$")
	out, err := slow.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := slow.Start(); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 100)
	n, err := out.Read(first)
	if err != nil || string(first[:n]) != "early\n" {
		t.Errorf("the first output is %q, %v", first[:n], err)
	}
	if err := slow.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := slow.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("an interrupted runner: %v", err)
	}
}
