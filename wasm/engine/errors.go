package engine

import (
	"context"
	"errors"

	"vsync/core"
	"vsync/core/fmt"
)

// Codes beside those of core. The SDK knows changed, and repeats what it did.
const (
	unsent          core.Code = "UNSENT"
	changed         core.Code = "CHANGED"
	engineProtocol  core.Code = "PROTOCOL"
	unauthenticated core.Code = "UNAUTHENTICATED"
)

//go:noinline
func fail(code core.Code, format string, args ...any) *core.Error {
	return &core.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// words are the codes that pages know by the same name.
var words = map[core.Code]bool{
	core.Closed: true, core.Aborted: true, core.Invalid: true, core.LocalOnly: true, core.KeyTooLong: true, core.ValueTooLarge: true,
	core.BatchTooLarge: true, core.Quota: true, core.StorageLost: true, core.Corrupt: true, core.Locked: true, core.Internal: true,
	core.Forbidden: true, core.Protocol: true, core.OtherHub: true, core.UnknownMarker: true, core.VersionUnknown: true, core.TooOld: true,
	unsent: true, changed: true, unauthenticated: true, "RATE_LIMITED": true, "NOT_FOUND": true,
}

// explain gives an error the code and the text that a page gets.
func explain(err error) (code core.Code, message string) {
	known, is := errors.AsType[*core.Error](err)
	switch {
	case errors.Is(err, core.ErrChanged):
		return changed, "what the write was based on has changed"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return core.Aborted, "the call was given up"
	case !is:
		return core.Internal, err.Error()
	}
	message = known.Message
	if known.Err != nil {
		message += ": " + known.Err.Error()
	}
	return word(string(known.Code)), message
}

// word is the page's word for a code, of this replica or of the hub.
func word(code string) core.Code {
	switch {
	case code == "":
		return ""
	case words[core.Code(code)]:
		return core.Code(code)
	case code == "TOO_LARGE":
		return core.BatchTooLarge
	case core.Code(code) == core.ReadOnly:
		return core.StorageLost
	}
	return engineProtocol
}
