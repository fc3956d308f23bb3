package merge

import (
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"vsync/core/change"
	"vsync/core/fmt"
)

// Check returns nil if b, which is a value in canonical form, can be the changes of a mutation: what a hub asks before it takes one.
// Changes of a newer format, and ops that are not known, are right. Errors are *Error.
func Check(b []byte) error {
	_, err := decode(b)
	return err
}

// decode reads changes. Nil without an error: they have a newer format. It is safe on any bytes; the changes alias b.
func decode(b []byte) (*changes, error) {
	d := decoder{c: cursor{b, 1}}
	if len(b) == 0 || sizeOf(b) != len(b) {
		return nil, d.fail("one value", fmt.Sprintf("%d bytes", len(b)))
	}
	if b[0] == fromNothing {
		return &changes{nothing: true}, nil
	}
	if kindOf(b) != kindArray {
		return nil, d.fail("a list, or 0", "something else")
	}
	d.c = items(b)
	n := d.c.left
	format := d.uint(1<<16, "a format")
	if d.err == nil && format != changesFormat {
		return nil, nil
	}
	if n != 2 && n != 4 {
		return nil, d.fail("2 or 4 items", fmt.Sprint(n))
	}
	out := &changes{}
	ops := d.list("ops")
	if n == 4 {
		out.versions = d.versions()
	}
	d.known = len(out.versions)
	out.ops = d.ops(ops)
	if d.err == nil && d.used != d.known {
		d.fail("as many versions as are named", fmt.Sprintf("%d of %d", d.used, d.known))
	}
	if d.err != nil {
		return nil, d.err
	}
	return out, nil
}

// A decoder takes items off a cursor; after the first error it gives zeros.
type decoder struct {
	c     cursor
	err   error
	op    int // 1 + number of the op
	known int // versions in the table
	used  int // of them named so far: they are named in the order of the table
}

func (d *decoder) fail(want, got string) error {
	if d.err == nil {
		at := "changes"
		if d.op > 0 {
			at = fmt.Sprintf("op %d", d.op-1)
		}
		d.err = &Error{Path: at, Want: want, Got: got, Err: ErrChanges}
	}
	d.c = cursor{}
	return d.err
}

func (d *decoder) next(want string) []byte {
	item, ok := d.c.next()
	if !ok {
		d.fail(want, "the end")
	}
	return item
}

func (d *decoder) uint(limit uint64, want string) int {
	item := d.next(want)
	if d.err != nil {
		return 0
	}
	if kindOf(item) == kindNumber {
		if n := numberOf(item); !n.isFloat && n.hi == 0 && n.lo <= limit {
			return int(n.lo)
		}
	}
	d.fail(fmt.Sprintf("%s: an integer of at most %d", want, limit), "something else")
	return 0
}

func (d *decoder) list(want string) cursor {
	item := d.next(want)
	if d.err == nil && kindOf(item) != kindArray {
		d.fail("a list of "+want, "something else")
	}
	if d.err != nil {
		return cursor{}
	}
	return items(item)
}

// within reads a list by means of the decoder itself.
func (d *decoder) within(list cursor, read func()) {
	outer := d.c
	d.c = list
	for d.err == nil && d.c.left > 0 {
		read()
	}
	if d.err == nil {
		d.c = outer
	}
}

func (d *decoder) versions() []change.Version {
	table := d.next("devices")
	if d.err != nil || kindOf(table) != kindBin || len(text(table))%16 != 0 {
		d.fail("devices of 16 bytes", "something else")
		return nil
	}
	table = text(table)
	used := 0
	seen := numbering[change.Version]{}
	d.within(d.list("versions"), func() {
		i := d.uint(uint64(len(table)/16), "a device's number")
		gen := d.uint(change.MaxNumber, "a generation")
		switch {
		case d.err != nil:
			return
		case i > used || 16*i >= len(table):
			d.fail(fmt.Sprintf("device %d at most", used), fmt.Sprint(i))
			return
		case i == used:
			used++
		}
		v := change.Version{Gen: change.Generation(gen)}
		copy(v.Device[:], table[16*i:])
		if _, again := seen.of(v); again {
			d.fail("each version once", v.String())
		}
	})
	devices := numbering[change.DeviceID]{}
	for i := 0; i < len(table); i += 16 {
		devices.of(change.DeviceID(table[i : i+16]))
	}
	if d.err == nil && (16*used != len(table) || len(devices.list) != used || used == 0) {
		d.fail("each device once, and used", fmt.Sprintf("%d of %d", used, len(table)/16))
	}
	return seen.list
}

// version reads the number of a version in the table.
func (d *decoder) version() int {
	i := d.uint(change.MaxValue, "a version's number")
	switch {
	case d.err != nil:
	case i >= d.known || i > d.used:
		d.fail(fmt.Sprintf("version %d at most, of %d", d.used, d.known), fmt.Sprint(i))
	case i == d.used:
		d.used++
	}
	return i
}

func (d *decoder) ops(list cursor) []op {
	ops := make([]op, 0, min(list.left, 8))
	var keys [][]byte
	d.within(list, func() {
		d.op++
		o := op{}
		d.within(d.list("an op"), func() {
			o.code = code(d.uint(1<<16, "a code"))
			start := len(keys)
			d.within(d.list("keys"), func() {
				key := d.next("a key")
				if d.err == nil && kindOf(key) != kindString {
					d.fail("a key", "something else")
				}
				if d.err == nil {
					keys = append(keys, text(key))
				}
			})
			o.path = keys[start:len(keys):len(keys)]
			if len(o.path) > change.MaxDepth {
				d.fail(fmt.Sprintf("at most %d keys", change.MaxDepth), fmt.Sprint(len(o.path)))
			}
			d.body(&o)
		})
		if d.err == nil && o.code == opAssign && o.new == nil {
			d.fail("a code, a path and what belongs to them", "an empty list")
		}
		if d.err == nil && len(ops) > 0 && comparePaths(ops[len(ops)-1].path, o.path) >= 0 {
			d.fail("paths ascending, each once", "others")
		}
		if ops = append(ops, o); len(ops) > MaxOps {
			d.fail(fmt.Sprintf("at most %d ops", MaxOps), "one more")
		}
	})
	return ops
}

// body reads what follows an op's path: all that is left of it.
func (d *decoder) body(o *op) {
	switch o.code {
	case opAssign:
		o.new = d.next("a value")
	case opRemove, opObject, opPrune:
	case opCounter, opMax, opMin:
		o.old, o.new = d.optional(o.code), d.optional(o.code)
		if d.err == nil && o.old == nil && o.new == nil {
			d.fail("an old or a new value", "none")
		}
	case opSet:
		o.set = d.set()
		o.set.gone = d.gone()
	case opText:
		o.text = d.text()
		o.text.gone = d.gone()
	default:
		o.rest = d.c.b
		if n := sizeOfMany(o.rest, d.c.left); n >= 0 {
			o.rest = o.rest[:n:n]
		}
		d.c = cursor{}
		return
	}
	if d.err == nil && d.c.left != 0 {
		d.fail("the end of the op", fmt.Sprintf("%d more items", d.c.left))
	}
}

// gone reads the mark that nothing is left, which stands at an op's end or not at all.
func (d *decoder) gone() bool {
	if d.err != nil || d.c.left == 0 {
		return false
	}
	if item := d.next("true"); d.err == nil && item[0] != msgpcode.True {
		d.fail("true, or nothing", "something else")
	}
	return true
}

func sizeOfMany(b []byte, n int) int {
	off := 0
	for range n {
		size := sizeOf(b[off:])
		if size == 0 {
			return -1
		}
		off += size
	}
	return off
}

func (d *decoder) optional(c code) []byte {
	item := d.next("a value")
	switch {
	case d.err != nil || kindOf(item) == kindNil:
		return nil
	case c == opCounter && kindOf(item) != kindNumber:
		d.fail("a number", "something else")
	}
	return item
}

func (d *decoder) set() *setEdit {
	e := &setEdit{}
	d.within(d.list("members"), func() { e.adds = append(e.adds, d.next("a member")) })
	d.within(d.list("removals"), func() {
		r := removal{}
		d.within(d.list("a member and versions"), func() {
			if r.member == nil {
				r.member = d.next("a member")
				return
			}
			r.dots = append(r.dots, d.version())
		})
		if d.err == nil && (r.member == nil || len(r.dots) > MaxDots) {
			d.fail(fmt.Sprintf("a member and at most %d versions", MaxDots), fmt.Sprint(len(r.dots)))
		}
		e.removes = append(e.removes, r)
	})
	return e
}

func (d *decoder) text() *textEdit {
	e := &textEdit{}
	d.within(d.list("deletions"), func() {
		s := span{d.version(), d.uint(MaxPlace, "a place"), d.uint(MaxPlace, "a length")}
		if d.err == nil && s.n == 0 {
			d.fail("a length of 1 or more", "0")
		}
		e.deletes = append(e.deletes, s)
	})
	d.within(d.list("insertions"), func() {
		in := insert{}
		d.within(d.list("an insertion"), func() { d.insert(&in) })
		d.inOrder(e.inserts, &in)
		e.inserts = append(e.inserts, in)
		if len(e.inserts) > MaxInserts {
			d.fail(fmt.Sprintf("at most %d insertions", MaxInserts), "one more")
		}
	})
	return e
}

// inOrder: an insertion has bytes, and stands behind the one before, with something between them.
func (d *decoder) inOrder(before []insert, in *insert) {
	from := 0
	if n := len(before); n > 0 {
		from = before[n-1].at + len(before[n-1].text) + 1
	}
	switch {
	case d.err != nil:
	case len(in.text) == 0:
		d.fail("a text of 1 byte or more", "none")
	case in.at < from:
		d.fail(fmt.Sprintf("an insertion at %d or behind", from), fmt.Sprint(in.at))
	case in.at+len(in.text) >= MaxPlace:
		d.fail(fmt.Sprintf("a text of less than %d bytes", MaxPlace), "an insertion behind them")
	}
}

// insert reads all of an insertion.
func (d *decoder) insert(in *insert) {
	item := d.next("a text")
	if d.err == nil && kindOf(item) != kindString {
		d.fail("a text", "something else")
	}
	if d.err != nil {
		return
	}
	in.text = text(item)
	in.at = d.uint(MaxPlace, "a place in the text")
	if kindOf(d.c.b) == kindNil {
		d.next("a version's number")
	} else {
		in.right = d.place()
	}
	for d.err == nil && d.c.left > 0 {
		in.left = append(in.left, d.place())
	}
	if len(in.left) > anchors {
		d.fail(fmt.Sprintf("at most %d places on the left", anchors), fmt.Sprint(len(in.left)))
	}
}

func (d *decoder) place() span { return span{d.version(), d.uint(MaxPlace, "a place"), 1} }
