package pages

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"vsync/core/store"
)

// recalling is a mender that has noted what the tables held at each commit.
type recalling struct{ at map[uint64]map[string][]byte }

func (m *recalling) Refold(_ context.Context, at Stamp, want func(row string) bool) (map[string][]byte, error) {
	out := map[string][]byte{}
	for row, val := range m.at[at.Commit] {
		if want(row) {
			out[row] = val
		}
	}
	return out, nil
}

func (m *recalling) SetAside(context.Context, *store.Tx, []byte, string) error { return nil }
func (m *recalling) Met([]byte, string)                                        {}

// TestMendedBesideAStep: a step that writes a page is on its way into the store, when a reader finds a large value of that page damaged.
func TestMendedBesideAStep(t *testing.T) {
	ctx := context.Background()
	st := store.NewMemory()
	tb := New(st, 1)
	m := &recalling{map[uint64]map[string][]byte{1: {}, 2: {}}}
	tb.MendWith(m, "")
	set := func(commit uint64, k string, val []byte) {
		tb.Set('o', k, val)
		for c := commit; c <= 2; c++ {
			m.at[c][RowKey('o', k)] = val
		}
	}
	for i := range 20 {
		set(1, fmt.Sprintf("k%02d", i), []byte("old"))
	}
	large := bytes.Repeat([]byte("large "), 10_000)
	set(1, "k05", large)
	flush(t, st, tb, Stamp{Commit: 1}, 1<<20)
	set(2, "k07", []byte("new"))
	done := commitStep(t, st, tb.Begin(), Stamp{Commit: 2}, 1<<20)
	if _, err := store.Damage(ctx, st, rowsOf(t, st, rowOverflow)[0].Key, store.Fault{Do: store.FlipBit, Bit: 77}); err != nil {
		t.Fatal(err)
	}
	get := func(k string, want []byte) {
		t.Helper()
		if got, ok, err := tb.Get(ctx, 'o', k); !ok || err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is %.20q, %v, %v, expected %.20q", k, got, ok, err, want)
		}
	}
	get("k05", large)
	done()
	get("k07", []byte("new"))
	get("k05", large)
	flush(t, st, tb, Stamp{Commit: 2}, 1<<20)
	get("k07", []byte("new"))
	get("k05", large)
}
