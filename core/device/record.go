package device

import (
	"unicode/utf8"

	"vsync/core/change"
	"vsync/core/fmt"
)

const (
	format      = 1
	flagSubject = 1 << 0 // of a record
)

// A Record is what a replica knows of one device. The zero Record is that of one it never heard of.
type Record struct {
	Last    change.Generation // highest generation held, all before it included; 0 = none
	Hash    change.Hash       // of that batch, to which the next one is chained; zero if there is none
	Contact uint64            // when it was last heard of, ms since 1970; 0 = never
	Subject string            // whose device it is, UTF-8, at most MaxSubject bytes; empty = anyone's
}

// Touch notes that the device was heard of; a clock that went back changes nothing.
func (r *Record) Touch(now uint64) { r.Contact = max(r.Contact, now) }

// Encode returns the bytes of the record; see Append.
func (r Record) Encode() ([]byte, error) { return r.Append(nil) }

// Append adds the bytes of the record to dst. A *change.FormatError where a field breaks its limits;
// then dst comes back as it was.
func (r Record) Append(dst []byte) ([]byte, error) {
	if err := r.check(); err != nil {
		return dst, err
	}
	var flags byte
	if r.Subject != "" {
		flags |= flagSubject
	}
	dst = append(dst, format, flags)
	dst = append(dst, r.Hash[:]...)
	dst = change.AppendUvarint(dst, uint64(r.Last))
	dst = change.AppendUvarint(dst, r.Contact)
	if r.Subject != "" {
		dst = change.AppendUvarint(dst, uint64(len(r.Subject)))
		dst = append(dst, r.Subject...)
	}
	return dst, nil
}

func (r Record) check() error {
	refuse := func(err error, want, got string) error {
		return &change.FormatError{What: "device record", Offset: -1, Want: want, Got: got, Err: err}
	}
	switch {
	case len(r.Subject) > MaxSubject:
		return refuse(change.ErrTooLarge, fmt.Sprintf("a subject of at most %d bytes", MaxSubject), fmt.Sprint(len(r.Subject)))
	case !utf8.ValidString(r.Subject):
		return refuse(change.ErrNotUTF8, "a subject in UTF-8", fmt.Sprintf("%q", r.Subject))
	case r.Last > change.MaxNumber || r.Contact > change.MaxNumber:
		return refuse(change.ErrTooLarge, "numbers of at most 2^53-1", fmt.Sprintf("%d, %d", r.Last, r.Contact))
	case r.Last.IsZero() && !r.Hash.IsZero():
		return refuse(change.ErrReserved, "no hash without a generation", r.Hash.String())
	}
	return nil
}

// DecodeRecord reads exactly one record. An error is a *change.FormatError.
func DecodeRecord(b []byte) (Record, error) {
	d := decoder{b: b, what: "device record"}
	d.format()
	flags := d.flags(flagSubject)
	rec := Record{Hash: change.Hash(d.array16("hash"))}
	rec.Last = change.Generation(d.uvarint(change.MaxNumber, "generation"))
	if d.err == nil && rec.Last.IsZero() && !rec.Hash.IsZero() {
		d.failAt(2, change.ErrReserved, "no hash without a generation", rec.Hash)
	}
	rec.Contact = d.uvarint(change.MaxNumber, "time of contact")
	if flags&flagSubject != 0 {
		rec.Subject = d.text(MaxSubject, "subject")
	}
	d.end()
	if d.err != nil {
		return Record{}, d.err
	}
	return rec, nil
}
