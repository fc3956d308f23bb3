// Package store is the seam to durable bytes: an ordered map from byte keys to
// blobs, with atomic commits. Everything that is kept goes through it.
//
//	engine ─▶ Tx{Op, Op, …} ─▶ Store.Commit ─▶ medium      all operations or none
//	engine ◀─ Row, Row, …   ◀─ Store.Scan   ◀─ medium      one Scan sees whole commits
//
// A row:
//
//	key      0 … MaxKey bytes, any; rows are ordered by them, as bytes.Compare does
//	value    0 … MaxRow bytes, any
//
// The first byte of a key says what the row is. The engine owns the key space;
// a store gives it no meaning:
//
//	'S'  superblock
//	'L'  log segments
//	'M'  summaries of segments
//	'P'  pages of tables
//	'O'  overflow: what is larger than a row
//	'Q'  quarantine: damaged rows as they were found
//
// Rows are never records: every medium that was measured takes a few packed
// rows much faster than many small ones, and has a cliff at 64 KiB. Hence
// MaxRow; whatever is larger is spread over rows of one transaction.
//
// Implementations: Memory here, Faulty around any other, SQLite in
// edge/host/sqlite, IndexedDB in wasm, a Durable Object's SQLite in edge/worker.
// Each passes the suite in storetest.
package store

import (
	"context"
	"errors"

	"vsync/core/fmt"
)

// Limits of a row, in bytes, the same in every implementation.
const (
	// MaxRow bounds a value. From 64 KiB browsers keep a value as a file of
	// its own, at twice to three times the cost.
	MaxRow = 60_000
	// MaxKey bounds a key: the longest encoded object key (64 + 1 + 512) with
	// its prefix and suffixes fits.
	MaxKey = 700
)

// Errors that callers tell apart. They come wrapped, with what was being done
// and to what: use errors.Is.
//
// A Commit that fails with anything but ErrLost has applied nothing. A
// context's own error comes back as it is.
var (
	// ErrQuota: no space is left. Nothing was applied and reads go on; try
	// again when something was deleted.
	ErrQuota = errors.New("store: no space left")
	// ErrReadOnly: the medium refuses writes. Reads go on.
	ErrReadOnly = errors.New("store: read-only")
	// ErrIO: the medium failed. Nothing was applied.
	ErrIO = errors.New("store: input/output error")
	// ErrCorrupt: what was read is not what was written. Reading something
	// else may still work.
	ErrCorrupt = errors.New("store: corrupt")
	// ErrLost: the connection to the medium is gone, and whether the commit
	// under way was applied is unknown. Every later call fails with it too:
	// close, open again, read.
	ErrLost = errors.New("store: connection lost")
	// ErrClosed: the store was closed by its owner.
	ErrClosed = errors.New("store: closed")
	// ErrLocked: at opening; another process owns these rows.
	ErrLocked = errors.New("store: locked by another owner")
	// ErrInvalid: the transaction is malformed (an unknown kind of operation).
	// It is an error of the program, not of the medium.
	ErrInvalid = errors.New("store: invalid transaction")
)

// RowTooLarge says which Put was refused because of MaxKey or MaxRow. Nothing
// of its transaction was applied.
type RowTooLarge struct {
	Index    int // of the operation in Tx.Ops
	KeyLen   int // bytes
	ValueLen int // bytes
}

func (e *RowTooLarge) Error() string {
	return fmt.Sprintf("store: operation %d puts a key of %d bytes and a value of %d bytes; at most %d and %d fit a row: spread it over several",
		e.Index, e.KeyLen, e.ValueLen, MaxKey, MaxRow)
}

// Store is an ordered map from byte keys to blobs, with atomic commits.
//
// All methods may be called from any goroutine. Commits are taken one after
// the other; a Get or Scan beside them sees each either whole or not at all.
type Store interface {
	// Get returns the row's value; nil and false where there is none. The
	// slice belongs to the caller; that of an empty value is not nil.
	Get(ctx context.Context, key []byte) ([]byte, bool, error)

	// Scan returns the rows of a range in the order of their keys, as they
	// were at one moment. All slices belong to the caller. It stops at r's
	// limits, so only an empty result says that nothing more is there; Each
	// continues by itself.
	Scan(ctx context.Context, r Range) ([]Row, error)

	// Commit applies all operations, in order, or none of them; when it
	// returns nil they are stored as durably as tx asks for. The
	// implementation keeps no slice of tx. The context is looked at before
	// anything is written; a commit that has begun is carried to its end.
	Commit(ctx context.Context, tx *Tx) error

	// Close waits for the calls under way and releases the medium. What was
	// committed stays; every later call fails with ErrClosed, a second Close
	// does nothing.
	Close() error
}

// Row is one entry of the map.
type Row struct{ Key, Value []byte }

// Range selects the rows with From ≤ key < To.
type Range struct {
	// From is the first key; empty begins at the first row.
	From []byte
	// To is the key after the last; empty ends after the last row.
	To []byte
	// Limit bounds the number of rows; 0 sets no bound.
	Limit int
	// MaxBytes bounds keys and values together; 0 sets no bound. The first
	// row is always returned, the following ones as long as they fit.
	MaxBytes int
	// Reverse returns the last rows first.
	Reverse bool
}

// Durability is how far a commit has got when it is confirmed.
type Durability uint8

const (
	// Relaxed commits survive the death of the process. Power loss may undo
	// the latest of them, in reverse order and each whole.
	Relaxed Durability = iota
	// Strict commits, and all before them, survive power loss too.
	Strict
)

func (d Durability) String() string {
	switch d {
	case Relaxed:
		return "relaxed"
	case Strict:
		return "strict"
	}
	return fmt.Sprintf("Durability(%d)", uint8(d))
}

// OpKind is what an operation does.
type OpKind uint8

const (
	// OpPut writes Value at Key, whatever was there.
	OpPut OpKind = iota + 1
	// OpDelete removes the row at Key, if there is one.
	OpDelete
	// OpDeleteRange removes the rows with Key ≤ key < To; an empty To means
	// up to the last row.
	OpDeleteRange
)

func (k OpKind) String() string {
	switch k {
	case OpPut:
		return "put"
	case OpDelete:
		return "delete"
	case OpDeleteRange:
		return "delete range"
	}
	return fmt.Sprintf("OpKind(%d)", uint8(k))
}

// Op is one operation of a transaction. To belongs to OpDeleteRange and Value
// to OpPut; elsewhere they are ignored.
type Op struct {
	Kind           OpKind
	Key, To, Value []byte
}

// Tx is a blind write: operations that are applied together, in order. Its
// slices must stay unchanged until Commit returns. The zero value is empty and
// relaxed.
type Tx struct {
	Ops        []Op
	Durability Durability
}

// Put adds: write value at key.
func (tx *Tx) Put(key, value []byte) {
	tx.Ops = append(tx.Ops, Op{Kind: OpPut, Key: key, Value: value})
}

// Delete adds: remove the row at key.
func (tx *Tx) Delete(key []byte) {
	tx.Ops = append(tx.Ops, Op{Kind: OpDelete, Key: key})
}

// DeleteRange adds: remove the rows with from ≤ key < to; an empty to means up
// to the last row.
func (tx *Tx) DeleteRange(from, to []byte) {
	tx.Ops = append(tx.Ops, Op{Kind: OpDeleteRange, Key: from, To: to})
}

// Bytes returns the size of all keys and values that tx puts.
func (tx *Tx) Bytes() int {
	n := 0
	for i := range tx.Ops {
		if op := &tx.Ops[i]; op.Kind == OpPut {
			n += len(op.Key) + len(op.Value)
		}
	}
	return n
}

// Reset empties tx for reuse and drops its references.
func (tx *Tx) Reset() {
	clear(tx.Ops)
	tx.Ops, tx.Durability = tx.Ops[:0], Relaxed
}

// Check returns a *RowTooLarge or an ErrInvalid if a store must refuse tx. Every
// implementation calls it before it writes anything.
func (tx *Tx) Check() error {
	if tx.Durability > Strict {
		return fmt.Errorf("%w: durability is %v", ErrInvalid, tx.Durability)
	}
	for i := range tx.Ops {
		op := &tx.Ops[i]
		switch op.Kind {
		case OpPut:
			if len(op.Key) > MaxKey || len(op.Value) > MaxRow {
				return &RowTooLarge{Index: i, KeyLen: len(op.Key), ValueLen: len(op.Value)}
			}
		case OpDelete, OpDeleteRange:
		default:
			return fmt.Errorf("%w: operation %d is %v", ErrInvalid, i, op.Kind)
		}
	}
	return nil
}
