package core

import (
	"context"
	"errors"

	"vsync/core/changelog"
	"vsync/core/store"
)

// A checkpoint writes what stands in memory and in the log alone into pages, a bounded step at a time, between commits.

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

// checkpointAll runs a whole pass, which power does not take where that is asked for.
func (r *Replica) checkpointAll(ctx context.Context, q *request) error {
	r.mu.Lock()
	if q.patient && r.tables.Behind() {
		r.mu.Unlock()
		return errReaders
	}
	if r.cp != nil { // the pass under way may be past what this caller wants written
		r.cp = nil
	}
	if r.tables.Busy() {
		r.tables.GiveUpSnapshots()
	}
	clean := r.head.commit == r.cpDone && !r.mendDue() && !q.strict
	r.mu.Unlock()
	if clean {
		return nil
	}
	if err := r.takePlace(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	r.begin()
	r.mu.Unlock()
	for {
		done, err := r.step(ctx, q.strict)
		if err != nil {
			r.giveUpPass(err)
			return err
		}
		if done {
			return nil
		}
	}
}

// takePlace begins this engine's part of the log, if it has not. What a checkpoint says is the log then for whoever opens the store next:
// before, what a dead engine still had under way may land, and be the log's end in place of what was read.
func (r *Replica) takePlace(ctx context.Context) error {
	if r.placed() || r.head.commit == 0 {
		return nil
	}
	s := r.newStage(ctx, r.head)
	s.add(changelog.ItemMarker, s.state.marker.Encode()) // a commit has an item
	err := r.store(ctx, s)
	r.dead(err)
	return err
}

// placed says that nothing of another engine can become the log's end any more.
func (r *Replica) placed() bool { return r.cfg.Alone || r.log.Begun() }

func (r *Replica) begin() {
	r.cp, r.cpFrom, r.cpAt = r.tables.Begin(), r.head, r.log.Size()
}

// checkpointSteps goes on with the checkpoint, or starts one if it is due: by one step, and by more while so much stands in memory that
// commits would outrun it. An error gives the pass up; the next tries again.
func (r *Replica) checkpointSteps(ctx context.Context) {
	for r.checkpointDue() {
		if _, err := r.step(ctx, false); err != nil {
			r.giveUpPass(err)
			return
		}
		if r.tables.Bytes() <= heldFactor*r.cfg.CheckpointBytes {
			return
		}
	}
}

// checkpointDue says whether a step is to be taken now, and begins a pass for it: when much is in the log, or in memory, as what confirms a write is
// little in the log. Before this engine has written anything, it does not.
func (r *Replica) checkpointDue() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	behind := r.log.Size() - r.cpAt // nothing, where what is held was to be written already, and could not be
	due := behind >= int64(r.cfg.CheckpointBytes) || behind > 0 && r.tables.Bytes() > heldFactor*r.cfg.CheckpointBytes || r.mendDue()
	if r.cp == nil && due && r.placed() && r.failed == nil {
		r.begin()
	}
	wait := r.tables.Busy()
	if wait && r.tables.Bytes() > forceFactor*r.cfg.CheckpointBytes {
		r.tables.GiveUpSnapshots()
		wait = false
	}
	return r.cp != nil && !wait && r.failed == nil
}

// giveUpPass forgets a checkpoint of which a step failed. The next one begins with what stands in memory then.
func (r *Replica) giveUpPass(err error) {
	r.dead(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cp = nil
}

// step writes the next pages; with the last of them the superblock, which is what makes the checkpoint count. With those before it, the
// superblock that counts says anew of which commit pages may be: a log that ends before that has lost its end.
func (r *Replica) step(ctx context.Context, strict bool) (done bool, err error) {
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
	summarised, sb := func() {}, new(r.super)
	if cp.Done() {
		if strict { // and so all steps before
			tx.Durability = store.Strict
		}
		start := r.log.Start(r.cpFrom.commit)
		summarised = r.log.Summaries(tx, start)
		if err := r.asideSummaries(ctx, tx); err != nil {
			return false, typed(err, "writing a checkpoint")
		}
		sb = &superblock{role: r.cfg.Role, incarnation: r.inc, database: r.cfg.Database, start: start, head: r.cpFrom, lasts: cp.Lasts(), upTo: h.commit}
		sb.put(tx)
	} else if sb.upTo = max(sb.upTo, h.commit); sb.upTo > max(r.super.upTo, r.super.head.commit) {
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
	r.super = *sb
	if cp.Done() {
		r.harm.summariesWritten()
		r.mu.Lock()
		r.cp, r.cpDone, r.cpSize = nil, r.cpFrom.commit, r.cpAt
		r.mu.Unlock()
	}
	return cp.Done(), nil
}
