package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"vsync/core/store"
)

var ctx = context.Background()

// story is a small program over a store: three commits of two, three and one
// operations, and reads between them. It ends at the first error.
func story(s store.Store) error {
	var tx store.Tx
	tx.Put([]byte("a"), []byte("one"))
	tx.Put([]byte("b"), []byte("one"))
	if err := s.Commit(ctx, &tx); err != nil {
		return err
	}
	if _, _, err := s.Get(ctx, []byte("a")); err != nil {
		return err
	}
	tx.Reset()
	tx.Put([]byte("a"), []byte("two"))
	tx.Delete([]byte("b"))
	tx.Put([]byte("c"), []byte("two"))
	if err := s.Commit(ctx, &tx); err != nil {
		return err
	}
	if _, err := s.Scan(ctx, store.Range{}); err != nil {
		return err
	}
	tx.Reset()
	tx.DeleteRange(nil, nil)
	return s.Commit(ctx, &tx)
}

// dump shows a store as "key=value …".
func dump(t *testing.T, s store.Store) string {
	t.Helper()
	rows, err := s.Scan(ctx, store.Range{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, row := range rows {
		out = append(out, fmt.Sprintf("%s=%s", row.Key, row.Value))
	}
	return strings.Join(out, " ")
}

func TestFaultyCounts(t *testing.T) {
	f := store.NewFaulty(store.NewMemory())
	if err := story(f); err != nil {
		t.Fatal(err)
	}
	if got, want := f.Counts(), (store.Counts{store.Gets: 1, store.Scans: 1, store.Commits: 3, store.Calls: 5, store.Ops: 6}); got != want {
		t.Fatalf("counted %v, want %v", got, want)
	}
}

// Every fault at every place of the story, and what is there afterwards.
func TestFaultySweep(t *testing.T) {
	// The state after each operation, and those between commits.
	afterOp := []string{"", "a=one", "a=one b=one", "a=two b=one", "a=two", "a=two c=two", ""}
	afterCommit := []string{"", "a=one b=one", "a=two c=two", ""}
	for n := 1; n <= 3; n++ {
		before, after := afterCommit[n-1], afterCommit[n]
		sweep(t, store.Fault{On: store.Commits, N: n, Do: store.Fail}, store.ErrIO, false, before)
		sweep(t, store.Fault{On: store.Commits, N: n, Do: store.Fail, Err: store.ErrReadOnly}, store.ErrReadOnly, false, before)
		sweep(t, store.Fault{On: store.Commits, N: n, Do: store.Full}, store.ErrQuota, false, before)
		sweep(t, store.Fault{On: store.Commits, N: n, Do: store.CrashBefore}, store.ErrLost, true, before)
		sweep(t, store.Fault{On: store.Commits, N: n, Do: store.CrashAfter}, store.ErrLost, true, after)
		sweep(t, store.Fault{On: store.Commits, N: n, Do: store.Tear}, store.ErrLost, true, before)
		sweep(t, store.Fault{On: store.Commits, N: n, Do: store.Tear, Row: 99}, store.ErrLost, true, after)
	}
	for n := 1; n <= 6; n++ {
		sweep(t, store.Fault{On: store.Ops, N: n, Do: store.Tear}, store.ErrLost, true, afterOp[n])
	}
	for n, state := range []string{"", "a=one b=one", "a=one b=one", "a=two c=two", "a=two c=two"} {
		sweep(t, store.Fault{On: store.Calls, N: n + 1, Do: store.CrashBefore}, store.ErrLost, true, state)
	}
	sweep(t, store.Fault{On: store.Gets, N: 1, Do: store.Fail}, store.ErrIO, false, "a=one b=one")
	sweep(t, store.Fault{On: store.Scans, N: 1, Do: store.CrashAfter}, store.ErrLost, true, "a=two c=two")
	sweep(t, store.Fault{On: store.Gets, N: 2, Do: store.Fail}, nil, false, "")
}

func sweep(t *testing.T, fault store.Fault, want error, dead bool, left string) {
	t.Helper()
	m := store.NewMemory()
	f := store.NewFaulty(m, fault)
	err := story(f)
	if !errors.Is(err, want) {
		t.Fatalf("%v: %v, want %v", fault, err, want)
	}
	if (f.Fired() == 1) != (want != nil) {
		t.Fatalf("%v fired %d times", fault, f.Fired())
	}
	if got := dump(t, m.Clone()); got != left {
		t.Fatalf("%v left %q, want %q", fault, got, left)
	}
	_, _, err = f.Get(ctx, []byte("a"))
	if dead != errors.Is(err, store.ErrLost) || dead != f.Dead() {
		t.Fatalf("%v: a get afterwards: %v, dead: %v", fault, err, f.Dead())
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err = f.Get(ctx, []byte("a")); !errors.Is(err, store.ErrClosed) {
		t.Fatalf("%v: a get after close: %v", fault, err)
	}
}

func TestFaultyFullUntilReleased(t *testing.T) {
	f := store.NewFaulty(store.NewMemory(), store.Fault{On: store.Commits, N: 2, Do: store.Full})
	var tx store.Tx
	tx.Put([]byte("a"), []byte("1"))
	commit := func(want error) {
		t.Helper()
		if err := f.Commit(ctx, &tx); !errors.Is(err, want) {
			t.Fatalf("commit: %v, want %v", err, want)
		}
	}
	commit(nil)
	tx.Ops[0].Value = []byte("2")
	commit(store.ErrQuota)
	commit(store.ErrQuota)
	if got := dump(t, f); got != "a=1" {
		t.Fatalf("reads of a full store: %q", got)
	}
	f.Release()
	commit(nil)
	if got := dump(t, f); got != "a=2" {
		t.Fatalf("after the release: %q", got)
	}
}

func TestFaultyDamage(t *testing.T) {
	for _, c := range []struct {
		fault               store.Fault
		get, scan, atTheEnd string
	}{
		{store.Fault{On: store.Gets, N: 1, Do: store.FlipBit}, "`", "a=abc b=xyz", "a=abc b=xyz"},
		{store.Fault{On: store.Gets, N: 1, Do: store.Cut}, "ab", "a=abc b=xyz", "a=abc b=xyz"},
		{store.Fault{On: store.Scans, N: 1, Do: store.FlipBit, Row: 1, Bit: 9}, "abc", "a=abc b=x{z", "a=abc b=xyz"},
		{store.Fault{On: store.Scans, N: 1, Do: store.Cut, Row: -1, Bytes: 99}, "abc", "a=abc b=", "a=abc b=xyz"},
		{store.Fault{On: store.Commits, N: 1, Do: store.FlipBit, Row: 1, Bit: -1}, "abc", "a=abc b=xy\xfa", "a=abc b=xy\xfa"},
		{store.Fault{On: store.Ops, N: 2, Do: store.Cut, Bytes: 2}, "a", "a=a b=xyz", "a=a b=xyz"},
	} {
		m := store.NewMemory()
		f := store.NewFaulty(m, c.fault)
		var tx store.Tx
		tx.Delete([]byte("z"))
		tx.Put([]byte("a"), []byte("abc"))
		tx.Put([]byte("b"), []byte("xyz"))
		if err := f.Commit(ctx, &tx); err != nil {
			t.Fatal(err)
		}
		v, _, err := f.Get(ctx, []byte("a"))
		if err != nil || !strings.HasPrefix(string(v), c.get) {
			t.Errorf("%v: get: %q, %v; want %q", c.fault, v, err, c.get)
		}
		if got := dump(t, f); got != c.scan {
			t.Errorf("%v: scan: %q, want %q", c.fault, got, c.scan)
		}
		if got := dump(t, m); got != c.atTheEnd {
			t.Errorf("%v: stored: %q, want %q", c.fault, got, c.atTheEnd)
		}
		if string(tx.Ops[1].Value) != "abc" || string(tx.Ops[2].Value) != "xyz" {
			t.Errorf("%v changed the caller's bytes", c.fault)
		}
	}
}

func TestDamageAtRest(t *testing.T) {
	m := store.NewMemory()
	if ok, err := store.Damage(ctx, m, []byte("a"), store.Fault{Do: store.Cut}); ok || err != nil {
		t.Fatalf("damage of a row that is not there: %v, %v", ok, err)
	}
	var tx store.Tx
	tx.Put([]byte("a"), []byte("abc"))
	if err := m.Commit(ctx, &tx); err != nil {
		t.Fatal(err)
	}
	if ok, err := store.Damage(ctx, m, []byte("a"), store.Fault{Do: store.FlipBit, Bit: 8}); !ok || err != nil {
		t.Fatalf("damage: %v, %v", ok, err)
	}
	if got := dump(t, m); got != "a=acc" {
		t.Fatalf("after the damage: %q", got)
	}
}
