package engine

import (
	"slices"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire/msgpack"
	"vsync/wasm/port"
)

// devices is the table of the devices that one frame names.
type devices []change.DeviceID

// index finds a device, or adds it. A frame names few of them.
func (d *devices) index(id change.DeviceID) uint64 {
	i := slices.Index(*d, id)
	if i < 0 {
		i = len(*d)
		*d = append(*d, id)
	}
	return uint64(i)
}

func (d devices) append(b []byte) []byte {
	b = msgpack.AppendArray(b, len(d))
	for _, id := range d {
		b = msgpack.AppendStr(b, id.String())
	}
	return b
}

// rows gathers ROWS, or an event's CHANGEs, behind the devices that they name. The zero value has none.
type rows struct {
	devices devices
	n       int
	bytes   []byte
}

func (r *rows) add(e *core.Entry) {
	b := msgpack.AppendArray(r.bytes, 6)
	b = msgpack.AppendStr(b, e.Key.ID)
	b = msgpack.AppendBin(b, e.Value)
	b = msgpack.AppendUint(b, r.devices.index(e.Version.Device))
	b = msgpack.AppendUint(b, uint64(e.Version.Gen))
	b = msgpack.AppendUint(b, e.Time)
	r.bytes = msgpack.AppendBool(b, e.Conflict)
	r.n++
}

func (r *rows) change(x *core.Entry) {
	b := msgpack.AppendStr(msgpack.AppendStr(msgpack.AppendArray(r.bytes, 7), x.Key.Collection), x.Key.ID)
	b = msgpack.AppendBool(port.Value(b, x.Value, !x.Deleted), x.Deleted)
	b = msgpack.AppendUint(msgpack.AppendUint(b, r.devices.index(x.Version.Device)), uint64(x.Version.Gen))
	r.bytes = msgpack.AppendBool(b, x.Conflict)
	r.n++
}

// full says that it is time to send what there is.
func (r *rows) full() bool { return len(r.bytes) >= port.MaxItems }

func (r *rows) append(b []byte) []byte {
	b = slices.Grow(b, len(r.bytes)+64*len(r.devices)+16)
	return append(msgpack.AppendArray(r.devices.append(b), r.n), r.bytes...)
}

func (r *rows) reset() { r.devices, r.n, r.bytes = r.devices[:0], 0, r.bytes[:0] }

// keys gathers the ids of what is gone. The zero value has none.
type keys struct {
	n     int
	bytes []byte
}

func (k *keys) add(id string) {
	k.bytes = msgpack.AppendStr(k.bytes, id)
	k.n++
}

func (k *keys) full() bool { return len(k.bytes) >= port.MaxItems }

// take appends what was gathered, and begins anew.
func (k *keys) take(b []byte) []byte {
	b = append(msgpack.AppendArray(slices.Grow(b, len(k.bytes)+8), k.n), k.bytes...)
	k.n, k.bytes = 0, k.bytes[:0]
	return b
}
