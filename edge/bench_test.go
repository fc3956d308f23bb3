package edge

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"vsync/core/change"
	"vsync/core/wire"
)

// BenchmarkFanOut: one writer, 1,000 readers, each with a goroutine of its own that reads frames and
// says now and then what it has seen. One operation is a batch that all readers have got.
func BenchmarkFanOut(b *testing.B) {
	for _, per := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("push=%d", per), func(b *testing.B) { fanOut(b, 1000, per, false) })
	}
	b.Run("lockstep", func(b *testing.B) { fanOut(b, 1000, 1, true) })
}

// fanOut: in lockstep the writer waits until all have got a push, so that each reader gets each in a
// frame of its own; else those who fall behind get several in one.
func fanOut(b *testing.B, readers, per int, lockstep bool) {
	h := NewHub(newFake(), Config{Database: "db"})
	writer := newDevice('A')
	join(b, h, writer)
	for range b.N {
		writer.write(190)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	var got atomic.Int64
	for i := range readers {
		d := newDevice(0)
		d.id[0], d.id[1], d.id[2] = 9, byte(i), byte(i>>8)
		join(b, h, d)
		all.Go(func() { readAll(ctx, d.conn, uint64(b.N), &got) })
	}
	before := h.Stats()
	b.ResetTimer()
	for from := 1; from <= b.N; from += per {
		to := min(from+per-1, b.N)
		if err := writer.conn.Receive(ctx, 0, frame(&wire.Push{Gen: change.Generation(from), Batches: writer.batches[from-1 : to]})); err != nil {
			b.Fatal(err)
		}
		for {
			f, err := writer.conn.Poll(ctx)
			if err != nil {
				b.Fatal(err)
			}
			if f == nil {
				break
			}
		}
		if err := writer.conn.Receive(ctx, 0, frame(&wire.Seen{Seq: writer.conn.Info().Pos})); err != nil {
			b.Fatal(err)
		}
		for lockstep && got.Load() < int64(to*readers) {
			runtime.Gosched()
		}
	}
	all.Wait()
	b.StopTimer()
	cancel()
	s := h.Stats()
	b.ReportMetric(float64(s.Delivered-before.Delivered-uint64(b.N))/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(float64(s.Encoded-before.Encoded)/float64(b.N), "encodings/op")
}

// readAll takes frames until sequence n has come, and adds to got what it took.
func readAll(ctx context.Context, c *Conn, n uint64, got *atomic.Int64) {
	bytes, pos := 0, uint64(0)
	for {
		f, err := c.Next(ctx)
		if err != nil {
			return
		}
		was := pos
		pos = c.Info().Pos
		got.Add(int64(pos - was))
		if bytes += len(f); bytes > wire.DefaultCredit/2 || pos == n {
			bytes = 0
			if err := c.Receive(ctx, 0, frame(&wire.Seen{Seq: pos})); err != nil {
				return
			}
		}
		if pos == n {
			return
		}
	}
}

// BenchmarkAccept: a device pushes, waits for its answer, and pushes again. One operation is a batch.
func BenchmarkAccept(b *testing.B) {
	for _, per := range []int{1, 64} {
		b.Run(fmt.Sprintf("fake/push=%d", per), func(b *testing.B) { accept(b, newFake(), per) })
		b.Run(fmt.Sprintf("core/push=%d", per), func(b *testing.B) { accept(b, openReplica(b), per) })
	}
}

func accept(b *testing.B, r Replica, per int) {
	h := NewHub(r, Config{Database: "db"})
	d := newDevice('A')
	join(b, h, d)
	for range b.N {
		d.write(190)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for from := 1; from <= b.N; from += per {
		to := min(from+per-1, b.N)
		if err := d.conn.Receive(context.Background(), 0, frame(&wire.Push{Gen: change.Generation(from), Batches: d.batches[from-1 : to]})); err != nil {
			b.Fatal(err)
		}
		drain(b, d)
		if err := d.conn.Receive(context.Background(), 0, frame(&wire.Seen{Seq: d.seq})); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCatchUp: a device that has nothing gets 10,000 batches. One operation is all of them.
func BenchmarkCatchUp(b *testing.B) {
	const n = 10_000
	h := NewHub(openReplica(b), Config{Database: "db"})
	writer := newDevice('A')
	join(b, h, writer)
	for range n {
		writer.write(190)
	}
	for from := change.Generation(1); from <= n; from += 100 {
		if err := writer.push(context.Background(), 0, from, from+99, wire.FrameBudget); err != nil {
			b.Fatal(err)
		}
		drain(b, writer)
		if err := writer.conn.Receive(context.Background(), 0, frame(&wire.Seen{Seq: writer.seq})); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for range b.N {
		h.recent.init(defaultRecent)
		d := newDevice('B')
		d.conn = h.Connect(0, Peer{})
		if err := d.conn.Receive(context.Background(), 0, frame(&wire.Hello{Protocol: 1, Database: "db", Device: d.id, LowestHeld: 1, Credit: 16 << 20})); err != nil {
			b.Fatal(err)
		}
		readAll(context.Background(), d.conn, n, new(atomic.Int64))
		d.conn.Close()
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
