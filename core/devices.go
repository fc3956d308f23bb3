package core

import (
	"context"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/device"
	"vsync/core/pages"
)

// device returns the row of a device; zero for one never heard of.
func (f *fold) device(d change.DeviceID) (device.Record, error) {
	b, err := f.rows.get(f.rowOf(d))
	if err == nil && len(b) > 0 && len(b) == len(f.decodedOf) && &b[0] == &f.decodedOf[0] { // a row never changes in its place
		return f.decoded, nil
	}
	return decodeDevice(d, b, err)
}

func readDevice(ctx context.Context, t *pages.Tables, d change.DeviceID) (device.Record, error) {
	b, _, err := t.GetRow(ctx, deviceRow(d))
	return decodeDevice(d, b, err)
}

func decodeDevice(d change.DeviceID, b []byte, err error) (device.Record, error) {
	if err != nil || b == nil {
		return device.Record{}, err
	}
	rec, err := device.DecodeRecord(b)
	if err != nil {
		return device.Record{}, wrapf(Corrupt, err, "the row of device %s cannot be read", d)
	}
	return rec, nil
}

// Claim checks that a device belongs to a subject. One that belongs to nobody yet is that subject's from then on, for ever; no
// subject, "", claims nothing.
//
// Errors: FORBIDDEN where it is another's; INVALID for what can be no subject's name.
func (r *Replica) Claim(ctx context.Context, d change.DeviceID, subject string) error {
	if r.cfg.Role != RoleHub {
		return errorf(Invalid, "only a hub's replica knows whose devices are")
	}
	if err := r.readable(); err != nil {
		return err
	}
	rec, err := readDevice(ctx, r.tables, d)
	if err != nil || rec.Subject == subject {
		return typed(err, "looking a device up")
	}
	return r.submit(ctx, &request{weight: 64 + len(subject), strict: true, form: func(s *stage) error { return s.claimFor(d, subject) }})
}

// claimFor notes whose a device is, if it is nobody's.
func (s *stage) claimFor(d change.DeviceID, subject string) error {
	rec, err := s.device(d)
	switch {
	case err != nil || rec.Subject == subject:
		return err
	case rec.Subject != "":
		return errorf(Forbidden, "the device %s belongs to another subject: open a replica in a storage of its own for this one", d)
	}
	s.add(changelog.ItemSubject, append(append([]byte(nil), d[:]...), subject...))
	return s.claim(d, subject)
}

// claim notes whose a device is.
func (f *fold) claim(d change.DeviceID, subject string) error {
	name := f.rowOf(d)
	if stale, err := f.rows.stale(name); err != nil || stale {
		return err
	}
	rec, err := f.device(d)
	if err != nil {
		return err
	}
	rec.Subject = subject
	row, err := rec.Encode()
	if err != nil {
		return wrapf(Invalid, err, "the token names no subject that can be kept")
	}
	f.rows.set(name, row)
	return nil
}
