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

	// MaxBuffered is the most bytes that may be on the way to a reader who does not read; 0: 32 MiB,
	// which is more than the kernel's buffers.
	MaxBuffered int
}

// Bounds of the suite. They are far above what is measured, as machines that test are busy.
const (
	patience = 10 * time.Second // for what must happen at all
	atOnce   = 2 * time.Second  // for what must happen at once
	stall    = 300 * time.Millisecond
	chunk    = 256 << 10
)

// Run checks everything that wire.Conn promises.
func Run(t *testing.T, h Harness) {
	if h.MaxBuffered == 0 {
		h.MaxBuffered = 32 << 20
	}
	for _, story := range []struct {
		name string
		run  func(t *testing.T, h Harness, a, b wire.Conn)
	}{
		{"messages keep their borders", borders},
		{"the written bytes stay the writer's", notKept},
		{"both ways at the same time", bothWays},
		{"a message of the limit", atLimit},
		{"a message over the limit", overLimit},
		{"text is refused", textRefused},
		{"what was sent before a close is read", sentBeforeClose},
		{"code and reason arrive", codeAndReason},
		{"closing unblocks the own Read", closeOwnRead},
		{"closing unblocks the own Write", closeOwnWrite},
		{"closing unblocks the peer's Read and Write", closePeer},
		{"a context ends a Read", contextRead},
		{"a context ends a Write", contextWrite},
		{"a reader who does not read stops the writer", backPressure},
		{"closing again does nothing", closeTwice},
		{"closing while everything runs", closeInTheMiddle},
	} {
		t.Run(story.name, func(t *testing.T) {
			a, b := h.Pair(t)
			defer gone(t, h)
			defer b.Close(wire.CloseNormal, "")
			defer a.Close(wire.CloseNormal, "")
			story.run(t, h, a, b)
		})
	}
}

// gone waits until no socket is left.
func gone(t *testing.T, h Harness) {
	t.Helper()
	if h.Open == nil {
		return
	}
	for end := time.Now().Add(patience); h.Open() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%d sockets are still open", h.Open())
			return
		}
	}
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func write(t *testing.T, c wire.Conn, message []byte) {
	t.Helper()
	if err := c.Write(soon(t), message); err != nil {
		t.Errorf("Write of %d bytes: %v", len(message), err)
	}
}

func read(t *testing.T, c wire.Conn) []byte {
	t.Helper()
	message, err := c.Read(soon(t))
	if err != nil {
		t.Errorf("Read: %v", err)
	}
	return message
}

// within runs f and fails if it takes longer than limit.
func within(t *testing.T, limit time.Duration, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took > limit {
		t.Errorf("%s took %v, expected at most %v", what, took, limit)
	}
}

// A call is a Read or Write that runs by itself.
type call struct {
	done chan struct{}
	err  error
}

func start(f func() error) *call {
	c := &call{done: make(chan struct{})}
	go func() {
		c.err = f()
		close(c.done)
	}()
	return c
}

func startRead(c wire.Conn, ctx context.Context) *call {
	return start(func() error { _, err := c.Read(ctx); return err })
}

// startFlood writes until it fails.
func startFlood(c wire.Conn, ctx context.Context) *call {
	return start(func() error {
		for {
			if err := c.Write(ctx, make([]byte, chunk)); err != nil {
				return err
			}
		}
	})
}

// blocked fails unless the call is still waiting after a while.
func (c *call) blocked(t *testing.T, what string) {
	t.Helper()
	select {
	case <-c.done:
		t.Fatalf("%s ended: %v", what, c.err)
	case <-time.After(stall):
	}
}

// ends returns the error that the call ends with, within limit.
func (c *call) ends(t *testing.T, limit time.Duration, what string) error {
	t.Helper()
	select {
	case <-c.done:
		return c.err
	case <-time.After(limit):
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

func borders(t *testing.T, _ Harness, a, b wire.Conn) {
	sizes := []int{1, 0, 2, 125, 126, 127, 4096, 65535, 65536, 0, 100_000, 1}
	sent := start(func() error {
		for i, n := range sizes {
			write(t, a, fill(n, byte(i)))
		}
		return nil
	})
	for i, n := range sizes {
		if got := read(t, b); !bytes.Equal(got, fill(n, byte(i))) {
			t.Fatalf("message %d: expected %d bytes, got %d or other ones", i, n, len(got))
		}
	}
	sent.ends(t, patience, "writing")
}

func notKept(t *testing.T, _ Harness, a, b wire.Conn) {
	message := fill(1000, 1)
	write(t, a, message)
	clear(message)
	first := read(t, b)
	if !bytes.Equal(first, fill(1000, 1)) {
		t.Error("a message changed after it was written")
	}
	write(t, a, fill(1000, 2))
	read(t, b)
	if !bytes.Equal(first, fill(1000, 1)) {
		t.Error("a message changed after the next one was read")
	}
}

func bothWays(t *testing.T, _ Harness, a, b wire.Conn) {
	const n = 300
	var all sync.WaitGroup
	one := func(from, to wire.Conn, seed byte) {
		all.Go(func() {
			for i := range n {
				write(t, from, fill(i*37, seed+byte(i)))
			}
		})
		all.Go(func() {
			for i := range n {
				if got := read(t, to); !bytes.Equal(got, fill(i*37, seed+byte(i))) {
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

func atLimit(t *testing.T, _ Harness, a, b wire.Conn) {
	for i := range 3 {
		sent := start(func() error { write(t, a, fill(wire.MaxFrame, byte(i))); return nil })
		if got := read(t, b); !bytes.Equal(got, fill(wire.MaxFrame, byte(i))) {
			t.Fatalf("expected %d bytes, got %d or other ones", wire.MaxFrame, len(got))
		}
		sent.ends(t, patience, "writing")
	}
}

func overLimit(t *testing.T, h Harness, a, b wire.Conn) {
	answer := startRead(a, soon(t))
	sent := start(func() error { return a.Write(soon(t), make([]byte, wire.MaxFrame+1)) })
	if message, err := b.Read(soon(t)); !errors.Is(err, wire.ErrTooLarge) {
		t.Errorf("expected ErrTooLarge, got %d bytes, %v", len(message), err)
	}
	sent.ends(t, patience, "writing")
	closedWith(t, answer.ends(t, patience, "the writer's Read"), wire.CloseTooLarge)
	afterwards(t, b)
}

func textRefused(t *testing.T, h Harness, a, b wire.Conn) {
	if h.SendText == nil {
		return
	}
	answer := startRead(a, soon(t))
	h.SendText(t, a, "hello")
	if message, err := b.Read(soon(t)); !errors.Is(err, wire.ErrText) {
		t.Errorf("expected ErrText, got %q, %v", message, err)
	}
	closedWith(t, answer.ends(t, patience, "the writer's Read"), wire.CloseText)
	afterwards(t, b)
}

// afterwards checks an end that an error has ended.
func afterwards(t *testing.T, c wire.Conn) {
	t.Helper()
	if _, err := c.Read(soon(t)); !errors.Is(err, wire.ErrClosed) {
		t.Errorf("Read afterwards: expected ErrClosed, got %v", err)
	}
	if err := c.Write(soon(t), []byte{1}); err == nil {
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

func sentBeforeClose(t *testing.T, _ Harness, a, b wire.Conn) {
	for i := range 5 {
		write(t, a, []byte{byte(i)})
	}
	ended := start(func() error { return a.Close(wire.CloseNormal, "done") })
	for i := range 5 {
		if got := read(t, b); !bytes.Equal(got, []byte{byte(i)}) {
			t.Errorf("message %d: got %x", i, got)
		}
	}
	_, err := b.Read(soon(t))
	closedWith(t, err, wire.CloseNormal)
	ended.ends(t, patience, "Close")
	afterwards(t, b)
}

func codeAndReason(t *testing.T, _ Harness, a, b wire.Conn) {
	waiting := startRead(b, soon(t))
	if err := a.Close(wire.CloseSilence, "nothing came, für 30 s"); err != nil {
		t.Errorf("Close: %v", err)
	}
	var closed *wire.CloseError
	err := waiting.ends(t, atOnce, "the peer's Read")
	if !errors.As(err, &closed) || *closed != (wire.CloseError{Code: wire.CloseSilence, Reason: "nothing came, für 30 s"}) {
		t.Errorf("expected code and reason, got %v", err)
	}
	afterwards(t, b)
}

func closeOwnRead(t *testing.T, _ Harness, a, b wire.Conn) {
	waiting := startRead(a, context.Background())
	waiting.blocked(t, "Read")
	// b does not read: its answer to the close does not come.
	closing := start(func() error { return a.Close(wire.CloseNormal, "") })
	if err := waiting.ends(t, atOnce, "Read"); !errors.Is(err, wire.ErrClosed) {
		t.Errorf("expected ErrClosed, got %v", err)
	}
	closing.ends(t, atOnce, "Close")
	afterwards(t, a)
}

func closeOwnWrite(t *testing.T, _ Harness, a, b wire.Conn) {
	flood := startFlood(a, context.Background())
	flood.blocked(t, "Write")
	closing := start(func() error { return a.Close(wire.CloseNormal, "") })
	if err := flood.ends(t, atOnce, "Write"); !errors.Is(err, wire.ErrClosed) {
		t.Errorf("expected ErrClosed, got %v", err)
	}
	closing.ends(t, atOnce, "Close")
	afterwards(t, a)
}

func closePeer(t *testing.T, _ Harness, a, b wire.Conn) {
	flood := startFlood(a, context.Background())
	waiting := startRead(a, context.Background())
	flood.blocked(t, "Write")
	within(t, atOnce, "Close", func() { b.Close(wire.CloseGoing, "") })
	if err := flood.ends(t, atOnce, "the peer's Write"); err == nil {
		t.Error("the peer's Write ended well")
	}
	if err := waiting.ends(t, atOnce, "the peer's Read"); err == nil {
		t.Error("the peer's Read ended well")
	}
}

func contextRead(t *testing.T, _ Harness, a, b wire.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	waiting, other := startRead(a, ctx), startRead(b, context.Background())
	waiting.blocked(t, "Read")
	cancel()
	if err := waiting.ends(t, atOnce, "Read"); !errors.Is(err, context.Canceled) {
		t.Errorf("expected the context's error, got %v", err)
	}
	var closed *wire.CloseError
	if err := other.ends(t, atOnce, "the peer's Read"); !errors.As(err, &closed) {
		t.Errorf("the peer: expected a close, got %v", err)
	}
	afterwards(t, a)
}

func contextWrite(t *testing.T, _ Harness, a, b wire.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), stall)
	defer cancel()
	flood := startFlood(a, ctx)
	if err := flood.ends(t, stall+atOnce, "Write"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("expected the context's error, got %v", err)
	}
	afterwards(t, a)
}

// backPressure lets a writer run into a reader who sleeps, then wakes the reader.
func backPressure(t *testing.T, h Harness, a, b wire.Conn) {
	const total = 400 // chunks: more than any buffer on the way
	var mu sync.Mutex
	sent := 0
	writing := start(func() error {
		for i := range total {
			if err := a.Write(soon(t), fill(chunk, byte(i))); err != nil {
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
	if buffered > h.MaxBuffered {
		t.Errorf("%d bytes are on the way to a reader who sleeps, expected at most %d", buffered, h.MaxBuffered)
	}
	for i := range total {
		if got := read(t, b); !bytes.Equal(got, fill(chunk, byte(i))) {
			t.Fatalf("chunk %d differs", i)
		}
	}
	if err := writing.ends(t, patience, "writing"); err != nil {
		t.Error(err)
	}
}

func closeTwice(t *testing.T, _ Harness, a, b wire.Conn) {
	waiting := startRead(b, soon(t))
	for range 3 {
		within(t, atOnce, "Close", func() { a.Close(wire.CloseFault, "first") })
	}
	a.Close(wire.CloseGoing, "second")
	closedWith(t, waiting.ends(t, atOnce, "the peer's Read"), wire.CloseFault)
	within(t, atOnce, "the peer's Close", func() { b.Close(wire.CloseNormal, "") })
	afterwards(t, a)
	afterwards(t, b)
}

func closeInTheMiddle(t *testing.T, _ Harness, a, b wire.Conn) {
	calls := []*call{startFlood(a, context.Background()), startFlood(b, context.Background())}
	for _, c := range []wire.Conn{a, b} {
		calls = append(calls, start(func() error {
			for {
				if _, err := c.Read(context.Background()); err != nil {
					return err
				}
			}
		}))
	}
	time.Sleep(stall / 10)
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
