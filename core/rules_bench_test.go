package core

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"vsync/core/change"
	"vsync/core/store"
)

// What merging by fields costs, always as a ratio to the same thing without, in one run.

var benchRules = change.Map{{Key: "version", Value: 1}, {Key: "conflict", Value: change.Map{{Key: "n", Value: "counter"}, {Key: "tags", Value: "set"}}}}

func mergingDoc(n, round int, who string) change.Map {
	return change.Map{{Key: "title", Value: "a document of two hundred bytes"}, {Key: "n", Value: n}, {Key: "tags", Value: []any{"p", "q", fmt.Sprint(who, round)}},
		{Key: "text", Value: fmt.Sprintf("%0110d", 7)}}
}

// mergingFeed is the feed of a hub where two devices have written 200 documents in so many rounds, each of the document as it was after the
// last round. With fork both write all of them, without it takes turns.
func mergingFeed(b *testing.B, rules, fork bool) []frame {
	const objects, rounds = 200, 10
	w := newWorld(b)
	w.hub.cp = 1 << 30
	ns := []*node{w.device(), w.device()}
	if rules {
		ns[0].setRules(benchRules)
	}
	for round := range rounds {
		for i, n := range ns {
			n.push()
			n.pull()
			if !fork && round%2 != i {
				continue
			}
			for k := range objects {
				n.put(fmt.Sprint(k), mergingDoc(round, round, fmt.Sprint(i)))
			}
		}
	}
	for _, n := range ns {
		n.push()
	}
	return benchFrames(b, w.hub.Replica, 256<<10)
}

// BenchmarkFork is a new device that takes up what two have written at once, beside what they have written in turn, and beside the same without
// field rules: time for a write, and the ratios.
func BenchmarkFork(b *testing.B) {
	ctx := context.Background()
	feeds := [][]frame{mergingFeed(b, false, false), mergingFeed(b, false, true), mergingFeed(b, true, false), mergingFeed(b, true, true)}
	var spent [4][]time.Duration // for a write
	for b.Loop() {
		for i, frames := range feeds {
			r := benchOpen(b, store.NewMemory(), RoleDevice)
			from, entries := time.Now(), 0
			for _, f := range frames {
				if err := r.Apply(ctx, f.as, f.after); err != nil {
					b.Fatal(err)
				}
				entries += len(f.as)
			}
			spent[i] = append(spent[i], time.Since(from)/time.Duration(entries))
			r.Kill()
		}
	}
	plain := median(spent[0])
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(plain, "ns/plain")
	b.ReportMetric(median(spent[1])/plain, "fork/plain")
	b.ReportMetric(median(spent[2])/plain, "merged/plain")
	b.ReportMetric(median(spent[3])/plain, "fork+merged/plain")
}

// manyVersions is a device with an object that has so many versions, all of which the hub has.
func manyVersions(t testing.TB, versions int) *node {
	w, ns := ruled(t, 1)
	n := ns[0]
	for i := range versions {
		n.put("x", mergingDoc(i, i, ""))
		if i%500 == 499 || i == versions-1 {
			n.push()
			n.pull()
		}
	}
	w.hub.check()
	return n
}

// median is what most take: a sum would be the collector's and the neighbours'.
func median(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)/2])
}

// BenchmarkManyVersions reads and writes an object of 10,000 versions, and one of 10, in turn.
func BenchmarkManyVersions(b *testing.B) {
	ns := []*node{manyVersions(b, 10), manyVersions(b, 10_000)}
	ctx := context.Background()
	var reads, writes [2][]time.Duration
	i := 0
	for b.Loop() {
		for k, n := range ns {
			from := time.Now()
			if _, _, err := n.Get(ctx, key("x")); err != nil {
				b.Fatal(err)
			}
			reads[k] = append(reads[k], time.Since(from))
			from = time.Now()
			if _, err := n.Put(ctx, key("x"), value(mergingDoc(i, i, "w"))); err != nil {
				b.Fatal(err)
			}
			writes[k] = append(writes[k], time.Since(from))
		}
		if i++; i%100 == 0 {
			b.StopTimer()
			for _, n := range ns {
				n.push()
				n.pull()
			}
			b.StartTimer()
		}
	}
	b.ReportMetric(median(reads[1])/median(reads[0]), "read/10versions")
	b.ReportMetric(median(writes[1])/median(writes[0]), "write/10versions")
}

// An object's row does not grow with its versions.
func TestManyVersionsHaveASmallRow(t *testing.T) {
	row := func(versions int) int {
		n := manyVersions(t, versions)
		b, _, err := n.tables.GetRow(n.w.ctx, objectRow(key("x")))
		if err != nil {
			t.Fatal(err)
		}
		return len(b)
	}
	few, many := row(10), row(600)
	if many > few+16 {
		t.Errorf("the row of an object of 600 versions has %d bytes, and that of one of 10 has %d", many, few)
	}
}

// BenchmarkForeignOverUnsent is a device with 2,000 own increments of an object that were not sent, which takes up 100 foreign ones in a
// frame; as a ratio to writing its own.
func BenchmarkForeignOverUnsent(b *testing.B) {
	const own, foreign = 2000, 100
	var wrote, took time.Duration
	for b.Loop() {
		w, ns := ruled(b, 2)
		ns[0].put("x", obj("n", 1))
		w.sync(ns...)
		for range foreign {
			ns[1].plus("x", 1000)
		}
		ns[1].push()
		from := time.Now()
		for range own {
			ns[0].plus("x", 1)
		}
		wrote += time.Since(from)
		frames := benchFrames(b, w.hub.Replica, 1<<20)
		took += takeUp(b, ns[0], frames)
		ns[0].wantField("x", "n", 1+own+foreign*1000)
	}
	b.ReportMetric(float64(took)/float64(wrote), "frame/2000writes")
	b.ReportMetric(float64(took.Milliseconds())/float64(b.N), "ms/frame")
}

// takeUp is how long a device takes for frames of the feed.
func takeUp(b *testing.B, n *node, frames []frame) time.Duration {
	b.Helper()
	from := time.Now()
	for _, f := range frames {
		if err := n.Apply(n.w.ctx, f.as, f.after); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(from)
}

// BenchmarkForeignMembersOverUnsent is a device with 200 own additions to a set that were not sent, which takes up 50 foreign ones, each in a
// frame of its own: for one of them, all own ones are folded again.
func BenchmarkForeignMembersOverUnsent(b *testing.B) {
	const own, foreign = 200, 50
	var took time.Duration
	for b.Loop() {
		w, ns := ruled(b, 2)
		add := func(n *node, who string, times int) {
			tags := []any{}
			for i := range times {
				tags = append(tags, fmt.Sprintf("%s, the member %d", who, i))
				n.put("x", obj("tags", tags))
			}
		}
		add(ns[0], "own", own)
		add(ns[1], "foreign", foreign)
		ns[1].push()
		frames := benchFrames(b, w.hub.Replica, 1)
		took += takeUp(b, ns[0], frames)
	}
	b.ReportMetric(float64(took.Microseconds())/float64(b.N)/foreign, "µs/foreign")
}

// BenchmarkMergedWrite writes an object under field rules, and the same without, in turn: reading what is there, working out what was
// changed, and folding it.
func BenchmarkMergedWrite(b *testing.B) {
	w, ns := ruled(b, 1)
	var writes [2][]time.Duration
	keys := []change.Key{key("x"), {Collection: "plain", ID: "x"}}
	i := 0
	for b.Loop() {
		v := value(mergingDoc(i, i, "w"))
		for k := range keys {
			from := time.Now()
			if _, err := ns[0].Put(w.ctx, keys[k], v); err != nil {
				b.Fatal(err)
			}
			writes[k] = append(writes[k], time.Since(from))
		}
		if i++; i%50 == 0 {
			b.StopTimer()
			ns[0].push()
			ns[0].pull()
			b.StartTimer()
		}
	}
	b.ReportMetric(median(writes[0])/median(writes[1]), "merged/plain")
}

// BenchmarkForeignPlainOverUnsent is a device with so many own writes of an object without field rules that were not sent, which takes up 100
// foreign ones, each in a frame of its own, and all in one.
func BenchmarkForeignPlainOverUnsent(b *testing.B) {
	const foreign = 100
	for _, own := range []int{1, 30, 300, 1000} {
		for name, bytes := range map[string]int{"alone": 1, "frame": 1 << 20} {
			b.Run(fmt.Sprintf("%d/%s", own, name), func(b *testing.B) {
				var took time.Duration
				for b.Loop() {
					w := newWorld(b)
					ns := []*node{w.device(), w.device()}
					write := func(n *node, times int) {
						for i := range times {
							n.put("x", mergingDoc(0, i, "who"))
						}
					}
					write(ns[0], own)
					write(ns[1], foreign)
					ns[1].push()
					frames := benchFrames(b, w.hub.Replica, bytes)
					took += takeUp(b, ns[0], frames)
				}
				b.ReportMetric(float64(took.Microseconds())/float64(b.N)/foreign, "µs/foreign")
			})
		}
	}
}
