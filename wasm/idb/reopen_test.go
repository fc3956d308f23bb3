//go:build js

package idb_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"vsync/core/store"
	"vsync/wasm/idb"
)

// watchConnection keeps the connection that was used last in globalThis.used, and in globalThis.tx its last transaction.
func watchConnection(t *testing.T) {
	t.Helper()
	replace(t, "IDBDatabase.prototype", "transaction", `function (...args) {
		globalThis.used = this;
		return (globalThis.tx = before.apply(this, args));
	}`)
}

// hangUp closes a connection as a browser does, which says so.
const hangUp = `used.close(); used.onclose?.(new Event("close"));`

// raw writes or deletes a row behind the store's back; value "": deletes.
func raw(t *testing.T, p place, key, value string) {
	t.Helper()
	await(t, fmt.Sprintf(`new Promise((done, failed) => {
		const open = indexedDB.open(%q), bytes = (text) => new TextEncoder().encode(text), value = %q;
		open.onerror = () => failed(open.error);
		open.onsuccess = () => {
			const tx = open.result.transaction("rows", "readwrite"), rows = tx.objectStore("rows");
			if (value) rows.put(bytes(value), bytes(%q));
			else rows.delete(bytes(%q));
			tx.oncomplete = () => { open.result.close(); done(); };
			tx.onabort = () => failed(tx.error);
		};
	})`, "vsync:"+p.name, value, key, key))
}

func unlost(t *testing.T) func(error) {
	return func(err error) { t.Errorf("it was told that the storage is gone: %v", err) }
}

// The browser closes a connection, once with a word and once without: nobody notices.
func TestConnectionOpenedAgain(t *testing.T) {
	p := newPlace(t)
	s := mustOpen(t, p, unlost(t))
	for i, how := range []string{hangUp, "used.close();", hangUp + hangUp} {
		t.Run(how, func(t *testing.T) {
			watchConnection(t)
			key := fmt.Sprint("key", i)
			if err := s.Commit(ctx, put(key, "1")); err != nil {
				t.Fatal(err)
			}
			eval(how)
			wantRow(t, s, key, "1", true)
			eval(how)
			if err := s.Commit(ctx, put(key, "2")); err != nil {
				t.Fatal(err)
			}
			eval(how)
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					rows, err := s.Scan(ctx, store.Range{})
					if err != nil || len(rows) != i+1 || string(rows[i].Value) != "2" {
						t.Errorf("%v, %v", rows, err)
					}
				})
			}
			all.Wait()
		})
	}
	if _, err := idb.Open(within(t, soon), p.name, nil); !errors.Is(err, store.ErrLocked) {
		t.Errorf("somebody else could open it: %v", err)
	}
}

// A connection ends while a commit is under way, which was applied or was not: afterwards it was, once and whole, and was confirmed.
func TestConnectionEndsInACommit(t *testing.T) {
	for how, body := range map[string]string{
		"applied": `function () {
			before.call(this);
			used.onclose(new Event("close")); // the transaction comes to its end, and nobody hears of it
		}`,
		"not applied": `function () {
			this.abort();
			` + hangUp + `
		}`,
		"aborted without a word": `function () {
			this.abort();
		}`,
	} {
		p := newPlace(t)
		s := mustOpen(t, p, unlost(t))
		if err := s.Commit(ctx, put("a", "1")); err != nil {
			t.Fatal(err)
		}
		t.Run(how, func(t *testing.T) {
			watchConnection(t)
			replace(t, "IDBTransaction.prototype", "commit", `function () {
				IDBTransaction.prototype.commit = before;
				(`+body+`).call(this);
			}`)
			tx := put("a", "2")
			tx.Delete([]byte("none"))
			tx.Put([]byte("b"), []byte("2"))
			if err := s.Commit(ctx, tx); err != nil {
				t.Fatal(err)
			}
		})
		wantRow(t, s, "a", "2", true)
		wantRow(t, s, "b", "2", true)
		if err := s.Commit(ctx, put("a", "3")); err != nil {
			t.Fatal(err)
		}
		wantRow(t, s, "a", "3", true)
	}
}

// Of several commits under way nobody could say what became of which: the storage is lost, and what is there is whole.
func TestConnectionEndsInCommits(t *testing.T) {
	p := newPlace(t)
	lost := make(chan struct{}, 2)
	s := mustOpen(t, p, func(error) { lost <- struct{}{} })
	t.Run("two", func(t *testing.T) {
		watchConnection(t)
		if err := s.Commit(ctx, put("a", "0")); err != nil {
			t.Fatal(err)
		}
		// Where they begin, and not at commit(): in WebKit transactions end by themselves.
		replace(t, "IDBDatabase.prototype", "transaction", `function (...args) {
			const tx = before.apply(this, args);
			if (args[1] !== "readwrite") return tx;
			if (!globalThis.one) return (globalThis.one = tx);
			delete globalThis.one;
			queueMicrotask(() => used.onclose(new Event("close")));
			return tx;
		}`)
		ended := make(chan error)
		for i := range 2 {
			go func() { ended <- s.Commit(ctx, put("a", fmt.Sprint(i+1))) }()
		}
		for range 2 {
			if err := <-ended; !errors.Is(err, store.ErrLost) {
				t.Errorf("commit: %v, want ErrLost", err)
			}
		}
	})
	wantLost(t, p, s, lost)
}

// What was confirmed is not there on the next connection: nothing that the program believes of its storage holds.
func TestConnectionWithoutWhatWasConfirmed(t *testing.T) {
	for how, forget := range map[string]func(t *testing.T, p place){
		"a row is as before": func(t *testing.T, p place) { raw(t, p, "a", "1") },
		"a row is missing":   func(t *testing.T, p place) { raw(t, p, "a", "") },
		"all is missing": func(t *testing.T, p place) {
			await(t, fmt.Sprintf(`new Promise((done, failed) => {
				const request = indexedDB.deleteDatabase(%q);
				request.onsuccess = done;
				request.onerror = () => failed(request.error);
			})`, "vsync:"+p.name))
		},
	} {
		t.Run(how, func(t *testing.T) {
			p := newPlace(t)
			lost := make(chan struct{}, 2)
			s := mustOpen(t, p, func(error) { lost <- struct{}{} })
			t.Run("", func(t *testing.T) {
				watchConnection(t)
				for _, value := range []string{"1", "2"} {
					if err := s.Commit(ctx, put("a", value)); err != nil {
						t.Fatal(err)
					}
				}
			})
			eval("used.close()")
			forget(t, p)
			if _, _, err := s.Get(ctx, []byte("b")); !errors.Is(err, store.ErrLost) { // the first call finds out
				t.Errorf("a read of what was never there: %v, want ErrLost", err)
			}
			wantLost(t, p, s, lost)
		})
	}
}

// A program that stores a higher format takes the database over: the old one steps aside, at once and with the reason, whichever way it
// learns of it.
func TestNewerProgramTakesOver(t *testing.T) {
	for how, come := range map[string]string{
		"by the lock": `new Promise((done) => {
			const channel = new BroadcastChannel("vsync:lock:%[1]s");
			navigator.locks.request("vsync:%[1]s", { ifAvailable: true }, (lock) => { if (lock) throw new Error("it was free"); });
			navigator.locks.request("vsync:%[1]s", () => { channel.close(); done(); });
			channel.onmessage = ({ data }) => { if (data === "I") throw new Error("the old one stays"); };
			channel.postMessage({ format: 2 });
			channel.postMessage("who");
		})`,
		"by the database": `new Promise((done, failed) => {
			const open = indexedDB.open("vsync:%[1]s", 2);
			open.onsuccess = () => { open.result.close(); done(); };
			open.onerror = () => failed(open.error);
		})`,
	} {
		t.Run(how, func(t *testing.T) {
			p := newPlace(t)
			why := make(chan error, 2)
			s := mustOpen(t, p, func(err error) { why <- err })
			if err := s.Commit(ctx, put("a", "1")); err != nil {
				t.Fatal(err)
			}
			closed := make(chan error)
			go func() {
				err := <-why
				closed <- errors.Join(s.Close(), s.Commit(ctx, put("a", "2")))
				why <- err
			}()
			await(t, fmt.Sprintf(come, p.name))
			if err := <-closed; !errors.Is(err, store.ErrClosed) {
				t.Errorf("after it has stepped aside: %v", err)
			}
			if err := <-why; !errors.Is(err, idb.ErrVersion) {
				t.Errorf("it was told %v, want ErrVersion", err)
			}
		})
	}
	// One of the same format, or a lower one, is answered that it is taken.
	p := newPlace(t)
	mustOpen(t, p, unlost(t))
	await(t, fmt.Sprintf(`new Promise((done) => {
		const channel = new BroadcastChannel("vsync:lock:%s");
		channel.onmessage = ({ data }) => { if (data === "I") channel.close(), done(); };
		channel.postMessage({ format: 1 });
		channel.postMessage("who");
	})`, p.name))
}
