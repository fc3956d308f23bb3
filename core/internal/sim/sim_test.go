package sim

import (
	"embed"
	"flag"
	"fmt"
	"iter"
	"math"
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
	minutes   = flag.Float64("minutes", 0, "for so many minutes TestSeeds lives new histories, in place of a number of them")
	patience  = flag.Int("failures", 1, "failing seeds after which TestSeeds ends")
	whole     = flag.Bool("whole", false, "show a failing history as it was lived, not only what is left of it when it is shrunk")
)

// What a test of the package lives, unless it is told how many: so many histories, and on a slow machine as many as fit into the
// time.
//
// In enoughSeeds, every class of what can happen does, and half of the histories have leastOperations.
const (
	enoughSeeds     = 200
	leastOperations = 200

	usualSeeds = 300
	usualTime  = 20 * time.Second
)

func TestSeeds(t *testing.T) {
	n, over := *howMany, forTime(usualTime)
	if n == 0 {
		n = usualSeeds
	} else {
		over = func() bool { return false }
	}
	if runtime.GOOS == "js" || testing.Short() {
		n = min(n, 20)
	}
	if *minutes > 0 {
		n, over = math.MaxInt, forTime(time.Duration(*minutes*float64(time.Minute)))
	}
	from := time.Now()
	stats, failures, each := manySeeds(seeds(*firstSeed), n, *patience, over)
	for _, f := range failures {
		t.Error(explained(f))
	}
	if *whole && len(failures) == 0 {
		for i := range uint64(n) {
			seed := seeds(*firstSeed)(i)
			t.Logf("seed %d does not fail:\n%s", seed, strings.Join(lived(seed), "\n"))
		}
	}
	count := stats["histories"]
	t.Logf("%d histories, %.0f a minute", count, float64(count)/time.Since(from).Minutes())
	slices.Sort(each)
	median := each[len(each)/2]
	t.Logf("operations in a history: %d in the median, %d to %d in nine of ten", median, each[len(each)/20], each[len(each)-1-len(each)/20])
	t.Log(stats.report())
	if count >= enoughSeeds && len(failures) == 0 {
		if none := stats.unreached(); len(none) > 0 {
			t.Errorf("in %d histories never happened: %s", count, strings.Join(none, ", "))
		}
		if median < leastOperations {
			t.Errorf("a history has %d operations in the median, and should have %d", median, leastOperations)
		}
	}
}

// lived is the trace of a history.
func lived(seed uint64) []string {
	s := newSim(seed, true)
	s.plan = s.draw()
	s.run()
	return s.events
}

// shrinkLives bounds what making a failing history shorter may cost: about half a minute.
const shrinkLives = 1500

// explained is a failure with the short history that is left of it, and its trace.
func explained(f *Failure) string {
	var b strings.Builder
	h, failure := Record(f.Seed)
	if failure == nil || failure.Promise != f.Promise || failure.Step != f.Step {
		fmt.Fprintf(&b, "%v\nand when it is replayed, %v: it is not determined by its seed", f, failure)
		return b.String()
	}
	if *whole {
		_, traced := Run(f.Seed, true)
		fmt.Fprintf(&b, "%v\n", traced)
	}
	steps := len(h.steps)
	h, _ = Shrink(h, failure.Promise, shrinkLives)
	_, traced := h.Run(true)
	fmt.Fprintf(&b, "seed %d fails at %s\n", f.Seed, f.Text)
	fmt.Fprintf(&b, "\nof its %d steps, %d are left that fail by the same promise; as a file of testdata they are replayed in every test:\n\n%s\n%v\n", steps, len(h.steps), h, traced)
	fmt.Fprintf(&b, "\nreplay it with: ./build.sh sim --seed %d", f.Seed)
	return b.String()
}

// forTime is over when so much time has passed.
func forTime(d time.Duration) (over func() bool) {
	end := time.Now().Add(d)
	return func() bool { return time.Now().After(end) }
}

// manySeeds lives histories side by side, as many as there are processors; none is begun once it is over.
func manySeeds(seed func(i uint64) uint64, n, patience int, over func() bool) (sum Stats, failures []*Failure, operated []int) {
	var next atomic.Int64
	var mu sync.Mutex
	var all sync.WaitGroup
	sum = Stats{}
	defer everyMinute(func(n int) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("%d min: %d histories, %d a minute, %d failures\n", n, sum["histories"], sum["histories"]/n, len(failures))
	})()
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for {
				i := next.Add(1) - 1
				mu.Lock()
				enough := i >= int64(n) || len(failures) >= patience || over()
				mu.Unlock()
				if enough {
					return
				}
				stats, failure := Run(seed(uint64(i)), false)
				mu.Lock()
				sum["histories"]++
				operated = append(operated, stats[operations])
				for k, v := range stats {
					sum[k] += v
				}
				if failure != nil {
					failures = append(failures, failure)
					if patience > 1 { // they are explained when enough were found
						line, _, _ := strings.Cut(failure.Text, "\n")
						fmt.Printf("seed %d fails at %.200s\n", failure.Seed, line)
					}
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.SortFunc(failures, func(a, b *Failure) int { return int(a.Seed) - int(b.Seed) })
	return sum, failures, operated
}

// everyMinute calls show with 1, 2, 3 … until it is ended.
func everyMinute(show func(minute int)) (end func()) {
	tick := time.NewTicker(time.Minute)
	over := make(chan struct{})
	go func() {
		for n := 1; ; n++ {
			select {
			case <-tick.C:
				show(n)
			case <-over:
				tick.Stop()
				return
			}
		}
	}()
	return func() { close(over) }
}

// TestASeedIsAHistory: the same seed lives the same history, event by event.
func TestASeedIsAHistory(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		a, b := newSim(seed, true), newSim(seed, true)
		a.plan, b.plan = a.draw(), b.draw()
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

// TestHistoriesThatFoundSomething lives the histories testdata/*.history: each was shrunk from a seed that failed, and says
// above what it found. Unlike a seed it means the same when what is drawn changes.
func TestHistoriesThatFoundSomething(t *testing.T) {
	for name, h := range storedHistories(t) {
		if _, failure := h.Run(true); failure != nil {
			t.Errorf("%s: %v", name, failure)
		}
	}
}

// storedHistories are all of testdata, by their files' names.
func storedHistories(t *testing.T) iter.Seq2[string, *History] {
	t.Helper()
	files, err := foundHistories.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(string, *History) bool) {
		for _, file := range files {
			if name, is := strings.CutSuffix(file.Name(), ".history"); is && !yield(name, storedHistory(t, file.Name())) {
				return
			}
		}
	}
}

func storedHistory(t *testing.T, file string) *History {
	t.Helper()
	text, err := foundHistories.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	h, err := ParseHistory(string(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return h
}

//go:embed testdata/seeds.txt
var foundSeeds string

//go:embed testdata
var foundHistories embed.FS
