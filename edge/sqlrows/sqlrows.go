// Package sqlrows is the SQL of a store.Store on SQLite: the schema and every
// statement, as text, for all hosts that have a SQLite of their own. A file
// written on one host can be read on another.
//
//	rows     k  blob, primary key   the row's key, ordered as bytes
//	         v  blob                its value
//	format   id integer, always 1   one row:
//	         version integer        of this schema; Version
//	         touched integer        counts Touch
//
// rows has no rowid: its b-tree is ordered by k itself, so that a write touches
// one tree and a range is read in one pass. The version is a row, because a
// Durable Object allows no PRAGMA.
//
// It knows no driver: arguments are []byte and int.
package sqlrows

import (
	"errors"
	"fmt"

	"vsync/core/store"
)

// Version is the schema that this package reads and writes.
const Version = 1

// ErrVersion: the rows were written under a schema that this program does not
// know, most likely by a later one.
var ErrVersion = errors.New("sqlrows: unknown schema version")

// Schema brings an empty database to Version and leaves one that is there as it
// is. Run all of it in one transaction at each opening, then CheckVersion.
var Schema = []string{
	`CREATE TABLE IF NOT EXISTS rows (k BLOB PRIMARY KEY NOT NULL, v BLOB NOT NULL) STRICT, WITHOUT ROWID`,
	`CREATE TABLE IF NOT EXISTS format (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, touched INTEGER NOT NULL DEFAULT 0) STRICT`,
	`INSERT INTO format (id, version) VALUES (1, 1) ON CONFLICT DO NOTHING`,
}

// ReadVersion returns one row with one integer, for CheckVersion.
const ReadVersion = `SELECT version FROM format WHERE id = 1`

// CheckVersion returns ErrVersion if this program must not touch the rows.
func CheckVersion(version int64) error {
	if version != Version {
		return fmt.Errorf("%w: found %d, expected %d: use the program that wrote it", ErrVersion, version, Version)
	}
	return nil
}

// The writing statements, with their arguments in order.
const (
	// Put: key, value (never NULL).
	Put = `INSERT INTO rows (k, v) VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v`
	// Delete: key.
	Delete = `DELETE FROM rows WHERE k = ?`
	// DeleteRange: first key, key after the last.
	DeleteRange = `DELETE FROM rows WHERE k >= ? AND k < ?`
	// DeleteFrom: first key.
	DeleteFrom = `DELETE FROM rows WHERE k >= ?`
	// Touch makes the transaction write. SQLite syncs only what it has written,
	// and writes nothing where a value stays the same; a strict commit must
	// sync the relaxed ones before it even then.
	Touch = `UPDATE format SET touched = touched + 1 WHERE id = 1`
)

// Get: key. It returns the value, or no row.
const Get = `SELECT v FROM rows WHERE k = ?`

// Scans are the four scanning statements; Scan tells which. They return key and
// value.
var Scans = [4]string{
	`SELECT k, v FROM rows WHERE k >= ? ORDER BY k LIMIT ?`,
	`SELECT k, v FROM rows WHERE k >= ? AND k < ? ORDER BY k LIMIT ?`,
	`SELECT k, v FROM rows WHERE k >= ? ORDER BY k DESC LIMIT ?`,
	`SELECT k, v FROM rows WHERE k >= ? AND k < ? ORDER BY k DESC LIMIT ?`,
}

// Scan returns the index in Scans of the statement that reads r, and its
// arguments. The caller stops reading where r.Fits says so.
func Scan(r store.Range) (statement int, args []any) {
	args = append(args, blob(r.From))
	if len(r.To) > 0 {
		statement++
		args = append(args, r.To)
	}
	if r.Reverse {
		statement += 2
	}
	limit := r.Limit
	if limit <= 0 {
		limit = -1 // SQLite's word for no limit
	}
	return statement, append(args, limit)
}

// Op returns the statement of an operation that store.Tx.Check has passed, and
// its arguments.
func Op(op *store.Op) (statement string, args []any) {
	switch op.Kind {
	case store.OpPut:
		return Put, []any{blob(op.Key), blob(op.Value)}
	case store.OpDelete:
		return Delete, []any{blob(op.Key)}
	}
	if len(op.To) == 0 {
		return DeleteFrom, []any{blob(op.Key)}
	}
	return DeleteRange, []any{blob(op.Key), op.To}
}

// blob keeps a nil slice from being bound as NULL, which equals nothing.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
