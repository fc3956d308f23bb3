package e2e

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestKilledInAWrite: a browser dies in the middle of a write, twice more soon afterwards, and all of that without the hub. Chromium would give
// an empty database from the second start on: see package idb. What was stored and not sent is there, and the hub gets it.
func TestKilledInAWrite(t *testing.T) {
	w := newWorld(t, nil)
	p := w.open(anna)
	p.js(nil, `await notes.put('before', 1); await db.synced()`)
	w.hub.Die()
	const unsent = 30
	p.js(nil, `for (let i = 1; i <= args[0]; i++) await notes.put('unsent ' + i, 'x'.repeat(20_000))`, unsent)
	want := 1 + unsent - 1 // the last one may be what is torn
	anna.die(t)
	p.gone()
	torn := w.tear(anna)
	for n := range 2 {
		p = w.open(anna)
		var have int
		p.js(&have, `return await notes.count()`)
		if have < want {
			t.Errorf("start %d: %d objects are there of %d", n+1, have, want)
		}
		p.js(nil, `await notes.put(...args)`, "start", n)
		for ctx := soon(t); there(torn); {
			select {
			case <-ctx.Done():
				t.Fatalf("the browser still writes to %s, which is torn", filepath.Base(torn))
			case <-time.After(20 * time.Millisecond):
			}
		}
		anna.die(t)
		p.gone()
		want = max(want, have) + 1 - n
	}
	w.hub.Start()
	p, q := w.open(anna), w.open(bert)
	meet(t, p, q)
	alike(t, p, q)
	var have int
	q.js(&have, `return await notes.count()`)
	if have != want {
		t.Errorf("%d objects have come to the other device of %d", have, want)
	}
}

func there(name string) bool {
	_, err := os.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// tear cuts off the end of what the browser has written last for this application, and returns the name of that file.
func (w *world) tear(d *device) string {
	w.t.Helper()
	site, err := url.Parse(w.site.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(d.dir, "Default", "IndexedDB", "http_*_"+site.Port()+".indexeddb.leveldb", "*.log"))
	if err != nil || len(logs) == 0 {
		w.t.Fatalf("%s has no log of what it writes for %v: %v", d.name, site, err)
	}
	last := slices.MaxFunc(logs, strings.Compare) // they have numbers
	info, err := os.Stat(last)
	if err == nil {
		err = os.Truncate(last, info.Size()-100)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return last
}
