package e2e

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

var (
	seedFlag = flag.Uint64("seed", 0, "seed of TestThroughCuts; 0: a new one")
	timeFlag = flag.Duration("for", 12*time.Second, "how long TestThroughCuts goes on cutting and killing")
)

const (
	// programEnv names the program to be tested.
	programEnv = "VSYNC_BIN"
	// childEnv makes the test binary a device in a process of its own: see child.
	childEnv = "VSYNC_E2E_DEVICE"
	// patience is how long anything may take that has to happen, on a machine that has other things to do.
	patience = 60 * time.Second
)

// program is the path of the program.
var program string

func TestMain(m *testing.M) {
	if config := os.Getenv(childEnv); config != "" {
		os.Exit(beChild(config))
	}
	flag.Parse()
	dir, err := os.MkdirTemp("", "vsync-e2e-")
	if err == nil {
		program, err = findProgram(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// findProgram returns the program that is to be tested, or builds it in dir.
func findProgram(dir string) (string, error) {
	if path := os.Getenv(programEnv); path != "" {
		path, err := filepath.Abs(path)
		if err != nil {
			return "", err
		}
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("%s names no program: %w", programEnv, err)
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

// soon is a context for what has to happen.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
