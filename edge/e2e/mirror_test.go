package e2e

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"vsync/core"
	"vsync/core/change"
)

// A mirror is what an application would keep that only ever listens to Watch: it goes on from its marker, life after
// life, and at the end it holds what a scan gives.
type mirror struct {
	name string // of the device, with which its own tokens begin

	mu      sync.Mutex
	marker  string
	started bool // an initial state is being told, and is not complete
	objects map[change.Key][]byte
	foreign map[string]int // tokens of other devices → events of their batches
	own     map[string]int // own tokens → events of their writing
	resets  int
	writes  map[change.Key]int // mutations of an object that events of other devices have told
	news    chan struct{}      // closed at the next event
}

func newMirror(name string) *mirror {
	return &mirror{
		name: name, marker: core.FromStart, news: make(chan struct{}),
		objects: map[change.Key][]byte{}, foreign: map[string]int{}, own: map[string]int{}, writes: map[change.Key]int{},
	}
}

// begin takes what is there already, so that all that comes from now on is told as it comes.
func (m *mirror) begin(ctx context.Context, r *core.Replica) error {
	if m.marker != core.FromStart {
		return nil
	}
	for e, err := range r.Watch(ctx, core.WatchOptions{}) {
		if err != nil {
			return err
		}
		if err := m.take(e); err != nil || m.marker != core.FromStart {
			return err
		}
	}
	return nil
}

// follow watches from the marker until ctx ends, or something is wrong.
func (m *mirror) follow(ctx context.Context, r *core.Replica) error {
	m.mu.Lock()
	from := m.marker
	m.started = false
	m.mu.Unlock()
	for e, err := range r.Watch(ctx, core.WatchOptions{From: from}) {
		if err != nil {
			return err
		}
		if err := m.take(e); err != nil {
			return fmt.Errorf("event %s of %s %q: %w", e.Marker, e.Version, e.Note, err)
		}
	}
	return nil
}

func (m *mirror) take(e core.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.news)
	m.news = make(chan struct{})
	m.marker = e.Marker
	if e.Reset {
		m.resets++
	}
	if e.Initial && !m.started {
		clear(m.objects)
	}
	for _, x := range e.Changes {
		if x.Deleted {
			delete(m.objects, x.Key)
		} else {
			m.objects[x.Key] = x.Value
		}
	}
	if e.Initial {
		m.started = e.Marker == core.FromStart
		return nil
	}
	switch {
	case !strings.HasPrefix(e.Note, m.name+"."):
		m.foreign[e.Note]++
		for _, x := range e.Changes {
			m.writes[x.Key]++
		}
	case e.Local:
		m.own[e.Note]++
	}
	return crowdsOf(e.Changes)
}

// crowdsOf returns an error if an event shows a part of a crowd.
func crowdsOf(entries []core.Entry) error {
	seen := crowdCount{}
	for _, x := range entries {
		if err := seen.add(x); err != nil {
			return err
		}
	}
	return seen.whole()
}

// reach waits until ok holds. It is asked now and then, as long as there are events.
func (m *mirror) reach(ctx context.Context, ok func() bool) error {
	for {
		m.mu.Lock()
		news := m.news
		m.mu.Unlock()
		if ok() {
			return nil
		}
		pause := time.NewTimer(100 * time.Millisecond) // ok may look at everything, and events come by the hundred
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// told counts the events that other devices' batches were told by.
func (m *mirror) told() (n uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, events := range m.foreign {
		n += uint64(events)
	}
	return n
}

// differs says what a replica holds that the mirror does not, or the other way round; empty where both are alike.
func (m *mirror) differs(ctx context.Context, r *core.Replica) (findings []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for e, err := range r.Scan(ctx, core.ScanRange{}) {
		if err != nil {
			return append(findings, err.Error())
		}
		n++
		if value, there := m.objects[e.Key]; !there || !bytes.Equal(value, e.Value) {
			findings = append(findings, fmt.Sprintf("%s is %q in a scan, and the events say %q", e.Key, e.Value, value))
		}
	}
	if n != len(m.objects) {
		findings = append(findings, fmt.Sprintf("a scan gives %d objects, and the events %d", n, len(m.objects)))
	}
	return findings
}

// unwatched says which of the tokens of a feed, all of them or some, the events have told more or less than once.
func (m *mirror) unwatched(feed map[string]int) (findings []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for token := range feed {
		events := m.foreign[token]
		if strings.HasPrefix(token, m.name+".") {
			events = m.own[token]
		}
		if events != 1 && (events != 0 || m.resets == 0) { // a reset tells what is there, without the way to it
			findings = append(findings, fmt.Sprintf("%s was told %d times", token, events))
		}
	}
	return findings
}
