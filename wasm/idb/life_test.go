//go:build js

package idb_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"vsync/core/store"
	"vsync/wasm/idb"
)

// soon is far below the time for which one waits for an owner that does not answer, and far above that of an answer.
const soon = 3 * time.Second

// openWithin opens a database and says how long that took.
func openWithin(t *testing.T, limit time.Duration, p place) (*idb.Store, time.Duration, error) {
	t.Helper()
	from := time.Now()
	s, err := idb.Open(within(t, limit), p.name, nil)
	return s, time.Since(from), err
}

// Another worker that lives refuses at once; one that is killed, or whose program ends, gives the database up.
func TestOwnersInOtherWorkers(t *testing.T) {
	for _, end := range []string{"killed", "left"} {
		t.Run(end, func(t *testing.T) {
			p := newPlace(t)
			var c *child
			if end == "killed" {
				c = beginChild(t, "hold", p.name)
				c.says(t)
				for range 3 {
					if _, took, err := openWithin(t, time.Minute, p); !errors.Is(err, store.ErrLocked) || took > soon {
						t.Fatalf("a living owner: %v after %v", err, took)
					}
				}
				c.kill()
			} else {
				c = beginChild(t, "leave", p.name)
				c.says(t)
			}
			s, took, err := openWithin(t, time.Minute, p)
			if err != nil || took > soon {
				t.Fatalf("an owner that was %s: %v after %v", end, err, took)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// hold takes the lock of a database without answering for it, as a worker that is just ending does.
func hold(t *testing.T, p place) {
	t.Helper()
	await(t, fmt.Sprintf(`new Promise((held) => {
		navigator.locks.request(%q, () => new Promise((release) => { globalThis.letGo = release; held(); }));
	})`, "vsync:"+p.name))
	t.Cleanup(func() { eval("letGo()") })
}

// Nobody answers: the lock is waited for, with an end.
func TestOwnerThatDoesNotAnswer(t *testing.T) {
	p := newPlace(t)
	hold(t, p)
	cancelled := errors.New("no more")
	bound, cancel := context.WithTimeoutCause(ctx, 200*time.Millisecond, cancelled)
	defer cancel()
	from := time.Now()
	if _, err := idb.Open(bound, p.name, nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(from) > soon {
		t.Errorf("a context that ends while one waits: %v after %v", err, time.Since(from))
	}
	if _, took, err := openWithin(t, time.Minute, p); !errors.Is(err, store.ErrLocked) || took < soon {
		t.Errorf("an owner that does nothing: %v after %v", err, took)
	}
	eval("setTimeout(letGo, 300)")
	s, took, err := openWithin(t, time.Minute, p)
	if err != nil || took > soon {
		t.Fatalf("an owner that ends: %v after %v", err, took)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Of many who want to open at the same time one does, the others are told so.
func TestManyOpenAtOnce(t *testing.T) {
	p := newPlace(t)
	type outcome struct {
		s   *idb.Store
		err error
	}
	outcomes := make(chan outcome)
	const many = 10
	for range many {
		go func() {
			s, err := idb.Open(ctx, p.name, nil)
			outcomes <- outcome{s, err}
		}()
	}
	opened := 0
	for range many {
		o := <-outcomes
		if o.err == nil {
			opened++
			defer o.s.Close()
		} else if !errors.Is(o.err, store.ErrLocked) {
			t.Error(o.err)
		}
	}
	if opened != 1 {
		t.Errorf("%d of %d have opened it", opened, many)
	}
}

// wantLost checks that every call fails with ErrLost, that lost was called once, and that the place can be opened again.
func wantLost(t *testing.T, p place, s *idb.Store, lost <-chan struct{}) {
	t.Helper()
	if err := checkLost(p, s, lost); err != nil {
		t.Error(err)
	}
}

// Two that were granted the lock, as happens in Chromium when the site's data is cleared between them: the later one is the owner.
func TestLockGrantedTwice(t *testing.T) {
	p := newPlace(t)
	lost := make(chan struct{}, 2)
	s := mustOpen(t, p, func(error) { lost <- struct{}{} })
	t.Run("later", func(t *testing.T) {
		replace(t, "LockManager.prototype", "request", `function (name, options, hold) { return before.call(this, name + ", again", options, hold); }`)
		second := mustOpen(t, p, func(error) { t.Error("the later one was told that its storage is gone") })
		<-lost
		if err := second.Commit(ctx, put("b", "1")); err != nil {
			t.Errorf("the later one: %v", err)
		}
	})
	lost <- struct{}{}
	wantLost(t, p, s, lost)
}

// Another program deletes the database: it is not kept waiting, and what was under way has come to its end.
func TestDatabaseDeleted(t *testing.T) {
	p := newPlace(t)
	lost := make(chan struct{}, 2)
	s := mustOpen(t, p, func(error) { lost <- struct{}{} })
	committed := make(chan error, 1)
	go func() {
		tx := put("a", "1")
		for i := range 100 {
			tx.Put(fmt.Append(nil, i), make([]byte, store.MaxRow))
		}
		committed <- s.Commit(ctx, tx)
	}()
	await(t, fmt.Sprintf(`new Promise((done, failed) => {
		const request = indexedDB.deleteDatabase(%q);
		request.onsuccess = done;
		request.onerror = () => failed(request.error);
	})`, "vsync:"+p.name))
	if err := <-committed; err != nil {
		t.Errorf("the commit under way: %v", err)
	}
	wantLost(t, p, s, lost)
}

// Another program has the database open and does not close it when asked: one waits for that, with an end.
func TestBlocked(t *testing.T) {
	deaf := func(p place) {
		await(t, fmt.Sprintf(`new Promise((done) => {
			const open = indexedDB.open(%q, 1);
			open.onsuccess = () => { globalThis.deaf = open.result; done(); };
		})`, "vsync:"+p.name))
	}
	replace(t, "globalThis", "setTimeout", `(fn, ms, ...more) => before(fn, ms === 5000 ? 50 : ms, ...more)`)
	t.Run("a newer version is opened", func(t *testing.T) {
		p := newPlace(t)
		deaf(p)
		replace(t, "IDBFactory.prototype", "open", `function (name) { return before.call(this, name, 2); }`)
		if _, err := idb.Open(within(t, soon), p.name, nil); !errors.Is(err, store.ErrLocked) {
			t.Errorf("open: %v, want ErrLocked", err)
		}
		eval("deaf.close()")
	})
	t.Run("deleted", func(t *testing.T) {
		p := newPlace(t)
		deaf(p)
		if err := idb.Delete(within(t, soon), p.name); !errors.Is(err, store.ErrLocked) {
			t.Errorf("delete: %v, want ErrLocked", err)
		}
		eval("deaf.close()") // what the browser was asked it does then
		mustOpen(t, p, nil)
	})
}

// The lock is taken by force: this is not the owner any more, whatever it was doing.
func TestLockStolen(t *testing.T) {
	p := newPlace(t)
	lost := make(chan struct{}, 2)
	s := mustOpen(t, p, func(error) { lost <- struct{}{} })
	await(t, fmt.Sprintf("navigator.locks.request(%q, { steal: true }, () => {})", "vsync:"+p.name))
	wantLost(t, p, s, lost)
}

// A connection that has died without a word, as WebKit's do in the background, is found at the next call; each that is opened in its place
// dies too.
func TestConnectionDead(t *testing.T) {
	p := newPlace(t)
	lost := make(chan struct{}, 2)
	s := mustOpen(t, p, func(error) { lost <- struct{}{} })
	t.Run("next call", func(t *testing.T) {
		replace(t, "IDBDatabase.prototype", "transaction", `function () { throw new DOMException("closing", "InvalidStateError"); }`)
		if err := s.Commit(ctx, put("a", "1")); !errors.Is(err, store.ErrLost) {
			t.Errorf("commit: %v, want ErrLost", err)
		}
	})
	wantLost(t, p, s, lost)
}

// What Open finds in the browser, and cannot use.
func TestOpenRefused(t *testing.T) {
	make := func(p place, version int, body string) {
		await(t, fmt.Sprintf(`new Promise((done) => {
			const open = indexedDB.open(%q, %d);
			open.onupgradeneeded = () => { %s };
			open.onsuccess = () => { open.result.close(); done(); };
		})`, "vsync:"+p.name, version, body))
	}
	failing := func(name string) string {
		return fmt.Sprintf(`function () {
			const request = { error: new DOMException("no", %q) };
			queueMicrotask(() => request.onerror());
			return request;
		}`, name)
	}
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, p place)
		want    error
	}{
		{"newer", func(t *testing.T, p place) { make(p, 2, `open.result.createObjectStore("rows")`) }, idb.ErrVersion},
		{"foreign", func(t *testing.T, p place) { make(p, 1, `open.result.createObjectStore("other")`) }, store.ErrCorrupt},
		{"no IndexedDB", func(t *testing.T, p place) { replace(t, "globalThis", "indexedDB", "undefined") }, idb.ErrUnavailable},
		{"IndexedDB throws", func(t *testing.T, p place) {
			replace(t, "IDBFactory.prototype", "open", `() => { throw new DOMException("no", "SecurityError"); }`)
		}, idb.ErrUnavailable},
		{"IndexedDB fails for the moment", func(t *testing.T, p place) {
			replace(t, "IDBFactory.prototype", "open", fmt.Sprintf(`(() => {
				const open = IDBFactory.prototype.open, fails = %s;
				let times = 0;
				return function (...args) { return ++times < 4 ? fails() : open.apply(this, args) };
			})()`, failing("UnknownError")))
		}, nil},
		{"IndexedDB fails", func(t *testing.T, p place) {
			replace(t, "IDBFactory.prototype", "open", failing("UnknownError"))
		}, store.ErrIO},
		{"Web Locks fail", func(t *testing.T, p place) {
			replace(t, "LockManager.prototype", "request", `() => Promise.reject(new DOMException("no", "AbortError"))`)
		}, store.ErrIO},
		{"private window", func(t *testing.T, p place) {
			replace(t, "IDBFactory.prototype", "open", failing("InvalidStateError"))
		}, idb.ErrUnavailable},
		{"full disk", func(t *testing.T, p place) {
			replace(t, "IDBFactory.prototype", "open", failing("QuotaExceededError"))
		}, store.ErrQuota},
		{"no Web Locks", func(t *testing.T, p place) { replace(t, "navigator", "locks", "undefined") }, idb.ErrUnavailable},
		{"Web Locks throw", func(t *testing.T, p place) {
			replace(t, "LockManager.prototype", "request", `() => Promise.reject(new DOMException("no", "SecurityError"))`)
		}, idb.ErrUnavailable},
	} {
		p := newPlace(t)
		t.Run(c.name, func(t *testing.T) {
			c.prepare(t, p)
			s, err := idb.Open(within(t, soon), p.name, nil)
			if !errors.Is(err, c.want) {
				t.Errorf("open: %v, want %v", err, c.want)
			}
			if err == nil {
				s.Close()
			}
		})
		if c.want == nil || c.want == idb.ErrUnavailable || c.want == store.ErrQuota || c.want == store.ErrIO {
			mustOpen(t, p, nil) // nothing was left behind, the lock least of all
		}
	}
}

// A worker that is terminated in the middle of its commits leaves each that it has confirmed, and none in part.
func TestWorkerTerminated(t *testing.T) {
	p := newPlace(t)
	there := 0
	for round := range 5 {
		c := beginChild(t, "write", p.name)
		said := 0
		for range 17 + 23*round {
			if _, err := fmt.Sscan(c.says(t), &said); err != nil {
				t.Fatal(err)
			}
		}
		c.kill()
		s := mustOpen(t, p, nil)
		n, err := checkNumbered(s)
		if err != nil || n < said || said <= there {
			t.Fatalf("round %d: %d commits were confirmed, %d are there, %v", round, said, n, err)
		}
		there = n
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
