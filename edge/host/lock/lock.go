// Package lock is the ownership of files by one process: a lock of the operating
// system on a file beside them. The system drops it when the process ends,
// however it ends, and nobody can take it away. The file itself is never
// removed, or two processes could each hold a lock on a file of that name. It
// holds the owner's number, for people.
package lock

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"vsync/core/store"
)

// A Lock is held until Release, or until the process ends.
type Lock struct{ file *os.File }

// errHeld is tryLock's answer if another holds it.
var errHeld = errors.New("held by another")

// A HeldError is a store.ErrLocked that knows the owner.
type HeldError struct{ Owner string } // "open in the process with pid 12"

func (e *HeldError) Error() string {
	return store.ErrLocked.Error() + ": " + e.Owner + ": close it there first"
}

// Unwrap makes it a store.ErrLocked.
func (e *HeldError) Unwrap() error { return store.ErrLocked }

// Acquire takes the lock whose file is at path, or fails with a *HeldError;
// with store.ErrReadOnly where the file cannot be made.
func Acquire(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fileError(err)
	}
	if err := tryLock(f); err != nil {
		defer f.Close()
		if errors.Is(err, errHeld) {
			return nil, &HeldError{Owner: owner(f)}
		}
		return nil, fmt.Errorf("%w: lock %s: %w", store.ErrIO, path, err)
	}
	// The number only helps people, so a disk too full for it is no reason to
	// keep them out.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt(strconv.AppendInt(nil, int64(os.Getpid()), 10), 0)
	}
	return &Lock{file: f}, nil
}

// owner says whose lock it is.
func owner(f *os.File) string {
	var buf [20]byte
	n, _ := f.ReadAt(buf[:], 0)
	pid, err := strconv.Atoi(string(bytes.TrimSpace(buf[:n])))
	switch {
	case err != nil:
		return "open in another process"
	case pid == os.Getpid():
		return fmt.Sprintf("open in this process (pid %d) already", pid)
	}
	return fmt.Sprintf("open in the process with pid %d", pid)
}

// Release lets the next owner in. It unlocks before it closes: a process that is
// being started at this moment has the file open too, until it runs its own
// program, and the lock would last as long.
func (l *Lock) Release() error {
	return errors.Join(unlock(l.file), l.file.Close())
}

// fileError adds the store's error to one of the file system.
func fileError(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: %w", store.ErrReadOnly, err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w: %w", store.ErrQuota, err)
	}
	return fmt.Errorf("%w: %w", store.ErrIO, err)
}
