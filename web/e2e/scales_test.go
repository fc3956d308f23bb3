package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"vsync/web/browser"
)

// scales goes in front of the worker's script, which tells who asks how much memory the engine has, and which engine it is.
const scales = `{
	const scales = new BroadcastChannel('scales'), of = crypto.randomUUID();
	const keep = (made) => {
		const { mem } = (made.instance ?? made).exports;
		scales.onmessage = ({ data }) => data === 'weigh' && scales.postMessage({ of, memory: mem.buffer.byteLength });
		return made;
	};
	for (const name of ['instantiate', 'instantiateStreaming']) {
		const was = WebAssembly[name];
		WebAssembly[name] = (...args) => was.apply(WebAssembly, args).then(keep);
	}
}
`

// A sample is what is in use at a moment, in bytes, by the name of who uses it.
type sample struct {
	at              time.Duration
	writes, written float64            // confirmed so far: how many, and their bytes
	memory          map[string]float64 // after garbage was collected
	stored          map[string]float64
	of              map[string]string // by the names of memory: the process, page or engine that it was; another one begins anew
}

// What memory may grow by from the second third of the calm time to the last, however much was written meanwhile, once it is larger than
// what caches take that are full. An engine's memory never shrinks; of a browser's, the most is what its own processes keep at hand.
var (
	mayGrow = map[string]float64{"engine": 8 << 20, "worker": 4 << 20, "page": 4 << 20, "browser": 48 << 20, "hub": 16 << 20}
	full    = map[string]float64{"engine": 56 << 20, "hub": 96 << 20}
)

// What is stored may grow, in the second half, by so much more a byte written than in the first, and by what a store puts by before it makes
// room again.
const (
	mayStoreMore = 1.3
	putBy        = 8 << 20
)

// sample measures.
func (s *soak) sample() {
	s.t.Helper()
	m := sample{memory: map[string]float64{}, stored: map[string]float64{}, of: map[string]string{}}
	for _, d := range s.all {
		d.goOn() // there is an engine
		d.weigh(&m)
		slices.Sort(d.confirmed)
		d.confirmed = slices.Compact(d.confirmed) // who comes back to a page hears again of what he was told there
		for _, id := range d.confirmed {
			m.written += bytesOf(s.t, id)
		}
		m.writes += float64(len(d.confirmed))
		for _, p := range d.tabs {
			var so []string
			p.js(&so, `return e2e.confirmedSoFar()`)
			for _, id := range so {
				if _, twice := slices.BinarySearch(d.confirmed, id); !twice {
					m.written += bytesOf(s.t, id)
					m.writes++
				}
			}
		}
	}
	m.memory["hub"], m.of["hub"] = s.anonymous(s.hub.Cmd.Process.Pid), strconv.Itoa(s.hub.Cmd.Process.Pid)
	m.stored["hub"] = s.sizeOf(s.hub.Dir)
	m.at = time.Since(s.began)
	s.samples = append(s.samples, m)
	s.t.Logf("%v: %.0f writes, %s; in memory %s; stored %s", m.at.Round(time.Second), m.writes, megabytes(m.written), list(m.memory), list(m.stored))
}

// bytesOf is how large a life's write is: lives.js has three sizes.
func bytesOf(t *testing.T, id string) float64 {
	t.Helper()
	n, err := strconv.Atoi(id[strings.LastIndexByte(id, ' ')+1:])
	if err != nil {
		t.Fatalf("a life has written %q", id)
	}
	size := 2*len(id) + 5
	if n%7 == 5 {
		size += 3000
	}
	return float64(size)
}

// weigh measures a device: its browser without the engine, the page that stays, the engine and its worker, and the storage.
func (l *soaked) weigh(m *sample) {
	l.t.Helper()
	name, b := " of "+l.device.name, l.device.chromium(l.t)
	page := l.tabs[0]
	var engine struct {
		Of     string
		Memory float64
	}
	page.js(&engine, `const scales = new BroadcastChannel('scales');
		const said = new Promise((said) => (scales.onmessage = ({ data }) => data.of && said(data)));
		scales.postMessage('weigh');
		return said.finally(() => scales.close())`)
	m.memory["engine"+name], m.of["engine"+name] = engine.Memory, engine.Of
	if l.hosting == "shared" { // of dedicated workers, the browser's list of targets does not tell
		worker, err := b.Worker(soon(l.t), func(t browser.Target) bool {
			return t.Type == "shared_worker" && strings.HasPrefix(t.URL, l.site.URL)
		})
		if err != nil {
			l.t.Fatal(err)
		}
		defer worker.Close()
		m.memory["worker"+name], m.of["worker"+name] = l.heap(worker), engine.Of
	}
	m.memory["page"+name], m.of["page"+name] = l.heap(page.chromium()), fmt.Sprintf("%p", page)
	memory, err := b.Memory()
	if err != nil {
		l.t.Fatal(err)
	}
	m.memory["browser"+name], m.of["browser"+name] = float64(memory)-engine.Memory, strconv.Itoa(b.PID())
	var usage float64
	page.js(&usage, `return (await navigator.storage.estimate()).usage`)
	m.stored[l.device.name] = usage
}

// heap is what JavaScript holds on to in a page or worker.
func (l *soaked) heap(p *browser.Page) (size float64) {
	l.t.Helper()
	err := p.Do(soon(l.t), chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		if _, err := cdp.Call(ctx, target, heapprofiler.CollectGarbage, cdp.Empty{}); err != nil {
			return err
		}
		usage, err := cdp.Call(ctx, target, runtime.GetHeapUsage, cdp.Empty{})
		if err == nil {
			size = usage.UsedSize + usage.EmbedderHeapUsedSize + usage.BackingStorageSize
		}
		return err
	}))
	if err != nil {
		l.t.Fatal(err)
	}
	return size
}

// anonymous is a process's memory without the files that it looks into.
func (s *soak) anonymous(pid int) (size float64) {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if n, _ := fmt.Sscanf(line, "Anonymous: %f kB", &size); n == 1 {
			return size * 1024
		}
	}
	s.t.Fatalf("nothing is said of anonymous memory:\n%s", text)
	return 0
}

// sizeOf is how large the files below a directory are.
func (s *soak) sizeOf(dir string) (size float64) {
	s.t.Helper()
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += float64(info.Size())
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a file that went meanwhile
		s.t.Fatal(err)
	}
	return size
}

// grown says what has grown by more than what was written explains.
func grown(samples []sample) (wrong []string) {
	for _, name := range slices.Sorted(maps.Keys(last(samples).memory)) {
		middle, end := thirds(samples, name)
		kind, _, _ := strings.Cut(name, " ")
		if more := end - middle; more > mayGrow[kind] && end > full[kind] {
			wrong = append(wrong, fmt.Sprintf("the memory of the %s has grown by %s, from %s; by %s it may", name, megabytes(more), megabytes(middle), megabytes(mayGrow[kind])))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(last(samples).stored)) {
		first, second := halves(samples, name)
		if allowed := first.a()*second.written*mayStoreMore + putBy; second.bytes > allowed {
			wrong = append(wrong, fmt.Sprintf("what is stored by %s has grown by %s in the second half, for %s that were written; by %s it may, as it took %.2f bytes a byte in the first",
				name, megabytes(second.bytes), megabytes(second.written), megabytes(allowed), first.a()))
		}
	}
	return wrong
}

func last(samples []sample) sample { return samples[len(samples)-1] }

// thirds are the medians in the second and in the last third of the samples of who is there in the end.
func thirds(samples []sample, name string) (middle, end float64) {
	var all []float64
	for _, m := range samples {
		if m.of[name] == last(samples).of[name] {
			all = append(all, m.memory[name])
		}
	}
	third := (len(all) + 2) / 3
	return median(all[max(0, len(all)-2*third):max(1, len(all)-third)]), median(all[len(all)-third:])
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// A growth is what storage grew by while so much was written.
type growth struct{ bytes, written float64 }

// a is the bytes a byte written.
func (g growth) a() float64 { return g.bytes / max(1, g.written) }

// halves are how storage grew in the two halves, by what was written.
func halves(samples []sample, name string) (first, second growth) {
	goal, middle := (samples[0].written+last(samples).written)/2, 0
	for i, m := range samples {
		if m.written <= goal {
			middle = i
		}
	}
	between := func(a, b sample) growth { return growth{b.stored[name] - a.stored[name], b.written - a.written} }
	return between(samples[0], least(samples[:middle+1], name)), between(least(samples[:middle+1], name), least(samples, name))
}

// least is that of the last five samples in which the least was stored: stores put by until they make room.
func least(samples []sample, name string) sample {
	return slices.MinFunc(samples[max(0, len(samples)-5):], func(a, b sample) int { return cmp.Compare(a.stored[name], b.stored[name]) })
}

func megabytes(size float64) string { return fmt.Sprintf("%.1f MB", size/1e6) }

func list(sizes map[string]float64) string {
	var text []string
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		text = append(text, name+" "+megabytes(sizes[name]))
	}
	return strings.Join(text, ", ")
}

// sum prints what there was.
func (s *soak) sum() {
	s.t.Helper()
	if len(s.samples) == 0 {
		return
	}
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, "\n  "+format, args...) }
	total := 0
	for _, n := range s.happened {
		total += n
	}
	line("events       %d: %v", total, s.happened)
	var cuts, connections int
	for _, road := range s.roads {
		cuts, connections = cuts+road.Stats().Cuts(), connections+road.Stats().Connections
	}
	line("network      %d connections, %d of them cut", connections, cuts)
	confirmed, lost, doubled := 0, 0, 0
	for _, d := range s.all {
		slices.Sort(d.confirmed)
		d.confirmed = slices.Compact(d.confirmed)
		confirmed, lost, doubled = confirmed+len(d.confirmed), lost+d.lost, doubled+d.doubled
	}
	line("writes       %d confirmed, %d lost, %d doubled", confirmed, lost, doubled)
	first, end := s.samples[0], last(s.samples)
	line("written      %s, %.0f bytes a write, in %v", megabytes(end.written), end.written/max(1, end.writes), end.at.Round(time.Second))
	for _, name := range slices.Sorted(maps.Keys(end.memory)) {
		before, after := thirds(s.samples, name)
		line("memory       %-16s %9s first, %9s and %9s in the last two thirds of the one there in the end", name,
			megabytes(first.memory[name]), megabytes(before), megabytes(after))
	}
	for _, name := range slices.Sorted(maps.Keys(end.stored)) {
		before, after := halves(s.samples, name)
		line("stored       %-16s %9s first, %9s last; in the two halves %.2f and %.2f bytes a byte written, together %.0f bytes a write", name,
			megabytes(first.stored[name]), megabytes(end.stored[name]), before.a(), after.a(), (end.stored[name]-first.stored[name])/max(1, end.writes-first.writes))
	}
	s.t.Log(text.String())
}

// TestGrown: what leaks is found out, at a kilobyte a write, and what only comes and goes is not.
func TestGrown(t *testing.T) {
	run := func(leak, left float64) (samples []sample) {
		for i := range 40 {
			writes := float64(i) * 4000
			noise := float64(i*7919%13) * 300e3
			engine := "dead" // at first
			if i > 15 {
				engine = "living"
			}
			samples = append(samples, sample{
				writes: writes, written: writes * 500,
				memory: map[string]float64{"engine of anna": 60e6 + noise + leak*writes, "hub": 30e6 + noise},
				of:     map[string]string{"engine of anna": engine, "hub": "1"},
				stored: map[string]float64{"hub": 5e6 + noise + writes*800 + left*max(0, writes-80e3)},
			})
		}
		return samples
	}
	for _, x := range []struct {
		leak, left float64
		want       int
	}{{0, 0, 0}, {1000, 0, 1}, {0, 1000, 1}, {1000, 1000, 2}} {
		if wrong := grown(run(x.leak, x.left)); len(wrong) != x.want {
			t.Errorf("with %v and %v bytes a write: %q, want %d", x.leak, x.left, wrong, x.want)
		}
	}
}
