package storetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"vsync/core/store"
)

// Random runs steps random calls on the place and compares each result with a
// sorted slice of rows. The same seed makes the same calls; a failure names
// the seed and the step.
func Random(t *testing.T, place Opener, seed uint64, steps int) {
	r := &random{rng: rand.New(rand.NewPCG(seed, 0x5eed)), s: mustOpen(t, place)}
	for step := range steps {
		problem := ""
		switch n := r.rng.IntN(100); {
		case n < 45:
			problem = r.commit()
		case n < 65:
			problem = r.get()
		case n < 98:
			problem = r.scan()
		default:
			mustClose(t, r.s)
			r.s = mustOpen(t, place)
			problem = r.whole()
		}
		if problem != "" {
			t.Fatalf("seed %d, step %d: %s", seed, step, problem)
		}
	}
	if problem := r.whole(); problem != "" {
		t.Fatalf("seed %d, at the end: %s", seed, problem)
	}
}

// random is a store under test and the model of what it must hold.
type random struct {
	rng  *rand.Rand
	s    store.Store
	rows []store.Row // sorted by key
}

// key draws from a small space, so that calls meet; its bytes are those at
// which orders differ.
func (r *random) key() []byte {
	key := make([]byte, r.rng.IntN(4))
	for i := range key {
		key[i] = "\x00\x01a\x7f\x80\xff"[r.rng.IntN(6)]
	}
	if r.rng.IntN(100) == 0 {
		key = append(key, bytes.Repeat([]byte{'k'}, store.MaxKey-len(key))...)
	}
	return key
}

func (r *random) value() []byte {
	size := r.rng.IntN(300)
	if r.rng.IntN(40) == 0 {
		size = r.rng.IntN(store.MaxRow + 1)
	}
	return bytes.Repeat([]byte{byte(r.rng.IntN(256)), byte(r.rng.IntN(256))}, size/2)
}

func (r *random) find(key []byte) (int, bool) {
	return slices.BinarySearchFunc(r.rows, key, func(row store.Row, key []byte) int {
		return bytes.Compare(row.Key, key)
	})
}

func (r *random) commit() string {
	tx := store.Tx{Durability: store.Durability(r.rng.IntN(8) / 7)} // strict ones are slow
	bad := r.rng.IntN(25) == 0
	for range r.rng.IntN(9) {
		switch r.rng.IntN(10) {
		case 0, 1:
			tx.Delete(r.key())
		case 2:
			from := r.key()
			tx.DeleteRange(from, append(from[:len(from):len(from)], r.key()...))
		default:
			tx.Put(r.key(), r.value())
		}
	}
	if bad {
		tx.Put(r.key(), make([]byte, store.MaxRow+1))
	}
	err := r.s.Commit(ctx, &tx)
	if bad != (err != nil) {
		return fmt.Sprintf("commit with a row too large %v: %v", bad, err)
	}
	if err != nil {
		return ""
	}
	for i := range tx.Ops {
		r.apply(&tx.Ops[i])
	}
	return ""
}

func (r *random) apply(op *store.Op) {
	i, found := r.find(op.Key)
	switch op.Kind {
	case store.OpPut:
		row := store.Row{Key: op.Key, Value: op.Value}
		if found {
			r.rows[i] = row
		} else {
			r.rows = slices.Insert(r.rows, i, row)
		}
	case store.OpDelete:
		if found {
			r.rows = slices.Delete(r.rows, i, i+1)
		}
	case store.OpDeleteRange:
		r.rows = slices.DeleteFunc(r.rows, func(row store.Row) bool {
			return store.Range{From: op.Key, To: op.To}.Contains(row.Key)
		})
	}
}

func (r *random) get() string {
	key := r.key()
	v, ok, err := r.s.Get(ctx, key)
	i, found := r.find(key)
	if err != nil || ok != found || ok && !bytes.Equal(v, r.rows[i].Value) {
		return fmt.Sprintf("get %s: %s, %v, %v; there is a row: %v", brief(key), brief(v), ok, err, found)
	}
	return ""
}

func (r *random) scan() string {
	rg := store.Range{Reverse: r.rng.IntN(2) == 0}
	if r.rng.IntN(5) > 0 {
		rg.From = r.key()
	}
	if r.rng.IntN(5) > 0 {
		rg.To = r.key()
	}
	if r.rng.IntN(2) == 0 {
		rg.Limit = 1 + r.rng.IntN(20)
	}
	if r.rng.IntN(2) == 0 {
		rg.MaxBytes = 1 + r.rng.IntN(3000)
	}
	return r.check(rg)
}

func (r *random) whole() string { return r.check(store.Range{}) }

// check compares a scan with what its documentation says, taken literally.
func (r *random) check(rg store.Range) string {
	var expected []store.Row
	size := 0
	for i := range r.rows {
		row := r.rows[i]
		if rg.Reverse {
			row = r.rows[len(r.rows)-1-i]
		}
		if bytes.Compare(row.Key, rg.From) < 0 || len(rg.To) > 0 && bytes.Compare(row.Key, rg.To) >= 0 {
			continue
		}
		size += len(row.Key) + len(row.Value)
		if rg.Limit > 0 && len(expected) == rg.Limit || rg.MaxBytes > 0 && len(expected) > 0 && size > rg.MaxBytes {
			break
		}
		expected = append(expected, row)
	}
	rows, err := r.s.Scan(ctx, rg)
	if err != nil {
		return fmt.Sprintf("scan %v: %v", rg, err)
	}
	if diff := compare(rows, expected); diff != "" {
		return fmt.Sprintf("scan %v: %s", rg, diff)
	}
	return ""
}
