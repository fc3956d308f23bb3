//go:build !js

package main

import (
	"encoding/binary"
	"fmt"
)

const (
	opEnd      = 0x0b
	opI32Const = 0x41

	// gap is the shortest run of zeroes that a segment ends at. Compression makes some two bytes of any run; this is for those who get the
	// program uncompressed.
	gap = 256

	// maxMemory bounds the addresses that data may have: far more than any program of ours begins with.
	maxMemory = 64 << 20
)

// readData returns the memory that a section of data fills, from address 0.
func readData(body []byte) ([]byte, error) {
	var memory []byte
	r := &reader{left: body}
	count, _ := uvarint(r)
	for range count {
		if mode := r.take(1)[0]; mode != 0 {
			return nil, fmt.Errorf("expected data with an address in the first memory, got mode %d", mode)
		}
		if op := r.take(1)[0]; op != opI32Const && r.err == nil {
			return nil, fmt.Errorf("expected a constant address of data, got instruction %#x", op)
		}
		at := svarint(r)
		if op := r.take(1)[0]; op != opEnd && r.err == nil {
			return nil, fmt.Errorf("expected the end of an address, got instruction %#x", op)
		}
		length, _ := uvarint(r)
		bytes := r.take(length)
		if r.err != nil {
			return nil, fmt.Errorf("data: %w", r.err)
		}
		if at < 0 || at > maxMemory-length {
			return nil, fmt.Errorf("expected data at addresses below %d, got %d bytes at %d", maxMemory, length, at)
		}
		if end := at + length; end > len(memory) {
			memory = append(memory, make([]byte, end-len(memory))...)
		}
		copy(memory[at:], bytes)
	}
	return memory, r.err
}

// appendData appends the section that fills memory.
func appendData(to, memory []byte) []byte {
	var segments []byte
	count := 0
	for at := nonZero(memory, 0); at < len(memory); {
		end, next := run(memory, at)
		segments = append(segments, 0, opI32Const)
		segments = appendSvarint(segments, at)
		segments = append(segments, opEnd)
		segments = binary.AppendUvarint(segments, uint64(end-at))
		segments = append(segments, memory[at:end]...)
		count, at = count+1, next
	}
	to = binary.AppendUvarint(to, uint64(count))
	return append(to, segments...)
}

// run returns where the segment that begins at a place ends, and where the next one begins.
func run(memory []byte, at int) (end, next int) {
	for end = at; end < len(memory); end = next {
		for end < len(memory) && memory[end] != 0 {
			end++
		}
		if next = nonZero(memory, end); next-end >= gap || next == len(memory) {
			return end, next
		}
	}
	return end, end
}

func nonZero(memory []byte, from int) int {
	for from < len(memory) && memory[from] == 0 {
		from++
	}
	return from
}
