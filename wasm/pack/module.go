//go:build !js

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	sectionCode = 10
	sectionData = 11
)

// magic begins every module: its name and version 1.
var magic = []byte("\x00asm\x01\x00\x00\x00")

var errShort = errors.New("expected more bytes, and the file ends")

type section struct {
	id   byte
	body []byte
}

// A reader takes what it reads off its front. The first failure stays, and everything after it reads as zero.
type reader struct {
	left []byte
	err  error
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.left) {
		r.err = errShort
		return make([]byte, 1)
	}
	taken := r.left[:n]
	r.left = r.left[n:]
	return taken
}

func uvarint(r *reader) (int, error) {
	v, n := binary.Uvarint(r.left)
	if n <= 0 || v > 1<<32 {
		r.err = errShort
		return 0, r.err
	}
	r.take(n)
	return int(v), r.err
}

// svarint reads a signed number of WebAssembly, which is in two's complement: other than Go's varint, which folds the sign into the last bit.
func svarint(r *reader) int {
	v := 0
	for shift := 0; shift < 64; shift += 7 {
		b := r.take(1)[0]
		v |= int(b&0x7f) << shift
		if b < 0x80 {
			return v << (57 - shift) >> (57 - shift)
		}
	}
	r.err = errShort
	return 0
}

func appendSvarint(to []byte, v int) []byte {
	for ; v < -64 || v > 63; v >>= 7 {
		to = append(to, byte(v)|0x80)
	}
	return append(to, byte(v)&0x7f)
}

func readSections(program []byte) (sections []section, err error) {
	if !bytes.HasPrefix(program, magic) {
		return nil, errors.New("expected a WebAssembly module of version 1")
	}
	r := &reader{left: program[len(magic):]}
	for len(r.left) > 0 && r.err == nil {
		id := r.take(1)[0]
		length, _ := uvarint(r)
		sections = append(sections, section{id, r.take(length)})
	}
	if r.err != nil {
		return nil, fmt.Errorf("sections: %w", r.err)
	}
	return sections, nil
}

func appendSections(to []byte, sections []section) []byte {
	to = append(to, magic...)
	for _, s := range sections {
		to = append(to, s.id)
		to = binary.AppendUvarint(to, uint64(len(s.body)))
		to = append(to, s.body...)
	}
	return to
}
