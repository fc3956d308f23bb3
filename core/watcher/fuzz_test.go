package watcher

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"vsync/core/wire"
)

// Whatever a hub sends, a session neither panics nor wants to be called without end, and what the
// replica holds follows the feed.
func FuzzFrames(f *testing.F) {
	seed := func(messages ...wire.Message) {
		var b []byte
		for _, m := range messages {
			frame, err := wire.Append(nil, m)
			if err != nil {
				f.Fatal(err)
			}
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(frame))), frame...)
		}
		f.Add(b)
	}
	h, r := newHub(f), newFake(1)
	h.write(2, put("a", 10))
	h.write(2, put("b", 10))
	r.put(f, 10)
	h.take(r.own[0])
	welcome := h.welcome(&wire.Hello{Device: r.device})
	seed(welcome, h.changes(1, 2), h.accepted(3, 3))
	seed(welcome, h.changes(1, 3), &wire.Resend{Gen: 1}, &wire.Pong{}, &wire.Bye{Why: "slow"})
	seed(welcome, &wire.Changes{Seq: 1, Entries: [][]byte{{1}}, Part: wire.Part{More: true}}, &wire.Error{Code: "GAP", Gen: 1})
	seed(h.changes(1, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newFake(1)
		r.put(t, 10)
		r.put(t, 5000)
		s := New(r, Config{Database: "db", Linger: time.Second})
		now := epoch
		s.Open(t.Context(), now)
		for len(b) >= 2 && !s.Over() {
			n := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
			s.Frame(context.Background(), now, b[2:2+n])
			b = b[2+n:]
			for range 100 {
				if s.Next(t.Context()) == nil {
					break
				}
				s.Wrote(now)
			}
			if due := s.Deadline(); !due.IsZero() && due.Before(now) {
				t.Fatalf("a deadline in the past: %v at %v", due, now)
			}
			now = now.Add(100 * time.Millisecond)
			s.Tick(now)
		}
		if s.Over() == (s.Result().Outcome == Running) {
			t.Fatalf("over is %v, and the result %+v", s.Over(), s.Result())
		}
	})
}
