package main

import (
	"context"

	"vsync/core"
	"vsync/core/watcher"
	"vsync/core/wire"
)

func watchCommand() *command {
	var o core.WatchOptions
	return &command{
		name: "watch", args: "[COLLECTION]", brief: "print changes as they come, until it is interrupted", max: 1,
		help: `Prints what is there, then every change, whole batches at a time. With --json a line is an event, and its
"marker" is where a later watch --from goes on, on the same device.

  vsync watch                        everything
  vsync watch todo --from now        only what comes
  vsync watch --json --from MARKER   what came since that event

With a feed it stays connected and comes back by itself. Other commands cannot use this device meanwhile.
Ctrl-C ends it with exit code 0.`,
		flags: func(f *flags) {
			f.text(&o.Prefix, "prefix", "", "TEXT", "only ids that begin so")
			f.text(&o.From, "from", core.FromStart, "WHERE", "start: what is there first; now: only what comes; or a marker")
		},
		run: func(ctx context.Context, c *call) error {
			if len(c.args) > 0 {
				o.Collection = c.args[0]
			}
			if o.Prefix != "" && o.Collection == "" {
				return fail(codeUsage, "--prefix needs a collection: vsync watch COLLECTION --prefix %s", o.Prefix)
			}
			return c.with(ctx, toRead, func(d *device) error { return d.watch(ctx, o) })
		},
	}
}

// watch prints events until the user wants an end, or the hub refuses the device.
func (d *device) watch(ctx context.Context, o core.WatchOptions) error {
	watching, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	told := make(chan struct{})
	go func() {
		defer close(told)
		d.tellStatus(watching, stop)
	}()
	err := d.printEvents(watching, o)
	if cause := context.Cause(watching); cause != nil && watching.Err() != nil && ctx.Err() == nil {
		err = cause
	}
	stop(nil)
	<-told
	if interrupted(ctx, err) {
		return nil
	}
	return err
}

func (d *device) printEvents(ctx context.Context, o core.WatchOptions) error {
	for e, err := range d.Watch(ctx, o) {
		if err != nil {
			return err
		}
		if err := d.c.printEvent(e); err != nil {
			return err
		}
		if err := d.c.out.Flush(); err != nil {
			return output(err)
		}
	}
	return nil
}

func (c *call) printEvent(e core.Event) error {
	if !c.json {
		for _, x := range e.Changes {
			if err := c.printChange(x, e.Initial); err != nil {
				return err
			}
		}
		return nil
	}
	j := jsonEvent{Marker: e.Marker, Initial: e.Initial, Reset: e.Reset, Local: e.Local, Time: e.Time, Note: e.Note, Changes: []jsonEntry{}}
	if !e.Version.IsZero() {
		j.Version = e.Version.String()
	}
	for _, x := range e.Changes {
		changed, err := entryJSON(x)
		if err != nil {
			return err
		}
		j.Changes = append(j.Changes, changed)
	}
	return c.line(j)
}

// tellStatus says on stderr when the hub is there and when it is not, each once. It ends the watch where the hub
// refuses the device.
func (d *device) tellStatus(ctx context.Context, stop context.CancelCauseFunc) {
	if d.watcher == nil {
		d.c.warn("there is no hub to follow; Ctrl-C ends this")
		return
	}
	var told watcher.Phase
	for {
		s := d.watcher.Status()
		if err := refused(s); err != nil {
			stop(err)
			return
		}
		switch {
		case s.Phase == told:
		case s.Phase == watcher.PhaseLive:
			told = s.Phase
			d.c.warn("live with the hub at %s", d.feed)
		case s.Phase == watcher.PhaseWaiting && s.Fault.Code == wire.CodeNotFound:
			told = s.Phase
			d.c.warn("%s", s.Fault.Message)
		case s.Phase == watcher.PhaseWaiting:
			told = s.Phase
			d.c.warn("the hub is not there (%s); trying again", or(shortly(s.Fault.Message), "the connection was lost"))
		}
		select {
		case <-d.news:
		case <-ctx.Done():
			return
		}
	}
}
