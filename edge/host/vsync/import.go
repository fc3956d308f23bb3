package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"vsync/core"
	"vsync/core/change"
)

const (
	// defaultBatch is how many rows one atomic batch has: some thousand spread its cost over enough rows, and
	// others get their turn at the hub between two.
	defaultBatch = 4000
	// fullBatch ends a batch before its rows do, so that it stays within the 8 MiB of one.
	fullBatch = 6 << 20
	// idWidth is the width of row numbers as ids: they order as numbers do up to a hundred million.
	idWidth = 8
)

func importCommand() *command {
	im := &importing{}
	return &command{
		name: "import", args: "COLLECTION FILE|-", brief: "write the rows of a JSON array or of NDJSON", min: 2, max: 2,
		help: `Each element of the array, or each line, becomes an object. Its id is the row's number, 00000001 for the first,
or what a field of it says (a text or a whole number).

  vsync import cities cities.json
  vsync import users users.ndjson --id email
  vsync export todo | vsync import todo - --exported --db copy

Rows are read and written as they come; a batch is atomic everywhere. Where a row is wrong, nothing of its batch
is written, and the batches before it are.`,
		flags: func(f *flags) {
			f.text(&im.field, "id", "", "FIELD", "the field that holds the id (else the row's number)")
			f.bool(&im.exported, "exported", `rows are what export printed: {"id", "value"}`)
			f.number(&im.size, "batch", defaultBatch, "rows of one batch, at most 20000; fewer where they are large")
			f.text(&im.note, "note", "", "TEXT", "kept in the history with each batch")
			f.bool(&im.noWait, "no-wait", "return once all is stored here; a later command sends it")
		},
		run: func(ctx context.Context, c *call) error { return im.run(ctx, c) },
	}
}

// importing is an import under way.
type importing struct {
	field, note      string
	exported, noWait bool
	size             int

	c       *call
	d       *device
	all     int64 // bytes of the file; 0: not known
	read    int64
	started time.Time

	ops     []core.Op
	at      map[string]int // where in ops an id stands
	bytes   int
	rows    uint64 // stored
	batches int
	last    change.Version
}

func (im *importing) run(ctx context.Context, c *call) error {
	if im.size < 1 || im.size > change.MaxMutations {
		return fail(codeUsage, "--batch %d: expected 1 to %d", im.size, change.MaxMutations)
	}
	if im.field != "" && im.exported {
		return fail(codeUsage, "--id and --exported exclude each other: what export printed has its ids")
	}
	file, err := im.open(ctx, c)
	if err != nil {
		return err
	}
	defer file.Close()
	im.c, c.noWait = c, im.noWait
	c.offline = c.offline || im.noWait
	return c.with(ctx, toWrite, func(d *device) error {
		im.d = d
		if err := d.catchUp(ctx); err != nil {
			return err
		}
		err := im.rowsOf(ctx, file)
		if err != nil && im.rows > 0 {
			c.warn("%s in %s stored before the error", counted(im.rows, "row", "rows"), counted(im.batches, "batch was", "batches were"))
		}
		if err != nil {
			return err
		}
		return im.finish(ctx)
	})
}

// open opens the file before the replica: a wrong name costs nothing.
func (im *importing) open(ctx context.Context, c *call) (io.ReadCloser, error) {
	name := c.args[1]
	if name == "-" {
		return io.NopCloser(c.stdin(ctx)), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fail(codeUsage, "the file cannot be read: %v", err)
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		f.Close()
		return nil, fail(codeUsage, "%s is no file", name)
	}
	if info.Mode().IsRegular() {
		im.all = info.Size()
	}
	return f, nil
}

// reading counts what is read of the file, for the progress.
type reading struct {
	r io.Reader
	n *int64
}

func (c reading) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err
}

func (im *importing) rowsOf(ctx context.Context, file io.Reader) error {
	im.started, im.at = time.Now(), map[string]int{}
	for r, err := range rows(reading{file, &im.read}) {
		if err != nil {
			return err
		}
		if err := im.add(ctx, r); err != nil {
			return err
		}
	}
	return im.flush(ctx)
}

// add puts a row into the batch; the last one of an id stays.
func (im *importing) add(ctx context.Context, r row) error {
	value, err := change.FromJSON(r.text)
	if err != nil {
		return fail(core.Invalid, "row %d cannot be stored: %v", r.number, err)
	}
	id, value, err := im.identify(r.number, value)
	if err != nil {
		return err
	}
	if len(im.ops) > 0 && im.bytes+len(id)+len(value) > fullBatch {
		if err := im.flush(ctx); err != nil {
			return err
		}
	}
	op := core.Op{Key: change.Key{Collection: im.c.args[0], ID: id}, Value: value}
	if i, twice := im.at[id]; twice {
		im.bytes += len(value) - len(im.ops[i].Value)
		im.ops[i] = op
		return nil
	}
	im.at[id] = len(im.ops)
	im.ops = append(im.ops, op)
	im.bytes += len(id) + len(value) + 64
	if len(im.ops) < im.size {
		return nil
	}
	return im.flush(ctx)
}

// identify finds the id of a row, and what of it is the value.
func (im *importing) identify(n int, value []byte) (string, []byte, error) {
	field := im.field
	if im.exported {
		field = "id"
	}
	if field == "" {
		return fmt.Sprintf("%0*d", idWidth, n), value, nil
	}
	decoded, err := change.DecodeValue(value)
	if err != nil {
		return "", nil, fail(core.Invalid, "row %d cannot be read: %v", n, err)
	}
	fields, is := decoded.(change.Map)
	id, has := fields.Get(field)
	text, fits := idText(id)
	if !is || !has || !fits {
		return "", nil, fail(core.Invalid, "row %d: expected an object whose field %q is a text or a whole number", n, field)
	}
	if !im.exported {
		return text, value, nil
	}
	inner, has := fields.Get("value")
	if !has {
		return "", nil, fail(core.Invalid, "row %d: expected {\"id\", \"value\"}, as export prints it", n)
	}
	value, err = change.Encode(inner)
	return text, value, err
}

func idText(id any) (string, bool) {
	switch id := id.(type) {
	case string:
		return id, id != ""
	case int64:
		return strconv.FormatInt(id, 10), true
	case uint64:
		return strconv.FormatUint(id, 10), true
	}
	return "", false
}

// flush writes the batch.
func (im *importing) flush(ctx context.Context) error {
	if len(im.ops) == 0 {
		return nil
	}
	receipt, err := im.d.Write(ctx, core.Write{Ops: im.ops, Note: im.note})
	if err != nil {
		return err
	}
	im.last = receipt.Version
	im.rows += uint64(len(im.ops))
	im.batches++
	im.ops, im.bytes = nil, 0
	clear(im.at)
	im.tell()
	return nil
}

func (im *importing) tell() {
	if !im.c.progress.due() {
		return
	}
	more := "rows, " + rate(im.rows, time.Since(im.started))
	if im.all > 0 {
		more += fmt.Sprintf(", %d%% of the file", im.read*100/im.all)
	}
	im.c.progress.show("imported", im.rows, 0, more)
}

// finish says what was stored, and waits until the hub has it.
func (im *importing) finish(ctx context.Context) error {
	took := time.Since(im.started)
	im.c.progress.end()
	synced := false
	var err error
	if im.batches > 0 {
		synced, err = im.d.waitWritten(ctx, im.last)
	}
	im.c.progress.end()
	if problem := im.refused(ctx, err); problem != nil {
		err = problem
	}
	if im.c.json {
		return errors.Join(im.c.line(map[string]any{
			"rows": im.rows, "batches": im.batches, "ms": took.Milliseconds(), "syncedMs": time.Since(im.started).Milliseconds(), "synced": synced,
		}), err)
	}
	fmt.Fprintf(im.c.out, "imported %s in %s, %.1f s (%s)\n", counted(im.rows, "row", "rows"), counted(im.batches, "batch", "batches"), took.Seconds(), rate(im.rows, took))
	if synced {
		fmt.Fprintf(im.c.out, "synced after %.1f s\n", time.Since(im.started).Seconds())
	}
	return err
}

// refused finds batches of this import that the hub refused: waiting for the last one does not tell of them.
func (im *importing) refused(ctx context.Context, err error) error {
	if err != nil || im.d.watcher == nil {
		return nil
	}
	problems, err := im.d.Problems(ctx)
	if err != nil {
		return err
	}
	n := 0
	var first core.Problem
	for _, p := range problems {
		if p.Version.Device == im.last.Device && p.Version.Gen <= im.last.Gen && uint64(im.last.Gen-p.Version.Gen) < uint64(im.batches) {
			n++
			first = p
		}
	}
	if n == 0 {
		return nil
	}
	return refusal{&core.Error{Code: core.Code(first.Code), Gen: first.Version.Gen,
		Message: fmt.Sprintf("the hub refused %d of %s; vsync problems lists what: %s", n, counted(im.batches, "batch", "batches"), first.Message)}}
}
