package merge

import (
	"encoding/binary"
	"slices"

	"vsync/core/change"
	"vsync/core/order"
)

// marks say which version brought what is in a value: the bytes of a text, the members of a set. What no mark is for
// was brought by the value's origin.
type marks struct {
	versions numbering[change.Version]
	entries  []entry // ascending by path
}

// An entry has the marks of one path: of a text or of a set.
type entry struct {
	path [][]byte
	runs []span   // of a text: all its bytes, in order
	dots []dots   // of a set: all its members, in order
	open *members // of a set that was edited: its members, of which dots are made when they are wanted
}

// brought are the marks of a set, nil of a text.
func (e *entry) brought() []dots {
	if e.open != nil {
		return e.open.groups()
	}
	return e.dots
}

// dots stand for n members that the same versions brought.
type dots struct {
	n        int
	versions []int
}

// version returns a version's number, a new one if need be.
func (m *marks) version(v change.Version) int {
	i, _ := m.versions.of(v)
	return i
}

// A numbering gives things numbers in the order in which they come.
type numbering[T comparable] struct {
	list  []T
	index map[T]int // made when there are too many to look through
}

// of returns the number of x, and whether it had one before.
func (n *numbering[T]) of(x T) (int, bool) {
	if n.index != nil {
		if i, known := n.index[x]; known {
			return i, true
		}
	} else if i := slices.Index(n.list, x); i >= 0 {
		return i, true
	}
	n.list = append(n.list, x)
	if n.index == nil && len(n.list) > fewFields {
		n.index = make(map[T]int, 2*len(n.list))
		for i := range n.list {
			n.index[n.list[i]] = i
		}
	} else if n.index != nil {
		n.index[x] = len(n.list) - 1
	}
	return len(n.list) - 1, false
}

// find returns the place of a path's entry, or where it would be.
func (m *marks) find(path [][]byte) (int, bool) {
	return slices.BinarySearchFunc(m.entries, path, func(e entry, path [][]byte) int { return comparePaths(e.path, path) })
}

func (m *marks) put(e entry) {
	i, found := m.find(e.path)
	if found {
		m.entries[i] = e
		return
	}
	m.entries = order.Insert(m.entries, i, e)
}

// drop takes away the entries at a path and below.
func (m *marks) drop(path [][]byte) {
	i, _ := m.find(path)
	j := i
	for j < len(m.entries) && len(m.entries[j].path) >= len(path) && comparePaths(m.entries[j].path[:len(path)], path) == 0 {
		j++
	}
	m.entries = slices.Delete(m.entries, i, j)
}

// encode returns the canonical bytes, nil where there are no marks: only versions that are used, in the order of their first use.
func (m *marks) encode() []byte {
	if len(m.entries) == 0 {
		return nil
	}
	w := marksWriter{m: m, numbers: make([]int, len(m.versions.list))}
	b := change.AppendUvarint(nil, uint64(len(m.entries)))
	for i := range m.entries {
		b = w.entry(b, &m.entries[i])
	}
	head := change.AppendUvarint(make([]byte, 0, 2+20*len(w.used)+len(b)), uint64(len(w.used)))
	devices := numbering[change.DeviceID]{}
	for _, v := range w.used {
		at, known := devices.of(v.Device)
		head = change.AppendUvarint(head, uint64(at))
		if !known {
			head = append(head, v.Device[:]...)
		}
		head = change.AppendUvarint(head, uint64(v.Gen))
	}
	return append(head, b...)
}

type marksWriter struct {
	m       *marks
	numbers []int // old number → 1 + new one; 0: not used yet
	used    []change.Version
}

func (w *marksWriter) version(b []byte, i int) []byte {
	if w.numbers[i] == 0 {
		w.used = append(w.used, w.m.versions.list[i])
		w.numbers[i] = len(w.used)
	}
	return change.AppendUvarint(b, uint64(w.numbers[i]-1))
}

func (w *marksWriter) entry(b []byte, e *entry) []byte {
	b = change.AppendUvarint(b, uint64(len(e.path)))
	for _, key := range e.path {
		b = append(change.AppendUvarint(b, uint64(len(key))), key...)
	}
	dots := e.brought()
	if dots == nil {
		b = change.AppendUvarint(b, 2*uint64(len(e.runs)))
		for _, s := range e.runs {
			b = w.version(b, s.version)
			b = change.AppendUvarint(change.AppendUvarint(b, uint64(s.start)), uint64(s.n))
		}
		return b
	}
	b = change.AppendUvarint(b, 2*uint64(len(dots))+1)
	for _, d := range dots {
		b = change.AppendUvarint(change.AppendUvarint(b, uint64(d.n)), uint64(len(d.versions)))
		for _, v := range d.versions {
			b = w.version(b, v)
		}
	}
	return b
}

// decodeMarks reads marks that encode wrote. Of damaged ones it gives none: what they were for counts as the origin's.
func decodeMarks(b []byte) *marks {
	r := marksReader{b: b}
	m := &marks{}
	if len(b) == 0 {
		return m
	}
	var devices []change.DeviceID
	for range r.count(2) {
		v := change.Version{}
		switch at := r.uvarint(); {
		case at == len(devices) && len(r.b) >= 16:
			devices = append(devices, change.DeviceID(r.take(16)))
			fallthrough
		case at < len(devices):
			v.Device = devices[at]
		default:
			r.bad = true
		}
		v.Gen = change.Generation(r.uvarint())
		_, again := m.versions.of(v)
		r.bad = r.bad || again
	}
	for range r.count(2) {
		m.entries = append(m.entries, r.entry(len(m.versions.list)))
	}
	if r.bad || len(r.b) > 0 || !slices.IsSortedFunc(m.entries, func(d, e entry) int { return comparePaths(d.path, e.path) }) {
		return &marks{}
	}
	return m
}

type marksReader struct {
	b   []byte
	bad bool
}

func (r *marksReader) uvarint() int {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > change.MaxNumber {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[size:]
	return int(n)
}

// count reads a number of things of at least size bytes each.
func (r *marksReader) count(size int) int {
	n := r.uvarint()
	if n > len(r.b)/size {
		r.bad, r.b = true, nil
		return 0
	}
	return n
}

func (r *marksReader) take(n int) []byte {
	if n > len(r.b) {
		r.bad, r.b = true, nil
		return make([]byte, min(n, 16))
	}
	taken := r.b[:n:n]
	r.b = r.b[n:]
	return taken
}

// place reads a number of bytes or members: as many as a value may have.
func (r *marksReader) place(least int) int {
	n := r.uvarint()
	if n < least || n > MaxPlace {
		r.bad, r.b = true, nil
	}
	return n
}

func (r *marksReader) version(known int) int {
	i := r.uvarint()
	if i >= known {
		r.bad, r.b = true, nil
	}
	return i
}

func (r *marksReader) entry(known int) (e entry) {
	for range r.count(1) {
		e.path = append(e.path, r.take(r.uvarint()))
	}
	n := r.uvarint()
	if n/2 > len(r.b)/2 {
		r.bad, r.b = true, nil
		return e
	}
	if n%2 == 0 {
		e.runs = make([]span, 0, n/2)
		for range n / 2 {
			s := span{r.version(known), r.place(0), r.place(1)}
			r.bad = r.bad || s.start+s.n > MaxPlace
			e.runs = append(e.runs, s)
		}
		return e
	}
	e.dots = make([]dots, 0, n/2)
	for range n / 2 {
		d := dots{n: r.place(1)}
		for range r.count(1) {
			d.versions = append(d.versions, r.version(known))
		}
		e.dots = append(e.dots, d)
	}
	return e
}
