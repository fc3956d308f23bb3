package browser

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ownGroup starts Chromium as the head of a process group, and lets it die with the process that started it.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
}

func killGroup(pid int) error {
	err := syscall.Kill(-pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// awaitGroup returns when no process of the group runs any more. Its dead are not always ours to collect, so those do not count.
func awaitGroup(pid int, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		left, err := groupAlive(pid)
		if err != nil || left == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes are still there after %v", left, limit)
		}
		time.Sleep(time.Millisecond) // nothing tells of the end of a process that is not our child
	}
}

func groupAlive(pid int) (int, error) {
	members, err := group(pid)
	return len(members), err
}

// group returns the processes of a group that run.
func group(pid int) (members []string, err error) {
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, process := range processes {
		if _, err := strconv.Atoi(process.Name()); err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + process.Name() + "/stat")
		if err != nil {
			continue // it has just ended
		}
		// pid (name, which may hold anything) state parent group …
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) > 2 && string(fields[2]) == strconv.Itoa(pid) && !bytes.Contains([]byte("ZX"), fields[0]) {
			members = append(members, process.Name())
		}
	}
	return members, nil
}

// groupMemory is what a group of processes holds in memory; of what several share, each has its part.
func groupMemory(pid int) (bytes int64, err error) {
	members, err := group(pid)
	for _, member := range members {
		text, err := os.ReadFile("/proc/" + member + "/smaps_rollup")
		if err != nil {
			continue // it has just ended
		}
		for line := range strings.Lines(string(text)) {
			var kilobytes int64
			if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kilobytes); n == 1 {
				bytes += kilobytes << 10
			}
		}
	}
	return bytes, err
}
