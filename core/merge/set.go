package merge

import (
	"bytes"
	"slices"

	"vsync/core/order"
)

// A member of a set, and the versions that brought it: their numbers in the marks, ascending by version.
type member struct {
	value []byte
	dots  []int
}

// members is a set, each member once, in the order of the list that holds it.
type members struct {
	list  []member
	index map[string]int // made when there are too many to look through
	value []byte         // what encode made of them
}

// setAt takes a set apart. Without marks of its own, or with some that do not fit, all came from the origin.
func (m *marks) setAt(path [][]byte, value []byte, origin int) *members {
	s := &members{}
	c := items(value)
	var groups []dots
	if i, found := m.find(path); found {
		if open := m.entries[i].open; open != nil && bytes.Equal(open.value, value) {
			return open
		}
		if groups = m.entries[i].brought(); countOf(groups) != c.left {
			groups = nil
		}
	}
	left := 0 // members of the first group
	if len(groups) > 0 {
		left = groups[0].n
	}
	all := []int{origin}
	for {
		item, ok := c.next()
		if !ok {
			return s
		}
		brought := all
		if len(groups) > 0 {
			brought = groups[0].versions
			if left--; left == 0 {
				if groups = groups[1:]; len(groups) > 0 {
					left = groups[0].n
				}
			}
		}
		if s.find(item) < 0 {
			s.add(item, brought)
		}
	}
}

func countOf(groups []dots) (n int) {
	for i := range groups {
		n += groups[i].n
	}
	return n
}

func (s *members) find(value []byte) int {
	if s.index != nil {
		if i, ok := s.index[string(value)]; ok {
			return i
		}
		return -1
	}
	for i := range s.list {
		if bytes.Equal(s.list[i].value, value) {
			return i
		}
	}
	return -1
}

func (s *members) add(value []byte, brought []int) {
	s.list = append(s.list, member{value, brought})
	if s.index == nil {
		s.reindex()
	} else {
		s.index[string(value)] = len(s.list) - 1
	}
}

// reindex makes the index anew, where there is to be one.
func (s *members) reindex() {
	if s.index = nil; len(s.list) <= fewFields {
		return
	}
	s.index = make(map[string]int, 2*len(s.list))
	for i := range s.list {
		s.index[string(s.list[i].value)] = i
	}
}

// editSet applies what a writer did to a set: a member goes where he saw all that brought it, and what he added
// came from him.
func (a *applier) editSet(path [][]byte, now []byte, e *setEdit) []byte {
	if len(e.adds) == 0 && (now == nil && len(e.removes) > 0 || now != nil && kindOf(now) != kindArray) {
		return now // gone meanwhile, or something else
	}
	m := a.marks()
	s := m.setAt(path, now, a.origin())
	removed := false
	for _, r := range e.removes {
		if i := s.find(r.member); i >= 0 {
			s.list[i].dots = a.without(s.list[i].dots, r.dots)
			removed = removed || len(s.list[i].dots) == 0
		}
	}
	for _, value := range e.adds {
		if i := s.find(value); i >= 0 {
			s.list[i].dots = a.with(s.list[i].dots, a.self())
		} else {
			s.add(value, []int{a.self()})
		}
	}
	if removed {
		s.list = slices.DeleteFunc(s.list, func(x member) bool { return len(x.dots) == 0 })
		s.reindex()
	}
	if e.gone && len(s.list) == 0 {
		m.drop(path)
		return nil
	}
	m.drop(path)
	m.put(entry{path: path, open: s})
	s.value = s.encode()
	return s.value
}

// without takes the versions that a writer named out of those that brought a member.
func (a *applier) without(brought, seen []int) []int {
	var left []int
	for _, v := range brought {
		if !slices.ContainsFunc(seen, func(s int) bool { return a.number(s) == v }) {
			left = append(left, v)
		}
	}
	return left
}

// with adds a version to those that brought a member, and holds the bound.
func (a *applier) with(brought []int, v int) []int {
	if slices.Contains(brought, v) {
		return brought
	}
	m := a.marks()
	out := append(slices.Clone(brought), v)
	order.ByPointer(out, func(i, j *int) int { return m.versions.list[*i].Compare(m.versions.list[*j]) })
	return out[max(0, len(out)-MaxDots):]
}

// groups joins neighbours that the same versions brought.
func (s *members) groups() []dots {
	out := make([]dots, 0, 4)
	for _, x := range s.list {
		if n := len(out); n > 0 && slices.Equal(out[n-1].versions, x.dots) {
			out[n-1].n++
		} else {
			out = append(out, dots{1, x.dots})
		}
	}
	return out
}

func (s *members) encode() []byte {
	size := 5
	for i := range s.list {
		size += len(s.list[i].value)
	}
	b := appendArray(make([]byte, 0, size), len(s.list))
	for i := range s.list {
		b = append(b, s.list[i].value...)
	}
	return b
}

// setEdit says what becomes of one list on the way to another, both taken as sets. Nil lists are none. Removals name
// what brought a member as the state has it now: a writer who saw it was told of all that.
func (d *differ) setEdit(path [][]byte, old, new []byte) *setEdit {
	e := &setEdit{gone: new == nil}
	before, after := setOf(old), setOf(new)
	for i := range after.list {
		if before.find(after.list[i].value) < 0 {
			e.adds = append(e.adds, after.list[i].value)
		}
	}
	var now *members
	for i := range before.list {
		value := before.list[i].value
		if after.find(value) >= 0 {
			continue
		}
		if now == nil {
			now = d.marks().setAt(path, d.nowAt(path, kindArray), d.origin())
		}
		if j := now.find(value); j >= 0 {
			r := removal{member: value}
			for _, dot := range now.list[j].dots {
				r.dots = append(r.dots, d.name(dot))
			}
			e.removes = append(e.removes, r)
		}
	}
	return e
}

func setOf(value []byte) *members {
	return (&marks{}).setAt(nil, value, 0)
}
