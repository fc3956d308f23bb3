package objects

import (
	"encoding/binary"

	"vsync/core/change"
	"vsync/core/fmt"
)

// Smallest sizes in bytes, so that no count makes the decoder allocate for more than can follow.
const (
	minVersion = 16 + 1
	minLeaf    = 1 + minVersion + 1 + 1 + 1
	minPending = 1 + minVersion + 1 + 1 + 1
	minHidden  = minVersion + 1 + 1
)

// Decode reads exactly one object. Values are parts of b; nil, which is no row, is the empty object. An
// error is a *change.FormatError.
func Decode(b []byte) (*Object, error) {
	o := &Object{}
	if err := o.Load(b); err != nil {
		return nil, err
	}
	return o, nil
}

// Load is Decode into an object that is there already, whose memory it uses again: what was in it, and
// views of it, are no longer good. After an error the object is empty.
func (o *Object) Load(b []byte) error {
	o.reset()
	if b == nil {
		return nil
	}
	r := reader{b: b}
	if f := r.byte("format"); r.err == nil && f != format {
		r.failAt(0, change.ErrUnknownFormat, "format 1", f)
	}
	flags := r.flags(flagState | flagOwn | flagShown)
	for range r.count(MaxLeaves, minLeaf, "number of leaves") {
		o.loadLeaf(&r)
	}
	for range r.count(MaxLeaves, minPending, "number of pending versions") {
		o.loadPending(&r)
	}
	if flags != 0 {
		o.loadStates(&r, flags)
	}
	if r.err == nil && r.left() > 0 {
		r.fail(change.ErrTrailing, "the end", uint64(r.left()))
	}
	if r.err != nil {
		o.reset()
		return r.err
	}
	return nil
}

// Forget empties the object, and holds on to no bytes of what was in it.
func (o *Object) Forget() {
	clear(o.Confirmed[:cap(o.Confirmed)])
	clear(o.Pending[:cap(o.Pending)])
	clear(o.leaves[:cap(o.leaves)])
	o.reset()
}

func (o *Object) reset() {
	o.Confirmed, o.Pending, o.arena = o.Confirmed[:0], o.Pending[:0], o.arena[:0]
	o.State, o.Own, o.Shown = nil, nil, nil
}

func (o *Object) loadLeaf(r *reader) {
	at := r.off
	l := Leaf{Deleted: r.flags(flagDeleted) != 0, Version: r.version()}
	l.Stamp = r.uvarint(change.MaxNumber, "stamp")
	l.Accepted = r.uvarint(change.MaxNumber, "time of acceptance")
	l.Value = r.value(l.Deleted)
	if r.err != nil {
		return
	}
	if find(o.Confirmed, l.Version) >= 0 {
		r.failAt(at, change.ErrDuplicate, "each leaf once", uint64(l.Version.Gen))
		return
	}
	o.Confirmed = append(o.Confirmed, l)
}

func (o *Object) loadPending(r *reader) {
	at := r.off
	p := Pending{Deleted: r.flags(flagDeleted) != 0, Version: r.version()}
	p.Stamp = r.uvarint(change.MaxNumber, "stamp")
	p.Hides = o.loadHides(r)
	p.Value = r.value(p.Deleted)
	if r.err != nil {
		return
	}
	if n := len(o.Pending); n > 0 {
		last := o.Pending[n-1].Version
		if last.Device == p.Version.Device && last.Gen >= p.Version.Gen {
			r.failAt(at, change.ErrOrder, "a generation above that of the pending version before it", uint64(p.Version.Gen))
			return
		}
	}
	o.Pending = append(o.Pending, p)
}

// loadHides reads a list of what is hidden into the arena.
func (o *Object) loadHides(r *reader) []Hidden {
	start := len(o.arena)
	for i := range r.count(change.MaxNumber, minHidden, "number of hidden versions") {
		at := r.off
		h := only(r.version())
		h.Last += change.Generation(r.uvarint(change.MaxNumber, "length of a chain"))
		h.Until = r.until()
		if r.err == nil && h.Last > change.MaxNumber {
			r.failAt(at, change.ErrTooLarge, "a chain up to 2^53-1", uint64(h.Last))
		}
		if r.err == nil && i > 0 && o.arena[len(o.arena)-1].compare(h) >= 0 {
			r.failAt(at, change.ErrOrder, "hidden versions ascending and distinct", uint64(h.First))
		}
		if r.err != nil {
			return nil
		}
		o.arena = append(o.arena, h)
	}
	if len(o.arena) == start {
		return nil
	}
	return o.arena[start:len(o.arena):len(o.arena)]
}

// loadStates reads what follows under field rules.
func (o *Object) loadStates(r *reader, flags byte) {
	if r.err == nil && flags&(flagOwn|flagShown) == flagShown {
		r.failAt(1, change.ErrReserved, "a shown state with unsent versions", flags)
	}
	if flags&flagState != 0 {
		at := r.off
		o.State = o.loadState(r, false)
		if r.err == nil && len(o.Confirmed) == 1 && o.Confirmed[0].says(o.State) {
			r.failAt(at, change.ErrNotMinimal, "no state where the only leaf says it", "one")
		}
	}
	if flags&flagOwn != 0 {
		o.loadOwn(r)
	}
	if flags&flagShown != 0 {
		o.Shown = o.loadState(r, true)
	}
}

func (o *Object) loadState(r *reader, shown bool) *State {
	s := &State{Origin: r.version()}
	at := r.off
	from := int(r.uvarint(2*MaxLeaves, "place of a state's value"))
	if from == 0 {
		s.Value = r.value(false)
	} else {
		var is bool
		if s.Value, is = o.valueAt(from, shown); r.err == nil && !is {
			r.failAt(at, change.ErrIndex, "a leaf that has a value", from)
		}
	}
	if r.err == nil && len(s.Value) == 0 {
		r.failAt(at, change.ErrTooSmall, "a value", 0)
	}
	if r.err == nil && from != o.from(s, shown) {
		r.failAt(at, change.ErrNotMinimal, "the first leaf that wrote the value", from)
	}
	s.Marks = r.marks()
	return s
}

func (o *Object) loadOwn(r *reader) {
	const minRun = 16 + 1 + 1
	at := r.off
	for n := r.count(change.MaxNumber, minRun, "number of devices"); n > 0 && r.err == nil; n-- {
		d := r.device()
		last := change.Generation(0)
		for range r.count(change.MaxNumber, 1, "number of unsent versions") {
			last += change.Generation(r.uvarint(change.MaxNumber, "generation"))
			if r.err == nil && (last > change.MaxNumber || len(o.Own) > 0 && o.Own[len(o.Own)-1] == change.Version{Device: d, Gen: last} || last == 0) {
				r.fail(change.ErrOrder, "ascending generations", uint64(last))
			}
			if r.err != nil {
				return
			}
			o.Own = append(o.Own, change.Version{Device: d, Gen: last})
		}
	}
	if r.err != nil {
		return
	}
	if again := o.appendOwn(nil); string(again) != string(r.b[at:r.off]) {
		r.failAt(at, change.ErrNotMinimal, "unsent versions in their shortest form", "another")
	}
	if r.err == nil && len(o.Own) == 0 {
		r.failAt(at, change.ErrTooSmall, "an unsent version", 0)
	}
}

func (r *reader) device() (d change.DeviceID) {
	if r.left() < len(d) {
		r.fail(change.ErrTruncated, "a device", r.left())
		return d
	}
	at := r.off
	if r.off += copy(d[:], r.b[r.off:]); d.IsZero() {
		r.failAt(at, change.ErrTooSmall, "a device that is not zero", d)
	}
	return d
}

// marks are bytes of which package merge bounds the length.
func (r *reader) marks() []byte {
	n := r.count(change.MaxNumber, 1, "length of marks")
	if r.err != nil || n == 0 {
		return nil
	}
	r.off += n
	return r.b[r.off-n : r.off : r.off]
}

// until reads a version, its generation first; 0 is the zero version.
func (r *reader) until() (v change.Version) {
	v.Gen = change.Generation(r.uvarint(change.MaxNumber, "generation"))
	if v.Gen == 0 {
		return v
	}
	if r.left() < len(v.Device) {
		r.fail(change.ErrTruncated, "a device", r.left())
		return v
	}
	at := r.off
	r.off += copy(v.Device[:], r.b[r.off:])
	if v.Device.IsZero() {
		r.failAt(at, change.ErrTooSmall, "a device that is not zero", v)
	}
	return v
}

// A reader takes strict fields off bytes. After the first error it stands still and gives zeros.
type reader struct {
	b   []byte
	off int
	err error // a *change.FormatError
}

func (r *reader) left() int { return len(r.b) - r.off }

//go:noinline
func (r *reader) failAt(off int, err error, want string, got any) {
	if r.err == nil {
		r.err = &change.FormatError{What: "object", Offset: off, Want: want, Got: fmt.Sprint(got), Err: err}
	}
	r.off = len(r.b)
}

func (r *reader) fail(err error, want string, got any) { r.failAt(r.off, err, want, got) }

func (r *reader) byte(want string) byte {
	if r.left() == 0 {
		r.fail(change.ErrTruncated, want, "the end")
		return 0
	}
	r.off++
	return r.b[r.off-1]
}

// flags reads a byte of which no other bits than those of the mask may be set.
func (r *reader) flags(mask byte) byte {
	f := r.byte("flags")
	if f&^mask != 0 {
		r.failAt(r.off-1, change.ErrReserved, "no other flags than "+fmt.Sprint(mask), f)
		return 0
	}
	return f
}

func (r *reader) uvarint(limit uint64, want string) uint64 {
	n, size := binary.Uvarint(r.b[r.off:])
	switch {
	case size == 0:
		r.fail(change.ErrTruncated, want, "the end")
	case size < 0:
		r.fail(change.ErrTooLarge, want, "more than 64 bits")
	case size > 1 && r.b[r.off+size-1] == 0:
		r.fail(change.ErrNotMinimal, want+" in its shortest form", n)
	case n > limit:
		r.fail(change.ErrTooLarge, fmt.Sprintf("%s of at most %d", want, limit), n)
	default:
		r.off += size
		return n
	}
	return 0
}

// count reads a number of items of at least size bytes each, which must still fit into the rest.
func (r *reader) count(limit uint64, size int, want string) int {
	at := r.off
	n := r.uvarint(limit, want)
	if n > uint64(r.left()/size) {
		r.failAt(at, change.ErrTruncated, want+" and as many", n)
		return 0
	}
	return int(n)
}

func (r *reader) version() (v change.Version) {
	at := r.off
	if r.left() < len(v.Device) {
		r.fail(change.ErrTruncated, "a device", r.left())
		return v
	}
	r.off += copy(v.Device[:], r.b[r.off:])
	v.Gen = change.Generation(r.uvarint(change.MaxNumber, "generation"))
	if r.err == nil && (v.Device.IsZero() || v.Gen.IsZero()) {
		r.failAt(at, change.ErrTooSmall, "a device and a generation, neither zero", v)
	}
	return v
}

func (r *reader) value(deleted bool) []byte {
	at := r.off
	n := int(r.uvarint(change.MaxValue, "length of the value"))
	switch {
	case n > r.left():
		r.failAt(at, change.ErrTruncated, fmt.Sprintf("%d bytes of value", n), r.left())
		return nil
	case n > 0 && deleted:
		r.failAt(at, change.ErrReserved, "no value of what is deleted", n)
		return nil
	case n == 0:
		return nil
	}
	r.off += n
	return r.b[r.off-n : r.off : r.off]
}
