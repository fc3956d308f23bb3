package sqlite

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"vsync/core/store"
)

// asNobody runs f on a thread whose file accesses have no privileges; root
// ignores permissions. It ends with its goroutine.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if os.Geteuid() == 0 {
			runtime.LockOSThread() // never unlocked: the thread ends too
			if err := syscall.Setfsuid(65534); err != nil {
				t.Error(err)
				return
			}
		}
		f()
	}()
	<-done
}

func TestReadOnly(t *testing.T) {
	p := newPlace(t)
	dir := filepath.Dir(p.path)
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // so that nobody gets here at all
		t.Fatal(err)
	}
	check := func(what string) {
		t.Helper()
		asNobody(t, func() {
			s, err := Open(ctx, p.path, Options{})
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, store.ErrReadOnly) {
				t.Errorf("open with %s read-only: %v", what, err)
			}
		})
	}
	mode := func(path string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	mode(dir, 0o555)
	check("an empty directory")
	mode(dir, 0o755)

	mustOpen(t, p.path, Options{}).Close()
	mode(p.path, 0o444)
	mode(p.path+".lock", 0o666)
	mode(dir, 0o777)
	check("the file")
	mode(dir, 0o755)
	mode(p.path, 0o644)
	mustOpen(t, p.path, Options{})
}

// smallDisk is a directory on a file system of that size. Where none may be
// mounted (not root) there is no small disk to be had, and the answer is false.
func smallDisk(t *testing.T, size string) (string, bool) {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("vsync-test", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Logf("no file system could be mounted: %v", err)
		return dir, false
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, true
}

// A full disk refuses commits whole and goes on reading; when somebody makes
// room, commits go on too.
func TestFullDisk(t *testing.T) {
	dir, real := smallDisk(t, "3m")
	path, filler := filepath.Join(dir, "full.db"), filepath.Join(dir, "filler")
	o := Options{}
	if !real {
		o.MaxBytes = 1 << 20 // the same story, told by SQLite's own bound
	}
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, path, o)
	n := fillUp(t, s)
	if n < 10 {
		t.Fatalf("full after %d commits", n)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if real {
		if err := s.Commit(ctx, filling(n)); err != nil {
			t.Fatalf("commit after room was made: %v", err)
		}
		n++
		checkFilled(t, s, n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkFilled(t, mustOpen(t, path, o), n)
}

// The disk becomes full at every possible page: while opening, in the WAL, in
// its index, at a checkpoint. Nothing that was confirmed goes, nothing that was
// refused comes.
func TestFullDiskAtEveryPage(t *testing.T) {
	dir, real := smallDisk(t, "512k")
	if !real {
		dir = t.TempDir()
	}
	for pages := 1; pages <= 100; pages++ {
		path, filler := filepath.Join(dir, "full.db"), filepath.Join(dir, "filler")
		if err := os.WriteFile(filler, make([]byte, 512<<10-pages*4096), 0o644); err != nil {
			t.Fatal(err)
		}
		n := 0
		s, err := Open(ctx, path, Options{MaxBytes: int64(pages) * 4096})
		for err == nil && n < 100 {
			if err = s.Commit(ctx, numbered(n+1)); err == nil {
				n++
			}
		}
		lost := errors.Is(err, store.ErrLost)
		// A file with a bound reuses its pages: beyond some size all fits.
		if !lost && !errors.Is(err, store.ErrQuota) && (real || err != nil) {
			t.Fatalf("%d pages: commit %d: %v", pages, n+1, err)
		}
		if s != nil {
			if !lost && checkNumbered(t, s) != n {
				t.Fatalf("%d pages: not the %d confirmed commits", pages, n)
			}
			_ = s.Close() // its checkpoint may find no room; the WAL stays then
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		s = mustOpen(t, path, Options{})
		if there := checkNumbered(t, s); there != n && !(lost && there == n+1) {
			t.Fatalf("%d pages: %d commits were confirmed, %d are there", pages, n, there)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// A write that fails in the middle of COMMIT leaves the outcome open: the store
// says so, and answers nothing more until it is opened again.
func TestLost(t *testing.T) {
	p := newPlace(t)
	s := mustOpen(t, p.path, Options{})
	if err := s.Commit(ctx, numbered(1)); err != nil {
		t.Fatal(err)
	}
	err := withFileSizeLimit(t, 100_000, func() error { return s.Commit(ctx, numbered(2)) })
	if !errors.Is(err, store.ErrLost) {
		t.Fatalf("a commit whose write failed: %v, want ErrLost", err)
	}
	if _, _, err := s.Get(ctx, []byte("last")); !errors.Is(err, store.ErrLost) {
		t.Fatalf("a get afterwards: %v", err)
	}
	if err := s.Commit(ctx, numbered(2)); !errors.Is(err, store.ErrLost) {
		t.Fatalf("a commit afterwards: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := checkNumbered(t, mustOpen(t, p.path, Options{})); n != 1 && n != 2 {
		t.Fatalf("after the reopening %d commits are there", n)
	}
}

// withFileSizeLimit lets writes of this process beyond so many bytes of a file
// fail, while f runs.
func withFileSizeLimit(t *testing.T, bytes uint64, f func() error) error {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	err := f()
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	return err
}
