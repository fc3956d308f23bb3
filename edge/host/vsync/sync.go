package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/watcher"
	"vsync/core/wire"
)

// lookEvery is how often the status is looked at where nothing tells: pending batches shrink without a word.
const lookEvery = 100 * time.Millisecond

// wait waits until done says so. It fails when the hub refuses, with TIMEOUT when nothing has moved for the
// timeout, or with what settled, if it is not nil, gives first.
func (d *device) wait(ctx context.Context, settled <-chan error, done func(watcher.Status) bool) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	last, moved := d.watcher.Status(), time.Now()
	for {
		s := d.watcher.Status()
		if s.Marker != last.Marker || s.Pending != last.Pending {
			last, moved = s, time.Now()
		}
		if done(s) {
			return nil
		}
		if err := refused(s); err != nil {
			return err
		}
		if s.Fault.Code == wire.CodeNotFound { // nobody may make it meanwhile: watch waits for that
			return fail(codeNotFound, "%s%s", s.Fault.Message, unsent(s.Pending))
		}
		if d.c.timeout > 0 && time.Since(moved) >= d.c.timeout {
			return d.timedOut(s)
		}
		select {
		case err := <-settled:
			return err
		case <-d.news:
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refused returns what the hub, or the feed, wants changed before anything goes on.
func refused(s watcher.Status) error {
	held := s.Fault.Code == wire.CodeUnauthenticated // no other token will come while this command runs
	if s.Phase != watcher.PhaseRefused && s.Phase != watcher.PhaseQuarantined && !held {
		return nil
	}
	e := &core.Error{Code: core.Code(s.Fault.Code), Message: s.Fault.Message, Gen: s.Fault.Gen}
	switch {
	case s.Phase == watcher.PhaseRefused, s.Fault.Gen != 0, held:
		return refusal{e}
	case s.Fault.Seq != 0:
		e.Message = fmt.Sprintf("the feed cannot be applied at sequence %d: %s", s.Fault.Seq, s.Fault.Message)
	}
	return e
}

func (d *device) timedOut(s watcher.Status) error {
	text := fmt.Sprintf("the hub at %s let nothing move for %v", d.feed, d.c.timeout)
	switch reason := unreachable(s); {
	case reason != "" && s.Fault.Code != "":
		text = fmt.Sprintf("the hub at %s took nothing for %v (%s: %s)", d.feed, d.c.timeout, s.Fault.Code, reason)
	case reason != "":
		text = fmt.Sprintf("no hub at %s within %v (%s)", d.feed, d.c.timeout, reason)
	}
	return fail(codeTimeout, "%s%s", text, unsent(s.Pending))
}

// unsent says what becomes of writes that the hub does not have.
func unsent(pending int) string {
	switch pending {
	case 0:
		return ""
	case 1:
		return "; one write is stored here and will be sent by a later command"
	}
	return fmt.Sprintf("; %d writes are stored here and will be sent by a later command", pending)
}

// unreachable returns why the hub cannot be reached at the moment; empty if it can, or nothing is known yet.
func unreachable(s watcher.Status) string {
	if s.Phase != watcher.PhaseWaiting && s.Phase != watcher.PhaseConnecting {
		return ""
	}
	return shortly(s.Fault.Message)
}

// shortly leaves the way down to the network's own words away.
func shortly(message string) string {
	if i := strings.LastIndex(message, ": dial "); i >= 0 {
		return message[i+len(": dial "):]
	}
	return message
}

// catchUp takes up what the hub has, before a command reads or writes. A hub that cannot be reached is told
// and no hindrance: what is here is used then.
func (d *device) catchUp(ctx context.Context) error {
	if d.watcher == nil {
		return nil
	}
	away := ""
	err := d.wait(ctx, nil, func(s watcher.Status) bool {
		d.c.progress.receiving(s.Received, s.Expected)
		if s.Phase == watcher.PhaseWaiting && s.Fault.Code != wire.CodeUnauthenticated {
			away = or(shortly(s.Fault.Message), "the connection was lost")
		}
		return away != "" || s.Phase == watcher.PhaseLive
	})
	d.c.progress.end()
	var known *core.Error
	if errors.As(err, &known) && known.Code == codeTimeout {
		away, err = known.Message, nil
	}
	if away != "" {
		d.c.warn("no word from the hub, going on with what is here: %s", away)
	}
	return err
}

// waitWritten waits until the hub has what was written up to v, if there is a hub and it is to be waited for.
func (d *device) waitWritten(ctx context.Context, v change.Version) (synced bool, err error) {
	if d.watcher == nil {
		return false, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	settled := make(chan error, 1)
	go func() { settled <- d.WaitSynced(ctx, v) }()
	first := d.State().Pending
	err = d.wait(ctx, settled, func(s watcher.Status) bool {
		d.c.progress.sending(first-s.Pending, first)
		return false
	})
	var known *core.Error
	if errors.As(err, &known) && known.Gen > 0 {
		err = refusal{known}
	}
	return err == nil, err
}

// waitSynced waits until all is sent and all is received.
func (d *device) waitSynced(ctx context.Context) error {
	first := d.State().Pending
	return d.wait(ctx, nil, func(s watcher.Status) bool {
		if s.Phase == watcher.PhaseCatchingUp {
			d.c.progress.receiving(s.Received, s.Expected)
		} else {
			d.c.progress.sending(first-s.Pending, first)
		}
		return s.Phase == watcher.PhaseLive && s.Pending == 0
	})
}

// faultCode names a fault in the status; a network's has no code of its own.
func faultCode(f watcher.Fault) wire.Code {
	if f.Code == "" && f.Message != "" {
		return "UNREACHABLE"
	}
	return f.Code
}
