package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"vsync/core"
	"vsync/core/change"
)

// writing are the flags of put and delete.
type writing struct{ note, seen string }

func (w *writing) flags(f *flags, o *bool) {
	f.text(&w.note, "note", "", "TEXT", "kept in the history with this write, at most 1 KiB")
	f.text(&w.seen, "seen", "", "VERSIONS", "the versions that it replaces, between commas; none: it replaces nothing (else what is there)")
	f.bool(o, "no-wait", "return once it is stored here; a later command sends it")
}

func putCommand() *command {
	var w writing
	var noWait bool
	return &command{
		name: "put", args: "COLLECTION ID [VALUE|-]", brief: "write an object", min: 2, max: 3,
		help: `VALUE is JSON; without it, or with -, it is read from stdin. Bytes and dates are {"$bytes":"aGk="} and
{"$date":"2026-01-02T03:04:05.678Z"}. What is printed is the version that was written.

  vsync put todo 1 '{"text":"milk"}' --note "from the shop's list"
  vsync put settings theme '"dark"'
  vsync put photos 7 < photo.json

With a feed, what the hub has is taken up first, and the command returns when the hub has stored the write.`,
		flags: func(f *flags) { w.flags(f, &noWait) },
		run: func(ctx context.Context, c *call) error {
			value, err := c.value(ctx, 2)
			if err != nil {
				return err
			}
			c.noWait = noWait
			return c.write(ctx, &w, core.Op{Key: c.key(), Value: value})
		},
	}
}

func deleteCommand() *command {
	var w writing
	var noWait bool
	return &command{
		name: "delete", args: "COLLECTION ID", brief: "delete an object", min: 2, max: 2,
		help:  "Its history stays. What is not there is not deleted: exit code 3, unless --seen names versions.",
		flags: func(f *flags) { w.flags(f, &noWait) },
		run: func(ctx context.Context, c *call) error {
			c.noWait = noWait
			return c.write(ctx, &w, core.Op{Key: c.key(), Delete: true})
		},
	}
}

func (c *call) key() change.Key { return change.Key{Collection: c.args[0], ID: c.args[1]} }

// value reads the JSON value of an argument, or of stdin.
func (c *call) value(ctx context.Context, arg int) ([]byte, error) {
	text := []byte("-")
	if len(c.args) > arg {
		text = []byte(c.args[arg])
	}
	if string(text) == "-" {
		var err error
		if text, err = io.ReadAll(io.LimitReader(c.stdin(ctx), maxRow+1)); err != nil {
			return nil, inputError("the value", err)
		}
		if len(text) > maxRow {
			return nil, fail(core.ValueTooLarge, "the value on stdin has more than %d bytes", maxRow)
		}
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, fail(core.Invalid, "no value was given: expected JSON, as an argument or on stdin")
	}
	value, err := change.FromJSON(text)
	if err != nil {
		return nil, fail(core.Invalid, "the value is no JSON that can be stored: %v (a text needs quotes: '\"text\"')", err)
	}
	return value, nil
}

// stdin returns what is given on stdin; reading it ends with ctx, which a blocked read alone would not.
func (c *call) stdin(ctx context.Context) io.Reader {
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(w, c.in)
		w.CloseWithError(err)
	}()
	return r
}

// inputError says what could not be read, unless the user wanted an end.
func inputError(what string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fail(codeInput, "%s cannot be read: %v", what, err)
}

// parseSeen reads --seen; nil where the flag was not given.
func parseSeen(text string) ([]change.Version, error) {
	if text == "" {
		return nil, nil
	}
	seen := []change.Version{}
	if text == "none" {
		return seen, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		v, err := change.ParseVersion(strings.TrimSpace(part))
		if err != nil {
			return nil, fail(codeUsage, "--seen %q: expected versions as get --json and history print them, between commas, or none", part)
		}
		seen = append(seen, v)
	}
	return seen, nil
}

// write takes up what the hub has, writes one object, and waits until the hub has it.
func (c *call) write(ctx context.Context, w *writing, op core.Op) (err error) {
	if op.Seen, err = parseSeen(w.seen); err != nil {
		return err
	}
	c.offline = c.offline || c.noWait
	return c.with(ctx, toWrite, func(d *device) error {
		if op.Seen == nil {
			if err := d.catchUp(ctx); err != nil {
				return err
			}
		}
		if op.Delete && op.Seen == nil {
			if _, found, err := d.Get(ctx, op.Key); err != nil || !found {
				return missing(op.Key, err)
			}
		}
		receipt, err := d.Write(ctx, core.Write{Ops: []core.Op{op}, Note: w.note})
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

// printReceipt names the version, also where the hub has it not: it is stored.
func (c *call) printReceipt(r core.Receipt, synced bool) error {
	if c.json {
		return c.line(jsonReceipt{Version: r.Version.String(), Synced: synced})
	}
	_, err := fmt.Fprintln(c.out, r.Version)
	return err
}

// missing says that there is no such object, unless looking for it failed.
func missing(key change.Key, err error) error {
	if err != nil {
		return err
	}
	return fail(codeNotFound, "there is no %s in %s", printID(key.ID), key.Collection)
}

// interrupted reports whether an error only says that the user wanted an end.
func interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, context.Canceled)
}
