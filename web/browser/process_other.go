//go:build !linux

package browser

import (
	"errors"
	"os"
	"os/exec"
	"time"
)

// ownGroup does nothing here: Chromium's other processes end by themselves when the main one is gone.
func ownGroup(*exec.Cmd) {}

func killGroup(pid int) error {
	process, err := os.FindProcess(pid)
	if err == nil {
		err = process.Kill()
	}
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

func awaitGroup(int, time.Duration) error { return nil }

func groupMemory(int) (int64, error) { return 0, errors.New("it is told on Linux only") }
