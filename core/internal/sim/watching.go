package sim

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"vsync/core"
)

// observer is an application that watches its device, with a marker that it keeps over crashes. What it builds from
// events must be what a reader sees.
type observer struct {
	d      *device
	marker string // of the last event; empty: from the start
	begun  bool   // the initial events have come to their end
	view   map[string]string
	notes  map[string]bool // batches that were shown

	next func() (step, bool) // a watch that is under way; nil: none
	end  func()
	at   uint64 // commit when it stood still
}

// step is an event, or the news that there is none for now.
type step struct {
	event core.Event
	err   error
	still bool
}

func newObserver(d *device) *observer {
	return &observer{d: d, view: map[string]string{}, notes: map[string]bool{}}
}

// parking is the context of a watch. The engine asks for Done when it has nothing more to tell: there the watch stands still
// until there is something, so that one goroutine can do with it.
type parking struct {
	context.Context
	park func() bool
	over bool
}

var ended = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (p *parking) Done() <-chan struct{} {
	if p.over = p.over || !p.park(); p.over {
		return ended
	}
	return nil
}

func (p *parking) Err() error {
	if p.over {
		return context.Canceled
	}
	return nil
}

func (o *observer) start() {
	from := o.marker
	if from == "" {
		from = core.FromStart
	}
	if from == core.FromStart {
		o.forget()
	} else {
		o.d.s.did("watch resumed")
	}
	r, ctx := o.d.r, &parking{Context: o.d.s.ctx}
	o.next, o.end = iter.Pull(func(yield func(step) bool) {
		ctx.park = func() bool { return yield(step{still: true}) }
		for e, err := range r.Watch(ctx, core.WatchOptions{From: from}) {
			if ctx.over || !yield(step{event: e, err: err}) {
				return
			}
		}
	})
	o.at = 0
}

func (o *observer) stop() {
	if o.end != nil {
		o.end()
		o.next, o.end = nil, nil
	}
}

// restart ends the watch; the next one goes on from the marker.
func (o *observer) restart() {
	o.stop()
	if o.d.s.chance(5) {
		o.marker = core.FromStart
	}
	o.drain()
}

func (o *observer) forget() {
	clear(o.view)
	clear(o.notes)
	o.begun = false
}

// drain takes all events there are, and holds what they show against a scan.
func (o *observer) drain() {
	d := o.d
	if d.r == nil || d.lost() {
		return
	}
	if o.next == nil {
		o.start()
	} else if d.r.State().Commit == o.at {
		return // it stands still, and nothing would wake it
	}
	for {
		st, more := o.next()
		switch {
		case !more:
			o.stop()
			return
		case st.err != nil:
			if !errors.Is(st.err, &core.Error{Code: core.Aborted}) {
				d.mayFail(st.err, "watch")
			}
			o.stop()
			return
		case st.still:
			o.at = d.r.State().Commit
			o.compare()
			return
		}
		o.take(&st.event)
		if d.s.chance(3) { // the application goes, and comes back
			o.stop()
			return
		}
	}
}

// take is what an application does with an event.
func (o *observer) take(e *core.Event) {
	s, d := o.d.s, o.d
	s.logf("%s sees %s initial %v reset %v local %v %s %v at %s", d.name, e.Note, e.Initial, e.Reset, e.Local, e.Version, shown(e.Changes), e.Marker)
	if e.Reset {
		s.did("watch reset")
		o.forget()
	}
	if !e.Initial {
		o.batch(e)
	}
	for _, c := range e.Changes {
		key := c.Key.Collection + "/" + c.Key.ID
		if c.Deleted {
			delete(o.view, key)
		} else {
			o.view[key] = face(c.Value)
		}
	}
	o.marker = e.Marker
	if e.Marker == core.FromStart { // more of the initial events is to come
		o.begun = true
	}
	s.did("event")
}

// batch holds an event that shows a batch against what was written: once and whole. A batch of this store's own that
// is shown again says what its confirmation or refusal changed, and needs not be whole.
func (o *observer) batch(e *core.Event) {
	s, d := o.d.s, o.d
	if e.Note == "" {
		return // rules, which have none
	}
	w := s.writes[e.Note]
	if w == nil {
		if !strings.HasPrefix(e.Note, "rogue") && !s.isLeft(e.Note) {
			s.fail("%s: an event shows %q, which nobody wrote", d.name, e.Note)
		}
		return
	}
	_, own := d.holds[e.Note]
	own = own || d.maybe[e.Note]
	once := e.Note
	if w.retried { // once as each
		once = fmt.Sprint(e.Note, " ", e.Version)
	}
	switch {
	case w.fate == refused:
		s.fail("promise 1: %s: an event shows %s, whose writer was told that it failed", d.name, e.Note)
	case o.notes[once] && (e.Local || !own) && !s.forked() && !s.unreadableToCopies():
		s.fail("promise 2: %s: %s is shown twice", d.name, e.Note)
	case !own && !w.came:
		s.fail("promise 1: %s: an event shows %s, which is not in the feed", d.name, e.Note)
	}
	if (e.Local || !own) && len(e.Changes) != len(w.ops) {
		s.fail("promise 2: %s: an event shows %d objects of %s, which wrote %d", d.name, len(e.Changes), e.Note, len(w.ops))
	}
	o.notes[once] = true
}

// compare holds what the events have built against what is there.
func (o *observer) compare() {
	d := o.d
	want := map[string]string{}
	for e, err := range d.r.Scan(d.s.ctx, core.ScanRange{}) {
		if err != nil {
			d.mayFail(err, "scan")
			return
		}
		want[e.Key.Collection+"/"+e.Key.ID] = face(e.Value)
	}
	if !maps.Equal(want, o.view) {
		d.s.fail("promise 2: %s: its watcher has %s, and a scan %s", d.name, text(o.view), text(want))
	}
}

func text(m map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+"="+m[k])
	}
	return strings.Join(parts, " ")
}

// shown is the objects of an event, made into text only if a history is traced.
type shown []core.Entry

func (es shown) String() string {
	var parts []string
	for _, e := range es {
		parts = append(parts, fmt.Sprintf("%s/%s=%s", e.Key.Collection, e.Key.ID, face(e.Value)))
	}
	return strings.Join(parts, " ")
}
