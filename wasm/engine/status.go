package engine

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/watcher"
	"vsync/core/wire/msgpack"
	"vsync/wasm/port"
)

// status is what pages are told of a database. It is compared with ==.
type status struct {
	phase, marker, mode, device, code, message, waits string

	paused, stalled            bool
	pending                    int
	oldest, received, expected uint64
	confirmed, next, since     uint64
	listed                     uint64 // which list of problems
}

// board is what pages were told.
type board struct {
	once sync.Once
	news chan struct{} // has a value when the status may be another

	mu       sync.Mutex
	told     status
	problems []byte // the list, encoded
	listed   uint64 // counts its versions
	at       string // marker at which the list was read
	dirty    bool   // it was changed here
	wrong    error  // of what is done without a page asking for it; told where nothing else is
}

func (b *board) signal() chan struct{} {
	b.once.Do(func() { b.news = make(chan struct{}, 1) })
	return b.news
}

// nudge says that the status may be another. It does not block.
func (b *board) nudge() {
	select {
	case b.signal() <- struct{}{}:
	default:
	}
}

// changed says that the list of problems is another.
func (b *board) changed() {
	b.mu.Lock()
	b.dirty = true
	b.mu.Unlock()
	b.nudge()
}

// complain notes what went wrong in something that no page waits for.
func (b *board) complain(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	b.mu.Lock()
	b.wrong = err
	b.mu.Unlock()
	b.nudge()
}

// greet tells a page all there is.
func (db *database) greet(p *Port) {
	b := &db.board
	b.mu.Lock()
	defer b.mu.Unlock()
	s := db.status()
	p.tell(s.frame(b.problems), false)
}

// tellStatus tells the pages what has changed, until the database is closed, and writes checkpoints when it is quiet.
func (db *database) tellStatus() {
	clock := db.e.cfg.Clock
	stop := clock.AfterFunc(quiet, db.checkpoint) // of what was replayed at opening
	defer func() { stop() }()
	for {
		news := db.replica.Changed()
		if news == nil {
			return
		}
		select {
		case <-db.ctx.Done():
			return
		case <-db.board.signal():
		case <-news:
			stop()
			stop = clock.AfterFunc(quiet, db.checkpoint)
		}
		db.tell()
		rested := make(chan struct{})
		end := clock.AfterFunc(statusEvery, func() { close(rested) })
		select {
		case <-db.ctx.Done():
			end()
			return
		case <-rested:
		}
	}
}

func (db *database) tell() {
	b := &db.board
	b.mu.Lock()
	defer b.mu.Unlock()
	s := db.status()
	if s == b.told {
		return
	}
	var problems []byte
	if s.listed != b.told.listed {
		problems = b.problems
	}
	b.told = s
	frame := s.frame(problems)
	db.mu.Lock()
	ports := db.list()
	db.mu.Unlock()
	for _, p := range ports {
		p.tell(frame, false)
	}
}

// tellStorage says that pages wait for the storage, or do not any more. All else that there is to be told may have to be read from it.
func (db *database) tellStorage() {
	since, stalled := db.pulse.stalled()
	if !stalled {
		db.board.mu.Lock()
		db.board.told = status{}
		db.board.mu.Unlock()
		db.board.nudge()
		return
	}
	s := status{waits: string(watcher.ForStorage), since: millis(since), stalled: true}
	frame := s.appendWaiting(msgpack.AppendMap(port.Frame(nil, port.Status, 0, 1), 1))
	db.mu.Lock()
	ports := db.list()
	db.mu.Unlock()
	for _, p := range ports {
		p.tell(frame, false)
	}
}

// status reads where the database stands; the board's mu is held.
func (db *database) status() status {
	state := db.replica.State()
	s := status{phase: string(watcher.PhaseLocal), mode: db.mode, device: state.Device.String(), pending: state.Pending}
	if !state.Marker.IsZero() {
		s.marker = state.Marker.String()
	}
	if db.watcher != nil {
		w := db.watcher.Status()
		s.phase, s.paused, s.received, s.expected = string(w.Phase), w.Paused, w.Received, w.Expected
		s.next, s.confirmed = millis(w.NextAttemptAt), millis(w.LastConfirmedAt)
		s.waits, s.since, s.stalled = string(w.Waiting.For), millis(w.Waiting.Since), w.Waiting.Stalled
		s.code, s.message = string(word(string(w.Fault.Code))), w.Fault.Message
	}
	if since, is := db.pulse.stalled(); is {
		s.waits, s.since, s.stalled = string(watcher.ForStorage), millis(since), true
	}
	if s.code == "" && s.message == "" && db.board.wrong != nil {
		var code core.Code
		code, s.message = explain(db.board.wrong)
		s.code = string(code)
	}
	if s.pending > 0 {
		s.oldest = db.oldest(state.ConfirmedGen + 1)
	}
	db.listProblems(s.marker)
	s.listed = db.board.listed
	return s
}

func millis(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(max(t.UnixMilli(), 0))
}

// oldest is the stamp of the first batch that waits; 0 if it was written under an id that was given up.
func (db *database) oldest(from change.Generation) uint64 {
	_, batches, err := db.replica.Unsent(db.ctx, from, 1)
	if err != nil || len(batches) == 0 {
		return 0
	}
	h, _, err := change.DecodeHeader(batches[0])
	if err != nil {
		return 0
	}
	return h.Stamp
}

// listProblems reads the list again where it may be another: refusals come with the feed.
func (db *database) listProblems(marker string) {
	b := &db.board
	if b.problems != nil && marker == b.at && !b.dirty {
		return
	}
	problems, err := db.replica.Problems(db.ctx)
	if err != nil {
		return
	}
	b.at, b.dirty = marker, false
	if list := appendProblems(nil, problems); !bytes.Equal(list, b.problems) {
		b.problems = list
		b.listed++
	}
}

func appendProblems(b []byte, problems []core.Problem) []byte {
	b = msgpack.AppendArray(b, len(problems))
	for i := range problems {
		x := &problems[i]
		b = msgpack.AppendStr(msgpack.AppendArray(b, 5), x.Version.String())
		b = msgpack.AppendStr(msgpack.AppendStr(b, string(word(x.Code))), x.Message)
		b = msgpack.AppendArray(msgpack.AppendUint(b, x.Time), len(x.Ops))
		for j := range x.Ops {
			op := &x.Ops[j]
			b = msgpack.AppendStr(msgpack.AppendStr(msgpack.AppendArray(b, 3), op.Key.Collection), op.Key.ID)
			b = port.Value(b, op.Value, !op.Delete)
		}
	}
	return b
}

// frame encodes a status, with the list of problems if there is one to be told.
func (s *status) frame(problems []byte) []byte {
	fields := 15 // the most that a map of this kind has
	if problems == nil {
		fields--
	}
	b := msgpack.AppendMap(port.Frame(nil, port.Status, 0, 1), fields)
	for _, x := range []struct{ key, text string }{
		{"phase", s.phase}, {"marker", s.marker}, {"mode", s.mode}, {"device", s.device}, {"code", s.code}, {"message", s.message},
	} {
		b = msgpack.AppendStr(msgpack.AppendStr(b, x.key), x.text)
	}
	for _, x := range []struct {
		key string
		n   uint64
	}{
		{"pending", uint64(s.pending)}, {"oldest", s.oldest}, {"received", s.received}, {"expected", s.expected},
		{"confirmed", s.confirmed}, {"next", s.next},
	} {
		b = msgpack.AppendUint(msgpack.AppendStr(b, x.key), x.n)
	}
	b = msgpack.AppendBool(msgpack.AppendStr(b, "paused"), s.paused)
	b = s.appendWaiting(b)
	if problems != nil {
		b = append(msgpack.AppendStr(b, "problems"), problems...)
	}
	return b
}

func (s *status) appendWaiting(b []byte) []byte {
	b = msgpack.AppendStr(msgpack.AppendArray(msgpack.AppendStr(b, "waiting"), 3), s.waits)
	return msgpack.AppendBool(msgpack.AppendUint(b, s.since), s.stalled)
}

// checkpoint writes a checkpoint, if enough has been written since the last one to be worth it. It waits for readers that would lose
// their place.
func (db *database) checkpoint() {
	db.mu.Lock()
	size := db.replica.State().LogBytes
	due := db.end == nil && (!db.checked || size-db.checkedAt >= quietBytes)
	db.mu.Unlock()
	if !due {
		return
	}
	done, err := db.replica.TryCheckpoint(context.Background())
	if err != nil {
		return // the log has it all: what is not written now is written later
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if done {
		db.checked, db.checkedAt = true, size
		return
	}
	if !db.later {
		db.later = true
		db.e.cfg.Clock.AfterFunc(quiet, func() {
			db.mu.Lock()
			db.later = false
			db.mu.Unlock()
			db.checkpoint()
		})
	}
}
