//go:build workerd

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vsync/core/change"
	"vsync/core/wire"
	"vsync/edge/e2e/program"
	"vsync/edge/ws"
)

// BenchmarkEdge: a hub in a Durable Object, under workerd with storage on disk, and one in plain JavaScript that stores and hands on the
// same bytes: see edge/worker/plain. One operation is a change of 190 bytes. The sender is as far ahead as the protocol allows.
//
//	frame=1x1    a frame brings one batch of one change
//	frame=64x1   64 batches of one change, as they are when they were written one by one
//	frame=1x64   one batch of 64 changes, as they are when they were written together
//
// Where a frame has many, an operation is ten of them: the first second is that in which V8 compiles what is hot.
//
// Processor time is that of all of workerd, and so it has the kernel's for sockets and files in it. An object runs in one thread at a
// time: that of the thread which had most bounds what an object can do where nothing else wants the processor.
func BenchmarkEdge(b *testing.B) {
	for _, shape := range []struct{ batches, changes, readers int }{
		{1, 1, 0}, {1, 1, 1}, {1, 1, 10}, {1, 1, 100}, {64, 1, 0}, {64, 1, 10}, {1, 64, 0}, {1, 64, 10},
	} {
		for _, variant := range []string{"plain", "hub"} {
			b.Run(fmt.Sprintf("frame=%dx%d/readers=%d/%s", shape.batches, shape.changes, shape.readers, variant), func(b *testing.B) {
				benchmarkEdge(b, variant, shape.batches, shape.changes, shape.readers)
			})
		}
	}
}

// countedFrames is of how many frames rows are counted: some checkpoints are among them.
const countedFrames = 4000

func benchmarkEdge(b *testing.B, variant string, batches, changes, readers int) {
	h := program.NewVariant(b, b.TempDir(), variant)
	h.Start()
	plain := variant == "plain"
	url := program.DatabaseURL(h.Addr(), database)
	each := batches * changes
	n := b.N
	if each > 1 {
		n *= 10
	}
	whole := max(n/each, 1) // frames are whole, all of them
	frames := pushFrames(b, change.DeviceID{1}, whole*batches, batches, changes)
	wait := haveRead(b, url, readers, plain, len(frames), batches)
	s := enterBench(b, url, change.DeviceID{1}, plain)
	defer s.conn.Close(wire.CloseNormal, "")
	used := cpuOf(b, h.Cmd.Process.Pid)
	threads := threadsOf(b, h.Cmd.Process.Pid)
	b.ResetTimer()
	if err := s.sendAll(frames, batches); err != nil {
		b.Fatal(err)
	}
	wait()
	b.StopTimer()
	used = cpuOf(b, h.Cmd.Process.Pid) - used
	busiest := time.Duration(0)
	for task, d := range threadsOf(b, h.Cmd.Process.Pid) {
		busiest = max(busiest, d-threads[task])
	}
	counted := frames[:min(len(frames), countedFrames)]
	rows, bytes := storedOf(b, variant, counted, batches, readers)
	done := float64(whole * each)
	b.ReportMetric(done/b.Elapsed().Seconds(), "changes/s")
	b.ReportMetric(float64(len(frames))/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(float64(used.Microseconds())/float64(len(frames)), "cpu-µs/frame")
	b.ReportMetric(float64(busiest.Microseconds())/float64(len(frames)), "thread-µs/frame")
	b.ReportMetric(rows/float64(len(counted)*each), "rows/change")
	b.ReportMetric(bytes/float64(len(counted)*each), "stored-B/change")
	b.ReportMetric(0, "ns/op")
}

// haveRead has readers enter. Wait returns when all have all frames.
func haveRead(b *testing.B, url string, readers int, plain bool, frames, batches int) (wait func()) {
	b.Helper()
	var all sync.WaitGroup
	for i := range readers {
		r := enterBench(b, url, change.DeviceID{2, byte(i)}, plain)
		b.Cleanup(func() { r.conn.Close(wire.CloseNormal, "") })
		all.Go(func() {
			if err := r.readAll(frames, batches); err != nil {
				b.Error(err)
			}
		})
	}
	return all.Wait
}

// storedOf is what frames cost in rows and bytes, as edge/worker/bill counts them: in a run of their own, as counting takes time.
func storedOf(b *testing.B, variant string, frames [][]byte, batches, readers int) (rows, bytes float64) {
	b.Helper()
	h := program.NewVariant(b, b.TempDir(), map[string]string{"plain": "billed-plain", "hub": "billed"}[variant])
	h.Start()
	url, plain := program.DatabaseURL(h.Addr(), database), variant == "plain"
	wait := haveRead(b, url, readers, plain, len(frames), batches)
	s := enterBench(b, url, change.DeviceID{1}, plain)
	defer s.conn.Close(wire.CloseNormal, "")
	before, err := billOf(h)
	if err == nil {
		err = s.sendAll(frames, batches)
		wait()
	}
	after, failed := billOf(h)
	if err = errors.Join(err, failed); err != nil {
		b.Fatal(err)
	}
	used := after.minus(before)
	return used.RowsWritten, used.Bytes
}

// cpuOf is the processor time that a process has used.
func cpuOf(b testing.TB, pid int) (used time.Duration) {
	b.Helper()
	for _, d := range threadsOf(b, pid) {
		used += d
	}
	return used
}

// threadsOf is cpuOf each of its threads.
func threadsOf(b testing.TB, pid int) map[string]time.Duration {
	b.Helper()
	used := map[string]time.Duration{}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(tasks) == 0 {
		b.Fatalf("%v, %d tasks", err, len(tasks))
	}
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		ns, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(ns, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		used[path] = time.Duration(n)
	}
	return used
}

// A benchConn is one of the ends of a benchmark.
type benchConn struct {
	conn  wire.Conn
	plain bool
}

func enterBench(b *testing.B, url string, device change.DeviceID, plain bool) *benchConn {
	b.Helper()
	c := dialBench(b, url)
	if c.plain = plain; !plain {
		c.greet(b, database, device)
	}
	return c
}

func dialBench(b *testing.B, url string) *benchConn {
	b.Helper()
	conn, err := ws.Dialer{}.Dial(context.Background(), url)
	if err != nil {
		b.Fatal(err)
	}
	return &benchConn{conn: conn}
}

// greet says hello to a hub, and waits for the welcome.
func (c *benchConn) greet(b *testing.B, name string, device change.DeviceID) {
	b.Helper()
	err := c.say(&wire.Hello{Protocol: wire.Protocol, Database: name, Device: device, LowestHeld: 1, Credit: wire.DefaultCredit, Agent: "bench"})
	if err == nil {
		_, err = c.conn.Read(context.Background())
	}
	if err != nil {
		b.Fatal(err)
	}
}

// sendAll sends frames of so many batches each, but the last, which may have fewer, and returns when all are answered.
func (c *benchConn) sendAll(frames [][]byte, batches int) error {
	return c.sendUpTo(frames, batches, len(frames)*batches)
}

// sendUpTo is sendAll of frames that hold so many batches together.
func (c *benchConn) sendUpTo(frames [][]byte, batches, all int) error {
	ctx := context.Background()
	sent, answered, unseen := 0, 0, 0
	for answered < all {
		for sent < len(frames) && sent*batches < answered+wire.MaxPushes*batches {
			if err := c.conn.Write(ctx, frames[sent]); err != nil {
				return err
			}
			sent++
		}
		frame, err := c.conn.Read(ctx)
		if err != nil {
			return err
		}
		if c.plain {
			answered += batches
			continue
		}
		last, size, err := streamed(frame)
		if err != nil {
			return err
		}
		answered = int(last)
		if unseen += size; unseen > wire.DefaultCredit/4 {
			unseen = 0
			if err := c.say(&wire.Seen{Seq: last}); err != nil {
				return err
			}
		}
	}
	return nil
}

// readAll reads until all has come.
func (c *benchConn) readAll(frames, batches int) error {
	ctx := context.Background()
	unseen := 0
	for last := 0; last < frames*batches; {
		frame, err := c.conn.Read(ctx)
		if err != nil {
			return err
		}
		if c.plain {
			last += batches
			continue
		}
		seq, size, err := streamed(frame)
		if err != nil {
			return err
		}
		last = max(last, int(seq))
		if unseen += size; unseen > wire.DefaultCredit/4 {
			unseen = 0
			if err := c.say(&wire.Seen{Seq: seq}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *benchConn) say(m wire.Message) error {
	frame, err := wire.Append(nil, m)
	if err != nil {
		return err
	}
	return c.conn.Write(context.Background(), frame)
}

// streamed says up to which place of the feed a frame goes, and what it takes of the credit.
func streamed(frame []byte) (last uint64, size int, err error) {
	m, err := wire.DecodeDown(frame)
	switch m := m.(type) {
	case *wire.Accepted:
		return m.Seq + uint64(len(m.Annotations)) - 1, len(frame), nil
	case *wire.Changes:
		return m.Seq + uint64(len(m.Entries)) - 1, len(frame), nil
	case *wire.Pong:
		return 0, 0, nil
	}
	return 0, 0, fmt.Errorf("expected the feed, got %+v, %v", m, err)
}
