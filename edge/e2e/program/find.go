package program

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const (
	// env names the program to be tested.
	env = "VSYNC_BIN"
	// Patience is how long anything may take that has to happen, on a machine that has other things to do.
	Patience = 60 * time.Second
)

var (
	// path is where the program is, once Main has found it.
	path string
	// theHost is what hubs run in.
	theHost host = native{}

	hostFlag = flag.String("host", "native", "what hubs run in: native, the program itself, or worker, edge/worker in workerd")
)

// IsWorker says that hubs run in workerd.
func IsWorker() bool { return *hostFlag == "worker" }

// Main is TestMain for tests that run the program: it finds it, or builds it, and returns the exit code of the tests.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "vsync-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		path, err = find(dir)
	}
	flag.Parse()
	if err == nil && IsWorker() {
		theHost, err = findWorker()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// find returns the program that is to be tested, or builds it in dir.
func find(dir string) (string, error) {
	if path := os.Getenv(env); path != "" {
		path, err := filepath.Abs(path)
		if err != nil {
			return "", err
		}
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("%s names no program: %w", env, err)
		}
		return path, nil
	}
	path := filepath.Join(dir, "vsync")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", path, "vsync/edge/host/vsync")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return path, nil
}

// Command is the program with arguments, and nothing in its environment that means anything to it.
func Command(args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "GORACE=halt_on_error=1"}
	return cmd
}

// Soon is a context for what has to happen.
func Soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	t.Cleanup(cancel)
	return ctx
}
