package merge

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"

	"vsync/core/change"
	"vsync/core/fmt"
	"vsync/core/order"
)

// A Mode says what becomes of an object of which several versions stand beside each other.
type Mode uint8

const (
	Latest  Mode = iota // one side is shown: not deleted, then the highest effective stamp, then the highest device
	Keep                // as Latest, and a plain put replaces the shown side only
	Fields              // what each side changed is put together, path by path
	Unknown             // a newer engine's; shown as Latest, and listed as a problem
)

func (m Mode) String() string {
	return [...]string{"latest", "keep", "fields", "unknown"}[min(m, Unknown)]
}

// A Func is a versioned way to merge the values at a path.
type Func uint8

const (
	LatestValue Func = iota // what came last in the feed
	Counter                 // counter@1: numbers, of which all increments count
	Set                     // set@1: arrays, of which every member counts once
	Text                    // text@1: strings, of which lines or characters come and go
	Max                     // max@1
	Min                     // min@1
	UnknownFunc             // a newer engine's
)

// names are the canonical ones; without "@1" they are understood too.
var names = [...]string{"latest", "counter@1", "set@1", "text@1", "max@1", "min@1"}

func (f Func) String() string {
	if f < UnknownFunc {
		return names[f]
	}
	return "unknown"
}

// Rules are what an application says of a collection, as Parse has read it. The zero Rules are those of a collection without: version 0, latest.
type Rules struct {
	Version uint64 // of two, the higher counts
	Mode    Mode
	Paths   []Path   // under Fields, the most exact first
	Indexes []string // dotted paths, as they were written

	mode   string // as it was written, where it is unknown
	merges bool   // all functions are known
}

// A Path is a pattern of paths and the function for what lies there.
type Path struct {
	Text string // "a.*.b", with \ before a dot, a star or a backslash that belongs to a key
	Func Func
	Name string // of the function, as it was written where it is unknown

	steps []step
}

// A step is one key, or any.
type step struct {
	key string
	any bool
}

// Unknown returns the names of modes and functions that this engine does not know. As long as there is one, it shows what Latest would
// show, and cannot fold the collection.
func (r *Rules) Unknown() (list []string) {
	if r.Mode == Unknown {
		list = append(list, r.mode)
	}
	for i := range r.Paths {
		if r.Paths[i].Func == UnknownFunc && !slices.Contains(list, r.Paths[i].Name) {
			list = append(list, r.Paths[i].Name)
		}
	}
	return list
}

// Merges reports whether values are put together: what Apply is for.
func (r *Rules) Merges() bool { return r.merges }

// Parse reads rules, as an application gives them or as the system's collection holds them: see the package comment. Errors are
// *Error.
func Parse(b []byte) (*Rules, error) {
	if len(b) > MaxRules {
		return nil, rulesError("$", ErrRules, fmt.Sprintf("at most %d bytes", MaxRules), strconv.Itoa(len(b)))
	}
	if err := change.CheckValue(b); err != nil {
		return nil, rulesError("$", err, "a value", "other bytes")
	}
	if kindOf(b) != kindMap {
		return nil, rulesError("$", ErrRules, "an object {version, conflict, indexes}", "something else")
	}
	r := &Rules{}
	c := items(b)
	for {
		key, value, ok := c.field()
		if !ok {
			break
		}
		if err := r.take(string(key), value); err != nil {
			return nil, err
		}
	}
	if r.Version == 0 {
		return nil, rulesError("$.version", ErrRules, "an integer of 1 or more, raised with every change", "none")
	}
	return r, r.arrange()
}

func (r *Rules) take(key string, value []byte) error {
	switch key {
	case "version":
		if kindOf(value) == kindNumber {
			if n := numberOf(value); !n.isFloat && n.hi == 0 && n.lo > 0 && n.lo <= change.MaxNumber {
				r.Version = n.lo
				return nil
			}
		}
		return rulesError("$.version", ErrRules, "an integer from 1 to 2^53-1", shown(value))
	case "conflict":
		return r.takeConflict(value)
	case "indexes":
		return r.takeIndexes(value)
	}
	return nil // a newer engine's
}

func (r *Rules) takeConflict(value []byte) error {
	switch kindOf(value) {
	case kindString:
		r.mode = string(text(value))
		r.Mode = Unknown
		if i := slices.Index([]string{"latest", "keep"}, r.mode); i >= 0 {
			r.Mode, r.mode = Mode(i), ""
		}
		return nil
	case kindMap:
		r.Mode = Fields
		c := items(value)
		for {
			key, name, ok := c.field()
			if !ok {
				return nil
			}
			if err := r.takePath(string(key), name); err != nil {
				return err
			}
		}
	}
	return rulesError("$.conflict", ErrRules, `"latest", "keep" or an object {path: function}`, shown(value))
}

func (r *Rules) takePath(pattern string, name []byte) error {
	at := "$.conflict[" + strconv.Quote(pattern) + "]"
	if len(r.Paths) == MaxPaths {
		return rulesError(at, ErrRules, fmt.Sprintf("at most %d paths", MaxPaths), "one more")
	}
	if kindOf(name) != kindString {
		return rulesError(at, ErrRules, "the name of a function, such as counter", shown(name))
	}
	steps, want := parsePattern(pattern)
	if want != "" {
		return rulesError(at, ErrPath, want, strconv.Quote(pattern))
	}
	p := Path{Text: pattern, Func: UnknownFunc, Name: string(text(name)), steps: steps}
	for i, known := range names {
		if p.Name == known || p.Name+"@1" == known {
			p.Func, p.Name = Func(i), known
		}
	}
	r.Paths = append(r.Paths, p)
	return nil
}

func (r *Rules) takeIndexes(value []byte) error {
	if kindOf(value) != kindArray || headOf(value).n > MaxIndexes {
		return rulesError("$.indexes", ErrRules, fmt.Sprintf("a list of at most %d paths", MaxIndexes), shown(value))
	}
	c := items(value)
	for i := 0; ; i++ {
		item, ok := c.next()
		if !ok {
			return nil
		}
		if kindOf(item) != kindString {
			return rulesError(fmt.Sprintf("$.indexes[%d]", i), ErrRules, "a dotted path", shown(item))
		}
		r.Indexes = append(r.Indexes, string(text(item)))
	}
}

func shown(value []byte) string {
	js, err := change.ToJSON(value)
	if err != nil || len(js) > 80 {
		return "something else"
	}
	return string(js)
}

// parsePattern takes a pattern apart, or says what it had to be.
func parsePattern(pattern string) (steps []step, want string) {
	if len(pattern) > MaxPathBytes {
		return nil, fmt.Sprintf("at most %d bytes", MaxPathBytes)
	}
	var key []byte
	escaped := false // the key has a backslash: a star in it is a letter
	for i := 0; i <= len(pattern); i++ {
		switch {
		case i == len(pattern) || pattern[i] == '.':
			if len(key) == 0 {
				return nil, "a key or * between dots"
			}
			steps = append(steps, step{key: string(key), any: string(key) == "*" && !escaped})
			key, escaped = key[:0], false
		case pattern[i] == '\\':
			i++
			if i == len(pattern) || !strings.ContainsRune(`.*\`, rune(pattern[i])) {
				return nil, `a dot, a star or a backslash after a backslash`
			}
			key, escaped = append(key, pattern[i]), true
		default:
			key = append(key, pattern[i])
		}
	}
	if len(steps) > change.MaxDepth {
		return nil, fmt.Sprintf("at most %d keys", change.MaxDepth)
	}
	for i := range steps {
		if steps[i].any {
			steps[i].key = ""
		}
	}
	return steps, ""
}

// rest says that the pattern ends in a star: it is for all that lies there and below.
func (p *Path) rest() bool { return p.steps[len(p.steps)-1].any }

// rank orders what patterns have at one place: a key, any key, the end, the rest.
func (p *Path) rank(i int) int {
	switch {
	case i >= len(p.steps):
		return 2
	case !p.steps[i].any:
		return 0
	case i == len(p.steps)-1:
		return 3
	}
	return 1
}

func (p *Path) compare(q *Path) int {
	for i := 0; i < max(len(p.steps), len(q.steps)); i++ {
		if c := cmp.Compare(p.rank(i), q.rank(i)); c != 0 {
			return c
		}
		if i < len(p.steps) {
			if c := strings.Compare(p.steps[i].key, q.steps[i].key); c != 0 {
				return c
			}
		}
	}
	return 0
}

// arrange puts the paths in their order, and refuses those that none would ever reach.
func (r *Rules) arrange() error {
	order.ByPointer(r.Paths, (*Path).compare)
	r.merges = r.Mode == Fields && len(r.Unknown()) == 0
	for i := range r.Paths {
		p := &r.Paths[i]
		if i > 0 && p.compare(&r.Paths[i-1]) == 0 {
			return rulesError("$.conflict["+strconv.Quote(p.Text)+"]", ErrShadow, "each path once", strconv.Quote(r.Paths[i-1].Text))
		}
		for j := range r.Paths {
			q := &r.Paths[j]
			if !q.rest() && len(q.steps) < len(p.steps) && slices.Equal(q.steps, p.steps[:len(q.steps)]) {
				return rulesError("$.conflict["+strconv.Quote(p.Text)+"]", ErrShadow,
					"no path below "+strconv.Quote(q.Text)+", which takes the whole value there", strconv.Quote(p.Text))
			}
		}
	}
	return nil
}

// Encode returns the canonical bytes of the rules.
func (r *Rules) Encode() []byte {
	n := 2
	if len(r.Indexes) > 0 {
		n++
	}
	b := appendUint(appendString(appendMap(nil, n), "version"), r.Version)
	b = appendString(b, "conflict")
	switch r.Mode {
	case Fields:
		paths := slices.Clone(r.Paths)
		order.ByPointer(paths, func(p, q *Path) int { return strings.Compare(p.Text, q.Text) })
		b = appendMap(b, len(paths))
		for i := range paths {
			b = appendString(appendString(b, paths[i].Text), paths[i].Name)
		}
	case Unknown:
		b = appendString(b, r.mode)
	default:
		b = appendString(b, r.Mode.String())
	}
	if len(r.Indexes) > 0 {
		b = appendArray(appendString(b, "indexes"), len(r.Indexes))
		for _, path := range r.Indexes {
			b = appendString(b, path)
		}
	}
	return b
}

// at returns the function for the value at a path. Whole says that it takes all that is there; else a map is looked into.
func (r *Rules) at(path [][]byte) (f Func, whole bool) {
	for i := range r.Paths {
		if p := &r.Paths[i]; p.matches(path) {
			return p.Func, !p.rest()
		}
	}
	return LatestValue, false
}

func (p *Path) matches(path [][]byte) bool {
	steps := p.steps
	if p.rest() {
		steps = steps[:len(steps)-1]
		if len(path) < len(steps) {
			return false
		}
	} else if len(path) != len(steps) {
		return false
	}
	for i := range steps {
		if !steps[i].any && steps[i].key != string(path[i]) {
			return false
		}
	}
	return true
}

// comparePaths orders paths: by their keys' bytes, a shorter one before those below it.
func comparePaths(p, q [][]byte) int {
	for i := range min(len(p), len(q)) {
		if c := bytes.Compare(p[i], q[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(p), len(q))
}
