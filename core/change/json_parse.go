package change

import (
	"bytes"
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"vsync/core/fmt"
)

// maxJSON bounds the JSON text of a value: every byte of a value takes at most six in JSON
// ("\u0000"), and spaces are free up to that.
const maxJSON = 8 * MaxValue

// FromJSON returns the canonical bytes of a JSON text, keys in their order, with the tagged forms
// that ToJSON writes. It is stricter than most readers, so that nothing is lost in silence: unpaired
// surrogates, bytes that are not UTF-8, keys that come twice, and integers beyond ±(2^53-1) that no
// float64 holds are refused. A number becomes an integer where it is one within ±(2^53-1) (1.0 and
// 1e2 too), else a float64; -0 is a float64.
//
// Errors are *ValueError with the offset in the text.
func FromJSON(text []byte) ([]byte, error) {
	if len(text) > maxJSON {
		return nil, &ValueError{Path: "$", Problem: fmt.Sprintf("JSON of at most %d bytes, this has %d", maxJSON, len(text)), Err: ErrTooLarge}
	}
	p := jsonParser{s: text}
	p.space()
	err := p.value(0)
	if err == nil {
		p.space()
		if p.off < len(text) {
			err = p.bad(p.off, ErrTrailing, "something follows the value")
		}
	}
	if err != nil {
		err.Path = "$" + err.Path
		return nil, err
	}
	return p.out.finish()
}

// A jsonParser reads JSON (RFC 8259) and writes canonical msgpack as it goes.
type jsonParser struct {
	s   []byte
	off int
	out encoder
}

func (p *jsonParser) bad(at int, err error, format string, args ...any) *ValueError {
	return &ValueError{Offset: at, Problem: fmt.Sprintf(format, args...), Err: err}
}

// at gives a problem that the encoder found its place in the text.
func (p *jsonParser) at(off int, err *ValueError) *ValueError {
	if err != nil {
		err.Offset = off
	}
	return err
}

func (p *jsonParser) space() {
	for p.off < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.off]) >= 0 {
		p.off++
	}
}

// peek returns the next byte, 0 at the end: NUL stands nowhere in JSON outside strings.
func (p *jsonParser) peek() byte {
	if p.off < len(p.s) {
		return p.s[p.off]
	}
	return 0
}

// expected says that something else should stand here.
func (p *jsonParser) expected(want string) *ValueError {
	if p.off >= len(p.s) {
		return p.bad(p.off, ErrTruncated, "expected %s, got the end", want)
	}
	r, _ := utf8.DecodeRune(p.s[p.off:])
	return p.bad(p.off, ErrText, "expected %s, got %q", want, r)
}

func (p *jsonParser) value(depth int) *ValueError {
	switch c := p.peek(); {
	case c == '{':
		return p.object(depth + 1)
	case c == '[':
		return p.array(depth + 1)
	case c == '"':
		at := p.off
		s, err := p.string()
		if err != nil {
			return err
		}
		return p.at(at, p.out.string(s))
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	}
	for _, w := range [...]struct {
		text string
		code byte
	}{{"null", msgpcode.Nil}, {"true", msgpcode.True}, {"false", msgpcode.False}} {
		if bytes.HasPrefix(p.s[p.off:], []byte(w.text)) {
			p.off += len(w.text)
			p.out.b = append(p.out.b, w.code)
			return nil
		}
	}
	return p.expected("a value")
}

func (p *jsonParser) number() *ValueError {
	start := p.off
	for p.off < len(p.s) && strings.IndexByte("+-.0123456789eE", p.s[p.off]) >= 0 {
		p.off++
	}
	return p.at(start, p.out.literal(string(p.s[start:p.off])))
}

// jsonNumber reports whether s is -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?
func jsonNumber(s string) bool {
	digits := func() bool {
		n := len(s)
		s = strings.TrimLeft(s, "0123456789")
		return len(s) < n
	}
	s = strings.TrimPrefix(s, "-")
	if strings.HasPrefix(s, "0") {
		s = s[1:]
	} else if !digits() {
		return false
	}
	if strings.HasPrefix(s, ".") {
		if s = s[1:]; !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if !digits() {
			return false
		}
	}
	return s == ""
}

// string reads a string and takes its escapes away.
func (p *jsonParser) string() (string, *ValueError) {
	if p.peek() != '"' {
		return "", p.expected("a string")
	}
	start := p.off
	p.off++
	var text []byte
	for {
		c := p.peek()
		switch {
		case c == '"':
			p.off++
			if !utf8.Valid(text) {
				return "", p.bad(start, ErrNotUTF8, "a string that is not UTF-8")
			}
			return string(text), nil
		case c == '\\':
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			text = utf8.AppendRune(text, r)
		case c < 0x20:
			return "", p.expected("a character (those below 0x20 are escaped)")
		default:
			text = append(text, c)
			p.off++
		}
	}
}

func (p *jsonParser) escape() (rune, *ValueError) {
	start := p.off
	p.off++
	c := p.peek()
	if c == 'u' {
		p.off--
		return p.unicode(start)
	}
	i := strings.IndexByte(`bfnrt"\/`, c)
	if i < 0 {
		return 0, p.expected("an escape")
	}
	p.off++
	return rune("\b\f\n\r\t\"\\/"[i]), nil
}

// unicode reads \uXXXX, twice for a surrogate pair.
func (p *jsonParser) unicode(start int) (rune, *ValueError) {
	r, err := p.hex4()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if low, err := p.hex4(); err == nil {
		if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
			return r, nil
		}
	}
	return 0, p.bad(start, ErrNotUTF8, "an unpaired surrogate")
}

func (p *jsonParser) hex4() (rune, *ValueError) {
	at := p.off
	if len(p.s)-at < 6 || p.s[at] != '\\' || p.s[at+1] != 'u' {
		return 0, p.bad(at, ErrTruncated, `expected \u and four digits`)
	}
	n, err := strconv.ParseUint(string(p.s[at+2:at+6]), 16, 16)
	if err != nil {
		return 0, p.bad(at, ErrText, `expected \u and four digits, got %q`, p.s[at:at+6])
	}
	p.off += 6
	return rune(n), nil
}

// list reads items between open and close; item reads one.
func (p *jsonParser) list(end byte, item func(n int) *ValueError) (n int, err *ValueError) {
	p.off++
	p.space()
	if p.peek() == end {
		p.off++
		return 0, nil
	}
	for {
		p.space()
		if err := item(n); err != nil {
			return n, err
		}
		n++
		p.space()
		switch p.peek() {
		case end:
			p.off++
			return n, nil
		case ',':
			p.off++
		default:
			return n, p.expected(fmt.Sprintf("a comma or %q", end))
		}
	}
}

// An array's or object's head is as long as its count needs, and the count is known at its end only:
// the items are written first and the head is then put before them.
func (p *jsonParser) array(depth int) *ValueError {
	start := p.off
	if err := p.at(start, p.nest(depth)); err != nil {
		return err
	}
	mark := len(p.out.b)
	n, err := p.list(']', func(n int) *ValueError {
		err := p.value(depth)
		if err != nil {
			err.Path = "[" + strconv.Itoa(n) + "]" + err.Path
		}
		return err
	})
	if err != nil {
		return err
	}
	return p.at(start, p.putHead(mark, func(e *encoder) *ValueError { return e.arrayHead(n, depth) }))
}

func (p *jsonParser) nest(depth int) *ValueError {
	if depth > MaxDepth+1 {
		return encodeProblem(ErrTooLarge, "nested more than %d deep", MaxDepth)
	}
	return nil
}

func (p *jsonParser) putHead(mark int, head func(*encoder) *ValueError) *ValueError {
	var h encoder
	if err := head(&h); err != nil {
		return err
	}
	p.out.b = append(p.out.b, h.b...)
	copy(p.out.b[mark+len(h.b):], p.out.b[mark:])
	copy(p.out.b[mark:], h.b)
	return nil
}

func (p *jsonParser) object(depth int) *ValueError {
	start := p.off
	if err := p.at(start, p.nest(depth)); err != nil {
		return err
	}
	mark := len(p.out.b)
	var keys [][]byte
	n, err := p.list('}', func(int) *ValueError {
		key, err := p.field(depth)
		keys = append(keys, []byte(key))
		return err
	})
	if err != nil {
		return err
	}
	if n == 1 && len(keys[0]) > 0 && keys[0][0] == '$' && isTag(strings.TrimLeft(string(keys[0]), "$")) {
		return p.at(start, p.tagged(mark, string(keys[0]), depth))
	}
	if key := repeated(keys); key != nil {
		return p.bad(start, ErrDuplicate, "key %q twice", key)
	}
	return p.at(start, p.putHead(mark, func(e *encoder) *ValueError { return e.mapHead(n, depth) }))
}

func (p *jsonParser) field(depth int) (string, *ValueError) {
	at := p.off
	key, err := p.string()
	if err != nil {
		return "", err
	}
	if err := p.at(at, p.out.string(key)); err != nil {
		return "", err
	}
	p.space()
	if p.peek() != ':' {
		return "", p.expected("a colon")
	}
	p.off++
	p.space()
	if err := p.value(depth); err != nil {
		err.Path = pathStep(key) + err.Path
		return "", err
	}
	return key, nil
}

// tagged replaces what was written since mark, the key of a tag and its value, by what it stands
// for: a value of another kind, or a map whose key has one $ less.
func (p *jsonParser) tagged(mark int, key string, depth int) *ValueError {
	d := decoder{b: p.out.b, off: mark}
	d.next()
	content := append([]byte(nil), p.out.b[d.off:]...)
	p.out.b = p.out.b[:mark]
	if strings.HasPrefix(key, "$$") {
		if err := p.out.mapHead(1, depth); err != nil {
			return err
		}
		if err := p.out.string(key[1:]); err != nil {
			return err
		}
		p.out.b = append(p.out.b, content...)
		return nil
	}
	c := decoder{b: content}
	t := c.next()
	if t.shape != shapeString {
		return encodeProblem(ErrText, "%s takes a string", key)
	}
	return p.out.tag(key, string(t.bytes))
}

func (e *encoder) tag(tag, text string) *ValueError {
	switch tag {
	case tagBytes:
		if b, err := base64.StdEncoding.Strict().DecodeString(text); err == nil && !strings.ContainsAny(text, "\r\n") {
			return e.bin(b)
		}
	case tagDate:
		if t, ok := parseDate(text); ok {
			return e.time(t.Unix(), uint32(t.Nanosecond()))
		}
	case tagInt:
		if e.tagInt(text) {
			return nil
		}
	case tagFloat:
		switch text {
		case "Infinity":
			return e.float(math.Inf(1))
		case "-Infinity":
			return e.float(math.Inf(-1))
		}
	}
	return encodeProblem(ErrText, "%q is nothing that %s takes", text, tag)
}

func (e *encoder) tagInt(text string) bool {
	if !jsonNumber(text) || !plainInteger(text) {
		return false
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		e.int(i)
		return true
	}
	u, err := strconv.ParseUint(text, 10, 64)
	if err == nil {
		e.uint(u)
	}
	return err == nil
}
