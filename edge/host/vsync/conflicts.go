package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"vsync/core"
	"vsync/core/change"
)

type (
	jsonConflict struct {
		Collection string          `json:"collection"`
		ID         string          `json:"id"`
		Base       json.RawMessage `json:"base,omitempty"` // none: there is no common ancestor, it is a deletion, or history does not reach it
		Sides      []jsonSide      `json:"sides"`          // the one that is shown first
	}
	jsonSide struct {
		Version string          `json:"version"`
		Time    uint64          `json:"time"`
		Deleted bool            `json:"deleted,omitempty"`
		Value   json.RawMessage `json:"value,omitempty"`
	}
)

func conflictsCommand() *command {
	return &command{
		name: "conflicts", args: "[COLLECTION]", brief: "list the objects of which several versions stand beside each other", max: 1,
		help: `A line is an object; below it its sides, the one that is shown first, and what they come from.
vsync resolve ends one.`,
		run: func(ctx context.Context, c *call) error {
			var q core.ScanRange
			if len(c.args) > 0 {
				q.Collection = c.args[0]
			}
			return c.with(ctx, toRead, func(d *device) error { return d.conflicts(ctx, q) })
		},
	}
}

func (d *device) conflicts(ctx context.Context, q core.ScanRange) error {
	if err := d.catchUp(ctx); err != nil {
		return err
	}
	n := 0
	for x, err := range d.Conflicts(ctx, q) {
		if err != nil {
			return err
		}
		if err := d.c.printConflict(&x); err != nil {
			return err
		}
		n++
	}
	if n == 0 && !d.c.json {
		fmt.Fprintln(d.c.out, "none")
	}
	return nil
}

func (c *call) printConflict(x *core.Conflict) (err error) {
	j := jsonConflict{Collection: x.Key.Collection, ID: x.Key.ID, Sides: make([]jsonSide, len(x.Sides))}
	if x.Base != nil && !x.Base.Deleted {
		if j.Base, err = toJSON(x.Base.Value); err != nil {
			return err
		}
	}
	for i, s := range x.Sides {
		j.Sides[i] = jsonSide{Version: s.Version.String(), Time: s.Time, Deleted: s.Deleted}
		if s.Deleted {
			continue
		}
		if j.Sides[i].Value, err = toJSON(s.Value); err != nil {
			return err
		}
	}
	if c.json {
		return c.line(j)
	}
	fmt.Fprintf(c.out, "%s %s\n", j.Collection, printID(j.ID))
	for _, s := range j.Sides {
		fmt.Fprintf(c.out, "    %s  %s  %s\n", s.Version, clockTime(s.Time), did(s.Deleted, s.Value))
	}
	if j.Base != nil {
		fmt.Fprintf(c.out, "    from %s\n", j.Base)
	}
	return nil
}

func did(deleted bool, value json.RawMessage) string {
	if deleted {
		return "delete"
	}
	return "put " + string(value)
}

func resolveCommand() *command {
	var w writing
	var noWait, remove bool
	pick := ""
	return &command{
		name: "resolve", args: "COLLECTION ID [VALUE|-]", brief: "end a conflict", min: 2, max: 3,
		help: `Writes a value over all sides that vsync conflicts lists: VALUE as with put, one side with --pick, or
nothing with --delete. A side that comes meanwhile stays beside it.

  vsync resolve todo 1 '{"text":"milk and bread"}'
  vsync resolve todo 1 --pick VERSION`,
		flags: func(f *flags) {
			f.text(&pick, "pick", "", "VERSION", "take this side as it is")
			f.bool(&remove, "delete", "delete the object")
			f.text(&w.note, "note", "", "TEXT", "kept in the history with this write, at most 1 KiB")
			f.bool(&noWait, "no-wait", "return once it is stored here; a later command sends it")
		},
		run: func(ctx context.Context, c *call) error {
			if ways := len(c.args) - 2 + count(pick != "") + count(remove); ways > 1 {
				return fail(codeUsage, "one of a value, --pick and --delete ends a conflict, not %d of them", ways)
			}
			op := core.Op{Key: c.key(), Delete: remove}
			if pick == "" && !remove {
				var err error
				if op.Value, err = c.value(ctx, 2); err != nil {
					return err
				}
			}
			c.noWait = noWait
			return c.resolve(ctx, &w, op, pick)
		},
	}
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

func (c *call) resolve(ctx context.Context, w *writing, op core.Op, pick string) error {
	return c.writing(ctx, func(d *device) (core.Receipt, error) {
		x, is, err := d.Conflict(ctx, op.Key)
		if err != nil {
			return core.Receipt{}, err
		}
		if !is {
			return core.Receipt{}, fail(codeNotFound, "there is no conflict of %s in %s; vsync conflicts lists them", printID(op.Key.ID), op.Key.Collection)
		}
		op.Seen = x.Versions()
		if pick != "" {
			i := slices.IndexFunc(x.Sides, func(s core.Side) bool { return s.Version.String() == pick })
			if i < 0 {
				return core.Receipt{}, fail(codeUsage, "--pick %q is none of the sides; vsync conflicts %s lists them", pick, op.Key.Collection)
			}
			op.Value, op.Delete = x.Sides[i].Value, x.Sides[i].Deleted
		}
		return d.Write(ctx, core.Write{Ops: []core.Op{op}, Note: w.note})
	})
}

// writing takes up what the hub has, writes, and waits until the hub has it.
func (c *call) writing(ctx context.Context, write func(d *device) (core.Receipt, error)) error {
	c.offline = c.offline || c.noWait
	return c.with(ctx, toWrite, func(d *device) error {
		if err := d.catchUp(ctx); err != nil {
			return err
		}
		receipt, err := write(d)
		if err != nil {
			return err
		}
		synced, err := d.waitWritten(ctx, receipt.Version)
		if printed := c.printReceipt(receipt, synced); err == nil {
			err = printed
		}
		return err
	})
}

func rulesCommand() *command {
	return &command{
		name: "rules", args: "COLLECTION [RULES|-]", brief: "print the rules of a collection, or write them", min: 1, max: 2,
		help: `RULES is JSON: its version, which has to be higher than the one in force, and what becomes of
conflicts: "latest", "keep", or a function by path. They are in force, on all devices, for what is
written after the hub has them.

  vsync rules todo '{"version":1,"conflict":"keep"}'
  vsync rules stock '{"version":1,"conflict":{"count":"counter","tags":"set","note":"text"}}'`,
		run: func(ctx context.Context, c *call) error {
			if len(c.args) == 1 {
				return c.with(ctx, toRead, func(d *device) error { return d.printRules(ctx, c.args[0]) })
			}
			rules, err := c.value(ctx, 1)
			if err != nil {
				return err
			}
			if names := core.UnknownRules(rules); len(names) > 0 {
				return fail(core.Invalid, `expected "latest", "keep", or by path one of latest, counter, set, text, max and min, and got %q`, names)
			}
			return c.writing(ctx, func(d *device) (core.Receipt, error) {
				receipt, written, err := d.SetRules(ctx, c.args[0], rules)
				if err == nil && !written {
					err = fail(core.Invalid, "rules of version %d are there: raise the version to write others", d.Rules(c.args[0]).Version)
				}
				return receipt, err
			})
		},
	}
}

func (d *device) printRules(ctx context.Context, collection string) error {
	if err := d.catchUp(ctx); err != nil {
		return err
	}
	rules := d.Rules(collection)
	if rules.Version == 0 {
		return fail(codeNotFound, "no rules are in force for %s: conflicts show what came last", collection)
	}
	text, err := toJSON(rules.Encode())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(d.c.out, "%s\n", text)
	return output(err)
}

// versionArg reads an argument that is a version.
func versionArg(text string) (change.Version, error) {
	v, err := change.ParseVersion(text)
	if err != nil {
		return v, fail(codeUsage, "%q is no version: expected one as history prints it", text)
	}
	return v, nil
}
