package core

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"

	"vsync/core/change"
	"vsync/core/objects"
	"vsync/core/pages"
)

// Entry is what an application sees of an object.
type Entry struct {
	Key      change.Key
	Value    []byte         // canonical msgpack; not to be changed
	Version  change.Version // that wrote the value
	Time     uint64         // its stamp, ms since 1970
	Conflict bool           // there are other sides with other values
	Deleted  bool           // there is no value: the winner is a deletion
	Frontier []change.Version
}

// ScanRange selects objects. The zero value selects all.
type ScanRange struct {
	Collection string // empty: all collections
	Prefix     string // of the id
	From, To   string // from ≤ id < to; empty: no bound
	Reverse    bool
	Limit      int // 0: none
}

func (q *ScanRange) bounds() (from, to string, err error) {
	if q.Collection == "" {
		if q.Prefix != "" || q.From != "" || q.To != "" {
			return "", "", errorf(Invalid, "a prefix or bounds of ids need a collection")
		}
		return "", "", nil
	}
	if err := validKey(change.Key{Collection: q.Collection, ID: "x"}); err != nil {
		return "", "", err
	}
	base := q.Collection + "\x00"
	from, to = base, q.Collection+"\x01"
	if q.Prefix != "" {
		from, to = base+q.Prefix, successor(base+q.Prefix)
	}
	if f := base + q.From; f > from {
		from = f
	}
	if t := base + q.To; q.To != "" && t < to {
		to = t
	}
	return from, to, nil
}

// successor is the smallest string above all that begin with s.
func successor(s string) string {
	b := []byte(s)
	for len(b) > 0 {
		if b[len(b)-1] < 0xff {
			b[len(b)-1]++
			return string(b)
		}
		b = b[:len(b)-1]
	}
	return ""
}

// Get returns an object; false where there is none, or a deleted one, whose Frontier is set all the same.
func (r *Replica) Get(ctx context.Context, key change.Key) (Entry, bool, error) {
	if err := validKey(key); err != nil {
		return Entry{}, false, err
	}
	if err := r.readable(); err != nil {
		return Entry{}, false, err
	}
	b, ok, err := r.tables.GetRow(ctx, objectRow(key))
	return found(key, b, ok, err)
}

func found(key change.Key, row []byte, ok bool, err error) (Entry, bool, error) {
	if err != nil || !ok {
		return Entry{Key: key}, false, typed(err, "reading "+key.String())
	}
	e, err := entryFrom(key, row)
	return e, err == nil && !e.Deleted && !e.Version.IsZero(), err
}

// Commits counts what was committed: where it stays the same, all that was read meanwhile is of one moment.
func (r *Replica) Commits() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head.commit
}

// readable refuses reading from a replica that was closed. One that cannot write any more can still be read.
func (r *Replica) readable() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return errorf(Closed, "the database was closed: open it again")
	}
	return nil
}

// lenses hold objects to read rows with, whose lists are used again.
var lenses = sync.Pool{New: func() any { return new(objects.Object) }}

func entryFrom(key change.Key, b []byte) (Entry, error) {
	o := lenses.Get().(*objects.Object)
	defer func() {
		o.Forget()
		lenses.Put(o)
	}()
	if err := o.Load(b); err != nil {
		return Entry{}, wrapf(Corrupt, err, "the object %s cannot be read", key)
	}
	v := o.Visible()
	return Entry{Key: key, Value: v.Value, Version: v.Version, Time: v.Stamp, Conflict: v.Conflict,
		Deleted: v.Winner >= 0 && v.Deleted, Frontier: v.Frontier()}, nil
}

// Scan yields the objects of a range in the order of their keys, as they are at this moment, whatever is written meanwhile.
//
// Errors: ABORTED if the reader stood still while very much was written: scan on from the last key.
func (r *Replica) Scan(ctx context.Context, q ScanRange) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		v, err := r.View()
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer v.Release()
		r.scan(ctx, v.s, q, yield)
	}
}

// A View is the objects as they are at one moment, and the place of that moment among the events of Watch. It must be released.
type View struct {
	r      *Replica
	s      *pages.Snap
	commit uint64
}

// View keeps the present moment readable. Checkpoints wait for it, up to a bound.
func (r *Replica) View() (*View, error) {
	if err := r.readable(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return &View{r: r, s: r.tables.Snapshot(), commit: r.head.commit}, nil
}

// Marker is where a Watch goes on that has seen what the view shows.
func (v *View) Marker() string { return v.r.marker(v.commit).String() }

// Get is Get of the replica, at this moment.
//
// Errors: ABORTED if the view was kept while very much was written.
func (v *View) Get(ctx context.Context, key change.Key) (Entry, bool, error) {
	if err := validKey(key); err != nil {
		return Entry{}, false, err
	}
	if err := v.r.readable(); err != nil {
		return Entry{}, false, err
	}
	row := objectRow(key)
	b, ok, err := v.s.Get(ctx, row[0], row[1:])
	return found(key, b, ok, err)
}

// Scan yields the objects of a range in the order of their keys.
//
// Errors: ABORTED if the view was kept while very much was written.
func (v *View) Scan(ctx context.Context, q ScanRange) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) { v.r.scan(ctx, v.s, q, yield) }
}

// Release ends the view. Further calls do nothing.
func (v *View) Release() { v.s.Release() }

func (r *Replica) scan(ctx context.Context, s *pages.Snap, q ScanRange, yield func(Entry, error) bool) {
	from, to, err := q.bounds()
	if err != nil {
		yield(Entry{}, err)
		return
	}
	if to != "" && from >= to {
		return
	}
	n := 0
	for kv, err := range s.Scan(ctx, tableObjects, from, to, q.Reverse) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			if closed := r.readable(); closed != nil {
				err = closed
			}
			yield(Entry{}, typed(err, "scanning"))
			return
		}
		var key change.Key
		key.Collection, key.ID, _ = strings.Cut(kv.Key, "\x00")
		if err := key.Validate(); err != nil {
			yield(Entry{}, wrapf(Corrupt, err, "the key %q of an object cannot be read", kv.Key))
			return
		}
		if q.Collection == "" && key.System() {
			continue
		}
		e, err := entryFrom(key, kv.Value)
		if err == nil && (e.Deleted || e.Version.IsZero()) {
			continue
		}
		if !yield(e, err) || err != nil {
			return
		}
		if n++; q.Limit > 0 && n == q.Limit {
			return
		}
	}
}

// WaitSynced returns when the feed has passed a batch of this device.
//
// Errors: the hub's reason if it refused the batch, also after its problem was settled; INVALID for one that this replica does not hold; LOCAL_ONLY without a feed; CLOSED.
func (r *Replica) WaitSynced(ctx context.Context, v change.Version) error {
	if !r.cfg.Feed {
		return errorf(LocalOnly, "the database was opened without a feed: there is no hub to be in sync with")
	}
	for {
		news := r.Changed()
		if news == nil {
			return errorf(Closed, "the database was closed before the hub had confirmed %s; it is stored here and will be sent", v)
		}
		done, err := r.passed(ctx, v)
		if done || err != nil {
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *Replica) passed(ctx context.Context, v change.Version) (bool, error) {
	r.mu.Lock()
	h := r.head
	r.mu.Unlock()
	asked := v
	if v = h.today(v); v != asked { // what was dismissed is not written again under a name of today
		if _, is, err := r.tables.GetRow(ctx, versionRow(tableSettled, asked)); is || err != nil {
			return true, errors.Join(typed(err, "waiting for the hub"), r.refusal(ctx, asked))
		}
	}
	if h.lost(v) {
		return true, errorf(Invalid, "this replica holds no batch %s: it was never written here, or lost with the power", asked)
	}
	if h.handedBack(v) {
		return true, r.refusal(ctx, v)
	}
	rec, err := readDevice(ctx, r.tables, v.Device)
	if err != nil || rec.Last < v.Gen {
		return false, typed(err, "waiting for the hub")
	}
	if len(r.aliases()) > len(h.aliases) { // what passed since may be another batch of that name
		return r.passed(ctx, asked)
	}
	return true, r.refusal(ctx, v)
}

// handedBack says that a version has an id that was given up before the device went back in the feed: the hub had it, and has got it
// back, if only under another name.
func (h *head) handedBack(v change.Version) bool {
	return v.Device != h.device && v.Gen <= h.settledUpTo(v.Device)
}

// lost says that a version has an id of this replica, and no batch of that name is left to be sent. What the feed brings by that name later
// may be a copy's.
func (h *head) lost(v change.Version) bool {
	if v.Device == h.device {
		return v.Gen > h.lastGen
	}
	for _, a := range h.aliases {
		if a.Old == v.Device {
			return v.Gen > a.Common
		}
	}
	return false
}

// Wrote says whether this is the storage in which a version was written, under the id of today or one that was given up since; of
// generation 0, whether it had that id. Where it is not, what another engine was asked to store is not here.
func (r *Replica) Wrote(v change.Version) bool {
	r.mu.Lock()
	h := r.head
	r.mu.Unlock()
	if v.Device == h.device {
		return v.Gen <= h.lastGen
	}
	return slices.ContainsFunc(h.aliases, func(a alias) bool { return a.Old == v.Device })
}

// Synced returns when the feed has passed all that was written before.
func (r *Replica) Synced(ctx context.Context) error {
	r.mu.Lock()
	h := r.head
	r.mu.Unlock()
	waits := []change.Version{}
	for _, a := range h.aliases {
		if a.Common > 0 {
			waits = append(waits, change.Version{Device: a.Old, Gen: a.Common})
		}
	}
	if h.lastGen > 0 {
		waits = append(waits, change.Version{Device: h.device, Gen: h.lastGen})
	}
	if len(waits) == 0 && !r.cfg.Feed {
		return r.WaitSynced(ctx, change.Version{})
	}
	for _, v := range waits {
		err := r.WaitSynced(ctx, v)
		if refused, is := errors.AsType[*Error](err); err != nil && !(is && refused.Gen > 0) {
			return err
		}
	}
	return nil
}
