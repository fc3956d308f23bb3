//go:build workerd

package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vsync/core/wire"
	"vsync/edge/e2e/program"
	"vsync/edge/ws"
)

// builder is what people run.
const builder = "../../build.sh"

// TestWorkerDev: `./build.sh edge dev` runs what is deployed, as wrangler does it: the page and the SDK are beside the hub, secrets come through
// a file, keys of tokens among them, and when its process is told to end, nothing of it is left. With VSYNC_BUILT it takes what stands in build/.
func TestWorkerDev(t *testing.T) {
	t.Parallel() // it waits more than it works
	dir := t.TempDir()
	build := func(args ...string) *exec.Cmd {
		cmd := exec.Command(builder, append([]string{"edge"}, args...)...)
		cmd.Env = append(os.Environ(), "VSYNC_EDGE_DATA="+dir)
		return cmd
	}
	if out, err := build("keys").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	token, err := build("token", "--subject", "anna", "--db", database).Output()
	if err != nil {
		t.Fatal(err)
	}
	addr, end := dev(t, build)
	c := &client{t: t, base: "http://" + addr}
	testAssets(t, c)
	c.learn()
	if a := c.ask("GET", "/v1/health", "").is(t, "health", 200, ""); a.Version == "" {
		t.Errorf("health without a version: %s", a.Text)
	}

	stray := &client{t: t, base: c.base}
	for n := range 20 { // answered before anybody wants the body: what stands before the Worker then goes on with the same connection
		c.ask("POST", "/v1/e2e/batch", `{"writes": [{"collection": "notes", "id": "0", "value": "`+strings.Repeat("x", n*10_000)+`"}]}`).is(t, "without a token", 401, "UNAUTHENTICATED")
		stray.ask("POST", "/v1/nothing", strings.Repeat("x", n*10_000)).is(t, "no upgrade", 426, "")
	}
	c.token = strings.TrimSpace(string(token))
	c.ask("POST", "/v1/e2e/batch", `{"writes": [{"collection": "notes", "id": "1", "value": "milk"}]}`).is(t, "a batch", 200, "")
	conn, err := ws.Dialer{}.Dial(program.Soon(t), program.DatabaseURL(addr, database))
	if err != nil {
		t.Fatal(err)
	}
	r := &raw{conn: conn}
	hello := r.hello(database, 1)
	hello.Token = c.token
	r.write(t, frameOf(t, hello))
	r.await(t, wire.TypeWelcome)
	for _, part := range r.parts(t, 300_000) {
		r.write(t, part)
	}
	r.await(t, wire.TypeAccepted)
	conn.Close(wire.CloseNormal, "")
	if a := c.ask("GET", "/v1/e2e/object?collection=notes&id=1", "").is(t, "what was written", 200, ""); string(a.Value) != `"milk"` {
		t.Errorf("%s", a.Text)
	}
	end()
	if kept, err := filepath.Glob(filepath.Join(dir, "v3", "do", "*", "*.sqlite")); err != nil || len(kept) == 0 {
		t.Errorf("nothing is kept in %s: %v", dir, err)
	}
}

// testAssets: what is no database comes from the site, and nothing that begins with /v1/ does.
func testAssets(t *testing.T, c *client) {
	for path, want := range map[string]struct{ kind, text string }{
		"/":                {"text/html", "<!doctype html>"},
		"/rules":           {"text/html", "<!doctype html>"},
		"/vsync.js":        {"text/javascript", "export"},
		"/vsync-worker.js": {"text/javascript", "WebAssembly"},
		"/vsync.wasm":      {"application/wasm", "\x00asm"},
	} {
		a := c.ask("GET", path, "")
		if kind := a.Header.Get("Content-Type"); a.Status != 200 || !strings.HasPrefix(kind, want.kind) || !strings.Contains(a.Text, want.text) {
			t.Errorf("%s: %d, %s, %.100q", path, a.Status, kind, a.Text)
		}
		if policy := a.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "wasm-unsafe-eval") {
			t.Errorf("%s: the headers of the site are missing: %v", path, a.Header)
		}
	}
	c.ask("GET", "/nothing", "").is(t, "no page", 404, "")
	c.ask("GET", "/v1/", "").is(t, "no name", 404, "")
}

// dev starts it, and returns when it answers: where, and what ends it.
func dev(t *testing.T, build func(args ...string) *exec.Cmd) (addr string, end func()) {
	t.Helper()
	port := strconv.Itoa(program.FreePort(t))
	addr = net.JoinHostPort("127.0.0.1", port)
	cmd := build("dev", "--ip", "127.0.0.1", "--port", port, "--inspector-port", strconv.Itoa(program.FreePort(t)))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := program.Start(t, cmd)
	group := -cmd.Process.Pid
	t.Cleanup(func() { _ = syscall.Kill(group, syscall.SIGKILL) }) // before Start's own
	p.Await(t, "that it is ready", func(line string) bool { return strings.Contains(line, "Ready on http://") })
	go p.Drain()
	return addr, func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		deadline := time.After(program.Patience)
		for left := error(nil); !errors.Is(left, syscall.ESRCH); left = syscall.Kill(group, 0) {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-deadline:
				t.Fatal("it was told to end, and some of its processes run: ", processesOf(t, cmd.Process.Pid))
			}
		}
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			t.Errorf("somebody still listens on %s", addr)
		}
	}
}

// processesOf are the command lines of a group of processes.
func processesOf(t *testing.T, group int) string {
	out, err := exec.Command("ps", "-o", "pid=,args=", "-g", fmt.Sprint(group)).CombinedOutput()
	if err != nil {
		t.Log(err)
	}
	return string(out)
}
