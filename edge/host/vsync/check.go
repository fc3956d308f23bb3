package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"vsync/core"
	"vsync/edge/host"
)

func checkCommand() *command {
	var k checking
	return &command{
		name: "check", brief: "hold all that is stored here against each other",
		help: `Reads everything: the superblock, the log and its summaries, each device's chain of hashes, the feed's, every page,
every object against the batch that wrote it. A line for each finding says what, where, why, and what was done.
Exit code 4 where something does not fit and was not mended. The hub is not asked.

With --repair what can be mended is mended: from the log; and where the log has a hole, from the pages, where
they hold what came of it: then history is lost. Else a device is cut there, and its feed comes again from the
hub; and a hub goes on with all that it can read, and gets back the rest from the first device that has it.
What was damaged is set aside first, and listed by every later check.`,
		flags: func(f *flags) {
			f.bool(&k.repair, "repair", "mend what can be mended")
			f.bool(&k.hub, "hub", "check the hub's data in --data, not this device's; no hub may be serving them")
		},
		run: func(ctx context.Context, c *call) error { return k.run(ctx, c) },
	}
}

type checking struct{ repair, hub bool }

func (k *checking) run(ctx context.Context, c *call) error {
	if !k.hub {
		c.repair = k.repair
		return c.with(ctx, toLook, func(d *device) error { return k.check(ctx, c, d.Replica) })
	}
	if err := c.check(); err != nil {
		return err
	}
	r, closing, err := host.Look(c.data, c.db, k.repair)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(codeNotFound, "there is no hub's database %q in %s", c.db, c.data)
	}
	if err != nil {
		return err
	}
	err = k.check(ctx, c, r)
	if closed := closing(); err == nil {
		err = closed
	}
	return err
}

func (k *checking) check(ctx context.Context, c *call, r *core.Replica) error {
	look := r.Check
	if k.repair {
		look = r.Repair
	}
	report, err := look(ctx)
	if err != nil {
		return err
	}
	if err := c.printReport(&report); err != nil || report.OK {
		return err
	}
	advice := "try vsync check --repair"
	if k.repair {
		advice = "what is left cannot be mended from here"
	}
	return fail(core.Corrupt, "the database %s in %s does not fit together: %s; %s", c.db, c.data, counted(len(report.Findings), "finding", "findings"), advice)
}

// jsonFinding is a finding as it is printed.
type jsonFinding struct {
	Scope    core.Scope `json:"scope"`
	What     string     `json:"what,omitempty"`
	Row      string     `json:"row,omitempty"` // hex
	Reason   string     `json:"reason"`
	Repair   string     `json:"repair,omitempty"`
	Harmless bool       `json:"harmless,omitempty"`
	Time     uint64     `json:"time,omitempty"`
}

func jsonFindings(all []core.Finding) []jsonFinding {
	out := make([]jsonFinding, 0, len(all))
	for _, f := range all {
		out = append(out, jsonFinding{f.Scope, f.What, fmt.Sprintf("%x", f.Row), f.Reason, f.Repair, f.Harmless, f.Time})
	}
	return out
}

func (c *call) printReport(report *core.Report) error {
	if c.json {
		return c.line(map[string]any{"ok": report.OK, "objects": report.Objects, "batches": report.Batches,
			"findings": jsonFindings(report.Findings), "aside": jsonFindings(report.Aside)})
	}
	for _, f := range report.Findings {
		fmt.Fprintln(c.out, f)
	}
	for _, f := range report.Aside {
		fmt.Fprintf(c.out, "in quarantine: %s\n", f)
	}
	if report.OK {
		fmt.Fprintf(c.out, "ok: %s, %s\n", counted(report.Objects, "object", "objects"), counted(report.Batches, "batch", "batches"))
	}
	return nil
}
