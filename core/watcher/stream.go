package watcher

import (
	"context"
	"errors"
	"time"

	"vsync/core/fmt"
	"vsync/core/wire"
)

// connect asks for a token and dials. Meanwhile the status goes on telling what is written.
func (w *Watcher) connect(ctx context.Context) (conn wire.Conn, token string, fault Fault) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	dialing, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var err error
		if w.feed.Token != nil {
			if token, err = w.feed.Token(ctx); err != nil {
				fault = Fault{Code: wire.CodeUnauthenticated, Message: fmt.Sprintf("no token could be had: %v", err)}
				return
			}
		}
		close(dialing)
		if conn, err = w.dial(ctx); err != nil {
			fault = Fault{Message: fmt.Sprintf("the hub cannot be reached: %v", err)}
		}
	}()
	if w.feed.Token != nil {
		w.await(ForToken, 0)
	}
	var since time.Time // the dial's beginning
	for {
		select {
		case <-dialing:
			dialing, since = nil, w.feed.Clock.Now()
			w.await(ForConnection, 0)
		case <-done:
			return conn, token, fault
		case <-w.nudge:
			w.course.Nudged()
			if !since.IsZero() && w.feed.Clock.Now().Sub(since) >= wire.ProbeGiveUp {
				w.hurry = true
				giveUp(errNudged)
			}
		case <-w.wake:
			w.tell()
		}
	}
}

// errNudged ends a dial that may have begun on a network that is gone.
var errNudged = errors.New("no answer until the network has changed")

func (w *Watcher) dial(ctx context.Context) (wire.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer w.feed.Clock.AfterFunc(wire.DialTimeout, func() {
		cancel(fmt.Errorf("no answer in %v", wire.DialTimeout))
	})()
	conn, err := w.feed.Dial(ctx, w.feed.URL)
	if ctx.Err() == nil {
		return conn, err
	}
	if err == nil {
		conn.Close(wire.CloseNormal, "too late")
	}
	return nil, context.Cause(ctx)
}

// processStream is the life of one connection: it returns the session, which is over.
func (w *Watcher) processStream(ctx context.Context, conn wire.Conn, token string) *Session {
	s := New(w.replica, Config{
		Database: w.feed.Database, Token: token, Agent: w.feed.Agent, Thin: w.course.Thin(),
		Rest: w.course.Rest(), Linger: w.course.Linger(), Parting: w.course.Parting(), Leaving: w.course.Leaving(),
		Alone: w.course.Alone(), Careful: w.course.Careful(), Trail: w.course.Trail(), Owing: w.course.Owing(), HandedBack: w.course.HandedBack(), Back: w.course.Back(),
	})
	l := newLink(conn)
	release := l.cancelWith(ctx)
	bell, asks := newAlarm(w.feed.Clock), newAsker(ctx, w.feed.Token)
	w.work(func() { s.Open(ctx, w.feed.Clock.Now()) })
	w.showSession(s)
	for !s.Over() {
		if frame := w.nextFrame(ctx, s, l); frame != nil {
			l.send(frame)
		}
		w.turn(ctx, s, l, bell, asks)
		asks.ask(s)
		w.showSession(s)
	}
	bell.stop()
	asks.close()
	release()
	l.close(s.Result().Close())
	return s
}

func (w *Watcher) nextFrame(ctx context.Context, s *Session, l *link) (frame []byte) {
	if !l.free {
		return nil
	}
	w.work(func() { frame = s.Next(ctx) })
	return frame
}

// work lets the session do what may wait for the replica's storage.
func (w *Watcher) work(do func()) {
	w.detector.works()
	defer w.detector.rests()
	do()
}

// turn waits for one thing to happen, and tells the session.
func (w *Watcher) turn(ctx context.Context, s *Session, l *link, bell *alarm, asks *asker) {
	if s.Over() {
		return
	}
	bell.set(w.feed.Clock.Now(), s.Deadline())
	select {
	case frame, ok := <-l.in:
		if !ok {
			s.Lost(l.lost)
			return
		}
		w.work(func() { s.Frame(ctx, w.feed.Clock.Now(), frame) })
		if len(l.in) == 0 {
			s.Idle(w.feed.Clock.Now())
		}
	case err := <-l.wrote:
		if err != nil {
			w.drain(ctx, s, l)
			return
		}
		l.free = true
		s.Wrote(w.feed.Clock.Now())
	case <-bell.ring:
		bell.rang()
		s.Tick(w.feed.Clock.Now())
	case <-w.wake:
		s.Wake()
	case <-w.nudge:
		w.course.Nudged()
		s.Probe(w.feed.Clock.Now())
	case a := <-asks.answers:
		s.Token(w.feed.Clock.Now(), a.token, a.err)
	case <-ctx.Done():
		s.Lost(ctx.Err())
	}
}

// drain reads on for a moment after a write failed: the peer may have said why before he closed.
func (w *Watcher) drain(ctx context.Context, s *Session, l *link) {
	defer w.feed.Clock.AfterFunc(drainTime, func() {
		l.conn.Close(wire.CloseNormal, "writing failed")
	})()
	for !s.Over() {
		frame, ok := <-l.in
		if !ok {
			s.Lost(l.lost)
			return
		}
		s.Frame(ctx, w.feed.Clock.Now(), frame)
	}
}
