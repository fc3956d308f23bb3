package engine

import (
	"errors"
	"slices"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire/msgpack"
	"vsync/wasm/port"
)

// conflicts sends the conflicts of a collection.
func (p *Port) conflicts(c *call, n uint64, collection string) error {
	frame := func(list *conflictList) []byte { return list.take(port.Frame(nil, port.Items, n, 1)) }
	list, err := p.sendConflicts(c, collection, map[string]bool{}, frame)
	if err != nil || list.n == 0 {
		return err
	}
	return p.items(c, frame(list))
}

// sendConflicts sends the conflicts of a collection in pieces, notes their ids, and returns the last piece.
func (p *Port) sendConflicts(c *call, collection string, known map[string]bool, frame func(*conflictList) []byte) (*conflictList, error) {
	list := &conflictList{}
	for x, err := range c.db.replica.Conflicts(c.ctx, core.ScanRange{Collection: collection}) {
		if err != nil {
			return nil, err
		}
		known[x.Key.ID] = true
		if list.add(&x); list.full() {
			if err := p.items(c, frame(list)); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// liveConflicts sends the conflicts of a collection, and what becomes of them.
func (p *Port) liveConflicts(c *call, n uint64, collection string) error {
	if collection == "" {
		return fail(core.Invalid, "conflicts are those of a collection")
	}
	for {
		err := p.followConflicts(c, n, collection)
		if !errors.Is(err, errAgain) {
			return err
		}
	}
}

//go:noinline
func conflictFrame(n uint64, part int, list *conflictList, gone *keys) []byte {
	return gone.take(list.take(msgpack.AppendUint(port.Frame(nil, port.Items, n, 3), uint64(part))))
}

func (p *Port) followConflicts(c *call, n uint64, collection string) error {
	r := c.db.replica
	v, err := r.View()
	if err != nil {
		return err
	}
	marker := v.Marker() // what comes after it is seen again: what is listed may be newer
	v.Release()
	known := map[string]bool{}
	list, err := p.sendConflicts(c, collection, known, func(list *conflictList) []byte { return conflictFrame(n, port.Piece, list, &keys{}) })
	if err == nil {
		err = p.items(c, conflictFrame(n, port.Whole, list, &keys{}))
	}
	if err != nil {
		return err
	}
	for e, err := range r.Watch(c.ctx, core.WatchOptions{Collection: collection, From: marker}) {
		if err != nil {
			return err
		}
		if e.Initial {
			return errAgain
		}
		if err := p.conflictChanges(c, n, &e, known); err != nil {
			return err
		}
	}
	return c.ctx.Err()
}

// conflictChanges sends what an event changes of the conflicts that are known, in parts.
func (p *Port) conflictChanges(c *call, n uint64, e *core.Event, known map[string]bool) error {
	var list conflictList
	var gone keys
	parts := 0
	for i := range e.Changes {
		x := &e.Changes[i]
		if !x.Conflict && !known[x.Key.ID] {
			continue
		}
		now, is, err := c.db.replica.Conflict(c.ctx, x.Key)
		switch {
		case err != nil:
			return err
		case is:
			known[x.Key.ID] = true
			list.add(&now)
		case known[x.Key.ID]:
			delete(known, x.Key.ID)
			gone.add(x.Key.ID)
		}
		if list.full() || gone.full() {
			if err := p.items(c, conflictFrame(n, port.Part, &list, &gone)); err != nil {
				return err
			}
			parts++
		}
	}
	if list.n == 0 && gone.n == 0 && parts == 0 {
		return nil
	}
	return p.items(c, conflictFrame(n, port.Delta, &list, &gone))
}

// conflictList gathers conflicts. The zero value has none.
type conflictList struct {
	n     int
	bytes []byte
}

//go:noinline
func (l *conflictList) add(x *core.Conflict) {
	b := msgpack.AppendStr(msgpack.AppendArray(l.bytes, 3), x.Key.ID)
	var base []byte
	if x.Base != nil && !x.Base.Deleted {
		base = x.Base.Value
	}
	b = msgpack.AppendArray(port.Value(b, base, base != nil), len(x.Sides))
	for i := range x.Sides {
		s := &x.Sides[i]
		b = msgpack.AppendUint(msgpack.AppendStr(msgpack.AppendArray(b, 3), s.Version.String()), s.Time)
		b = port.Value(b, s.Value, !s.Deleted)
	}
	l.bytes = b
	l.n++
}

func (l *conflictList) full() bool { return len(l.bytes) >= port.MaxItems }

// take appends what was gathered, and begins anew.
func (l *conflictList) take(b []byte) []byte {
	b = append(msgpack.AppendArray(slices.Grow(b, len(l.bytes)+8), l.n), l.bytes...)
	l.n, l.bytes = 0, l.bytes[:0]
	return b
}

// historyRequest begins a request about what was.
func (p *Port) historyRequest(r *port.Reader, kind, n uint64) {
	var wrong error
	version := func() (v change.Version) {
		text := r.Str()
		if text == "" && kind == port.Diff {
			return v
		}
		v, err := change.ParseVersion(text)
		if err != nil && wrong == nil {
			wrong = fail(core.Invalid, "%q is no version: give one that the history of the object names", text)
		}
		return v
	}
	switch kind {
	case port.Revert:
		key, v, as := readKey(r), version(), readSigned(r)
		p.written(r, n, wrong, func(c *call) (core.Receipt, error) { return c.db.replica.Revert(c.ctx, key, v, as) })
	case port.Undo:
		v, collection, ids, as := version(), r.Str(), r.Strs(), readSigned(r)
		var keys []change.Key
		for _, id := range ids {
			keys = append(keys, change.Key{Collection: collection, ID: id})
		}
		p.written(r, n, wrong, func(c *call) (core.Receipt, error) { return c.db.replica.Undo(c.ctx, v, keys, as) })
	case port.Diff:
		key, from, to := readKey(r), version(), version()
		p.answer(r, n, func(c *call) ([]byte, error) {
			if wrong != nil {
				return nil, wrong
			}
			return diff(c, n, key, from, to)
		})
	case port.Blame:
		key := readKey(r)
		p.answer(r, n, func(c *call) ([]byte, error) { return blame(c, n, key) })
	case port.Past:
		when, collection, ids := readWhen(r), r.Str(), r.Strs()
		p.answer(r, n, func(c *call) ([]byte, error) { return past(c, n, when, collection, ids) })
	}
}

func readSigned(r *port.Reader) core.Signed { return core.Signed{Note: r.Str(), Nonce: readNonce(r)} }

// written answers a request that writes a batch.
func (p *Port) written(r *port.Reader, n uint64, wrong error, do func(c *call) (core.Receipt, error)) {
	p.answer(r, n, func(c *call) ([]byte, error) {
		if wrong != nil {
			return nil, wrong
		}
		rec, err := do(c)
		return msgpack.AppendStr(port.Frame(nil, port.OK, n, 1), rec.Version.String()), err
	})
}
