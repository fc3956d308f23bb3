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
	hurtLogs  = flag.Bool("hurtlogs", false, "in the histories in which stores are damaged, logs of devices are, too")
)

// seeds gives the seeds that were asked for, one after another: of each four, in two stores are damaged while they are in use.
func seeds(first uint64) func(i uint64) uint64 {
	return func(i uint64) uint64 {
		seed := first + i
		if i%4 >= 2 {
			seed = hurtSeed(seed)
			if *hurtLogs {
				seed |= hurtLogSeeds
			}
		}
		if *withRules || *both && i%2 == 1 {
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

// TestSeedsWithoutHurts: what befalls stores in use is drawn for seeds of their own, too.
func TestSeedsWithoutHurts(t *testing.T) {
	for _, seed := range []uint64{7, ruledSeed(7)} {
		s := newSim(seed, false)
		if p := s.draw(); p.hurt != 0 || p.hurtLog {
			t.Errorf("the plan of seed %d has damage: %v", seed, &p)
		}
		s = newSim(hurtSeed(seed), false)
		if p := s.draw(); p.hurt == 0 || p.hurtLog || seed == ruledSeed(7) != (p.rules > 0) {
			t.Errorf("the plan of seed %d with damage is %v", seed, &p)
		}
	}
}
