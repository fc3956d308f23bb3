package edge

import (
	"context"
	"testing"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire"
)

// A counter counts the calls of Accept, each of which is a commit.
type counter struct {
	Replica
	calls int
}

func (c *counter) Accept(ctx context.Context, in []core.Incoming) ([]core.Verdict, error) {
	c.calls++
	return c.Replica.Accept(ctx, in)
}

// What comes together is taken as if it came one by one, and pushes that follow each other share a commit.
func TestReceiveAll(t *testing.T) {
	pushes := func(d *device, gens ...change.Generation) (frames [][]byte) {
		for _, gen := range gens {
			frames = append(frames, frame(&wire.Push{Gen: gen, Batches: d.batches[gen-1 : gen]}))
		}
		return frames
	}
	upTo := func(n int) (gens []change.Generation) {
		for gen := 1; gen <= n; gen++ {
			gens = append(gens, change.Generation(gen))
		}
		return gens
	}
	for name, c := range map[string]struct {
		frames func(d *device) [][]byte
		feed   int // that were taken
		calls  int
		last   wire.Code // empty: the connection lives
	}{
		"in order":   {func(d *device) [][]byte { return pushes(d, 1, 2, 3, 4) }, 4, 1, ""},
		"a full lot": {func(d *device) [][]byte { return pushes(d, upTo(wire.MaxPushes)...) }, wire.MaxPushes, 1, ""},
		"too many":   {func(d *device) [][]byte { return pushes(d, upTo(wire.MaxPushes+1)...) }, wire.MaxPushes, 1, wire.CodeProtocol},
		"with a ping": {func(d *device) [][]byte {
			return append(append(pushes(d, 1, 2), frame(&wire.Ping{N: 1})), pushes(d, 3, 4)...)
		}, 4, 2, ""},
		"twice the same": {func(d *device) [][]byte { return pushes(d, 1, 2, 2, 3) }, 3, 2, ""},
		"with a gap":     {func(d *device) [][]byte { return pushes(d, 1, 2, 4) }, 2, 2, ""}, // asked for again
		"no message":     {func(d *device) [][]byte { return append(pushes(d, 1, 2), []byte{0xc1}) }, 2, 1, wire.CodeProtocol},
		"one alone": {func(d *device) [][]byte {
			return append(pushes(d, 1, 2), frame(&wire.Push{Gen: 3, Batches: d.batches[2:3], Alone: true}))
		}, 3, 2, ""},
	} {
		f := newFake()
		r := &counter{Replica: f}
		h := NewHub(r, Config{Database: "db"})
		d := newDevice('A')
		join(t, h, d)
		for range wire.MaxPushes + 1 {
			d.write(20)
		}
		err := d.conn.ReceiveAll(context.Background(), 0, c.frames(d))
		if (err != nil) != (c.last != "") {
			t.Errorf("%s: %v", name, err)
		}
		if len(f.feed) != c.feed || r.calls != c.calls {
			t.Errorf("%s: %d were taken in %d commits, expected %d in %d", name, len(f.feed), r.calls, c.feed, c.calls)
		}
		if m := d.lastWord(t); c.last != "" {
			refusedWith(t, m, c.last)
		}
	}
}
