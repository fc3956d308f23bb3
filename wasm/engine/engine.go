// Package engine serves a database to the pages of a browser: it has no browser in it, and no clock, store or socket but those it
// is given, so it runs natively too.
//
//	page ─▶ packet ─▶ Port ─┬─ hello ─▶ Engine ─▶ database = replica + watcher + those who have it open
//	                        ├─ write, read ─────▶ replica ─▶ OK
//	                        ├─ scan, live, watch ▶ replica ─▶ ITEMS, as the page asks for MORE
//	                        └─ cancel, close
//	page ◀─ frames ◀─ send
//
// The first HELLO opens the database, the last CLOSE closes it. Pages that vanish are given a moment to come back, as a reload is
// exactly that; the checkpoint is written at once.
//
// By file: life (open, close, lose), pulse, rules, port (frames in), requests, streams, conflicts, past, rows, status.
package engine

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"vsync/core/store"
	"vsync/core/watcher"
	"vsync/core/wire"
)

// Bounds of this package.
const (
	stay         = 3 * time.Second       // from the last page's vanishing to the closing of the database
	statusEvery  = 50 * time.Millisecond // at most one STATUS in this time
	quiet        = time.Second           // without a commit, until a checkpoint is written
	quietBytes   = 32 << 10              // of log that are worth a checkpoint
	maxHistory   = 100_000               // versions of an object that one request may ask for
	maxTokenTime = time.Minute           // for a page to give a token
	beat         = 5 * time.Second       // between two looks at a store that works
	slowBeats    = 2                     // looks since a call has ended, until it is said that pages wait for the storage
	deadBeats    = 24                    // the same, until the program is ended: browsers end what it has under way with it
)

// Storage is where databases are kept.
type Storage interface {
	// Open opens the store of a database, or makes it. lost is called, once and from any goroutine, when the storage is taken
	// away, with the reason; mode is "indexeddb" or "memory".
	Open(ctx context.Context, name string, lost func(why error)) (st store.Store, mode string, err error)
	// Delete deletes the store of a database that is not open.
	Delete(ctx context.Context, name string) error
}

// Config is what an engine needs from outside. All of it is required but End.
type Config struct {
	Storage Storage
	Dial    wire.Dialer
	Clock   watcher.Clock
	Rand    io.Reader // for ids
	// End ends the program, so that pages find another one: what was confirmed is stored. nil: it cannot be ended.
	End func()
}

// Engine holds the one database that is open in it, and the ports of the pages.
type Engine struct {
	cfg  Config
	gate chan struct{} // held by who opens or closes the database

	mu sync.Mutex
	db *database // nil: none is open
}

// New returns an engine without a database.
func New(cfg Config) *Engine {
	return &Engine{cfg: cfg, gate: make(chan struct{}, 1)}
}

// Online says that the network may be back or another one, or that the device has slept: a waiting feed tries at once, and one that
// is connected finds out whether it still is. It does not block.
func (e *Engine) Online() {
	if db := e.current(); db != nil && db.watcher != nil {
		db.watcher.Nudge()
	}
}

// end ends the program.
func (e *Engine) end() {
	if e.cfg.End != nil {
		e.cfg.End()
	}
}

func (e *Engine) current() *database {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.db
}

func (e *Engine) now() uint64 { return uint64(max(e.cfg.Clock.Now().UnixMilli(), 0)) }

// source draws a seed for jitter.
func (e *Engine) source() rand.Source {
	var seed [32]byte
	if _, err := io.ReadFull(e.cfg.Rand, seed[:]); err != nil {
		binary.BigEndian.PutUint64(seed[:], e.now()) // jitter only has to differ
	}
	return rand.NewChaCha8(seed)
}
