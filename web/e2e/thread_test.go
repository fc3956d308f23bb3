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

// longestTask is how long, in ms, one task of a page may take: what people do not notice, and what browsers begin to call long.
const longestTask = 50

// TestMainThread: while a page writes 100,000 objects, while another takes them up, and while the first one writes as many again before the
// eyes of the second, no task of a page's main thread is over 50 ms. Both pages have subscribed to all objects. Whoever is alone is held to the
// clock as well, where the machine has cores enough.
func TestMainThread(t *testing.T) {
	objects := *threadFlag
	if objects == 0 {
		return
	}
	w := newWorld(t, nil)
	shows := func(p *tab, collection string) {
		p.js(nil, `e2e.shown = e2e.result(args[0], {}, (all) => all.length === args[1])`, collection, objects)
	}
	write := func(p *tab, collection string) {
		p.js(nil, `const text = [...Array(150).keys()].map((i) => i % 10).join('');
			for (let n = 0; n < args[1]; n += 1000) {
				await db.collection(args[0]).putMany(Array.from({ length: 1000 }, (_, i) => ['note ' + String(n + i).padStart(6, '0'), { n: n + i, text }]));
			}
			await db.synced()`, collection, objects)
	}
	sees := func(p *tab) {
		var shown int
		if p.js(&shown, `return (await e2e.shown).length`); shown != objects {
			t.Errorf("%s shows %d objects, want %d", p.name, shown, objects)
		}
	}

	a := w.open(anna)
	shows(a, "notes")
	of := noteTasks(a)
	write(a, "notes")
	sees(a)
	of.end("writes", true)

	b := w.visit(bert)
	of = noteTasks(b)
	b.js(nil, `await e2e.open()`)
	shows(b, "notes")
	sees(b)
	of.end("takes up", true)

	shows(a, "more notes")
	shows(b, "more notes")
	of, other := noteTasks(a), noteTasks(b)
	write(a, "more notes")
	sees(a)
	sees(b)
	of.end("writes", false)
	other.end("sees it", false)
}

// noted are the tasks of a page's main thread, from noteTasks to end.
type noted struct {
	page  *tab
	began time.Time
	tasks func(context.Context) (browser.Tasks, error)
}

func noteTasks(p *tab) noted {
	p.t.Helper()
	tasks, err := p.chromium().Tasks(soon(p.t)) // nobody else tells of tasks
	if err != nil {
		p.t.Fatal(err)
	}
	return noted{p, time.Now(), tasks}
}

// end says what the tasks were, and that none was too long.
func (n noted) end(what string, clock bool) {
	t := n.page.t
	t.Helper()
	took := time.Since(n.began)
	tasks, err := n.tasks(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	const most = longestTask * time.Millisecond
	t.Logf("%s %s: %v; %d tasks of %v; the longest took %v of a processor (%s), and %v by the clock (%s)", n.page.name, what,
		took.Round(time.Millisecond), tasks.Count, tasks.Total, tasks.Processor, shares(tasks.OfProcessor), tasks.Clock, shares(tasks.OfClock))
	if tasks.Processor > most || clock && tasks.Clock > most && !crowded(t) {
		t.Errorf("the main thread of %s was busy for too long: no task is to take over %v", n.page.name, most)
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

// crowded says that more wants to run than the machine has cores for: then a short task may take long by the clock.
func crowded(t *testing.T) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/loadavg")
	load := 0.0
	if _, scanned := fmt.Sscan(string(text), &load); err != nil || scanned != nil {
		t.Fatal(err, scanned)
	}
	t.Logf("the load is %.1f on %d cores", load, runtime.NumCPU())
	return load > float64(runtime.NumCPU())
}
