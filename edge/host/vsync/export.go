package main

import (
	"context"
	"encoding/json"
	"fmt"

	"vsync/core"
)

func exportCommand() *command {
	return &command{
		name: "export", args: "[COLLECTION]", brief: "print all objects as NDJSON", max: 1,
		help: `A line is {"id", "value"}, and with all collections {"collection", "id", "value"} of every object at one moment.
vsync import --exported reads it.`,
		run: func(ctx context.Context, c *call) error {
			return c.with(ctx, toRead, func(d *device) error {
				if err := d.catchUp(ctx); err != nil {
					return err
				}
				return d.export(ctx)
			})
		},
	}
}

func (d *device) export(ctx context.Context) error {
	q := core.ScanRange{}
	if len(d.c.args) > 0 {
		q.Collection = d.c.args[0]
	}
	n := uint64(0)
	return d.scan(ctx, q, func(j jsonEntry) error {
		line := struct {
			Collection string          `json:"collection,omitempty"`
			ID         string          `json:"id"`
			Value      json.RawMessage `json:"value"`
		}{"", j.ID, j.Value}
		if q.Collection == "" {
			line.Collection = j.Collection
		}
		if n++; d.c.progress.due() {
			d.c.progress.show("exported", n, 0, "objects")
		}
		return d.c.line(line)
	})
}

func checkCommand() *command {
	return &command{
		name: "check", brief: "hold all that is stored here against each other",
		help: `Reads everything and changes nothing: each device's chain of hashes, the feed's, every object against the batch that
wrote it. Exit code 4 where something does not fit. The hub is not asked.`,
		run: func(ctx context.Context, c *call) error {
			return c.with(ctx, toLook, func(d *device) error { return d.check(ctx) })
		},
	}
}

func (d *device) check(ctx context.Context) error {
	report, err := d.Check(ctx)
	if err != nil {
		return err
	}
	if d.c.json {
		findings := report.Findings
		if findings == nil {
			findings = []core.Finding{}
		}
		err = d.c.line(map[string]any{"ok": report.OK, "objects": report.Objects, "batches": report.Batches, "findings": findings})
	} else {
		for _, f := range report.Findings {
			fmt.Fprintln(d.c.out, f)
		}
		if report.OK {
			fmt.Fprintf(d.c.out, "ok: %s, %s\n", counted(report.Objects, "object", "objects"), counted(report.Batches, "batch", "batches"))
		}
	}
	if err == nil && !report.OK {
		err = fail(core.Corrupt, "the database %s in %s does not fit together: %s", d.c.db, d.c.data, counted(len(report.Findings), "finding", "findings"))
	}
	return err
}
