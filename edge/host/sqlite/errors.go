package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	driver "modernc.org/sqlite"
	code "modernc.org/sqlite/lib"

	"vsync/core/store"
	"vsync/edge/sqlrows"
)

const (
	sqliteError = code.SQLITE_ERROR // the statement itself is wrong here
	sqliteIOErr = code.SQLITE_IOERR
)

// asDriver returns SQLite's own error in err, nil if there is none.
func asDriver(err error) *driver.Error {
	var e *driver.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// primary is the result code without its extension.
func primary(e *driver.Error) int { return e.Code() & 0xff }

// wrap says what was done to which file, and adds the store's error to err.
func (s *Store) wrap(doing string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, sqlrows.ErrVersion) {
		return fmt.Errorf("sqlite: %s %s: %w", doing, s.path, err)
	}
	return fmt.Errorf("sqlite: %s %s: %w: %w", doing, s.path, kind(err), err)
}

// kind is the store's error for what SQLite reports.
func kind(err error) error {
	e := asDriver(err)
	if e == nil {
		return store.ErrIO
	}
	switch primary(e) {
	case code.SQLITE_FULL:
		return store.ErrQuota
	case code.SQLITE_CORRUPT, code.SQLITE_NOTADB, code.SQLITE_FORMAT:
		return store.ErrCorrupt
	case code.SQLITE_READONLY, code.SQLITE_PERM:
		return store.ErrReadOnly
	case code.SQLITE_BUSY, code.SQLITE_LOCKED:
		return store.ErrLocked // somebody has it open without owning it
	}
	if e.Code() == code.SQLITE_IOERR_SHMSIZE {
		return store.ErrQuota // no room for the index of the WAL
	}
	return store.ErrIO
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
