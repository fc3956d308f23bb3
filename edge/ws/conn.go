//go:build !js

// Package ws is wire.Conn over nhooyr.io/websocket, for native hubs and native clients.
//
//	Dialer.Dial ──▶ Conn ◀──▶ Conn ◀── Accept
//
//	           ┌ pump ┐
//	socket ──▶ │ read │ ──▶ Read, ReadAll        Write ──▶ socket
//	           └──────┘ a little ahead
//
// A goroutine of each connection reads all the time, so that a Read can be left at any moment and
// close frames are answered. What came while nobody read is handed over together, but not much is kept, so
// that a peer feels it when nobody reads. A hub's messages go to the socket past the library, each in one
// write: they need no mask, and many get the same bytes. Compression is off: batches are small or dense already, and secrets compressed beside
// foreign data leak. In browsers that library leaves sockets open; package wasm has its own there.
package ws

import (
	"context"
	"errors"
	"io"
	"math"
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

	// ahead is how much is read before it is wanted, at least one message: a few dozen small pushes.
	ahead = 32 << 10

	// firstRead is what is allocated before a message's length shows: most are smaller.
	firstRead = 1 << 10
)

// Conn is a wire.Conn over one WebSocket.
type Conn struct {
	ws     *websocket.Conn
	socket net.Conn // beneath ws, to cut it off
	frames *frames  // where messages go past the library; nil on the side that dialed: it has to mask them

	mu       sync.Mutex
	messages [][]byte      // from the pump to Read
	held     int           // bytes that they hold
	came     chan struct{} // has a value when there may be messages
	taken    chan struct{} // has a value when there may be room for more
	pumped   chan struct{} // closed when the pump has ended
	pumpErr  error         // why it did; read only once pumped is closed

	writing   atomic.Int32
	closeOnce sync.Once
	closed    chan struct{} // closed when this side, or an error that was told, ended the connection
	endOnce   sync.Once     // whoever takes the socket down
}

var _ wire.Conn = (*Conn)(nil)

func newConn(ws *websocket.Conn, socket net.Conn, to *frames) *Conn {
	ws.SetReadLimit(-1) // readMessage has the limit, and an error that can be told from others
	c := &Conn{
		ws: ws, socket: socket, frames: to,
		came: make(chan struct{}, 1), taken: make(chan struct{}, 1), pumped: make(chan struct{}), closed: make(chan struct{}),
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
		for full := c.put(message); full; full = c.full() {
			select {
			case <-c.taken:
				continue
			case <-c.closed:
			}
			break
		}
		if c.isClosed() {
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

// put hands a message over. It reports whether there is no room for another.
func (c *Conn) put(message []byte) (full bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages = append(c.messages, message)
	c.held += cap(message)
	poke(c.came)
	return c.held > ahead
}

func (c *Conn) full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held > ahead
}

// take returns up to most of the messages that have come.
func (c *Conn) take(most int) (messages [][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(most, len(c.messages))
	messages = c.messages[:n:n]
	if c.messages = c.messages[n:]; len(c.messages) == 0 {
		c.messages = nil
	} else {
		poke(c.came)
	}
	for _, message := range messages {
		c.held -= cap(message)
	}
	if n > 0 {
		poke(c.taken)
	}
	return messages
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
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
	messages, err := c.read(ctx, 1)
	if err != nil {
		return nil, err
	}
	return messages[0], nil
}

// ReadAll is Read of all messages that have come, one or more.
func (c *Conn) ReadAll(ctx context.Context) ([][]byte, error) { return c.read(ctx, math.MaxInt) }

func (c *Conn) read(ctx context.Context, most int) ([][]byte, error) {
	for {
		if c.isClosed() {
			return nil, wire.ErrClosed
		}
		if messages := c.take(most); len(messages) > 0 {
			return messages, nil
		}
		select {
		case <-c.came:
		case <-c.closed:
		case <-c.pumped:
			if messages := c.take(most); len(messages) > 0 { // they came before the end
				return messages, nil
			}
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
	var err error
	if c.frames != nil {
		err = c.send(ctx, kind, message)
	} else {
		err = c.ws.Write(ctx, kind, message)
	}
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

// send writes a message to the socket, past the library.
func (c *Conn) send(ctx context.Context, kind websocket.MessageType, message []byte) error {
	if ctx.Done() != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		defer context.AfterFunc(ctx, c.cut)()
	}
	return c.frames.message(byte(kind), message)
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
