package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"vsync/core/store"
	"vsync/edge/sqlrows"
)

// reader is the pool of reading connections, with its statements.
type reader struct {
	db    *sql.DB
	get   *sql.Stmt
	scans [len(sqlrows.Scans)]*sql.Stmt
}

func openReader(dsn string, o Options) (*reader, error) {
	db, err := open(dsn, o.Readers)
	if err != nil {
		return nil, err
	}
	db.SetConnMaxIdleTime(idleTime)
	r := &reader{db: db}
	if r.get, err = db.Prepare(sqlrows.Get); err != nil {
		return nil, errors.Join(err, r.close())
	}
	for i, statement := range sqlrows.Scans {
		if r.scans[i], err = db.Prepare(statement); err != nil {
			return nil, errors.Join(err, r.close())
		}
	}
	return r, nil
}

// close closes the statements too.
func (r *reader) close() error { return r.db.Close() }

// ctxEvery is after how many rows a scan looks at its context. The driver would
// do it for each statement, with a goroutine.
const ctxEvery = 64

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key []byte) ([]byte, bool, error) {
	s.life.RLock()
	defer s.life.RUnlock()
	if err := s.usable(ctx); err != nil {
		return nil, false, fmt.Errorf("sqlite: get from %s: %w", s.path, err)
	}
	value := []byte{}
	err := s.readers.get.QueryRow(notNil(key)).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, s.wrap("get", err)
	}
	return notNil(value), true, nil
}

// Scan implements store.Store.
func (s *Store) Scan(ctx context.Context, r store.Range) ([]store.Row, error) {
	s.life.RLock()
	defer s.life.RUnlock()
	if err := s.usable(ctx); err != nil {
		return nil, fmt.Errorf("sqlite: scan %s: %w", s.path, err)
	}
	statement, args := sqlrows.Scan(r)
	cursor, err := s.readers.scans[statement].Query(args...)
	if err != nil {
		return nil, s.wrap("scan", err)
	}
	defer cursor.Close()
	rows, err := collect(ctx, cursor, r)
	if err != nil {
		return nil, s.wrap("scan", err)
	}
	return rows, nil
}

// collect reads rows until the end or until r is full. It ends the statement in
// either case, so that its snapshot does not hold up checkpoints.
func collect(ctx context.Context, cursor *sql.Rows, r store.Range) ([]store.Row, error) {
	var rows []store.Row
	size := 0
	for cursor.Next() {
		var key, value sql.RawBytes
		if err := cursor.Scan(&key, &value); err != nil {
			return nil, err
		}
		if !r.Fits(len(rows), size, len(key)+len(value)) {
			break
		}
		size += len(key) + len(value)
		rows = append(rows, store.Row{Key: bytes.Clone(notNil(key)), Value: bytes.Clone(notNil(value))})
		if len(rows)%ctxEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return rows, errors.Join(cursor.Err(), cursor.Close())
}

// notNil keeps an empty blob apart from NULL, on the way in and out.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
