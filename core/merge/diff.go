package merge

import (
	"bytes"

	"vsync/core/change"
	"vsync/core/order"
)

// Diff returns what a writer changed who saw one value and wrote another: the changes of his mutation. Seen is nil where
// he saw nothing, or a deleted object. Now is the state that his replica shows, which is what he saw unless he named something older; it says who
// brought what, so that what he takes away is just what he knew.
//
// It holds, but for the order of maps' fields and sets' members: Apply of the changes to what was seen gives what was written. Nil is
// returned where there are no field rules, and where changes would be too large: then the value counts as a whole. Where a function
// is not known, all that was changed is assigned.
//
// The values are canonical.
func (r *Rules) Diff(seen []byte, now State, value []byte) []byte {
	if r.Mode != Fields {
		return nil
	}
	if seen == nil {
		return []byte{fromNothing}
	}
	d := differ{rules: r, now: now}
	d.node(seen, value)
	c := d.finish()
	if len(c.ops) > MaxOps {
		return nil
	}
	if b := c.encode(); len(b) <= MaxChanges {
		return b
	}
	return nil
}

// A differ walks over two values at once.
type differ struct {
	rules *Rules
	now   State
	path  [][]byte
	arena [][]byte
	out   changes
	known *marks
	names numbering[change.Version] // that the changes name
}

func (d *differ) finish() *changes {
	order.ByPointer(d.out.ops, func(o, p *op) int { return comparePaths(o.path, p.path) })
	d.out.versions = d.names.list
	d.out.renumber()
	return &d.out
}

func (d *differ) marks() *marks {
	if d.known == nil {
		d.known = decodeMarks(d.now.Marks)
	}
	return d.known
}

func (d *differ) origin() int { return d.marks().version(d.now.Origin) }

// name is the number that a version of the marks has in the changes.
func (d *differ) name(number int) int {
	i, _ := d.names.of(d.marks().versions.list[number])
	return i
}

// nowAt is what the state has at a path, if it is of a kind.
func (d *differ) nowAt(path [][]byte, k kind) []byte {
	if value := lookup(d.now.Value, path); value != nil && kindOf(value) == k {
		return value
	}
	return nil
}

// lookup returns the value at a path, nil for none.
func lookup(value []byte, path [][]byte) []byte {
	for _, key := range path {
		if kindOf(value) != kindMap {
			return nil
		}
		c := items(value)
		value = nil
		for {
			k, v, ok := c.field()
			if !ok {
				return nil
			}
			if bytes.Equal(k, key) {
				value = v
				break
			}
		}
	}
	return value
}

func (d *differ) op(c code) *op {
	start := len(d.arena)
	d.arena = append(d.arena, d.path...)
	d.out.ops = append(d.out.ops, op{path: d.arena[start:len(d.arena):len(d.arena)], code: c})
	return &d.out.ops[len(d.out.ops)-1]
}

// node says what becomes of the value at a path; nil is none.
func (d *differ) node(old, new []byte) {
	if old != nil && new != nil && bytes.Equal(old, new) || old == nil && new == nil {
		return
	}
	f, whole := d.rules.at(d.path)
	oldIsMap, newIsMap := old != nil && kindOf(old) == kindMap, new != nil && kindOf(new) == kindMap
	switch {
	case len(d.path) == change.MaxDepth || whole || !newIsMap && !(oldIsMap && new == nil):
		d.leaf(f, old, new)
	case newIsMap && oldIsMap:
		d.fields(old, new)
	case newIsMap:
		if headOf(new).n == 0 {
			d.op(opObject)
		}
		d.fields(nil, new)
	default:
		d.op(opPrune)
		d.fields(old, nil)
	}
}

func (d *differ) fields(old, new []byte) {
	var oldBuf, newBuf [fewFields]field
	before, after := fieldsOf(old, oldBuf[:0]), fieldsOf(new, newBuf[:0])
	for i := range after.list {
		f := &after.list[i]
		d.path = append(d.path, f.key)
		d.node(before.find(f.key, i), f.value)
		d.path = d.path[:len(d.path)-1]
	}
	for i := range before.list {
		f := &before.list[i]
		if after.find(f.key, i) != nil {
			continue
		}
		d.path = append(d.path, f.key)
		d.node(f.value, nil)
		d.path = d.path[:len(d.path)-1]
	}
}

// leaf says what becomes of a value that is not looked into further.
func (d *differ) leaf(f Func, old, new []byte) {
	path := d.path
	if !d.rules.Merges() {
		f = LatestValue
	}
	switch {
	case f == Counter && fits(kindNumber, old, new):
		o := d.op(opCounter)
		o.old, o.new = old, new
	case f == Max && ordered(old, new):
		o := d.op(opMax)
		o.old, o.new = old, new
	case f == Min && ordered(old, new):
		o := d.op(opMin)
		o.old, o.new = old, new
	case f == Set && fits(kindArray, old, new):
		e := d.setEdit(path, old, new)
		if old == nil || e.gone || len(e.adds)+len(e.removes) > 0 {
			d.op(opSet).set = e
		}
	case f == Text && fits(kindString, old, new):
		e := d.textEdit(path, old, new)
		if old == nil || e.gone || len(e.deletes)+len(e.inserts) > 0 {
			d.op(opText).text = e
		}
	case new == nil:
		d.op(opRemove)
	default:
		d.op(opAssign).new = new
	}
}

// fits says that values are of a kind, or none.
func fits(k kind, old, new []byte) bool {
	return (old == nil || kindOf(old) == k) && (new == nil || kindOf(new) == k)
}

// ordered says that max and min can take values: nil stands for none there.
func ordered(old, new []byte) bool {
	return (old == nil || kindOf(old) != kindNil) && (new == nil || kindOf(new) != kindNil)
}

// all are the changes of a writer who saw nothing.
func (r *Rules) all(value []byte) *changes {
	d := differ{rules: r, known: &marks{}}
	d.node(nil, value)
	return d.finish()
}
