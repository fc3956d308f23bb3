package device

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"

	"vsync/core/change"
)

var (
	a, b, c = change.DeviceID{'a'}, change.DeviceID{'b'}, change.DeviceID{'c'}
	hash    = change.Hash{1, 2, 3}
)

var records = []Record{
	{},
	{Contact: 1_700_000_000_000},
	{Last: 1, Hash: hash},
	{Last: change.MaxNumber, Hash: hash, Contact: change.MaxNumber, Subject: strings.Repeat("é", MaxSubject/2)},
	{Subject: "x"},
}

func TestRecordRoundTrip(t *testing.T) {
	for _, rec := range records {
		row, err := rec.Append([]byte("before"))
		if err != nil {
			t.Fatal(err)
		}
		row = row[len("before"):]
		if back, err := DecodeRecord(row); err != nil || back != rec {
			t.Errorf("got %+v %v, want %+v", back, err, rec)
		}
		if len(row) > RecordSize {
			t.Errorf("%d bytes, at most %d were promised", len(row), RecordSize)
		}
		for n := range row {
			if _, err := DecodeRecord(row[:n]); !errors.Is(err, change.ErrTruncated) {
				t.Errorf("%d of %d bytes: %v", n, len(row), err)
			}
		}
	}
}

func TestRecordEncoderRefuses(t *testing.T) {
	for want, rec := range map[error]Record{
		change.ErrTooLarge: {Subject: strings.Repeat("x", MaxSubject+1)},
		change.ErrNotUTF8:  {Subject: "\xff"},
		change.ErrReserved: {Hash: hash},
	} {
		if row, err := rec.Append([]byte("x")); !errors.Is(err, want) || string(row) != "x" {
			t.Errorf("%+v: %v, want %v", rec, err, want)
		}
	}
	if _, err := (Record{Last: change.MaxNumber + 1, Hash: hash}).Encode(); !errors.Is(err, change.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestRecordDecoderRefuses(t *testing.T) {
	good, err := Record{Last: 5, Hash: hash, Contact: 6, Subject: "me"}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	edit := func(at int, by ...byte) []byte {
		return append(append(bytes.Clone(good[:at]), by...), good[at+len(by):]...)
	}
	for name, c := range map[string]struct {
		row []byte
		err error
	}{
		"format":             {edit(0, 2), change.ErrUnknownFormat},
		"flags":              {edit(1, 3), change.ErrReserved},
		"hash of nothing":    {edit(18, 0), change.ErrReserved},
		"longer than needed": {slices.Concat(good[:18], []byte{0x85, 0}, good[19:]), change.ErrNotMinimal},
		"too large":          {slices.Concat(good[:18], bytes.Repeat([]byte{0xff}, 7), []byte{0x7f}, good[19:]), change.ErrTooLarge},
		"more than 64 bits":  {slices.Concat(good[:18], bytes.Repeat([]byte{0xff}, 10), []byte{1}, good[19:]), change.ErrTooLarge},
		"no subject":         {edit(20, 0), change.ErrTooSmall},
		"subject cut":        {edit(20, 3), change.ErrTruncated},
		"subject not UTF-8":  {edit(21, 0xff), change.ErrNotUTF8},
		"trailing":           {append(bytes.Clone(good), 0), change.ErrTrailing},
	} {
		var format *change.FormatError
		rec, err := DecodeRecord(c.row)
		if !errors.Is(err, c.err) || !errors.As(err, &format) || rec != (Record{}) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestTouch(t *testing.T) {
	var rec Record
	rec.Touch(9)
	if rec.Touch(8); rec.Contact != 9 {
		t.Errorf("contact at %d", rec.Contact)
	}
}

func TestMap(t *testing.T) {
	m := Mapping{Old: a, New: b, Common: 2}
	for _, c := range []struct{ from, to change.Version }{
		{change.Version{Device: a, Gen: 1}, change.Version{Device: a, Gen: 1}},
		{change.Version{Device: a, Gen: 2}, change.Version{Device: a, Gen: 2}},
		{change.Version{Device: a, Gen: 3}, change.Version{Device: b, Gen: 1}},
		{change.Version{Device: a, Gen: 9}, change.Version{Device: b, Gen: 7}},
		{change.Version{Device: c, Gen: 9}, change.Version{Device: c, Gen: 9}},
		{change.Version{}, change.Version{}},
	} {
		if got := m.Map(c.from); got != c.to {
			t.Errorf("%v becomes %v, want %v", c.from, got, c.to)
		}
	}
	if got := (Mapping{Old: a, New: b}).Map(change.Version{Device: a, Gen: 1}); got != (change.Version{Device: b, Gen: 1}) {
		t.Errorf("with nothing in common: %v", got)
	}
}

func TestReentryID(t *testing.T) {
	message := slices.Concat([]byte("vsync re-entry"), a[:], []byte{0, 0, 0, 0, 0, 0, 1, 2}, hash[:])
	want := sha256.Sum256(message)
	got := ReentryID(a, 258, hash)
	if !bytes.Equal(got[:], want[:16]) {
		t.Errorf("got %v", got)
	}
	if got == ReentryID(a, 259, hash) || got == ReentryID(b, 258, hash) || got == ReentryID(a, 258, change.Hash{}) {
		t.Error("different re-entries have one id")
	}
}

// FuzzDeviceRecord: what a decoder takes, its encoder writes; the rest is a clean error.
func FuzzDeviceRecord(f *testing.F) {
	for _, rec := range records {
		row, _ := rec.Encode()
		f.Add(row)
	}
	f.Fuzz(func(t *testing.T, row []byte) {
		rec, err := DecodeRecord(row)
		again, _ := rec.Encode()
		judge(t, row, again, err)
	})
}

func judge(t *testing.T, row, again []byte, err error) {
	t.Helper()
	var format *change.FormatError
	if err != nil && (!errors.As(err, &format) || format.Offset > len(row)) {
		t.Fatalf("%T %v", err, err)
	}
	if err == nil && !bytes.Equal(row, again) {
		t.Fatalf("%x was taken, %x is written", row, again)
	}
}
