package core

import (
	"context"
	"errors"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/device"
	"vsync/core/pages"
)

// Opening: the log behind the checkpoint is read again, and each commit takes the steps that formed it.

// replaying is the rows of a commit that is read from the log.
type replaying struct {
	r      *Replica
	ctx    context.Context
	commit uint64
}

func (p *replaying) get(row string) ([]byte, error) {
	val, _, err := p.r.tables.GetRow(p.ctx, row)
	return val, err
}

func (p *replaying) set(row string, val []byte) {
	p.r.tables.Apply([]pages.Change{{Row: row, Value: val}})
}

func (p *replaying) stale(row string) (bool, error) {
	s, err := p.r.tables.Stamp(p.ctx, row[0], row[1:])
	return s.Commit >= p.commit, err
}

// replay brings the tables and the head from the checkpoint to the end of the log. Where that fails for what lies before the
// checkpoint, the whole log is read: summaries are made of it, and are made anew.
func (r *Replica) replay(ctx context.Context, sb *superblock) error {
	err := r.replayFrom(ctx, sb, sb.start)
	if bad, is := errors.AsType[*changelog.CorruptError](err); is && sb.start.First > 0 {
		stuck := r.stuck
		if r.replayFrom(ctx, sb, changelog.Name{}) == nil {
			r.harm.summary(bad)
			return nil
		}
		r.stuck = stuck
	}
	return err
}

// replayFrom replays what lies behind the checkpoint. A page that is mended on the way is as of the checkpoint, while replay may have
// passed it by for commits that it had then: it begins again, with the page in its place.
func (r *Replica) replayFrom(ctx context.Context, sb *superblock, start changelog.Name) error {
	r.newTables(sb)
	return r.replayWith(ctx, sb, func(visit func(*changelog.Log, changelog.Record) error) (*changelog.Log, error) {
		return changelog.Open(ctx, r.st, r.inc, start, visit)
	})
}

func (r *Replica) newTables(sb *superblock) {
	r.tables = pages.New(r.st, r.inc)
	r.tables.MendWith(&mender{r}, sb.lasts)
	r.tables.StandAt(stampOf(&sb.head))
}

// opening opens the log, and hands its records to visit.
type opening func(visit func(*changelog.Log, changelog.Record) error) (*changelog.Log, error)

func (r *Replica) replayWith(ctx context.Context, sb *superblock, open opening) (err error) {
	for err = errMended; errors.Is(err, errMended); {
		r.tables.Restart()
		err = r.replayOnce(ctx, sb, open)
	}
	return err
}

// errMended ends a replay in which a page was mended.
var errMended = errors.New("core: a page was mended")

func (r *Replica) replayOnce(ctx context.Context, sb *superblock, open opening) error {
	r.head, r.stuck = sb.head, 0
	mended := r.tables.Mended()
	from := r.head.commit
	var read int64
	p := &replaying{r: r, ctx: ctx}
	var unheld []rewind
	fills := fillsOf(r.head.fills)
	l, err := open(func(l *changelog.Log, rec changelog.Record) error {
		if fills != nil {
			l.SetFills(fills)
			fills = nil
		}
		if rec.Commit <= from {
			return nil
		}
		for _, it := range rec.Items {
			read += int64(len(it.Data))
		}
		p.commit, r.log = rec.Commit, l
		f := &fold{ctx: ctx, rows: p, log: l, head: &r.head, unheld: &unheld}
		if r.head.device.IsZero() && r.cfg.Role == RoleDevice {
			f.recall(rec)
		}
		if err := f.record(rec); errors.Is(err, &Error{Code: VersionUnknown}) {
			return err
		} else if err != nil {
			r.stuck = rec.Commit
			return wrapf(Corrupt, err, "commit %d of the log cannot be taken up; nothing was changed", rec.Commit)
		}
		r.head.commit = rec.Commit
		if r.tables.Mended() > mended {
			return errMended
		}
		return nil
	})
	if err != nil {
		return err
	}
	if l.Last() < from {
		return errorf(Corrupt, "the log ends at commit %d, and the checkpoint stands at %d: rows of the log are missing; nothing was changed", l.Last(), from)
	}
	for _, u := range unheld { // a device that went back, and then gave its id up with the batch
		if !leaves(r.head.rewinds, u.commit, u.seq) {
			r.stuck = u.commit
			return errorf(Corrupt, "commit %d of the log confirms a batch, at sequence %d, whose bytes it does not hold; nothing was changed", u.commit, u.seq)
		}
	}
	if fills != nil {
		l.SetFills(fills)
	}
	r.log, r.cpAt, r.cpDone, r.cpSize = l, -read, from, -read
	r.tables.StandAt(stampOf(&r.head))
	return nil
}

func stampOf(h *head) pages.Stamp {
	return pages.Stamp{Commit: h.commit, Epoch: h.marker.Epoch, Seq: h.marker.Seq}
}

// record takes up one commit of the log, with the steps that formed it.
func (f *fold) record(rec changelog.Record) error {
	var renaming *device.Mapping
	f.fresh, f.due, f.putOff, f.cutOff = nil, nil, nil, false
	for _, it := range rec.Items {
		if err := f.item(it, &renaming); err != nil {
			return err
		}
	}
	return f.showAnew()
}

func (f *fold) item(it changelog.Item, renaming **device.Mapping) error {
	switch it.Kind {
	case changelog.ItemBatch:
		b, err := change.DecodeTrusted(it.Data)
		if err != nil {
			return err
		}
		if *renaming != nil {
			_, err = f.renamed(b, **renaming)
			return err
		}
		_, err = f.local(b, nil)
		return err
	case changelog.ItemEntry:
		if f.isLeft(it) {
			return f.left(it)
		}
		seq, e, err := entryOf(it)
		if err != nil {
			return err
		}
		f.advance(seq, e)
		_, err = f.entry(e, nil)
		return err
	case changelog.ItemConfirm:
		if f.isLeft(it) {
			return f.left(it)
		}
		seq, e, err := f.confirmOf(f.head.commit+1, it)
		if f.passing && errors.Is(err, errUnheld) {
			return f.left(it)
		}
		if f.unheld != nil && errors.Is(err, errUnheld) {
			*f.unheld = append(*f.unheld, rewind{f.head.commit + 1, seq})
			return f.left(it)
		}
		if err != nil {
			return err
		}
		f.advance(seq, e)
		_, err = f.entry(e, nil)
		return err
	case changelog.ItemMarker, changelog.ItemEpoch:
		m, err := change.DecodeMarker(it.Data)
		f.head.marker = m
		return err
	case changelog.ItemRewind:
		return f.goBack(it.Data)
	case changelog.ItemBase:
		return f.base(it.Data)
	case changelog.ItemFill:
		return f.filled(it.Data)
	case changelog.ItemIdentity:
		copy(f.head.lineage[:], it.Data)
	case changelog.ItemReentry:
		a, dropped, err := reentryOf(it.Data)
		if err != nil {
			return err
		}
		f.reenter(a)
		f.dropped = dropped
		*renaming = &a
	case changelog.ItemVoided:
		c := &cutter{b: it.Data}
		name := pages.RowKey(tableVoids, string(c.take(24)))
		if stale, err := f.rows.stale(name); err != nil || stale || c.err != nil {
			return errors.Join(err, c.err)
		}
		f.rows.set(name, c.b)
	case changelog.ItemTrial:
		c := &cutter{b: it.Data}
		t := c.trial()
		f.trying(t)
		return c.err
	case changelog.ItemSubject:
		c := &cutter{b: it.Data}
		d := change.DeviceID(c.take(16))
		if c.err != nil {
			return c.err
		}
		return f.claim(d, string(c.b))
	case changelog.ItemTried:
		var d change.DeviceID
		copy(d[:], it.Data)
		f.tried(d)
	case changelog.ItemDismiss, changelog.ItemSettled:
		v, row, err := settledOf(it)
		if err != nil {
			return err
		}
		return f.settled(v, row)
	case changelog.ItemOutcome, changelog.ItemBefore, changelog.ItemReshown:
	default:
		return errorf(VersionUnknown, "an item of kind %d, which this engine does not know: open the database with a newer one", it.Kind)
	}
	return nil
}
