package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/watcher"
)

func syncCommand() *command {
	return &command{
		name: "sync", brief: "send all that is stored here, and take up all that the hub has",
		help: "Exit code 7 where the hub cannot be reached, 6 where it refused something now, 3 where it has no such database, and\nthe token may not make it.",
		run: func(ctx context.Context, c *call) error {
			return c.with(ctx, toWrite, func(d *device) error { return d.sync(ctx) })
		},
	}
}

func (d *device) sync(ctx context.Context) error {
	if d.watcher == nil {
		return fail(core.LocalOnly, "there is no hub to sync with: name one with --feed, and leave --offline away")
	}
	before, err := d.Problems(ctx)
	if err != nil {
		return err
	}
	if err := d.waitSynced(ctx); err != nil {
		return err
	}
	d.c.progress.end()
	after, err := d.Problems(ctx)
	if err != nil {
		return err
	}
	s := d.State()
	if d.c.json {
		err = d.c.line(map[string]any{"synced": true, "sequence": s.Marker.Seq, "problems": len(after)})
	} else {
		fmt.Fprintf(d.c.out, "in sync at sequence %s\n", grouped(s.Marker.Seq))
	}
	if n := len(after) - len(before); err == nil && n > 0 {
		err = refusal{&core.Error{Code: codeRefused, Message: fmt.Sprintf("the hub refused %s; vsync problems lists what", counted(n, "write", "writes"))}}
	}
	return err
}

func statusCommand() *command {
	return &command{
		name: "status", brief: "print where this device stands",
		help: "With a feed it connects, and says what the hub answers.",
		run: func(ctx context.Context, c *call) error {
			return c.with(ctx, toRead, func(d *device) error { return d.status(ctx) })
		},
	}
}

// A standing is what status prints.
type standing struct {
	Database  string `json:"database"`
	Device    string `json:"device"`
	Feed      string `json:"feed,omitempty"`
	Hub       string `json:"hub,omitempty"` // its lineage
	Phase     string `json:"phase"`
	Fault     string `json:"fault,omitempty"` // code
	Message   string `json:"message,omitempty"`
	Epoch     uint64 `json:"epoch"`
	Sequence  uint64 `json:"sequence"`
	Written   uint64 `json:"written"`   // own batches
	Confirmed uint64 `json:"confirmed"` // of them, those that the hub has
	Pending   int    `json:"pending"`
	Problems  int    `json:"problems"`
}

func (d *device) status(ctx context.Context) error {
	var sync watcher.Status
	sync.Phase = watcher.PhaseLocal
	if d.watcher != nil {
		err := d.wait(ctx, nil, func(s watcher.Status) bool { return s.Phase != watcher.PhaseConnecting })
		if interrupted(ctx, err) {
			return err
		}
		sync = d.watcher.Status()
	}
	problems, err := d.Problems(ctx)
	if err != nil {
		return err
	}
	s := d.State()
	out := standing{
		Database: s.Database, Device: s.Device.String(), Feed: d.feed, Phase: string(sync.Phase),
		Fault: string(faultCode(sync.Fault)), Message: sync.Fault.Message,
		Epoch: s.Marker.Epoch, Sequence: s.Marker.Seq,
		Written: uint64(s.LastGen), Confirmed: uint64(s.ConfirmedGen), Pending: s.Pending, Problems: len(problems),
	}
	if !s.Lineage.IsZero() {
		out.Hub = s.Lineage.String()
	}
	if d.c.json {
		return d.c.line(out)
	}
	return d.c.printStanding(&out)
}

func (c *call) printStanding(s *standing) error {
	phase := s.Phase
	if s.Message != "" {
		phase += ": " + s.Fault + " " + s.Message
	}
	for _, row := range [][2]string{
		{"database", s.Database}, {"device", s.Device}, {"feed", or(s.Feed, "none")}, {"hub", or(s.Hub, "none yet")}, {"phase", phase},
		{"sequence", grouped(s.Sequence)}, {"written", counted(s.Written, "batch", "batches")}, {"pending", strconv.Itoa(s.Pending)},
		{"problems", strconv.Itoa(s.Problems)},
	} {
		fmt.Fprintf(c.out, "%-10s %s\n", row[0], strings.Join(strings.Fields(row[1]), " "))
	}
	return nil
}

func problemsCommand() *command {
	return &command{
		name: "problems", brief: "list what the hub refused, with its values",
		help: "A problem is listed until it is dismissed. The hub is not asked.",
		run: func(ctx context.Context, c *call) error {
			return c.with(ctx, toLook, func(d *device) error { return d.problems(ctx) })
		},
	}
}

func (d *device) problems(ctx context.Context) error {
	list, err := d.Problems(ctx)
	if err != nil {
		return err
	}
	for _, p := range list {
		if err := d.c.printProblem(p); err != nil {
			return err
		}
	}
	if len(list) == 0 && !d.c.json {
		fmt.Fprintln(d.c.out, "none")
	}
	return nil
}

func (c *call) printProblem(p core.Problem) error {
	j := jsonProblem{Version: p.Version.String(), Time: p.Time, Code: p.Code, Message: p.Message, Ops: []jsonEntry{}}
	for _, op := range p.Ops {
		e, err := entryJSON(core.Entry{Key: op.Key, Value: op.Value, Deleted: op.Delete, Version: p.Version})
		if err != nil {
			return err
		}
		j.Ops = append(j.Ops, e)
	}
	if c.json {
		return c.line(j)
	}
	fmt.Fprintf(c.out, "%s  %s  %s: %s\n", j.Version, clockTime(p.Time), p.Code, p.Message)
	for _, op := range j.Ops {
		did := "put " + string(op.Value)
		if op.Deleted {
			did = "delete"
		}
		fmt.Fprintf(c.out, "    %s %s  %s\n", op.Collection, printID(op.ID), did)
	}
	return nil
}

func dismissCommand() *command {
	return &command{
		name: "dismiss", args: "VERSION|all", brief: "take a problem off the list", min: 1, max: 1,
		help: "VERSION is the first word of a line of problems. Its values are gone from the list with it.",
		run: func(ctx context.Context, c *call) error {
			return c.with(ctx, toLook, func(d *device) error { return d.dismiss(ctx, c.args[0]) })
		},
	}
}

func (d *device) dismiss(ctx context.Context, which string) error {
	return d.eachProblem(ctx, which, func(v change.Version) error { return d.Dismiss(ctx, v) })
}

// eachProblem does something with one problem, or with all.
func (d *device) eachProblem(ctx context.Context, which string, do func(change.Version) error) error {
	list, err := d.Problems(ctx)
	if err != nil {
		return err
	}
	if which != "all" {
		if _, err := change.ParseVersion(which); err != nil {
			return fail(codeUsage, "%q is no version: expected one as problems prints it, or all", which)
		}
	}
	n := 0
	for _, p := range list {
		if which != "all" && p.Version.String() != which {
			continue
		}
		if err := do(p.Version); err != nil {
			return err
		}
		n++
	}
	if n == 0 && which != "all" {
		return fail(codeNotFound, "there is no problem %s; vsync problems lists them", which)
	}
	return nil
}

func retryCommand() *command {
	return &command{
		name: "retry", args: "VERSION|all", brief: "write a refused batch anew, over what is there now", min: 1, max: 1,
		help: "VERSION is the first word of a line of problems. It is off the list then; the hub judges the new batch at the next sync.",
		run: func(ctx context.Context, c *call) error {
			return c.with(ctx, toLook, func(d *device) error { return d.retry(ctx, c.args[0]) })
		},
	}
}

func (d *device) retry(ctx context.Context, which string) error {
	return d.eachProblem(ctx, which, func(v change.Version) error {
		rec, err := d.Retry(ctx, v)
		if err != nil {
			return err
		}
		return d.c.printReceipt(rec, false)
	})
}
