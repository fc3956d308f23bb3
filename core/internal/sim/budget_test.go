package sim

import (
	"flag"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

var (
	budget = flag.Duration("for", 0, "how long TestBudget looks for a seed that fails, in time of processors; 0: three seeds")
	rare   = flag.Bool("rare", false, "TestBudget lives the stored histories first, and seeds if none of them fails")
)

// TestBudget looks for something that fails, and says in one line what it found, how many histories that took, and whether a seed or
// a stored history did it: that is how mutants are looked for. Seeds are new to the engine that they meet; a stored history was made
// short for a defect of its kind, so it shows that the checks hold what is rare, and not that it comes up. Therefore seeds are first.
func TestBudget(t *testing.T) {
	l := look{t: t, from: spent()}
	tries := []func() bool{l.seeds, l.stored}
	if *rare {
		tries = []func() bool{l.stored, l.seeds}
	}
	for _, try := range tries {
		if try() {
			return
		}
	}
	fmt.Printf("nothing found: %s\n", l.cost())
}

// look is one search for something that fails.
type look struct {
	t     *testing.T
	from  time.Duration
	lived int
}

func (l *look) cost() string {
	return fmt.Sprintf("%d histories, %.1f s", l.lived, (spent() - l.from).Seconds())
}

func (l *look) found(by string, f *Failure) {
	line, _, _ := strings.Cut(f.Text, "\n")
	l.t.Errorf("found: %s, %s: %.150s", l.cost(), by, line)
}

// wholeStores are seeds in whose histories no store is damaged while it is in use: defects that do not need it come up sooner there.
func wholeStores(i uint64) uint64 {
	seed := *firstSeed + i
	if *withRules {
		return ruledSeed(seed)
	}
	return seed
}

func (l *look) seeds() bool {
	n, end := 3, spent()+*budget
	if *budget > 0 {
		n = math.MaxInt
	}
	stats, failures, _ := manySeeds(wholeStores, n, 1, func() bool { return *budget > 0 && spent() > end })
	l.lived += stats["histories"]
	if len(failures) > 0 {
		l.found(fmt.Sprintf("seed %d", failures[0].Seed%ruledSeeds), failures[0])
	}
	return len(failures) > 0
}

func (l *look) stored() bool {
	for name, h := range storedHistories(l.t) {
		l.lived++
		if _, failure := h.Run(false); failure != nil {
			l.found("the stored history "+name, failure)
			return true
		}
	}
	return false
}
