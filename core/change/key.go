package change

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"vsync/core/fmt"
)

// SystemPrefix begins the names of the system's own collections. Applications get INVALID for them;
// the wire carries them.
const SystemPrefix = "$"

// RulesCollection holds the rules of collections: the id is the collection's name.
const RulesCollection = SystemPrefix + "rules"

// A Key names an object.
type Key struct {
	Collection string // 1..64 bytes of UTF-8 without control characters (below 0x20, and 0x7f)
	ID         string // 1..512 bytes of UTF-8, any characters, NUL included
}

// Append adds the encoded key, collection NUL id, to dst. Encoded keys order by bytes: by
// collection, then by id. The key must be valid.
func (k Key) Append(dst []byte) []byte {
	dst = append(dst, k.Collection...)
	dst = append(dst, 0)
	return append(dst, k.ID...)
}

// Encode returns the encoded key. The key must be valid.
func (k Key) Encode() []byte {
	return k.Append(make([]byte, 0, len(k.Collection)+1+len(k.ID)))
}

// DecodeKey reads an encoded key and checks it. Nothing of b is kept.
func DecodeKey(b []byte) (Key, error) {
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return Key{}, &FormatError{What: "key", Offset: len(b), Want: "a NUL after the collection", Err: ErrTruncated}
	}
	if len(b) > MaxKey {
		return Key{}, &FormatError{What: "key", Want: fmt.Sprintf("at most %d bytes", MaxKey), Got: fmt.Sprint(len(b)), Err: ErrTooLarge}
	}
	k := Key{string(b[:i]), string(b[i+1:])}
	if err := k.Validate(); err != nil {
		return Key{}, err
	}
	return k, nil
}

// Validate returns nil, or a *FormatError that is an ErrKey.
func (k Key) Validate() error {
	if want := collectionProblem(k.Collection); want != "" {
		return keyError("collection name", want, k.Collection)
	}
	if want := idProblem(k.ID); want != "" {
		return keyError("object id", want, k.ID)
	}
	return nil
}

// System reports whether the collection is one of the system's own.
func (k Key) System() bool { return strings.HasPrefix(k.Collection, SystemPrefix) }

// IsZero reports whether k names no object.
func (k Key) IsZero() bool { return k == Key{} }

// Compare orders keys as their encodings order: by collection, then by id.
func (k Key) Compare(l Key) int {
	if c := strings.Compare(k.Collection, l.Collection); c != 0 {
		return c
	}
	return strings.Compare(k.ID, l.ID)
}

// String is for messages: the collection, a slash and the quoted id.
func (k Key) String() string { return fmt.Sprintf("%s/%q", k.Collection, k.ID) }

// collectionProblem says what a collection name had to be, or nothing.
func collectionProblem[T string | []byte](name T) string {
	if len(name) == 0 || len(name) > MaxCollection {
		return fmt.Sprintf("1 to %d bytes", MaxCollection)
	}
	for i := 0; i < len(name); i++ {
		if name[i] < 0x20 || name[i] == 0x7f {
			return "no control characters"
		}
	}
	if !validUTF8(name) {
		return "UTF-8"
	}
	return ""
}

// idProblem says what an object id had to be, or nothing.
func idProblem[T string | []byte](id T) string {
	if len(id) == 0 || len(id) > MaxID {
		return fmt.Sprintf("1 to %d bytes", MaxID)
	}
	if !validUTF8(id) {
		return "UTF-8"
	}
	return ""
}

func validUTF8[T string | []byte](s T) bool {
	switch s := any(s).(type) {
	case string:
		return utf8.ValidString(s)
	case []byte:
		return utf8.Valid(s)
	}
	return false
}

func keyError(what, want, got string) error {
	if len(got) > 80 {
		got = got[:80] + "…"
	}
	return &FormatError{What: what, Offset: -1, Want: want, Got: fmt.Sprintf("%q", got), Err: ErrKey}
}
