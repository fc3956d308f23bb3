package main

import (
	"context"
	"encoding/json"

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
	return d.scan(ctx, q, "", func(j jsonEntry) error {
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
