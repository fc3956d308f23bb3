//go:build js

package idb

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"unsafe"

	"vsync/core/fmt"
	"vsync/core/store"
)

// Errors of Open, besides those of package store.
var (
	// ErrUnavailable: this browser, or the way it is used (private windows, blocked storage, a page without https), has no IndexedDB that
	// one could own. Nothing is lost by using store.Memory instead, but it ends with the worker.
	ErrUnavailable = errors.New("idb: IndexedDB cannot be used here")
	// ErrVersion: a newer program has written the database. Load that one.
	ErrVersion = errors.New("idb: the database was written by a newer program")
)

// maxPack is how much of the buffer for commits is kept between them: the engine's checkpoints write steps of 1 MB.
const maxPack = 1<<20 + 128<<10

// Store is a store.Store on one IndexedDB database.
type Store struct {
	name   string
	handle int32

	life   sync.RWMutex // held for reading by every call, for writing by Close
	closed bool

	mu   sync.Mutex // guards pack, and keeps a commit's way down undivided
	pack []byte

	dead atomic.Bool // the storage was taken for lost
	line line        // what it takes to open the connection again
}

var _ store.Store = (*Store)(nil)

// Open opens the database called name, or makes it. It is this program's alone until Close. lost is called, from any goroutine and at most
// once, when the storage is taken away before that, with store.ErrLost, or ErrVersion if a newer program has it now; nil where nobody
// wants to know.
//
// It fails with ErrUnavailable, ErrVersion, store.ErrLocked, store.ErrQuota or store.ErrIO.
func Open(ctx context.Context, name string, lost func(error)) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("idb: open %s: %w", name, err)
	}
	s := &Store{name: name}
	c := begin()
	s.handle = c.id
	onLost(s.handle, lost)
	jsOpen(c.id, textOf(name), int32(len(name)))
	if err := c.awaitOrCancel(ctx); err != nil {
		forgetLost(s.handle)
		return nil, fmt.Errorf("idb: open %s: %w", name, err)
	}
	return s, nil
}

// Delete deletes the database called name, if there is one. It fails with store.ErrLocked while somebody has it open; if that is another
// program, which knows nothing of our lock, the browser deletes it when it is closed there.
func Delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("idb: delete %s: %w", name, err)
	}
	c := begin()
	jsDelete(c.id, textOf(name), int32(len(name)))
	if err := c.awaitOrCancel(ctx); err != nil {
		return fmt.Errorf("idb: delete %s: %w", name, err)
	}
	return nil
}

// Exists says whether there is a database called name, without making it.
func Exists(ctx context.Context, name string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("idb: look for %s: %w", name, err)
	}
	c := begin()
	jsExists(c.id, textOf(name), int32(len(name)))
	if err := c.awaitOrCancel(ctx); err != nil {
		return false, fmt.Errorf("idb: look for %s: %w", name, err)
	}
	return c.status != missing, nil
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key []byte) ([]byte, bool, error) {
	s.life.RLock()
	defer s.life.RUnlock()
	err := s.usable(ctx)
	if err == nil {
		var c *call
		if c, err = s.repeat(ctx, func() *call { return s.get(key) }); err == nil {
			return c.value, c.status != missing, nil
		}
	}
	return nil, false, fmt.Errorf("idb: get %q from %s: %w", key, s.name, err)
}

// Scan implements store.Store.
func (s *Store) Scan(ctx context.Context, r store.Range) ([]store.Row, error) {
	s.life.RLock()
	defer s.life.RUnlock()
	err := s.usable(ctx)
	if err == nil {
		if empty(r.From, r.To) {
			return nil, nil
		}
		packed := packRange(r)
		var c *call
		if c, err = s.repeat(ctx, func() *call { return s.scan(packed) }); err == nil {
			return c.found, nil
		}
	}
	return nil, fmt.Errorf("idb: scan %v of %s: %w", r, s.name, err)
}

// Commit implements store.Store. Commits that are begun one after the other, without waiting, are applied in that order.
func (s *Store) Commit(ctx context.Context, tx *store.Tx) error {
	if err := tx.Check(); err != nil {
		return err
	}
	s.life.RLock()
	defer s.life.RUnlock()
	if err := s.usable(ctx); err != nil {
		return fmt.Errorf("idb: commit to %s: %w", s.name, err)
	}
	w := witnessOf(tx)
	s.line.begins(w)
	_, err := s.repeat(context.Background(), func() *call { return s.commit(tx) }) // it has begun, so it is carried to its end
	s.line.ends(w, err == nil)
	if err != nil {
		return fmt.Errorf("idb: commit to %s: %w", s.name, err)
	}
	return nil
}

func (s *Store) get(key []byte) *call {
	c := begin()
	jsGet(s.handle, c.id, unsafe.Pointer(unsafe.SliceData(key)), int32(len(key)))
	return c
}

func (s *Store) scan(packed []byte) *call {
	c := begin()
	c.rows = true
	jsScan(s.handle, c.id, unsafe.Pointer(unsafe.SliceData(packed)), int32(len(packed)))
	return c
}

func (s *Store) commit(tx *store.Tx) *call {
	c := begin()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pack = packOps(s.pack[:0], tx.Ops)
	jsCommit(s.handle, c.id, unsafe.Pointer(unsafe.SliceData(s.pack)), int32(len(s.pack)), int32(tx.Durability))
	if cap(s.pack) > maxPack {
		s.pack = nil
	}
	return c
}

// usable tells why a call must be refused. The caller holds life.
func (s *Store) usable(ctx context.Context) error {
	if s.closed {
		return store.ErrClosed
	}
	if s.dead.Load() {
		return store.ErrLost
	}
	return ctx.Err()
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	forgetLost(s.handle)
	jsClose(s.handle)
	return nil
}
