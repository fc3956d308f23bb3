package sim

import (
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	firstSeed = flag.Uint64("seed", 1, "first seed of TestSeeds")
	howMany   = flag.Int("seeds", 0, "how many seeds from there on; 0: what fits into the time of a test")
	patience  = flag.Int("failures", 1, "failing seeds after which TestSeeds ends")
)

// usualSeeds is what a test of the package lives: about twenty seconds with the race detector on two cores.
const usualSeeds = 300

func TestSeeds(t *testing.T) {
	n := *howMany
	if n == 0 {
		n = usualSeeds
	}
	if runtime.GOOS == "js" || testing.Short() {
		n = min(n, 20)
	}
	from := time.Now()
	stats, failures := manySeeds(*firstSeed, n, *patience)
	for _, f := range failures {
		_, traced := Run(f.Seed, true)
		if traced == nil {
			t.Errorf("%v\nand it does not fail when it is replayed: it is not determined by its seed", f)
		} else {
			t.Errorf("%v\nreplay it with: ./build.sh sim --seed %d", traced, f.Seed)
		}
	}
	lived := stats["histories"]
	t.Logf("%d histories, %.0f a minute", lived, float64(lived)/time.Since(from).Minutes())
	t.Log(stats)
}

// manySeeds lives histories side by side, as many as there are processors.
func manySeeds(first uint64, n, patience int) (Stats, []*Failure) {
	var next atomic.Int64
	var mu sync.Mutex
	var all sync.WaitGroup
	sum, failures := Stats{}, []*Failure(nil)
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for {
				i := next.Add(1) - 1
				mu.Lock()
				enough := i >= int64(n) || len(failures) >= patience
				mu.Unlock()
				if enough {
					return
				}
				stats, failure := Run(first+uint64(i), false)
				mu.Lock()
				sum["histories"]++
				for k, v := range stats {
					sum[k] += v
				}
				if failure != nil {
					failures = append(failures, failure)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.SortFunc(failures, func(a, b *Failure) int { return int(a.Seed) - int(b.Seed) })
	return sum, failures
}

func (s Stats) String() string {
	text := ""
	for _, k := range slices.Sorted(maps.Keys(s)) {
		text += fmt.Sprintf("%s %d, ", k, s[k])
	}
	return text
}
