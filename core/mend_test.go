package core

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"vsync/core/store"
)

// Damage that many meet at once, while others write and checkpoints run: each reads what was there, and in the end nothing is damaged.
func TestDamageUnderWay(t *testing.T) {
	w := newWorld(t)
	a := w.asyncDevice()
	for i := range 200 {
		a.put(fmt.Sprintf("k%03d", i), fmt.Sprint(i, strings.Repeat(" long", 100)))
	}
	a.put("large", strings.Repeat("large ", 20_000))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	st := a.st.Clone()
	damaged := 0
	rows, err := st.Scan(w.ctx, store.Range{From: []byte{'O'}, To: []byte{'Q'}})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range rows {
		if i%2 == 0 {
			if _, err := store.Damage(w.ctx, st, r.Key, store.Fault{Do: store.FlipBit, Bit: 77}); err != nil {
				t.Fatal(err)
			}
			damaged++
		}
	}
	b := w.start(&node{w: w, st: st, feed: true, real: true, cp: 3000})
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 100 {
				id := fmt.Sprintf("k%03d", (i*7+g*50)%200)
				e, ok, err := b.Get(w.ctx, key(id))
				if err != nil || !ok || len(e.Value) < 500 {
					t.Errorf("%s: %v %v", id, ok, err)
				}
				if i%20 == 0 {
					n := 0
					for _, err := range b.Scan(w.ctx, ScanRange{Collection: "c", Prefix: "k", Reverse: g%2 == 0}) {
						if codeOf(err) == Aborted {
							n = 200
							break
						} else if err != nil {
							t.Error(err)
						}
						n++
					}
					if n != 200 {
						t.Errorf("a scan shows %d", n)
					}
				}
			}
		})
	}
	all.Go(func() {
		for i := range 100 {
			if _, err := b.Put(w.ctx, key(fmt.Sprint("new", i)), value(strings.Repeat("new", 30))); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	rep, err := b.Repair(w.ctx)
	if err != nil || !rep.OK {
		t.Fatal(err, rep.Findings)
	}
	if aside, err := b.Damage(w.ctx); err != nil || len(aside) < damaged {
		t.Errorf("%d rows were damaged, and listed are %v, %v", damaged, aside, err)
	}
	b.refolded()
	b.check()
}
