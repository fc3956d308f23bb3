package core

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"
	"runtime"
	"sync"
	"testing"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/store"
)

// rowsOf is what a store holds, as text, but for the incarnation that stands in the superblock.
func rowsOf(t *testing.T, st store.Store) string {
	t.Helper()
	all := ""
	err := store.Each(t.Context(), st, store.Range{}, func(r store.Row) error {
		if string(r.Key) == string(superblockRow) || string(r.Key) == string(superblockTwo) {
			clear(r.Value[2:10])
			r.Value = r.Value[:len(r.Value)-4]
		}
		all += fmt.Sprintf("%x %x\n", r.Key, r.Value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// refused opens a store that must not be opened, and wants it left as it was.
func refused(t *testing.T, why string, st *store.Memory, c Config, want Code) {
	t.Helper()
	before := rowsOf(t, st.Clone())
	seen := st.Clone()
	r, err := Open(t.Context(), unclosed{seen}, c)
	if codeOf(err) != want {
		t.Errorf("%s: %v, want %s", why, err, want)
	}
	if err == nil {
		r.Kill()
	}
	if after := rowsOf(t, seen); after != before {
		t.Errorf("%s: the store was changed:\n%s\n%s", why, before, after)
	}
}

// unclosed is a store that can be looked at when its owner has closed it.
type unclosed struct{ store.Store }

func (unclosed) Close() error { return nil }

func edit(t *testing.T, st *store.Memory, tx store.Tx) *store.Memory {
	t.Helper()
	st = st.Clone()
	if err := st.Commit(t.Context(), &tx); err != nil {
		t.Fatal(err)
	}
	return st
}

// TestStoresOfOthers: what belongs to another database, another role or a later engine is refused, and not touched.
func TestStoresOfOthers(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", "1")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	st := a.st.Clone()
	c := a.config()
	c.Database = "other"
	refused(t, "another database", st, c, Invalid)
	c = a.config()
	c.Role = RoleHub
	refused(t, "another role", st, c, Invalid)

	sb, ok, err := st.Get(w.ctx, superblockRow)
	if err != nil || !ok {
		t.Fatal(err)
	}
	sb[0] = formatMore + 1
	binary.LittleEndian.PutUint32(sb[len(sb)-4:], crc32.Checksum(sb[:len(sb)-4], castagnoli))
	var tx store.Tx
	tx.Put(superblockRow, sb)
	tx.Put(superblockTwo, sb)
	refused(t, "a later format", edit(t, st, tx), a.config(), VersionUnknown)

	tx = store.Tx{}
	tx.Delete(superblockRow)
	tx.Delete(superblockTwo)
	refused(t, "rows without a superblock", edit(t, st, tx), a.config(), Corrupt)
}

// TestAnItemOfALaterEngine: the log has something in it that this engine does not know, and must not pass over.
func TestAnItemOfALaterEngine(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", "1")
	tx := &store.Tx{}
	a.log.Append(tx, []changelog.Item{{Kind: changelog.ItemReset, Data: []byte("pages were received")}})
	if err := a.st.Commit(w.ctx, tx); err != nil {
		t.Fatal(err)
	}
	a.Kill()
	refused(t, "an item of another engine", a.st, a.config(), VersionUnknown)
}

// TestALogThatEndsBeforeItsCheckpoint: a row of the log went back to what it was before, as a medium may do that loses a write it had
// confirmed. What is missing would be in the pages and not in the history, and numbers would be given twice.
func TestALogThatEndsBeforeItsCheckpoint(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", "1")
	old, err := a.st.Scan(w.ctx, store.Prefix([]byte("L")))
	if err != nil || len(old) != 1 {
		t.Fatalf("%d rows of the log, %v", len(old), err)
	}
	a.put("x", "2")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	var tx store.Tx
	tx.Put(old[0].Key, old[0].Value)
	refused(t, "a log that ends early", edit(t, a.st, tx), a.config(), Corrupt)
}

// TestTheFenceStandsBeforeTheFirstWrite: an engine that opened a full disk could not store that it is there. It does before it
// writes anything, so that what the engine before it still has under way is void.
func TestTheFenceStandsBeforeTheFirstWrite(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", "1")
	a.Kill()
	a.st = a.st.Clone()
	disk := store.NewFaulty(a.st)
	disk.SetFull(true)
	r, err := Open(w.ctx, disk, a.config())
	if err != nil {
		t.Fatal(err)
	}
	a.Replica = r
	disk.Release()
	a.put("x", "2")
	read, err := readSuperblock(w.ctx, a.st)
	if err != nil || read.sb.incarnation != a.inc {
		t.Errorf("incarnation %x has written, and the superblock says %x, %v", a.inc, read.sb.incarnation, err)
	}
}

// TestAScanStandsStill: whatever is written behind a scan that has begun, and however many checkpoints become due, it shows what
// was there, or says that it could not be kept.
func TestAScanStandsStill(t *testing.T) {
	for _, reverse := range []bool{false, true} {
		w := newWorld(t)
		a := w.device()
		a.Kill()
		a.cp = 40_000
		a.open()
		const objects = 1000
		write := func(v string) {
			for i := 0; i < objects; i += 100 {
				var b Write
				for j := range 100 {
					b.Ops = append(b.Ops, Op{Key: key(fmt.Sprintf("%04d", i+j)), Value: value(fmt.Sprintf("%0100d%s", i+j, v))})
				}
				if _, err := a.Write(w.ctx, b); err != nil {
					t.Fatal(err)
				}
			}
		}
		write("old")
		if err := a.Checkpoint(w.ctx); err != nil {
			t.Fatal(err)
		}
		a.crash()
		next, stop := iter.Pull2(a.Scan(w.ctx, ScanRange{Reverse: reverse}))
		defer stop()
		n := 0
		for ; ; n++ {
			e, err, more := next()
			if !more {
				break
			}
			if v, _ := change.DecodeValue(e.Value); err != nil || len(v.(string)) != 103 || v.(string)[100:] != "old" {
				t.Fatalf("entry %d is %s, %.20q… (%v)", n, e.Key, v, err)
			}
			if n == 3 {
				write("new")
			}
		}
		if n != objects {
			t.Errorf("%d objects, want %d", n, objects)
		}
		a.crash()
	}
}

// TestAViewIsOneMoment: the place that a view says among the commits is that of what it shows, while commits come.
func TestAViewIsOneMoment(t *testing.T) {
	w := newWorld(t)
	a := w.asyncDevice()
	base := a.State().Commit
	const writes = 3000
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range writes {
			if _, err := a.Put(context.Background(), key("n"), value(i+1)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for last := uint64(0); last < writes && !t.Failed(); runtime.Gosched() {
		v, err := a.View()
		if err != nil {
			t.Fatal(err)
		}
		last = v.commit - base
		row, ok, err := v.s.Get(w.ctx, tableObjects, string(key("n").Encode()))
		if err != nil {
			t.Fatal(err)
		}
		shown := uint64(0)
		if ok {
			e, err := entryFrom(key("n"), row)
			if err != nil {
				t.Fatal(err)
			}
			n, _ := change.DecodeValue(e.Value)
			shown = uint64(n.(int64))
		}
		v.Release()
		if shown != last {
			t.Errorf("a view after %d writes shows the one numbered %d", last, shown)
		}
	}
	wg.Wait()
}

// FuzzWatchMarker: markers come from applications, who keep them as they like. There is one text of each.
func FuzzWatchMarker(f *testing.F) {
	for _, s := range []string{"", FromStart, FromNow, watchMarker{}.String(), watchMarker{1<<64 - 1, 1<<64 - 1, 1<<31 - 1}.String(), "1-2-3", "-1-2-3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := parseWatchMarker(s)
		if err == nil && m.String() != s {
			t.Fatalf("%q became %q", s, m)
		}
		if err != nil && codeOf(err) != UnknownMarker {
			t.Fatalf("%q: %v", s, err)
		}
	})
}
