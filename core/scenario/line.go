package scenario

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"vsync/core/change"
	"vsync/core/wire"
)

// errBroken is what an end of a broken line is told.
var errBroken = errors.New("scenario: the line is broken")

// A line is what lies between a device and the hub.
//
//	watcher ─▶ device's end ─▶ (damaged here) ─▶ hub
//	        ◀─              ◀─ (counted here) ◀─
type line struct {
	dial wire.Dialer

	mu     sync.Mutex
	conn   wire.Conn // the latest
	after  int       // frames until it breaks, or one is garbled; -1: never
	up     bool      // which way they are counted
	garble bool
	broken bool          // until healed
	news   chan struct{} // closed when it breaks, or has garbled a frame
	spoilt map[change.Version]bool
	forged change.DeviceID // in whose name batches go up; zero: in that of the device
}

func newLine(dial wire.Dialer) *line {
	return &line{dial: dial, after: -1, news: make(chan struct{}), spoilt: map[change.Version]bool{}}
}

func (l *line) breakAfter(frames int, up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.after, l.up, l.garble, l.news = frames, up, false, make(chan struct{})
}

func (l *line) garbleAfter(frames int, up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.after, l.up, l.garble, l.news = frames, up, true, make(chan struct{})
}

func (l *line) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken, l.after, l.forged = false, -1, change.DeviceID{}
}

func (l *line) spoil(v change.Version) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spoilt[v] = true
}

// forge lets batches go up in the name of another device.
func (l *line) forge(d change.DeviceID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forged = d
}

// cut breaks the latest connection.
func (l *line) cut() {
	l.mu.Lock()
	conn := l.conn
	l.mu.Unlock()
	if conn != nil {
		conn.Close(wire.CloseAbnormal, "")
	}
}

// untilBroken waits.
func (l *line) untilBroken(ctx context.Context) error {
	l.mu.Lock()
	news := l.news
	l.mu.Unlock()
	select {
	case <-news:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Dial is the watcher's dialer.
func (l *line) Dial(ctx context.Context, url string) (wire.Conn, error) {
	l.mu.Lock()
	broken := l.broken
	l.mu.Unlock()
	if broken {
		return nil, errBroken
	}
	conn, err := l.dial(ctx, url)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = conn
	return &end{Conn: conn, line: l}, nil
}

// pass counts a frame, and returns what of it gets through; nil where the line is broken.
func (l *line) pass(frame []byte, up bool) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.broken:
		return nil
	case l.after < 0 || l.up != up:
		return frame
	case l.after > 0:
		l.after--
		return frame
	case l.garble:
		l.after = -1
		close(l.news)
		frame = bytes.Clone(frame)
		frame[0] ^= 0xff // what it then begins with begins no message
		return frame
	}
	l.broken = true
	close(l.news)
	return nil
}

// end is the device's end of a connection.
type end struct {
	wire.Conn
	line  *line
	hello wire.Hello
}

func (e *end) Read(ctx context.Context) ([]byte, error) {
	frame, err := e.Conn.Read(ctx)
	if err != nil {
		return nil, err
	}
	if frame = e.line.pass(frame, false); frame == nil {
		return nil, e.broke()
	}
	return frame, nil
}

func (e *end) Write(ctx context.Context, frame []byte) error {
	frame, err := e.damaged(frame)
	if err != nil {
		return err
	}
	if frame = e.line.pass(frame, true); frame == nil {
		return e.broke()
	}
	return e.Conn.Write(ctx, frame)
}

func (e *end) broke() error {
	e.Close(wire.CloseAbnormal, "")
	return errBroken
}

// damaged is what becomes of a frame on its way up. Parts of batches are not damaged.
func (e *end) damaged(frame []byte) ([]byte, error) {
	m, err := wire.DecodeUp(frame)
	if err != nil {
		return nil, err
	}
	if hello, is := m.(*wire.Hello); is {
		e.hello = *hello
	}
	push, is := m.(*wire.Push)
	if !is || push.Part.Split() {
		return frame, nil
	}
	e.line.mu.Lock()
	defer e.line.mu.Unlock()
	for i, batch := range push.Batches {
		v := change.Version{Device: e.hello.Device, Gen: push.Gen + change.Generation(i)}
		if e.line.spoilt[v] {
			batch = bytes.Clone(batch)
			batch[len(batch)-1] ^= 1 // of the body, which then is not the one that the header's hash names
			push.Batches[i] = batch
		}
		if !e.line.forged.IsZero() {
			if push.Batches[i], err = inTheNameOf(e.line.forged, batch); err != nil {
				return nil, err
			}
		}
	}
	return wire.Append(nil, push)
}

// inTheNameOf is what another device would write if it wrote this batch as its first.
func inTheNameOf(d change.DeviceID, batch []byte) ([]byte, error) {
	b, err := change.Decode(batch)
	if err != nil {
		return nil, err
	}
	b.Device, b.Gen = d, 1
	for i := range b.Mutations {
		b.Mutations[i].Parents = nil
	}
	return b.Encode(change.Hash{})
}
