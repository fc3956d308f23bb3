// Package conntest is the conformance suite of wire.Conn: one set of stories, run over every socket
// in every host.
//
//	func TestConn(t *testing.T) { conntest.Run(t, conntest.Harness{Pair: …}) }
package conntest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"vsync/core/wire"
)

// A Harness makes connections of the kind under test.
type Harness struct {
	// Pair returns the two ends of a new connection. The suite closes both.
	Pair func(t *testing.T) (a, b wire.Conn)

	// SendText makes a send a text message, past the interface; nil where the kind has no such thing.
	SendText func(t *testing.T, a wire.Conn, text string)

	// Open returns how many sockets of earlier Pairs are still open; nil where there are none.
	Open func() int

	// After is time.After: core asks no clock, its suites included.
	After func(time.Duration) <-chan time.Time

	// MaxBuffered is the most bytes that may be on the way to a reader who does not read; 0: 32 MiB,
	// which is more than the kernel's buffers.
	MaxBuffered int

	// Code returns the close code that a sees when b closes with code; nil: the same. Browsers keep
	// the codes of WebSocket itself to themselves.
	Code func(code int) int

	// Overflow is for a b that cannot stop a writer, as browsers take whatever comes: the error that
	// its Read ends with when too much was not read. Nil: a's Write blocks. The stories of a Write
	// that blocks are then told of that end instead.
	Overflow error
}

// Bounds of the suite. They are far above what is measured, as machines that test are busy.
const (
	patience = time.Minute     // for what must happen at all
	atOnce   = 2 * time.Second // for what must happen at once
	stall    = 300 * time.Millisecond
	chunk    = 256 << 10
)

// A story is one connection from its beginning to its end.
type story struct {
	name string
	run  func(t *testing.T, a, b wire.Conn)
}

// Run checks everything that wire.Conn promises.
func Run(t *testing.T, h Harness) {
	if h.MaxBuffered == 0 {
		h.MaxBuffered = 32 << 20
	}
	if h.Code == nil {
		h.Code = func(code int) int { return code }
	}
	s := suite{h}
	for _, story := range append(s.always(), s.unread()...) {
		t.Run(story.name, func(t *testing.T) {
			a, b := s.Pair(t)
			defer s.gone(t)
			defer b.Close(wire.CloseNormal, "")
			defer a.Close(wire.CloseNormal, "")
			story.run(t, a, b)
		})
	}
}

func (s suite) always() []story {
	return []story{
		{"messages keep their borders", s.borders},
		{"the written bytes stay the writer's", s.notKept},
		{"both ways at the same time", s.bothWays},
		{"a message of the limit", s.atLimit},
		{"a message over the limit", s.overLimit},
		{"text is refused", s.textRefused},
		{"beats arrive as what they are", s.beats},
		{"what was sent before a close is read", s.sentBeforeClose},
		{"code and reason arrive", s.codeAndReason},
		{"closing unblocks the own Read", s.closeOwnRead},
		{"a context ends a Read", s.contextRead},
		{"closing again does nothing", s.closeTwice},
		{"closing while everything runs", s.closeInTheMiddle},
	}
}

// unread returns the stories of a reader who does not read.
func (s suite) unread() []story {
	if s.Overflow != nil {
		return []story{{"a reader who does not read ends the connection", s.overflow}}
	}
	return []story{
		{"closing unblocks the own Write", s.closeOwnWrite},
		{"closing unblocks the peer's Read and Write", s.closePeer},
		{"a context ends a Write", s.contextWrite},
		{"a reader who does not read stops the writer", s.backPressure},
	}
}

// A suite is the stories, and what they are told with.
type suite struct{ Harness }

// gone waits until no socket is left.
func (s suite) gone(t *testing.T) {
	t.Helper()
	if s.Open == nil {
		return
	}
	for late := s.After(patience); s.Open() > 0; {
		select {
		case <-late:
			t.Errorf("%d sockets are still open", s.Open())
			return
		case <-s.After(time.Millisecond):
		}
	}
}

// soon returns a context that ends when patience does.
func (s suite) soon(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go func() {
		select {
		case <-s.After(patience):
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx
}

func (s suite) write(t *testing.T, c wire.Conn, message []byte) {
	t.Helper()
	if err := c.Write(s.soon(t), message); err != nil {
		t.Errorf("Write of %d bytes: %v", len(message), err)
	}
}

func (s suite) read(t *testing.T, c wire.Conn) []byte {
	t.Helper()
	message, err := c.Read(s.soon(t))
	if err != nil {
		t.Errorf("Read: %v", err)
	}
	return message
}

// A call is something that may block, and runs by itself.
type call struct {
	s    suite
	done chan struct{}
	err  error
}

func (s suite) start(f func() error) *call {
	c := &call{s: s, done: make(chan struct{})}
	go func() {
		c.err = f()
		close(c.done)
	}()
	return c
}

func (s suite) startRead(c wire.Conn, ctx context.Context) *call {
	return s.start(func() error { _, err := c.Read(ctx); return err })
}

// startFlood writes until it fails.
func (s suite) startFlood(c wire.Conn, ctx context.Context) *call {
	return s.start(func() error {
		for {
			if err := c.Write(ctx, make([]byte, chunk)); err != nil {
				return err
			}
		}
	})
}

// close closes c, which must not take long.
func (s suite) close(t *testing.T, c wire.Conn, code int, reason string) {
	t.Helper()
	if err := s.start(func() error { return c.Close(code, reason) }).ends(t, atOnce, "Close"); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// blocked fails unless the call is still waiting after a while.
func (c *call) blocked(t *testing.T, what string) {
	t.Helper()
	select {
	case <-c.done:
		t.Fatalf("%s ended: %v", what, c.err)
	case <-c.s.After(stall):
	}
}

// ends returns the error that the call ends with, within limit.
func (c *call) ends(t *testing.T, limit time.Duration, what string) error {
	t.Helper()
	select {
	case <-c.done:
		return c.err
	case <-c.s.After(limit):
		t.Fatalf("%s still waits after %v", what, limit)
		return nil
	}
}

func fill(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) + byte(i>>8)*7 + seed
	}
	return b
}

func (s suite) borders(t *testing.T, a, b wire.Conn) {
	sizes := []int{1, 0, 2, 125, 126, 127, 4096, 65535, 65536, 0, 100_000, 1}
	sent := s.start(func() error {
		for i, n := range sizes {
			s.write(t, a, fill(n, byte(i)))
		}
		return nil
	})
	for i, n := range sizes {
		if got := s.read(t, b); !bytes.Equal(got, fill(n, byte(i))) {
			t.Fatalf("message %d: expected %d bytes, got %d or other ones", i, n, len(got))
		}
	}
	sent.ends(t, patience, "writing")
}

func (s suite) notKept(t *testing.T, a, b wire.Conn) {
	message := fill(1000, 1)
	s.write(t, a, message)
	clear(message)
	first := s.read(t, b)
	if !bytes.Equal(first, fill(1000, 1)) {
		t.Error("a message changed after it was written")
	}
	s.write(t, a, fill(1000, 2))
	s.read(t, b)
	if !bytes.Equal(first, fill(1000, 1)) {
		t.Error("a message changed after the next one was read")
	}
}

func (s suite) bothWays(t *testing.T, a, b wire.Conn) {
	const n = 300
	var all sync.WaitGroup
	one := func(from, to wire.Conn, seed byte) {
		all.Go(func() {
			for i := range n {
				s.write(t, from, fill(i*37, seed+byte(i)))
			}
		})
		all.Go(func() {
			for i := range n {
				if got := s.read(t, to); !bytes.Equal(got, fill(i*37, seed+byte(i))) {
					t.Errorf("message %d differs", i)
					return
				}
			}
		})
	}
	one(a, b, 0)
	one(b, a, 100)
	all.Wait()
}

func (s suite) atLimit(t *testing.T, a, b wire.Conn) {
	for i := range 3 {
		sent := s.start(func() error { s.write(t, a, fill(wire.MaxFrame, byte(i))); return nil })
		if got := s.read(t, b); !bytes.Equal(got, fill(wire.MaxFrame, byte(i))) {
			t.Fatalf("expected %d bytes, got %d or other ones", wire.MaxFrame, len(got))
		}
		sent.ends(t, patience, "writing")
	}
}

func (s suite) overLimit(t *testing.T, a, b wire.Conn) {
	answer := s.startRead(a, s.soon(t))
	sent := s.start(func() error { return a.Write(s.soon(t), make([]byte, wire.MaxFrame+1)) })
	if message, err := b.Read(s.soon(t)); !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("expected ErrTooLarge, got %d bytes, %v", len(message), err)
	}
	sent.ends(t, patience, "writing")
	closedWith(t, answer.ends(t, patience, "the writer's Read"), s.Code(wire.CloseTooLarge))
	s.afterwards(t, b)
}

func (s suite) beats(t *testing.T, a, b wire.Conn) {
	for _, sent := range []string{wire.TextPing, "\x00", wire.TextPong, wire.TextPing} {
		for _, way := range [][2]wire.Conn{{a, b}, {b, a}} {
			if err := way[0].Write(s.soon(t), []byte(sent)); err != nil {
				t.Fatal(err)
			}
			if got, err := way[1].Read(s.soon(t)); err != nil || string(got) != sent {
				t.Fatalf("sent %q, got %q, %v", sent, got, err)
			}
		}
	}
}

func (s suite) textRefused(t *testing.T, a, b wire.Conn) {
	if s.SendText == nil {
		return
	}
	answer := s.startRead(a, s.soon(t))
	s.SendText(t, a, "hello")
	if message, err := b.Read(s.soon(t)); !errors.Is(err, wire.ErrText) {
		t.Errorf("expected ErrText, got %q, %v", message, err)
	}
	closedWith(t, answer.ends(t, patience, "the writer's Read"), s.Code(wire.CloseText))
	s.afterwards(t, b)
}

// afterwards checks an end that an error has ended.
func (s suite) afterwards(t *testing.T, c wire.Conn) {
	t.Helper()
	if _, err := c.Read(s.soon(t)); !errors.Is(err, wire.ErrClosed) {
		t.Errorf("Read afterwards: expected ErrClosed, got %v", err)
	}
	if err := c.Write(s.soon(t), []byte{1}); err == nil {
		t.Error("Write afterwards: expected an error")
	}
}

func closedWith(t *testing.T, err error, code int) {
	t.Helper()
	var closed *wire.CloseError
	if !errors.As(err, &closed) || closed.Code != code {
		t.Errorf("expected a close with %d, got %v", code, err)
	}
}

func (s suite) sentBeforeClose(t *testing.T, a, b wire.Conn) {
	for i := range 5 {
		s.write(t, a, []byte{byte(i)})
	}
	ended := s.start(func() error { return a.Close(wire.CloseNormal, "done") })
	for i := range 5 {
		if got := s.read(t, b); !bytes.Equal(got, []byte{byte(i)}) {
			t.Errorf("message %d: got %x", i, got)
		}
	}
	_, err := b.Read(s.soon(t))
	closedWith(t, err, wire.CloseNormal)
	ended.ends(t, patience, "Close")
	s.afterwards(t, b)
}

func (s suite) codeAndReason(t *testing.T, a, b wire.Conn) {
	waiting := s.startRead(b, s.soon(t))
	s.close(t, a, wire.CloseSilence, "nothing came, für 30 s")
	var closed *wire.CloseError
	err := waiting.ends(t, atOnce, "the peer's Read")
	if !errors.As(err, &closed) || *closed != (wire.CloseError{Code: wire.CloseSilence, Reason: "nothing came, für 30 s"}) {
		t.Errorf("expected code and reason, got %v", err)
	}
	s.afterwards(t, b)
}

func (s suite) closeOwnRead(t *testing.T, a, b wire.Conn) {
	waiting := s.startRead(a, context.Background())
	waiting.blocked(t, "Read")
	// b does not read: its answer to the close does not come.
	closing := s.start(func() error { return a.Close(wire.CloseNormal, "") })
	if err := waiting.ends(t, atOnce, "Read"); !errors.Is(err, wire.ErrClosed) {
		t.Errorf("expected ErrClosed, got %v", err)
	}
	closing.ends(t, atOnce, "Close")
	s.afterwards(t, a)
}

func (s suite) closeOwnWrite(t *testing.T, a, b wire.Conn) {
	flood := s.startFlood(a, context.Background())
	flood.blocked(t, "Write")
	closing := s.start(func() error { return a.Close(wire.CloseNormal, "") })
	if err := flood.ends(t, atOnce, "Write"); !errors.Is(err, wire.ErrClosed) {
		t.Errorf("expected ErrClosed, got %v", err)
	}
	closing.ends(t, atOnce, "Close")
	s.afterwards(t, a)
}

func (s suite) closePeer(t *testing.T, a, b wire.Conn) {
	flood := s.startFlood(a, context.Background())
	waiting := s.startRead(a, context.Background())
	flood.blocked(t, "Write")
	s.close(t, b, wire.CloseGoing, "")
	if err := flood.ends(t, atOnce, "the peer's Write"); err == nil {
		t.Error("the peer's Write ended well")
	}
	if err := waiting.ends(t, atOnce, "the peer's Read"); err == nil {
		t.Error("the peer's Read ended well")
	}
}

func (s suite) contextRead(t *testing.T, a, b wire.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	waiting, other := s.startRead(a, ctx), s.startRead(b, context.Background())
	waiting.blocked(t, "Read")
	cancel()
	if err := waiting.ends(t, atOnce, "Read"); !errors.Is(err, context.Canceled) {
		t.Errorf("expected the context's error, got %v", err)
	}
	var closed *wire.CloseError
	if err := other.ends(t, atOnce, "the peer's Read"); !errors.As(err, &closed) {
		t.Errorf("the peer: expected a close, got %v", err)
	}
	s.afterwards(t, a)
}

func (s suite) contextWrite(t *testing.T, a, b wire.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	flood := s.startFlood(a, ctx)
	flood.blocked(t, "Write")
	cancel()
	if err := flood.ends(t, atOnce, "Write"); !errors.Is(err, context.Canceled) {
		t.Errorf("expected the context's error, got %v", err)
	}
	s.afterwards(t, a)
}

// backPressure lets a writer run into a reader who sleeps, then wakes the reader.
func (s suite) backPressure(t *testing.T, a, b wire.Conn) {
	total := s.MaxBuffered/chunk + 32 // chunks: more than may be on the way
	var mu sync.Mutex
	sent := 0
	writing := s.start(func() error {
		for i := range total {
			if err := a.Write(s.soon(t), fill(chunk, byte(i))); err != nil {
				return fmt.Errorf("chunk %d: %w", i, err)
			}
			mu.Lock()
			sent++
			mu.Unlock()
		}
		return nil
	})
	writing.blocked(t, "writing")
	mu.Lock()
	buffered := sent * chunk
	mu.Unlock()
	if buffered > s.MaxBuffered {
		t.Errorf("%d bytes are on the way to a reader who sleeps, expected at most %d", buffered, s.MaxBuffered)
	}
	for i := range total {
		if got := s.read(t, b); !bytes.Equal(got, fill(chunk, byte(i))) {
			t.Fatalf("chunk %d differs", i)
		}
	}
	if err := writing.ends(t, patience, "writing"); err != nil {
		t.Error(err)
	}
}

// overflow lets a writer run into a reader who sleeps and cannot stop him.
func (s suite) overflow(t *testing.T, a, b wire.Conn) {
	answer := s.startRead(a, s.soon(t))
	sent := 0
	writing := s.start(func() error {
		for {
			if err := a.Write(s.soon(t), make([]byte, chunk)); err != nil {
				return err
			}
			sent += chunk
		}
	})
	closedWith(t, answer.ends(t, patience, "the writer's Read"), wire.CloseFault)
	writing.ends(t, patience, "writing")
	if sent > s.MaxBuffered {
		t.Errorf("%d bytes went to a reader who sleeps, expected at most %d", sent, s.MaxBuffered)
	}
	if message, err := b.Read(s.soon(t)); !errors.Is(err, s.Overflow) {
		t.Errorf("expected %q, got %d bytes, %v", s.Overflow, len(message), err)
	}
	s.afterwards(t, b)
}

func (s suite) closeTwice(t *testing.T, a, b wire.Conn) {
	waiting := s.startRead(b, s.soon(t))
	for range 3 {
		s.close(t, a, wire.CloseFault, "first")
	}
	a.Close(wire.CloseGoing, "second")
	closedWith(t, waiting.ends(t, atOnce, "the peer's Read"), wire.CloseFault)
	s.close(t, b, wire.CloseNormal, "")
	s.afterwards(t, a)
	s.afterwards(t, b)
}

func (s suite) closeInTheMiddle(t *testing.T, a, b wire.Conn) {
	calls := []*call{s.startFlood(a, context.Background()), s.startFlood(b, context.Background())}
	for _, c := range []wire.Conn{a, b} {
		calls = append(calls, s.start(func() error {
			for {
				if _, err := c.Read(context.Background()); err != nil {
					return err
				}
			}
		}))
	}
	<-s.After(stall / 10)
	var all sync.WaitGroup
	for _, c := range []wire.Conn{a, b, a} {
		all.Go(func() { c.Close(wire.CloseNormal, "") })
	}
	for i, c := range calls {
		if err := c.ends(t, atOnce, fmt.Sprint("call ", i)); err == nil {
			t.Errorf("call %d ended well", i)
		}
	}
	all.Wait()
}
