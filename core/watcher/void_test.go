package watcher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vsync/core"
	"vsync/core/store"
	"vsync/core/wire"
	"vsync/edge"
)

// A deaf line breaks instead of bringing what the hub says about own batches.
type deaf struct{ wire.Conn }

func (d deaf) Read(ctx context.Context) ([]byte, error) {
	frame, err := d.Conn.Read(ctx)
	if err != nil {
		return nil, err
	}
	switch m, _ := wire.DecodeDown(frame); m.(type) {
	case *wire.Voided, *wire.Accepted:
		d.Close(wire.CloseAbnormal, "")
		return nil, errNoRoute
	}
	return frame, nil
}

// A device whose batch was refused leaves before it hears of it. Much later, when the hub is another process and the feed has gone far,
// it comes back: it hears of it, and has the values.
func TestRealVoidMuchLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := edge.Config{Database: "db", MaxBatch: 20_000}
		w := newTown(t, cfg)
		w.replica.Close()
		st := store.NewMemory()
		w.found(st, cfg)
		a, b := w.move("a", store.NewMemory()), w.move("b", store.NewMemory())
		a.w.feed.Dial = func(ctx context.Context, url string) (wire.Conn, error) {
			c, err := w.dial(ctx, url)
			return deaf{c}, err
		}
		bad := a.put(t, "x", strings.Repeat("large", 6000))
		behind := a.put(t, "x", "small")
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan struct{})
		go func() { a.w.Run(ctx); close(gone) }()
		time.Sleep(time.Minute)
		leave()
		<-gone
		if s := a.w.Status(); s.Pending != 2 {
			t.Fatalf("%+v", s)
		}

		go b.w.Run(t.Context())
		for i := range 500 {
			b.put(t, fmt.Sprint("k", i), strings.Repeat("x", 500))
		}
		time.Sleep(time.Minute)
		if err := w.replica.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.hub.Close()
		w.replica.Kill()
		w.found(st.Clone(), cfg)
		time.Sleep(24 * time.Hour)

		var err error
		if a.w, err = NewWatcher(a.Replica, Feed{URL: a.w.feed.URL, Database: "db", Dial: w.dial, Clock: a.w.feed.Clock, Rand: a.w.feed.Rand}); err != nil {
			t.Fatal(err)
		}
		go a.w.Run(t.Context())
		time.Sleep(time.Minute)
		w.agree(a, b)
		problems, err := a.Problems(t.Context())
		if err != nil || len(problems) != 1 || problems[0].Version != bad || len(problems[0].Ops[0].Value) < 30_000 {
			t.Errorf("%d problems, %v", len(problems), err)
		}
		var why *core.Error
		if err := a.WaitSynced(t.Context(), bad); !errors.As(err, &why) || why.Code != core.Invalid || !strings.Contains(why.Message, "bytes") {
			t.Error(err)
		}
		if err := a.WaitSynced(t.Context(), behind); err != nil {
			t.Error(err)
		}
		w.close(a, b)
	})
}
