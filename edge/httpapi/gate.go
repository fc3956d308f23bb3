package httpapi

import (
	"fmt"
	"sync"
)

// A gate counts the requests that are under way.
type gate struct {
	most int

	mu  sync.Mutex
	all int
	of  map[string]int // by subject; those that have some
}

// enter lets a request in, until leave.
func (g *gate) enter(subject string) (leave func(), err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.all >= g.most:
		return nil, &later{"the hub answers as many requests as it can", retryBusy}
	case g.of[subject] >= maxOfSubject && subject != "":
		return nil, &later{fmt.Sprintf("this subject has %d requests under way, which is all it may have", maxOfSubject), retryBusy}
	case g.of == nil:
		g.of = map[string]int{}
	}
	g.all++
	g.of[subject]++
	return func() { g.leave(subject) }, nil
}

func (g *gate) leave(subject string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	if g.of[subject]--; g.of[subject] == 0 {
		delete(g.of, subject)
	}
}
