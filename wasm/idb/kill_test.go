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
	"testing"
	"time"

	"vsync/web/browser"
	"vsync/web/browser/wasmtest"
)

const childEnv = "VSYNC_IDB_CHILD" // as in child_test.go

// The whole browser is killed while a worker commits: each commit that was confirmed is there when it has started again, and none
// in part.
func TestBrowserKilled(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "idb.test")
	build := exec.Command("go", "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server, err := wasmtest.Serve(".", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()

	dir, there := t.TempDir(), 0
	for round := range 4 {
		b, err := browser.Start(ctx, browser.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if round > 0 {
			there = check(ctx, t, server, b, binary, there)
		}
		// The program ends with its browser, so that Run fails is what is wanted.
		said := &killer{after: 20 + 31*round, kill: b.Kill}
		_, err = server.Run(ctx, b, program(binary, "write", said))
		if said.n < said.after || err == nil || said.err != nil {
			t.Fatalf("round %d: it said %d, killed: %v, the program: %v", round, said.n, said.err, err)
		}
		there += said.n
	}
	b, err := browser.Start(ctx, browser.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	check(ctx, t, server, b, binary, there)
}

func program(binary, part string, stdout io.Writer) wasmtest.Program {
	return wasmtest.Program{Binary: binary, Dir: ".", Env: []string{childEnv + "=" + part + ":killed"}, Stdout: stdout, Stderr: os.Stderr}
}

// check lets a worker count the commits and try that each is whole. At least so many have to be there; it returns how many are.
func check(ctx context.Context, t *testing.T, server *wasmtest.Server, b *browser.Browser, binary string, least int) int {
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
