package objects

import (
	"encoding/binary"
	"math/bits"

	"vsync/core/change"
)

const (
	format      = 1
	flagDeleted = 1 << 0 // of a leaf, of a pending
)

// Encode returns the bytes of the object, in a slice of exactly their length.
func (o *Object) Encode() []byte { return o.Append(make([]byte, 0, o.size())) }

// Append adds the bytes of the object to dst. The value of what is deleted is left out.
func (o *Object) Append(dst []byte) []byte {
	dst = append(dst, format, 0)
	dst = binary.AppendUvarint(dst, uint64(len(o.Confirmed)))
	for i := range o.Confirmed {
		l := &o.Confirmed[i]
		dst = appendHead(dst, l.Deleted, l.Version, l.Stamp)
		dst = binary.AppendUvarint(dst, l.Accepted)
		dst = appendValue(dst, l.Deleted, l.Value)
	}
	dst = binary.AppendUvarint(dst, uint64(len(o.Pending)))
	for i := range o.Pending {
		dst = o.Pending[i].append(dst)
	}
	return dst
}

func (p *Pending) append(dst []byte) []byte {
	dst = appendHead(dst, p.Deleted, p.Version, p.Stamp)
	dst = binary.AppendUvarint(dst, uint64(len(p.Hides)))
	for i := range p.Hides {
		h := &p.Hides[i]
		dst = appendVersion(dst, change.Version{Device: h.Device, Gen: h.First})
		dst = binary.AppendUvarint(dst, uint64(h.Last-h.First))
		dst = binary.AppendUvarint(dst, uint64(h.Until.Gen))
		if !h.Until.IsZero() {
			dst = append(dst, h.Until.Device[:]...)
		}
	}
	return appendValue(dst, p.Deleted, p.Value)
}

func appendHead(dst []byte, deleted bool, v change.Version, stamp uint64) []byte {
	var flags byte
	if deleted {
		flags |= flagDeleted
	}
	dst = appendVersion(append(dst, flags), v)
	return binary.AppendUvarint(dst, stamp)
}

func appendVersion(dst []byte, v change.Version) []byte {
	dst = append(dst, v.Device[:]...)
	return binary.AppendUvarint(dst, uint64(v.Gen))
}

func appendValue(dst []byte, deleted bool, value []byte) []byte {
	if deleted {
		value = nil
	}
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

// size is the number of bytes that Append adds.
func (o *Object) size() int {
	n := 2 + uvarintSize(uint64(len(o.Confirmed))) + uvarintSize(uint64(len(o.Pending)))
	for i := range o.Confirmed {
		l := &o.Confirmed[i]
		n += headSize(l.Version, l.Stamp) + uvarintSize(l.Accepted) + valueSize(l.Deleted, l.Value)
	}
	for i := range o.Pending {
		p := &o.Pending[i]
		n += headSize(p.Version, p.Stamp) + uvarintSize(uint64(len(p.Hides))) + valueSize(p.Deleted, p.Value)
		for j := range p.Hides {
			n += hiddenSize(&p.Hides[j])
		}
	}
	return n
}

func hiddenSize(h *Hidden) int {
	n := versionSize(change.Version{Device: h.Device, Gen: h.First}) + uvarintSize(uint64(h.Last-h.First)) + uvarintSize(uint64(h.Until.Gen))
	if !h.Until.IsZero() {
		n += len(h.Until.Device)
	}
	return n
}

func headSize(v change.Version, stamp uint64) int { return 1 + versionSize(v) + uvarintSize(stamp) }

func versionSize(v change.Version) int { return len(v.Device) + uvarintSize(uint64(v.Gen)) }

func valueSize(deleted bool, value []byte) int {
	if deleted {
		return 1
	}
	return uvarintSize(uint64(len(value))) + len(value)
}

func uvarintSize(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }
