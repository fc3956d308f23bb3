package objects

import (
	"math/bits"

	"vsync/core/change"
)

const (
	format      = 1
	flagDeleted = 1 << 0 // of a leaf, of a pending

	flagState = 1 << 0 // of an object: a state follows
	flagOwn   = 1 << 1 // unsent versions follow
	flagShown = 1 << 2 // and their state
)

// Encode returns the bytes of the object, in a slice of exactly their length.
func (o *Object) Encode() []byte { return o.Append(make([]byte, 0, o.Size())) }

// Append adds the bytes of the object to dst. The value of what is deleted is left out.
func (o *Object) Append(dst []byte) []byte {
	dst = append(dst, format, o.flags())
	dst = change.AppendUvarint(dst, uint64(len(o.Confirmed)))
	for i := range o.Confirmed {
		l := &o.Confirmed[i]
		dst = appendHead(dst, l.Deleted, l.Version, l.Stamp)
		dst = change.AppendUvarint(dst, l.Accepted)
		dst = appendValue(dst, l.Deleted, l.Value)
	}
	dst = change.AppendUvarint(dst, uint64(len(o.Pending)))
	for i := range o.Pending {
		dst = o.Pending[i].append(dst)
	}
	if o.State != nil {
		dst = o.appendState(dst, o.State, false)
	}
	if len(o.Own) > 0 {
		dst = o.appendOwn(dst)
	}
	if o.flags()&flagShown != 0 {
		dst = o.appendState(dst, o.Shown, true)
	}
	return dst
}

func (o *Object) flags() (flags byte) {
	if o.State != nil {
		flags |= flagState
	}
	if len(o.Own) > 0 {
		flags |= flagOwn
		if o.Shown != nil {
			flags |= flagShown
		}
	}
	return flags
}

func (o *Object) appendState(dst []byte, s *State, shown bool) []byte {
	dst = appendVersion(dst, s.Origin)
	from := o.from(s, shown)
	if dst = change.AppendUvarint(dst, uint64(from)); from == 0 {
		dst = appendValue(dst, false, s.Value)
	}
	return appendValue(dst, false, s.Marks)
}

// appendOwn writes versions in runs of one device.
func (o *Object) appendOwn(dst []byte) []byte {
	dst = change.AppendUvarint(dst, uint64(runs(o.Own)))
	for i := 0; i < len(o.Own); {
		n := run(o.Own[i:])
		dst = append(dst, o.Own[i].Device[:]...)
		dst = change.AppendUvarint(dst, uint64(n))
		last := change.Generation(0)
		for _, v := range o.Own[i : i+n] {
			dst = change.AppendUvarint(dst, uint64(v.Gen-last))
			last = v.Gen
		}
		i += n
	}
	return dst
}

// run is how many of the versions that come first are of one device, ascending.
func run(own []change.Version) int {
	n := 1
	for n < len(own) && own[n].Device == own[0].Device && own[n].Gen > own[n-1].Gen {
		n++
	}
	return n
}

func runs(own []change.Version) (n int) {
	for ; len(own) > 0; n++ {
		own = own[run(own):]
	}
	return n
}

func (o *Object) stateSize(s *State, shown bool) int {
	from := o.from(s, shown)
	n := versionSize(s.Origin) + uvarintSize(uint64(from)) + valueSize(false, s.Marks)
	if from == 0 {
		n += valueSize(false, s.Value)
	}
	return n
}

func (o *Object) ownSize() int {
	n := uvarintSize(uint64(runs(o.Own)))
	for i := 0; i < len(o.Own); {
		k := run(o.Own[i:])
		n += len(change.DeviceID{}) + uvarintSize(uint64(k))
		last := change.Generation(0)
		for _, v := range o.Own[i : i+k] {
			n += uvarintSize(uint64(v.Gen - last))
			last = v.Gen
		}
		i += k
	}
	return n
}

func (p *Pending) append(dst []byte) []byte {
	dst = appendHead(dst, p.Deleted, p.Version, p.Stamp)
	dst = change.AppendUvarint(dst, uint64(len(p.Hides)))
	for i := range p.Hides {
		h := &p.Hides[i]
		dst = appendVersion(dst, change.Version{Device: h.Device, Gen: h.First})
		dst = change.AppendUvarint(dst, uint64(h.Last-h.First))
		dst = change.AppendUvarint(dst, uint64(h.Until.Gen))
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
	return change.AppendUvarint(dst, stamp)
}

func appendVersion(dst []byte, v change.Version) []byte {
	dst = append(dst, v.Device[:]...)
	return change.AppendUvarint(dst, uint64(v.Gen))
}

func appendValue(dst []byte, deleted bool, value []byte) []byte {
	if deleted {
		value = nil
	}
	dst = change.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

// Size is the number of bytes that Append adds.
func (o *Object) Size() int {
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
	if o.State != nil {
		n += o.stateSize(o.State, false)
	}
	if len(o.Own) > 0 {
		n += o.ownSize()
	}
	if o.flags()&flagShown != 0 {
		n += o.stateSize(o.Shown, true)
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
