package wire

import (
	"context"
	"sync"
)

// Pipe returns the two ends of a connection in memory, for tests. Each direction holds at most limit
// bytes, or one message of any size.
//
//	a.Write ──▶ [ lane ] ──▶ b.Read
//	a.Read  ◀── [ lane ] ◀── b.Write
func Pipe(limit int) (a, b Conn) {
	p := &pipe{changed: make(chan struct{}), limit: limit}
	return &pipeEnd{p: p, side: 0}, &pipeEnd{p: p, side: 1}
}

type pipe struct {
	mu      sync.Mutex
	changed chan struct{} // closed and made anew at every change; waiters look again
	limit   int
	lanes   [2]lane    // by the side that writes
	closed  [2]bool    // by side: it closed, or an error ended it
	why     CloseError // of the first close
}

type lane struct {
	queue [][]byte
	size  int
}

func (p *pipe) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// wait runs step under the lock, again after every change, until it is done or ctx ends.
func (p *pipe) wait(ctx context.Context, step func() (done bool)) error {
	for {
		p.mu.Lock()
		done, changed := step(), p.changed
		p.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type pipeEnd struct {
	p    *pipe
	side int
}

func (e *pipeEnd) Read(ctx context.Context) (message []byte, err error) {
	in := &e.p.lanes[1-e.side]
	ended := e.p.wait(ctx, func() bool {
		switch {
		case e.p.closed[e.side]:
			err = ErrClosed
		case len(in.queue) > 0:
			message, in.queue = in.queue[0], in.queue[1:]
			in.size -= len(message)
			e.p.wake()
		case e.p.closed[1-e.side]:
			why := e.p.why
			err = &why
			e.shut(CloseAbnormal, "")
		default:
			return false
		}
		return true
	})
	switch {
	case ended != nil:
		e.end(CloseAbnormal, "context ended")
		return nil, ended
	case len(message) > MaxFrame:
		e.end(CloseTooLarge, ErrTooLarge.Error())
		return nil, ErrTooLarge
	}
	return message, err
}

func (e *pipeEnd) Write(ctx context.Context, message []byte) (err error) {
	out := &e.p.lanes[e.side]
	message = append([]byte{}, message...)
	ended := e.p.wait(ctx, func() bool {
		switch {
		case e.p.closed[e.side]:
			err = ErrClosed
		case e.p.closed[1-e.side]:
			why := e.p.why
			err = &why
		case len(out.queue) == 0 || out.size+len(message) <= e.p.limit:
			out.queue = append(out.queue, message)
			out.size += len(message)
			e.p.wake()
		default:
			return false
		}
		return true
	})
	if ended != nil {
		e.end(CloseAbnormal, "context ended")
		return ended
	}
	return err
}

func (e *pipeEnd) Close(code int, reason string) error {
	e.end(code, reason)
	return nil
}

func (e *pipeEnd) end(code int, reason string) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	e.shut(code, reason)
}

// shut marks this end closed. What it wrote before stays readable; what it did not read is dropped.
func (e *pipeEnd) shut(code int, reason string) {
	if e.p.closed[e.side] {
		return
	}
	if !e.p.closed[1-e.side] {
		e.p.why = CloseError{Code: code, Reason: reason}
	}
	e.p.closed[e.side] = true
	e.p.lanes[1-e.side] = lane{}
	e.p.wake()
}
