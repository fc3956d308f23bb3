package edge

import (
	"context"
	"errors"
	"fmt"

	"vsync/core"
	"vsync/core/wire"
)

// An End says that a connection is over, and how its socket is closed.
type End struct {
	Code   int    // of WebSocket's close
	Reason string // at most 123 bytes, for logs
}

func (e *End) Error() string {
	return fmt.Sprintf("connection over: close with %d %q", e.Code, e.Reason)
}

// An ending is an End with what is said before it.
type ending struct {
	End
	last wire.Message // nil: nothing
}

func superseded() ending {
	return ending{End{wire.CloseNormal, "superseded"}, &wire.Bye{Why: wire.WhySuperseded}}
}

func closing() ending {
	return ending{End{wire.CloseGoing, "closing"}, &wire.Bye{Why: wire.WhyClosing, Retry: retryClosing}}
}

func slow() ending {
	return ending{End{wire.CloseNormal, "slow"}, &wire.Bye{Why: wire.WhySlow, Retry: retrySlow}}
}

func silent() ending { return ending{End{wire.CloseSilence, "silence"}, nil} }

func gone() ending { return ending{End{wire.CloseNormal, "the socket is gone"}, nil} }

func refusal(e *wire.Error) ending {
	e.Text = cut(e.Text, wire.MaxText)
	return ending{End{wire.CloseFault, cut(string(e.Code)+": "+e.Text, maxReason)}, e}
}

// TurnAway is what a device is told where there is no hub for it, because its database could not be opened, or its token is not good for
// it: a frame, and how to close.
func TurnAway(err error) (frame []byte, end *End) {
	e := &wire.Error{Code: wire.CodeInternal, Text: "the hub cannot open this database; its operator has to look", Retry: retryQuota}
	var wrong *wire.ProtocolError
	if errors.As(err, &wrong) {
		e = wrong.Answer()
	}
	var known *core.Error
	if errors.As(err, &known) {
		switch wire.Code(known.Code) {
		case wire.CodeUnauthenticated, wire.CodeForbidden, wire.CodeProtocol:
			e = answer(err)
		case wire.CodeCorrupt, wire.CodeQuota:
			e.Code = wire.Code(known.Code)
		case wire.CodeNotFound:
			e = &wire.Error{Code: wire.CodeNotFound, Text: known.Message, Retry: retryEmpty}
		case wire.CodeRateLimited:
			e = &wire.Error{Code: wire.CodeRateLimited, Text: known.Message, Retry: retryBusy}
		}
		if known.Code == core.Closed {
			e = &wire.Error{Code: wire.CodeRateLimited, Text: known.Message, Retry: retryClosing}
		}
	}
	why := refusal(e)
	frame, _ = wire.Append(nil, e)
	return frame, &why.End
}

// NoDatabase is what a device that may only read is told where there is no database: nothing is made for it, and it comes again. What it
// waits for it then says.
func NoDatabase(name string) error {
	return &core.Error{Code: core.Code(wire.CodeNotFound), Message: fmt.Sprintf(
		"there is no database %q yet, and the token allows reading only: sync begins when somebody who may write has made it", name)}
}

// cut shortens a text for people, at the border of a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && s[limit]&0xC0 == 0x80 {
		limit--
	}
	return s[:limit]
}

// answer is what a device is told of an error of the replica, of Auth or of the decoder. An error that
// is not the device's business is told without its text: it may name files.
func answer(err error) *wire.Error {
	var wrong *wire.ProtocolError
	if errors.As(err, &wrong) {
		return wrong.Answer()
	}
	var known *core.Error
	if !errors.As(err, &known) {
		return &wire.Error{Code: wire.CodeInternal, Text: "the hub has failed; come back later", Retry: retryFault}
	}
	switch code := wire.Code(known.Code); code {
	case wire.CodeQuota:
		return &wire.Error{Code: code, Text: "the hub's storage is full; nothing was taken, come back later", Retry: retryQuota}
	case wire.CodeCorrupt:
		return &wire.Error{Code: code, Text: "what the hub has stored is damaged; its operator has to look", Retry: retryQuota}
	case wire.CodeRateLimited:
		return &wire.Error{Code: code, Text: known.Message, Retry: retryBusy, Gen: known.Gen}
	case wire.CodeProtocol, wire.CodeVersion, wire.CodeInvalid, wire.CodeTooLarge, wire.CodeGap, wire.CodeHash, wire.CodeOtherHub,
		wire.CodeUnknownMarker, wire.CodeUnauthenticated, wire.CodeForbidden:
		return &wire.Error{Code: code, Text: known.Message, Gen: known.Gen}
	}
	return &wire.Error{Code: wire.CodeInternal, Text: "the hub has failed; come back later", Retry: retryFault}
}

// ended reports whether an error only says that the caller gave up, which is no fault of the device.
func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
