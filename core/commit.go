package core

import (
	"context"
	"errors"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/device"
	"vsync/core/pages"
	"vsync/core/store"
)

// request is one piece of work that ends in a commit. form adds it to a stage; on an error the stage is as it was before.
type request struct {
	form       func(s *stage) error
	strict     bool
	checkpoint bool                            // no commit of its own: write all pages
	patient    bool                            // a checkpoint that no reader suffers from
	alone      bool                            // shares its commit with no other
	whole      func(ctx context.Context) error // not form: it commits itself, and nobody commits meanwhile
	weight     int                             // about how many bytes it will add
	done       chan error
}

// submit queues a request and waits for its end. If ctx ends before the request was taken up, nothing has happened.
func (r *Replica) submit(ctx context.Context, q *request) error {
	if err := r.enqueue(ctx, q); err != nil {
		return err
	}
	return r.await(ctx, q)
}

func (r *Replica) enqueue(ctx context.Context, q *request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q.done = make(chan error, 1)
	r.mu.Lock()
	if err := r.writable(); err != nil {
		r.mu.Unlock()
		return err
	}
	r.queue = append(r.queue, q)
	lead := !r.leading
	if lead {
		r.leading, r.idle = true, make(chan struct{})
	}
	r.mu.Unlock()
	if lead {
		r.cfg.Go(r.lead)
	}
	return nil
}

func (r *Replica) await(ctx context.Context, q *request) error {
	select {
	case err := <-q.done:
		return err
	case <-ctx.Done():
	}
	if r.withdraw(q) {
		return ctx.Err()
	}
	return <-q.done
}

func (r *Replica) writable() error {
	if r.failed != nil {
		return r.failed
	}
	if r.closing {
		return errorf(Closed, "the database was closed: open it again")
	}
	return nil
}

func (r *Replica) withdraw(q *request) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, other := range r.queue {
		if other == q {
			r.queue = append(r.queue[:i:i], r.queue[i+1:]...)
			return true
		}
	}
	return false
}

// lead forms commits until nothing waits. One commit is in flight at a time; what comes meanwhile forms the next.
func (r *Replica) lead() {
	for {
		group, stop := r.take()
		if stop {
			return
		}
		if len(group) == 1 && group[0].whole != nil {
			err := group[0].whole(context.Background())
			r.dead(err)
			group[0].done <- err
			continue
		}
		if len(group) == 1 && group[0].checkpoint {
			group[0].done <- r.checkpointAll(context.Background(), group[0].patient)
			continue
		}
		r.commit(group)
		r.checkpointStep(context.Background())
	}
}

// take returns the next group, bounded in size; stop says that the leader is to end.
func (r *Replica) take() (group []*request, stop bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		for _, q := range r.queue {
			q.done <- r.failed
		}
		r.queue = nil
	}
	if len(r.queue) == 0 {
		r.leading = false
		close(r.idle)
		r.idle = nil
		return nil, true
	}
	n, weight := 0, 0
	for n < len(r.queue) && n < groupRequests {
		q := r.queue[n]
		alone := q.checkpoint || q.alone || q.whole != nil
		if n > 0 && (alone || weight+q.weight > groupBytes) {
			break
		}
		n++
		weight += q.weight
		if alone {
			break
		}
	}
	group = append(group, r.queue[:n]...)
	r.queue = append(r.queue[:0:0], r.queue[n:]...)
	return group, false
}

// commit stores a group. If the store refuses it whole, its requests are tried one by one, so that what one of them
// cannot have fails no other.
func (r *Replica) commit(group []*request) {
	err := r.commitGroup(group)
	if err == nil {
		return
	}
	if r.dead(err) || len(group) == 1 {
		for _, q := range group {
			q.done <- err
		}
		return
	}
	for _, q := range group {
		r.commit([]*request{q})
	}
}

// dead notes that the store is lost: whether the commit under way was stored is unknown, and only opening again tells.
func (r *Replica) dead(err error) bool {
	if !errors.Is(err, store.ErrLost) && !errors.Is(err, store.ErrClosed) && !errors.Is(err, &Error{Code: Internal}) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = err
	}
	return true
}

// commitGroup forms the requests, stores the commit, makes it visible, and answers. A request that cannot be formed gets its own
// error, and not before the commit is stored either: what it ran into may be a neighbour's write. An error is the store's;
// nothing of the group has happened then, and nobody was answered.
func (r *Replica) commitGroup(group []*request) error {
	ctx := context.Background()
	r.mu.Lock()
	s := r.newStage(ctx, r.head)
	r.mu.Unlock()
	errs := make([]error, len(group))
	for i, q := range group {
		m := s.mark()
		if err := q.form(s); err != nil {
			s.rollback(m)
			errs[i] = typed(err, "writing")
			continue
		}
		s.strict = s.strict || q.strict
	}
	if len(s.items) > 0 {
		if err := r.store(ctx, s); err != nil {
			return err
		}
	}
	for i, q := range group {
		q.done <- errs[i]
	}
	return nil
}

// store commits a stage, and then makes it visible: to readers, then to those who are told.
func (r *Replica) store(ctx context.Context, s *stage) error {
	tx := &store.Tx{}
	if s.strict {
		tx.Durability = store.Strict
	}
	s.state.commit = r.log.Append(tx, s.items)
	tx.Ops = append(tx.Ops, s.beside...)
	if err := r.alive(); err != nil {
		return err
	}
	if err := r.putFence(ctx); err != nil {
		return typed(err, "writing")
	}
	if err := r.st.Commit(ctx, tx); err != nil {
		return typed(err, "writing")
	}
	r.mu.Lock()
	r.log.Committed()
	r.tables.Apply(s.changes)
	r.head = s.state
	for _, v := range s.voided {
		r.voided[v] = true
	}
	if r.news != nil {
		close(r.news)
		r.news = make(chan struct{})
	}
	onFeed, onWrite := r.onFeed, r.onWrite
	r.mu.Unlock()
	if onFeed != nil && len(s.feed) > 0 {
		onFeed(s.feed)
	}
	if onWrite != nil && s.wrote {
		onWrite()
	}
	return nil
}

// putFence stores the superblock that found no room at opening; nothing is written before it.
func (r *Replica) putFence(ctx context.Context) error {
	if r.fence == nil {
		return nil
	}
	err := r.writeFence(ctx, r.fence)
	if err == nil {
		r.mu.Lock()
		r.fence = nil // the leader alone reads it without the lock
		r.mu.Unlock()
	}
	return err
}

func (r *Replica) alive() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// Changed returns a channel that is closed at the next commit, or at the end; nil once the replica was closed.
func (r *Replica) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.news
}

// Checkpoint writes all that stands only in memory and in the log into pages, so that opening is fast. Readers that began before the
// last commit lose their place.
func (r *Replica) Checkpoint(ctx context.Context) error {
	return r.submit(ctx, &request{checkpoint: true})
}

// TryCheckpoint is Checkpoint, unless a reader would lose its place: then it does nothing, and done is false.
func (r *Replica) TryCheckpoint(ctx context.Context) (done bool, err error) {
	err = r.submit(ctx, &request{checkpoint: true, patient: true})
	if errors.Is(err, errReaders) {
		return false, nil
	}
	return err == nil, err
}

// errReaders ends a checkpoint that would have taken their place from readers.
var errReaders = errors.New("core: a reader stands in an older state")

// checkpointAll runs a whole pass.
func (r *Replica) checkpointAll(ctx context.Context, patient bool) error {
	r.mu.Lock()
	if patient && r.tables.Behind() {
		r.mu.Unlock()
		return errReaders
	}
	if r.cp != nil { // the pass under way may be past what this caller wants written
		r.cp = nil
	}
	if r.tables.Busy() {
		r.tables.GiveUpSnapshots()
	}
	clean := r.head.commit == r.cpDone && !r.mendDue()
	if !clean {
		r.begin()
	}
	r.mu.Unlock()
	for !clean {
		done, err := r.step(ctx)
		if err != nil {
			r.giveUpPass(err)
			return err
		}
		clean = done
	}
	return nil
}

func (r *Replica) begin() {
	r.cp, r.cpFrom, r.cpAt = r.tables.Begin(), r.head, r.log.Size()
}

// checkpointStep goes on with the checkpoint, or starts one if it is due. An error gives the pass up; the next tries again.
func (r *Replica) checkpointStep(ctx context.Context) {
	r.mu.Lock()
	due := r.log.Size()-r.cpAt >= int64(r.cfg.CheckpointBytes) || r.mendDue()
	if r.cp == nil && due && r.failed == nil {
		r.begin()
	}
	wait := r.tables.Busy()
	if wait && r.tables.Bytes() > forceFactor*r.cfg.CheckpointBytes {
		r.tables.GiveUpSnapshots()
		wait = false
	}
	idle := r.cp == nil || wait || r.failed != nil
	r.mu.Unlock()
	if idle {
		return
	}
	if _, err := r.step(ctx); err != nil {
		r.giveUpPass(err)
	}
}

// giveUpPass forgets a checkpoint of which a step failed. The next one begins with what stands in memory then.
func (r *Replica) giveUpPass(err error) {
	r.dead(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cp = nil
}

// step writes the next pages; with the last of them the superblock, which is what makes the checkpoint count.
func (r *Replica) step(ctx context.Context) (done bool, err error) {
	r.mu.Lock()
	cp, h := r.cp, r.head
	r.mu.Unlock()
	if err := r.putFence(ctx); err != nil {
		return false, typed(err, "writing a checkpoint")
	}
	tx := &store.Tx{Durability: r.cfg.Durability}
	written, err := cp.Step(ctx, tx, stampOf(&h), r.cfg.StepBytes)
	if err != nil {
		return false, typed(err, "writing a checkpoint")
	}
	summarised := func() {}
	if cp.Done() {
		start := r.log.Start(r.cpFrom.commit)
		summarised = r.log.Summaries(tx, start)
		if err := r.asideSummaries(ctx, tx); err != nil {
			return false, typed(err, "writing a checkpoint")
		}
		sb := &superblock{role: r.cfg.Role, incarnation: r.inc, database: r.cfg.Database, start: start, head: r.cpFrom, lasts: cp.Lasts()}
		sb.put(tx)
	}
	if err := r.alive(); err != nil {
		return false, err
	}
	if err := r.st.Commit(ctx, tx); err != nil {
		return false, typed(err, "writing a checkpoint")
	}
	written()
	summarised()
	if cp.Done() {
		r.harm.summariesWritten()
		r.mu.Lock()
		r.cp, r.cpDone = nil, r.cpFrom.commit
		r.mu.Unlock()
	}
	return cp.Done(), nil
}

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
	var bad *changelog.CorruptError
	if sb.start.First > 0 && errors.As(err, &bad) {
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
	l, err := open(func(l *changelog.Log, rec changelog.Record) error {
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
	r.log, r.cpAt, r.cpDone = l, -read, from
	r.tables.StandAt(stampOf(&r.head))
	return nil
}

func stampOf(h *head) pages.Stamp {
	return pages.Stamp{Commit: h.commit, Epoch: h.marker.Epoch, Seq: h.marker.Seq}
}

// record takes up one commit of the log, with the steps that formed it.
func (f *fold) record(rec changelog.Record) error {
	var renaming *device.Mapping
	f.fresh, f.due, f.putOff = nil, nil, nil
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
		seq, e, err := f.confirmOf(it)
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
