package fmt

import (
	"reflect"
	"strconv"
)

type stringer interface{ String() string }

func isString(v any) bool {
	return v != nil && reflect.TypeOf(v).Kind() == reflect.String
}

// value appends a value by what it is, and what has a text of its own by that.
func (p *printer) value(value any, v verb) {
	if v.name == 'T' {
		p.typed(value)
		return
	}
	if v.name == 'w' {
		err, is := value.(error)
		if !is || !p.wraps {
			p.bad(v, "no error to wrap")
			return
		}
		p.wrapped = append(p.wrapped, err)
	}
	switch value := value.(type) {
	case nil:
		p.none(v)
		return
	case string:
		p.string(value, v)
		return
	case int:
		p.integer(uint64(value), value < 0, v)
		return
	case error:
		if v.isText() {
			p.told(value, value.Error, v)
			return
		}
	case stringer:
		if v.isText() {
			p.told(value, value.String, v)
			return
		}
	}
	p.kind(reflect.ValueOf(value), v)
}

// isText says whether a verb shows what a value says of itself. %d and %c show the number that is below it.
func (v verb) isText() bool { return v.name != 'd' && v.name != 'c' }

// told appends what a method returns. A method of a nil pointer may panic, and a message must not be the end of a program.
func (p *printer) told(value any, method func() string, v verb) {
	defer func() {
		if recover() == nil {
			return
		}
		if r := reflect.ValueOf(value); r.Kind() == reflect.Pointer && r.IsNil() {
			p.text = append(p.text, "<nil>"...)
			return
		}
		p.bad(v, "PANIC")
	}()
	p.string(method(), v)
}

func (p *printer) none(v verb) {
	if v.name == 'v' {
		p.text = append(p.text, "<nil>"...)
	} else {
		p.bad(v, "<nil>")
	}
}

// kind appends a value by the kind that its type has.
func (p *printer) kind(value reflect.Value, v verb) {
	switch kind := value.Kind(); kind {
	case reflect.Bool:
		p.text = strconv.AppendBool(p.text, value.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		p.integer(uint64(value.Int()), value.Int() < 0, v)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		p.integer(value.Uint(), false, v)
	case reflect.Float32, reflect.Float64:
		p.text = strconv.AppendFloat(p.text, value.Float(), 'g', -1, value.Type().Bits())
	case reflect.String:
		p.string(value.String(), v)
	case reflect.Slice, reflect.Array:
		p.list(value, v)
	default:
		if kind == reflect.Pointer && value.IsNil() {
			p.none(verb{name: 'v'})
			return
		}
		p.bad(v, value.Type().String())
	}
}

// list appends [a b c], or bytes as a string where the verb is one of strings. Methods of the elements are not asked: calling them by
// reflection would make the engine larger by more than this package has.
func (p *printer) list(value reflect.Value, v verb) {
	if value.Type().Elem().Kind() == reflect.Uint8 && (v.name == 's' || v.name == 'q' || v.name == 'x') {
		bytes := make([]byte, value.Len())
		for i := range bytes {
			bytes[i] = byte(value.Index(i).Uint())
		}
		p.string(string(bytes), v)
		return
	}
	p.text = append(p.text, '[')
	for i := range value.Len() {
		if i > 0 {
			p.text = append(p.text, ' ')
		}
		p.kind(value.Index(i), v)
	}
	p.text = append(p.text, ']')
}

func (p *printer) typed(value any) {
	if value == nil {
		p.text = append(p.text, "<nil>"...)
	} else {
		p.text = append(p.text, reflect.TypeOf(value).String()...)
	}
}
