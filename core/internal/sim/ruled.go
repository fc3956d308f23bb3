package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"vsync/core"
	"vsync/core/change"
)

// A history whose seed has the bit ruledSeeds has a third collection, whose objects merge by fields. Other seeds know nothing of it, and mean
// what they meant before there was one.
//
//	{ by     note of the batch    latest: it names the writer, as in the other collections
//	  n      number               counter
//	  flip   number               counter under some rules, latest under others
//	  top    number               max
//	  low    number               min
//	  tags   [p0 … p3]            set
//	  text   lines                text; each line is of one batch, which its letters name: n7.a and n7.b at the object's beginning, n7.i later
//	  m      {a: {n: number} …}   counter, by a path with a star
//	  pad    dots }               latest
const (
	ruled      = "r"
	ruledSeeds = 1 << 40

	ruledObjects = 2
)

// drawRules draws what happens under field rules.
func (s *Sim) drawRules(p *plan) {
	if s.seed&ruledSeeds != 0 {
		p.rules, p.raise, p.deployed = 1+s.rnd.IntN(3), s.rnd.IntN(3), s.rnd.IntN(6)
	}
}

// ruledSeed is a seed of histories with field rules.
func ruledSeed(n uint64) uint64 { return ruledSeeds | n }

func (s *Sim) ruledWork(d *device) []action {
	p := &s.plan
	return []action{
		{"merge", 14 * p.rules, func() { d.merge() }},
		{"remerge", 3 * p.rules, func() { d.mergeSeen() }},
		{"unmerge", p.rules, func() { d.writeDeletion(s.ruledKey()) }},
		{"raise", 3 * p.raise, func() { d.raise() }},
	}
}

func (s *Sim) ruledKey() change.Key {
	return change.Key{Collection: ruled, ID: fmt.Sprintf("r%d", s.rnd.IntN(ruledObjects))}
}

// doings are what an application does to one object under field rules, and what it wrote then.
type doings struct {
	whole   bool // no field rules were in force where it stood: it says nothing but the value
	nothing bool // it saw nothing, or a deleted object
	assigns bool // where it stood, rules were in force that nobody understood: it says what it set
	counts  bool // flip was a counter there
	delete  bool
	pads    bool // pad has another length
	sorts   bool // members were not in the order in which they are written

	n, flip  int64
	by       map[string]int64 // of m
	add      []string
	remove   map[string][]string // members: the notes of the batches that had added them, in its view
	line     string
	unline   map[string][]string // as remove
	top, low int64               // raised and lowered to; 0: neither
	wrote    *merged
}

func (d *device) writeDeletion(k change.Key) {
	w, _ := d.s.newWrite()
	w.does = map[change.Key]*doings{k: {delete: true}}
	d.perform(w, core.Write{Ops: []core.Op{{Key: k, Delete: true}}})
}

// merge reads an object or two, changes some fields, and writes them, perhaps with others.
func (d *device) merge() {
	s := d.s
	w, single := s.newWrite()
	w.does = map[change.Key]*doings{}
	var cw core.Write
	for range 1 + s.rnd.IntN(2) {
		k := s.ruledKey()
		if w.does[k] != nil {
			continue
		}
		e, there, err := d.r.Get(s.ctx, k)
		if err != nil {
			w.fate = refused
			d.mayFail(err, "get")
			return
		}
		does, value := d.change(w.note, k, e.Value, e.Value, there)
		if does == nil {
			w.fate = refused
			return
		}
		op := core.Op{Key: k, Value: value}
		if s.chance(25) {
			op.Seen = append([]change.Version{}, e.Frontier...)
			cw.Checks = append(cw.Checks, core.Check{Key: k, Frontier: e.Frontier})
		}
		w.does[k] = does
		cw.Ops = append(cw.Ops, op)
	}
	if s.chance(20) {
		cw.Ops = append(cw.Ops, core.Op{Key: s.single(), Value: single})
	}
	s.count("merge")
	if !d.perform(w, cw) || d.r == nil || d.lost() {
		return
	}
	for k, does := range w.does {
		d.readMerged(w, k, does)
	}
}

// read is what an application read of an object that merges, and keeps for later.
type read struct {
	key     change.Key
	version change.Version // which wrote just that, over all there was
	value   []byte
}

// mergeSeen changes what the application read some time ago, while others may have gone on since.
func (d *device) mergeSeen() {
	s, k := d.s, d.s.ruledKey()
	e, there, err := d.r.Get(s.ctx, k)
	if err != nil {
		d.mayFail(err, "get")
		return
	}
	i := slices.IndexFunc(d.read, func(r read) bool { return r.key == k })
	if i < 0 || s.chance(20) {
		if w := s.writes[note(e.Value)]; there && len(e.Frontier) == 1 && w != nil && w.does[k] != nil && w.does[k].wrote.String() == face(e.Value) {
			d.read = append(slices.DeleteFunc(d.read, func(r read) bool { return r.key == k }), read{k, e.Version, e.Value})
		}
		return
	}
	old := d.read[i]
	if !there || slices.Equal(e.Frontier, []change.Version{old.version}) && face(e.Value) != face(old.value) || reordered(old.value, e.Value) {
		return // what was refused meanwhile is not in it any more; where that had made the object, lines stand in another order
	}
	found := d.historyOf(k)
	if found == nil {
		return // the store is at fault
	}
	if h, there := found[old.version]; there && !bytes.Equal(h.Value, old.value) {
		d.read = slices.Delete(d.read, i, i+1) // the name is a copy's batch by now, and the engine takes it for that
		return
	}
	w, _ := s.newWrite()
	does, value := d.change(w.note, k, old.value, e.Value, true)
	if does == nil {
		w.fate = refused
		return
	}
	w.does = map[change.Key]*doings{k: does}
	d.read = slices.Delete(d.read, i, i+1)
	if d.perform(w, core.Write{Ops: []core.Op{{Key: k, Value: value, Seen: []change.Version{old.version}}}}) {
		s.count("merge: of what was read before")
	}
}

// reordered says that lines which two values have stand in another order in each.
func reordered(a, b []byte) bool {
	_, was := readRuled(a)
	_, is := readRuled(b)
	common := func(of, in []string) []string {
		return slices.DeleteFunc(slices.Clone(of), func(l string) bool { return !slices.Contains(in, l) })
	}
	return !slices.Equal(common(was, is), common(is, was))
}

// readMerged: who reads what he wrote reads it.
func (d *device) readMerged(w *write, k change.Key, does *doings) {
	e, ok, err := d.r.Get(d.s.ctx, k)
	if err != nil {
		d.mayFail(err, "get")
	} else if got := face(e.Value); !ok || got != does.wrote.String() {
		d.s.fail("promise 1: %s: %s reads as %s (there %v) after %s wrote %s", d.name, k, got, ok, w.note, does.wrote)
	}
}

// change draws what an application does to an object that it has read, and which may be another by now; nil where that is not to be
// trusted, since the store is at fault.
func (d *device) change(by string, k change.Key, value, shown []byte, there bool) (*doings, []byte) {
	s, r := d.s, d.s.rnd
	rules := d.r.Rules(ruled).Version
	does := &doings{whole: !byFields(rules), assigns: byFields(rules) && !folds(rules), counts: counts(rules), nothing: !there, by: map[string]int64{}, remove: map[string][]string{}}
	now := &merged{tags: added{}, lines: added{}, m: map[string]int64{}}
	var lines []string
	if there {
		if now, lines = readRuled(value); now == nil {
			d.mayFail(fmt.Errorf("%s is %x", k, value), "reading what merges")
			return nil, nil
		}
		does.sorts = !slices.IsSorted(membersOf(value))
	} else {
		lines = []string{by + ".a", by + ".b"}
		now.lines = added{lines[0]: {by}, lines[1]: {by}}
	}
	seen := d.knows(k, shown)
	before := now.pad
	now.by, now.pad = by, r.IntN(30)
	if s.plan.maxBatch > 0 && s.chance(20) {
		now.pad = s.plan.maxBatch
	}
	does.pads = now.pad != before
	if does.n = int64(r.IntN(20) - 6); does.n == 0 {
		does.n = 1
	}
	does.flip = int64(1 + r.IntN(5))
	now.n, now.flip = now.n+does.n, now.flip+does.flip
	if s.chance(50) {
		key := string(rune('a' + r.IntN(3)))
		does.by[key] = int64(1 + r.IntN(4))
		now.m[key] += does.by[key]
	}
	if top := int64(r.IntN(1000)); top > now.top {
		now.top, does.top = top, top
	}
	if low := -int64(r.IntN(1000)); low < now.low {
		now.low, does.low = low, low
	}
	d.changeTags(does, now, seen, by)
	lines = d.changeLines(k, does, now, seen, lines)
	does.wrote = now.clone()
	return does, now.encode(lines)
}

func (d *device) changeTags(does *doings, now, seen *merged, by string) {
	tag := fmt.Sprintf("p%d", d.s.rnd.IntN(4))
	if _, is := now.tags[tag]; !is {
		does.add = append(does.add, tag)
		now.tags[tag] = []string{by}
	} else if seen != nil {
		does.remove[tag] = seen.tags[tag]
		delete(now.tags, tag)
		d.s.count("merge: removed")
	}
}

// changeLines puts a line between two, and takes one away that was put there so.
func (d *device) changeLines(k change.Key, does *doings, now, seen *merged, lines []string) []string {
	s, r := d.s, d.s.rnd
	if s.chance(60) {
		at := r.IntN(len(lines) + 1)
		does.line = now.by + ".i"
		now.lines[does.line] = []string{now.by}
		lines = slices.Insert(slices.Clone(lines), at, does.line)
		if seen != nil {
			s.between(k, lines, at, seen)
		}
	}
	if at := r.IntN(len(lines)); s.chance(30) && seen != nil && strings.HasSuffix(lines[at], ".i") && lines[at] != does.line {
		does.unline = map[string][]string{lines[at]: seen.lines[lines[at]]}
		delete(now.lines, lines[at])
		lines = slices.Delete(slices.Clone(lines), at, at+1)
		s.count("merge: line removed")
	}
	return lines
}

// neighbours are the lines before and behind a new one, with those who had put them there.
type neighbours struct {
	before, behind string
	seen           *merged
}

func (s *Sim) between(k change.Key, lines []string, at int, seen *merged) {
	if s.order == nil {
		s.order = map[string]neighbours{}
	}
	n := neighbours{seen: seen}
	if at > 0 {
		n.before = lines[at-1]
	}
	if at+1 < len(lines) {
		n.behind = lines[at+1]
	}
	s.order[k.ID+" "+lines[at]] = n
}

// inOrder: lines that stood in one order never change it, but where somebody wrote them anew, who knew no rules.
func (s *Sim) inOrder(who string, k change.Key, o *merged, lines []string) {
	for i, line := range lines {
		n, is := s.order[k.ID+" "+line]
		if !is || !slices.Equal(o.lines[line], []string{strings.TrimSuffix(line, ".i")}) {
			continue
		}
		still := func(line string) bool {
			return len(o.lines[line]) > 0 && slices.Equal(o.lines[line], n.seen.lines[line])
		}
		before, behind := slices.Index(lines, n.before), slices.Index(lines, n.behind)
		if len(s.left) > 0 && still(n.before) && still(n.behind) && before > behind {
			s.count("merge: line between two that changed places") // they came back to the hub in another order than it had lost them in
			continue
		}
		if still(n.before) && before > i || still(n.behind) && behind < i {
			s.fail("promise 3: %s: in the text of %s, %s was put between %s and %s, and stands elsewhere: %v", who, k, line, n.before, n.behind, lines)
		}
		s.count("merge: line in order")
	}
}

// raise brings the rules of a version of the application: a newer one, or the one that this device has had for long.
func (d *device) raise() {
	s := d.s
	s.deployed = max(s.deployed, uint64(s.plan.deployed))
	version := s.deployed + 1
	if s.deployed > 0 && s.chance(40) {
		version = uint64(1 + s.rnd.IntN(int(s.deployed)))
	}
	s.deployed = max(s.deployed, version)
	w, _ := s.newWrite()
	w.strict = false
	value := s.rulesOf(version, w.note)
	w.ops = []core.Op{{Key: change.Key{Collection: change.RulesCollection, ID: ruled}, Value: value}}
	inForce := d.r.Rules(ruled).Version
	got, written, err := d.r.SetRules(s.ctx, ruled, value)
	if err == nil && !written {
		w.fate = refused
		return
	}
	if err == nil && version <= inForce {
		s.fail("%s: rules of version %d are written, and those in force have %d", d.name, version, inForce)
	}
	s.count("rules raised")
	d.wrote(w, core.Write{Ops: w.ops, Note: w.note}, got, err)
}

// byFields says that the rules of a version are field rules.
func byFields(version uint64) bool { return version > 0 && version%5 != 4 }

// folds says that they are, and that the engine understands them.
func folds(version uint64) bool { return byFields(version) && version%4 != 2 }

// counts says that under these, flip is a counter.
func counts(version uint64) bool { return folds(version) && version%2 == 1 }

// rulesOf are the rules that the application has in a version, in their canonical form; the index's name is who wrote them.
func (s *Sim) rulesOf(version uint64, by string) []byte {
	var conflict any = "latest"
	if byFields(version) {
		flip := "latest"
		if counts(version) {
			flip = "counter@1"
		} else if !folds(version) {
			flip = "polygon@3"
			s.count("rules of a newer engine")
		}
		conflict = change.Map{{Key: "flip", Value: flip}, {Key: "low", Value: "min@1"}, {Key: "m.*.n", Value: "counter@1"},
			{Key: "n", Value: "counter@1"}, {Key: "tags", Value: "set@1"}, {Key: "text", Value: "text@1"}, {Key: "top", Value: "max@1"}}
	}
	return encoded(change.Map{{Key: "version", Value: version}, {Key: "conflict", Value: conflict}, {Key: "indexes", Value: []any{by}}})
}

func encoded(v any) []byte {
	b, err := change.Encode(v)
	if err != nil {
		panic(err)
	}
	return b
}
