package changelog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
)

// TestReadersBesideTheWriter: whatever was confirmed is found, at any moment.
func TestReadersBesideTheWriter(t *testing.T) {
	st := store.NewMemory()
	l, _ := open(t, st, 1, Name{})
	own := func(n uint64) change.Version { return change.Version{Device: device(1), Gen: change.Generation(n)} }
	batches := make([][]byte, 601)
	for n := range batches {
		size := 150
		if n%50 == 3 {
			size = partMax + 100
		}
		batches[n] = batchOfSize(t, own(uint64(max(n, 1))), size, byte(n))
	}
	stop := make(chan struct{})
	errs := make(chan error, 8)
	var group sync.WaitGroup
	for i := range uint64(4) {
		group.Go(func() {
			rnd := rand.New(rand.NewPCG(i, 4))
			for {
				select {
				case <-stop:
					return
				default:
				}
				runtime.Gosched() // WebAssembly has one thread, and takes it from nobody
				if last := l.Last(); last > 0 {
					if err := readOne(l, 1+rnd.Uint64N(last), own, batches); err != nil {
						errs <- err
						return
					}
				}
			}
		})
	}
	for n := uint64(1); n < uint64(len(batches)); n++ {
		items := []Item{{ItemBatch, batches[n]}}
		if n%3 == 0 {
			items = append(items, entryItem(t, n, batchOfSize(t, change.Version{Device: device(2), Gen: change.Generation(n)}, 50, 1)))
		}
		commit(t, st, l, items)
		if n%40 == 0 {
			tx := &store.Tx{}
			done := l.Summaries(tx, l.Start(n))
			if err := st.Commit(ctx, tx); err != nil {
				t.Fatal(err)
			}
			done()
		}
	}
	close(stop)
	group.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

func readOne(l *Log, n uint64, own func(uint64) change.Version, batches [][]byte) error {
	if b, rec, ok, err := l.Find(ctx, own(n)); err != nil || !ok || !bytes.Equal(b, batches[n]) || rec.Commit != n {
		return fmt.Errorf("find %d: %v, %v", n, ok, err)
	}
	recs, err := l.Records(ctx, n)
	if err != nil || len(recs) == 0 || recs[0].Commit != n || !bytes.Equal(recs[0].Items[0].Data, batches[n]) {
		return fmt.Errorf("records from %d: %d, %v", n, len(recs), err)
	}
	if recs, err := l.BySeq(ctx, n); err != nil || len(recs) == 0 && n+3 <= l.Last() && n+6 < l.Last() {
		return fmt.Errorf("by sequence %d: %d, %v", n, len(recs), err)
	}
	if !l.Has(own(n)) || l.Held(device(1), change.Generation(n)) != 1 {
		return fmt.Errorf("%d is not there", n)
	}
	if _, ok := l.IncarnationOf(n); !ok || l.Start(n).First > n+1 || l.Size() == 0 {
		return fmt.Errorf("commit %d has no place", n)
	}
	return nil
}
