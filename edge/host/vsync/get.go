package main

import (
	"context"
	"fmt"

	"vsync/core"
	"vsync/core/change"
)

func getCommand() *command {
	at := ""
	return &command{
		name: "get", args: "COLLECTION ID", brief: "print an object", min: 2, max: 2,
		help: `Prints the value as JSON; with --json also its version, its time, and the sides of a conflict. With a feed,
what the hub has is taken up first; a hub that cannot be reached is only told. Exit code 3: it is not there.`,
		flags: func(f *flags) { f.text(&at, "at", "", "WHEN", atUsage) },
		run: func(ctx context.Context, c *call) error {
			return c.with(ctx, toRead, func(d *device) error { return d.get(ctx, c.key(), at) })
		},
	}
}

func (d *device) get(ctx context.Context, key change.Key, at string) error {
	if err := d.catchUp(ctx); err != nil {
		return err
	}
	e, found, err := d.read(ctx, key, at)
	if err != nil || !found {
		return missing(key, err)
	}
	j, err := entryJSON(e)
	if err != nil {
		return err
	}
	if d.c.json {
		return d.c.line(j)
	}
	if e.Conflict {
		d.c.warn("there are %d sides, this is the one that is shown; vsync conflicts shows all", len(e.Frontier))
	}
	_, err = fmt.Fprintf(d.c.out, "%s\n", j.Value)
	return err
}

func scanCommand() *command {
	var q core.ScanRange
	at := ""
	return &command{
		name: "scan", args: "COLLECTION", brief: "print the objects of a collection", min: 1, max: 1,
		help: `Ids are ordered by their bytes. A line is the id, a tab, and the value; with --json an object.

  vsync scan todo --prefix 2026- --limit 10
  vsync scan todo --from b --to d --reverse`,
		flags: func(f *flags) {
			f.text(&q.Prefix, "prefix", "", "TEXT", "only ids that begin so")
			f.text(&q.From, "from", "", "ID", "from this id on")
			f.text(&q.To, "to", "", "ID", "up to this id, without it")
			f.bool(&q.Reverse, "reverse", "from the last to the first")
			f.number(&q.Limit, "limit", 0, "at most so many; 0: all")
			f.text(&at, "at", "", "WHEN", atUsage)
		},
		run: func(ctx context.Context, c *call) error {
			q.Collection = c.args[0]
			return c.with(ctx, toRead, func(d *device) error {
				if err := d.catchUp(ctx); err != nil {
					return err
				}
				return d.scan(ctx, q, at, func(j jsonEntry) error {
					if c.json {
						return c.line(j)
					}
					_, err := fmt.Fprintf(c.out, "%s\t%s\n", printID(j.ID), j.Value)
					return err
				})
			})
		},
	}
}

// scan gives fn the objects of a range, until it fails.
func (d *device) scan(ctx context.Context, q core.ScanRange, at string, fn func(jsonEntry) error) error {
	entries, err := d.list(ctx, q, at)
	if err != nil {
		return err
	}
	for e, err := range entries {
		if err != nil {
			return err
		}
		j, err := entryJSON(e)
		if err != nil {
			return err
		}
		if err := fn(j); err != nil {
			return output(err)
		}
	}
	return nil
}

// output names an error of stdout.
func output(err error) error {
	if err == nil {
		return nil
	}
	return fail(codeOutput, "what was asked for could not be written: %v", err)
}

func historyCommand() *command {
	limit := 0
	return &command{
		name: "history", args: "COLLECTION ID", brief: "print all versions of an object, the newest first", min: 2, max: 2,
		help: "A line is the version, its time, what it did and its note; with --json also its parents.",
		flags: func(f *flags) {
			f.number(&limit, "limit", 0, "at most so many; 0: all")
		},
		run: func(ctx context.Context, c *call) error {
			return c.with(ctx, toRead, func(d *device) error {
				if err := d.catchUp(ctx); err != nil {
					return err
				}
				return d.history(ctx, c.key(), limit)
			})
		},
	}
}

func (d *device) history(ctx context.Context, key change.Key, limit int) error {
	n := 0
	for h, err := range d.History(ctx, key) {
		if err != nil {
			return err
		}
		if err := d.c.printHistory(h); err != nil {
			return err
		}
		if n++; n == limit {
			break
		}
	}
	if n > 0 {
		return nil
	}
	_, there, err := d.Get(ctx, key)
	if there {
		return fail(codeNotFound, "the history of %s in %s is not kept any more; vsync get prints its value", printID(key.ID), key.Collection)
	}
	return missing(key, err)
}

func (c *call) printHistory(h core.HistoryEntry) (err error) {
	j := jsonVersion{Version: h.Version.String(), Parents: versions(h.Parents), Time: h.Time, Deleted: h.Deleted, Note: h.Note}
	if !h.Deleted {
		if j.Value, err = toJSON(h.Value); err != nil {
			return err
		}
	}
	if c.json {
		return c.line(j)
	}
	did := "put " + string(j.Value)
	if h.Deleted {
		did = "delete"
	}
	if h.Note != "" {
		did += "   (" + printID(h.Note) + ")"
	}
	_, err = fmt.Fprintf(c.out, "%s  %s  %s\n", h.Version, clockTime(h.Time), did)
	return output(err)
}
