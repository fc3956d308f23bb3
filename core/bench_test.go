package core

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
)

// The benchmarks run on store.Memory, so what they measure is the engine. A document has 200 bytes; "docs/s" counts documents.

const benchNow = 1_700_000_000_000

func benchConfig(role Role) Config {
	return Config{Role: role, Database: "bench", Now: func() uint64 { return benchNow }, Rand: rand.Reader, Feed: true,
		HubKey: []byte("0123456789abcdef")}
}

func benchOpen(b *testing.B, st store.Store, role Role) *Replica {
	b.Helper()
	r, err := Open(context.Background(), st, benchConfig(role))
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func benchReplica(b *testing.B, role Role) *Replica {
	b.Helper()
	r := benchOpen(b, store.NewMemory(), role)
	b.Cleanup(func() { r.Close() })
	return r
}

var benchValue = func() []byte {
	v, err := change.Encode(map[string]any{"title": "a document of two hundred bytes", "done": false, "n": 12345,
		"text": fmt.Sprintf("%0130d", 7)})
	if err != nil {
		panic(err)
	}
	return v
}()

func benchKey(i int) change.Key {
	return change.Key{Collection: "docs", ID: fmt.Sprintf("doc-%08d", i)}
}

func benchWrite(from, n int) Write {
	w := Write{Ops: make([]Op, n)}
	for i := range w.Ops {
		w.Ops[i] = Op{Key: benchKey(from + i), Value: benchValue}
	}
	return w
}

func benchFill(b *testing.B, r *Replica, n, batch int) {
	b.Helper()
	for i := 0; i < n; i += batch {
		if _, err := r.Write(context.Background(), benchWrite(i, batch)); err != nil {
			b.Fatal(err)
		}
	}
}

func docs(b *testing.B, each int) {
	b.ReportMetric(float64(b.N)*float64(each)/b.Elapsed().Seconds(), "docs/s")
}

func BenchmarkCommitOne(b *testing.B) {
	r := benchReplica(b, RoleDevice)
	ctx := context.Background()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := r.Put(ctx, benchKey(i), benchValue); err != nil {
			b.Fatal(err)
		}
		i++
	}
	docs(b, 1)
}

func BenchmarkCommitParallel(b *testing.B) {
	r := benchReplica(b, RoleDevice)
	ctx := context.Background()
	b.ReportAllocs()
	b.SetParallelism(64)
	var next atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Put(ctx, benchKey(int(next.Add(1))), benchValue); err != nil {
				b.Fatal(err)
			}
		}
	})
	docs(b, 1)
}

func BenchmarkCommitBatch1000(b *testing.B) {
	r := benchReplica(b, RoleDevice)
	ctx := context.Background()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := r.Write(ctx, benchWrite(i%100_000, 1000)); err != nil {
			b.Fatal(err)
		}
		i += 1000
	}
	docs(b, 1000)
}

// BenchmarkBulk10k is 10,000 new documents in an empty database, in batches of 1,000, closing included.
func BenchmarkBulk10k(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		r := benchOpen(b, store.NewMemory(), RoleDevice)
		benchFill(b, r, 10_000, 1000)
		r.Close()
	}
	docs(b, 10_000)
}

// BenchmarkCommitSameObject writes one object over and over, which the hub never confirms.
func BenchmarkCommitSameObject(b *testing.B) {
	r := benchReplica(b, RoleDevice)
	ctx := context.Background()
	for range 1000 {
		if _, err := r.Put(ctx, benchKey(1), benchValue); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Put(ctx, benchKey(1), benchValue); err != nil {
			b.Fatal(err)
		}
	}
}

// benchFeed makes a hub with a feed of n documents, so many a batch, written by another device.
func benchFeed(b *testing.B, n, batch int) *Replica {
	b.Helper()
	hub := benchReplica(b, RoleHub)
	var batches [][]byte
	var d change.DeviceID
	d[0] = 1
	var prev change.Hash
	for i := 0; i < n; i += batch {
		bt := &change.Batch{Header: change.Header{Device: d, Gen: change.Generation(i/batch + 1), Stamp: benchNow}}
		for j := range batch {
			bt.Mutations = append(bt.Mutations, change.Mutation{Kind: change.Put, Key: benchKey(i + j), Value: benchValue})
		}
		bytes, err := bt.Encode(prev)
		if err != nil {
			b.Fatal(err)
		}
		prev = bt.Hash
		batches = append(batches, bytes)
	}
	benchPush(b, hub, d, batches, 64)
	return hub
}

func benchPush(b *testing.B, hub *Replica, d change.DeviceID, batches [][]byte, each int) {
	b.Helper()
	for i := 0; i < len(batches); i += each {
		var in []Incoming
		for _, bytes := range batches[i:min(i+each, len(batches))] {
			in = append(in, Incoming{Device: d, Bytes: bytes})
		}
		vs, err := hub.Accept(context.Background(), in)
		if err != nil {
			b.Fatal(err)
		}
		for _, v := range vs {
			if v.Kind != Accepted {
				b.Fatalf("%+v", v)
			}
		}
	}
}

type frame struct {
	as    []Arrival
	after change.Hash
}

// benchFrames reads the hub's feed as frames of about size bytes.
func benchFrames(b *testing.B, hub *Replica, size int) (frames []frame) {
	b.Helper()
	var f frame
	n := 0
	for seq := uint64(0); ; {
		es, err := hub.ReadFeed(context.Background(), seq, size)
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range es {
			f.as, f.after = append(f.as, Arrival{Seq: e.Seq, Entry: e.Entry}), e.Hash
			if n += len(e.Entry); n >= size {
				frames, f, n = append(frames, f), frame{}, 0
			}
			seq = e.Seq
		}
		if len(es) == 0 {
			if len(f.as) > 0 {
				frames = append(frames, f)
			}
			return frames
		}
	}
}

func benchApply(b *testing.B, batch int) {
	const n = 20_000
	hub := benchFeed(b, n, batch)
	frames := benchFrames(b, hub, 256<<10)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		r := benchOpen(b, store.NewMemory(), RoleDevice)
		if _, err := r.Settle(ctx, Welcome{Lineage: hub.Lineage(), Epoch: 1, Head: hub.Head().Seq}); err != nil {
			b.Fatal(err)
		}
		for _, f := range frames {
			if err := r.Apply(ctx, f.as, f.after); err != nil {
				b.Fatal(err)
			}
		}
		r.Kill()
	}
	docs(b, n)
}

// BenchmarkApply1 is a new device that catches up with 20,000 batches of one document, in frames of 256 KiB.
func BenchmarkApply1(b *testing.B) { benchApply(b, 1) }

// BenchmarkApply1000 has 20 batches of 1,000 documents.
func BenchmarkApply1000(b *testing.B) { benchApply(b, 1000) }

func benchAccept(b *testing.B, batch int) {
	const n = 20_000
	src := benchReplica(b, RoleDevice)
	benchFill(b, src, n, batch)
	var batches [][]byte
	for from := change.Generation(1); ; {
		gens, bs, err := src.Unsent(context.Background(), from, 1<<20)
		if err != nil {
			b.Fatal(err)
		}
		if len(gens) == 0 {
			break
		}
		batches, from = append(batches, bs...), gens[len(gens)-1]+1
	}
	b.ReportAllocs()
	for b.Loop() {
		hub := benchOpen(b, store.NewMemory(), RoleHub)
		benchPush(b, hub, src.State().Device, batches, 64)
		hub.Kill()
	}
	docs(b, n)
}

// BenchmarkAccept1 pushes 20,000 batches of one document to a hub, 64 at a time.
func BenchmarkAccept1(b *testing.B)    { benchAccept(b, 1) }
func BenchmarkAccept1000(b *testing.B) { benchAccept(b, 1000) }

func benchmarkOpen(b *testing.B, n int) {
	st := store.NewMemory()
	r := benchOpen(b, st, RoleDevice)
	benchFill(b, r, n, 1000)
	if err := r.Checkpoint(context.Background()); err != nil {
		b.Fatal(err)
	}
	st = st.Clone()
	r.Kill()
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		r := benchOpen(b, st.Clone(), RoleDevice)
		if _, ok, err := r.Get(ctx, benchKey(n/2)); !ok || err != nil {
			b.Fatal(ok, err)
		}
		r.Kill()
	}
}

// BenchmarkOpen10k opens and reads one object, after a clean close.
func BenchmarkOpen10k(b *testing.B)  { benchmarkOpen(b, 10_000) }
func BenchmarkOpen100k(b *testing.B) { benchmarkOpen(b, 100_000) }

// BenchmarkOpenReplay opens with 4 MB of log to replay, batches of one document.
func BenchmarkOpenReplay(b *testing.B) {
	st := store.NewMemory()
	r := benchOpen(b, st, RoleDevice)
	n := 0
	for ; r.State().LogBytes < 4<<20-1000; n++ {
		if _, err := r.Put(context.Background(), benchKey(n), benchValue); err != nil {
			b.Fatal(err)
		}
	}
	r.Kill()
	b.ReportAllocs()
	for b.Loop() {
		r := benchOpen(b, st.Clone(), RoleDevice)
		r.Kill()
	}
	docs(b, n)
}

func benchGet(b *testing.B, cold bool) {
	st := store.NewMemory()
	r := benchOpen(b, st, RoleDevice)
	benchFill(b, r, 10_000, 1000)
	if cold {
		r.Close()
		r = benchOpen(b, st.Clone(), RoleDevice)
	}
	b.Cleanup(func() { r.Close() })
	keys := make([]change.Key, 10_000)
	for i := range keys {
		keys[i] = benchKey(i)
	}
	ctx := context.Background()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, ok, err := r.Get(ctx, keys[i%len(keys)]); !ok || err != nil {
			b.Fatal(ok, err)
		}
		i += 7
	}
}

// BenchmarkGetHot reads what was written since the last checkpoint; BenchmarkGetPage reads from pages.
func BenchmarkGetHot(b *testing.B)  { benchGet(b, false) }
func BenchmarkGetPage(b *testing.B) { benchGet(b, true) }

func BenchmarkScan100k(b *testing.B) {
	st := store.NewMemory()
	r := benchOpen(b, st, RoleDevice)
	benchFill(b, r, 100_000, 1000)
	r.Close()
	r = benchOpen(b, st.Clone(), RoleDevice)
	b.Cleanup(func() { r.Close() })
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range r.Scan(context.Background(), ScanRange{Collection: "docs"}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 100_000 {
			b.Fatal(n)
		}
	}
	docs(b, 100_000)
}

// BenchmarkReadFeed reads a feed of 20,000 documents in pages of 256 KiB.
func BenchmarkReadFeed(b *testing.B) {
	hub := benchFeed(b, 20_000, 1)
	b.ReportAllocs()
	for b.Loop() {
		for seq := uint64(0); ; {
			es, err := hub.ReadFeed(context.Background(), seq, 256<<10)
			if err != nil {
				b.Fatal(err)
			}
			if len(es) == 0 {
				break
			}
			seq = es[len(es)-1].Seq
		}
	}
	docs(b, 20_000)
}

// BenchmarkHistory walks the history of an object with 1,000 versions.
func BenchmarkHistory(b *testing.B) {
	r := benchReplica(b, RoleDevice)
	ctx := context.Background()
	for range 1000 {
		if _, err := r.Put(ctx, benchKey(1), benchValue); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range r.History(ctx, benchKey(1)) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 1000 {
			b.Fatal(n)
		}
	}
}

// New objects do not cost the store a look-up each: on most media that is what would take the time.
func TestBulkAsksTheStoreRarely(t *testing.T) {
	w := newWorld(t)
	disk := store.NewFaulty(store.NewMemory())
	n := &node{w: w, st: store.NewMemory(), feed: true}
	r, err := Open(w.ctx, disk, n.config())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i := range 20 {
		write := benchWrite(i*1000, 1000)
		for j := range write.Ops { // against the order
			write.Ops[j].Key = benchKey((i*1000 + j) * 7919 % 20_000)
		}
		if _, err := r.Write(w.ctx, write); err != nil {
			t.Fatal(err)
		}
	}
	if c := disk.Counts(); c[store.Gets]+c[store.Scans] > 500 {
		t.Errorf("20,000 new objects asked the store %d times", c[store.Gets]+c[store.Scans])
	}
}
