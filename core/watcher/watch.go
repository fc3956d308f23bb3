package watcher

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"vsync/core"
	"vsync/core/wire"
)

// Feed says where the hub is and what to reach it with. Without a URL there is no feed.
type Feed struct {
	URL      string // of the database: <base>/v1/<name>
	Database string
	Agent    string // program and version, for the hub's log

	// Token returns what the hub asks for; nil: nothing. It is asked at every connection, and before it expires; it may
	// wait for a user, until its context ends.
	Token func(ctx context.Context) (string, error)

	Dial   wire.Dialer // its context is for dialing alone
	Clock  Clock
	Rand   rand.Source // for jitter; devices of one hub must not draw alike
	Delays Delays
}

func (f *Feed) validate() error {
	if f.URL != "" && (f.Dial == nil || f.Clock == nil || f.Rand == nil) {
		return &core.Error{Code: core.Invalid, Message: "a feed needs Dial, Clock and Rand"}
	}
	return nil
}

// A Watcher keeps a replica and its hub in sync, from Run until Close.
type Watcher struct {
	replica  Replica
	feed     Feed
	course   *Course
	board    board
	detector detector
	wake     chan struct{} // the replica may have unsent batches
	nudge    chan struct{} // try now
	unpause  chan struct{} // paused has changed to false
	hurry    bool          // a nudge has ended a dial: the next one is soon

	ctx   context.Context // ends with Close
	stop  context.CancelFunc
	ended chan struct{} // Run has returned

	mu        sync.Mutex
	running   bool
	paused    bool
	interrupt context.CancelFunc // ends what Pause ends
}

// NewWatcher returns the watcher of a replica. It does nothing before Run.
func NewWatcher(replica Replica, feed Feed) (*Watcher, error) {
	if err := feed.validate(); err != nil {
		return nil, err
	}
	w := &Watcher{
		replica: replica, feed: feed,
		wake: make(chan struct{}, 1), nudge: make(chan struct{}, 1), unpause: make(chan struct{}, 1),
		ended: make(chan struct{}), interrupt: func() {},
	}
	w.detector.clock, w.detector.told = feed.Clock, w.tell
	w.ctx, w.stop = context.WithCancel(context.Background())
	w.board.now.Phase = PhaseLocal
	if feed.URL != "" {
		w.board.now.Phase = PhaseConnecting
		w.course = NewCourse(feed.Delays, feed.Rand)
	}
	return w, nil
}

// Run watches the feed until Close, or until ctx ends, or until the replica is closed; later calls
// return at once. Where there is no feed it returns at once, and nothing is touched.
func (w *Watcher) Run(ctx context.Context) {
	if w.feed.URL == "" || !w.begin() {
		return
	}
	defer close(w.ended)
	defer context.AfterFunc(ctx, w.stop)()
	stop := w.noticeWaking()
	defer stop()
	w.replica.OnUnsent(func() { poke(w.wake) })
	for w.unpaused() {
		w.watchFeed(w.interruptible())
	}
	w.detector.end()
	w.show(func(s *Status) { *s = Status{Phase: PhaseClosed, LastConfirmedAt: s.LastConfirmedAt} })
}

func (w *Watcher) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running || w.ctx.Err() != nil {
		return false
	}
	w.running = true
	return true
}

// Close ends Run, whatever it waits for, and returns when nothing of it is left.
func (w *Watcher) Close() {
	w.mu.Lock()
	w.stop()
	running := w.running
	w.mu.Unlock()
	if running {
		<-w.ended
	}
}

// Pause ends the connection, and stays away until Resume. Local writes go on and wait.
func (w *Watcher) Pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused = true
	w.interrupt()
}

// Resume connects at once.
func (w *Watcher) Resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused = false
	poke(w.unpause)
}

// Nudge says that there is reason to look anew: the network is back or another one, the device has slept, a token or
// a setting has changed, or a user asks. A delay under way is cut to a random part of a second, once, but for what the
// hub asked for, and those that follow begin anew. So does a dial that has waited for a while. A connection has to show
// soon that it lives.
func (w *Watcher) Nudge() { poke(w.nudge) }

// unpaused waits while the feed is paused, and reports whether there is something to go on with.
func (w *Watcher) unpaused() bool {
	for w.ctx.Err() == nil {
		w.mu.Lock()
		paused := w.paused
		w.mu.Unlock()
		w.show(func(s *Status) { s.Paused = paused })
		if !paused {
			return true
		}
		w.show(func(s *Status) {
			s.Phase, s.NextAttemptAt = PhaseWaiting, time.Time{}
			s.Received, s.Expected = 0, 0
		})
		w.await(ForResume, 0)
		select {
		case <-w.unpause:
		case <-w.wake:
		case <-w.ctx.Done():
		}
	}
	return false
}

// interruptible returns a context that ends with Close and with Pause.
func (w *Watcher) interruptible() context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.interrupt()
	ctx, cancel := context.WithCancel(w.ctx)
	w.interrupt = cancel
	if w.paused {
		cancel()
	}
	return ctx
}

// watchFeed gets a stream, processes it until it ends, waits, and repeats, until ctx ends.
func (w *Watcher) watchFeed(ctx context.Context) {
	for {
		conn, token := w.getStream(ctx)
		if conn == nil {
			return
		}
		s := w.processStream(ctx, conn, token)
		if ctx.Err() != nil {
			w.course.learn(w.feed.Clock.Now(), s)
			return
		}
		if !w.wait(ctx, w.course.After(w.feed.Clock.Now(), s)) {
			return
		}
	}
}

// getStream dials until there is a connection. It returns nil when ctx ends.
func (w *Watcher) getStream(ctx context.Context) (wire.Conn, string) {
	for {
		w.show(func(s *Status) { s.Phase, s.NextAttemptAt = PhaseConnecting, time.Time{} })
		conn, token, fault := w.connect(ctx)
		if conn != nil {
			return conn, token
		}
		if ctx.Err() != nil || !w.wait(ctx, w.course.AfterDial(fault)) {
			return nil, ""
		}
	}
}

// wait does what a step says. It reports whether there is a next attempt.
func (w *Watcher) wait(ctx context.Context, step Step) bool {
	if step.Reenter {
		w.detector.works()
		err := w.replica.Reenter(ctx)
		w.detector.rests()
		if err != nil {
			step = w.course.AfterFailure(err)
		}
	}
	if step.Stop {
		w.stop()
		return false
	}
	if step.Delay == 0 {
		return ctx.Err() == nil
	}
	now := w.feed.Clock.Now()
	until, earliest := now.Add(step.Delay), now.Add(step.Floor)
	bell := newAlarm(w.feed.Clock)
	defer bell.stop()
	take(w.nudge) // what came before is no reason to hurry now
	nudge := w.nudge
	if w.hurry {
		until, nudge, w.hurry = now.Add(w.course.nudged(until.Sub(now), earliest.Sub(now))), nil, false
	}
	w.detector.waits(ForAttempt, uint64(w.course.attempt))
	for now.Before(until) {
		w.show(func(s *Status) {
			s.Phase, s.Fault, s.NextAttemptAt = step.Phase, step.Fault, until
			s.Received, s.Expected = 0, 0
		})
		bell.set(now, until)
		select {
		case <-bell.ring:
			bell.rang()
		case <-nudge:
			nudge = nil // once a delay
			w.course.Nudged()
			now = w.feed.Clock.Now()
			until = now.Add(w.course.nudged(until.Sub(now), earliest.Sub(now)))
		case <-w.wake:
			w.tell()
		case <-ctx.Done():
			return false
		}
		now = w.feed.Clock.Now()
	}
	return true
}

func take(c chan struct{}) {
	select {
	case <-c:
	default:
	}
}
