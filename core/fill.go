package core

import (
	"context"
	"errors"
	"slices"
	"sync"

	"vsync/core/changelog"
	"vsync/core/store"
)

// Where a hub's log, which is the feed, has a hole, and its tables show what came of it, the hole is filled, in one commit:
//
//	log:   1 … 6 │ hole 7 8 9 │ 10 … 40 │ 41
//	feed:  a … f │ g h i      │ j … z   │
//	              └─ in place of what cannot be read: "lost, up to D:7", the last with the running hash that commit 10 begins with
//	                                     └─ S:1 … what the tables show of the lost: rows that differ from the log as it is now
//
// So all places of the feed behind the hole are what they were: who is there already goes on, and hears of S:1, which writes again what
// is there. Who comes new hears at the hole what he cannot get, gets what is behind it, and with S:1 the rest. Commits that can be read stay.
// S is the hub's own device, that it writes as for services of no subject. A row of S names as its parents the leaves of both, so it is the
// only leaf for both; sides of an open conflict that no field rules fold stay sides.
//
// An entry for what is lost names the last generation of a device that is lost there: the next of that device follows on it, whatever its
// chain says where the hash is zero. One that names what is known already says nothing. A device to which its own batches are named so does not
// push them again: they are not pending any more.
//
// The commit holds, in this order: what stands for the hole; the rows as the tables have them, for whoever folds the log; S; and, of a
// lost version that was a leaf, that it is S's now, for those who have seen it and write later. The damaged rows go into quarantine with it.

// fill is a hole of the log that is filled.
type fill struct {
	first  uint64 // commit with which it begins
	commit uint64 // which holds what stands there
}

// fillsOf is what the log wants to know of them.
func fillsOf(list []fill) map[uint64]uint64 {
	out := map[uint64]uint64{}
	for _, f := range list {
		out[f.first] = f.commit
	}
	return out
}

// withFill adds one, in the place of an older one of the same hole.
func withFill(list []fill, n fill) []fill {
	return append(slices.DeleteFunc(slices.Clone(list), func(f fill) bool { return f.first == n.first }), n)
}

// filled takes up that a hole was filled. Where the log is being opened, it is told.
func (f *fold) filled(data []byte) error {
	commit := f.head.commit + 1
	f.head.fills = withFill(f.head.fills, fill{changelog.FillsOf(data), commit})
	if f.unheld == nil {
		return nil
	}
	return f.log.Fill(commit, data)
}

// recordsOf reads commits from one on; instead has what stands for some.
func recordsOf(ctx context.Context, l *changelog.Log, from uint64, instead map[uint64][]changelog.Item) ([]changelog.Record, error) {
	if items, is := instead[from]; is {
		return []changelog.Record{{Commit: from, Items: items}}, nil
	}
	return l.Records(ctx, from)
}

// feedMends is how a hub's log is mended when damage of it is met.
type feedMends struct {
	mu   sync.Mutex
	over bool // it could not be; or there was nothing: it is not tried again
	told int  // findings that were told
}

// mending repeats what met a damaged segment of a hub's log, or one that is lost, once that is filled.
func (r *Replica) mending(ctx context.Context, do func() error) error {
	err := do()
	if r.cfg.Role != RoleHub || !errors.Is(err, &Error{Code: Corrupt}) && !errors.Is(err, store.ErrCorrupt) {
		return err
	}
	r.feedMends.mu.Lock()
	defer r.feedMends.mu.Unlock()
	if r.feedMends.over {
		return err
	}
	if err := do(); !errors.Is(err, &Error{Code: Corrupt}) && !errors.Is(err, store.ErrCorrupt) { // another was faster
		return err
	}
	ctx = context.WithoutCancel(ctx) // nobody who goes stops it for the others
	done, failed := r.mendFeed(ctx)
	if r.feedMends.over = !done || failed != nil; r.feedMends.over {
		return err
	}
	return do()
}

// mendingSubmit is submit within mending.
func (r *Replica) mendingSubmit(ctx context.Context, q *request) error {
	return r.mending(ctx, func() error { return r.submit(ctx, q) })
}

// tell says what was set aside since the store was opened, and not said yet.
func (r *Replica) tell(ctx context.Context) error {
	if r.cfg.OnDamage == nil {
		return nil
	}
	all, err := readQuarantine(ctx, r.st)
	n := 0
	for _, q := range all {
		if q.inc != r.inc {
			continue
		}
		if n++; n > r.feedMends.told {
			r.cfg.OnDamage(q.Finding)
		}
	}
	r.feedMends.told = n
	return err
}
