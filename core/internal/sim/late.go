package sim

import (
	"context"
	"errors"

	"vsync/core/store"
)

// gasping is the store as an engine has it. Where the engine dies in a commit that a fault has refused, the transaction may be
// under way still: it lands while the next engine is at work.
//
//	engine 1  … commit ─✕ dies      ┌── the transaction lands: at the latest before the next engine's first commit, which waits
//	engine 2           opens ─ read ┴ superblock ─ read the log ─ …        for those before it; of the log alone, at any time
//
// What of it is log is void then, unless the next engine has read it. What is no log could not be told from its own later, so
// stores keep the order of commits, and this one does too.
type gasping struct {
	*store.Faulty
	n *node
}

// gasp is a transaction that is under way.
type gasp struct {
	tx     store.Tx
	logged bool // of the log alone
	calls  int  // of the next engine, before it lands
}

// lateBy is how many calls of its successor a transaction of the log may wait at most.
const lateBy = 120

// Get implements store.Store.
func (g gasping) Get(ctx context.Context, key []byte) ([]byte, bool, error) {
	g.n.landing(false)
	return g.Faulty.Get(ctx, key)
}

// Scan implements store.Store.
func (g gasping) Scan(ctx context.Context, r store.Range) ([]store.Row, error) {
	g.n.landing(false)
	return g.Faulty.Scan(ctx, r)
}

// Commit implements store.Store.
func (g gasping) Commit(ctx context.Context, tx *store.Tx) error {
	g.n.landing(true)
	dead := g.Dead()
	err := g.Faulty.Commit(ctx, tx)
	if n := g.n; !dead && errors.Is(err, store.ErrLost) && n.plan[0].Do == store.CrashBefore && n.gasps {
		n.held = heldBack(tx, n.lateAfter)
	}
	return err
}

func heldBack(tx *store.Tx, calls int) *gasp {
	g := &gasp{tx: store.Tx{Durability: tx.Durability}, logged: true, calls: calls}
	for _, op := range tx.Ops {
		g.logged = g.logged && op.Key[0] == 'L'
		op.Value = append([]byte(nil), op.Value...)
		g.tx.Ops = append(g.tx.Ops, op)
	}
	return g
}

// landing lets what is under way arrive, if it is time.
func (n *node) landing(commit bool) {
	g := n.late
	if g == nil {
		return
	}
	if g.calls--; g.calls > 0 && (g.logged || !commit) {
		return
	}
	n.late = nil
	if err := n.mem.Commit(n.s.ctx, &g.tx); err != nil {
		n.s.fail("%s: a transaction of an engine before it does not land: %v", n.name, err)
	}
	n.s.did("late commit")
	if g.logged { // also while the engine opens: it may have read the log already
		n.s.count("late commit of the log")
		n.landed = true
		if n.hurt != nil {
			n.hurt.landed = true
		}
	}
	n.s.logf("%s: a transaction of the engine before it lands, %d rows", n.name, len(g.tx.Ops))
}

// unsettled says that the next engine may read what this one did not: a late transaction of the log has landed, and nothing was
// written behind it.
func (n *node) unsettled() bool { return n.landed && n.r != nil && n.r.State().Commit == n.opened }
