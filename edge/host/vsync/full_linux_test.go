package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A full disk refuses writes whole; reading goes on, and writing when there is room. Where nothing can be mounted
// (not root), a directory that cannot be written tells the same exit code.
func TestFullDisk(t *testing.T) {
	s := newShell(t)
	if err := syscall.Mount("vsync-test", s.dir, "tmpfs", 0, "size=2m,mode=755"); err != nil {
		t.Logf("no file system could be mounted: %v", err)
		s.uid = 65534
		s.fails(exitStorage, "READ_ONLY", "put", "a", "b", "1", "--data", "/proc/new")
		return
	}
	t.Cleanup(func() { syscall.Unmount(s.dir, syscall.MNT_DETACH) })
	s.ok("put", "c", "first", "1")
	s.in = strings.Repeat(`"`+strings.Repeat("some value ", 100)+"\"\n", 4000)
	s.fails(exitStorage, "QUOTA", "import", "c", "-", "--batch", "100")
	equal(t, s.ok("get", "c", "first"), "1\n")
	s.ok("check")
	if !exists(filepath.Join(s.dir, ".vsync", "replicas", "main.db")) {
		t.Error("the database is gone")
	}
}
