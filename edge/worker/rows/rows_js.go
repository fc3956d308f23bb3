package rows

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"unsafe"

	"vsync/core/store"
	"vsync/edge/sqlrows"
)

// What rows.ts does. None of it calls back into Go. A result below zero is a failure; take then gives its text.

// prepare sets the statement at a place.
//
//go:wasmimport vsync_rows prepare
func jsPrepare(place int32, statement string)

// run runs a statement that is used once, and returns the size of its only number as text, or 0.
//
//go:wasmimport vsync_rows run
func jsRun(statement string) int32

// get returns the size of the value, or missing.
//
//go:wasmimport vsync_rows get
func jsGet(place int32, key unsafe.Pointer, length int32) int32

// scan returns the size of the packed rows.
//
//go:wasmimport vsync_rows scan
func jsScan(place int32, from unsafe.Pointer, fromLength int32, to unsafe.Pointer, toLength int32, limit, maxBytes int32) int32

// commit runs packed operations in one transaction.
//
//go:wasmimport vsync_rows commit
func jsCommit(packed unsafe.Pointer, length int32) int32

// take copies what the call before it has returned the size of.
//
//go:wasmimport vsync_rows take
func jsTake(to unsafe.Pointer, length int32)

// The results of rows.ts below zero, but for missing with the size of the text in the higher bits.
const (
	missing   = -1
	failed    = 2
	noSpace   = 3
	kindBits  = 4
	kindMask  = 1<<kindBits - 1
	packLimit = 64 << 10 // bytes of a packing buffer that is kept
)

// Store is the store of the object that this program runs in.
type Store struct {
	mu     sync.Mutex
	closed bool
	packed []byte
}

var _ store.Store = (*Store)(nil)

// Open makes the tables where there are none. Error: sqlrows.ErrVersion if a later program wrote them.
func Open(ctx context.Context) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("rows: open: %w", err)
	}
	for i, s := range statements {
		jsPrepare(int32(i), s)
	}
	for _, s := range sqlrows.Schema {
		if _, err := result(jsRun(s)); err != nil {
			return nil, fmt.Errorf("rows: open: %w", err)
		}
	}
	text, err := result(jsRun(sqlrows.ReadVersion))
	if err != nil {
		return nil, fmt.Errorf("rows: open: %w", err)
	}
	version, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("rows: open: %w: expected the version of the tables, got %q", store.ErrCorrupt, text)
	}
	if err := sqlrows.CheckVersion(version); err != nil {
		return nil, fmt.Errorf("rows: open: %w", err)
	}
	return &Store{}, nil
}

// result turns what rows.ts has returned into bytes or an error; nil and no error where nothing was found.
func result(n int32) ([]byte, error) {
	if n == missing {
		return nil, nil
	}
	if n >= 0 {
		return take(int(n)), nil
	}
	kind, text := -n&kindMask, take(int(-n>>kindBits))
	if kind == noSpace {
		return nil, fmt.Errorf("%w: %s", store.ErrQuota, text)
	}
	return nil, fmt.Errorf("%w: %s", store.ErrIO, text)
}

func take(size int) []byte {
	b := make([]byte, size)
	if size > 0 {
		jsTake(pointer(b), int32(size))
	}
	return b
}

func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

// usable says why a call cannot be made. Under mu.
func (s *Store) usable(ctx context.Context) error {
	if s.closed {
		return store.ErrClosed
	}
	return ctx.Err()
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key []byte) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return nil, false, fmt.Errorf("rows: get: %w", err)
	}
	value, err := result(jsGet(placeGet, pointer(key), int32(len(key))))
	if err != nil {
		return nil, false, fmt.Errorf("rows: get: %w", err)
	}
	return value, value != nil, nil
}

// Scan implements store.Store.
func (s *Store) Scan(ctx context.Context, r store.Range) ([]store.Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return nil, fmt.Errorf("rows: scan: %w", err)
	}
	statement, _ := sqlrows.Scan(r)
	b, err := result(jsScan(int32(placeScan+statement), pointer(r.From), int32(len(r.From)), pointer(r.To), int32(len(r.To)), int32(r.Limit), int32(r.MaxBytes)))
	if err != nil {
		return nil, fmt.Errorf("rows: scan %v: %w", r, err)
	}
	return unpackRows(b)
}

// packOps appends the operations of a transaction, whose bytes stay where they are.
func packOps(b []byte, tx *store.Tx) []byte {
	for i := range tx.Ops {
		statement, args := sqlrows.Op(&tx.Ops[i])
		b = append(b, place(statement), byte(len(args)))
		for _, arg := range args {
			b = appendPlace(b, arg.([]byte))
		}
	}
	return b
}

func appendPlace(b, bytes []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(uintptr(pointer(bytes))))
	return binary.LittleEndian.AppendUint32(b, uint32(len(bytes)))
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, tx *store.Tx) error {
	if err := tx.Check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return fmt.Errorf("rows: commit: %w", err)
	}
	s.packed = packOps(s.packed[:0], tx)
	_, err := result(jsCommit(pointer(s.packed), int32(len(s.packed))))
	runtime.KeepAlive(tx)
	if cap(s.packed) > packLimit {
		s.packed = nil
	}
	if err != nil {
		return fmt.Errorf("rows: commit of %d operations: %w", len(tx.Ops), err)
	}
	return nil
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}
