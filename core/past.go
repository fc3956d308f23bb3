package core

import (
	"context"
	"iter"
	"slices"
	"strings"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/order"
)

// The past is not stored: it is folded anew from the log, up to a place, and of the objects that are asked for alone.
//
//	marker of an event   all that this replica had taken up when it showed that event, in its own order
//	time                 what the hub had accepted by then, and what this replica had written itself by then
//
// It costs a reading of the log, and the memory of what is asked for.

// A Past is the database as it was. It holds nothing, and may be kept for as long as the log goes back so far.
type Past struct {
	r      *Replica
	commit uint64 // the last one that counts; MaxNumber: all
	events int    // of that commit; 0: all
	until  uint64 // ms since 1970; 0: no bound
}

// At returns the database as it was when the event with this marker was shown.
//
// Errors: UNKNOWN_MARKER for what is no marker of this replica; TOO_OLD where history does not go back so far.
func (r *Replica) At(marker string) (*Past, error) {
	m, err := parseWatchMarker(marker)
	if err != nil {
		return nil, err
	}
	if err := r.readable(); err != nil {
		return nil, err
	}
	if inc, ok := r.log.IncarnationOf(m.commit); m.commit > r.log.Last() || ok && inc != m.incarnation {
		return nil, errorf(UnknownMarker, "%q is no marker of this replica: give one that an event of it carried", marker)
	}
	p := &Past{r: r, commit: m.commit, events: m.events}
	return p, p.reachable()
}

// AtTime returns the database as it was at a time, in ms since 1970.
//
// Errors: TOO_OLD where history does not go back to its beginning.
func (r *Replica) AtTime(ms uint64) (*Past, error) {
	if err := r.readable(); err != nil {
		return nil, err
	}
	p := &Past{r: r, commit: change.MaxNumber, until: max(ms, 1)}
	return p, p.reachable()
}

// reachable refuses a past of which the log has not the beginning.
func (p *Past) reachable() error {
	if _, ok := p.r.log.IncarnationOf(1); ok || p.r.log.Last() == 0 {
		return nil
	}
	return errorf(TooOld, "history does not go back so far: what was before the oldest record that is kept cannot be read any more")
}

// Get returns objects as they were, in the order of the keys; an Entry without a version where there was none.
func (p *Past) Get(ctx context.Context, keys ...change.Key) ([]Entry, error) {
	names := map[string]bool{}
	for _, k := range keys {
		if err := validKey(k); err != nil {
			return nil, err
		}
		names[objectRow(k)] = true
	}
	rows, err := p.rows(ctx, func(row string) bool { return names[row] })
	if err != nil {
		return nil, err
	}
	out := make([]Entry, len(keys))
	for i, k := range keys {
		out[i].Key = k
		if row := rows[objectRow(k)]; row != nil {
			if out[i], err = entryFrom(k, row); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// Scan yields the objects of a range as they were, in the order of their keys. All of them are in memory meanwhile.
func (p *Past) Scan(ctx context.Context, q ScanRange) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		from, to, err := q.bounds()
		if err == nil && to != "" && from >= to {
			return
		}
		var rows map[string][]byte
		if err == nil {
			rows, err = p.rows(ctx, func(row string) bool { return row[0] == tableObjects && row[1:] >= from && (to == "" || row[1:] < to) })
		}
		if err != nil {
			yield(Entry{}, err)
			return
		}
		names := order.Keys(rows)
		if q.Reverse {
			slices.Reverse(names)
		}
		n := 0
		for _, name := range names {
			var key change.Key
			key.Collection, key.ID, _ = strings.Cut(name[1:], "\x00")
			if q.Collection == "" && key.System() {
				continue
			}
			e, err := entryFrom(key, rows[name])
			if err == nil && (e.Deleted || e.Version.IsZero()) {
				continue
			}
			if n++; !yield(e, err) || err != nil || n == q.Limit {
				return
			}
		}
	}
}

// rows folds the wanted rows.
func (p *Past) rows(ctx context.Context, want func(row string) bool) (map[string][]byte, error) {
	if err := p.r.readable(); err != nil {
		return nil, err
	}
	g := p.r.refoldingOf(p.commit)
	g.want = want
	if p.until == 0 { // what was left later was there then
		g.gone = slices.DeleteFunc(slices.Clone(g.gone), func(w rewind) bool { return w.commit > p.commit })
	}
	g.cut = p.cut
	rows, _, err := g.run(ctx)
	return rows, typed(err, "reading the past")
}

// cut leaves of a commit what had happened.
func (p *Past) cut(rec changelog.Record) changelog.Record {
	if p.events > 0 && rec.Commit == p.commit {
		n := 0
		for i := range eventsOf(&rec) {
			if n++; n > p.events {
				rec.Items = rec.Items[:i]
				break
			}
		}
	}
	if p.until > 0 {
		rec.Items = slices.DeleteFunc(slices.Clone(rec.Items), p.later)
	}
	return rec
}

// eventsOf yields the items of a commit that show something to watchers.
func eventsOf(rec *changelog.Record) iter.Seq[int] {
	return func(yield func(int) bool) {
		anew := false // batches stand there under another name: watchers have seen them
		for i, it := range rec.Items {
			anew = anew || it.Kind == changelog.ItemReentry
			var outcome []byte
			if i+1 < len(rec.Items) && rec.Items[i+1].Kind == changelog.ItemOutcome {
				outcome = rec.Items[i+1].Data
			}
			if (!anew || outcome != nil) && eventful(it, outcome) && !yield(i) {
				return
			}
		}
	}
}

// later says that an item had not happened yet.
func (p *Past) later(it changelog.Item) bool {
	switch it.Kind {
	case changelog.ItemBatch:
		h, _, err := change.DecodeHeader(it.Data)
		return err == nil && h.Stamp > p.until
	case changelog.ItemEntry:
		_, e, err := entryOf(it)
		return err == nil && e.Annotation.Accepted > p.until
	case changelog.ItemConfirm:
		c := &cutter{b: it.Data}
		c.uvarint()
		c.take(1 + 16)
		c.uvarint()
		c.take(16)
		ann, err := change.DecodeAnnotation(c.b)
		return c.err == nil && err == nil && ann.Accepted > p.until
	}
	return false
}
