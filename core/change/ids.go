package change

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"strconv"
	"strings"

	"vsync/core/fmt"
)

// HashSize is the number of bytes of a Hash: SHA-256 cut to its first 16.
const HashSize = 16

// A DeviceID names one replica: 16 random bytes, made when its storage is made.
type DeviceID [16]byte

// ParseDeviceID reads 32 lowercase hexadecimal digits.
func ParseDeviceID(s string) (DeviceID, error) {
	id, err := parse16("device id", s)
	return DeviceID(id), err
}

func (d DeviceID) String() string { return hexOf(d[:]) }

// IsZero reports whether d names no device.
func (d DeviceID) IsZero() bool { return d == DeviceID{} }

// Compare orders devices by their bytes.
func (d DeviceID) Compare(e DeviceID) int { return bytes.Compare(d[:], e[:]) }

// A Generation numbers the batches of one device: 1, 2, 3 … without gaps. 0 is none.
type Generation uint64

// ParseGeneration reads a decimal number from 1 to MaxNumber, without sign or leading zeros.
func ParseGeneration(s string) (Generation, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 || n > MaxNumber || s[0] == '0' || s[0] == '+' {
		return 0, textError("generation", "a decimal number from 1 to 2^53-1", s)
	}
	return Generation(n), nil
}

func (g Generation) String() string { return strconv.FormatUint(uint64(g), 10) }

// IsZero reports whether g is no generation.
func (g Generation) IsZero() bool { return g == 0 }

// A Version names what the batch (Device, Gen) wrote to an object.
type Version struct {
	Device DeviceID
	Gen    Generation
}

// ParseVersion reads "device:generation".
func ParseVersion(s string) (Version, error) {
	device, gen, ok := strings.Cut(s, ":")
	if !ok {
		return Version{}, textError("version", "device:generation", s)
	}
	d, err := ParseDeviceID(device)
	if err != nil {
		return Version{}, err
	}
	g, err := ParseGeneration(gen)
	return Version{d, g}, err
}

func (v Version) String() string { return v.Device.String() + ":" + v.Gen.String() }

// IsZero reports whether v names no version.
func (v Version) IsZero() bool { return v == Version{} }

// Compare orders versions by device bytes, then generation.
func (v Version) Compare(w Version) int {
	if c := v.Device.Compare(w.Device); c != 0 {
		return c
	}
	return cmp.Compare(v.Gen, w.Gen)
}

// A Hash is SHA-256 cut to 16 bytes. It chains a device's batches, and the entries of a feed.
type Hash [HashSize]byte

// ParseHash reads 32 lowercase hexadecimal digits.
func ParseHash(s string) (Hash, error) {
	h, err := parse16("hash", s)
	return Hash(h), err
}

func (h Hash) String() string { return hexOf(h[:]) }

// IsZero reports whether h is the hash before the first batch or entry.
func (h Hash) IsZero() bool { return h == Hash{} }

// A Lineage is a hub's identity: 16 random bytes, made when the hub's database is made.
type Lineage [16]byte

// ParseLineage reads 32 lowercase hexadecimal digits.
func ParseLineage(s string) (Lineage, error) {
	l, err := parse16("lineage", s)
	return Lineage(l), err
}

func (l Lineage) String() string { return hexOf(l[:]) }

// IsZero reports whether l is no hub's.
func (l Lineage) IsZero() bool { return l == Lineage{} }

func hexOf(b []byte) string {
	text := make([]byte, 0, 2*len(b))
	for _, c := range b {
		text = append(text, hexDigits[c>>4], hexDigits[c&15])
	}
	return string(text)
}

func parse16(what, s string) (id [16]byte, err error) {
	if len(s) != 32 || strings.ToLower(s) != s {
		return id, textError(what, "32 lowercase hexadecimal digits", s)
	}
	high, err1 := strconv.ParseUint(s[:16], 16, 64)
	low, err2 := strconv.ParseUint(s[16:], 16, 64)
	if err1 != nil || err2 != nil {
		return id, textError(what, "32 lowercase hexadecimal digits", s)
	}
	binary.BigEndian.PutUint64(id[:8], high)
	binary.BigEndian.PutUint64(id[8:], low)
	return id, nil
}

func textError(what, want, got string) error {
	if len(got) > 80 {
		got = got[:80] + "…"
	}
	return &FormatError{What: what, Offset: 0, Want: want, Got: fmt.Sprintf("%q", got), Err: ErrText}
}
