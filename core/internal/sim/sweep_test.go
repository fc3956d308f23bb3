package sim

import (
	"flag"
	"runtime"
	"sync"
	"testing"

	"vsync/core/store"
)

var every = flag.Int("every", 13, "TestEveryStoreCall leaves out all calls but every so manieth; 1: none")

// TestEveryStoreCall lets every call of every store in a workload go wrong, in each way.
func TestEveryStoreCall(t *testing.T) {
	step := *every
	if testing.Short() || runtime.GOOS == "js" {
		step = 111
	}
	// Not at Get: the engine reads ranges, and asks for no row by its key in this workload.
	kinds := []store.Fault{
		{Do: store.Fail, On: store.Calls}, {Do: store.Full, On: store.Commits}, {Do: store.CrashBefore, On: store.Calls},
		{Do: store.CrashAfter, On: store.Calls}, {Do: store.Tear, On: store.Ops},
		{Do: store.FlipBit, On: store.Scans, Bit: 99}, {Do: store.Cut, On: store.Scans, Bytes: 3},
	}
	var sweeps []Sweep
	for _, node := range []string{"hub", "d1", "d2"} {
		for life := 1; life <= 2; life++ {
			for _, fault := range kinds {
				sweeps = append(sweeps, Sweep{Node: node, Life: life, Fault: fault})
			}
			sweeps = append(sweeps, Sweep{Node: node, Life: life, Fault: store.Fault{Do: store.CrashBefore, On: store.Commits}, Late: true})
		}
	}
	var all sync.WaitGroup
	todo := make(chan Sweep)
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for w := range todo {
				n := sweepAll(t, w, step)
				t.Logf("%s, life %d, %v at each %v, late %v: %d histories", w.Node, w.Life, w.Fault.Do, w.Fault.On, w.Late, n)
			}
		})
	}
	for _, w := range sweeps {
		todo <- w
	}
	close(todo)
	all.Wait()
}

func sweepAll(t *testing.T, w Sweep, step int) (n int) {
	for w.Fault.N = 1; ; w.Fault.N += step {
		fired, failure := w.Run(false)
		if failure != nil {
			_, failure = w.Run(true)
			t.Error(failure)
			return n
		}
		if !fired {
			if n == 0 {
				t.Errorf("%+v never happened", w)
			}
			return n
		}
		n++
	}
}
