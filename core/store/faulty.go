package store

import (
	"bytes"
	"context"
	"sync"

	"vsync/core/fmt"
)

// Faulty wraps a store and lets it fail as planned. It counts what is asked of
// it, so that a test can sweep: run once without a plan, read Counts, then
// run again for every n with a fault at the n-th.
//
//	call ─▶ count ─▶ fault at this number? ─▶ inner store
//	                  Fail, Full       error, nothing applied
//	                  CrashBefore      nothing applied, dead
//	                  CrashAfter       applied, but the caller gets ErrLost; dead
//	                  Tear             operations up to the n-th applied, dead
//	                  FlipBit, Cut     carried out, with one row damaged
//
// A dead store answers every call with ErrLost; what the inner store holds then
// is what a restarted process finds. It starts no goroutines and asks no clock:
// the same calls with the same plan have the same results.
type Faulty struct {
	inner Store

	commits sync.Mutex // one commit at a time, whole, beside its fault
	mu      sync.Mutex
	plan    []Fault
	counts  Counts
	fired   int
	dead    bool
	full    bool
	closed  bool
}

// Counted is what a fault's number counts.
type Counted uint8

const (
	Gets    Counted = iota // calls of Get
	Scans                  // calls of Scan
	Commits                // calls of Commit
	Calls                  // of the three together
	Ops                    // operations in the transactions of all commits
	counted
)

func (c Counted) String() string {
	if c >= counted {
		return fmt.Sprintf("Counted(%d)", uint8(c))
	}
	return [...]string{"get", "scan", "commit", "call", "operation"}[c]
}

// Counts says how many of each were asked for, faults included.
type Counts [counted]int

// FaultKind is what a fault does.
type FaultKind uint8

const (
	// Fail returns Fault.Err (ErrIO if nil). Nothing is applied, and the next
	// call works again.
	Fail FaultKind = iota + 1
	// Full refuses this and all later commits with ErrQuota, until Release.
	Full
	// CrashBefore applies nothing; the store is dead.
	CrashBefore
	// CrashAfter applies everything, but returns ErrLost; the store is dead.
	CrashAfter
	// Tear applies a prefix of the transaction, rows whole: with On: Ops up to
	// and with the N-th operation, else the first Fault.Row operations; the
	// store is dead. No known medium does this: it shows that the order of
	// operations in a transaction is harmless.
	Tear
	// FlipBit inverts bit Fault.Bit of one value, in what is returned (Get,
	// Scan) or in what is stored (Commit).
	FlipBit
	// Cut shortens one value by Fault.Bytes (at least 1), likewise.
	Cut
)

func (k FaultKind) String() string {
	names := [...]string{"fail", "full", "crash before", "crash after", "tear", "flip bit", "cut"}
	if k == 0 || int(k) > len(names) {
		return fmt.Sprintf("FaultKind(%d)", uint8(k))
	}
	return names[k-1]
}

// Fault is one thing that goes wrong: at the N-th (from 1) of On, Do.
type Fault struct {
	On Counted
	N  int
	Do FaultKind

	Err   error // Fail: what to return
	Row   int   // FlipBit, Cut: which row of the result, or which put of the transaction, modulo their number; Tear: above
	Bit   int   // FlipBit: which bit of the value; modulo its length
	Bytes int   // Cut: how many bytes are missing
}

func (f Fault) String() string { return fmt.Sprintf("%v at %v %d", f.Do, f.On, f.N) }

// NewFaulty wraps inner. Where several faults meet, the first of plan counts.
func NewFaulty(inner Store, plan ...Fault) *Faulty {
	return &Faulty{inner: inner, plan: plan}
}

// Inner returns the wrapped store.
func (f *Faulty) Inner() Store { return f.inner }

// Counts returns what was counted so far.
func (f *Faulty) Counts() Counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts
}

// Fired returns how many faults of the plan have happened: a sweep whose fault
// never fires has ended.
func (f *Faulty) Fired() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

// Dead reports whether the store has crashed.
func (f *Faulty) Dead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

// Kill makes the store dead, between two calls.
func (f *Faulty) Kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead = true
}

// SetFull fills the store up, as Full does, or makes room again.
func (f *Faulty) SetFull(full bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.full = full
}

// Release makes room again after Full.
func (f *Faulty) Release() { f.SetFull(false) }

// Get implements Store.
func (f *Faulty) Get(ctx context.Context, key []byte) ([]byte, bool, error) {
	fault, err := f.count(Gets, 0)
	if err != nil {
		return nil, false, fmt.Errorf("faulty: get %q: %w", key, err)
	}
	v, ok, err := f.inner.Get(ctx, key)
	if ok {
		v = fault.damage(v)
	}
	if err := f.die(fault); err != nil {
		return nil, false, fmt.Errorf("faulty: get %q: %w", key, err)
	}
	return v, ok, err
}

// Scan implements Store.
func (f *Faulty) Scan(ctx context.Context, r Range) ([]Row, error) {
	fault, err := f.count(Scans, 0)
	if err != nil {
		return nil, fmt.Errorf("faulty: scan %v: %w", r, err)
	}
	rows, err := f.inner.Scan(ctx, r)
	if len(rows) > 0 {
		row := &rows[index(fault.Row, len(rows))]
		row.Value = fault.damage(row.Value)
	}
	if err := f.die(fault); err != nil {
		return nil, fmt.Errorf("faulty: scan %v: %w", r, err)
	}
	return rows, err
}

// Commit implements Store.
func (f *Faulty) Commit(ctx context.Context, tx *Tx) error {
	f.commits.Lock()
	defer f.commits.Unlock()
	if err := tx.Check(); err != nil {
		return err // no medium would see it, so it is not counted
	}
	before := f.Counts()[Ops]
	fault, err := f.count(Commits, len(tx.Ops))
	if err != nil {
		return fmt.Errorf("faulty: commit: %w", err)
	}
	err = f.inner.Commit(ctx, fault.alter(tx, before))
	if err := f.die(fault); err != nil {
		return fmt.Errorf("faulty: commit: %w", err)
	}
	return err
}

// Close implements Store: it closes the inner store, dead or not, so that the
// medium can be opened again.
func (f *Faulty) Close() error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	return f.inner.Close()
}

// count counts a call of that kind with so many operations, and returns the
// fault that shapes it (zero for none), or the error that refuses it.
func (f *Faulty) count(kind Counted, ops int) (Fault, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return Fault{}, ErrClosed
	}
	if f.dead {
		return Fault{}, ErrLost
	}
	before := f.counts
	f.counts[kind]++
	f.counts[Calls]++
	f.counts[Ops] += ops
	fault := f.due(before)
	switch fault.Do {
	case Fail:
		if fault.Err == nil {
			return Fault{}, ErrIO
		}
		return Fault{}, fault.Err
	case Full:
		f.full = true
	case CrashBefore:
		f.dead = true
		return Fault{}, ErrLost
	}
	if kind == Commits && f.full {
		return Fault{}, ErrQuota
	}
	return fault, nil
}

// due returns the first fault whose number was reached since before.
func (f *Faulty) due(before Counts) Fault {
	for _, fault := range f.plan {
		if before[fault.On] < fault.N && fault.N <= f.counts[fault.On] {
			f.fired++
			return fault
		}
	}
	return Fault{}
}

// die carries out the end that a fault brings after its call.
func (f *Faulty) die(fault Fault) error {
	if fault.Do != CrashAfter && fault.Do != Tear {
		return nil
	}
	f.Kill()
	return ErrLost
}

// alter returns what reaches the inner store in place of tx; before is the
// number of operations counted before it.
func (f Fault) alter(tx *Tx, before int) *Tx {
	switch f.Do {
	case Tear:
		n := f.Row
		if f.On == Ops {
			n = f.N - before
		}
		return &Tx{Ops: tx.Ops[:max(0, min(n, len(tx.Ops)))], Durability: tx.Durability}
	case FlipBit, Cut:
		var puts []int
		for i := range tx.Ops {
			if tx.Ops[i].Kind == OpPut {
				puts = append(puts, i)
			}
		}
		if len(puts) == 0 {
			return tx
		}
		ops := append([]Op(nil), tx.Ops...)
		op := &ops[puts[index(f.Row, len(puts))]]
		op.Value = f.damage(op.Value)
		return &Tx{Ops: ops, Durability: tx.Durability}
	}
	return tx
}

// damage returns value as the fault leaves it; the caller's bytes stay as they
// are.
func (f Fault) damage(value []byte) []byte {
	if len(value) == 0 {
		return value
	}
	switch f.Do {
	case FlipBit:
		v := bytes.Clone(value)
		bit := index(f.Bit, 8*len(v))
		v[bit/8] ^= 1 << (bit % 8)
		return v
	case Cut:
		return bytes.Clone(value[:len(value)-min(max(f.Bytes, 1), len(value))])
	}
	return value
}

// index folds any number into 0 … n-1.
func index(i, n int) int { return ((i % n) + n) % n }

// Damage lets FlipBit or Cut happen to a row that lies in s. It returns false
// if there is no such row.
func Damage(ctx context.Context, s Store, key []byte, f Fault) (bool, error) {
	v, ok, err := s.Get(ctx, key)
	if err != nil || !ok {
		return false, err
	}
	var tx Tx
	tx.Put(key, f.damage(v))
	return true, s.Commit(ctx, &tx)
}
