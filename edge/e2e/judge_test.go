package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/watcher"
	"vsync/edge/e2e/judge"
	"vsync/edge/e2e/program"
)

// judge heals the network, lets everything arrive, adds a device that has never been there, and compares.
func (w *world) judge() {
	for _, m := range w.members {
		m.proxy.Close() // nothing of the dead is on the way any more
	}
	w.hub.Restart()
	all := w.rejoin()
	head := w.settle(all)
	fresh := w.join("fresh", filepath.Join(w.t.TempDir(), "fresh"), newMirror("fresh"))
	all = append(all, fresh)
	for _, r := range all {
		err := r.reach(program.Soon(w.t), "the feed's end", func(s watcher.Status) bool { return s.Marker.Seq == head })
		if err == nil {
			err = r.seen.reach(program.Soon(w.t), func() bool { return r.complete(head, fresh.seen) })
		}
		if err != nil {
			w.t.Fatalf("%s: %v", r.name, err)
		}
	}
	w.t.Logf("the feed ends at %d", head)
	for _, finding := range w.ledger.Misplaced(fresh.seen.foreign) {
		w.t.Error(finding)
	}
	w.compare(all)
	for _, r := range all {
		judge.Checked(w.t, r.name, r.Replica)
		if err := r.close(); err != nil {
			w.t.Errorf("closing %s: %v", r.name, err)
		}
	}
	w.hub.Stop(w.t)
	judge.Hub(w.t, w.hub, database, fresh.seen.foreign)
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
	d, err := openDevice(program.Soon(w.t), dir, program.DatabaseURL(w.hub.Addr(), database), w.seed)
	if err != nil {
		w.t.Fatalf("%s cannot be opened: %v", name, err)
	}
	if err := seen.begin(program.Soon(w.t), d.Replica); err != nil {
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
		if err := r.Synced(program.Soon(w.t)); err != nil {
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
		for _, finding := range r.seen.differs(program.Soon(w.t), r.Replica) {
			w.t.Errorf("%s: %s", r.name, finding)
		}
		if problems, err := r.Problems(program.Soon(w.t)); err != nil || len(problems) > 0 {
			w.t.Errorf("%s has problems: %v %v", r.name, problems, err)
		}
	}
	for _, finding := range all[0].seen.unwatched(fresh.seen.foreign) { // it has never lost its place
		w.t.Errorf("%s: %s", all[0].name, finding)
	}
	for id := range noteIDs {
		key := change.Key{Collection: notes, ID: noteID(id)}
		n := 0
		for range fresh.History(program.Soon(w.t), key) {
			n++
		}
		if n != fresh.seen.writes[key] {
			w.t.Errorf("%s: %d versions in the history of %s, and %d in the feed", fresh.name, n, key, fresh.seen.writes[key])
		}
	}
}

// describe is all that a device holds, as text, with the notes' histories.
func (w *world) describe(r *returned) []string {
	lines, err := dump(program.Soon(w.t), r.Replica)
	if err != nil {
		w.t.Fatalf("%s: %v", r.name, err)
	}
	objects := len(lines)
	for id := range noteIDs {
		for h, err := range r.History(program.Soon(w.t), change.Key{Collection: notes, ID: noteID(id)}) {
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
