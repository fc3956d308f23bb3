package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"vsync/edge/e2e/ledger"
	"vsync/edge/e2e/proxy"
)

// longLife is how long a browser lives at most in a storm: in the time of the test there have to be some lives.
const longLife = 4 * time.Second

// TestThroughCuts: two browsers write at random through networks that cut, delay and stall, while the hub is killed again and
// again, and so are the browsers, with all of their processes; or a page is reloaded, or closed, or the worker that holds the
// engine ends. When all is well again, every write that was confirmed is there exactly once, no batch was ever seen in part,
// both hold the same, and each has been told every batch once.
func TestThroughCuts(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-args -seed %d -for %v", seed, *timeFlag)
	s := newStory(newWorld(t, func(n int) proxy.Script {
		plan := proxy.Plan{
			Seed: seed + uint64(n), Gap: 100_000, Delays: 5, Stalls: 1, Cuts: 4,
			MaxDelay: 20 * time.Millisecond, MaxStall: 500 * time.Millisecond,
		}
		return plan.Script()
	}))
	s.spoil(seed)
	s.fine()
	for _, road := range s.roads { // nothing of the dead is on the way any more
		road.Close()
	}
	for _, d := range []*device{anna, bert} {
		s.roads[d] = s.road(nil)
	}
	s.hub.Restart()
	a, b := s.open(anna), s.open(bert)
	s.judge(a, b)
}

// spoil lets everybody live and die, for a time.
func (s *story) spoil(seed uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), *timeFlag+4*time.Minute)
	defer cancel()
	ends := map[string]int{}
	var mu sync.Mutex
	proves := func() bool { // so much has happened that what is found afterwards says something
		mu.Lock()
		defer mu.Unlock()
		cuts := 0
		for _, road := range s.roads {
			cuts += road.Stats().Cuts()
		}
		return cuts > 1 && ends["kill -9"] > 0 && s.ledger.Sum()[ledger.Synced] >= 100
	}
	go func() { // on a machine with much else to do it takes longer until something has happened
		<-time.After(*timeFlag)
		s.ledger.Until(ctx, proves)
		cancel()
	}()
	var group sync.WaitGroup
	for i, d := range []*device{anna, bert} {
		group.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i+1)))
			for s.going(ctx) {
				how, err := s.live(ctx, d, r)
				if err != nil {
					s.ledger.Tell(ledger.Wrong, fmt.Sprintf("%s: %v", d.name, err))
					return
				}
				mu.Lock()
				ends[how]++
				mu.Unlock()
			}
		})
	}
	r, kills := rand.New(rand.NewPCG(seed, 0)), 0
	for s.going(ctx) {
		s.ledger.More(ctx, 50+r.IntN(300), longLife)
		s.hub.Restart()
		kills++
	}
	group.Wait()
	s.t.Logf("the hub was killed %d times, lives of browsers ended so: %v; writes: %v", kills, ends, s.ledger.Sum())
	for d, road := range s.roads {
		s.t.Logf("%s: %+v, %d resets", d.name, road.Stats(), s.seen[d].resets)
	}
	if !proves() || kills == 0 {
		s.t.Error("there were hardly any cuts, kills, or writes that were synced: this proves nothing")
	}
}

func (s *story) going(ctx context.Context) bool {
	return ctx.Err() == nil && len(s.ledger.Wrong()) == 0
}

// live lets a browser write, watch and look, with reloads in between, and ends it.
func (s *story) live(ctx context.Context, d *device, r *rand.Rand) (how string, err error) {
	d.start(s.t)
	p := d.open(s.t, s.address(d), s.listener(d))
	for reloads := r.IntN(3); ; reloads-- {
		p.js(nil, `await e2e.open()`)
		s.storm(d, p)
		s.ledger.More(ctx, 50+r.IntN(400), longLife)
		if reloads <= 0 || !s.going(ctx) {
			break
		}
		p.reload()
	}
	switch n := r.IntN(10); {
	case n < 6:
		err = d.Kill()
		d.Driver = nil
		p.gone()
		return "kill -9", err
	case n < 8:
		p.gone()
		return "closed tab", nil
	}
	err = s.endEngine(d)
	p.gone()
	return "ended worker", err
}
