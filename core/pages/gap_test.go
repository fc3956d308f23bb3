package pages

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"vsync/core/store"
)

// What no page has is not looked for again; what comes to stand there is found all the same, wherever in the stretch it is, in memory and
// in pages: runs of lookups between changes and checkpoints, held against a map.
func TestGapsAgainstModel(t *testing.T) {
	for seed := range few(40) {
		random := rand.New(rand.NewPCG(seed, 3))
		st := store.NewMemory()
		tb, model := New(st, 1), map[string][]byte{}
		key := func(i int) string { return fmt.Sprintf("%03d", i) }
		for n := range 150 {
			switch random.IntN(4) {
			case 0:
				k, val := key(random.IntN(300)), bytes.Repeat([]byte{byte(n)}, random.IntN(2_000))
				model[k] = val
				tb.Set('o', k, val)
			case 1:
				k := key(random.IntN(300))
				delete(model, k)
				tb.Delete('o', k)
			case 2:
				flush(t, st, tb, Stamp{Commit: uint64(n)}, 20_000)
			}
			from := random.IntN(300)
			for i := from; i < from+random.IntN(20); i++ {
				val, found, err := tb.Get(context.Background(), 'o', key(i))
				if want, is := model[key(i)]; err != nil || found != is || !bytes.Equal(val, want) {
					t.Fatalf("seed %d, step %d: %s is %d bytes, %v, %v; expected %d, %v", seed, n, key(i), len(val), found, err, len(want), is)
				}
			}
		}
	}
}
