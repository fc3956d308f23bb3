package engine

import (
	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire/msgpack"
	"vsync/wasm/port"
)

// when is a moment that a page asks for: the marker of an event, or a time.
type when struct {
	marker string
	time   uint64
}

func readWhen(r *port.Reader) (w when) {
	if r.IsStr() {
		w.marker = r.Str()
	} else {
		w.time = r.Uint()
	}
	return w
}

func (w when) in(c *call) (*core.Past, error) {
	if w.marker != "" {
		return c.db.replica.At(w.marker)
	}
	return c.db.replica.AtTime(w.time)
}

func past(c *call, n uint64, w when, collection string, ids []string) ([]byte, error) {
	then, err := w.in(c)
	if err != nil {
		return nil, err
	}
	keys := make([]change.Key, len(ids))
	for i, id := range ids {
		keys[i] = change.Key{Collection: collection, ID: id}
	}
	var rows rows
	if len(keys) > 0 { // without, only whether there is such a moment was asked
		entries, err := then.Get(c.ctx, keys...)
		if err != nil {
			return nil, err
		}
		for i := range entries {
			if e := &entries[i]; !e.Version.IsZero() && !e.Deleted {
				rows.add(e)
			}
		}
	}
	return rows.append(port.Frame(nil, port.OK, n, 2)), nil
}

// scanPast sends the objects of a range, as they were.
func (p *Port) scanPast(c *call, n uint64, w when, q core.ScanRange) error {
	then, err := w.in(c)
	if err != nil {
		return err
	}
	return p.sendRows(c, n, then.Scan(c.ctx, q))
}

func appendPath(b []byte, path []string) []byte {
	b = msgpack.AppendArray(b, len(path))
	for _, key := range path {
		b = msgpack.AppendStr(b, key)
	}
	return b
}

func diff(c *call, n uint64, key change.Key, from, to change.Version) ([]byte, error) {
	list, err := c.db.replica.Diff(c.ctx, key, from, to)
	b := msgpack.AppendArray(port.Frame(nil, port.OK, n, 1), len(list))
	for i := range list {
		d := &list[i]
		b = appendPath(msgpack.AppendArray(b, 3), d.Path)
		b = port.Value(port.Value(b, d.Before, d.Before != nil), d.After, d.After != nil)
	}
	return b, err
}

func blame(c *call, n uint64, key change.Key) ([]byte, error) {
	list, err := c.db.replica.Blame(c.ctx, key)
	b := msgpack.AppendArray(port.Frame(nil, port.OK, n, 1), len(list))
	for i := range list {
		x := &list[i]
		b = msgpack.AppendBin(appendPath(msgpack.AppendArray(b, 6), x.Path), x.Value)
		b = msgpack.AppendUint(msgpack.AppendStr(b, x.Version.String()), x.Time)
		b = msgpack.AppendBool(msgpack.AppendStr(b, x.Note), x.Older)
	}
	return b, err
}
