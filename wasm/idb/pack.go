//go:build js

package idb

import (
	"bytes"
	"encoding/binary"
	"math"

	"vsync/core/fmt"
	"vsync/core/store"
)

// What crosses is packed, all numbers as 32 bits, lowest byte first:
//
//	commit    { kind  key's length  length  key  value or end of the range } …
//	scan      reverse  most rows (0: all)  most bytes (0: all)  length of From  length of To  From  To
//	rows      { key's length  value's length  key  value } …
var order = binary.LittleEndian

// empty says that no key can lie between from and to, which IndexedDB calls an error.
func empty(from, to []byte) bool { return len(to) > 0 && bytes.Compare(from, to) >= 0 }

func packOps(b []byte, ops []store.Op) []byte {
	for i := range ops {
		op := &ops[i]
		second := op.Value
		switch op.Kind {
		case store.OpDelete:
			second = nil
		case store.OpDeleteRange:
			if second = op.To; empty(op.Key, op.To) {
				continue
			}
		}
		b = order.AppendUint32(b, uint32(op.Kind))
		b = order.AppendUint32(b, uint32(len(op.Key)))
		b = order.AppendUint32(b, uint32(len(second)))
		b = append(append(b, op.Key...), second...)
	}
	return b
}

func packRange(r store.Range) []byte {
	bound := func(n int) uint32 { return uint32(min(max(n, 0), math.MaxInt32)) }
	b := make([]byte, 0, 20+len(r.From)+len(r.To))
	reverse := uint32(0)
	if r.Reverse {
		reverse = 1
	}
	for _, n := range []uint32{reverse, bound(r.Limit), bound(r.MaxBytes), uint32(len(r.From)), uint32(len(r.To))} {
		b = order.AppendUint32(b, n)
	}
	return append(append(b, r.From...), r.To...)
}

// unpackRows returns the rows in b, each in memory of its own: a caller that keeps one must not keep all.
func unpackRows(b []byte) ([]store.Row, error) {
	var rows []store.Row
	for len(b) > 0 {
		if len(b) < 8 {
			return nil, fmt.Errorf("idb: %d bytes behind the last row", len(b))
		}
		key, value := int(order.Uint32(b)), int(order.Uint32(b[4:]))
		if b = b[8:]; uint64(key)+uint64(value) > uint64(len(b)) {
			return nil, fmt.Errorf("idb: a row of %d and %d bytes in %d", key, value, len(b))
		}
		row := append(make([]byte, 0, key+value), b[:key+value]...)
		rows = append(rows, store.Row{Key: row[:key:key], Value: row[key:]})
		b = b[key+value:]
	}
	return rows, nil
}
