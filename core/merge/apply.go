package merge

import (
	"bytes"
	"slices"

	"vsync/core/change"
)

// A State is the value of an object under field rules: the fold of its mutations, and what the next ones need to be folded in.
type State struct {
	Value  []byte         // canonical; nil where there is none
	Origin change.Version // which brought all that Marks do not name
	Marks  []byte         // where parts of the value come from, see the package comment; nil: all from the origin

	// Deleted says that the object is: the value is what an update that has not seen the deletion goes on with.
	Deleted bool
}

// Shown is the value, nil where there is none or the object is deleted.
func (s *State) Shown() []byte {
	if s.Deleted {
		return nil
	}
	return s.Value
}

// A Write is what a put carries.
type Write struct {
	Version change.Version
	Changes []byte // nil: none, the value counts as a whole
	Value   []byte // canonical
}

// Apply folds a write into a state. It never fails: what cannot be merged, because there is nothing to merge with, because the
// changes cannot be read, or because the outcome would be no value, is taken as the writer wrote it. The same state, write and
// rules give the same bytes everywhere. Nothing is changed in place; the new state shares bytes with what it was made of.
func (r *Rules) Apply(now State, w Write) State {
	f := r.Fold(now)
	f.Apply(w)
	return f.State()
}

// A Fold applies writes one after the other, each to what came before. It gives what Rules.Apply would give one by one, and takes marks and
// sets apart only once.
type Fold struct {
	rules *Rules
	now   State
	known *marks // nil: those that now has
}

// Fold begins with a state.
func (r *Rules) Fold(now State) *Fold { return &Fold{rules: r, now: now} }

// State is what the writes so far have made.
func (f *Fold) State() State {
	if f.known != nil {
		f.now.Marks = f.known.encode()
	}
	return f.now
}

// Delete notes that the object is deleted, or is not.
func (f *Fold) Delete(deleted bool) { f.now.Deleted = deleted }

// Apply folds the next write in.
func (f *Fold) Apply(w Write) {
	if !f.merge(w) {
		f.now, f.known = State{Value: w.Value, Origin: w.Version}, nil
	}
}

// merge is false where the write counts as a whole.
func (f *Fold) merge(w Write) bool {
	if f.now.Value == nil || w.Changes == nil || !f.rules.Merges() {
		return false
	}
	c, err := decode(w.Changes)
	if err != nil || c == nil {
		return false
	}
	if c.nothing && f.now.Deleted {
		return false // another life of the object
	}
	if c.nothing {
		c = f.rules.all(w.Value)
	}
	f.now.Deleted = false
	if len(c.ops) == 0 {
		return true
	}
	a := applier{rules: f.rules, now: f.now, write: w, changes: c, known: f.known}
	a.inForce()
	out, ok := a.node(make([]byte, 0, len(f.now.Value)+len(w.Value)/4+16), f.now.Value, c.ops, 0)
	if !ok || change.CheckValue(out) != nil {
		return false
	}
	if same(out, w.Value) {
		out = w.Value
	}
	f.now.Value, f.known = out, a.known
	return true
}

// An applier folds one write in.
type applier struct {
	rules   *Rules
	now     State
	write   Write
	changes *changes
	known   *marks
	numbers []int // of the changes' versions in the marks, made when they are needed
}

func (a *applier) marks() *marks {
	if a.known == nil {
		a.known = decodeMarks(a.now.Marks)
	}
	return a.known
}

func (a *applier) origin() int { return a.marks().version(a.now.Origin) }

func (a *applier) self() int { return a.marks().version(a.write.Version) }

// number is that of one of the changes' versions in the marks.
func (a *applier) number(version int) int {
	if a.numbers == nil {
		a.numbers = make([]int, len(a.changes.versions))
		for i, v := range a.changes.versions {
			a.numbers[i] = a.marks().version(v)
		}
	}
	return a.numbers[version]
}

// inForce turns ops of other functions than the rules in force have at their paths into assignments of what was written. That it is a text or
// a set, they go on saying: what their writer did on top names what he brought, and the rule may be in force again by then.
func (a *applier) inForce() {
	for i := range a.changes.ops {
		o := &a.changes.ops[i]
		f := o.code.of()
		if f == LatestValue {
			continue
		}
		if g, _ := a.rules.at(o.path); f == g {
			continue
		}
		*o = op{path: o.path, code: opAssign, new: lookup(a.write.Value, o.path), text: o.text, set: o.set}
		if o.new == nil {
			o.code = opRemove
		}
	}
}

// node appends what becomes of the value at a path, of which the ops know at least depth keys. False where nothing is there.
func (a *applier) node(dst, now []byte, ops []op, depth int) ([]byte, bool) {
	prune := false
	if len(ops[0].path) == depth {
		o := &ops[0]
		ops = ops[1:]
		prune = o.code == opPrune
		now = a.apply(o, now)
	}
	if len(ops) > 0 {
		return a.object(dst, now, ops, depth, prune)
	}
	if now == nil || prune && kindOf(now) == kindMap && headOf(now).n == 0 {
		return dst, false
	}
	return append(dst, now...), true
}

// object applies ops to the fields of a map. What is no map becomes one, if something comes to stand in it.
func (a *applier) object(dst, now []byte, ops []op, depth int, prune bool) ([]byte, bool) {
	start := len(dst)
	isMap := now != nil && kindOf(now) == kindMap
	n := 0
	if isMap {
		n = headOf(now).n
	}
	dst = appendMap(dst, n)
	head := len(dst) - start
	groups := a.groups(ops, depth)
	count := 0
	if isMap {
		dst, count = a.standing(dst, now, groups, depth)
	}
	for i := range groups {
		g := &groups[i]
		if g.met {
			continue
		}
		before := len(dst)
		dst = appendString(dst, g.key)
		var is bool
		if dst, is = a.node(dst, nil, g.ops, depth+1); is {
			count++
		} else {
			dst = dst[:before]
		}
	}
	if count == 0 && !isMap {
		dst = dst[:start]
		return append(dst, now...), now != nil
	}
	if count == 0 && prune {
		return dst[:start], false
	}
	if !isMap && now != nil {
		a.forget(ops[0].path[:depth])
	}
	if count != n {
		dst = a.rehead(dst, start, head, count)
	}
	return dst, true
}

// rehead gives a map that begins at start the right number of fields.
func (a *applier) rehead(dst []byte, start, head, count int) []byte {
	var buf, room [5]byte
	right := appendMap(buf[:0], count)
	end := len(dst)
	dst = append(dst, room[:]...)
	copy(dst[start+len(right):], dst[start+head:end])
	copy(dst[start:], right)
	return dst[:end+len(right)-head]
}

// A group are the ops below one key.
type group struct {
	key []byte
	ops []op
	met bool
}

// groups cuts ops, which are in order, by their keys.
func (a *applier) groups(ops []op, depth int) []group {
	out := make([]group, 0, min(len(ops), 8))
	for i := 0; i < len(ops); {
		j := i + 1
		for j < len(ops) && string(ops[j].path[depth]) == string(ops[i].path[depth]) {
			j++
		}
		out = append(out, group{key: ops[i].path[depth], ops: ops[i:j]})
		i = j
	}
	return out
}

// find returns the place of a key's group, or -1.
func find(groups []group, key []byte) int {
	if len(groups) > 8 {
		i, found := slices.BinarySearchFunc(groups, key, func(g group, key []byte) int { return bytes.Compare(g.key, key) })
		if !found {
			return -1
		}
		return i
	}
	for i := range groups {
		if string(groups[i].key) == string(key) {
			return i
		}
	}
	return -1
}

// standing appends the fields that a map has, as ops leave them, and counts them.
func (a *applier) standing(dst, now []byte, groups []group, depth int) ([]byte, int) {
	count := 0
	c := items(now)
	for {
		raw := c.b
		key, value, ok := c.field()
		if !ok {
			return dst, count
		}
		i := find(groups, key)
		if i < 0 {
			dst = append(dst, raw[:len(raw)-len(c.b)]...)
			count++
			continue
		}
		groups[i].met = true
		before := len(dst)
		dst = appendString(dst, key)
		var is bool
		if dst, is = a.node(dst, value, groups[i].ops, depth+1); is {
			count++
		} else {
			dst = dst[:before]
		}
	}
}

// apply is what one op makes of a value; nil is none.
func (a *applier) apply(o *op, now []byte) []byte {
	switch o.code {
	case opAssign:
		if !a.edited(o, now) {
			a.assigned(o)
		}
		return o.new
	case opRemove:
		a.forget(o.path)
		return nil
	case opObject:
		if now != nil && kindOf(now) == kindMap {
			return now
		}
		a.forget(o.path)
		return emptyMap
	case opCounter:
		return a.replaced(o, now, count(now, o.old, o.new))
	case opMax:
		return a.replaced(o, now, extreme(now, o.old, o.new, 1))
	case opMin:
		return a.replaced(o, now, extreme(now, o.old, o.new, -1))
	case opSet:
		return a.editSet(o.path, now, o.set)
	case opText:
		return a.editText(o.path, now, o.text)
	}
	return now
}

var emptyMap = appendMap(nil, 0)

// forget drops the marks at a path and below.
func (a *applier) forget(path [][]byte) {
	if a.known != nil || len(a.now.Marks) > 0 {
		a.marks().drop(path)
	}
}

// edited says that what is assigned is what its writer's edit makes of what is there: then the edit has named the parts.
func (a *applier) edited(o *op, now []byte) bool {
	switch {
	case now == nil || o.new == nil:
		return false
	case o.text != nil:
		return bytes.Equal(a.editText(o.path, now, o.text), o.new)
	case o.set != nil:
		return bytes.Equal(a.editSet(o.path, now, o.set), o.new)
	}
	return false
}

// replaced is a value that has no parts.
func (a *applier) replaced(o *op, was, now []byte) []byte {
	if !bytes.Equal(was, now) {
		a.forget(o.path)
	}
	return now
}

// assigned marks a text or a set that was put in as a whole: it did not come from the origin.
func (a *applier) assigned(o *op) {
	a.forget(o.path)
	f, _ := a.rules.at(o.path)
	switch k := kindOf(o.new); {
	case (f == Text || o.text != nil) && k == kindString:
		e := entry{path: o.path, runs: []span{}}
		if n := len(text(o.new)); n > 0 {
			e.runs = []span{{a.self(), 0, n + 1}}
		}
		a.marks().put(e)
	case (f == Set || o.set != nil) && k == kindArray:
		e := entry{path: o.path, dots: []dots{}}
		if n := headOf(o.new).n; n > 0 {
			e.dots = []dots{{n, []int{a.self()}}}
		}
		a.marks().put(e)
	}
}

// count adds to a number what a writer added: new − old. What is no number becomes what he wrote. Who takes a number away that is not
// what he saw any more takes nothing away.
func count(now, old, new []byte) []byte {
	isNumber := now != nil && kindOf(now) == kindNumber
	switch {
	case (now == nil) == (old == nil) && string(now) == string(old):
		return new
	case new == nil:
		return now
	case now != nil && !isNumber:
		return new
	}
	sum := number{}
	if isNumber {
		sum = numberOf(now)
	}
	from, to := number{}, numberOf(new)
	if old != nil {
		from = numberOf(old)
	}
	if sum.isFloat || from.isFloat || to.isFloat {
		f := sum.asFloat() + (to.asFloat() - from.asFloat())
		if f != f {
			return new
		}
		return appendFloat(nil, f)
	}
	return sum.add(to.sub(from)).append(nil)
}

// extreme keeps the larger of two values, by sign 1, or the smaller. Who took it back, having seen it, takes it back if nobody has
// gone beyond what he saw.
func extreme(now, old, new []byte, sign int) []byte {
	switch {
	case now == nil || string(now) == string(old):
		return new
	case new != nil && (old == nil || sign*compare(new, old) > 0) && sign*compare(new, now) > 0:
		return new
	}
	return now
}
