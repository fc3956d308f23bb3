package e2e

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"vsync/web/browser"
)

var threadFlag = flag.Int("objects", 0, "how many objects TestMainThread writes and takes up; 0: it does nothing")

// TestMainThread: while 100,000 objects are written, and another device takes them up, and both pages have subscribed to all of them, no task
// of either page's main thread is over 50 ms.
func TestMainThread(t *testing.T) {
	objects := *threadFlag
	if objects == 0 {
		return
	}
	const most = longestTask * time.Millisecond
	a, b := newWorld(t, nil).both()
	ends := map[*tab]func(context.Context) (browser.Tasks, error){}
	for _, p := range []*tab{a, b} {
		p.js(nil, `e2e.shown = e2e.result('notes', {}, (all) => all.length === args[0])`, objects)
		end, err := p.chromium().Tasks(soon(t)) // nobody else tells of tasks
		if err != nil {
			t.Fatal(err)
		}
		ends[p] = end
	}
	began := time.Now()
	a.js(nil, `for (let n = 0; n < args[0]; n += 1000) {
			await notes.putMany(Array.from({ length: 1000 }, (_, i) => ['note ' + String(n + i).padStart(6, '0'), { n: n + i, text: 'x'.repeat(150) }]))
		}
		await db.synced()`, objects)
	for _, p := range []*tab{a, b} {
		var shown int
		if p.js(&shown, `return (await e2e.shown).length`); shown != objects {
			t.Errorf("%s shows %d objects, want %d", p.name, shown, objects)
		}
	}
	t.Logf("%d objects in %v", objects, time.Since(began))
	for _, p := range []*tab{a, b} {
		tasks, err := ends[p](soon(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d tasks of %v; the longest took %v of a processor (%s), and %v by the clock (%s)", p.name, tasks.Count, tasks.Total,
			tasks.Processor, shares(tasks.OfProcessor), tasks.Clock, shares(tasks.OfClock))
		if tasks.Processor > most || tasks.Clock > most && !crowded(t) {
			t.Errorf("the main thread of %s was busy for too long: no task is to take over %v", p.name, most)
		}
	}
}

// shares are the events of a task, the longest first; not those of less than a millisecond.
func shares(of map[string]time.Duration) string {
	var text []string
	for _, name := range slices.SortedFunc(maps.Keys(of), func(a, b string) int { return cmp.Compare(of[b], of[a]) }) {
		if of[name] >= time.Millisecond {
			text = append(text, fmt.Sprintf("%s %v", name, of[name].Round(100*time.Microsecond)))
		}
	}
	return strings.Join(text, ", ")
}

// crowded says that so much else runs on the machine that a short task may take long.
func crowded(t *testing.T) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/loadavg")
	load := 0.0
	if _, scanned := fmt.Sscan(string(text), &load); err != nil || scanned != nil {
		t.Fatal(err, scanned)
	}
	t.Logf("the load is %.1f on %d cores", load, runtime.NumCPU())
	return load > 3*float64(runtime.NumCPU())
}
