package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"vsync/core"
)

// maxRow bounds the text of one row: a value has at most 1 MiB encoded, and JSON may write it much longer.
const maxRow = 16 << 20

// A row is one JSON value of a file.
type row struct {
	number int // 1 for the first
	text   []byte
}

// rows yields the elements of a JSON array, or the values of NDJSON, as they are read. A text that begins with
// [ is an array.
func rows(r io.Reader) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		bound := &bounded{r: bufio.NewReaderSize(r, 64<<10)}
		first, err := bound.firstByte()
		if err == io.EOF {
			return
		}
		if err != nil {
			yield(row{}, wrongRow(1, err))
			return
		}
		dec := json.NewDecoder(bound)
		array := first == '['
		if array {
			if _, err := dec.Token(); err != nil {
				yield(row{}, wrongRow(1, err))
				return
			}
		}
		for n := 1; !array || dec.More(); n++ {
			bound.row()
			var text json.RawMessage
			err := dec.Decode(&text)
			if err == io.EOF && !array {
				return
			}
			if err != nil {
				yield(row{}, wrongRow(n, err))
				return
			}
			if !yield(row{n, text}, nil) {
				return
			}
		}
		if err := afterArray(dec); err != nil {
			yield(row{}, err)
		}
	}
}

// afterArray makes sure that the file ends where its array does.
func afterArray(dec *json.Decoder) error {
	if _, err := dec.Token(); err != nil {
		return fail(core.Invalid, "the array does not end: %v", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fail(core.Invalid, "something stands behind the end of the array")
	}
	return nil
}

func wrongRow(n int, err error) error {
	var known *core.Error
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &known):
		known.Message = fmt.Sprintf("row %d: %s", n, known.Message)
		return known
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fail(core.Invalid, "row %d is no JSON: %v", n, err)
	}
	return inputError(fmt.Sprintf("row %d", n), err)
}

// bounded refuses to read on when one row is too long.
type bounded struct {
	r    *bufio.Reader
	left int
}

func (b *bounded) row() { b.left = maxRow }

// firstByte returns the first byte that is no space, and leaves it there.
func (b *bounded) firstByte() (byte, error) {
	for {
		c, err := b.r.ReadByte()
		if err != nil {
			return 0, err
		}
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		}
		b.row()
		return c, b.r.UnreadByte()
	}
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fail(core.ValueTooLarge, "it has more than %d bytes", maxRow)
	}
	n, err := b.r.Read(p)
	b.left -= n
	return n, err
}
