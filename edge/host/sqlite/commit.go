package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"vsync/core/store"
	"vsync/edge/sqlrows"
)

// writer is the one writing connection, with its statements. Its calls take no
// context that can end: a commit that has begun is carried to its end.
type writer struct {
	db   *sql.DB
	conn *sql.Conn

	statements map[string]*sql.Stmt
	mode       store.Durability // of the connection
	unsynced   bool             // a relaxed commit has written since the last strict one
}

// The statements around the operations, and the two durabilities.
const (
	begin    = `BEGIN IMMEDIATE`
	end      = `COMMIT`
	rollback = `ROLLBACK`
	normal   = `PRAGMA synchronous = NORMAL`
	full     = `PRAGMA synchronous = FULL`
)

func openWriter(dsn string, o Options) (*writer, error) {
	db, err := open(dsn, 1)
	if err != nil {
		return nil, err
	}
	// A process that was killed may have left what nobody has synced.
	w := &writer{db: db, statements: map[string]*sql.Stmt{}, unsynced: true}
	if err := w.prepare(o); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *writer) prepare(o Options) (err error) {
	ctx := context.Background()
	if w.conn, err = w.db.Conn(ctx); err != nil {
		return err
	}
	for _, pragma := range []string{
		fmt.Sprintf(`PRAGMA page_size = %d`, pageSize), // counts for a new file only
		`PRAGMA journal_mode = WAL`,
		`PRAGMA fullfsync = ON`, // on macOS a plain sync leaves the data in the drive's cache
		`PRAGMA checkpoint_fullfsync = ON`,
		full, // the tables too are made to last
		fmt.Sprintf(`PRAGMA wal_autocheckpoint = %d`, walPages),
		fmt.Sprintf(`PRAGMA journal_size_limit = %d`, walBytes),
	} {
		if _, err := w.conn.ExecContext(ctx, pragma); err != nil {
			return err
		}
	}
	w.mode = store.Strict
	if err := migrate(ctx, w.conn); err != nil {
		return err
	}
	if err := w.bound(ctx, o.MaxBytes); err != nil {
		return err
	}
	for _, text := range []string{begin, end, rollback, sqlrows.Put, sqlrows.Delete, sqlrows.DeleteRange, sqlrows.DeleteFrom, sqlrows.Touch} {
		if w.statements[text], err = w.conn.PrepareContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// bound sets the size up to which the file may grow, in its own pages.
func (w *writer) bound(ctx context.Context, bytes int64) error {
	if bytes == 0 {
		return nil
	}
	var page int64
	if err := w.conn.QueryRowContext(ctx, `PRAGMA page_size`).Scan(&page); err != nil {
		return err
	}
	_, err := w.conn.ExecContext(ctx, fmt.Sprintf(`PRAGMA max_page_count = %d`, max(1, bytes/page)))
	return err
}

func (w *writer) close() error {
	var errs []error
	for _, s := range w.statements {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	if w.conn != nil {
		errs = append(errs, w.conn.Close())
	}
	return errors.Join(append(errs, w.db.Close())...)
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, tx *store.Tx) error {
	if err := tx.Check(); err != nil {
		return err
	}
	s.life.RLock()
	defer s.life.RUnlock()
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.usable(ctx); err != nil {
		return fmt.Errorf("sqlite: commit to %s: %w", s.path, err)
	}
	err := s.writer.commit(tx)
	var lost *lostError
	if errors.As(err, &lost) {
		s.dead.Store(true)
		return fmt.Errorf("sqlite: commit to %s: %w: open it again: %w", s.path, store.ErrLost, lost.err)
	}
	if err != nil {
		return s.wrap("commit", err)
	}
	return nil
}

// lostError is a failure after which nobody knows whether the commit is there.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }

func (w *writer) commit(tx *store.Tx) error {
	if err := w.setMode(tx.Durability); err != nil {
		return err
	}
	if err := w.exec(begin); err != nil {
		return err
	}
	err := w.apply(tx)
	if err != nil {
		return w.undo(err)
	}
	if err := w.exec(end); err != nil {
		if e := asDriver(err); e == nil || primary(e) == sqliteIOErr {
			// The last page of the WAL may or may not have reached the disk,
			// and after a failed sync no later one can be trusted.
			return &lostError{errors.Join(err, w.undo(nil))}
		}
		return w.undo(err)
	}
	w.unsynced = tx.Durability == store.Relaxed
	return nil
}

// apply carries out the operations.
func (w *writer) apply(tx *store.Tx) error {
	for i := range tx.Ops {
		statement, args := sqlrows.Op(&tx.Ops[i])
		if err := w.exec(statement, args...); err != nil {
			return err
		}
	}
	if tx.Durability == store.Strict && w.unsynced {
		return w.exec(sqlrows.Touch)
	}
	return nil
}

// undo ends a transaction that failed with err and returns err; SQLite may have
// ended it by itself.
func (w *writer) undo(err error) error {
	failed := w.exec(rollback)
	if e := asDriver(failed); failed == nil || e != nil && primary(e) == sqliteError {
		return err
	}
	return &lostError{errors.Join(err, failed)}
}

// setMode sets how far the next commit goes. It writes nothing: commits that
// alternate cost the mean of the two modes.
func (w *writer) setMode(d store.Durability) error {
	if w.mode == d {
		return nil
	}
	pragma := normal
	if d == store.Strict {
		pragma = full
	}
	if _, err := w.conn.ExecContext(context.Background(), pragma); err != nil {
		return err
	}
	w.mode = d
	return nil
}

// exec runs a prepared statement.
func (w *writer) exec(statement string, args ...any) error {
	_, err := w.statements[statement].Exec(args...)
	return err
}
