package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// A ledger knows of every write how far it came, as its device has said.
type ledger struct {
	mu     sync.Mutex
	states map[string]string // token → tried, stored, dodged, synced
	wrongs []string
	count  int           // of reports
	news   chan struct{} // closed at the next report
}

func newLedger() *ledger {
	return &ledger{states: map[string]string{}, news: make(chan struct{})}
}

// tell is a report.
func (l *ledger) tell(what, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if what == wrong {
		l.wrongs = append(l.wrongs, text)
	} else {
		l.states[text] = what
	}
	l.count++
	close(l.news)
	l.news = make(chan struct{})
}

// more waits until n more reports came, or something is wrong, or for so long, or until ctx ends.
func (l *ledger) more(ctx context.Context, n int, atMost time.Duration) {
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

// until waits until n writes have come as far as what, or ctx ends.
func (l *ledger) until(ctx context.Context, what string, n int) {
	for l.sum()[what] < n && ctx.Err() == nil {
		l.more(ctx, n/10, time.Second)
	}
}

// wrong lists what may not be.
func (l *ledger) wrong() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wrongs
}

// lose says that a device has lost its disk, or a part: what was not synced may be there, or not.
func (l *ledger) lose(device string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for token, state := range l.states {
		if state == stored && strings.HasPrefix(token, device+".") {
			l.states[token] = tried
		}
	}
}

// misplaced compares the feed with what is known: what is stored or synced is there once, what was tried and not
// heard of again at most once, and all else not at all.
func (l *ledger) misplaced(feed map[string]int) (findings []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for token, state := range l.states {
		n := feed[token]
		switch {
		case state == dodged && n != 0, state == tried && n > 1, (state == stored || state == synced) && n != 1:
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

// sum counts the writes by their states.
func (l *ledger) sum() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := map[string]int{}
	for _, state := range l.states {
		n[state]++
	}
	return n
}
