package merge

import (
	"fmt"
	"slices"

	"vsync/core/change"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// fromNothing are the changes of one who saw nothing there: all that he wrote is his.
const fromNothing = 0

const changesFormat = 1

// A code says what an op does; those of functions name their version too.
type code uint8

const (
	opAssign  code = 0 // value
	opRemove  code = 1
	opObject  code = 2 // a map, where there is none
	opPrune   code = 3 // a map that has become empty goes
	opCounter code = 4 // old, new: counter@1
	opMax     code = 5 // old, new: max@1
	opMin     code = 6 // old, new: min@1
	opSet     code = 7 // set@1
	opText    code = 8 // text@1
	opUnknown code = 9 // and all above: a newer engine's
)

// of returns the function that an op belongs to, LatestValue for those of none.
func (c code) of() Func {
	switch c {
	case opCounter:
		return Counter
	case opMax:
		return Max
	case opMin:
		return Min
	case opSet:
		return Set
	case opText:
		return Text
	case opAssign, opRemove, opObject, opPrune:
		return LatestValue
	}
	return UnknownFunc
}

// changes are what a mutation's writer changed.
type changes struct {
	nothing  bool // he saw nothing
	versions []change.Version
	ops      []op // ascending by path
}

// An op is what was changed at one path.
type op struct {
	path     [][]byte
	code     code
	old, new []byte // numbers and such: nil where there was, or is, none
	set      *setEdit
	text     *textEdit
	rest     []byte // of an unknown op: its items, as they came
}

type setEdit struct {
	adds    [][]byte
	removes []removal
	gone    bool // nothing is left of it, not even an empty list
}

// A removal names the additions of a member that the writer had seen.
type removal struct {
	member []byte
	dots   []int // versions
}

type textEdit struct {
	deletes []span // in the order of the text that the writer saw
	inserts []insert
	gone    bool // nothing is left of it, not even an empty text
}

// A span is n bytes that version wrote, from the place start among those.
type span struct{ version, start, n int }

// An insert stands before what it names on the right; where that is gone, after the nearest on the left. One that names nothing
// stands at the end.
type insert struct {
	text  []byte
	right span   // its n is 0 where there is none
	left  []span // n 1: the last byte of the line or character
}

// encode returns the canonical bytes.
func (c *changes) encode() []byte {
	if c.nothing {
		return []byte{fromNothing}
	}
	n := 2
	if len(c.versions) > 0 {
		n = 4
	}
	b := appendUint(appendArray(make([]byte, 0, 64), n), changesFormat)
	b = appendArray(b, len(c.ops))
	for i := range c.ops {
		b = c.ops[i].append(b)
	}
	if n == 2 {
		return b
	}
	return appendVersions(b, c.versions)
}

// appendVersions writes two tables: the devices, and per version the number of its device and its generation.
func appendVersions(b []byte, versions []change.Version) []byte {
	devices := numbering[change.DeviceID]{}
	for _, v := range versions {
		devices.of(v.Device)
	}
	b = appendHead(b, len(devices.list)*16, 0, 0, msgpcode.Bin8, msgpcode.Bin16)
	for i := range devices.list {
		b = append(b, devices.list[i][:]...)
	}
	b = appendArray(b, 2*len(versions))
	for _, v := range versions {
		i, _ := devices.of(v.Device)
		b = appendUint(appendUint(b, uint64(i)), uint64(v.Gen))
	}
	return b
}

func (o *op) append(b []byte) []byte {
	switch o.code {
	case opRemove, opObject, opPrune:
		return o.appendStart(b, 2)
	case opAssign:
		return append(o.appendStart(b, 3), o.new...)
	case opCounter, opMax, opMin:
		return appendOptional(appendOptional(o.appendStart(b, 4), o.old), o.new)
	case opSet:
		return appendGone(o.set.append(o.appendStart(b, 4+one(o.set.gone))), o.set.gone)
	case opText:
		return appendGone(o.text.append(o.appendStart(b, 4+one(o.text.gone))), o.text.gone)
	}
	n := 0
	for off := 0; off < len(o.rest); n++ {
		off += max(sizeOf(o.rest[off:]), 1)
	}
	return append(o.appendStart(b, 2+n), o.rest...)
}

func (o *op) appendStart(b []byte, n int) []byte {
	b = appendUint(appendArray(b, n), uint64(o.code))
	b = appendArray(b, len(o.path))
	for _, key := range o.path {
		b = appendString(b, key)
	}
	return b
}

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

func appendGone(b []byte, gone bool) []byte {
	if gone {
		return append(b, msgpcode.True)
	}
	return b
}

func appendOptional(b, value []byte) []byte {
	if value == nil {
		return append(b, msgpcode.Nil)
	}
	return append(b, value...)
}

func (e *setEdit) append(b []byte) []byte {
	b = appendArray(b, len(e.adds))
	for _, member := range e.adds {
		b = append(b, member...)
	}
	b = appendArray(b, len(e.removes))
	for _, r := range e.removes {
		b = append(appendArray(b, 1+len(r.dots)), r.member...)
		for _, dot := range r.dots {
			b = appendUint(b, uint64(dot))
		}
	}
	return b
}

func (e *textEdit) append(b []byte) []byte {
	b = appendArray(b, 3*len(e.deletes))
	for _, s := range e.deletes {
		b = appendUint(appendUint(appendUint(b, uint64(s.version)), uint64(s.start)), uint64(s.n))
	}
	b = appendArray(b, len(e.inserts))
	for i := range e.inserts {
		in := &e.inserts[i]
		n := 2 + 2*len(in.left)
		if in.right.n > 0 {
			n++
		}
		b = appendString(appendArray(b, n), in.text)
		if in.right.n > 0 {
			b = appendUint(appendUint(b, uint64(in.right.version)), uint64(in.right.start))
		} else {
			b = append(b, msgpcode.Nil)
		}
		for _, s := range in.left {
			b = appendUint(appendUint(b, uint64(s.version)), uint64(s.start))
		}
	}
	return b
}

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
			o.code = code(min(d.uint(1<<16, "a code"), 255))
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
		if d.err == nil && len(in.text) == 0 {
			d.fail("a text of 1 byte or more", "none")
		}
		e.inserts = append(e.inserts, in)
		if len(e.inserts) > MaxInserts {
			d.fail(fmt.Sprintf("at most %d insertions", MaxInserts), "one more")
		}
	})
	return e
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

// Rename gives the versions that changes name other names: what a device needs that writes unsent batches anew under another id.
// Errors are *Error.
func Rename(b []byte, name func(change.Version) change.Version) ([]byte, error) {
	c, err := decode(b)
	if err != nil || c == nil || len(c.versions) == 0 {
		return b, err
	}
	c.versions = slices.Clone(c.versions)
	for i, v := range c.versions {
		c.versions[i] = name(v)
	}
	return c.encode(), nil
}

// renumber puts the table of versions into the order in which ops name them, and leaves out what none names.
func (c *changes) renumber() {
	if len(c.versions) == 0 {
		return
	}
	numbers := make([]int, len(c.versions)) // old → 1 + new
	var used []change.Version
	number := func(i *int) {
		if numbers[*i] == 0 {
			used = append(used, c.versions[*i])
			numbers[*i] = len(used)
		}
		*i = numbers[*i] - 1
	}
	for i := range c.ops {
		c.ops[i].references(number)
	}
	c.versions = used
}

// references visits the versions' numbers in the order in which they are written.
func (o *op) references(visit func(*int)) {
	if o.set != nil {
		for i := range o.set.removes {
			for j := range o.set.removes[i].dots {
				visit(&o.set.removes[i].dots[j])
			}
		}
	}
	if o.text == nil {
		return
	}
	for i := range o.text.deletes {
		visit(&o.text.deletes[i].version)
	}
	for i := range o.text.inserts {
		in := &o.text.inserts[i]
		if in.right.n > 0 {
			visit(&in.right.version)
		}
		for j := range in.left {
			visit(&in.left[j].version)
		}
	}
}
