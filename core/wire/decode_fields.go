package wire

import (
	"encoding/binary"

	"vsync/core/change"
	"vsync/core/fmt"
)

func (r *reader) bin16(field string) (v [16]byte) {
	at := r.off
	b := r.bin(field)
	if r.err == nil && len(b) != len(v) {
		r.fail(CodeProtocol, field, at, fmt.Sprintf("expected 16 bytes, got %d", len(b)))
	}
	copy(v[:], b)
	return v
}

func (r *reader) marker() change.Marker {
	at := r.off
	b := r.bin("mk")
	if r.err != nil {
		return change.Marker{}
	}
	m, err := change.DecodeMarker(b)
	if err != nil {
		r.fail(CodeUnknownMarker, "mk", at, "expected a marker: "+err.Error())
		r.err.Err = err
	}
	return m
}

func (r *reader) hashes(field string) []change.Hash {
	at := r.off
	b := r.bin(field)
	n := len(b) / change.HashSize
	switch {
	case len(b)%change.HashSize != 0:
		r.fail(CodeProtocol, field, at, fmt.Sprintf("expected hashes of 16 bytes, got %d bytes", len(b)))
	case n > MaxOwn:
		r.fail(CodeTooLarge, field, at, fmt.Sprintf("expected at most %d hashes, got %d", MaxOwn, n))
	}
	if r.err != nil || n == 0 {
		return nil
	}
	hashes := make([]change.Hash, n)
	for i := range hashes {
		hashes[i] = change.Hash(b[i*change.HashSize:])
	}
	return hashes
}

// placeSize is a place in a trail: sequence BE64 ‖ hash 16.
const placeSize = 8 + change.HashSize

func (r *reader) place(field string) (p change.Place) {
	at := r.off
	if places := r.places(field); len(places) == 1 {
		p = places[0]
	} else if r.err == nil {
		r.fail(CodeProtocol, field, at, fmt.Sprintf("expected a place of %d bytes, got %d places", placeSize, len(places)))
	}
	return p
}

func (r *reader) places(field string) []change.Place {
	at := r.off
	b := r.bin(field)
	n := len(b) / placeSize
	switch {
	case len(b)%placeSize != 0:
		r.fail(CodeProtocol, field, at, fmt.Sprintf("expected places of %d bytes, got %d bytes", placeSize, len(b)))
	case n > MaxTrail:
		r.fail(CodeTooLarge, field, at, fmt.Sprintf("expected at most %d places, got %d", MaxTrail, n))
	}
	if r.err != nil || n == 0 {
		return nil
	}
	places := make([]change.Place, n)
	for i := range places {
		places[i].Seq = binary.BigEndian.Uint64(b[i*placeSize:])
		copy(places[i].Hash[:], b[i*placeSize+8:])
	}
	return places
}

func (r *reader) items(field string) [][]byte {
	at := r.off
	n := r.array(field)
	if n > MaxItems {
		r.fail(CodeTooLarge, field, at, fmt.Sprintf("expected at most %d elements, got %d", MaxItems, n))
	}
	if r.err != nil || n == 0 {
		return nil
	}
	items := make([][]byte, n)
	for i := range items {
		items[i] = r.bin(field)
	}
	if r.err != nil {
		return nil
	}
	return items
}
