package merge

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"vsync/core/change"
)

// A note is what the model knows of a mutation: plain sets and sums, by the definition of the promise. Nothing of it goes through
// Diff or Apply.
type note struct {
	plus    int             // added to the counter
	added   map[string]bool // members, lines, characters: each letter of its field before it
	removed map[string]bool
	kills   map[string][]change.Version // of those removed, the additions that stood in the writer's view
	plain   string                      // assigned; empty: not
	top     int
}

// history is a town with the model's notes.
type history struct {
	*town
	rnd   *rand.Rand
	notes map[change.Version]*note
	know  map[byte]map[change.Version]bool // per device
	fresh int
}

const modelRules = `{"n":"counter","tags":"set","body":"text","title":"text","top":"max"}`

// doc is what the test's application keeps, as plain Go.
type doc struct {
	n, top      int
	plain       string
	tags, lines []string
	title       []rune
}

func (d doc) value(t testing.TB) []byte {
	tags := make([]any, len(d.tags))
	for i := range tags {
		tags[i] = d.tags[i]
	}
	return encoded(t, change.Map{{Key: "n", Value: d.n}, {Key: "tags", Value: tags}, {Key: "body", Value: strings.Join(d.lines, "\n")},
		{Key: "title", Value: string(d.title)}, {Key: "top", Value: d.top}, {Key: "plain", Value: d.plain}})
}

func read(t testing.TB, value []byte) (d doc) {
	t.Helper()
	v, err := change.DecodeValue(value)
	if err != nil {
		t.Fatal(err)
	}
	m := v.(change.Map)
	get := func(key string) any { v, _ := m.Get(key); return v }
	d.n, d.top, d.plain = int(get("n").(int64)), int(get("top").(int64)), get("plain").(string)
	for _, tag := range get("tags").([]any) {
		d.tags = append(d.tags, tag.(string))
	}
	d.lines = strings.Split(get("body").(string), "\n")
	d.title = []rune(get("title").(string))
	return d
}

// edit changes a document here and there, and writes down what it did.
func (h *history) edit(d doc, n *note) doc {
	rnd := h.rnd
	d.tags, d.lines, d.title = slices.Clone(d.tags), slices.Clone(d.lines), slices.Clone(d.title)
	for range 1 + rnd.IntN(3) {
		switch rnd.IntN(9) {
		case 0, 1:
			n.plus++
			d.n++
		case 2:
			if tag := fmt.Sprint(rnd.IntN(6)); !slices.Contains(d.tags, tag) {
				d.tags = append(d.tags, tag)
				n.add("t" + tag)
			}
		case 3:
			if len(d.tags) > 0 {
				i := rnd.IntN(len(d.tags))
				n.remove("t" + d.tags[i])
				d.tags = slices.Delete(d.tags, i, i+1)
			}
		case 4:
			for range 1 + rnd.IntN(2) {
				h.fresh++
				line := fmt.Sprintf("line %d", h.fresh)
				d.lines = slices.Insert(d.lines, 1+rnd.IntN(len(d.lines)), line)
				n.add("l" + line)
			}
		case 5:
			if len(d.lines) > 2 {
				i := 1 + rnd.IntN(len(d.lines)-1)
				n.remove("l" + d.lines[i])
				d.lines = slices.Delete(d.lines, i, i+1)
			}
		case 6:
			h.fresh++
			c := rune(0x4e00 + h.fresh)
			d.title = slices.Insert(d.title, 1+rnd.IntN(len(d.title)), c)
			n.add("c" + string(c))
		case 7:
			if len(d.title) > 1 {
				i := 1 + rnd.IntN(len(d.title)-1)
				n.remove("c" + string(d.title[i]))
				d.title = slices.Delete(d.title, i, i+1)
			}
		case 8:
			h.fresh++
			d.plain, n.plain = fmt.Sprint("p", h.fresh), fmt.Sprint("p", h.fresh)
			if up := rnd.IntN(3); up > 0 {
				d.top += up
				n.top = d.top
			}
		}
	}
	return d
}

func (n *note) add(what string) {
	if n.removed[what] { // there before, and there again
		delete(n.removed, what)
		return
	}
	n.added[what] = true
}

func (n *note) remove(what string) {
	if n.added[what] {
		delete(n.added, what)
		return
	}
	n.removed[what] = true
}

func (h *history) write(d *device) {
	seen := map[change.Version]bool{}
	for v := range h.know[d.letter] {
		seen[v] = true
	}
	n := &note{added: map[string]bool{}, removed: map[string]bool{}}
	o := d.visible()
	before := read(h.t, o.state.Shown())
	v := d.put(h.edit(before, n).value(h.t))
	n.kills = map[string][]change.Version{}
	for what := range n.removed {
		n.kills[what] = h.standing(what, seen)
	}
	h.notes[v] = n
	h.know[d.letter][v] = true
}

// standing are the additions of something that are known and that no known mutation has removed.
func (h *history) standing(what string, known map[change.Version]bool) (list []change.Version) {
	for v := range known {
		if x := h.notes[v]; x == nil || !x.added[what] {
			continue
		}
		gone := false
		for w := range known {
			x := h.notes[w]
			gone = gone || x != nil && slices.Contains(x.kills[what], v)
		}
		if !gone {
			list = append(list, v)
		}
	}
	return list
}

func (h *history) learn(d *device) {
	for _, p := range d.feed[:d.at] {
		if p.void {
			delete(h.know[d.letter], p.Version)
		} else if p.rules == nil {
			h.know[d.letter][p.Version] = true
		}
	}
}

// want is what the promise says of the feed: sums, and all that was added and not removed by one who saw it.
func (h *history) want(feed []post) string {
	var there []string
	n, top, plain := 0, 0, ""
	for _, p := range feed {
		x := h.notes[p.Version]
		if p.void || x == nil {
			continue
		}
		n += x.plus
		top = max(top, x.top)
		if x.plain != "" {
			plain = x.plain
		}
		for what := range x.added {
			gone := slices.ContainsFunc(feed, func(q post) bool {
				y := h.notes[q.Version]
				return !q.void && y != nil && slices.Contains(y.kills[what], p.Version)
			})
			if !gone && !slices.Contains(there, what) {
				there = append(there, what)
			}
		}
	}
	return fmt.Sprint(n, top, plain, inOrder(there))
}

func (h *history) got(value []byte) string {
	d := read(h.t, value)
	var there []string
	for _, tag := range d.tags {
		there = append(there, "t"+tag)
	}
	for _, line := range d.lines[1:] {
		there = append(there, "l"+line)
	}
	for _, c := range d.title[1:] {
		there = append(there, "c"+string(c))
	}
	return fmt.Sprint(d.n, d.top, d.plain, inOrder(there))
}

func newHistory(t testing.TB, seed uint64, devices int) *history {
	h := &history{town: newTown(t, rulesOf(t, modelRules), devices), rnd: rand.New(rand.NewPCG(seed, 2)),
		notes: map[change.Version]*note{}, know: map[byte]map[change.Version]bool{}}
	first := h.devices[0]
	first.put(doc{plain: "", lines: []string{"top"}, title: []rune("^")}.value(t))
	first.push(false)
	for _, d := range h.devices {
		h.know[d.letter] = map[change.Version]bool{}
		d.pull()
		h.learn(d)
	}
	return h
}

// run lets devices write, push, pull a part, and be refused, in any order.
func (h *history) run(steps int, voids bool) {
	for range steps {
		d := h.devices[h.rnd.IntN(len(h.devices))]
		switch h.rnd.IntN(5) {
		case 0, 1:
			if o := d.visible(); o.state.Deleted {
				continue // another life of the object would have nothing to do with this one
			}
			if h.rnd.IntN(12) == 0 {
				h.know[d.letter][d.delete()] = true
				continue
			}
			h.write(d)
		case 2, 3:
			if len(d.pending) > 0 {
				before := h.hub.state.Value
				d.push(voids && h.rnd.IntN(5) == 0)
				h.keepsOrder(before, h.hub.state.Value)
			}
		case 4:
			d.pullTo(d.at + h.rnd.IntN(len(d.feed)-d.at+1))
		}
		h.learn(d)
	}
}

// keepsOrder fails where what stood in one order stands in another.
func (h *history) keepsOrder(before, after []byte) {
	h.t.Helper()
	d, e := read(h.t, before), read(h.t, after)
	check := func(old, new []string) {
		was := slices.DeleteFunc(slices.Clone(old), func(s string) bool { return !slices.Contains(new, s) })
		is := slices.DeleteFunc(slices.Clone(new), func(s string) bool { return !slices.Contains(old, s) })
		if !slices.Equal(was, is) {
			h.t.Fatalf("%q stood in this order, and now in that: %q", was, is)
		}
	}
	check(d.lines, e.lines)
	check(strings.Split(string(d.title), ""), strings.Split(string(e.title), ""))
	check(d.tags, e.tags)
}

// Whatever the order: all replicas hold the same, bit for bit, and it is what the promise says.
func TestEveryHistoryKeepsItsPromise(t *testing.T) {
	for _, voids := range []bool{false, true} {
		for seed := range rounds(500) {
			h := newHistory(t, seed, 2+int(seed%4))
			h.run(60, voids)
			for _, d := range h.devices { // what a device shows is what the feed would be with its own at the end
				d.pull()
				h.learn(d)
				o := d.visible()
				feed := slices.Clone(d.feed)
				for _, w := range d.pending {
					feed = append(feed, post{write: w})
				}
				if got, want := h.got(o.state.Value), h.want(feed); got != want {
					t.Fatalf("seed %d, voids %v: device %c shows\n%s, not\n%s", seed, voids, d.letter, got, want)
				}
			}
			h.settle()
			h.agree()
			if got, want := h.got(h.hub.state.Value), h.want(h.feed); got != want {
				t.Fatalf("seed %d, voids %v: the hub has\n%s, not\n%s", seed, voids, got, want)
			}
		}
	}
}

// What a device shows with its own unsent on top is, byte for byte, what the feed gives once it has them.
func TestConfirmingChangesNothingThatIsShown(t *testing.T) {
	for seed := range rounds(300) {
		h := newHistory(t, seed, 3)
		h.run(40, true)
		d := h.devices[seed%3]
		d.pull()
		shown := d.visible()
		for len(d.pending) > 0 {
			d.push(false)
		}
		if !sameState(shown.state, d.confirmed.state) {
			t.Fatalf("seed %d: %s was shown, and %s came", seed, js(t, shown.state.Value), js(t, d.confirmed.state.Value))
		}
	}
}

// A device that has the confirmed layer by pages, and nothing of what was before, goes on as one that saw it all.
func TestPagesWithoutHistoryAreEnough(t *testing.T) {
	for seed := range uint64(150) {
		h := newHistory(t, seed, 3)
		h.run(30, true)
		late := &device{town: h.town, letter: 'z', at: len(h.feed), confirmed: object{h.hub.leaves, copyOf(h.hub.state), h.hub.rules}}
		h.know['z'] = map[change.Version]bool{}
		h.learn(late)
		h.devices = append(h.devices, late)
		h.run(40, true)
		h.settle()
		h.agree()
		if got, want := h.got(h.hub.state.Value), h.want(h.feed); got != want {
			t.Fatalf("seed %d: the hub has\n%s, not\n%s", seed, got, want)
		}
	}
}

func copyOf(s State) State {
	return State{bytes.Clone(s.Value), s.Origin, bytes.Clone(s.Marks), s.Deleted}
}

// Rules that are raised in between, and documents of any shape: all replicas hold the same.
func TestReplicasAgreeWhateverTheRules(t *testing.T) {
	all := []*Rules{rulesOf(t, everyRule), rulesOf(t, `{}`), rulesOf(t, `"latest"`), rulesOf(t, `{"*":"set","n":"max"}`),
		rulesOf(t, `{"*":"text","n":"counter"}`), rulesOf(t, `{"body":"text@2"}`)}
	for seed := range rounds(300) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		w := newTown(t, all[0], 3)
		for range 60 {
			d := w.devices[rnd.IntN(3)]
			switch rnd.IntN(8) {
			case 0, 1, 2:
				if rnd.IntN(6) == 0 {
					d.delete()
				} else {
					d.put(encoded(t, document(rnd)))
				}
			case 3, 4:
				if len(d.pending) > 0 {
					d.push(rnd.IntN(6) == 0)
				}
			case 5, 6:
				d.pullTo(d.at + rnd.IntN(len(d.feed)-d.at+1))
			case 7:
				if rnd.IntN(4) == 0 {
					w.raise(all[rnd.IntN(len(all))])
				}
			}
			if o := d.visible(); o.state.Value != nil {
				if err := change.CheckValue(o.state.Value); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		}
		d := w.devices[rnd.IntN(3)]
		d.pull()
		shown := d.visible()
		for len(d.pending) > 0 {
			d.push(false)
		}
		if !sameState(shown.state, d.confirmed.state) {
			t.Fatalf("seed %d: %s was shown, and %s came", seed, js(t, shown.state.Value), js(t, d.confirmed.state.Value))
		}
		w.settle()
		w.agree()
	}
}
