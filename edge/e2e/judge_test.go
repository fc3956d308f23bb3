package e2e

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/watcher"
	"vsync/edge/host/sqlite"
)

// judge heals the network, lets everything arrive, adds a device that has never been there, and compares.
func (w *world) judge() {
	for _, m := range w.members {
		m.proxy.Close() // nothing of the dead is on the way any more
	}
	w.hub.restart()
	all := w.rejoin()
	head := w.settle(all)
	fresh := w.join("fresh", filepath.Join(w.t.TempDir(), "fresh"), newMirror("fresh"))
	all = append(all, fresh)
	for _, r := range all {
		err := r.reach(soon(w.t), "the feed's end", func(s watcher.Status) bool { return s.Marker.Seq == head })
		if err == nil {
			err = r.seen.reach(soon(w.t), func() bool { return r.complete(head, fresh.seen) })
		}
		if err != nil {
			w.t.Fatalf("%s: %v", r.name, err)
		}
	}
	w.t.Logf("the feed ends at %d", head)
	for _, finding := range w.ledger.misplaced(fresh.seen.foreign) {
		w.t.Error(finding)
	}
	w.compare(all)
	for _, r := range all {
		checked(w.t, r.name, r.Replica)
		if err := r.close(); err != nil {
			w.t.Errorf("closing %s: %v", r.name, err)
		}
	}
	w.hub.stop(w.t)
	judgeHub(w.t, w.hub.dir, database, fresh.seen.foreign)
}

// A returned device is one that writes no more, and watches.
type returned struct {
	*device
	name string
	seen *mirror
}

func (w *world) rejoin() (all []*returned) {
	for _, m := range w.members {
		all = append(all, w.join(m.name, m.dir, m.seen))
	}
	return all
}

// join opens a device for the comparison, straight at the hub.
func (w *world) join(name, dir string, seen *mirror) *returned {
	w.t.Helper()
	d, err := openDevice(soon(w.t), dir, databaseURL(w.hub.addr(), database), w.seed)
	if err != nil {
		w.t.Fatalf("%s cannot be opened: %v", name, err)
	}
	if err := seen.begin(soon(w.t), d.Replica); err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	d.follow()
	ctx, stop := context.WithCancel(context.Background())
	w.t.Cleanup(stop)
	d.group.Go(func() {
		err := seen.follow(ctx, d.Replica)
		if ctx.Err() == nil && !errors.Is(err, &core.Error{Code: core.Closed}) {
			w.t.Errorf("%s: %v", name, err)
		}
	})
	return &returned{d, name, seen}
}

// settle waits until all that the devices wrote has its place, and returns the last one.
func (w *world) settle(all []*returned) (head uint64) {
	for _, r := range all {
		if err := r.Synced(soon(w.t)); err != nil {
			w.t.Fatalf("%s does not get in sync: %v: %+v", r.name, err, r.feed.Status())
		}
		head = max(head, r.State().Marker.Seq)
	}
	return head
}

// complete reports whether the events have told all that there is, whose last sequence is head. For the fresh
// device these are the feed itself.
func (r *returned) complete(head uint64, feed *mirror) bool {
	if r.seen == feed {
		return feed.told() == head
	}
	return len(r.seen.differs(context.Background(), r.Replica)) == 0
}

// compare wants all devices to hold the same, with the same history, and to have been told so.
func (w *world) compare(all []*returned) {
	fresh := all[len(all)-1]
	want := w.describe(fresh)
	for _, r := range all {
		if got := w.describe(r); !slices.Equal(got, want) {
			w.t.Errorf("%s holds something else than %s: %s", r.name, fresh.name, firstDifference(got, want))
		}
		for _, finding := range r.seen.differs(soon(w.t), r.Replica) {
			w.t.Errorf("%s: %s", r.name, finding)
		}
		if problems, err := r.Problems(soon(w.t)); err != nil || len(problems) > 0 {
			w.t.Errorf("%s has problems: %v %v", r.name, problems, err)
		}
	}
	for _, finding := range all[0].seen.unwatched(fresh.seen.foreign) { // it has never lost its place
		w.t.Errorf("%s: %s", all[0].name, finding)
	}
	for id := range noteIDs {
		key := change.Key{Collection: notes, ID: noteID(id)}
		n := 0
		for range fresh.History(soon(w.t), key) {
			n++
		}
		if n != fresh.seen.writes[key] {
			w.t.Errorf("%s: %d versions in the history of %s, and %d in the feed", fresh.name, n, key, fresh.seen.writes[key])
		}
	}
}

// describe is all that a device holds, as text, with the notes' histories.
func (w *world) describe(r *returned) []string {
	lines, err := dump(soon(w.t), r.Replica)
	if err != nil {
		w.t.Fatalf("%s: %v", r.name, err)
	}
	objects := len(lines)
	for id := range noteIDs {
		for h, err := range r.History(soon(w.t), change.Key{Collection: notes, ID: noteID(id)}) {
			if err != nil {
				w.t.Fatalf("%s: history of %s: %v", r.name, noteID(id), err)
			}
			lines = append(lines, fmt.Sprintf("%s was %s after %s by %s", noteID(id), h.Version, h.Parents, h.Note))
		}
	}
	slices.Sort(lines[objects:]) // versions that do not know each other stand as they came to the device
	return lines
}

func firstDifference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d of %d and %d\n%.300s\n%.300s", i+1, len(a), len(b), a[i], b[i])
		}
	}
	return fmt.Sprintf("%d lines and %d", len(a), len(b))
}

// openHub opens a database in the files of a hub that does not run.
func openHub(t *testing.T, dir, name string) *core.Replica {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(dir, "hub.key"))
	if err != nil {
		t.Fatal(err)
	}
	st, err := sqlite.Open(soon(t), filepath.Join(dir, "databases", name+".db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	replica, err := core.Open(soon(t), st, core.Config{Role: core.RoleHub, Database: name, Now: now, Rand: crand.Reader, HubKey: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { replica.Close() })
	return replica
}

// judgeHub looks into the hub's own files: they fit together, and have these tokens, each so many times.
func judgeHub(t *testing.T, dir, name string, tokens map[string]int) {
	t.Helper()
	replica := openHub(t, dir, name)
	checked(t, "the hub", replica)
	if stored := feedTokens(t, replica); tokens != nil && !maps.Equal(stored, tokens) {
		t.Errorf("the hub holds %d tokens, and %d came", len(stored), len(tokens))
	}
}

// feedTokens counts the notes in a hub's feed.
func feedTokens(t *testing.T, replica *core.Replica) map[string]int {
	t.Helper()
	tokens := map[string]int{}
	for seq := uint64(0); seq < replica.Head().Seq; {
		entries, err := replica.ReadFeed(soon(t), seq, 1<<20)
		if err != nil || len(entries) == 0 {
			t.Fatalf("reading the feed behind %d: %d entries, %v", seq, len(entries), err)
		}
		for _, e := range entries {
			seq = e.Seq
			entry, err := change.DecodeEntry(e.Entry)
			if err != nil {
				t.Fatal(err)
			}
			batch, err := entry.Batch()
			if err != nil {
				t.Fatal(err)
			}
			tokens[batch.Note]++
		}
	}
	return tokens
}
