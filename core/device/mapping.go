package device

import (
	"encoding/binary"

	"vsync/core/change"
	"vsync/core/digest"
	"vsync/core/fmt"
)

// A Mapping is one re-entry: what this replica wrote as Old after generation Common, it wrote again as
// New from generation 1.
type Mapping struct {
	Old, New change.DeviceID
	Common   change.Generation // last generation that Old shares with the hub; 0 = none
}

// ReentryID returns the id of a device that re-enters: made of the old id, of the last generation that
// both sides share, and of the hash of the batch after it, the first that is written again.
func ReentryID(old change.DeviceID, common change.Generation, next change.Hash) change.DeviceID {
	h := digest.New()
	h.Write([]byte("vsync re-entry"))
	h.Write(old[:])
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(common)))
	h.Write(next[:])
	return change.DeviceID(h.Sum(nil)[:16])
}

// Map returns the name that a version has after the re-entry.
func (m Mapping) Map(v change.Version) change.Version {
	if v.Device != m.Old || v.Gen <= m.Common {
		return v
	}
	return change.Version{Device: m.New, Gen: v.Gen - m.Common}
}

// MappingKey returns the key of the mapping away from a device. It stands behind the device's record.
func MappingKey(old change.DeviceID) string { return string(old[:]) + "r" }

// IsMappingKey tells the key of a mapping from that of a record.
func IsMappingKey(key string) bool { return len(key) == len(change.DeviceID{})+1 }

// Encode returns the bytes of the mapping; see Append.
func (m Mapping) Encode() ([]byte, error) { return m.Append(nil) }

// Append adds the bytes of the mapping to dst. A *change.FormatError where a field breaks its limits;
// then dst comes back as it was.
func (m Mapping) Append(dst []byte) ([]byte, error) {
	if err := m.check(-1, -1); err != nil {
		return dst, err
	}
	dst = append(dst, format, 0)
	dst = append(dst, m.Old[:]...)
	dst = append(dst, m.New[:]...)
	return change.AppendUvarint(dst, uint64(m.Common)), nil
}

// check takes the offsets that an error about the devices or the generation is to name.
func (m Mapping) check(devices, common int) error {
	refuse := func(offset int, err error, want, got string) error {
		return &change.FormatError{What: "device mapping", Offset: offset, Want: want, Got: got, Err: err}
	}
	switch {
	case m.Old.IsZero() || m.New.IsZero():
		return refuse(devices, change.ErrTooSmall, "two devices, neither zero", fmt.Sprintf("%v, %v", m.Old, m.New))
	case m.Old == m.New:
		return refuse(devices, change.ErrDuplicate, "two different devices", m.Old.String())
	case m.Common > change.MaxNumber:
		return refuse(common, change.ErrTooLarge, "a generation of at most 2^53-1", m.Common.String())
	}
	return nil
}

// DecodeMapping reads exactly one mapping. An error is a *change.FormatError.
func DecodeMapping(b []byte) (Mapping, error) {
	d := decoder{b: b, what: "device mapping"}
	d.format()
	d.flags(0)
	m := Mapping{Old: change.DeviceID(d.array16("old device")), New: change.DeviceID(d.array16("new device"))}
	m.Common = change.Generation(d.uvarint(change.MaxNumber, "generation"))
	d.end()
	if d.err == nil {
		d.err = m.check(2, 34)
	}
	if d.err != nil {
		return Mapping{}, d.err
	}
	return m, nil
}

// Mappings are all re-entries of one replica, by the old device. A nil one maps nothing.
type Mappings map[change.DeviceID]Mapping

// Map returns the name that a version has today, however often its device re-entered since.
//
// The steps are bounded by the number of mappings, so a damaged table that leads round in a circle ends
// somewhere.
func (ms Mappings) Map(v change.Version) change.Version {
	for range ms {
		m, is := ms[v.Device]
		if !is {
			break
		}
		next := m.Map(v)
		if next == v {
			break
		}
		v = next
	}
	return v
}
