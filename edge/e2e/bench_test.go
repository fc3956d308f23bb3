package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"vsync/core/change"
	"vsync/core/wire"
	"vsync/edge/e2e/program"
	"vsync/edge/ws"
)

// BenchmarkPush: one device pushes batches of one object of 190 bytes, so many in a frame, as far ahead as it may, and the hub has stored
// all of them. One operation is a batch. With -host worker it is the hub of edge/worker that does it.
func BenchmarkPush(b *testing.B) {
	for _, per := range []int{1, 64} {
		b.Run(fmt.Sprintf("push=%d", per), func(b *testing.B) { benchmarkPush(b, per) })
	}
}

func benchmarkPush(b *testing.B, per int) {
	ctx := context.Background()
	h := program.Serve(b, b.TempDir())
	conn, err := ws.Dialer{}.Dial(ctx, program.DatabaseURL(h.Addr(), database))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(wire.CloseNormal, "")
	device := change.DeviceID{1}
	frames := pushFrames(b, device, b.N, per, 1)
	hello, err := wire.Append(nil, &wire.Hello{Protocol: wire.Protocol, Database: database, Device: device, LowestHeld: 1, Credit: 1 << 30, Agent: "bench"})
	if err == nil {
		err = conn.Write(ctx, hello)
	}
	if err == nil {
		_, err = conn.Read(ctx)
	}
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	sent, answered := 0, 0
	for answered < b.N {
		for sent < len(frames) && sent*per < answered+wire.MaxPushes*per {
			if err := conn.Write(ctx, frames[sent]); err != nil {
				b.Fatal(err)
			}
			sent++
		}
		n, seen := takeAccepted(b, conn)
		answered += n
		if err := conn.Write(ctx, seen); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// takeAccepted reads one message that answers batches: how many, and the seen for it.
func takeAccepted(b *testing.B, conn wire.Conn) (n int, seen []byte) {
	frame, err := conn.Read(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	m, err := wire.DecodeDown(frame)
	a, is := m.(*wire.Accepted)
	if err != nil || !is {
		b.Fatalf("expected accepted, got %+v, %v", m, err)
	}
	seen, err = wire.Append(nil, &wire.Seen{Seq: a.Seq + uint64(len(a.Annotations)) - 1})
	if err != nil {
		b.Fatal(err)
	}
	return len(a.Annotations), seen
}

// pushFrames are n batches of a device, so many in a frame, of so many changes each.
func pushFrames(b *testing.B, device change.DeviceID, n, per, changes int) (frames [][]byte) {
	value, err := change.Encode(strings.Repeat("v", 190))
	if err != nil {
		b.Fatal(err)
	}
	var before change.Hash
	var batches [][]byte
	for gen := change.Generation(1); int(gen) <= n; gen++ {
		batch := change.Batch{Header: change.Header{Device: device, Gen: gen, Stamp: now()}}
		for i := range changes {
			batch.Mutations = append(batch.Mutations, change.Mutation{Index: i, Key: change.Key{Collection: "bench", ID: fmt.Sprintf("%d-%02d", gen, i)}, Value: value})
		}
		bytes, err := batch.Encode(before)
		if err != nil {
			b.Fatal(err)
		}
		before = batch.Hash
		if batches = append(batches, bytes); len(batches) == per || int(gen) == n {
			frame, err := wire.Append(nil, &wire.Push{Gen: gen - change.Generation(len(batches)) + 1, Batches: batches})
			if err != nil {
				b.Fatal(err)
			}
			frames, batches = append(frames, frame), nil
		}
	}
	return frames
}
