package merge

import (
	"github.com/vmihailenco/msgpack/v5/msgpcode"
	"slices"

	"vsync/core/change"
)

// fromNothing are the changes of one who saw nothing there: all that he wrote is his.
const fromNothing = 0

const changesFormat = 1

// A code says what an op does; those of functions name their version too.
type code uint32

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

// A span is n bytes that version wrote, from the place start in its text on.
type span struct{ version, start, n int }

// An insert stands before what it names on the right; where that is gone, after the nearest on the left. One that names nothing
// stands at the end.
type insert struct {
	text  []byte
	at    int    // where it begins in the text that the writer wrote
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
		n := 3 + 2*len(in.left)
		if in.right.n > 0 {
			n++
		}
		b = appendUint(appendString(appendArray(b, n), in.text), uint64(in.at))
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
