// Package sqlite is the store on a disk: one SQLite file, without cgo.
//
//	path          the rows, in the tables of edge/sqlrows
//	path-wal      what was committed since the last checkpoint into path
//	path-shm      SQLite's index of it, worthless when nobody has it open
//	path.lock     held by the process that owns them; the file itself stays
//
//	Commit ─▶ one writing connection ─▶ WAL ─▶ (strict: fdatasync) ─▶ nil
//	Get, Scan ─▶ pool of reading connections: each call one snapshot
//
// Readers and the writer do not wait for each other. What was returned as
// committed survives kill -9 under either durability. Under Strict it survives
// power loss: the writer runs with synchronous=FULL, and the sync takes along
// every relaxed commit before it. Under Relaxed it runs with
// synchronous=NORMAL, which syncs at checkpoints only, so that power loss may
// undo the latest commits, each whole and never one before another. Both modes
// live in one file; one connection changes between them, because a second one
// would have to read its page cache again after each change.
//
// A hub confirms to others what it stored, so its commits are Strict.
//
// When the disk is full commits fail with store.ErrQuota, whole, and reads go
// on. Deleting rows makes room inside the file, but needs some room in the WAL
// itself: free space on the disk first.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	driver "modernc.org/sqlite"

	"vsync/core/store"
	"vsync/edge/host/lock"
	"vsync/edge/sqlrows"
)

// Options tune a store. The zero value is right for a hub.
type Options struct {
	// Readers bounds the connections that read at the same time; 0 means 4.
	// Idle ones are closed after a minute.
	Readers int
	// MaxBytes bounds the file (not its WAL): commits that would need more
	// fail with store.ErrQuota. 0 leaves it to the disk.
	MaxBytes int64
}

// Bounds of a store's resources.
const (
	// pageSize in bytes. The WAL takes whole pages: with 16 KB a small commit
	// costs a third more (strict) to two thirds more (relaxed), while a full
	// row is read in two thirds of the time. Hubs commit more than they read.
	pageSize = 4096
	// cacheBytes is the page cache of each connection: it bounds the memory
	// of a process with hundreds of open stores.
	cacheBytes = 2 << 20
	// walPages is how many pages the WAL may have before a commit copies them
	// into the file, and walBytes to what it is cut down after a large one.
	walPages, walBytes = 1000, 16 << 20
	// busyTime is how long a statement waits for a lock of another
	// connection. Readers and the writer take none that collide, so it is
	// reached only if somebody opens the file without owning it.
	busyTime = 5 * time.Second
	// idleTime is how long a reading connection stays open unused.
	idleTime = time.Minute
	// defaultReaders is Options.Readers where it is 0.
	defaultReaders = 4
)

func (o *Options) validate() error {
	if o.Readers < 0 || o.MaxBytes < 0 {
		return fmt.Errorf("sqlite: options %+v: negative numbers have no meaning", *o)
	}
	if o.Readers == 0 {
		o.Readers = defaultReaders
	}
	return nil
}

// Store is a store.Store on one SQLite file.
type Store struct {
	path string
	lock *lock.Lock

	life   sync.RWMutex // held for reading by every call, for writing by Close
	closed bool
	dead   atomic.Bool // the outcome of a commit is unknown: store.ErrLost from now on

	readers *reader
	write   sync.Mutex // one commit at a time; guards writer
	writer  *writer
}

var _ store.Store = (*Store)(nil)

// Open opens the file at path, or makes it; its directory must be there. This
// process owns it until Close.
//
// It fails with store.ErrLocked if another process (or this one) has it open,
// store.ErrReadOnly if the directory or the file cannot be written,
// store.ErrCorrupt if the file is no such store, sqlrows.ErrVersion if it was
// written by a later program, and fs.ErrNotExist if the directory is missing.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", path, err)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open: %w", err)
	}
	if dir := filepath.Dir(path); errors.Is(stat(dir), fs.ErrNotExist) {
		return nil, fmt.Errorf("sqlite: open %s: %w: the directory %s: make it first", path, fs.ErrNotExist, dir)
	}
	l, err := lock.Acquire(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", path, err)
	}
	s := &Store{path: path, lock: l}
	if err := s.connect(o); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return s, nil
}

func stat(path string) error {
	_, err := os.Stat(path)
	return err
}

// connect opens the connections: the writer first, which makes the tables.
func (s *Store) connect(o Options) error {
	if f, err := os.OpenFile(s.path, os.O_RDWR, 0); err == nil {
		f.Close()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("sqlite: open %s: %w", s.path, fileError(err))
	}
	var err error
	if s.writer, err = openWriter(dsn(s.path), o); err != nil {
		if e := asDriver(err); e != nil && primary(e) == sqliteError {
			// The SQL is ours and correct, so the tables are not.
			return fmt.Errorf("sqlite: open %s: %w: it holds other tables: %w", s.path, store.ErrCorrupt, err)
		}
		return s.wrap("open", err)
	}
	if s.readers, err = openReader(dsn(s.path)+"&_pragma=query_only(1)", o); err != nil {
		return s.wrap("open", err)
	}
	return nil
}

// dsn names the file as the driver wants it. A URL, so that any character may
// stand in a path.
func dsn(path string) string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path)}
	q := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTime.Milliseconds()),
		fmt.Sprintf("cache_size(%d)", -cacheBytes/1024),
	}}
	return u.String() + "?" + q.Encode()
}

// open makes a pool of at most n connections.
func open(dsn string, n int) (*sql.DB, error) {
	c, err := driver.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// Path returns the absolute path of the file.
func (s *Store) Path() string { return s.path }

// usable tells why a call must be refused. The caller holds life.
func (s *Store) usable(ctx context.Context) error {
	switch {
	case s.closed:
		return store.ErrClosed
	case s.dead.Load():
		return store.ErrLost
	}
	return ctx.Err()
}

// Close implements store.Store. The last checkpoint is made here, so that the
// file alone holds everything afterwards.
func (s *Store) Close() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.release()
}

// release gives up whatever was opened. Readers go first: the last connection
// makes the checkpoint, and theirs may not write.
func (s *Store) release() error {
	var errs []error
	if s.readers != nil {
		errs = append(errs, s.readers.close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	errs = append(errs, s.lock.Release())
	if err := errors.Join(errs...); err != nil {
		return s.wrap("close", err)
	}
	return nil
}

// migrate makes the tables where there are none and checks their version.
func migrate(ctx context.Context, c *sql.Conn) error {
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, statement := range sqlrows.Schema {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	var version int64
	if err := tx.QueryRowContext(ctx, sqlrows.ReadVersion).Scan(&version); err != nil {
		return err
	}
	if err := sqlrows.CheckVersion(version); err != nil {
		return err
	}
	// Tables of these names that are somebody else's are left as they were.
	probe, err := tx.PrepareContext(ctx, sqlrows.Put)
	if err != nil {
		return err
	}
	if err := probe.Close(); err != nil {
		return err
	}
	return tx.Commit()
}
