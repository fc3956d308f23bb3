package core

import (
	"context"
	"errors"
	"maps"

	"vsync/core/change"
	"vsync/core/changelog"
)

// The log is the database: what the tables hold can be built anew from it. A refolding takes the log from its first commit and
// folds it, by the steps that formed its commits, into rows of its own:
//
//	log, commit 1 … upTo ─▶ gone? ─▶ fold ─▶ want? ─▶ map of rows, head
//
// Nothing stored is read but the log, and nothing is written. With what is gone it gives the state of another history: without
// the feed's entries above a sequence.
type refolding struct {
	log    *changelog.Log
	gone   []rewind // entries of the feed that are left out
	origin head     // what the log begins with: the lineage and epoch of a hub, and a device's id where the log never says it
	upTo   uint64   // last commit that is folded; beyond the log's end all of it is
	base   uint64   // commit with which it begins instead, if that is not later; 0: the first

	left    map[change.Version]bool // versions that are gone and may come again: nil: none
	without map[change.Version]bool // own batches that are not shown
	passing bool                    // by confirmations of what is not held: else they are errors

	want func(row string) bool // rows that are built; nil: all. The memory that is taken is theirs

	each func(h *head) // called after each commit; nil: nobody looks

	cut func(changelog.Record) changelog.Record // what of a commit is folded; nil: all

	instead map[uint64][]changelog.Item // what stands for commits that are lost

	rows map[string][]byte
}

// refoldingOf is a refolding of all that a replica's log holds up to a commit.
func (r *Replica) refoldingOf(upTo uint64) *refolding {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &refolding{log: r.log, gone: r.head.rewinds, origin: originOf(r.cfg.Role, &r.head), upTo: upTo, base: r.head.base}
}

// originOf is the head before the first commit.
func originOf(role Role, h *head) (o head) {
	if role == RoleHub {
		o.lineage, o.marker.Epoch = h.lineage, 1
		return o
	}
	o.device = h.device
	if len(h.aliases) > 0 {
		o.device = h.aliases[0].Old
	}
	return o
}

// run returns the wanted rows as they are after the last commit, by their pages.RowKey, and the head. Rows that were removed are
// not among them. Damage of the log is a *changelog.CorruptError.
func (g *refolding) run(ctx context.Context) (map[string][]byte, head, error) {
	g.rows = map[string][]byte{}
	h := g.origin
	from := uint64(1)
	if g.base <= g.upTo {
		from = max(g.base, 1)
	}
	h.commit = from - 1
	f := &fold{ctx: ctx, rows: g, log: g.log, head: &h, gone: g.gone, without: g.without, passing: g.passing, origin: from > 1}
	if g.left != nil {
		f.obj.Coming = func(v change.Version) bool { return g.left[v] }
	}
	upTo := min(g.upTo, g.log.Last())
	for next := from; next <= upTo; {
		recs, err := recordsOf(ctx, g.log, next, g.instead)
		if err != nil {
			return nil, h, err
		}
		if len(recs) == 0 {
			return nil, h, errorf(Corrupt, "commit %d is not in the log, which ends at %d", next, g.log.Last())
		}
		for _, rec := range recs {
			if rec.Commit > upTo {
				break
			}
			if err := g.record(f, rec); err != nil {
				return nil, h, err
			}
			next = rec.Commit + 1
		}
		if err := ctx.Err(); err != nil {
			return nil, h, err
		}
	}
	if g.want != nil {
		maps.DeleteFunc(g.rows, func(row string, _ []byte) bool { return !g.want(row) })
	}
	return g.rows, h, nil
}

func (g *refolding) record(f *fold, rec changelog.Record) error {
	f.recall(rec)
	if g.cut != nil {
		rec = g.cut(rec)
	}
	if err := f.record(rec); errors.Is(err, &Error{Code: VersionUnknown}) {
		return err
	} else if err != nil {
		return wrapf(Corrupt, err, "commit %d of the log cannot be folded", rec.Commit)
	}
	f.head.commit = rec.Commit
	if g.each != nil {
		g.each(f.head)
	}
	return nil
}

// recall learns the id under which a device began from the first that it wrote, or gave up: an id that never wrote is no alias.
func (f *fold) recall(rec changelog.Record) {
	if f.head.lastGen > 0 {
		return
	}
	for _, it := range rec.Items {
		switch it.Kind {
		case changelog.ItemReentry:
			if a, _, err := reentryOf(it.Data); err == nil {
				f.head.device = a.Old
			}
			return
		case changelog.ItemBatch:
			if v, ok := change.PeekVersion(it.Data); ok {
				f.head.device = v.Device
			}
			return
		}
	}
}

func (g *refolding) get(row string) ([]byte, error) { return g.rows[row], nil }

func (g *refolding) set(row string, val []byte) {
	if val == nil {
		delete(g.rows, row)
		return
	}
	g.rows[row] = val
}

// stale keeps the fold from rows that nobody wants. Those of devices and refusals are few, and say which own mutations are unsent.
func (g *refolding) stale(row string) (bool, error) {
	return g.want != nil && row[0] != tableDevices && row[0] != tableProblems && row[0] != tableSettled && !g.want(row), nil
}
