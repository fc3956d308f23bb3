//go:build !js

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Where things are in runtime.pcHeader, and in runtime._func, in bytes.
const (
	headerFunctions = 8
	headerPctab     = 56
	headerPclntab   = 64
	headerSize      = 72

	funcPcsp      = 16
	funcPcfile    = 20
	funcPcln      = 24
	funcNpcdata   = 28
	funcCuOffset  = 32
	funcStartLine = 36
	funcNfuncdata = 43
	funcSize      = 44

	entrySize = 8 // of the list of functions: the offsets of its code and of its runtime._func
)

// pcHeader begins runtime.pcHeader: abi.Go120PCLnTabMagic, two bytes of padding, the smallest size of an instruction, the size of a pointer.
var pcHeader = []byte{0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8}

var errTable = errors.New("runtime.pclntab is not as Go 1.26 lays it out; see what has changed in runtime/symtab.go")

// A table is runtime.pclntab, as it lies in a program's memory.
type table struct {
	pctab   []byte // what changes from instruction to instruction, a run of pairs ending in 0 for each; offset 0 means none
	pclntab []byte // the list of functions, then one runtime._func each
	count   int
}

// findTable looks for the table that has as many functions as the program.
func findTable(memory []byte, functions int) (table, error) {
	for at := 0; ; at++ {
		found := bytes.Index(memory[at:], pcHeader)
		if found < 0 {
			return table{}, errTable
		}
		at += found
		header := memory[at:]
		if len(header) < headerSize || binary.LittleEndian.Uint64(header[headerFunctions:]) != uint64(functions) {
			continue
		}
		pctab := binary.LittleEndian.Uint64(header[headerPctab:])
		pclntab := binary.LittleEndian.Uint64(header[headerPclntab:])
		if pctab > pclntab || pclntab+uint64(functions)*entrySize > uint64(len(header)) {
			return table{}, errTable
		}
		return table{pctab: header[pctab:pclntab], pclntab: header[pclntab:], count: functions}, nil
	}
}

// clearLines clears what says where instructions stand in the source.
func clearLines(memory []byte, functions int) error {
	t, err := findTable(memory, functions)
	if err != nil {
		return err
	}
	used := make([]bool, len(t.pctab))
	for i := range t.count {
		f, err := t.function(i)
		if err == nil {
			err = t.keep(used, f)
		}
		if err != nil {
			return fmt.Errorf("function %d: %w", i, err)
		}
		for _, field := range []int{funcPcfile, funcPcln, funcCuOffset, funcStartLine} {
			clear(f[field:][:4])
		}
	}
	for i, is := range used {
		if !is {
			t.pctab[i] = 0
		}
	}
	return nil
}

// function returns a runtime._func with its pcdata.
func (t table) function(i int) ([]byte, error) {
	at := int(binary.LittleEndian.Uint32(t.pclntab[i*entrySize+4:]))
	if at < t.count*entrySize || at+funcSize > len(t.pclntab) {
		return nil, errTable
	}
	f := t.pclntab[at:]
	size := funcSize + 4*int(binary.LittleEndian.Uint32(f[funcNpcdata:])) + 4*int(f[funcNfuncdata])
	if size > len(f) {
		return nil, errTable
	}
	return f[:size], nil
}

// keep marks the runs that a function refers to for other things than lines: its frame's size, its stack maps, what was inlined.
func (t table) keep(used []bool, f []byte) error {
	runs := []uint32{binary.LittleEndian.Uint32(f[funcPcsp:])}
	for i := range int(binary.LittleEndian.Uint32(f[funcNpcdata:])) {
		runs = append(runs, binary.LittleEndian.Uint32(f[funcSize+4*i:]))
	}
	for _, from := range runs {
		end, err := t.end(int(from))
		if err != nil {
			return err
		}
		for i := int(from); i < end; i++ {
			used[i] = true
		}
	}
	return nil
}

// end returns where a run ends: it is pairs of numbers, value and distance, up to a value of 0 that is not the first.
func (t table) end(from int) (int, error) {
	if from == 0 {
		return 0, nil
	}
	if from >= len(t.pctab) {
		return 0, errTable
	}
	r := &reader{left: t.pctab[from:]}
	for first := true; r.err == nil; first = false {
		if value, _ := uvarint(r); value == 0 && !first {
			return len(t.pctab) - len(r.left), r.err
		}
		uvarint(r)
	}
	return 0, errTable
}
