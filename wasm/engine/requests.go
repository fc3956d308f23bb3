package engine

import (
	"context"
	"errors"
	"strings"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/watcher"
	"vsync/core/wire/msgpack"
	"vsync/wasm/port"
)

// request reads a request's fields and begins to answer it. Writes take their places here, so they happen in the order in which the
// page asked for them.
func (p *Port) request(r *port.Reader, kind, n uint64) {
	switch kind {
	case port.Write:
		p.beginWrite(r, n)
	case port.Get:
		key := readKey(r)
		p.answer(r, n, func(c *call) ([]byte, error) { return p.get(c, n, key) })
	case port.GetMany:
		collection, ids := r.Str(), r.Strs()
		p.answerAs(r, n, true, func(c *call) ([]byte, error) { return p.getMany(c, n, collection, ids) })
	case port.Read:
		key := readKey(r)
		p.answer(r, n, func(c *call) ([]byte, error) { return p.entry(c, n, key) })
	case port.Count:
		q := readQuery(r)
		p.answer(r, n, func(c *call) ([]byte, error) { return p.count(c, n, q) })
	case port.Synced:
		version := r.Str()
		p.answer(r, n, func(c *call) ([]byte, error) { return p.synced(c, n, version) })
	case port.Pause, port.Resume:
		p.answer(r, n, func(c *call) ([]byte, error) { return p.pause(c, n, kind == port.Pause) })
	case port.Dismiss, port.Retry:
		version := r.Str()
		p.answer(r, n, func(c *call) ([]byte, error) { return p.settle(c, n, version, kind == port.Retry) })
	case port.Check:
		repair := r.Bool()
		p.answer(r, n, func(c *call) ([]byte, error) { return check(c, n, repair) })
	case port.Revert, port.Undo, port.Diff, port.Blame, port.Past:
		p.historyRequest(r, kind, n)
	default:
		p.streamRequest(r, kind, n)
	}
}

// answer runs a request whose fields were read.
func (p *Port) answer(r *port.Reader, n uint64, do func(c *call) ([]byte, error)) {
	p.answerAs(r, n, false, do)
}

// answerAs is answer, where pieces may come before the answer, as those of a stream do.
func (p *Port) answerAs(r *port.Reader, n uint64, pieces bool, do func(c *call) ([]byte, error)) {
	if r.Err() != nil {
		return
	}
	if end := p.db.ended(); end != nil {
		p.fail(n, end)
		return
	}
	c := p.begin(n, pieces)
	go func() {
		frame, err := do(c)
		p.reply(n, c, frame, err)
	}()
}

// reply answers a call, unless its page left.
func (p *Port) reply(n uint64, c *call, frame []byte, err error) {
	p.finish(n, c)
	switch end := c.db.ended(); {
	case err == nil:
		p.write(frame)
	case end != nil && !errors.Is(err, context.Canceled): // what went wrong on the way is of no use to anybody
		p.fail(n, end)
	default:
		p.fail(n, err)
	}
}

func readKey(r *port.Reader) change.Key {
	return change.Key{Collection: r.Str(), ID: r.Str()}
}

func readQuery(r *port.Reader) core.ScanRange {
	if r.Array() != 6 {
		r.Fail("the six fields of a query")
	}
	return core.ScanRange{Collection: r.Str(), Prefix: r.Str(), From: r.Str(), To: r.Str(), Reverse: r.Bool(), Limit: int(r.Uint())}
}

// readVersions reads versions; a text that is none is the page's user's mistake, and fails his request alone.
func readVersions(r *port.Reader, wrong *error) []change.Version {
	texts := r.Strs()
	out := make([]change.Version, 0, len(texts))
	for _, text := range texts {
		v, err := change.ParseVersion(text)
		if err != nil && *wrong == nil {
			*wrong = fail(core.Invalid, "%q is no version: give the version of an entry, as it was read", text)
		}
		out = append(out, v)
	}
	return out
}

func (p *Port) beginWrite(r *port.Reader, n uint64) {
	var wrong error
	w := readWrite(r, &wrong)
	if p.fields > 4 {
		w.Nonce = readNonce(r)
	}
	if r.Err() != nil {
		return
	}
	if end := p.db.ended(); end != nil {
		wrong = end
	}
	if wrong != nil {
		p.fail(n, wrong)
		return
	}
	c := p.begin(n, false)
	wait := c.db.replica.Begin(c.ctx, w)
	go func() {
		rec, err := wait()
		p.reply(n, c, msgpack.AppendStr(port.Frame(nil, port.OK, n, 1), rec.Version.String()), err)
	}()
}

func readWrite(r *port.Reader, wrong *error) (w core.Write) {
	collections := r.Strs()
	collection := func() string {
		i := r.Uint()
		if i >= uint64(len(collections)) {
			r.Fail("the index of a collection")
			return ""
		}
		return collections[i]
	}
	w.Ops = make([]core.Op, r.Array())
	for i := range w.Ops {
		op := &w.Ops[i]
		if r.Array() != 4 {
			r.Fail("the four fields of an operation")
			return w
		}
		op.Key = change.Key{Collection: collection(), ID: r.Str()}
		if op.Delete = r.Nil(); !op.Delete {
			op.Value = r.Bin()
		}
		if !r.Nil() {
			op.Seen = readVersions(r, wrong)
		}
	}
	w.Checks = make([]core.Check, r.Array())
	for i := range w.Checks {
		if r.Array() != 3 {
			r.Fail("the three fields of a check")
			return w
		}
		w.Checks[i].Key = change.Key{Collection: collection(), ID: r.Str()}
		w.Checks[i].Frontier = readVersions(r, wrong)
	}
	w.Note = r.Str()
	return w
}

// readNonce reads the name that a tab gives to a write.
func readNonce(r *port.Reader) (n change.Nonce) {
	if tab := r.Bin(); copy(n.Tab[:], tab) != len(tab) || len(tab) != len(n.Tab) {
		r.Fail("the eight bytes of a tab")
	}
	n.Counter = r.Uint()
	return n
}

func (p *Port) get(c *call, n uint64, key change.Key) ([]byte, error) {
	e, ok, err := c.db.replica.Get(c.ctx, key)
	return port.Value(port.Frame(make([]byte, 0, 16+len(e.Value)), port.OK, n, 1), e.Value, ok), err
}

// getMany reads all values before it sends the first, so that no page sees a batch in part. Many bytes of them go in pieces.
func (p *Port) getMany(c *call, n uint64, collection string, ids []string) ([]byte, error) {
	m := many{n: n}
	at := c.db.replica.Commits()
	err := m.read(c.ctx, c.db.replica.Get, collection, ids)
	if err == nil && c.db.replica.Commits() != at { // reading has waited, and a batch has come
		err = m.readAtOnce(c, collection, ids)
	}
	if err != nil {
		return nil, err
	}
	for _, piece := range m.pieces {
		if err := p.items(c, piece); err != nil {
			return nil, err
		}
	}
	return m.frame(port.OK), nil
}

// many is the values of an answer, in pieces.
type many struct {
	n      uint64
	pieces [][]byte
	values []byte // of the last piece
	got    int    // that many
}

func (m *many) frame(kind int) []byte {
	return append(msgpack.AppendArray(port.Frame(make([]byte, 0, 16+len(m.values)), kind, m.n, 1), m.got), m.values...)
}

func (m *many) read(ctx context.Context, get func(context.Context, change.Key) (core.Entry, bool, error), collection string, ids []string) error {
	m.pieces, m.values, m.got = nil, m.values[:0], 0
	for _, id := range ids {
		e, ok, err := get(ctx, change.Key{Collection: collection, ID: id})
		if err != nil {
			return err
		}
		if len(m.values) >= port.MaxItems {
			m.pieces = append(m.pieces, m.frame(port.Items))
			m.values, m.got = m.values[:0], 0
		}
		m.values, m.got = port.Value(m.values, e.Value, ok), m.got+1
	}
	return nil
}

func (m *many) readAtOnce(c *call, collection string, ids []string) error {
	v, err := c.db.replica.View()
	if err != nil {
		return err
	}
	defer v.Release()
	return m.read(c.ctx, v.Get, collection, ids)
}

func (p *Port) entry(c *call, n uint64, key change.Key) ([]byte, error) {
	e, ok, err := c.db.replica.Get(c.ctx, key)
	if err != nil {
		return nil, err
	}
	var rows rows
	if ok {
		rows.add(&e)
	}
	return appendVersions(rows.append(port.Frame(nil, port.OK, n, 3)), e.Frontier), nil
}

func (p *Port) count(c *call, n uint64, q core.ScanRange) ([]byte, error) {
	objects := uint64(0)
	for _, err := range c.db.replica.Scan(c.ctx, q) {
		if err != nil {
			return nil, err
		}
		objects++
	}
	return msgpack.AppendUint(port.Frame(nil, port.OK, n, 1), objects), nil
}

func (p *Port) synced(c *call, n uint64, version string) ([]byte, error) {
	var err error
	if version == "" {
		if c.db.opt.feed == "" {
			return nil, fail(core.LocalOnly, "the database was opened without a feed, so there is no hub to be in sync with: give open() a feed")
		}
		err = c.db.synced(c.ctx)
	} else if v, parseErr := change.ParseVersion(version); parseErr != nil {
		err = fail(core.Invalid, "%q is no version: give the version of a receipt", version)
	} else {
		err = c.db.replica.WaitSynced(c.ctx, v)
	}
	c.db.tell() // so that a page that has waited sees a status that agrees
	return port.Frame(nil, port.OK, n, 0), err
}

// synced waits until the hub has all that is written now, rules that pages have opened with too, or says that it takes nothing at all from
// this device.
func (db *database) synced(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	look := func(s watcher.Status) {
		if s.Phase == watcher.PhaseRefused {
			end(fail(word(string(s.Fault.Code)), "%s", s.Fault.Message))
		}
	}
	stop := db.watcher.Subscribe(look)
	defer stop()
	look(db.watcher.Status())
	err := db.ruledBy(ctx)
	if err == nil {
		err = db.replica.Synced(ctx)
	}
	if refused, is := context.Cause(ctx).(*core.Error); is && errors.Is(err, context.Canceled) {
		return refused
	}
	return err
}

func (p *Port) pause(c *call, n uint64, pause bool) ([]byte, error) {
	if w := c.db.watcher; w != nil && pause {
		w.Pause()
	} else if w != nil {
		w.Resume()
	}
	return port.Frame(nil, port.OK, n, 0), nil
}

// settle takes a refused batch off the list; if that is asked for, the same commit writes it anew.
func (p *Port) settle(c *call, n uint64, version string, again bool) (frame []byte, err error) {
	v, err := change.ParseVersion(version)
	if err != nil {
		return nil, fail(core.Invalid, "%q is no version: give the version of a problem", version)
	}
	if again {
		var rec core.Receipt
		rec, err = c.db.replica.Retry(c.ctx, v)
		frame = msgpack.AppendStr(port.Frame(nil, port.OK, n, 1), rec.Version.String())
	} else {
		err = c.db.replica.Dismiss(c.ctx, v)
		frame = port.Frame(nil, port.OK, n, 0)
	}
	if err != nil {
		return nil, err
	}
	c.db.board.changed()
	return frame, nil
}

// appendVersions appends versions as texts.
func appendVersions(b []byte, versions []change.Version) []byte {
	b = msgpack.AppendArray(b, len(versions))
	for _, v := range versions {
		b = msgpack.AppendStr(b, v.String())
	}
	return b
}

// within says that a key is in the range of a query.
func within(q *core.ScanRange, key change.Key) bool {
	return key.Collection == q.Collection && strings.HasPrefix(key.ID, q.Prefix) && key.ID >= q.From && (q.To == "" || key.ID < q.To)
}
