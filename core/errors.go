package core

import (
	"context"
	"errors"

	"vsync/core/change"
	"vsync/core/fmt"
	"vsync/core/pages"
	"vsync/core/store"
)

// Code says what went wrong, for programs. The words are those of the SDK and of the protocol.
type Code string

// The codes of this package's errors.
const (
	Closed         Code = "CLOSED"          // the replica was closed
	Aborted        Code = "ABORTED"         // the caller gave up, or a snapshot had to be given up
	Invalid        Code = "INVALID"         // a key, value, batch or argument that cannot be taken
	LocalOnly      Code = "LOCAL_ONLY"      // there is no feed to be in sync with
	KeyTooLong     Code = "KEY_TOO_LONG"    // a collection name or an id beyond its limit
	ValueTooLarge  Code = "VALUE_TOO_LARGE" // a value beyond its limit
	BatchTooLarge  Code = "BATCH_TOO_LARGE" // a batch beyond its limits
	Quota          Code = "QUOTA"           // the medium is full; nothing was written, reads go on
	StorageLost    Code = "STORAGE_LOST"    // the connection to the store is gone: open again
	Corrupt        Code = "CORRUPT"         // what is stored is not what was written
	Locked         Code = "LOCKED"          // another process has the database open
	ReadOnly       Code = "READ_ONLY"       // the medium refuses writes
	Internal       Code = "INTERNAL"        // a defect of this engine
	Forbidden      Code = "FORBIDDEN"       // not allowed by the token
	Protocol       Code = "PROTOCOL"        // the other side broke the protocol
	OtherHub       Code = "OTHER_HUB"       // the hub is not the one that this replica belongs to
	UnknownMarker  Code = "UNKNOWN_MARKER"  // a resume marker that names no known place
	TooOld         Code = "TOO_OLD"         // what was asked for lies before what history holds
	Gap            Code = "GAP"             // something that should have come before is missing
	WrongHash      Code = "HASH"            // a hash chain does not fit
	VersionUnknown Code = "VERSION"         // a format or protocol of another version
)

// Error is what every function of this package fails with, but for a context's own error.
type Error struct {
	Code    Code
	Message string            // what was expected, what came, what to do
	Gen     change.Generation // of the batch that it is about; 0: none
	Err     error             // the cause, if there is one
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is compare codes, so that &Error{Code: Quota} matches every QUOTA.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Message == "" && t.Err == nil
}

// ErrChanged is returned by a Write whose checks do not hold any more: read again and write again.
var ErrChanged = errors.New("core: what the write was based on has changed; read again and repeat it")

//go:noinline
func errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

//go:noinline
func wrapf(code Code, err error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Err: err}
}

// typed gives an error of the layers below its code. doing says what was being done.
func typed(err error, doing string) error {
	_, known := errors.AsType[*Error](err)
	switch {
	case err == nil:
		return nil
	case known, errors.Is(err, ErrChanged), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, store.ErrQuota):
		return wrapf(Quota, err, "%s: no space is left; nothing was written and reading goes on; free some space and try again", doing)
	case errors.Is(err, store.ErrCorrupt):
		return wrapf(Corrupt, err, "%s", doing)
	case errors.Is(err, store.ErrLost):
		return wrapf(StorageLost, err, "%s: the connection to the storage is gone; close and open again", doing)
	case errors.Is(err, store.ErrReadOnly):
		return wrapf(ReadOnly, err, "%s", doing)
	case errors.Is(err, store.ErrLocked):
		return wrapf(Locked, err, "%s", doing)
	case errors.Is(err, store.ErrClosed):
		return wrapf(Closed, err, "%s", doing)
	case errors.Is(err, pages.ErrSnapshotGone):
		return wrapf(Aborted, err, "%s", doing)
	case errors.Is(err, store.ErrIO):
		return wrapf(StorageLost, err, "%s: the storage failed; nothing was written", doing)
	}
	return wrapf(Internal, err, "%s", doing)
}
