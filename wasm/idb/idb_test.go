//go:build js

package idb_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sync/atomic"
	"testing"

	"vsync/core/store"
	"vsync/core/store/storetest"
	"vsync/wasm/idb"
)

var ctx = context.Background()

// place is one database. The browser's directory ends with the run, so none is deleted.
type place struct{ name string }

var places atomic.Int32

func newPlace(t testing.TB) place {
	return place{fmt.Sprintf("%s/%d", t.Name(), places.Add(1))}
}

func (p place) Open(ctx context.Context) (store.Store, error) {
	s, err := idb.Open(ctx, p.name, nil)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (place) Exclusive() bool { return true }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Opener { return newPlace(t) })
}

// Browsers without getAllRecords read keys and values apart, and backwards in another way.
func TestStoreWithoutRecords(t *testing.T) {
	if eval("typeof IDBObjectStore.prototype.getAllRecords").String() == "undefined" {
		if !elsewhere() {
			t.Fatal("this browser has no getAllRecords")
		}
		return // TestStore has tried the same
	}
	replace(t, "IDBObjectStore.prototype", "getAllRecords", "undefined")
	storetest.Run(t, func(t *testing.T) storetest.Opener { return newPlace(t) })
}

func mustOpen(t testing.TB, p place, lost func(error)) *idb.Store {
	t.Helper()
	s, err := idb.Open(ctx, p.name, lost)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func put(key, value string) *store.Tx {
	tx := &store.Tx{}
	tx.Put([]byte(key), []byte(value))
	return tx
}

func wantRow(t *testing.T, s store.Store, key, want string, is bool) {
	t.Helper()
	value, ok, err := s.Get(ctx, []byte(key))
	if err != nil || ok != is || string(value) != want {
		t.Errorf("%s: %q, %v, %v; want %q, %v", key, value, ok, err, want, is)
	}
}

// A scan of many steps, of 6 MB, has the rows of a whole, whatever the order and the browser, beside a writer.
func TestScanOfManySteps(t *testing.T) {
	s := mustOpen(t, newPlace(t), nil)
	const rows = 200
	value := make([]byte, store.MaxRow)
	write := func(round byte) error {
		value[0] = round
		tx := &store.Tx{}
		for i := range rows {
			tx.Put(fmt.Appendf(nil, "%04d", i), value[:1+i*299])
		}
		return s.Commit(ctx, tx)
	}
	if err := write(1); err != nil {
		t.Fatal(err)
	}
	check := func(how string) {
		for _, reverse := range []bool{false, true} {
			found, err := s.Scan(ctx, store.Range{Reverse: reverse})
			if err != nil || len(found) != rows {
				t.Fatalf("%s, reverse %v: %d rows, %v", how, reverse, len(found), err)
			}
			for i, row := range found {
				n := i
				if reverse {
					n = rows - 1 - i
				}
				if string(row.Key) != fmt.Sprintf("%04d", n) || len(row.Value) != 1+n*299 || row.Value[0] != found[0].Value[0] {
					t.Fatalf("%s, reverse %v: row %d is %q, of %d bytes, from round %d", how, reverse, i, row.Key, len(row.Value), row.Value[0])
				}
			}
		}
	}
	written := make(chan error, 1)
	go func() { written <- write(2) }()
	check("with records")
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	replace(t, "IDBObjectStore.prototype", "getAllRecords", "undefined")
	check("without records")
}

// Each commit is one transaction, of the durability that was asked for.
func TestDurability(t *testing.T) {
	s := mustOpen(t, newPlace(t), nil)
	eval("globalThis.seen = []")
	replace(t, "IDBDatabase.prototype", "transaction", `function (names, mode, options) {
		if (mode === "readwrite") seen.push(options.durability);
		return before.call(this, names, mode, options);
	}`)
	for _, d := range []store.Durability{store.Strict, store.Relaxed, store.Strict} {
		tx := put("a", d.String())
		tx.Put([]byte("b"), nil)
		tx.Durability = d
		if err := s.Commit(ctx, tx); err != nil {
			t.Fatal(err)
		}
	}
	if seen := eval("seen.join()").String(); seen != "strict,relaxed,strict" {
		t.Fatalf("the transactions were %s", seen)
	}
}

// elsewhere says that the browser is another one than Chromium.
func elsewhere() bool { kind := os.Getenv("VSYNC_BROWSER"); return kind != "" && kind != "chromium" }

// A commit that fails in its middle has applied nothing, and the store works on.
func TestFailedCommitAppliesNothing(t *testing.T) {
	s := mustOpen(t, newPlace(t), nil)
	if err := s.Commit(ctx, put("a", "1")); err != nil {
		t.Fatal(err)
	}
	tx := put("a", "2")
	tx.DeleteRange([]byte("a"), nil)
	tx.Put([]byte("b"), []byte("2"))
	for how, body := range map[string]string{
		"the request cannot be made": `function (value, key) {
			if (key[0] === 98) throw new DOMException("no", "DataError");
			return before.call(this, value, key);
		}`,
		"the request fails": `function (value, key) {
			return key[0] === 98 ? this.add(value, "a string, twice") && this.add(value, "a string, twice") : before.call(this, value, key);
		}`,
	} {
		t.Run(how, func(t *testing.T) {
			replace(t, "IDBObjectStore.prototype", "put", body)
			if err := s.Commit(ctx, tx); !errors.Is(err, store.ErrIO) {
				t.Errorf("commit: %v, want ErrIO", err)
			}
		})
		wantRow(t, s, "a", "1", true)
		wantRow(t, s, "b", "", false)
	}
	if err := s.Commit(ctx, tx); err != nil {
		t.Fatal(err)
	}
	wantRow(t, s, "a", "", false)
	wantRow(t, s, "b", "2", true)
}

// The browser's bound is told as ErrQuota with nothing applied, and reads go on. A storage bucket has a bound that can be chosen; all else
// of it is as in the origin's own.
func TestQuota(t *testing.T) {
	if eval("typeof navigator.storageBuckets").String() == "undefined" {
		if !elsewhere() {
			t.Fatal("this browser has no storage buckets")
		}
		return // nor another bound that can be chosen
	}
	await(t, fmt.Sprintf("navigator.storageBuckets.open(`small%d`, { quota: 2_000_000 }).then((bucket) => { globalThis.small = bucket.indexedDB; })", places.Add(1)))
	replace(t, "globalThis", "indexedDB", "small")
	s := mustOpen(t, newPlace(t), nil)
	if err := s.Commit(ctx, put("a", "1")); err != nil {
		t.Fatal(err)
	}
	large := put("b", "2")
	for i := range 100 {
		large.Put(fmt.Appendf(nil, "large%d", i), make([]byte, store.MaxRow))
	}
	large.Put([]byte("a"), []byte("2"))
	if err := s.Commit(ctx, large); !errors.Is(err, store.ErrQuota) {
		t.Fatalf("6 MB where 2 MB are allowed: %v, want ErrQuota", err)
	}
	wantRow(t, s, "a", "1", true)
	wantRow(t, s, "b", "", false)
}

// What others have put into the database is damage, not a panic.
func TestForeignRow(t *testing.T) {
	p := newPlace(t)
	s := mustOpen(t, p, nil)
	await(t, fmt.Sprintf(`new Promise((done, failed) => {
		const open = indexedDB.open(%q);
		open.onsuccess = () => {
			const tx = open.result.transaction("rows", "readwrite");
			tx.objectStore("rows").put("a string", new Uint8Array([97]));
			tx.oncomplete = () => { open.result.close(); done() };
			tx.onabort = () => failed(tx.error);
		};
	})`, "vsync:"+p.name))
	if _, _, err := s.Get(ctx, []byte("a")); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("get: %v, want ErrCorrupt", err)
	}
	if _, err := s.Scan(ctx, store.Range{}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("scan: %v, want ErrCorrupt", err)
	}
	if err := s.Commit(ctx, put("a", "1")); err != nil {
		t.Fatal(err)
	}
	wantRow(t, s, "a", "1", true)
}

// A read whose context ends returns at once; its answer, which comes later, is nobody's.
func TestReadGivenUp(t *testing.T) {
	s := mustOpen(t, newPlace(t), nil)
	if err := s.Commit(ctx, put("a", "1")); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(context.Context) error{
		"get":  func(ctx context.Context) error { _, _, err := s.Get(ctx, []byte("a")); return err },
		"scan": func(ctx context.Context) error { _, err := s.Scan(ctx, store.Range{}); return err },
	} {
		cancelled, cancel := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- call(cancelled) }()
		go cancel() // runs before the event loop can bring an answer
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want Canceled", name, err)
		}
		wantRow(t, s, "a", "1", true)
	}
}

func TestExistsAndDelete(t *testing.T) {
	p := newPlace(t)
	exists := func(want bool) {
		t.Helper()
		for _, without := range []bool{false, true} {
			t.Run(fmt.Sprint(without), func(t *testing.T) {
				if without { // browsers that cannot list their databases
					replace(t, "IDBFactory.prototype", "databases", "undefined")
				}
				if is, err := idb.Exists(ctx, p.name); err != nil || is != want {
					t.Errorf("exists: %v, %v, want %v", is, err, want)
				}
			})
		}
	}
	exists(false)
	if err := idb.Delete(ctx, p.name); err != nil {
		t.Errorf("deleting what is not there: %v", err)
	}
	s := mustOpen(t, p, nil)
	if err := s.Commit(ctx, put("a", "1")); err != nil {
		t.Fatal(err)
	}
	exists(true)
	if err := idb.Delete(ctx, p.name); !errors.Is(err, store.ErrLocked) {
		t.Errorf("deleting what is open: %v, want ErrLocked", err)
	}
	wantRow(t, s, "a", "1", true)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := idb.Delete(ctx, p.name); err != nil {
		t.Fatal(err)
	}
	exists(false)
	s = mustOpen(t, p, nil)
	if rows, err := s.Scan(ctx, store.Range{}); err != nil || !reflect.DeepEqual(rows, []store.Row(nil)) {
		t.Errorf("a database made anew holds %v, %v", rows, err)
	}
}
