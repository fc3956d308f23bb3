//go:build js

package socket

import (
	"context"
	"sync"
	"time"
	"unsafe"

	"vsync/core/fmt"
	"vsync/core/wire"
)

// ErrUnread ends a connection whose peer sends more than he has credit for while nobody reads.
var ErrUnread = fmt.Errorf("more than %d bytes came that were not read; the peer sends more than it has credit for", MaxUnread)

// Code returns the code that a peer sees when this side closes with code: browsers send 1000 and 3000 to 4999 alone, so what is for
// WebSocket itself, such as 1009, travels as 4109.
func Code(code int) int {
	switch {
	case code == wire.CloseNormal, 3000 <= code && code <= 4999:
		return code
	case 1000 < code && code < 2000:
		return code + 3100
	}
	return wire.CloseFault
}

// Conn is a wire.Conn over one WebSocket.
type Conn struct {
	id  int32
	url string

	mu     sync.Mutex
	queue  [][]byte // messages that came, the next one first
	unread int      // their bytes
	room   []byte   // what socket.ts puts the next message into
	words  []byte   // what it puts the text of an event into
	unsent int      // bytes in the browser's buffer, as far as is known
	over   bool     // this side closed, or an error was told

	// One goroutine reads and one writes, so that a place for one signal each is enough.
	readable chan struct{}
	writable chan struct{}
	dialed   chan error // how the opening went; one place

	closed chan struct{} // closed with over
	ended  chan struct{} // closed when nothing comes or goes any more, by whichever side
	why    error         // of ended; what Read tells once, behind the last message
	away   chan struct{} // closed when the browser has no socket any more
}

var _ wire.Conn = (*Conn)(nil)

func newConn(url string) *Conn {
	lastID++
	c := &Conn{
		id: lastID, url: url,
		readable: make(chan struct{}, 1), writable: make(chan struct{}, 1), dialed: make(chan error, 1),
		closed: make(chan struct{}), ended: make(chan struct{}), away: make(chan struct{}),
	}
	conns[c.id] = c
	return c
}

// Read returns the next message; see wire.Conn.
func (c *Conn) Read(ctx context.Context) ([]byte, error) {
	for {
		message, done, err := c.next()
		if done {
			return message, err
		}
		select {
		case <-c.readable:
		case <-c.ended:
		case <-c.closed:
		case <-ctx.Done():
			c.abandon()
			return nil, ctx.Err()
		}
	}
}

// next takes a message from the queue, or says how the connection ended: once, and ErrClosed from then on.
func (c *Conn) next() (message []byte, done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.over:
		return nil, true, wire.ErrClosed
	case len(c.queue) > 0:
		message = c.queue[0]
		c.queue[0] = nil
		c.queue = c.queue[1:]
		c.unread -= len(message)
		return message, true, nil
	case c.why != nil:
		c.shut()
		return nil, true, c.why
	}
	return nil, false, nil
}

// Write sends one message; see wire.Conn.
func (c *Conn) Write(ctx context.Context, message []byte) error {
	for {
		if sent, err := c.trySend(message); sent || err != nil {
			return err
		}
		select {
		case <-c.writable:
		case <-c.ended:
		case <-c.closed:
		case <-ctx.Done():
			c.abandon()
			return ctx.Err()
		}
	}
}

// trySend sends a message if the browser's buffer has room.
func (c *Conn) trySend(message []byte) (sent bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.over:
		return false, wire.ErrClosed
	case c.why != nil:
		return false, c.why
	case c.unsent > highWater:
		return false, nil
	}
	text := int32(0)
	if wire.IsBeat(message) {
		text = 1
	}
	unsent := jsSend(c.id, unsafe.Pointer(unsafe.SliceData(message)), int32(len(message)), text)
	if unsent < 0 { // the peer is closing, and the browser is about to say so
		c.unsent = highWater + 1
		return false, nil
	}
	c.unsent = int(unsent)
	return true, nil
}

// Close ends the connection; see wire.Conn. What the browser had not sent yet goes out before, if the peer reads it.
func (c *Conn) Close(code int, reason string) error {
	c.mu.Lock()
	first := c.shut()
	c.mu.Unlock()
	if first {
		jsClose(c.id, int32(Code(code)), cut(reason))
	}
	select {
	case <-c.away:
		return nil
	default:
	}
	late := make(chan struct{})
	wait := time.AfterFunc(closeWait, func() { close(late) })
	defer wait.Stop()
	select {
	case <-c.away:
	case <-late:
		c.forget()
	}
	return nil
}

// abandon ends the connection because a context has ended.
func (c *Conn) abandon() {
	c.mu.Lock()
	first := c.shut()
	c.mu.Unlock()
	if first {
		jsClose(c.id, int32(Code(wire.CloseAbnormal)), "the context of a call ended")
		c.forget()
	}
}

// forget leaves what is left of the socket to the browser.
func (c *Conn) forget() {
	if conns[c.id] == c {
		delete(conns, c.id)
		jsForget(c.id)
		close(c.away)
	}
}

// shut makes Reads and Writes on this side end, and drops what was not read. It reports whether it was the first. mu is held.
func (c *Conn) shut() (first bool) {
	if c.over {
		return false
	}
	c.over = true
	c.drop()
	close(c.closed)
	return true
}

func (c *Conn) drop() { c.queue, c.unread, c.room = nil, 0, nil }

// end notes how the connection ended. It reports whether it was the first.
func (c *Conn) end(why error) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why != nil {
		return false
	}
	c.why = why
	close(c.ended)
	return true
}

// --- what socket.ts tells -----------------------------------------------------------------------------------------

// fail ends the connection because of what the peer sent. What he sent before is still read.
func (c *Conn) fail(why error, code int) {
	if c.end(why) {
		jsClose(c.id, int32(Code(code)), cut(why.Error()))
	}
}

// makeRoom returns room for a message; nil if it is not wanted.
func (c *Conn) makeRoom(length int) []byte {
	c.mu.Lock()
	over, full := c.over || c.why != nil, c.unread+length > MaxUnread
	if !over && !full {
		c.room = make([]byte, length, max(length, 1))
	}
	c.mu.Unlock()
	switch {
	case over:
		return nil
	case full:
		c.mu.Lock()
		c.drop() // the memory matters more than what a resumed connection brings again
		c.mu.Unlock()
		c.fail(ErrUnread, wire.CloseFault)
		return nil
	}
	return c.room
}

func (c *Conn) takeMessage() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.room == nil || c.over || c.why != nil {
		return
	}
	c.queue = append(c.queue, c.room)
	c.unread += len(c.room)
	c.room = nil
	signal(c.readable)
}

// takeText takes a beat; there are no other texts.
func (c *Conn) takeText() {
	words := []byte(c.said())
	if !wire.IsBeat(words) {
		c.fail(wire.ErrText, wire.CloseText)
		return
	}
	if room := c.makeRoom(len(words)); room != nil {
		copy(room, words)
		c.takeMessage()
	}
}

func (c *Conn) drained(unsent int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsent = unsent
	signal(c.writable)
}

// said returns the text of the event that is being told.
func (c *Conn) said() string {
	defer func() { c.words = nil }()
	return string(c.words)
}

// gone notes that the browser has no socket any more.
func (c *Conn) gone(code int) {
	reason := c.said()
	if code == wire.CloseAbnormal && reason == "" {
		reason = "the network ended it"
	}
	c.end(&wire.CloseError{Code: code, Reason: reason})
	if conns[c.id] == c {
		delete(conns, c.id)
		close(c.away)
	}
}

func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default: // one is there that was not taken yet
	}
}

func fault(p any) error {
	return fmt.Errorf("the socket has failed, which is a fault of this program: %v", p)
}

// cut shortens a reason to what a close frame has room for, at the border of a character.
func cut(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	end := maxReason
	for end > 0 && reason[end]&0xC0 == 0x80 {
		end--
	}
	return reason[:end]
}
