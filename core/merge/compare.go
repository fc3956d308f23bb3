package merge

import "bytes"

// A Difference is a place at which two values differ: keys from the root, none for the root itself.
type Difference struct {
	Path          []string
	Before, After []byte // canonical; nil: nothing is there
}

// Differences says where two values differ, in the order of the second's fields, those that are gone behind them. Maps are looked into,
// lists are not. Nil stands for no value.
func Differences(before, after []byte) []Difference {
	c := comparer{}
	c.node(before, after)
	return c.out
}

type comparer struct {
	path []string
	out  []Difference
}

func (c *comparer) node(before, after []byte) {
	if (before == nil) == (after == nil) && bytes.Equal(before, after) {
		return
	}
	h, g := headOf(before), headOf(after)
	inside := h.kind == kindMap && g.kind == kindMap && h.n+g.n > 0 ||
		h.kind == kindMap && after == nil && h.n > 0 || before == nil && g.kind == kindMap && g.n > 0
	if !inside {
		c.out = append(c.out, Difference{append([]string{}, c.path...), before, after})
		return
	}
	c.fields(before, after)
}

func (c *comparer) fields(before, after []byte) {
	var oldBuf, newBuf [fewFields]field
	was, is := fieldsOf(before, oldBuf[:0]), fieldsOf(after, newBuf[:0])
	at := func(key []byte, old, new []byte) {
		c.path = append(c.path, string(key))
		c.node(old, new)
		c.path = c.path[:len(c.path)-1]
	}
	for i := range is.list {
		at(is.list[i].key, was.find(is.list[i].key, i), is.list[i].value)
	}
	for i := range was.list {
		if key := was.list[i].key; is.find(key, i) == nil {
			at(key, was.list[i].value, nil)
		}
	}
}

// Lookup returns what a value has at a path, nil for nothing.
func Lookup(value []byte, path []string) []byte {
	keys := make([][]byte, len(path))
	for i := range path {
		keys[i] = []byte(path[i])
	}
	return lookup(value, keys)
}
