package wire

import (
	"errors"

	"vsync/core/change"
	"vsync/core/fmt"
)

// A Code says to a program what is wrong. Codes that this package does not know travel too.
type Code string

// The codes of PROTOCOL.md, section 15, which says who sends each and when.
const (
	CodeProtocol        Code = "PROTOCOL"
	CodeVersion         Code = "VERSION"
	CodeUnknownMessage  Code = "UNKNOWN_MESSAGE"
	CodeTooLarge        Code = "TOO_LARGE"
	CodeInvalid         Code = "INVALID"
	CodeGap             Code = "GAP"
	CodeHash            Code = "HASH"
	CodeOtherHub        Code = "OTHER_HUB"
	CodeUnknownMarker   Code = "UNKNOWN_MARKER"
	CodeUnauthenticated Code = "UNAUTHENTICATED"
	CodeForbidden       Code = "FORBIDDEN"
	CodeRateLimited     Code = "RATE_LIMITED"
	CodeQuota           Code = "QUOTA"
	CodeNotFound        Code = "NOT_FOUND"
	CodeCorrupt         Code = "CORRUPT"
	CodeInternal        Code = "INTERNAL"
	CodeSuperseded      Code = "SUPERSEDED"
)

// valid reports whether c has the form of a code: [A-Z0-9_]{1,32}.
func (c Code) valid() bool {
	for i := range len(c) {
		if (c[i] < 'A' || c[i] > 'Z') && (c[i] < '0' || c[i] > '9') && c[i] != '_' {
			return false
		}
	}
	return len(c) > 0 && len(c) <= MaxCode
}

// ErrReserved is in every *ProtocolError about a message whose number is kept for a later version.
var ErrReserved = errors.New("message reserved for a later version")

// A ProtocolError is what the peer did wrong.
type ProtocolError struct {
	Code    Code              // to answer with
	Message Type              // 0 where even that cannot be read
	Field   string            // key of the map, "lim.frame" for a nested one; empty: about the frame
	Offset  int               // bytes from the frame's start; -1: about a value or an order, not about bytes
	Gen     change.Generation // own generation that it is about; 0: none
	Problem string            // what was expected and what came
	Err     error             // ErrReserved, an error of package change, or nil
}

func (e *ProtocolError) Error() string {
	at := ""
	if e.Offset >= 0 {
		at = fmt.Sprintf(" at byte %d", e.Offset)
	}
	return fmt.Sprintf("peer sent wrong %s%s: %s (%s)", subject(e.Message, e.Field), at, e.Problem, e.Code)
}

func (e *ProtocolError) Unwrap() error { return e.Err }

// Answer returns the message that tells the peer, before the connection is closed.
func (e *ProtocolError) Answer() *Error {
	return &Error{Code: e.Code, Text: cutText(e.Error()), Gen: e.Gen}
}

// A MessageError is a message of ours that must not be sent: nothing was appended.
type MessageError struct {
	Message Type
	Field   string
	Problem string // what was expected and what was there
}

func (e *MessageError) Error() string {
	return fmt.Sprintf("cannot send %s: %s", subject(e.Message, e.Field), e.Problem)
}

func subject(t Type, field string) string {
	switch {
	case t == 0:
		return "frame"
	case field == "":
		return t.String()
	}
	return t.String() + "." + field
}

// cutText shortens a text for people to MaxText bytes, at the border of a character.
func cutText(s string) string {
	if len(s) <= MaxText {
		return s
	}
	cut := MaxText
	for cut > 0 && s[cut]&0xC0 == 0x80 {
		cut--
	}
	return s[:cut]
}
