//go:build !js

package idb_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vsync/web/browser"
	"vsync/web/browser/wasmtest"
)

const childEnv = "VSYNC_IDB_CHILD" // as in child_test.go

// build builds the tests of this package for browsers.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "idb.test")
	build := exec.Command("go", "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

func serve(t *testing.T) *wasmtest.Server {
	t.Helper()
	server, err := wasmtest.Serve(".", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server
}

func start(ctx context.Context, t *testing.T, dir string) browser.Driver {
	t.Helper()
	kind, err := browser.Chosen()
	if err != nil {
		t.Fatal(err)
	}
	b, err := browser.Drive(ctx, kind, browser.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// The whole browser is killed while a worker commits: each commit that was confirmed is there when it has started again, and none
// in part.
func TestBrowserKilled(t *testing.T) {
	binary, server, ctx := build(t), serve(t), within(t, 5*time.Minute)
	dir, there := t.TempDir(), 0
	for round := range 4 {
		b := start(ctx, t, dir)
		if !b.Keeps() {
			return // under a driver WebKit keeps nothing
		}
		there = check(ctx, t, server, b, binary, there)
		// The program ends with its browser, so that Run fails is what is wanted.
		said := &killer{after: 20 + 31*round, kill: b.Kill}
		_, err := server.Run(ctx, b, program(binary, "write", said))
		if said.n < said.after || err == nil || said.err != nil {
			t.Fatalf("round %d: it said %d, killed: %v, the program: %v", round, said.n, said.err, err)
		}
		there += said.n
	}
	check(ctx, t, server, start(ctx, t, dir), binary, there)
}

// The browser is killed in the middle of a write, which leaves the end of Chromium's log torn; it is used and killed once more. What was
// confirmed before and afterwards is there: see doc.go.
func TestBrowserKilledInAWrite(t *testing.T) {
	binary, server, ctx := build(t), serve(t), within(t, 5*time.Minute)
	dir, there := t.TempDir(), 0
	for range 2 {
		b := start(ctx, t, dir)
		if browser.AsChromium(b) == nil {
			return // the others store in SQLite
		}
		there = check(ctx, t, server, b, binary, there)
		said := &killer{after: 20, kill: b.Kill} // 1.2 MB: LevelDB begins a new log by itself after 4
		_, err := server.Run(ctx, b, program(binary, "write", said))
		if said.n < said.after || err == nil || said.err != nil {
			t.Fatalf("it said %d, killed: %v, the program: %v", said.n, said.err, err)
		}
		there += said.n - 1 // the last one may be the one that is torn
		tear(t, dir)
	}
	check(ctx, t, server, start(ctx, t, dir), binary, there)
}

// tear cuts off the end of what the browser has written last.
func tear(t *testing.T, dir string) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "Default", "IndexedDB", "*.leveldb", "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("the browser has no log of what it writes: %v", err)
	}
	last := slices.MaxFunc(logs, strings.Compare) // they have numbers
	info, err := os.Stat(last)
	if err == nil {
		err = os.Truncate(last, info.Size()-1000)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The user clears the site's data under the engine. The browser then forgets who holds which lock, so this is no test for a browser in
// which others follow.
func TestStorageCleared(t *testing.T) {
	binary, server, ctx := build(t), serve(t), within(t, 5*time.Minute)
	b := start(ctx, t, "")
	if browser.AsChromium(b) == nil {
		return // the others have no command that clears storage
	}
	if code, err := server.Run(ctx, b, program(binary, "clear", os.Stderr)); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v", code, err)
	}
}

func program(binary, part string, stdout io.Writer) wasmtest.Program {
	return wasmtest.Program{Binary: binary, Dir: ".", Env: []string{childEnv + "=" + part + ":killed"}, Stdout: stdout, Stderr: os.Stderr}
}

// check lets a worker count the commits and try that each is whole. At least so many have to be there; it returns how many are.
func check(ctx context.Context, t *testing.T, server *wasmtest.Server, b browser.Driver, binary string, least int) int {
	t.Helper()
	var out bytes.Buffer
	code, err := server.Run(ctx, b, program(binary, "check", &out))
	n := 0
	if _, scanned := fmt.Sscan(out.String(), &n); err != nil || code != 0 || scanned != nil || n < least {
		t.Fatalf("%d commits were confirmed; the check says %q, exit code %d, %v", least, out.String(), code, err)
	}
	return n
}

// killer counts lines, and kills the browser when there were enough.
type killer struct {
	n, after int
	kill     func() error
	err      error
}

func (k *killer) Write(text []byte) (int, error) {
	before := k.n
	if k.n += bytes.Count(text, []byte("\n")); before < k.after && k.n >= k.after {
		k.err = k.kill()
	}
	return len(text), nil
}
