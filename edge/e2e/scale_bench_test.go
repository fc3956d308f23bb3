//go:build workerd

package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vsync/core/change"
	"vsync/core/wire"
	"vsync/edge/e2e/program"
)

// What a hub bears. The writers are sockets of this process, which share the machine with the hub: where a rate is bound by them, the hub's
// processor time says what it would do.

// BenchmarkEdgeDatabases: the native hub with many databases open, each with a device that writes. One operation is a change of one of them.
func BenchmarkEdgeDatabases(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("databases=%d", n), func(b *testing.B) { benchmarkDatabases(b, n) })
	}
}

func benchmarkDatabases(b *testing.B, databases int) {
	h := program.NewNative(b, b.TempDir(), "--open", "1000")
	h.Start()
	changes := max(min(b.N, 32_000)/databases, 4)
	empty, from := rssOf(b, h), time.Now()
	conns := make([]*benchConn, databases)
	for i := range conns {
		name := fmt.Sprint("bench-", i)
		conns[i] = dialBench(b, program.DatabaseURL(h.Addr(), name))
		conns[i].greet(b, name, change.DeviceID{1, byte(i), byte(i >> 8)})
		defer conns[i].conn.Close(wire.CloseNormal, "")
	}
	opened, open := time.Since(from), rssOf(b, h)
	frames := make([][][]byte, databases)
	for i := range frames {
		frames[i] = pushFrames(b, change.DeviceID{1, byte(i), byte(i >> 8)}, changes, 1, 1)
	}
	used := cpuOf(b, h.Cmd.Process.Pid)
	var all sync.WaitGroup
	b.ResetTimer()
	for i, c := range conns {
		all.Go(func() {
			if err := c.sendAll(frames[i], 1); err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
	b.StopTimer()
	used = cpuOf(b, h.Cmd.Process.Pid) - used
	n := float64(changes * databases)
	b.ReportMetric(n/b.Elapsed().Seconds(), "changes/s")
	b.ReportMetric(float64(used.Microseconds())/n, "cpu-µs/change")
	b.ReportMetric(float64(opened.Microseconds())/1000/float64(databases), "ms/opening")
	b.ReportMetric(float64(open-empty)/float64(databases)/1024, "KiB/database")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkEdgeMemory: what a hub has in memory with many objects, and what each of them is of it. All of it is read again by nobody.
func BenchmarkEdgeMemory(b *testing.B) {
	for _, objects := range []int{10_000, 100_000, 1_000_000} {
		for _, host := range []string{"native", "hub"} {
			b.Run(fmt.Sprintf("objects=%d/%s", objects, host), func(b *testing.B) { benchmarkMemory(b, host, objects) })
		}
	}
}

func benchmarkMemory(b *testing.B, host string, objects int) {
	h, memory := program.NewNative(b, b.TempDir()), func(h *program.Hub) int64 { return rssOf(b, h) }
	if host == "hub" {
		h, memory = program.NewVariant(b, b.TempDir(), "billed"), func(h *program.Hub) int64 {
			bill, err := billOf(h)
			if err != nil {
				b.Fatal(err)
			}
			return int64(bill.Memory)
		}
	}
	h.Start()
	s := enterBench(b, program.DatabaseURL(h.Addr(), database), change.DeviceID{1}, false)
	defer s.conn.Close(wire.CloseNormal, "")
	empty := memory(h)
	frames := pushFrames(b, change.DeviceID{1}, objects/64, 4, 64)
	if err := s.sendUpTo(frames, 4, objects/64); err != nil {
		b.Fatal(err)
	}
	full := memory(h)
	b.ReportMetric(float64(full)/(1<<20), "MiB")
	b.ReportMetric(float64(full-empty)/float64(objects), "B/object")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkEdgeWake: from a message to an object that sleeps until its answer. Objects sleep 10 s after the last.
func BenchmarkEdgeWake(b *testing.B) {
	for _, variant := range []string{"plain", "hub"} {
		b.Run(variant, func(b *testing.B) {
			h := program.NewVariant(b, b.TempDir(), variant)
			h.Start()
			s := enterBench(b, program.DatabaseURL(h.Addr(), database), change.DeviceID{1}, variant == "plain")
			defer s.conn.Close(wire.CloseNormal, "")
			frames := pushFrames(b, change.DeviceID{1}, 64, 1, 1)
			var awake, woken []time.Duration
			for i, frame := range frames[:12] {
				asleep := i%4 == 3
				if asleep {
					time.Sleep(12 * time.Second) // what is measured is what comes after it
				}
				from := time.Now()
				if err := s.sendOne(frame, i+1); err != nil {
					b.Fatal(err)
				}
				if took := time.Since(from); asleep {
					woken = append(woken, took)
				} else if i%4 > 0 {
					awake = append(awake, took)
				}
			}
			slices.Sort(awake)
			slices.Sort(woken)
			b.ReportMetric(float64(woken[len(woken)/2].Microseconds())/1000, "ms/waking")
			b.ReportMetric(float64(awake[len(awake)/2].Microseconds())/1000, "ms/awake")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// sendOne sends a frame of one batch and waits for the answer.
func (c *benchConn) sendOne(frame []byte, last int) error {
	ctx := context.Background()
	if err := c.conn.Write(ctx, frame); err != nil {
		return err
	}
	for {
		answer, err := c.conn.Read(ctx)
		if err != nil || c.plain {
			return err
		}
		if seq, _, err := streamed(answer); err != nil || int(seq) >= last {
			return err
		}
	}
}

// rssOf is the memory of a process that is in use, in bytes.
func rssOf(b testing.TB, h *program.Hub) int64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", h.Cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
