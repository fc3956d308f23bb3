package fmt

import (
	"strconv"
	"unicode/utf8"
)

// maxWidth bounds what a format may fill up to.
const maxWidth = 1000

// A verb is what stands at a % of a format.
type verb struct {
	name      rune
	zero      bool // fill up with zeroes
	width     int
	precision int // of strings, in characters
	cut       bool
}

type printer struct {
	text    []byte
	wraps   bool // %w may be used
	wrapped []error
}

func (p *printer) format(format string, values []any) {
	next := 0
	for len(format) > 0 {
		at := 0
		for at < len(format) && format[at] != '%' {
			at++
		}
		p.text = append(p.text, format[:at]...)
		if format = format[at:]; len(format) == 0 {
			break
		}
		var v verb
		if v, format = readVerb(format[1:]); v.name == '%' {
			p.text = append(p.text, '%')
			continue
		}
		if next >= len(values) {
			p.bad(v, "MISSING")
			continue
		}
		p.padded(values[next], v)
		next++
	}
	if next < len(values) {
		p.text = append(p.text, "%!(EXTRA "...)
		for i, v := range values[next:] {
			if i > 0 {
				p.text = append(p.text, ", "...)
			}
			p.typed(v)
		}
		p.text = append(p.text, ')')
	}
}

func readVerb(s string) (v verb, rest string) {
	for len(s) > 0 && s[0] == '0' {
		v.zero, s = true, s[1:]
	}
	v.width, s = readNumber(s)
	if len(s) > 0 && s[0] == '.' {
		v.cut = true
		v.precision, s = readNumber(s[1:])
	}
	if s == "" {
		v.name = '!' // as Go's package shows a format that ends in %
		return v, ""
	}
	name, size := utf8.DecodeRuneInString(s)
	v.name = name
	return v, s[size:]
}

func readNumber(s string) (n int, rest string) {
	for len(s) > 0 && '0' <= s[0] && s[0] <= '9' {
		n, s = min(10*n+int(s[0]-'0'), maxWidth), s[1:]
	}
	return n, s
}

// padded appends a value, filled up to its width from the left. Zeroes stand behind a sign.
func (p *printer) padded(value any, v verb) {
	at := len(p.text)
	p.value(value, v)
	short := v.width - utf8.RuneCount(p.text[at:])
	if short <= 0 {
		return
	}
	fill := byte(' ')
	if v.zero {
		fill = '0'
		if len(p.text) > at && p.text[at] == '-' {
			at++
		}
	}
	for range short {
		p.text = append(p.text, 0)
	}
	copy(p.text[at+short:], p.text[at:])
	for i := range short {
		p.text[at+i] = fill
	}
}

// bad shows that a verb cannot be what it is.
func (p *printer) bad(v verb, why string) {
	p.text = append(utf8.AppendRune(append(p.text, "%!"...), v.name), '(')
	p.text = append(append(p.text, why...), ')')
}

func (p *printer) integer(n uint64, negative bool, v verb) {
	base := 10
	switch v.name {
	case 'x':
		base = 16
	case 'c', 'q':
		r := rune(utf8.RuneError)
		if !negative && n <= utf8.MaxRune {
			r = rune(n)
		}
		if v.name == 'q' {
			p.text = strconv.AppendQuoteRune(p.text, r)
		} else {
			p.text = utf8.AppendRune(p.text, r)
		}
		return
	case 'd', 'v':
	default:
		p.bad(v, "a number")
		return
	}
	if negative {
		n, p.text = -n, append(p.text, '-')
	}
	p.text = strconv.AppendUint(p.text, n, base)
}

// string appends what is text, be it of a string or of bytes.
func (p *printer) string(s string, v verb) {
	if v.cut && v.name != 'x' {
		s = cut(s, v.precision)
	}
	switch v.name {
	case 's', 'v', 'w':
		p.text = append(p.text, s...)
	case 'q':
		p.text = strconv.AppendQuote(p.text, s)
	case 'x':
		const digits = "0123456789abcdef"
		for i := range len(s) {
			p.text = append(p.text, digits[s[i]>>4], digits[s[i]&15])
		}
	default:
		p.bad(v, "a string")
	}
}

func cut(s string, characters int) string {
	for i := range s {
		if characters--; characters < 0 {
			return s[:i]
		}
	}
	return s
}
