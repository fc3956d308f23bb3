package sim

import (
	"flag"
	"runtime"
	"strings"
	"testing"
	"time"
)

var (
	withRules = flag.Bool("ruled", false, "TestSeeds and TestBudget live histories with field rules: seeds from ruledSeeds on, which is added to -seed")
	both      = flag.Bool("both", false, "every second history of TestSeeds is one with field rules")
)

// seeds gives the seeds that were asked for, one after another.
func seeds(first uint64) func(i uint64) uint64 {
	return func(i uint64) uint64 {
		seed := first + i
		if (*withRules || *both && i%2 == 1) && seed < ruledSeeds {
			return ruledSeed(seed)
		}
		return seed
	}
}

// What must happen under field rules in so many histories, beside what happens in all.
var ruledClasses = []string{"merge", "merge: removed", "merge: line removed", "merge: line in order", "rules raised", "rules of a newer engine", "merge: of what was read before"}

func TestSeedsWithRules(t *testing.T) {
	n := 60
	if runtime.GOOS == "js" || testing.Short() {
		n = 10
	}
	stats, failures, _ := manySeeds(seeds(ruledSeed(1)), n, 1, forTime(6*time.Second))
	for _, f := range failures {
		t.Error(explained(f))
	}
	t.Log(stats.report())
	for _, c := range ruledClasses {
		if stats["histories"] >= 30 && len(failures) == 0 && stats[c] == 0 {
			t.Errorf("in %d histories never happened: %s", stats["histories"], c)
		}
	}
}

// TestSeedsWithoutRules: what may happen under field rules is drawn for seeds of their own, so that others mean what they meant.
func TestSeedsWithoutRules(t *testing.T) {
	s := newSim(7, false)
	if p := s.draw(); p.rules != 0 || p.raise != 0 || strings.Contains(p.String(), "rules") {
		t.Errorf("the plan of an ordinary seed has rules: %v", &p)
	}
	s = newSim(ruledSeed(7), false)
	if p := s.draw(); p.rules == 0 || !strings.Contains(p.String(), "rules=") {
		t.Errorf("the plan of a seed with rules has none: %v", &p)
	}
}
