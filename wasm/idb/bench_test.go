//go:build js

package idb_test

import (
	"fmt"
	"syscall/js"
	"testing"
	"time"

	"vsync/core/store"
)

// bare does to IndexedDB what the benchmarks do through the store, with nothing around it: the bound of what can be reached.
const bare = `globalThis.bare = {
	request: (r) => new Promise((done, failed) => { r.onsuccess = () => done(r.result); r.onerror = () => failed(r.error); }),
	async open(name) {
		const open = indexedDB.open(name);
		open.onupgradeneeded = () => open.result.createObjectStore("rows");
		this.db = await this.request(open);
	},
	key: (i) => new TextEncoder().encode("L" + String(i).padStart(8, "0")),
	async commit(from, n, rows, size, durability) {
		const value = crypto.getRandomValues(new Uint8Array(size));
		for (let i = from; i < from + n; i++) {
			const tx = this.db.transaction("rows", "readwrite", { durability });
			for (let row = 0; row < rows; row++) tx.objectStore("rows").put(value, this.key(i * rows + row));
			tx.commit();
			await new Promise((done, failed) => { tx.oncomplete = done; tx.onabort = () => failed(tx.error); });
		}
	},
	async get(from, n, rows, size) {
		for (let i = from; i < from + n; i++) {
			const value = await this.request(this.db.transaction("rows").objectStore("rows").get(this.key((i * 7919) % rows)));
			if (value.length !== size) throw new Error("it has " + value.length);
		}
	},
	async scan(from, n, rows) {
		for (let i = from; i < from + n; i++) {
			const store = this.db.transaction("rows").objectStore("rows");
			const [keys, values] = await Promise.all([this.request(store.getAllKeys()), this.request(store.getAll())]);
			if (keys.length !== rows || values.length !== rows) throw new Error(keys.length + " keys");
		}
	},
	close() { this.db.close(); },
}`

// beside measures ours and, in turns with it, the same done bare, so that both meet the same machine. What both need is filled in first.
// ours and the script (in terms of two numbers: how often, and from which on) do it several times.
func beside(b *testing.B, name string, fill func(s store.Store) error, ours func(b *testing.B, s store.Store, from, n int), script string) {
	b.Run(name, func(b *testing.B) {
		p, q := newPlace(b), newPlace(b)
		for _, place := range []place{p, q} {
			s := mustOpen(b, place, nil)
			if err := fill(s); err != nil {
				b.Fatal(err)
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
		s := mustOpen(b, p, nil)
		eval(bare)
		await(b, fmt.Sprintf("bare.open(%q)", "vsync:"+q.name))
		defer eval("bare.close()")
		var bare, store time.Duration
		turn := max(1, min(50, b.N/4))
		b.ResetTimer()
		for from := 0; from < b.N; from += turn {
			n := min(turn, b.N-from)
			start := time.Now()
			ours(b, s, from, n)
			store += time.Since(start)
			b.StopTimer()
			start = time.Now()
			await(b, fmt.Sprintf(script, from, n))
			bare += time.Since(start)
			b.StartTimer()
		}
		b.ReportMetric(float64(bare.Nanoseconds())/float64(b.N), "bare-ns/op")
		b.ReportMetric(float64(bare)/float64(store), "of-bare")
	})
}

func nothing(store.Store) error { return nil }

func logKey(i int) []byte { return fmt.Appendf(nil, "L%08d", i) }

func payload(size int) []byte {
	value := make([]byte, size)
	js.CopyBytesToGo(value, eval(fmt.Sprintf("crypto.getRandomValues(new Uint8Array(%d))", size)))
	return value
}

// Commits one after the other, as the log makes them: a row each, or a step of a checkpoint.
func BenchmarkCommit(b *testing.B) {
	for _, d := range []store.Durability{store.Relaxed, store.Strict} {
		for _, c := range []struct {
			name       string
			rows, size int
		}{{"200B", 1, 200}, {"60KB", 1, store.MaxRow}, {"17x60KB", 17, store.MaxRow}} {
			ours := func(b *testing.B, s store.Store, from, n int) {
				value := payload(c.size)
				b.SetBytes(int64(c.rows * c.size))
				tx := &store.Tx{}
				for i := from; i < from+n; i++ {
					tx.Reset()
					tx.Durability = d
					for row := range c.rows {
						tx.Put(logKey(i*c.rows+row), value)
					}
					if err := s.Commit(ctx, tx); err != nil {
						b.Fatal(err)
					}
				}
			}
			beside(b, d.String()+"/"+c.name, nothing, ours, fmt.Sprintf("bare.commit(%%d, %%d, %d, %d, %q)", c.rows, c.size, d))
		}
	}
}

// fill writes so many rows of a size.
func fill(rows, size int) func(s store.Store) error {
	return func(s store.Store) error {
		value := payload(size)
		var tx store.Tx
		for i := range rows {
			tx.Put(logKey(i), value)
			if tx.Bytes() > 1<<20 || i == rows-1 {
				if err := s.Commit(ctx, &tx); err != nil {
					return err
				}
				tx.Reset()
			}
		}
		return nil
	}
}

func BenchmarkGet(b *testing.B) {
	const rows = 300
	for _, size := range []int{200, 16_000, store.MaxRow} {
		ours := func(b *testing.B, s store.Store, from, n int) {
			b.SetBytes(int64(size))
			for i := from; i < from+n; i++ {
				if value, ok, err := s.Get(ctx, logKey(i*7919%rows)); !ok || err != nil || len(value) != size {
					b.Fatal(len(value), ok, err)
				}
			}
		}
		beside(b, fmt.Sprint(size, "B"), fill(rows, size), ours, fmt.Sprintf("bare.get(%%d, %%d, %d, %d)", rows, size))
	}
}

// The page that holds a key: the first row from there on.
func BenchmarkLowerBound(b *testing.B) {
	const rows = 300
	ours := func(b *testing.B, s store.Store, from, n int) {
		for i := from; i < from+n; i++ {
			if found, err := s.Scan(ctx, store.Range{From: logKey(i * 7919 % rows), Limit: 1}); err != nil || len(found) != 1 {
				b.Fatal(found, err)
			}
		}
	}
	beside(b, "16KB", fill(rows, 16_000), ours, fmt.Sprintf("bare.get(%%d, %%d, %d, %d)", rows, 16_000))
}

// A whole log of 20 MB, in steps of 1 MB as a start reads it, in one, and backwards; bare in one.
func BenchmarkScan(b *testing.B) {
	const rows = 333
	for name, r := range map[string]store.Range{"steps": {MaxBytes: 1 << 20}, "whole": {MaxBytes: 1 << 30}, "reverse": {MaxBytes: 1 << 20, Reverse: true}} {
		ours := func(b *testing.B, s store.Store, from, n int) {
			b.SetBytes(rows * store.MaxRow)
			for range n {
				seen := 0
				if err := store.Each(ctx, s, r, func(store.Row) error { seen++; return nil }); err != nil || seen != rows {
					b.Fatal(seen, err)
				}
			}
		}
		beside(b, name, fill(rows, store.MaxRow), ours, fmt.Sprintf("bare.scan(%%d, %%d, %d)", rows))
	}
	small := func(b *testing.B, s store.Store, from, n int) {
		for range n {
			if found, err := s.Scan(ctx, store.Range{}); err != nil || len(found) != 10_000 {
				b.Fatal(len(found), err)
			}
		}
	}
	beside(b, "10000x200B", fill(10_000, 200), small, "bare.scan(%d, %d, 10000)")
}

// What a commit and a get cost around IndexedDB: Go, the crossing and idb.ts, over a database that does nothing.
func BenchmarkSeam(b *testing.B) {
	s := mustOpen(b, newPlace(b), nil)
	value := payload(200)
	replace(b, "IDBDatabase.prototype", "transaction", `function () {
		const value = new Uint8Array(200);
		const request = { result: value };
		const store = { put() {}, get() { queueMicrotask(() => request.onsuccess()); return request; } };
		return { objectStore: () => store, commit() { queueMicrotask(() => this.oncomplete()); } };
	}`)
	b.Run("commit", func(b *testing.B) {
		tx := put("a", string(value))
		for b.Loop() {
			if err := s.Commit(ctx, tx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := s.Get(ctx, []byte("a")); err != nil {
				b.Fatal(err)
			}
		}
	})
}
