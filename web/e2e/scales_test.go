package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
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

// bench goes in front of the worker's script, so that a test can ask for how much memory the engine has, set its clock, and close its
// connection. Go says at the end of each collection of garbage how many MB were alive, as "… 4->5->3 MB …", and collects often.
const bench = `{
	const bench = new BroadcastChannel('bench'), of = crypto.randomUUID(), log = console.log, Real = Date, { transaction } = IDBDatabase.prototype;
	let Go, memory, least, collections = 0, off = 0, used, writes = new Set(), next;
	Object.defineProperty(globalThis, 'Go', { get: () => Go, set: (Plain) => {
		Go = class extends Plain {
			run(instance) {
				this.env = { ...this.env, GODEBUG: 'gctrace=1', GOGC: '50' };
				memory = instance.exports.mem;
				return super.run(instance);
			}
		};
	} });
	console.log = (...args) => {
		const said = /^gc [0-9]+ @.*->([0-9]+) MB,/.exec(args[0]);
		if (!said) return log(...args);
		collections++;
		least = Math.min(least, Number(said[1]));
	};
	globalThis.Date = class extends Real {
		constructor(...args) { args.length > 0 ? super(...args) : super(Real.now() + off) }
		static now() { return Real.now() + off }
	};
	IDBDatabase.prototype.transaction = function (...args) {
		const tx = transaction.apply(this, args);
		used = this;
		if (args[1] === 'readwrite') {
			writes.add(tx);
			for (const end of ['complete', 'abort']) tx.addEventListener(end, () => (writes.delete(tx), writes.size === 0 && next?.()));
			if (writes.size === 1) next?.(tx);
		}
		return tx;
	};
	const hang = (say) => {
		next = undefined;
		used.close();
		if (say) used.onclose?.(new Event('close'));
		bench.postMessage({ of, used: true });
	};
	const how = {
		said: () => hang(true),
		silently: () => hang(false),
		'in a commit': (tx) => tx && queueMicrotask(() => {
			try {
				tx.abort();
			} catch {} // it has ended already
			hang(true);
		}),
	};
	bench.onmessage = ({ data }) => {
		if (!memory) return;
		if (data === 'weigh') least = Infinity;
		if (data === 'weigh' || data === 'weighed') bench.postMessage({ of, collections, live: least * 2 ** 20, held: memory.buffer.byteLength });
		if (data.off !== undefined) bench.postMessage({ of, now: Real.now() + (off = data.off) });
		if (data.hangUp && used) { // of several writes under way, nobody could tell what became of each
			next = how[data.hangUp];
			if (writes.size === 0) next();
		}
	};
}
`

// A sample is what is in use at a moment, in bytes, by the name of who uses it.
type sample struct {
	at              time.Duration
	writes, written float64            // confirmed so far: how many, and their bytes
	live            map[string]float64 // what programs hold on to: garbage was collected, caches are full, what was written is on pages
	held            map[string]float64 // what they have taken from the system
	stored          map[string]float64
	of              map[string]string // by the names of memory: the process, page or engine that it was; another one begins anew
}

// What programs hold on to may grow by so much while it is calm, beside a share of what is written: an index of segments and pages, and in a browser
// what IndexedDB keeps. The least leak to be found is one of 4 MB in ten minutes, which is 2.4 MB while it is calm.
const (
	mayGrow  = 1.5e6
	mayIndex = 0.02
)

// What is taken from the system may grow by so much from the second third of that time to the last: garbage takes as much as what is held on
// to, and comes and goes. Neither a browser nor an engine gives it back.
var mayTake = map[string]float64{"engine": 8 << 20, "browser": 48 << 20, "hub": 16 << 20}

// What is stored may grow, in the second half of the calm time, by so much more a byte written than in the first, or by so many bytes a byte, which
// the object, its version and the store's own take; and by what a store puts by before it makes room again. Before that time data is cleared, and
// replicas are begun anew.
const (
	mayStoreMore = 1.3
	mayStore     = 2
	putBy        = 8 << 20
)

// sample measures.
func (s *soak) sample() {
	s.t.Helper()
	m := sample{live: map[string]float64{}, held: map[string]float64{}, stored: map[string]float64{}, of: map[string]string{}}
	for _, d := range s.all {
		d.goOn() // there is an engine
		if !d.weigh(&m) {
			return // it was another one meanwhile
		}
		lives := map[string]lifeScale{}
		for who, a := range d.accounts {
			lives[who] = lifeScale{who, float64(len(a.Confirmed) + len(a.Summed) + len(a.Fought)), a.Bytes}
		}
		for _, p := range d.tabs { // who comes back to a page goes on with the life there
			life := p.scale()
			lives[life.Who] = life
		}
		for _, life := range lives {
			m.writes, m.written = m.writes+life.Writes, m.written+life.Bytes
		}
	}
	s.weighHub(&m)
	m.at = time.Since(s.began)
	s.samples = append(s.samples, m)
	s.t.Logf("%v: %.0f writes, %s; alive %s; taken %s; stored %s", m.at.Round(time.Second), m.writes, megabytes(m.written), list(m.live), list(m.held), list(m.stored))
}

// weigh measures a device: its browser without the engine, the page that stays, the engine and its worker, and the storage.
func (l *soaked) weigh(m *sample) bool {
	l.t.Helper()
	name, b := " of "+l.device.name, l.device.chromium(l.t)
	page := l.tabs[0]
	var engine *struct {
		Of         string
		Live, Held float64
	}
	page.js(&engine, `return await e2e.weigh()`)
	if engine == nil {
		return false
	}
	m.live["engine"+name], m.held["engine"+name], m.of["engine"+name] = engine.Live, engine.Held, engine.Of
	if l.hosting == "shared" && l.calm { // of dedicated workers, the browser's list of targets does not tell
		worker, err := b.Worker(soon(l.t), func(t browser.Target) bool {
			return t.Type == "shared_worker" && strings.HasPrefix(t.URL, l.site.URL)
		})
		if err != nil {
			l.t.Fatal(err)
		}
		defer worker.Close()
		m.live["worker"+name], m.of["worker"+name] = l.heap(worker), engine.Of
	}
	m.live["page"+name], m.of["page"+name] = l.heap(page.chromium()), fmt.Sprintf("%p", page)
	memory, err := b.Memory()
	if err != nil {
		l.t.Fatal(err)
	}
	m.held["browser"+name], m.of["browser"+name] = float64(memory)-engine.Held, strconv.Itoa(b.PID())
	var usage float64
	page.js(&usage, `return (await navigator.storage.estimate()).usage`)
	m.stored[l.device.name] = usage
	return true
}

// weighHub measures the hub while it reads all that it has: then its caches are full.
func (s *soak) weighHub(m *sample) {
	s.t.Helper()
	from := len(s.hub.Complaints())
	var all []string
	for tries := 0; tries < 10 && len(all) < 2; tries++ {
		r, err := http.NewRequest("GET", "http://"+s.hub.Addr()+"/v1/"+database+"/export", nil)
		if err != nil {
			s.t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+fmt.Sprint(s.all[0].options["token"]))
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			s.t.Fatal(err)
		}
		size, err := io.Copy(io.Discard, answer.Body)
		if answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK || size < ballast {
			s.t.Fatalf("the hub answers %s with %d bytes, %v", answer.Status, size, err)
		}
		all = collected.FindAllString(s.hub.Complaints()[from:], -1)
	}
	least := math.Inf(1)
	for _, said := range all {
		mb, err := strconv.ParseFloat(collected.FindStringSubmatch(said)[1], 64)
		if err != nil {
			s.t.Fatal(err)
		}
		least = min(least, mb*(1<<20))
	}
	m.live["hub"], m.held["hub"] = least, s.anonymous(s.hub.Cmd.Process.Pid)
	m.of["hub"] = strconv.Itoa(s.hub.Cmd.Process.Pid)
	m.stored["hub"] = s.sizeOf(s.hub.Dir)
}

// collected is what Go says of a collection of garbage: how many MB were alive when it began, when it ended, and of them those that were found.
var collected = regexp.MustCompile(`(?m)^gc \d+ @.*->(\d+) MB,`)

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

// grown says what has grown by more than what was written explains, from a time on in which it was to be calm.
func grown(samples []sample, calm time.Duration) (wrong []string) {
	end := last(samples)
	for _, name := range slices.Sorted(maps.Keys(end.live)) {
		if size := end.live[name]; !(size > 0 && size < 1e9) {
			wrong = append(wrong, fmt.Sprintf("what the %s holds on to was not measured: it says %s", name, megabytes(size)))
		}
		more, written := rise(samples, calm, name)
		if allowed := mayGrow + mayIndex*written; more > allowed {
			wrong = append(wrong, fmt.Sprintf("what the %s holds on to has grown by %s while %s were written; by %s it may", name, megabytes(more), megabytes(written), megabytes(allowed)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(end.held)) {
		middle, end := thirds(samples, name)
		kind, _, _ := strings.Cut(name, " ")
		if more := end - middle; more > mayTake[kind] {
			wrong = append(wrong, fmt.Sprintf("the memory of the %s has grown by %s, from %s; by %s it may", name, megabytes(more), megabytes(middle), megabytes(mayTake[kind])))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(end.stored)) {
		first, second := halves(samples, calm, name)
		if allowed := max(first.a()*mayStoreMore, mayStore)*second.written + putBy; second.bytes > allowed {
			wrong = append(wrong, fmt.Sprintf("what is stored by %s has grown by %s in the second half, for %s that were written; by %s it may, as it took %.2f bytes a byte in the first",
				name, megabytes(second.bytes), megabytes(second.written), megabytes(allowed), first.a()))
		}
	}
	return wrong
}

func last(samples []sample) sample { return samples[len(samples)-1] }

// rise is by how much something has risen from a time on, and how much was written meanwhile: by the median of the slopes between any two
// samples, which neither a single one nor a regular to and fro moves.
func rise(samples []sample, from time.Duration, name string) (more, written float64) {
	var all []sample
	for _, m := range samples {
		if m.at >= from && m.of[name] == last(samples).of[name] {
			all = append(all, m)
		}
	}
	all = all[min(len(all)-1, len(all)/8):] // the first ones come before all is in its place
	var slopes []float64
	for i, a := range all {
		for _, b := range all[i+1:] {
			slopes = append(slopes, (b.live[name]-a.live[name])/(b.at-a.at).Seconds())
		}
	}
	if len(slopes) == 0 {
		return 0, 0
	}
	return median(slopes) * (last(all).at - all[0].at).Seconds(), last(all).written - all[0].written
}

// thirds are the medians in the second and in the last third of the samples of who is there in the end.
func thirds(samples []sample, name string) (middle, end float64) {
	var all []float64
	for _, m := range samples {
		if m.of[name] == last(samples).of[name] {
			all = append(all, m.held[name])
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

// halves are how storage grew in the two halves of the time from one on, by what was written.
func halves(samples []sample, from time.Duration, name string) (first, second growth) {
	samples = samples[slices.IndexFunc(samples, func(m sample) bool { return m.at >= from || m.at == last(samples).at }):]
	goal, middle := (samples[0].written+last(samples).written)/2, 0
	for i, m := range samples {
		if m.written <= goal {
			middle = i
		}
	}
	between := func(a, b sample) growth { return growth{b.stored[name] - a.stored[name], b.written - a.written} }
	return between(samples[0], least(samples[:middle+1], name)), between(least(samples[:middle+1], name), least(samples, name))
}

// least is that of the last third of samples in which the least was stored: stores put by until they make room.
func least(samples []sample, name string) sample {
	return slices.MinFunc(samples[len(samples)-(len(samples)+2)/3:], func(a, b sample) int { return cmp.Compare(a.stored[name], b.stored[name]) })
}

func megabytes(size float64) string { return fmt.Sprintf("%.1f MB", size/1e6) }

func list(sizes map[string]float64) string {
	var text []string
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		text = append(text, name+" "+megabytes(sizes[name]))
	}
	return strings.Join(text, ", ")
}

// report prints what there was.
func (s *soak) report() {
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
	line("events       %d: %s", total, counted(s.happened))
	var connections int
	for _, road := range s.roads {
		connections += road.Stats().Connections
	}
	line("network      %d connections, %d of them cut", connections, s.cuts())
	var things, summed, fought, refused, lost, doubled int
	for _, d := range s.all {
		for _, a := range d.accounts {
			things, summed, fought, refused = things+len(a.Confirmed), summed+len(a.Summed), fought+len(a.Fought), refused+len(a.Refused)
		}
		lost, doubled = lost+d.lost, doubled+d.doubled
	}
	line("confirmed    %d objects of one writer, %d additions to sums, %d puts and deletions of what all fight over; %d lost, %d doubled", things, summed, fought, lost, doubled)
	line("             %d writes refused for want of space, %d conflicts", refused, s.forks)
	first, end := s.samples[0], last(s.samples)
	line("written      %s, %.0f bytes a write, in %v", megabytes(end.written), end.written/max(1, end.writes), end.at.Round(time.Second))
	for _, name := range slices.Sorted(maps.Keys(end.live)) {
		more, written := rise(s.samples, s.calm, name)
		line("alive        %-16s %9s first, %9s last; risen by %s in the calm time, while %s were written", name, megabytes(first.live[name]), megabytes(end.live[name]), megabytes(more), megabytes(written))
	}
	for _, name := range slices.Sorted(maps.Keys(end.held)) {
		before, after := thirds(s.samples, name)
		line("taken        %-16s %9s first, %9s and %9s in the last two thirds of the one there in the end", name,
			megabytes(first.held[name]), megabytes(before), megabytes(after))
	}
	for _, name := range slices.Sorted(maps.Keys(end.stored)) {
		before, after := halves(s.samples, s.calm, name)
		line("stored       %-16s %9s first, %9s last; in the two halves of the calm time %.2f and %.2f bytes a byte written, together %.0f bytes a write", name,
			megabytes(first.stored[name]), megabytes(end.stored[name]), before.a(), after.a(), (end.stored[name]-first.stored[name])/max(1, end.writes-first.writes))
	}
	s.t.Log(text.String())
}

func counted(all map[string]int) string {
	var text []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text = append(text, fmt.Sprintf("%s %d", name, all[name]))
	}
	return strings.Join(text, ", ")
}

// TestGrown: what leaks is found out, at 4 MB in ten minutes, and what only comes and goes is not.
func TestGrown(t *testing.T) {
	const calm = 4 * time.Minute
	run := func(leak, left float64) (samples []sample) {
		for i := range 40 {
			at := time.Duration(i) * 15 * time.Second
			writes := float64(i) * 1000
			engine := "dead" // at first
			if at >= calm {
				engine = "living"
			}
			noise := float64(i*7919%13) / 4 * (1 << 20)
			samples = append(samples, sample{
				at: at, writes: writes, written: writes * 500,
				live:   map[string]float64{"engine of anna": math.Floor((30e6+noise+leak*at.Minutes())/(1<<20)) * (1 << 20), "hub": 30e6 + noise},
				held:   map[string]float64{"engine of anna": 60e6 + noise},
				of:     map[string]string{"engine of anna": engine, "hub": "1"},
				stored: map[string]float64{"hub": 5e6 + noise + writes*800 + left*max(0, writes-28e3)},
			})
		}
		return samples
	}
	for _, x := range []struct {
		leak, left float64
		want       int
	}{{0, 0, 0}, {400e3, 0, 1}, {0, 2000, 1}, {400e3, 2000, 2}} {
		if wrong := grown(run(x.leak, x.left), calm); len(wrong) != x.want {
			t.Errorf("with %v bytes a minute and %v bytes a write: %q, want %d", x.leak, x.left, wrong, x.want)
		}
	}
}
