package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
)

// An event is what a page tells of a WatchEvent.
type event struct {
	Marker  string      `json:"marker"`
	Initial bool        `json:"initial"`
	Reset   bool        `json:"reset"`
	Source  string      `json:"source"`
	Note    string      `json:"note"`
	Changes [][]*string `json:"changes"` // collection, id, token or nil where it is deleted, version
}

// A mirror is what an application would keep that only ever listens to watch: it goes on from its marker, through reloads
// and deaths of the browser, and at the end it holds what a query gives. It counts by which events each batch was told.
type mirror struct {
	name string // of the device, with which its own tokens begin

	mu      sync.Mutex
	lives   int
	marker  string
	initial bool              // what is there is being told, and may go on
	objects map[string]string // collection and id → token
	foreign map[string]int    // tokens of other devices → events of their batches
	own     map[string]int    // own tokens → events of their writing
	resets  int
	news    chan struct{} // closed at the next event
}

func newMirror(name string) *mirror {
	return &mirror{name: name, marker: "start", objects: map[string]string{}, foreign: map[string]int{}, own: map[string]int{}, news: make(chan struct{})}
}

// nextLife numbers the times that the device begins to write.
func (m *mirror) nextLife() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lives++
	return m.lives
}

// from is where a watch goes on, which begins now.
func (m *mirror) from() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.initial = false
	return m.marker
}

// take takes an event, as the page tells it.
func (m *mirror) take(text string) error {
	var e event
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return fmt.Errorf("%.200q is no event: %w", text, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.news)
	m.news = make(chan struct{})
	if e.Initial && !m.initial {
		if m.marker != "start" && !e.Reset {
			return fmt.Errorf("a watch from %s begins anew, and does not say so: %.200s", m.marker, text)
		}
		clear(m.objects)
	}
	if e.Reset {
		m.resets++
	}
	m.marker, m.initial = e.Marker, e.Initial
	for _, x := range e.Changes {
		key := *x[0] + " " + *x[1]
		if x[2] == nil {
			delete(m.objects, key)
		} else {
			m.objects[key] = *x[2]
		}
	}
	switch {
	case e.Initial || e.Note == "": // a fence
	case !strings.HasPrefix(e.Note, m.name+"."):
		m.foreign[e.Note]++
	case e.Source == "local":
		m.own[e.Note]++
	}
	return nil
}

// reach waits until ok holds; it is asked after events.
func (m *mirror) reach(ctx context.Context, ok func() bool) error {
	for {
		m.mu.Lock()
		news := m.news
		m.mu.Unlock()
		if ok() {
			return nil
		}
		select {
		case <-news:
		case <-time.After(5 * time.Second): // nothing comes any more
			if !ok() {
				return fmt.Errorf("no event came for a while")
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// differs says what a device holds that the mirror does not, or the other way round.
func (m *mirror) differs(objects map[string]string) (findings []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, token := range objects {
		if told, there := m.objects[key]; !there || told != token {
			findings = append(findings, fmt.Sprintf("%s is of %s, and the events say %q", key, token, told))
		}
	}
	for key := range m.objects {
		if _, there := objects[key]; !there {
			findings = append(findings, fmt.Sprintf("%s is not there, and the events have told of it", key))
		}
	}
	return findings
}

// unwatched says which of the tokens of a feed the events have told more or less than once.
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
