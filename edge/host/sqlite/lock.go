package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"vsync/core/store"
)

// lock is the ownership of a store by one process: a lock of the operating
// system on a file beside it. The system drops it when the process ends,
// however it ends. The file is never removed, or two processes could each hold
// a lock on a file of that name.
type lock struct{ file *os.File }

// errHeld is tryLock's answer if another holds it.
var errHeld = errors.New("held by another")

// acquire takes the lock or fails with store.ErrLocked, naming the owner.
func acquire(path string) (*lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fileError(err)
	}
	if err := tryLock(f); err != nil {
		defer f.Close()
		if errors.Is(err, errHeld) {
			return nil, fmt.Errorf("%w: %s: close it there first", store.ErrLocked, owner(f))
		}
		return nil, fmt.Errorf("%w: lock %s: %w", store.ErrIO, path, err)
	}
	// The number only helps people, so a disk too full for it is no reason to
	// keep them out.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt(strconv.AppendInt(nil, int64(os.Getpid()), 10), 0)
	}
	return &lock{file: f}, nil
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

// release lets the next owner in.
func (l *lock) release() error { return l.file.Close() }
