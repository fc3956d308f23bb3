package core

import (
	"context"
	"errors"

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
			group[0].done <- r.checkpointAll(context.Background(), group[0])
			continue
		}
		r.commit(group)
		r.checkpointSteps(context.Background())
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
	s.unmake(&r.spare)
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

// putFence stores the superblock that was not stored at opening; nothing is written before it.
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
