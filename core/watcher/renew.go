package watcher

import (
	"context"
	"sync"
	"time"

	"vsync/core/wire"
)

// A hub says in its welcome when the token expires. Some time before, the application is asked for another, which goes up on the same
// connection; the hub says until when that is good, and so on. Where none can be had in time, the hub ends the connection, and what
// was not sent waits, as at any other end.

// renewal is when a session wants a new token.
type renewal struct {
	at    time.Time // zero: never
	wants bool
}

// expires notes when the hub lets the token expire: both moments are of its clock, in ms since 1970.
func (r *renewal) expires(now time.Time, hub, expires uint64) {
	r.at = time.Time{}
	if expires <= hub {
		return
	}
	left := time.Duration(min(expires-hub, uint64(maxToken/time.Millisecond))) * time.Millisecond
	if left >= minRenew {
		r.at = now.Add(left - min(left/4, renewBefore))
	}
}

func (r *renewal) due(now time.Time) {
	if !r.at.IsZero() && !now.Before(r.at) {
		r.at, r.wants = time.Time{}, true
	}
}

// WantsToken reports, once, that the time has come for a new token: Token takes it.
func (s *Session) WantsToken() bool {
	wants := s.renew.wants
	s.renew.wants = false
	return wants
}

// Token takes a new token, or why there is none yet: then it is asked for again.
func (s *Session) Token(now time.Time, token string, err error) {
	switch {
	case s.stage != streaming:
	case err != nil || token == "" || len(token) > wire.MaxToken:
		s.renew.at = now.Add(renewAgain)
	default:
		s.send(&wire.Token{Token: token})
	}
}

// An asker asks the application for tokens, which may take its time, while the session goes on.
type asker struct {
	token   func(context.Context) (string, error)
	ctx     context.Context
	stop    context.CancelFunc
	answers chan answer
	group   sync.WaitGroup
}

type answer struct {
	token string
	err   error
}

func newAsker(ctx context.Context, token func(context.Context) (string, error)) *asker {
	a := &asker{token: token, answers: make(chan answer, 1)}
	a.ctx, a.stop = context.WithCancel(ctx)
	return a
}

// ask asks, if the session wants a token. It does not before it has had the answer to the question before.
func (a *asker) ask(s *Session) {
	if a.token == nil || !s.WantsToken() {
		return
	}
	a.group.Go(func() {
		text, err := a.token(a.ctx)
		a.answers <- answer{text, err}
	})
}

// close waits for the question under way.
func (a *asker) close() {
	a.stop()
	a.group.Wait()
}
