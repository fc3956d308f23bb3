// Package rows is the store in a Durable Object: the SQLite that the object has of its own, in the tables of edge/sqlrows.
//
//	Commit ─▶ packed operations ─▶ rows.ts: transactionSync ─▶ SQLite      all operations or none
//	Get, Scan ◀─ packed rows ◀──── rows.ts: sql.exec        ◀─ SQLite      one statement, one moment
//
// Each call crosses once, both ways synchronously: nothing waits, and nothing comes in between. Bytes as they cross, numbers
// little-endian:
//
//	operations   n × (statement u8, arguments u8, arguments × (address u32, length u32))
//	rows         n × (length of key u32, length of value u32, key, value)
//
// What is written is not packed but pointed to: SQLite takes it from where it lies, and it stays there until the call is over.
//
// Commit returns before anything is on a disk. It may be told of all the same: whatever an object sends waits in the platform's output
// gate until all that was written before it is durable, and where that fails the object ends, and what it wanted to send with it.
// So every commit is as good as a strict one.
//
// The object has its storage alone, which the platform holds: there is no lock.
package rows

import (
	"encoding/binary"
	"fmt"

	"vsync/core/store"
	"vsync/edge/sqlrows"
)

// statements are sent to rows.ts once, and are then called by their place here.
var statements = append([]string{sqlrows.Put, sqlrows.Delete, sqlrows.DeleteRange, sqlrows.DeleteFrom, sqlrows.Get}, sqlrows.Scans[:]...)

// The places of reading statements; those of Scans follow.
const (
	placeGet  = 4
	placeScan = 5
)

func place(statement string) byte {
	for i, s := range statements {
		if s == statement {
			return byte(i)
		}
	}
	panic("rows: a statement of sqlrows is not in the table: " + statement)
}

// unpackRows separates rows. They are parts of b, which is theirs from now on.
func unpackRows(b []byte) (rows []store.Row, err error) {
	for len(b) > 0 {
		if len(b) < 8 {
			return nil, fmt.Errorf("%w: expected the lengths of a row, got %d bytes", store.ErrCorrupt, len(b))
		}
		key, value := uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[4:]))
		if b = b[8:]; key+value > uint64(len(b)) {
			return nil, fmt.Errorf("%w: expected a row of %d bytes, got %d", store.ErrCorrupt, key+value, len(b))
		}
		rows = append(rows, store.Row{Key: b[:key:key], Value: b[key : key+value : key+value]})
		b = b[key+value:]
	}
	return rows, nil
}
