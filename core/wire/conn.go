package wire

import (
	"context"
	"errors"

	"vsync/core/fmt"
)

// A Conn carries messages, each whole and in order, between a device and a hub. Sockets implement it:
// one for native programs, one for browsers, and Pipe; package conntest holds them to what is said
// here.
//
// One goroutine reads, one writes, any may close, all at the same time.
type Conn interface {
	// Read returns the next message, which is the caller's. It blocks until there is one. After the
	// peer has closed, what he sent before is still read; then the error is a *CloseError. A message
	// over MaxFrame (ErrTooLarge), or of text that is no beat (ErrText), ends the connection, as does a
	// context that ends (its error). After our own Close, and after every other error, it is ErrClosed.
	Read(ctx context.Context) ([]byte, error)

	// Write sends one message, a beat as text, and keeps nothing of it. It blocks while the peer does not read and
	// the small buffers on the way are full. A context that ends during it ends the connection, as a
	// message half sent cannot be taken back. Once the peer has closed it fails.
	Write(ctx context.Context, message []byte) error

	// Close ends the connection and tells the peer why: a code of WebSocket (1000, 3000 to 4999; the
	// wire has its own in Close constants) and a reason of at most 123 bytes of UTF-8. Pending Reads
	// and Writes return ErrClosed at once. Later Closes do nothing. When it returns, no socket and no
	// goroutine is left.
	Close(code int, reason string) error
}

// A Dialer opens a connection to a hub, with Subprotocol agreed.
type Dialer func(ctx context.Context, url string) (Conn, error)

// Close codes, for those who read logs; no end decides by them.
const (
	CloseNormal   = 1000 // the end after a bye, or when a device is done
	CloseGoing    = 1001 // the process ends
	CloseText     = 1003 // a text message came
	CloseAbnormal = 1006 // never sent: the connection ended without a word
	CloseTooLarge = 1009 // a message over MaxFrame came
	CloseFault    = 4000 // behind an error, or the hub is at fault
	CloseSilence  = 4001 // nothing came for too long
)

// Errors of a Conn.
var (
	ErrClosed   = errors.New("connection closed on this side")
	ErrTooLarge = fmt.Errorf("message over %d bytes", MaxFrame)
	ErrText     = errors.New("text message where only binary ones may come")
)

// A CloseError says that the peer closed, or that the network did (CloseAbnormal).
type CloseError struct {
	Code   int
	Reason string
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("connection closed by the peer: code %d, reason %q", e.Code, e.Reason)
}
