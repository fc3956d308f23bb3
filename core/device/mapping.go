package device

import (
	"encoding/binary"

	"vsync/core/change"
	"vsync/core/digest"
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
