package edge

import (
	"context"
	"fmt"

	"vsync/core"
	"vsync/core/wire"
)

// A Grant is what a token gives to who shows it.
type Grant struct {
	Subject  string // at most 512 bytes, to whom the device belongs from its first hello on; "" owns no device
	ReadOnly bool   // what it pushes is refused, and what it hands back is passed by
	Expires  uint64 // ms since 1970, when the connection ends; 0: never
}

func (g Grant) expired(now uint64) bool { return g.Expires != 0 && now >= g.Expires }

func expired() *wire.Error {
	return &wire.Error{Code: wire.CodeUnauthenticated, Text: "the token has expired; come back with a new one: what was written is kept until then"}
}

// granted returns what the device may do.
func (c *Conn) granted() Grant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.grant
}

// unfit says why a message of a greeted device is not looked at: its token has expired, or its subject wants too much.
func (c *Conn) unfit(now uint64, m wire.Message, bytes int) *wire.Error {
	grant := c.granted()
	if grant.expired(now) {
		return expired()
	}
	switch m := m.(type) {
	case *wire.Push:
		bytes += batchCost * len(m.Batches)
	case *wire.Handback:
		bytes += batchCost * len(m.Entries)
	}
	return c.hub.charge(grant, now, bytes)
}

// Expires returns when the next grant of a connection ends, in ms since 1970; 0: none does. A host that does not call Tick all the time
// calls it then.
func (h *Hub) Expires() (next uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		if at := c.granted().Expires; at != 0 && (next == 0 || at < next) {
			next = at
		}
	}
	return next
}

// renew takes a new token of the same subject: what it allows, and until when, holds from now on.
func (c *Conn) renew(ctx context.Context, now uint64, m *wire.Token) error {
	var grant Grant
	if auth := c.hub.cfg.Auth; auth != nil {
		var err error
		if grant, err = auth(ctx, m.Token); err != nil {
			return c.fail(unauthenticated(err))
		}
	}
	switch {
	case grant.expired(now):
		return c.refuse(expired())
	case grant.Subject != c.subject:
		return c.fail(&core.Error{Code: core.Forbidden, Message: fmt.Sprintf("the new token is of %q, and the connection is of %q: connect anew, with a replica of its own", grant.Subject, c.subject)})
	}
	c.mu.Lock()
	c.grant = grant
	c.mu.Unlock()
	return c.say(&wire.Pong{Now: now, Expires: grant.Expires})
}

func (h *Hub) charge(grant Grant, now uint64, bytes int) *wire.Error {
	if retry := h.Charge(grant.Subject, now, bytes); retry > 0 {
		return &wire.Error{Code: wire.CodeRateLimited, Text: "this subject sends more than it may; come back later", Retry: retry}
	}
	return nil
}
