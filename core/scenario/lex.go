package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"vsync/core/change"
)

// A SyntaxError says where a script cannot be read.
type SyntaxError struct {
	File     string
	Line     int
	Expected string
	Got      string // what stands there
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d: expected %s, got %s", e.File, e.Line, e.Expected, e.Got)
}

// A words is what is left of a line.
type words struct {
	list []string
	err  *SyntaxError // the first one
}

// maxValue bounds a value that a script makes by repetition.
const maxValue = 8 << 20

// cut cuts a line into words. JSON texts, objects and lists are one word each, spaces included.
func cut(line string) (list []string, err error) {
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" || line[0] == '#' {
			return list, nil
		}
		end := strings.IndexAny(line, " \t")
		if end < 0 {
			end = len(line)
		}
		if strings.IndexByte(`"{[`, line[0]) >= 0 {
			d := json.NewDecoder(strings.NewReader(line))
			var raw json.RawMessage
			if err := d.Decode(&raw); err != nil {
				return nil, err
			}
			end = int(d.InputOffset())
			end += len(line[end:]) - len(strings.TrimLeft(line[end:], "*0123456789"))
		}
		list = append(list, line[:end])
		line = line[end:]
	}
}

func (w *words) fail(expected, got string) {
	if w.err == nil {
		w.err = &SyntaxError{Expected: expected, Got: got}
	}
	w.list = nil
}

func (w *words) empty() bool { return len(w.list) == 0 }

// peek returns the next word, "" at the end.
func (w *words) peek() string {
	if w.empty() {
		return ""
	}
	return w.list[0]
}

// next takes a word that has to be there.
func (w *words) next(expected string) string {
	if w.empty() {
		w.fail(expected, "the end of the line")
		return ""
	}
	word := w.list[0]
	w.list = w.list[1:]
	return word
}

// take takes the next word if it is this one.
func (w *words) take(word string) bool {
	if w.peek() != word {
		return false
	}
	w.list = w.list[1:]
	return true
}

func (w *words) end() {
	if !w.empty() {
		w.fail("the end of the line", strconv.Quote(w.peek()))
	}
}

func (w *words) number(expected string) int {
	word := w.next(expected)
	n, err := strconv.Atoi(word)
	if err != nil && w.err == nil {
		w.fail(expected, strconv.Quote(word))
	}
	return n
}

func (w *words) key() change.Key {
	word := w.next("collection/id")
	c, id, _ := strings.Cut(word, "/")
	k := change.Key{Collection: c, ID: id}
	if err := k.Validate(); err != nil && w.err == nil {
		w.fail("collection/id", strconv.Quote(word))
	}
	return k
}

// value takes JSON, which may be repeated, as msgpack.
func (w *words) value() []byte {
	const expected = "a value in JSON"
	word := w.next(expected)
	text, times := word, 1
	if i := strings.LastIndexByte(word, '*'); i > 0 && word[i-1] == '"' && word[0] == '"' {
		n, err := strconv.Atoi(word[i+1:])
		if err != nil || n < 0 || n*i > maxValue || n > maxValue {
			w.fail(fmt.Sprintf("a text repeated to at most %d bytes", maxValue), strconv.Quote(word))
			return nil
		}
		text, times = word[:i], n
	}
	if times != 1 {
		body := strings.Repeat(text[1:len(text)-1], times)
		text = `"` + body + `"`
	}
	v, err := change.FromJSON([]byte(text))
	if err != nil && w.err == nil {
		w.fail(expected, strconv.Quote(word))
	}
	return bytes.Clone(v)
}

// name takes the name of something that was declared before.
func (w *words) name(expected string, known map[string]bool) string {
	word := w.next(expected)
	if w.err == nil && !known[word] {
		w.fail(expected, strconv.Quote(word))
	}
	return word
}

// A version is one as scripts name it.
type version struct {
	device string // with a ' for each new id
	gen    change.Generation
}

func (v version) String() string { return fmt.Sprintf("%s:%d", v.device, v.gen) }

func (p *parser) isVersion(word string) bool {
	device, gen, ok := strings.Cut(word, ":")
	_, err := change.ParseGeneration(gen)
	return ok && err == nil && p.devices[strings.TrimRight(device, "'")]
}

func (p *parser) version(w *words) version {
	word := w.next("a version, device:generation")
	if w.err == nil && !p.isVersion(word) {
		w.fail("a version, device:generation", strconv.Quote(word))
	}
	device, text, _ := strings.Cut(word, ":")
	gen, _ := change.ParseGeneration(text)
	return version{device, gen}
}

// versions takes as many as there are, at least one.
func (p *parser) versions(w *words) []version {
	list := []version{p.version(w)}
	for p.isVersion(w.peek()) {
		list = append(list, p.version(w))
	}
	return list
}
