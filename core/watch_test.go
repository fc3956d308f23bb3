package core

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"vsync/core/change"
)

// watched takes n events from a watch, as text: what changed, with its marker kept.
func (n *node) watched(o WatchOptions, count int) (out []string, markers []string) {
	n.w.t.Helper()
	if count == 0 {
		return nil, nil
	}
	for e, err := range n.Watch(n.w.ctx, o) {
		if err != nil {
			n.w.t.Fatal(err)
		}
		out, markers = append(out, describe(e)), append(markers, e.Marker)
		if len(out) == count {
			break
		}
	}
	return out, markers
}

func describe(e Event) string {
	var parts []string
	if e.Initial {
		parts = append(parts, "initial")
	}
	if e.Reset {
		parts = append(parts, "reset")
	}
	if e.Local {
		parts = append(parts, "local")
	}
	for _, c := range e.Changes {
		text := "-"
		if !c.Deleted {
			v, err := change.DecodeValue(c.Value)
			if err != nil {
				text = err.Error()
			} else {
				text = fmt.Sprint(v)
			}
		}
		if c.Conflict {
			text += "!"
		}
		parts = append(parts, c.Key.ID+"="+text)
	}
	return strings.Join(parts, " ")
}

func TestWatchFromStart(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	empty, ms := a.watched(WatchOptions{From: FromStart}, 1)
	equalStrings(t, empty, []string{"initial"})
	a.put("x", "1")
	a.put("y", "1")
	a.del("x")
	got, _ := a.watched(WatchOptions{From: ms[0]}, 3)
	equalStrings(t, got, []string{"local x=1", "local y=1", "local x=-"})
	got, ms = a.watched(WatchOptions{}, 1)
	equalStrings(t, got, []string{"initial y=1"})
	a.put("z", "1")
	got, _ = a.watched(WatchOptions{From: ms[0]}, 1)
	equalStrings(t, got, []string{"local z=1"})
}

func TestWatchFromNow(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.real = true
	a.crash()
	a.put("before", "1")
	next := make(chan string)
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() {
		for e, err := range a.Watch(ctx, WatchOptions{From: FromNow}) {
			if err != nil {
				ended <- err
				return
			}
			next <- describe(e)
		}
	}()
	for i := 0; ; i++ { // until it has begun
		a.put("x", fmt.Sprint(i))
		select {
		case got := <-next:
			if !strings.HasPrefix(got, "local x=") {
				t.Fatal(got)
			}
		default:
			runtime.Gosched()
			continue
		}
		break
	}
	cancel()
	for {
		select {
		case <-next:
			continue
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		return
	}
}

func TestWatchCollectionAndPrefix(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	ops := func(ids ...string) (out []Op) {
		for _, id := range ids {
			c, id, _ := strings.Cut(id, "/")
			out = append(out, Op{Key: change.Key{Collection: c, ID: id}, Value: value(id)})
		}
		return out
	}
	begin := watchMarker{}.String()
	for _, ids := range [][]string{{"c/ab", "d/ab", "c/b"}, {"d/x"}, {"c/abc"}} {
		if _, err := a.Write(w.ctx, Write{Ops: ops(ids...)}); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := a.watched(WatchOptions{Collection: "c", Prefix: "ab", From: begin}, 2)
	equalStrings(t, got, []string{"local ab=ab", "local abc=abc"})
	got, _ = a.watched(WatchOptions{Collection: "d", From: begin}, 2)
	equalStrings(t, got, []string{"local ab=ab", "local x=x"})
	got, _ = a.watched(WatchOptions{Collection: "c", Prefix: "ab"}, 1)
	equalStrings(t, got, []string{"initial ab=ab abc=abc"})
}

// Several batches in one commit are events of their own, and each has a marker of its own.
func TestWatchResumesWithinACommit(t *testing.T) {
	n, _, open := behindGate(t)
	var puts []func() error
	for i := range 5 {
		puts = append(puts, n.putter("x", fmt.Sprint(i)))
	}
	done := n.later(puts...)
	open()
	for _, d := range done {
		if err := <-d; err != nil {
			t.Fatal(err)
		}
	}
	n.put("x", "after")
	if s := n.State(); s.Commit != 3 {
		t.Fatalf("%d commits", s.Commit)
	}
	all, markers := n.watched(WatchOptions{From: watchMarker{}.String()}, 7)
	equalStrings(t, all, []string{"local first=first", "local x=0", "local x=1", "local x=2", "local x=3", "local x=4", "local x=after"})
	for round := range 2 {
		for i, m := range markers {
			got, again := n.watched(WatchOptions{From: m}, len(all)-i-1)
			equalStrings(t, got, all[i+1:])
			equalStrings(t, again, markers[i+1:])
		}
		if round == 0 {
			n.real = false
			n.crash()
		}
	}
}

// A batch of the hub that changes several objects is one event, and so is each of several that came in one frame.
func TestWatchShowsTheFeed(t *testing.T) {
	w := newWorld(t)
	a, b := w.device(), w.device()
	a.put("x", "1")
	if _, err := a.Write(w.ctx, Write{Note: "both", Ops: []Op{{Key: key("x"), Value: value("2")}, {Key: key("y"), Value: value("2")}}}); err != nil {
		t.Fatal(err)
	}
	a.del("y")
	a.push()
	b.pull()
	got, markers := b.watched(WatchOptions{From: watchMarker{}.String()}, 3)
	equalStrings(t, got, []string{"x=1", "x=2 y=2", "y=-"})
	// The own write comes once, when it is written; its confirmation shows nothing new.
	b.put("mine", "1")
	b.push()
	b.pull()
	b.put("end", "1")
	got, _ = b.watched(WatchOptions{From: markers[2]}, 2)
	equalStrings(t, got, []string{"local mine=1", "local end=1"})
	// A write beside one of here is a conflict when it comes, and the next that has seen both ends it.
	b.push()
	b.pull()
	a.pull()
	start := b.State().Commit
	from := watchMarker{b.inc, start, 0}.String()
	a.put("z", "a")
	b.put("z", "b")
	a.push()
	b.pull()
	b.put("z", "both")
	got, _ = b.watched(WatchOptions{From: from}, 3)
	equalStrings(t, got, []string{"local z=b", "z=b!", "local z=both"})
	// The hub shows what won, too.
	got, markers = w.hub.watched(WatchOptions{}, 1)
	equalStrings(t, got, []string{"initial end=1 mine=1 x=2 z=a"})
	b.push()
	got, _ = w.hub.watched(WatchOptions{From: markers[0]}, 2)
	equalStrings(t, got, []string{"z=b!", "z=both"})
}

// A marker of a copy of the storage that has gone another way, or of another database, is not known: all is told anew.
func TestWatchFromUnknownMarker(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", "1")
	_, early := a.watched(WatchOptions{From: watchMarker{}.String()}, 1)
	copied := &node{w: w, st: a.st.Clone(), feed: true}
	copied.open()
	t.Cleanup(func() { copied.Close() })
	a.crash()
	a.put("y", "here")
	copied.put("y", "there")
	_, here := a.watched(WatchOptions{From: early[0]}, 1)
	got, _ := copied.watched(WatchOptions{From: early[0]}, 1)
	equalStrings(t, got, []string{"local y=there"})
	got, ms := copied.watched(WatchOptions{From: here[0]}, 1)
	equalStrings(t, got, []string{"initial reset x=1 y=there"})
	copied.put("z", "on")
	got, _ = copied.watched(WatchOptions{From: ms[0]}, 1)
	equalStrings(t, got, []string{"local z=on"})
	for _, m := range []watchMarker{{a.inc, 1000, 0}, {a.inc + 1, 1, 0}, {a.inc, 1 << 60, 7}} {
		got, _ := a.watched(WatchOptions{From: m.String()}, 1)
		equalStrings(t, got, []string{"initial reset x=1 y=here"})
	}
	b := w.device() // with fewer commits
	got, _ = b.watched(WatchOptions{From: here[0]}, 1)
	equalStrings(t, got, []string{"initial reset"})
}

// What a re-entry writes anew was seen before; a marker from before it goes on behind it.
func TestWatchAcrossAReentry(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	a.put("x", "1")
	a.push()
	a.pull()
	a.put("x", "2")
	a.put("y", "2")
	_, ms := a.watched(WatchOptions{From: watchMarker{}.String()}, 2)
	if err := a.Reenter(w.ctx); err != nil {
		t.Fatal(err)
	}
	a.put("z", "3")
	for range 2 {
		got, _ := a.watched(WatchOptions{From: ms[1]}, 2)
		equalStrings(t, got, []string{"local y=2", "local z=3"})
		a.crash()
	}
	w.sync(a)
}

// What is there comes in chunks; only the last has a place to go on from, and an earlier one begins again.
func TestInitialEventsInChunks(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	const n = 2*initialChunk + 10
	for i := 0; i < n; i += 500 {
		if _, err := a.Write(w.ctx, benchWrite(i, min(500, n-i))); err != nil {
			t.Fatal(err)
		}
	}
	var sizes []int
	var markers []string
	last := ""
	for e, err := range a.Watch(w.ctx, WatchOptions{Collection: "docs"}) {
		if err != nil {
			t.Fatal(err)
		}
		if !e.Initial || e.Reset {
			t.Fatalf("%+v", e)
		}
		if len(sizes) == 0 {
			a.put("meanwhile", "1")
			if _, err := a.Write(w.ctx, benchWrite(n, 1)); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range e.Changes {
			if c.Key.ID <= last {
				t.Fatalf("%s after %s", c.Key.ID, last)
			}
			last = c.Key.ID
		}
		sizes, markers = append(sizes, len(e.Changes)), append(markers, e.Marker)
		if len(sizes) == 3 {
			break
		}
	}
	if fmt.Sprint(sizes) != fmt.Sprint([]int{initialChunk, initialChunk, 10}) || markers[0] != FromStart || markers[1] != FromStart {
		t.Errorf("chunks of %v, markers %q", sizes, markers)
	}
	got, _ := a.watched(WatchOptions{Collection: "docs", From: markers[2]}, 1)
	if len(got) != 1 || !strings.HasPrefix(got[0], "local doc-") {
		t.Errorf("%.100q", got)
	}
}

// A watcher whose snapshot is given up while it stands still begins again, and says so.
func TestInitialGivenUp(t *testing.T) {
	w := newWorld(t)
	a := w.device()
	for i := 0; i < 3*initialChunk; i += 500 {
		if _, err := a.Write(w.ctx, benchWrite(i, 500)); err != nil {
			t.Fatal(err)
		}
	}
	seen, resets := map[string]bool{}, 0
	for e, err := range a.Watch(w.ctx, WatchOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Reset {
			resets++
			clear(seen)
		}
		for _, c := range e.Changes {
			seen[c.Key.ID] = true
		}
		if len(seen) == initialChunk && resets == 0 {
			if _, err := a.Delete(w.ctx, benchKey(0)); err != nil {
				t.Fatal(err)
			}
			if err := a.Checkpoint(w.ctx); err != nil {
				t.Fatal(err)
			}
		}
		if e.Marker != FromStart {
			break
		}
	}
	if resets != 1 || len(seen) != 3*initialChunk-1 {
		t.Errorf("%d resets, %d objects", resets, len(seen))
	}
}

// A batch of 1,000 objects is never seen in part: by those who scan, who watch, and who read it from a feed.
func TestBatchesAreSeenWhole(t *testing.T) {
	w := newWorld(t)
	a := w.asyncDevice()
	a.Kill()
	a.cp = 300_000
	a.open()
	const objects, rounds = 1000, 40
	write := func(round int) {
		ops := make([]Op, objects)
		for i := range ops {
			ops[i] = Op{Key: benchKey(i), Value: value(round)}
		}
		if _, err := a.Write(w.ctx, Write{Ops: ops}); err != nil {
			t.Error(err)
		}
	}
	write(0)
	done := make(chan struct{})
	var wg sync.WaitGroup
	one := func(entries func(yield func(Entry) bool) (whole bool)) {
		var first []byte
		n := 0
		whole := entries(func(e Entry) bool {
			if n++; first == nil {
				first = e.Value
			} else if string(first) != string(e.Value) {
				t.Errorf("%s has %x beside %x", e.Key, e.Value, first)
				return false
			}
			return true
		})
		if whole && n != objects && n != 0 {
			t.Errorf("%d objects", n)
		}
	}
	for range 2 {
		wg.Go(func() {
			for reverse := false; ; reverse = !reverse {
				select {
				case <-done:
					return
				default:
				}
				runtime.Gosched() // WebAssembly has one thread
				one(func(yield func(Entry) bool) bool {
					for e, err := range a.Scan(w.ctx, ScanRange{Collection: "docs", Reverse: reverse}) {
						if codeOf(err) == Aborted { // a checkpoint could not wait
							return false
						}
						if err != nil {
							t.Error(err)
						}
						if !yield(e) {
							return false
						}
					}
					return true
				})
			}
		})
		wg.Go(func() {
			events := 0
			for e, err := range a.Watch(w.ctx, WatchOptions{Collection: "docs"}) {
				if err != nil {
					t.Error(err)
					return
				}
				if len(e.Changes) > 0 {
					one(func(yield func(Entry) bool) bool {
						for _, c := range e.Changes {
							if !yield(c) {
								return false
							}
						}
						return true
					})
				}
				if events++; len(e.Changes) > 0 && string(e.Changes[0].Value) == string(value(rounds)) {
					return
				}
			}
		})
	}
	for round := 1; round <= rounds; round++ {
		write(round)
	}
	close(done)
	wg.Wait()
	a.check()

	w.hub.Kill()
	w.hub.open()
	b := w.asyncDevice()
	a.push()
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			runtime.Gosched()
			one(func(yield func(Entry) bool) bool {
				for e, err := range b.Scan(w.ctx, ScanRange{Collection: "docs"}) {
					if err != nil {
						t.Error(err)
					}
					if !yield(e) {
						return false
					}
				}
				return true
			})
		}
	})
	b.pull()
	close(stop)
	wg.Wait()
	b.check()
}
