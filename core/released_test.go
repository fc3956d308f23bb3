package core

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
)

// Databases of every format that was ever stored are in testdata, for ever: each engine opens all of them, finds what was written,
// and goes on. What they hold is always the same story, told by storyOfFormat. A new format adds its files, with -store-format, which
// replaces none.
//
//	testdata/NAME.rows    a row a line: key and value in hexadecimal digits, as IndexedDB and SQLite have them
//
// wasm/idb opens the device's in IndexedDB; edge/host/sqlite has the hub's as a file of SQLite.
var storeFormat = flag.Bool("store-format", false, "write testdata/*.rows of this engine's format, if they are not there")

// formats are the names of the files, by the role.
var formats = map[string]Role{"format-1-device": RoleDevice, "format-1-hub": RoleHub, "format-2-device": RoleDevice, "format-2-hub": RoleHub}

// present is how the files of this engine's format begin.
var present = fmt.Sprintf("format-%d-", formatMore)

// storyOfFormat leaves a device with all kinds of rows, and its hub: pages and a tail of the log, history, a deletion, a fork, a large
// value, a write that was asked for by its name, and what the hub does not have.
func storyOfFormat(t *testing.T) (device, hub *node) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	for i := range 40 {
		a.put(fmt.Sprintf("n%02d", i), i)
	}
	a.put("text", "first")
	a.put("gone", 1)
	a.put("large", strings.Repeat("long ", 13_000))
	w.sync(a, b)
	a.put("text", "second")
	a.del("gone")
	a.put("fork", "a")
	b.put("fork", "b")
	w.sync(a, b)
	w.sync(a, b)
	for _, n := range []*node{a, w.hub} {
		if err := n.Checkpoint(w.ctx); err != nil {
			t.Fatal(err)
		}
	}
	a.put("tail", "behind the checkpoint")
	w.sync(a, b)
	if _, err := a.ask(change.Nonce{Tab: [8]byte{1}, Counter: 7}, "named"); err != nil {
		t.Fatal(err)
	}
	a.put("unsent", "only here")
	return a, w.hub
}

// rowsOfFormat reads a file of testdata.
func rowsOfFormat(t *testing.T, name string) *store.Memory {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".rows")
	if err != nil {
		t.Fatal(err)
	}
	st := store.NewMemory()
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		first, second, _ := strings.Cut(lines.Text(), " ")
		key, err := hex.DecodeString(first)
		value, err2 := hex.DecodeString(second)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		var tx store.Tx
		tx.Put(key, value)
		if err := st.Commit(context.Background(), &tx); err != nil {
			t.Fatal(err)
		}
	}
	return st
}

// writeFormat writes a file of testdata that is not there yet.
func writeFormat(t *testing.T, name string, st store.Store) {
	t.Helper()
	path := "testdata/" + name + ".rows"
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	var text bytes.Buffer
	err := store.Each(t.Context(), st, store.Range{}, func(r store.Row) error {
		fmt.Fprintf(&text, "%x %x\n", r.Key, r.Value)
		return nil
	})
	if err == nil {
		err = os.WriteFile(path, text.Bytes(), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestStoredFormats opens what engines of every format have stored.
func TestStoredFormats(t *testing.T) {
	if *storeFormat {
		device, hub := storyOfFormat(t)
		writeFormat(t, present+"device", device.st)
		writeFormat(t, present+"hub", hub.st)
	}
	if formats[present+"device"] != RoleDevice || formats[present+"hub"] != RoleHub {
		t.Errorf("none of %v is of the present format", formats)
	}
	for name, role := range formats {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.now.Store(1_800_000_000_000)
			n := w.start(&node{w: w, st: rowsOfFormat(t, name), role: role, feed: true})
			for range 2 {
				holdsStory(t, n, role)
				n.crash() // and what was made of it
			}
			if role == RoleDevice {
				n.put("later", "by this engine")
				n.crash()
				n.want("later", "by this engine")
			}
		})
	}
}

// holdsStory wants what storyOfFormat has told.
func holdsStory(t *testing.T, n *node, role Role) {
	t.Helper()
	n.check()
	for i := range 40 {
		n.want(fmt.Sprintf("n%02d", i), fmt.Sprint(i))
	}
	n.want("text", "second")
	n.want("large", strings.Repeat("long ", 13_000))
	n.want("tail", "behind the checkpoint")
	if _, is, err := n.Get(n.w.ctx, key("gone")); is || err != nil {
		t.Errorf("what was deleted: %v, %v", is, err)
	}
	if got := len(n.history("text")); got != 2 {
		t.Errorf("%d versions in the history", got)
	}
	if e, is, err := n.Get(n.w.ctx, key("fork")); !is || err != nil || !e.Conflict {
		t.Errorf("the fork: %+v, %v", e, err)
	}
	if role != RoleDevice {
		return
	}
	n.want("unsent", "only here")
	if s := n.State(); s.Pending < 2 || s.Lineage.IsZero() || s.Marker.IsZero() {
		t.Errorf("%+v", s)
	}
}

// TestFormatsAreRaisedInOneCommit: an engine of an earlier format has left a database, and this one's process ends at each of its commits in
// turn, before it or behind, from opening to the first checkpoint. Whatever came of it, the store has one format, what this engine cannot
// have begun is untouched, and the next opening finds the story and goes on in the present format.
func TestFormatsAreRaisedInOneCommit(t *testing.T) {
	for name, role := range formats {
		if !strings.HasPrefix(name, "format-1-") {
			continue
		}
		for _, do := range []store.FaultKind{store.CrashBefore, store.CrashAfter} {
			commits := 0
			for fired := true; fired; commits++ {
				fired = raisedTo(t, name, role, store.Fault{On: store.Commits, N: commits + 1, Do: do})
			}
			if commits < 3 {
				t.Errorf("%s: %d commits from opening to the checkpoint; this proves nothing", name, commits)
			}
		}
	}
}

// raisedTo opens a database of an earlier format with a store at which something befalls the engine, and then without.
func raisedTo(t *testing.T, name string, role Role, fault store.Fault) (fired bool) {
	t.Helper()
	w := newWorld(t)
	w.now.Store(1_800_000_000_000)
	old := rowsOfFormat(t, name)
	disk := store.NewFaulty(old.Clone(), fault)
	n := &node{w: w, st: old, role: role, feed: true}
	was := formatOf(t, old)
	r, err := Open(w.ctx, disk, n.config())
	if err == nil {
		if err = r.Checkpoint(w.ctx); err == nil && formatOf(t, disk.Inner()) == was {
			t.Errorf("%s: after a checkpoint it still has format %d", name, was)
		}
	}
	left := disk.Inner().(*store.Memory).Clone()
	if r != nil {
		r.Kill()
	}
	if fired = disk.Fired() > 0; fired != (err != nil) {
		t.Errorf("%s, %v: fired %v, and it says %v", name, fault, fired, err)
	}
	n.st = left
	formatOf(t, n.st)
	if fault.N == 1 && fault.Do == store.CrashBefore && rowsOf(t, n.st) != rowsOf(t, old) {
		t.Errorf("%s: something was changed before the first commit", name)
	}
	n.open()
	holdsStory(t, n, role)
	if err := n.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	n.crash()
	holdsStory(t, n, role)
	format := formatOf(t, n.st)
	if n.Kill(); format != formatMore {
		t.Errorf("%s, %v: in the end it has format %d", name, fault, format)
	}
	return fired
}

// formatOf is the format that the superblock says, in all its copies.
func formatOf(t *testing.T, st store.Store) byte {
	t.Helper()
	rows, err := st.Scan(t.Context(), store.Range{From: superblockRow, To: []byte{'S', 2}})
	if err != nil || len(rows) == 0 {
		t.Fatalf("%d superblocks, %v", len(rows), err)
	}
	for _, r := range rows {
		if _, err := parseSuperblock(r.Value); err != nil || r.Value[0] != rows[0].Value[0] {
			t.Errorf("a superblock of format %d beside one of %d, %v", r.Value[0], rows[0].Value[0], err)
		}
	}
	return rows[0].Value[0]
}
