package core

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strconv"
	"strings"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/fmt"
	"vsync/core/pages"
	"vsync/core/store"
)

// Where a watch begins, beside a marker of an earlier event.
const (
	FromStart = "start" // all there is first, then what comes
	FromNow   = "now"   // what comes
)

// WatchOptions select what is watched.
type WatchOptions struct {
	Collection string // empty: all
	Prefix     string // of the id; needs a collection
	From       string // FromStart (also ""), FromNow, or the Marker of an event
	Once       bool   // end where nothing more is there yet
}

// Event is one atomic batch, or a part of what was there before.
type Event struct {
	Marker  string // where a later watch goes on, after this event
	Initial bool   // what was there before, in the order of keys
	Reset   bool   // Initial, and all from before is void: the marker is not known here, or what was there has changed too much meanwhile
	Local   bool   // written by this replica
	Version change.Version
	Time    uint64 // the batch's stamp, ms since 1970
	Note    string
	Changes []Entry // objects as they were visible after the batch; Deleted ones too
}

// watchMarker is a place in this replica's log: after so many events of a commit.
type watchMarker struct {
	incarnation uint64 // that wrote the commit
	commit      uint64
	events      int // of the commit that were seen; the next commit follows when there are no more
}

func (m watchMarker) String() string {
	return fmt.Sprintf("%016x-%d-%d", m.incarnation, m.commit, m.events)
}

func parseWatchMarker(s string) (m watchMarker, err error) {
	incarnation, rest, _ := strings.Cut(s, "-")
	commit, events, _ := strings.Cut(rest, "-")
	m.incarnation, _ = strconv.ParseUint(incarnation, 16, 64)
	m.commit, _ = strconv.ParseUint(commit, 10, 64)
	m.events, _ = strconv.Atoi(events)
	if m.events < 0 || m.String() != s {
		return m, errorf(UnknownMarker, "%q is no marker: give one that an event carried, or %q, or %q", s, FromStart, FromNow)
	}
	return m, nil
}

// Watch yields what is there, if it is asked for, and then every batch, once and whole, in the order in which this replica took them
// up. It ends with ctx's error, or with CLOSED; one that looks Once just ends. Now is when Watch is called, not when the first event is asked for.
//
// A marker that this replica does not know, or whose commits are gone, gives what is there with Reset.
func (r *Replica) Watch(ctx context.Context, o WatchOptions) iter.Seq2[Event, error] {
	var now watchMarker
	if o.From == FromNow {
		now = r.marker(r.State().Commit)
	}
	return func(yield func(Event, error) bool) {
		w := &watch{r: r, ctx: ctx, o: o, yield: yield, at: now}
		if err := w.run(); err != nil && !errors.Is(err, errStopped) {
			yield(Event{}, typed(err, "watching"))
		}
	}
}

var errStopped = errors.New("core: the watcher stopped")

type watch struct {
	r     *Replica
	ctx   context.Context
	o     WatchOptions
	yield func(Event, error) bool
	at    watchMarker
}

func (w *watch) run() error {
	q := ScanRange{Collection: w.o.Collection, Prefix: w.o.Prefix}
	if _, _, err := q.bounds(); err != nil {
		return err
	}
	switch w.o.From {
	case "", FromStart:
		if err := w.present(false); err != nil {
			return err
		}
	case FromNow: // Watch says where
	default:
		m, err := parseWatchMarker(w.o.From)
		if err != nil {
			return err
		}
		if w.at = m; !w.known() {
			if err := w.present(true); err != nil {
				return err
			}
		}
	}
	return w.follow()
}

// marker is the place after the whole of a commit.
func (r *Replica) marker(commit uint64) watchMarker {
	inc, ok := r.log.IncarnationOf(commit)
	if !ok {
		inc = r.inc
	}
	return watchMarker{inc, commit, 0}
}

// known says that the marker's commit is this log's, and what follows it is still there.
func (w *watch) known() bool {
	last := w.r.log.Last()
	if w.at.commit == 0 {
		_, ok := w.r.log.IncarnationOf(1)
		return last == 0 || ok && len(w.r.log.Holes()) == 0
	}
	for _, hole := range w.r.log.Holes() {
		if hole.Last > w.at.commit {
			return false
		}
	}
	inc, ok := w.r.log.IncarnationOf(w.at.commit)
	return ok && inc == w.at.incarnation
}

// present yields what is there. If so much was written while the reader stood still that the snapshot had to be given up, it
// begins again, and says so by Reset.
func (w *watch) present(reset bool) error {
	for {
		err := w.initial(reset)
		if !errors.Is(err, pages.ErrSnapshotGone) {
			return err
		}
		reset = true
	}
}

// initial yields what is there, in the order of keys. Only its last event's marker goes on from here; the others begin again.
func (w *watch) initial(reset bool) error {
	v, err := w.r.View()
	if err != nil {
		return err
	}
	defer v.Release()
	w.at = w.r.marker(v.commit)
	e := Event{Marker: FromStart, Initial: true, Reset: reset}
	var failed error
	w.r.scan(w.ctx, v.s, ScanRange{Collection: w.o.Collection, Prefix: w.o.Prefix}, func(x Entry, err error) bool {
		if err != nil {
			failed = err
			return false
		}
		if len(e.Changes) == initialChunk {
			if !w.yield(e, nil) {
				failed = errStopped
				return false
			}
			e.Changes, e.Reset = nil, false
		}
		e.Changes = append(e.Changes, x)
		return true
	})
	if failed != nil {
		return failed
	}
	e.Marker = w.at.String()
	if !w.yield(e, nil) {
		return errStopped
	}
	return nil
}

// follow yields commit after commit.
func (w *watch) follow() error {
	for {
		news := w.r.Changed()
		if news == nil {
			return errorf(Closed, "the database was closed")
		}
		next := w.at.commit + 1
		if w.at.events > 0 {
			next = w.at.commit
		}
		more, err := w.shown(next)
		if errors.Is(err, errUnheld) || errors.Is(err, store.ErrCorrupt) && len(w.r.log.Holes()) > 0 { // a repair has given up what comes next, or what that names
			more, err = true, w.present(true)
		}
		if err != nil {
			return err
		}
		if more {
			continue
		}
		if w.o.Once {
			return nil
		}
		select {
		case <-news:
		case <-w.ctx.Done():
			return w.ctx.Err()
		}
	}
}

// shown yields what commits show, from one on; false where there is none yet.
func (w *watch) shown(next uint64) (more bool, err error) {
	recs, err := w.r.log.Records(w.ctx, next)
	if err != nil {
		return false, err
	}
	for i := range recs {
		if rewound(&recs[i]) || reshown(&recs[i]) { // what is visible may be another than before, in many objects
			return true, w.present(true)
		}
		if err := w.record(&recs[i]); err != nil {
			return true, err
		}
	}
	return len(recs) > 0, nil
}

// reshown says that other rules changed what is shown of objects that the commit does not name.
func reshown(rec *changelog.Record) bool {
	return slices.ContainsFunc(rec.Items, func(it changelog.Item) bool { return it.Kind == changelog.ItemReshown })
}

// record yields the events of one commit that were not seen yet.
func (w *watch) record(rec *changelog.Record) error {
	seen := 0
	if rec.Commit == w.at.commit {
		seen = w.at.events
	}
	n, anew := 0, false // from a re-entry on, batches stand there under another name: watchers have seen them
	for i, it := range rec.Items {
		if it.Kind == changelog.ItemReentry {
			anew = true
		}
		var outcome []byte
		if i+1 < len(rec.Items) && rec.Items[i+1].Kind == changelog.ItemOutcome {
			outcome = rec.Items[i+1].Data
		}
		if anew && outcome == nil || !eventful(it, outcome) {
			continue
		}
		if n++; n <= seen {
			continue
		}
		if w.r.hasLeft(rec.Commit, it) {
			continue
		}
		e, err := w.event(rec.Commit, it, outcome, anew)
		if err != nil {
			return err
		}
		w.at = watchMarker{rec.Incarnation, rec.Commit, n}
		e.Marker = w.at.String()
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if len(e.Changes) > 0 && !w.yield(e, nil) {
			return errStopped
		}
	}
	w.at = watchMarker{rec.Incarnation, rec.Commit, 0}
	return nil
}

// eventful says that an item shows something: a batch does, and a confirmation that changed what is visible.
func eventful(it changelog.Item, outcome []byte) bool {
	switch it.Kind {
	case changelog.ItemBatch, changelog.ItemEntry:
		return true
	case changelog.ItemConfirm:
		return outcome != nil
	}
	return false
}

// event builds what an item of a commit showed when it was taken up.
func (w *watch) event(commit uint64, it changelog.Item, outcome []byte, anew bool) (Event, error) {
	turns, err := decodeTurns(outcome)
	if outcome != nil && err != nil {
		return Event{}, wrapf(Corrupt, err, "an outcome in the log cannot be read")
	}
	e := Event{Local: it.Kind == changelog.ItemBatch && !anew}
	batch, plain := it.Data, !anew
	switch it.Kind {
	case changelog.ItemEntry:
		_, entry, err := entryOf(it)
		if err != nil {
			return e, err
		}
		if entry.Kind == change.EntryLost {
			return e, nil
		}
		batch, plain = entry.Body, entry.Kind == change.EntryBatch
		if !plain {
			batch, _, _, err = w.r.log.FindAt(w.ctx, entry.Version, commit)
		}
		if err != nil || batch == nil {
			return e, err
		}
	case changelog.ItemConfirm:
		f := &fold{ctx: w.ctx, log: w.r.log}
		_, entry, err := f.confirmOf(commit, it)
		if err != nil {
			return e, err
		}
		plain = false
		if batch, _, _, err = w.r.log.FindAt(w.ctx, entry.Version, commit); err != nil {
			return e, err
		}
	}
	h, _, err := change.DecodeHeader(batch)
	if err != nil {
		return e, err
	}
	e.Version, e.Time, e.Note = h.Version(), h.Stamp, h.Note
	return e, w.changes(&e, commit, batch, &h, turns, plain)
}

func (w *watch) changes(e *Event, commit uint64, batch []byte, h *change.Header, turns map[int]turn, plain bool) error {
	merged := map[int][]byte{}                        // places in e.Changes → what the turn carries
	others := map[change.Version]map[change.Key]int{} // batches that won instead → objects → their places in e.Changes
	_, err := change.Walk(batch, func(m change.Mutation) bool {
		t, turned := turns[m.Index]
		if !turned && !plain || !w.wants(m.Key) {
			return true
		}
		x := Entry{Key: m.Key, Value: m.Value, Version: h.Version(), Time: h.Stamp, Deleted: m.Kind == change.Delete}
		if turned {
			x.Conflict, x.Deleted = t.conflict, !t.exists
			if t.winner != x.Version {
				x.Version, x.Value = t.winner, nil
				if others[t.winner] == nil {
					others[t.winner] = map[change.Key]int{}
				}
				others[t.winner][m.Key] = len(e.Changes)
			}
			if x.Deleted {
				x.Value = nil
			}
			if t.value != nil {
				merged[len(e.Changes)] = t.value
			}
		}
		e.Changes = append(e.Changes, x)
		return true
	})
	if err != nil {
		return err
	}
	for v, places := range others {
		if err := w.valuesOf(v, commit, e.Changes, places); err != nil {
			return err
		}
	}
	for i, value := range merged {
		e.Changes[i].Value = value
	}
	return nil
}

func (w *watch) wants(k change.Key) bool {
	if w.o.Collection == "" {
		return !k.System()
	}
	return k.Collection == w.o.Collection && strings.HasPrefix(k.ID, w.o.Prefix)
}

// valuesOf finds what a version, named as it was at a commit, wrote to some objects of an event: in one pass over its batch, since
// all objects of a large one may have the same winner.
func (w *watch) valuesOf(v change.Version, commit uint64, changes []Entry, places map[change.Key]int) error {
	if v.IsZero() {
		return nil
	}
	for _, a := range w.r.aliases() {
		if a.commit > commit {
			v = a.Map(v)
		}
	}
	batch, _, ok, err := w.r.log.Find(w.ctx, v)
	if err != nil {
		return err
	}
	var found []int
	if !ok {
		for _, i := range places {
			if !changes[i].Deleted && changes[i].Value == nil {
				err = errUnheld
			}
		}
		return err
	}
	h, err := change.Walk(batch, func(m change.Mutation) bool {
		if i, here := places[m.Key]; here {
			found = append(found, i)
			if !changes[i].Deleted {
				changes[i].Value = m.Value
			}
		}
		return len(found) < len(places)
	})
	for _, i := range found {
		changes[i].Time = h.Stamp
	}
	return err
}
