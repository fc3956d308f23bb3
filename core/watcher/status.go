package watcher

import (
	"sync"
	"time"

	"vsync/core/change"
	"vsync/core/wire"
)

// A Phase is what sync is doing, in the words of the SDK.
type Phase string

const (
	PhaseLocal       Phase = "local"       // there is no feed
	PhaseConnecting  Phase = "connecting"  // token, dial, hello, settling
	PhaseCatchingUp  Phase = "catching-up" // Received of Expected entries are applied, or handed back to a hub that lost them
	PhaseLive        Phase = "live"        // what the hub has is here
	PhaseWaiting     Phase = "waiting"     // for NextAttemptAt; for Resume while Paused
	PhaseRefused     Phase = "refused"     // the hub wants something changed: Fault says what
	PhaseQuarantined Phase = "quarantined" // a feed entry or own batch is held: Fault says which
	PhaseClosed      Phase = "closed"
)

// A Fault says why sync does not go on.
type Fault struct {
	Code    wire.Code         // empty: the network, or no fault at all
	Message string            // for people
	Gen     change.Generation // own batch that it is about; 0: none
	Seq     uint64            // place of the feed that it is about; 0: none
}

// IsZero reports whether there is no fault.
func (f Fault) IsZero() bool { return f == Fault{} }

// Status is where sync stands. Values are compared with ==.
type Status struct {
	Phase           Phase
	Paused          bool
	Received        uint64    // entries applied since the welcome, while catching up
	Expected        uint64    // entries between the welcome's place and the feed's head at that time
	NextAttemptAt   time.Time // zero: none is planned, or one is under way
	LastConfirmedAt time.Time // when the hub last answered an own batch; zero: not since the start
	Fault           Fault     // of the last attempt, until one has gone well
	Waiting         Waiting   // what sync waits for, and since when

	Pending int           // own batches that the hub has not answered
	Marker  change.Marker // what of the feed is applied
}

// A board holds the status and tells its readers.
type board struct {
	mu      sync.Mutex
	now     Status
	readers map[int]func(Status)
	next    int

	telling sync.Mutex // held while readers are told
	told    Status
}

func (b *board) current() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// set changes the status; only the goroutine that runs the watcher calls it.
func (b *board) set(change func(*Status)) {
	b.mu.Lock()
	change(&b.now)
	b.mu.Unlock()
}

// watched returns those who are to be told, nil if there are none.
func (b *board) watched() []func(Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]func(Status), 0, len(b.readers))
	for i := range b.next {
		if fn := b.readers[i]; fn != nil {
			list = append(list, fn)
		}
	}
	return list
}

func (b *board) add(fn func(Status)) (remove func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.readers == nil {
		b.readers = map[int]func(Status){}
	}
	id := b.next
	b.next++
	b.readers[id] = fn
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.readers, id)
	}
}

// Status returns where sync stands now.
func (w *Watcher) Status() Status {
	return w.complete(w.board.current())
}

// complete adds what the replica knows, and what is waited for.
func (w *Watcher) complete(s Status) Status {
	state := w.replica.State()
	s.Pending, s.Marker = state.Pending, state.Marker
	s.Waiting = w.detector.waiting()
	return s
}

// Subscribe calls fn after every change of the status, one call at a time, on the goroutine of Run or of a timer:
// it must not block, and not call Close. It is not called for the status there is already.
func (w *Watcher) Subscribe(fn func(Status)) (stop func()) { return w.board.add(fn) }

// tell passes the status on, if it is another than the one told before.
func (w *Watcher) tell() {
	readers := w.board.watched()
	if len(readers) == 0 {
		return
	}
	w.board.telling.Lock()
	defer w.board.telling.Unlock()
	s := w.Status()
	if s == w.board.told {
		return
	}
	w.board.told = s
	for _, fn := range readers {
		fn(s)
	}
}

// show changes the status and tells it.
func (w *Watcher) show(change func(*Status)) {
	w.board.set(change)
	w.tell()
}

// await says what is waited for from now on; see detector.waits.
func (w *Watcher) await(reason Reason, step uint64) {
	w.detector.waits(reason, step)
	w.tell()
}

// showSession shows how far a connection has come.
func (w *Watcher) showSession(s *Session) {
	standing := w.course.Standing(s)
	w.detector.waits(s.awaits())
	w.show(func(st *Status) {
		if !s.confirmed.IsZero() {
			st.LastConfirmedAt = s.confirmed
		}
		if s.stage == handingBack {
			st.Phase, st.Fault = PhaseCatchingUp, Fault{Code: wire.CodeUnknownMarker, Message: "the hub has lost entries; what this replica has of them is handed back"}
			st.Received, st.Expected = s.Progress()
		}
		if !s.Settled() {
			return
		}
		st.Received, st.Expected = 0, 0
		st.Fault = standing
		switch {
		case !standing.IsZero():
			st.Phase = PhaseQuarantined
		case s.Live():
			st.Phase = PhaseLive
		default:
			st.Phase = PhaseCatchingUp
			st.Received, st.Expected = s.Progress()
		}
	})
}
