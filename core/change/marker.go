package change

import "encoding/base64"

const markerFormat = 1

// A Marker is a place in a hub's feed from which a reader resumes. Applications keep it as an opaque
// text; the zero Marker is the place before anything was received.
type Marker struct {
	Epoch uint64 // feed epoch, 1, 2, 3 …
	Seq   uint64 // last sequence applied, 0 at the feed's beginning
	Hash  Hash   // running hash of the feed after Seq
	Scope Hash   // what the reader may read; zero = everything
}

// IsZero reports whether nothing was received yet.
func (m Marker) IsZero() bool { return m == Marker{} }

// Append adds the encoded marker to dst.
func (m Marker) Append(dst []byte) []byte {
	dst = append(dst, markerFormat)
	dst = AppendUvarint(dst, m.Epoch)
	dst = AppendUvarint(dst, m.Seq)
	dst = append(dst, m.Hash[:]...)
	return append(dst, m.Scope[:]...)
}

// Encode returns the encoded marker, at most MaxMarker bytes.
func (m Marker) Encode() []byte { return m.Append(make([]byte, 0, MaxMarker)) }

// DecodeMarker reads exactly one marker.
func DecodeMarker(b []byte) (Marker, error) {
	r := reader{b: b, what: "marker"}
	r.format(markerFormat)
	m := Marker{Epoch: r.uvarint(MaxNumber, "epoch"), Seq: r.uvarint(MaxNumber, "sequence")}
	m.Hash = Hash(r.array16("feed hash"))
	m.Scope = Hash(r.array16("scope hash"))
	r.end()
	if r.err == nil && m.Epoch == 0 && !m.IsZero() {
		r.failAt(1, ErrTooSmall, "an epoch of 1 or more, or all zeros", "0")
	}
	if r.err != nil {
		return Marker{}, r.err
	}
	return m, nil
}

// String returns the marker as base64url text without padding.
func (m Marker) String() string { return base64.RawURLEncoding.EncodeToString(m.Encode()) }

// ParseMarker reads the text form.
func ParseMarker(s string) (Marker, error) {
	if len(s) > base64.RawURLEncoding.EncodedLen(MaxMarker) {
		return Marker{}, textError("marker", "a resume marker", s)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || base64.RawURLEncoding.EncodeToString(b) != s {
		return Marker{}, textError("marker", "base64url without padding", s)
	}
	return DecodeMarker(b)
}

// A Place is a place of a feed whose epoch goes without saying.
type Place struct {
	Seq  uint64
	Hash Hash // running hash of the feed after it
}
