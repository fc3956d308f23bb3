package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"regexp"
	"strconv"
	"strings"
	"time"

	"vsync/core"
	"vsync/core/change"
)

func undoCommand() *command {
	var w writing
	var noWait bool
	return &command{
		name: "undo", args: "VERSION [COLLECTION ID]", brief: "take back what a batch did, and leave what happened since", min: 1, max: 3,
		help: `VERSION names the batch, as history and watch --json print it; with COLLECTION and ID only that
object is taken back. What is written is one more batch, which can be undone itself. Paths that were
changed since, to another value, stay as they are.`,
		flags: func(f *flags) { noted(f, &w, &noWait) },
		run: func(ctx context.Context, c *call) error {
			v, err := versionArg(c.args[0])
			if err != nil {
				return err
			}
			var keys []change.Key
			switch len(c.args) {
			case 2:
				return fail(codeUsage, "expected: vsync undo VERSION COLLECTION ID")
			case 3:
				keys = []change.Key{{Collection: c.args[1], ID: c.args[2]}}
			}
			c.noWait = noWait
			return c.writing(ctx, func(d *device) (core.Receipt, error) { return d.Undo(ctx, v, keys, core.Signed{Note: w.note}) })
		},
	}
}

func revertCommand() *command {
	var w writing
	var noWait bool
	return &command{
		name: "revert", args: "COLLECTION ID VERSION", brief: "go back to an earlier version of an object", min: 3, max: 3,
		help:  "What the version had is written again, over what is there now; a deletion deletes it.",
		flags: func(f *flags) { noted(f, &w, &noWait) },
		run: func(ctx context.Context, c *call) error {
			v, err := versionArg(c.args[2])
			if err != nil {
				return err
			}
			c.noWait = noWait
			return c.writing(ctx, func(d *device) (core.Receipt, error) { return d.Revert(ctx, c.key(), v, core.Signed{Note: w.note}) })
		},
	}
}

func noted(f *flags, w *writing, noWait *bool) {
	f.text(&w.note, "note", "", "TEXT", "kept in the history with this write, at most 1 KiB")
	f.bool(noWait, "no-wait", "return once it is stored here; a later command sends it")
}

type (
	jsonDifference struct {
		Path   []string        `json:"path"`
		Before json.RawMessage `json:"before,omitempty"`
		After  json.RawMessage `json:"after,omitempty"`
	}
	jsonBlame struct {
		Path    []string        `json:"path"`
		Value   json.RawMessage `json:"value"`
		Version string          `json:"version"`
		Time    uint64          `json:"time"`
		Note    string          `json:"note,omitempty"`
		Older   bool            `json:"older,omitempty"` // it, or one before that history does not hold
	}
)

func diffCommand() *command {
	return &command{
		name: "diff", args: "COLLECTION ID VERSION [VERSION]", brief: "print where two versions of an object differ", min: 3, max: 4,
		help: `A line is a path and what it was, or with + what it became. Without a second version it is held
against what is there now.`,
		run: func(ctx context.Context, c *call) error {
			var vs [2]change.Version
			for i, text := range c.args[2:] {
				var err error
				if vs[i], err = versionArg(text); err != nil {
					return err
				}
			}
			return c.with(ctx, toRead, func(d *device) error {
				if err := d.catchUp(ctx); err != nil {
					return err
				}
				list, err := d.Diff(ctx, c.key(), vs[0], vs[1])
				if err != nil {
					return err
				}
				return c.printDiff(list)
			})
		},
	}
}

func (c *call) printDiff(list []core.Difference) (err error) {
	for _, x := range list {
		j := jsonDifference{Path: x.Path}
		if x.Before != nil {
			if j.Before, err = toJSON(x.Before); err != nil {
				return err
			}
		}
		if x.After != nil {
			if j.After, err = toJSON(x.After); err != nil {
				return err
			}
		}
		if c.json {
			if err := c.line(j); err != nil {
				return output(err)
			}
			continue
		}
		if j.Before != nil {
			fmt.Fprintf(c.out, "- %s %s\n", printPath(x.Path), j.Before)
		}
		if j.After != nil {
			fmt.Fprintf(c.out, "+ %s %s\n", printPath(x.Path), j.After)
		}
	}
	return nil
}

// printPath writes a path as rules have it; the root is a dot.
func printPath(path []string) string {
	if len(path) == 0 {
		return "."
	}
	escaped := make([]string, len(path))
	for i, key := range path {
		escaped[i] = special.ReplaceAllString(key, `\$0`)
	}
	return printID(strings.Join(escaped, "."))
}

var special = regexp.MustCompile(`[.*\\]`)

func blameCommand() *command {
	return &command{
		name: "blame", args: "COLLECTION ID", brief: "print who gave each part of an object its value", min: 2, max: 2,
		help: `A line is the version, its time, the path and the value. Behind a version with ? history goes no
further: it was that one, or one before.`,
		run: func(ctx context.Context, c *call) error {
			return c.with(ctx, toRead, func(d *device) error { return d.blame(ctx, c.key()) })
		},
	}
}

func (d *device) blame(ctx context.Context, key change.Key) error {
	if err := d.catchUp(ctx); err != nil {
		return err
	}
	list, err := d.Blame(ctx, key)
	if err != nil || len(list) == 0 {
		return missing(key, err)
	}
	for _, x := range list {
		value, err := toJSON(x.Value)
		if err != nil {
			return err
		}
		if d.c.json {
			if err := d.c.line(jsonBlame{x.Path, value, x.Version.String(), x.Time, x.Note, x.Older}); err != nil {
				return output(err)
			}
			continue
		}
		mark := ""
		if x.Older {
			mark = "?"
		}
		fmt.Fprintf(d.c.out, "%s%s  %s  %s %s\n", x.Version, mark, clockTime(x.Time), printPath(x.Path), value)
	}
	return nil
}

const atUsage = "as it was then: 2026-11-26T12:00:00Z, ms since 1970, or the marker of an event"

// past returns the database as it was when --at says.
func (d *device) past(at string) (*core.Past, error) {
	if t, err := time.Parse(time.RFC3339, at); err == nil {
		return d.AtTime(uint64(max(t.UnixMilli(), 0)))
	}
	if t, err := time.Parse(time.DateOnly, at); err == nil {
		return d.AtTime(uint64(max(t.UnixMilli(), 0)))
	}
	if ms, err := strconv.ParseUint(at, 10, 53); err == nil {
		return d.AtTime(ms)
	}
	return d.At(at)
}

// read returns an object as it is, or as it was.
func (d *device) read(ctx context.Context, key change.Key, at string) (core.Entry, bool, error) {
	if at == "" {
		return d.Get(ctx, key)
	}
	p, err := d.past(at)
	if err != nil {
		return core.Entry{}, false, err
	}
	list, err := p.Get(ctx, key)
	if err != nil {
		return core.Entry{}, false, err
	}
	return list[0], !list[0].Version.IsZero() && !list[0].Deleted, nil
}

// list returns the objects of a range as they are, or as they were.
func (d *device) list(ctx context.Context, q core.ScanRange, at string) (iter.Seq2[core.Entry, error], error) {
	if at == "" {
		return d.Scan(ctx, q), nil
	}
	p, err := d.past(at)
	if err != nil {
		return nil, err
	}
	return p.Scan(ctx, q), nil
}
