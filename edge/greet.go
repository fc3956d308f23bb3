package edge

import (
	"context"
	"errors"
	"fmt"

	"vsync/core"
	"vsync/core/wire"
)

// greet judges a hello, in the order of PROTOCOL.md, and answers with welcome. The stream begins
// behind it.
func (c *Conn) greet(ctx context.Context, now uint64, hello *wire.Hello) error {
	grant, err := c.hub.judge(ctx, now, hello)
	var late *wire.Error
	if errors.As(err, &late) {
		return c.refuse(late)
	}
	if err != nil {
		return c.fail(err)
	}
	defer c.hub.turns.take(hello.Device)() // until it has taken the place of an older connection
	welcome, err := c.hub.settle(ctx, now, hello, grant)
	if err != nil {
		return c.fail(err)
	}
	frame, err := wire.Append(nil, welcome)
	if err != nil {
		return c.fail(err)
	}
	c.last, c.handing = welcome.Last, welcome.Mode == wire.ModeReplay
	err = c.hub.enter(c, hello.Device, grant, func() {
		c.pos = welcome.Marker.Seq
		c.credit = int(min(hello.Credit, uint64(c.hub.cfg.Credit)))
		c.held, c.ownHigh, c.ownSent = hello.LowestHeld, welcome.Common, hello.Gen
		c.answers = append(c.answers, frame)
		c.streaming = !c.handing
	})
	if err != nil {
		return c.fail(err)
	}
	return nil
}

// fail ends the connection for an error, unless it is over, or the caller gave up.
func (c *Conn) fail(err error) error {
	var over *End
	switch {
	case errors.As(err, &over):
		return over
	case ended(err):
		return err
	case errors.Is(err, &core.Error{Code: core.Closed}):
		c.hub.end(c, closing())
		return c.ended()
	}
	return c.refuse(answer(err))
}

// judge returns what a device that may come in may do.
func (h *Hub) judge(ctx context.Context, now uint64, hello *wire.Hello) (grant Grant, err error) {
	if hello.Protocol < oldestProtocol {
		return Grant{}, &core.Error{Code: core.VersionUnknown, Message: fmt.Sprintf("this hub speaks protocol versions %d to %d, the device only %d: update it", oldestProtocol, wire.Protocol, hello.Protocol)}
	}
	if hello.Database != h.cfg.Database {
		return Grant{}, &core.Error{Code: core.Invalid, Message: fmt.Sprintf("expected database %q, got %q", h.cfg.Database, hello.Database)}
	}
	if h.cfg.Auth != nil {
		if grant, err = h.cfg.Auth(ctx, hello.Token); err != nil {
			return Grant{}, unauthenticated(err)
		}
	}
	if !hello.Lineage.IsZero() && hello.Lineage != h.lineage {
		return Grant{}, &core.Error{Code: core.OtherHub, Message: fmt.Sprintf("this hub is %v and the replica belongs to %v: connect it to its own hub, or open a new replica", h.lineage, hello.Lineage)}
	}
	if late := h.charge(grant, now, helloCost); late != nil {
		return Grant{}, late
	}
	if err := h.crowded(hello.Device, grant.Subject); err != nil {
		return Grant{}, err
	}
	if h.cfg.Auth != nil {
		if err := h.replica.Claim(ctx, hello.Device, grant.Subject); err != nil {
			return Grant{}, err
		}
	}
	return grant, nil
}

// unauthenticated gives an error of Auth its code, if it has none.
func unauthenticated(err error) error {
	var known *core.Error
	if errors.As(err, &known) || ended(err) {
		return err
	}
	return &core.Error{Code: core.Code(wire.CodeUnauthenticated), Message: err.Error()}
}

// settle finds what both sides share, and where the stream begins: behind the device's marker, or at
// the beginning for one that has none. Where the hub has lost what the marker names, it begins at an
// earlier place, once the device has handed back what it has behind it.
func (h *Hub) settle(ctx context.Context, now uint64, hello *wire.Hello, grant Grant) (*wire.Welcome, error) {
	begin, err := h.replica.Locate(ctx, core.Whereabouts{Marker: hello.Marker, Trail: hello.Trail, Back: hello.Back})
	if err != nil {
		return nil, err
	}
	mode := wire.ModeResume
	if begin.Seq != hello.Marker.Seq || begin.Hash != hello.Marker.Hash {
		mode = wire.ModeReplay
	}
	common, last, hash, err := h.replica.Settlement(ctx, hello.Device, hello.Gen, hello.Hash, hello.Own)
	if err != nil {
		return nil, err
	}
	return &wire.Welcome{
		Protocol: min(hello.Protocol, wire.Protocol),
		Lineage:  h.lineage,
		Epoch:    begin.Epoch,
		Now:      now,
		Mode:     mode,
		Common:   common,
		Last:     last,
		Hash:     hash,
		Head:     max(h.head.Load(), begin.Seq),
		Marker:   begin,
		Limits:   wire.Limits{Batch: uint64(h.cfg.MaxBatch)},
		Beat:     h.cfg.Beats,
		Expires:  grant.Expires,
	}, nil
}
