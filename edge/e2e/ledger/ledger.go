// Package ledger keeps the book of a test in which devices write, die and come again: it stands outside of all of them,
// knows of every write how far it came, and says at the end what is there that may not be, and what is not.
//
//	tried ─▶ stored ─▶ synced      each as its device has said
//	      └▶ dodged
package ledger

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// What a device reports: of a token, which names one write, or that something is wrong.
const (
	Tried  = "tried"  // a write with this token begins
	Stored = "stored" // it is stored on the device
	Dodged = "dodged" // it was refused, as it had asked to be: what it was based on had changed
	Synced = "synced" // the feed has passed it
	Wrong  = "wrong"  // what may not be
)

// A Report is what a device tells: what became of a token, or Wrong and why.
type Report func(what, text string)

// A Ledger knows of every write how far it came. Its methods may be called from any goroutine.
type Ledger struct {
	mu     sync.Mutex
	states map[string]string // token → Tried, Stored, Dodged, Synced
	wrongs []string
	count  int           // of reports
	news   chan struct{} // closed at the next report
}

// New returns an empty ledger.
func New() *Ledger {
	return &Ledger{states: map[string]string{}, news: make(chan struct{})}
}

// Tell is a Report.
func (l *Ledger) Tell(what, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if what == Wrong {
		l.wrongs = append(l.wrongs, text)
	} else {
		l.states[text] = what
	}
	l.count++
	close(l.news)
	l.news = make(chan struct{})
}

// More waits until n more reports came, or something is wrong, or for so long, or until ctx ends.
func (l *Ledger) More(ctx context.Context, n int, atMost time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	l.mu.Lock()
	until := l.count + n
	l.mu.Unlock()
	for {
		l.mu.Lock()
		done, news := l.count >= until || len(l.wrongs) > 0, l.news
		l.mu.Unlock()
		if done {
			return
		}
		select {
		case <-news:
		case <-ctx.Done():
			return
		}
	}
}

// Until waits until enough has happened, or something is wrong, or ctx ends. It asks again when there is news.
func (l *Ledger) Until(ctx context.Context, enough func() bool) {
	for !enough() && len(l.Wrong()) == 0 && ctx.Err() == nil {
		l.More(ctx, 10, time.Second)
	}
}

// Wrong lists what may not be.
func (l *Ledger) Wrong() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wrongs
}

// Lose says that a device has lost its disk, or a part: what was not synced may be there, or not.
func (l *Ledger) Lose(device string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for token, state := range l.states {
		if state == Stored && strings.HasPrefix(token, device+".") {
			l.states[token] = Tried
		}
	}
}

// Misplaced compares the feed with what is known: what is stored or synced is there once, what was tried and not
// heard of again at most once, and all else not at all.
func (l *Ledger) Misplaced(feed map[string]int) (findings []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for token, state := range l.states {
		n := feed[token]
		switch {
		case state == Dodged && n != 0, state == Tried && n > 1, (state == Stored || state == Synced) && n != 1:
			findings = append(findings, fmt.Sprintf("%s was %s, and is there %d times", token, state, n))
		}
	}
	for token := range feed {
		if _, known := l.states[token]; !known {
			findings = append(findings, fmt.Sprintf("%q is there, and nobody wrote it", token))
		}
	}
	return findings
}

// Sum counts the writes by their states.
func (l *Ledger) Sum() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := map[string]int{}
	for _, state := range l.states {
		n[state]++
	}
	return n
}
