// Package fmt is as much of Go's package fmt as the engine's messages need, under the same names. Go's own brings a tenth of the
// engine's size along, for the sake of verbs, flags and values that no message has.
//
// A format may have %s, %v, %q, %d, %x, %c, %T, %w and %%, with a width, a 0 before it, and a precision for strings and what is quoted.
// Its values may be numbers, strings, bools, errors, what has a method String, bytes, and lists of numbers or strings, under
// whatever type. All comes out as it does from Go's package; a test compares them. Of a value of any other kind only its type is
// shown. No value and no format makes it panic.
//
// go vet checks formats and values, as it sees that Go's own functions stand in for these: never, and the compiler leaves them out.
package fmt

import "io"

const asGo = false

// Sprintf returns the text of a format and its values.
//
//go:noinline
func Sprintf(format string, values ...any) string {
	if asGo {
		return goSprintf(format, values...)
	}
	var p printer
	p.format(format, values)
	return string(p.text)
}

// Sprint returns the text of values, with a space between two that are no strings.
//
//go:noinline
func Sprint(values ...any) string {
	if asGo {
		return goSprint(values...)
	}
	var p printer
	for i, v := range values {
		if i > 0 && !isString(v) && !isString(values[i-1]) {
			p.text = append(p.text, ' ')
		}
		p.value(v, verb{name: 'v'})
	}
	return string(p.text)
}

// Fprintf writes the text of a format and its values at once.
//
//go:noinline
func Fprintf(w io.Writer, format string, values ...any) (int, error) {
	if asGo {
		return goFprintf(w, format, values...)
	}
	var p printer
	p.format(format, values)
	return w.Write(p.text)
}

// Errorf returns an error with the text of a format and its values. It wraps those that %w shows.
//
//go:noinline
func Errorf(format string, values ...any) error {
	if asGo {
		return goErrorf(format, values...)
	}
	p := printer{wraps: true}
	p.format(format, values)
	switch text := string(p.text); len(p.wrapped) {
	case 0:
		return &plainError{text}
	case 1:
		return &wrapError{text, p.wrapped[0]}
	default:
		return &wrapErrors{text, p.wrapped}
	}
}

type plainError struct{ text string }

func (e *plainError) Error() string { return e.text }

type wrapError struct {
	text string
	err  error
}

func (e *wrapError) Error() string { return e.text }
func (e *wrapError) Unwrap() error { return e.err }

type wrapErrors struct {
	text string
	errs []error
}

func (e *wrapErrors) Error() string   { return e.text }
func (e *wrapErrors) Unwrap() []error { return e.errs }
