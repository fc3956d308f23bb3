package sim

import (
	_ "embed"
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
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

// What a test of the package lives, unless it is told how many: so many histories, and on a slow machine as many as fit into the
// time.
const (
	usualSeeds = 300
	usualTime  = 20 * time.Second
)

func TestSeeds(t *testing.T) {
	n, until := *howMany, time.Time{}
	if n == 0 {
		n, until = usualSeeds, time.Now().Add(usualTime)
	}
	if runtime.GOOS == "js" || testing.Short() {
		n = min(n, 20)
	}
	from := time.Now()
	stats, failures := manySeeds(*firstSeed, n, *patience, until)
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

// manySeeds lives histories side by side, as many as there are processors; none is begun after until, if that is not zero.
func manySeeds(first uint64, n, patience int, until time.Time) (Stats, []*Failure) {
	var next atomic.Int64
	var mu sync.Mutex
	var all sync.WaitGroup
	sum, failures := Stats{}, []*Failure(nil)
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for {
				i := next.Add(1) - 1
				mu.Lock()
				enough := i >= int64(n) || len(failures) >= patience || !until.IsZero() && time.Now().After(until)
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

// TestASeedIsAHistory: the same seed lives the same history, event by event.
func TestASeedIsAHistory(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		a, b := newSim(seed, true), newSim(seed, true)
		_, failed := a.run()
		if _, again := b.run(); (failed == nil) != (again == nil) || !slices.Equal(a.events, b.events) {
			t.Errorf("seed %d: two histories:\n%v\n--\n%v", seed, a.events, b.events)
		}
	}
}

// TestSeedsThatFoundSomething lives the histories of testdata/seeds.txt: a seed and what it found, a line.
func TestSeedsThatFoundSomething(t *testing.T) {
	for line := range strings.Lines(foundSeeds) {
		number, found, _ := strings.Cut(strings.TrimSpace(line), " ")
		seed, err := strconv.ParseUint(number, 10, 64)
		if err != nil || found == "" {
			t.Fatalf("%q is no seed with what it found", line)
		}
		if _, failure := Run(seed, true); failure != nil {
			t.Errorf("once found: %s\n%v", found, failure)
		}
	}
}

//go:embed testdata/seeds.txt
var foundSeeds string
