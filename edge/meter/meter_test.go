package meter

import (
	"fmt"
	"testing"
)

func TestTake(t *testing.T) {
	m := New(1000, 4)
	const now = uint64(1_000_000)
	take := func(subject string, at uint64, cost int, want uint64) {
		t.Helper()
		if got := m.Take(subject, at, cost); got != want {
			t.Errorf("%s at %d: wait %d, want %d", subject, at-now, got, want)
		}
	}
	take("a", now, 3999, 0)
	take("a", now, 2001, 0)     // 1 was left, 2000 are owed
	take("a", now, 1, 3001)     // to have 1000
	take("b", now, 1, 0)        // another's
	take("a", now-500, 1, 3001) // a clock that was set back gives nothing
	take("a", now+1000, 1, 1501)
	take("a", now+2501, 1500, 0) // what was said
	take("a", now+100_000, 4000, 0)
	take("a", now+100_000, 1, 1001)
}

// A rate that is asked in many small steps fills no less than one that is asked seldom.
func TestSmallSteps(t *testing.T) {
	m := New(3, 2)
	m.Take("a", 0, 6)
	taken := 0
	for now := uint64(0); now <= 10_000; now++ {
		if m.Take("a", now, 1) == 0 {
			taken++
		}
	}
	if taken < 28 || taken > 32 {
		t.Errorf("3 a second for 10 s gave %d", taken)
	}
}

func TestRoom(t *testing.T) {
	m := New(1000, 4)
	for i := range 3 * maxSubjects {
		m.Take(fmt.Sprint(i), 1, 1)
	}
	if n := len(m.of); n > maxSubjects {
		t.Errorf("%d buckets", n)
	}
}
