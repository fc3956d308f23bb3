package watcher

import (
	"context"
	"sync"

	"vsync/core/wire"
)

// A link moves frames between a connection and the goroutine that owns the session, which so never
// waits for the socket: one goroutine reads, one writes.
//
//	Conn.Read ─▶ in  ─▶ session
//	session   ─▶ out ─▶ Conn.Write ─▶ wrote
type link struct {
	conn  wire.Conn
	in    chan []byte // closed when reading has ended: lost says why
	lost  error
	out   chan []byte
	wrote chan error
	free  bool // the writer has nothing to do

	done  chan struct{} // closed when nobody takes from in any more
	group sync.WaitGroup
}

func newLink(conn wire.Conn) *link {
	l := &link{
		conn: conn, in: make(chan []byte, maxInbound), out: make(chan []byte, 1), wrote: make(chan error, 1),
		free: true, done: make(chan struct{}),
	}
	l.group.Go(l.read)
	l.group.Go(l.write)
	return l
}

// read ends when the connection does: close, or the canceler, closes it.
func (l *link) read() {
	defer close(l.in)
	for {
		frame, err := l.conn.Read(context.Background())
		if err != nil {
			l.lost = err
			return
		}
		select {
		case l.in <- frame:
		case <-l.done:
			return
		}
	}
}

func (l *link) write() {
	for frame := range l.out {
		err := l.conn.Write(context.Background(), frame)
		l.wrote <- err
		if err != nil {
			return
		}
	}
}

// send gives the writer a frame; only while it is free.
func (l *link) send(frame []byte) {
	l.free = false
	l.out <- frame
}

// close ends the connection and waits for both goroutines.
func (l *link) close(code int, reason string) {
	l.conn.Close(code, reason)
	close(l.done)
	close(l.out)
	l.group.Wait()
}

// cancelWith closes the connection as soon as ctx ends, which ends a blocked read or write. The
// canceler ends by itself when the stream does: the caller then calls release.
func (l *link) cancelWith(ctx context.Context) (release func()) {
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		l.conn.Close(wire.CloseNormal, "the device is done")
	})
	return func() {
		if !stop() {
			<-ended
		}
	}
}
