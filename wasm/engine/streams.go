package engine

import (
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"slices"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire/msgpack"
	"vsync/wasm/port"
)

// streamRequest begins a request that is answered by ITEMS.
func (p *Port) streamRequest(r *port.Reader, kind, n uint64) {
	switch kind {
	case port.Scan:
		q := readQuery(r)
		p.stream(r, n, func(c *call) error { return p.scan(c, n, q) })
	case port.Live:
		q := readQuery(r)
		p.stream(r, n, func(c *call) error { return p.live(c, n, q) })
	case port.Watch:
		o := core.WatchOptions{Collection: r.Str(), Prefix: r.Str(), From: r.Str()}
		p.stream(r, n, func(c *call) error { return p.watch(c, n, o) })
	case port.History:
		key, limit := readKey(r), r.Uint()
		p.stream(r, n, func(c *call) error { return p.history(c, n, key, limit) })
	case port.Conflicts:
		collection := r.Str()
		p.stream(r, n, func(c *call) error { return p.conflicts(c, n, collection) })
	case port.LiveConflicts:
		collection := r.Str()
		p.stream(r, n, func(c *call) error { return p.liveConflicts(c, n, collection) })
	case port.ScanPast:
		when, q := readWhen(r), readQuery(r)
		p.stream(r, n, func(c *call) error { return p.scanPast(c, n, when, q) })
	default:
		r.Fail("a request that this engine knows")
	}
}

func (p *Port) stream(r *port.Reader, n uint64, do func(c *call) error) {
	if r.Err() != nil {
		return
	}
	if end := p.db.ended(); end != nil {
		p.fail(n, end)
		return
	}
	c := p.begin(n, true)
	go func() {
		err := do(c)
		p.reply(n, c, port.Frame(nil, port.End, n, 0), err)
	}()
}

// scan sends the objects of a range, as they were at one moment.
func (p *Port) scan(c *call, n uint64, q core.ScanRange) error {
	return p.sendRows(c, n, c.db.replica.Scan(c.ctx, q))
}

func (p *Port) sendRows(c *call, n uint64, list iter.Seq2[core.Entry, error]) error {
	var rows rows
	for e, err := range list {
		if err != nil {
			return err
		}
		if rows.add(&e); rows.full() {
			if err := p.items(c, rows.append(port.Frame(nil, port.Items, n, 2))); err != nil {
				return err
			}
			rows.reset()
		}
	}
	if rows.n == 0 {
		return nil
	}
	return p.items(c, rows.append(port.Frame(nil, port.Items, n, 2)))
}

// errAgain ends a round of a live result: the whole has to be read again.
var errAgain = errors.New("engine: read again")

// live sends a result, and what becomes of it. With a limit, an object that goes may let another one in, so the whole is read again
// when something of it, or before its end, changes.
func (p *Port) live(c *call, n uint64, q core.ScanRange) error {
	if q.Collection == "" {
		return fail(core.Invalid, "a subscription needs a collection")
	}
	var last window
	for first := true; ; first = false {
		w, marker, err := p.whole(c, n, q, last, first)
		if err == nil {
			last = w
			err = p.follow(c, n, q, marker, &w)
		}
		if !errors.Is(err, errAgain) {
			return err
		}
	}
}

// window is what a limited result shows.
type window struct {
	keys     []string
	versions []change.Version
	conflict []bool
	values   []uint64 // hashes: under field rules they are made of all sides, whichever version is shown
}

var seed = maphash.MakeSeed()

func (w *window) add(e *core.Entry) {
	w.keys, w.versions, w.conflict = append(w.keys, e.Key.ID), append(w.versions, e.Version), append(w.conflict, e.Conflict)
	w.values = append(w.values, maphash.Bytes(seed, e.Value))
}

func (w *window) equal(o *window) bool {
	return slices.Equal(w.keys, o.keys) && slices.Equal(w.versions, o.versions) && slices.Equal(w.conflict, o.conflict) && slices.Equal(w.values, o.values)
}

// touches says that a change of an object may change what the window shows.
func (w *window) touches(q *core.ScanRange, id string) bool {
	if len(w.keys) < q.Limit {
		return true
	}
	if end := w.keys[len(w.keys)-1]; q.Reverse {
		return id >= end
	} else {
		return id <= end
	}
}

// whole sends the whole result, unless it shows the same as before, and returns the place behind it.
func (p *Port) whole(c *call, n uint64, q core.ScanRange, last window, first bool) (w window, marker string, err error) {
	v, err := c.db.replica.View()
	if err != nil {
		return w, "", err
	}
	defer v.Release()
	marker = v.Marker()
	frame := func(part int, r *rows) []byte {
		b := msgpack.AppendStr(msgpack.AppendUint(port.Frame(nil, port.Items, n, 5), uint64(part)), marker)
		return msgpack.AppendArray(r.append(b), 0)
	}
	var rows rows
	var held [][]byte // pieces of a limited result, which may be the one that is shown
	for e, err := range v.Scan(c.ctx, q) {
		if errors.Is(err, &core.Error{Code: core.Aborted}) { // the page took too long
			rows.reset()
			if err = p.items(c, frame(port.Void, &rows)); err == nil {
				err = errAgain
			}
		}
		if err != nil {
			return window{}, "", err
		}
		if q.Limit > 0 {
			w.add(&e)
		}
		if rows.add(&e); !rows.full() {
			continue
		}
		held = append(held, frame(port.Piece, &rows))
		rows.reset()
		if q.Limit == 0 {
			if err := p.pieces(c, &held); err != nil {
				return w, "", err
			}
		}
	}
	if !first && q.Limit > 0 && w.equal(&last) {
		return w, marker, nil
	}
	if err := p.pieces(c, &held); err != nil {
		return w, "", err
	}
	return w, marker, p.items(c, frame(port.Whole, &rows))
}

func (p *Port) pieces(c *call, held *[][]byte) error {
	for _, frame := range *held {
		if err := p.items(c, frame); err != nil {
			return err
		}
	}
	*held = (*held)[:0]
	return nil
}

// follow sends what changes the result, batch by batch, until the whole has to be read again.
func (p *Port) follow(c *call, n uint64, q core.ScanRange, marker string, w *window) error {
	for e, err := range c.db.replica.Watch(c.ctx, core.WatchOptions{Collection: q.Collection, Prefix: q.Prefix, From: marker}) {
		if err != nil {
			return err
		}
		if e.Initial {
			return errAgain
		}
		if err := p.delta(c, n, &q, w, &e); err != nil {
			return err
		}
	}
	return c.ctx.Err()
}

// delta sends what one batch changes of the result, in parts, so that no page has much of it to read at once.
func (p *Port) delta(c *call, n uint64, q *core.ScanRange, w *window, e *core.Event) error {
	var rows rows
	var gone keys
	frame := func(part uint64) []byte {
		b := msgpack.AppendStr(msgpack.AppendUint(port.Frame(nil, port.Items, n, 5), part), e.Marker)
		return gone.take(rows.append(b))
	}
	parts := 0
	for i := range e.Changes {
		x := &e.Changes[i]
		switch {
		case !within(q, x.Key):
		case q.Limit > 0 && w.touches(q, x.Key.ID):
			return errAgain
		case q.Limit > 0:
		case x.Deleted:
			gone.add(x.Key.ID)
		default:
			rows.add(x)
		}
		if rows.full() || gone.full() {
			if err := p.items(c, frame(port.Part)); err != nil {
				return err
			}
			rows.reset()
			parts++
		}
	}
	if rows.n == 0 && gone.n == 0 && parts == 0 {
		return nil
	}
	return p.items(c, frame(port.Delta))
}

// watch sends events: batches, each whole. One that begins now is told first where that is, so that the page can go on from there in
// another engine though nothing has happened.
func (p *Port) watch(c *call, n uint64, o core.WatchOptions) error {
	if o.From == core.FromNow {
		v, err := c.db.replica.View()
		if err != nil {
			return err
		}
		o.From = v.Marker()
		v.Release()
		if err := p.event(c, n, &core.Event{Marker: o.From}); err != nil {
			return err
		}
	}
	for e, err := range c.db.replica.Watch(c.ctx, o) {
		if err != nil {
			return err
		}
		if err := p.event(c, n, &e); err != nil {
			return err
		}
	}
	return c.ctx.Err()
}

// event sends an event, in parts, each of which says all of it but the changes of the others.
func (p *Port) event(c *call, n uint64, e *core.Event) error {
	var changes rows
	for i := range e.Changes {
		if changes.full() {
			if err := p.items(c, eventFrame(n, e, port.FlagPart, &changes)); err != nil {
				return err
			}
			changes.reset()
		}
		changes.change(&e.Changes[i])
	}
	return p.items(c, eventFrame(n, e, 0, &changes))
}

func eventFrame(n uint64, e *core.Event, part uint64, changes *rows) []byte {
	flags := flag(e.Initial, port.FlagInitial) | flag(e.Reset, port.FlagReset) | flag(e.Local, port.FlagLocal) | part
	device := ""
	if !e.Version.IsZero() {
		device = e.Version.Device.String()
	}
	b := msgpack.AppendUint(msgpack.AppendStr(port.Frame(nil, port.Items, n, 7), e.Marker), flags)
	return changes.append(msgpack.AppendStr(msgpack.AppendUint(msgpack.AppendStr(b, device), e.Time), e.Note))
}

func flag(on bool, bit uint64) uint64 {
	if on {
		return bit
	}
	return 0
}

// history sends the versions of an object, the newest first.
func (p *Port) history(c *call, n uint64, key change.Key, limit uint64) error {
	var versions []byte
	count, all := 0, uint64(0)
	flush := func() error {
		if count == 0 {
			return nil
		}
		frame := append(msgpack.AppendArray(port.Frame(nil, port.Items, n, 1), count), versions...)
		versions, count = versions[:0], 0
		return p.items(c, frame)
	}
	if limit == 0 {
		limit = maxHistory
	}
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	for h, err := range c.db.replica.History(ctx, key) {
		if err != nil {
			return err
		}
		versions = appendHistory(versions, &h)
		count++
		all++
		if len(versions) >= port.MaxItems {
			if err := flush(); err != nil {
				return err
			}
		}
		if all == limit {
			break
		}
	}
	return flush()
}

func appendHistory(b []byte, h *core.HistoryEntry) []byte {
	b = msgpack.AppendStr(msgpack.AppendArray(b, 6), h.Version.String())
	b = msgpack.AppendUint(appendVersions(b, h.Parents), h.Time)
	b = port.Value(msgpack.AppendBool(b, h.Deleted), h.Value, !h.Deleted)
	return msgpack.AppendStr(b, h.Note)
}
