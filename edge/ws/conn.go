//go:build !js

// Package ws is wire.Conn over nhooyr.io/websocket, for native hubs and native clients.
//
//	Dialer.Dial ──▶ Conn ◀──▶ Conn ◀── Accept
//
//	           ┌ pump ┐
//	socket ──▶ │ read │ ──▶ Read        Write ──▶ socket
//	           └──────┘ at most one message ahead
//
// A goroutine of each connection reads all the time, so that a Read can be left at any moment and
// close frames are answered; it hands over without a buffer, so that a peer feels it when nobody
// reads. Compression is off: batches are small or dense already, and secrets compressed beside
// foreign data leak. In browsers that library leaves sockets open; package wasm has its own there.
package ws

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"nhooyr.io/websocket"

	"vsync/core/wire"
)

const (
	// closeWait is how long a Close waits for the peer's answer: a round trip on a bad line. A peer
	// that does not read, or is gone, is cut off then.
	closeWait = 500 * time.Millisecond

	// writeWait is how long a Close lets a Write under way finish, so that the close frame can
	// follow it, before it cuts both off.
	writeWait = 20 * time.Millisecond

	// firstRead is what is allocated before a message's length shows: most are smaller.
	firstRead = 1 << 10
)

// Conn is a wire.Conn over one WebSocket.
type Conn struct {
	ws     *websocket.Conn
	socket net.Conn // beneath ws, to cut it off

	messages chan []byte   // from the pump to Read
	pumped   chan struct{} // closed when the pump has ended
	pumpErr  error         // why it did; read only once pumped is closed

	writing   atomic.Int32
	closeOnce sync.Once
	closed    chan struct{} // closed when this side, or an error that was told, ended the connection
	endOnce   sync.Once     // whoever takes the socket down
}

var _ wire.Conn = (*Conn)(nil)

func newConn(ws *websocket.Conn, socket net.Conn) *Conn {
	ws.SetReadLimit(-1) // readMessage has the limit, and an error that can be told from others
	c := &Conn{
		ws: ws, socket: socket,
		messages: make(chan []byte), pumped: make(chan struct{}), closed: make(chan struct{}),
	}
	go c.pump()
	return c
}

// pump reads until the connection ends, by either side, and takes the socket down.
func (c *Conn) pump() {
	for c.pumpErr == nil {
		message, err := c.readMessage()
		if err != nil {
			c.pumpErr = err
			break
		}
		select {
		case c.messages <- message:
		case <-c.closed:
			c.pumpErr = wire.ErrClosed
		}
	}
	close(c.pumped)
	switch c.pumpErr {
	case wire.ErrText:
		c.end(wire.CloseText, wire.ErrText.Error())
	case wire.ErrTooLarge:
		c.end(wire.CloseTooLarge, wire.ErrTooLarge.Error())
	case wire.ErrClosed: // whoever closed does it
	default:
		c.cut()
	}
}

func (c *Conn) readMessage() ([]byte, error) {
	kind, r, err := c.ws.Reader(context.Background())
	if err != nil {
		return nil, ended(err)
	}
	message := make([]byte, 0, firstRead)
	for {
		if len(message) == cap(message) {
			grown := make([]byte, len(message), min(4*cap(message), wire.MaxFrame+1))
			copy(grown, message)
			message = grown
		}
		n, err := r.Read(message[len(message):cap(message)])
		message = message[:len(message)+n]
		switch {
		case len(message) > wire.MaxFrame:
			return nil, wire.ErrTooLarge
		case err == io.EOF && kind != websocket.MessageBinary && !wire.IsBeat(message):
			return nil, wire.ErrText
		case err == io.EOF:
			return message, nil
		case err != nil:
			return nil, ended(err)
		}
	}
}

// ended says in the wire's words how the connection ended.
func ended(err error) error {
	var closed websocket.CloseError
	if errors.As(err, &closed) {
		return &wire.CloseError{Code: int(closed.Code), Reason: closed.Reason}
	}
	return &wire.CloseError{Code: wire.CloseAbnormal, Reason: err.Error()}
}

// Read returns the next message; see wire.Conn.
func (c *Conn) Read(ctx context.Context) ([]byte, error) {
	if c.isClosed() {
		return nil, wire.ErrClosed
	}
	select {
	case message := <-c.messages:
		return message, nil
	case <-c.closed:
		return nil, wire.ErrClosed
	case <-c.pumped:
		if !c.close() { // the pump ended because this side closed
			return nil, wire.ErrClosed
		}
		return nil, c.pumpErr
	case <-ctx.Done():
		c.close()
		c.cut()
		return nil, ctx.Err()
	}
}

// Write sends one message; see wire.Conn.
func (c *Conn) Write(ctx context.Context, message []byte) error {
	if c.isClosed() {
		return wire.ErrClosed
	}
	c.writing.Add(1)
	kind := websocket.MessageBinary
	if wire.IsBeat(message) {
		kind = websocket.MessageText
	}
	err := c.ws.Write(ctx, kind, message)
	c.writing.Add(-1)
	switch {
	case err == nil:
		return nil
	case c.isClosed():
		return wire.ErrClosed
	case ctx.Err() != nil:
		c.close()
		c.cut()
		return ctx.Err()
	}
	select {
	case <-c.pumped:
		return c.pumpErr
	default:
		return ended(err)
	}
}

// Close ends the connection; see wire.Conn.
func (c *Conn) Close(code int, reason string) error {
	c.close()
	c.end(code, reason)
	<-c.pumped
	return nil
}

// close makes Reads and Writes on this side end. It reports whether it was the first.
func (c *Conn) close() (first bool) {
	c.closeOnce.Do(func() {
		first = true
		close(c.closed)
	})
	return first
}

func (c *Conn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// end tells the peer, waits for his answer as long as that is worth it, and takes the socket down.
// Whoever comes second waits for the first.
func (c *Conn) end(code int, reason string) {
	c.endOnce.Do(func() {
		wait := closeWait
		if c.writing.Load() > 0 {
			wait = writeWait
		}
		cut := time.AfterFunc(wait, func() { c.socket.Close() })
		c.ws.Close(websocket.StatusCode(code), reason)
		cut.Stop()
		c.socket.Close()
	})
}

// cut takes the socket down without a word, also under an end that waits.
func (c *Conn) cut() {
	c.socket.Close()
	c.endOnce.Do(func() { c.ws.CloseNow() })
}
