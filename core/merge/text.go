package merge

import (
	"bytes"
	"cmp"
	"slices"

	"vsync/core/order"
)

// A passage is a text as edits see it: lines that all end in a line feed, the last one too, and where each byte comes from. An empty
// text has no line.
type passage struct {
	body []byte
	runs []span // versions are numbers in the marks; −1 where it is not known
}

func terminated(text []byte) []byte {
	if len(text) == 0 {
		return nil
	}
	return append(append(make([]byte, 0, len(text)+1), text...), '\n')
}

// shown is the text as a value has it.
func (p *passage) shown() []byte { return bytes.TrimSuffix(p.body, []byte{'\n'}) }

// textAt gives a text with its marks. Without marks of its own, or with some that do not fit, all came from the origin.
func (m *marks) textAt(path [][]byte, value []byte, origin int) passage {
	if i, found := m.find(path); found && m.entries[i].brought() == nil {
		runs := m.entries[i].runs
		switch lengthOf(runs) {
		case len(value) + 1:
			return passage{append(append(make([]byte, 0, len(value)+1), value...), '\n'), runs}
		case len(value):
			if !bytes.HasSuffix(value, []byte{'\n'}) {
				return passage{value, runs}
			}
		}
	}
	if len(value) == 0 {
		return passage{}
	}
	return passage{terminated(value), []span{{origin, 0, len(value) + 1}}}
}

func lengthOf(runs []span) (n int) {
	for i := range runs {
		n += runs[i].n
	}
	return n
}

// editText applies what a writer did to a text.
func (a *applier) editText(path [][]byte, now []byte, e *textEdit) []byte {
	isText := now != nil && kindOf(now) == kindString
	if len(e.inserts) == 0 && (now == nil && len(e.deletes) > 0 || now != nil && !isText) {
		return now // gone meanwhile, or something else
	}
	m := a.marks()
	p := passage{}
	if isText {
		p = m.textAt(path, text(now), a.origin())
	}
	if len(e.deletes) > 0 {
		p = p.without(a.spans(e.deletes))
	}
	if len(e.inserts) > 0 {
		p = a.inserted(p, e.inserts)
	}
	m.drop(path)
	if e.gone && len(p.body) == 0 {
		return nil
	}
	m.put(entry{path: path, runs: p.runs})
	shown := p.shown()
	return appendString(make([]byte, 0, len(shown)+5), shown)
}

// spans are those that a writer named, by the numbers of the marks: in order, and none over another.
func (a *applier) spans(named []span) []span {
	out := make([]span, 0, len(named))
	for _, s := range named {
		if v := a.number(s.version); v >= 0 {
			out = append(out, span{v, s.start, s.n})
		}
	}
	order.ByPointer(out, compareSpans)
	disjoint := out[:0]
	for _, s := range out {
		if n := len(disjoint); n > 0 && disjoint[n-1].version == s.version && disjoint[n-1].start+disjoint[n-1].n >= s.start {
			disjoint[n-1].n = max(disjoint[n-1].n, s.start+s.n-disjoint[n-1].start)
			continue
		}
		disjoint = append(disjoint, s)
	}
	return disjoint
}

func compareSpans(s, t *span) int {
	return cmp.Or(cmp.Compare(s.version, t.version), cmp.Compare(s.start, t.start), cmp.Compare(s.n, t.n))
}

// without takes what stands in gone, which is in order, out of a text. The end of a line stays as long as there is anything on the
// line: so what someone else put there does not run into the next.
func (p *passage) without(gone []span) passage {
	out := passage{body: make([]byte, 0, len(p.body)), runs: make([]span, 0, len(p.runs)+len(gone))}
	rest := p.body
	for _, run := range p.runs {
		b := rest[:run.n]
		rest = rest[run.n:]
		i, _ := slices.BinarySearchFunc(gone, run, func(g, run span) int {
			return cmp.Or(cmp.Compare(g.version, run.version), cmp.Compare(g.start+g.n, run.start+1))
		})
		at := 0 // in the run
		for ; i < len(gone) && gone[i].version == run.version && gone[i].start < run.start+run.n; i++ {
			from := max(gone[i].start-run.start, at)
			to := min(gone[i].start+gone[i].n-run.start, run.n)
			out.keep(run, at, from, b)
			for at = from; at < to; at++ {
				if b[at] == '\n' && len(out.body) > 0 && out.body[len(out.body)-1] != '\n' {
					out.keep(run, at, at+1, b)
				}
			}
		}
		out.keep(run, at, run.n, b)
	}
	return out
}

// keep appends the bytes from … to of a run.
func (p *passage) keep(run span, from, to int, b []byte) {
	if from < to {
		p.put(span{run.version, run.start + from, to - from}, b[from:to])
	}
}

// put appends bytes, and joins them to the run before where they go on with it.
func (p *passage) put(s span, b []byte) {
	p.body = append(p.body, b...)
	if n := len(p.runs); n > 0 {
		if last := &p.runs[n-1]; last.version == s.version && last.start+last.n == s.start {
			last.n += s.n
			return
		}
	}
	p.runs = append(p.runs, s)
}

// An arrival is an insertion with its place in the text as it is now.
type arrival struct {
	at    int
	start int // of its bytes in the text that its version wrote
	text  []byte
}

// inserted puts in what a writer wrote. What he wrote at one place stays in his order; what others wrote there before stands
// before it.
func (a *applier) inserted(p passage, inserts []insert) passage {
	places, starts := newPlaces(&p), linesOf(p.body).starts
	arrivals := make([]arrival, len(inserts))
	size, end := len(p.body), 0
	for i := range inserts {
		in := &inserts[i]
		arrivals[i] = a.arrival(&p, places, starts, in)
		arrivals[i].start = in.at
		end = in.at + len(in.text) + 1 // with a line feed that it may need
		size += len(in.text) + 1
	}
	order.StableByPointer(arrivals, func(x, y *arrival) int { return cmp.Compare(x.at, y.at) })
	out := passage{body: make([]byte, 0, size), runs: make([]span, 0, len(p.runs)+2*len(inserts))}
	at := 0
	for _, run := range p.runs {
		from := 0
		for len(arrivals) > 0 && arrivals[0].at < at+run.n {
			out.keep(run, from, arrivals[0].at-at, p.body[at:])
			from = max(from, arrivals[0].at-at)
			out.put(span{a.self(), arrivals[0].start, len(arrivals[0].text)}, arrivals[0].text)
			arrivals = arrivals[1:]
		}
		out.keep(run, from, run.n, p.body[at:])
		at += run.n
	}
	for _, x := range arrivals {
		out.put(span{a.self(), x.start, len(x.text)}, x.text)
	}
	if len(out.runs) > MaxRuns {
		out.runs = []span{{a.self(), min(end, MaxPlace-len(out.body)), len(out.body)}}
	}
	return out
}

// arrival finds the place of an insertion. Whole lines go between lines. Characters whose surroundings are gone go to the end of
// the line where there is one only, and else become a line. Starts are where lines begin, and the end.
func (a *applier) arrival(p *passage, places []place, starts []int, in *insert) arrival {
	line := bytes.HasSuffix(in.text, []byte{'\n'})
	if at := a.find(places, in.right); at >= 0 {
		if i, found := slices.BinarySearch(starts, at); line && !found {
			at = starts[i-1]
		}
		return arrival{at: at, text: in.text}
	}
	for _, s := range in.left {
		at := a.find(places, s) + 1
		if at == 0 {
			continue
		}
		if i, found := slices.BinarySearch(starts, at); line && !found {
			at = starts[i]
		}
		return arrival{at: at, text: in.text}
	}
	switch {
	case !line && isLine(p.shown()):
		return arrival{at: len(p.shown()), text: in.text}
	case !line:
		return arrival{at: len(p.body), text: terminated(in.text)}
	}
	return arrival{at: len(p.body), text: in.text}
}

// A place is a run and where it stands.
type place struct {
	span
	at int
}

func newPlaces(p *passage) []place {
	places := make([]place, len(p.runs))
	at := 0
	for i, run := range p.runs {
		places[i] = place{run, at}
		at += run.n
	}
	order.ByPointer(places, func(x, y *place) int { return compareSpans(&x.span, &y.span) })
	return places
}

// find returns where the first byte of s, named by a writer, stands now, or -1.
func (a *applier) find(places []place, s span) int {
	if s.n == 0 {
		return -1
	}
	v := a.number(s.version)
	if v < 0 {
		return -1
	}
	i, _ := slices.BinarySearchFunc(places, span{v, s.start, 0}, func(p place, s span) int {
		return cmp.Or(cmp.Compare(p.version, s.version), cmp.Compare(p.start+p.n, s.start+1))
	})
	if i == len(places) || places[i].version != v || places[i].start > s.start {
		return -1
	}
	return places[i].at + s.start - places[i].start
}

// textEdit says what becomes of one text on the way to another. Nil texts are none.
func (d *differ) textEdit(path [][]byte, old, new []byte) *textEdit {
	e := &textEdit{gone: new == nil}
	var before, after []byte
	if old != nil {
		before = text(old)
	}
	if new != nil {
		after = text(new)
	}
	if old == nil && len(after) > 0 {
		e.inserts = []insert{{text: terminated(after)}}
	}
	if old == nil || bytes.Equal(before, after) && new != nil {
		return e
	}
	p := d.passage(path, before)
	body := terminated(after)
	units := unitsOf(p.body, body, isLine(before) && isLine(after))
	d.hunks(e, &p, body, units)
	return e
}

// isLine says that a text has one line, which has something on it: its characters are compared, not its lines.
func isLine(text []byte) bool { return len(text) > 0 && bytes.IndexByte(text, '\n') < 0 }

// passage is the text that the writer saw, with its marks. If it is another than that of now, what is in both has its marks.
func (d *differ) passage(path [][]byte, seen []byte) passage {
	var now []byte
	if value := d.nowAt(path, kindString); value != nil {
		now = text(value)
	}
	p := d.marks().textAt(path, now, d.origin())
	if bytes.Equal(now, seen) {
		return p
	}
	q := passage{body: terminated(seen)}
	u := unitsOf(q.body, p.body, isLine(seen) && isLine(now))
	at, to := 0, 0
	for _, h := range append(u.diff(), hunk{u.a.len(), u.a.len(), u.b.len(), u.b.len()}) {
		q.runs = appendRuns(q.runs, cut(p.runs, to, u.b.starts[h.b0]))
		at, to = u.a.starts[h.a0], u.b.starts[h.b1]
		q.runs = appendRuns(q.runs, []span{{-1, 0, u.a.starts[h.a1] - at}})
	}
	return q
}

func appendRuns(runs, more []span) []span {
	for _, s := range more {
		if s.n > 0 {
			runs = append(runs, s)
		}
	}
	return runs
}

// cut returns the runs of the bytes from … to.
func cut(runs []span, from, to int) (out []span) {
	at := 0
	for _, r := range runs {
		lo, hi := max(from-at, 0), min(to-at, r.n)
		if lo < hi {
			start := r.start
			if r.version >= 0 {
				start += lo
			}
			out = append(out, span{r.version, start, hi - lo})
		}
		if at += r.n; at >= to {
			break
		}
	}
	return out
}

// hunks turns the differences of two texts into deletions and insertions that name where bytes come from.
func (d *differ) hunks(e *textEdit, p *passage, body []byte, u units) {
	var kept []int // ends of the units that stay, as places in the old text
	unit := 0
	for _, h := range u.diff() {
		for ; unit < h.a0; unit++ {
			kept = append(kept, u.a.starts[unit+1]-1)
		}
		unit = h.a1
		from, to := u.a.starts[h.a0], u.a.starts[h.a1]
		for _, s := range cut(p.runs, from, to) {
			if s.version >= 0 {
				e.deletes = append(e.deletes, span{d.name(s.version), s.start, s.n})
			}
		}
		if h.b0 == h.b1 {
			continue
		}
		in := insert{text: body[u.b.starts[h.b0]:u.b.starts[h.b1]], at: u.b.starts[h.b0]}
		e.inserts = append(e.inserts, in)
		d.surround(&e.inserts[len(e.inserts)-1], p, to, kept)
	}
}

// surround names what stands on both sides of an insertion. At the end of the text it names nothing.
func (d *differ) surround(in *insert, p *passage, right int, kept []int) {
	if s := cut(p.runs, right, right+1); len(s) == 1 && s[0].version >= 0 {
		in.right = span{d.name(s[0].version), s[0].start, 1}
	}
	for i, last := 1, 0; len(in.left) < anchors && right < len(p.body); i *= 2 {
		i = min(i, len(kept))
		if i == last {
			break
		}
		last = i
		at := kept[len(kept)-i]
		if s := cut(p.runs, at, at+1); len(s) == 1 && s[0].version >= 0 {
			in.left = append(in.left, span{d.name(s[0].version), s[0].start, 1})
		}
	}
}
