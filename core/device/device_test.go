package device

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
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

func TestAdvance(t *testing.T) {
	var rec Record
	for gen := change.Generation(1); gen < 4; gen++ {
		if err := rec.Advance(gen, change.Hash{byte(gen)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, gen := range []change.Generation{0, 1, 3, 5} {
		var order *OutOfOrderError
		if err := rec.Advance(gen, hash); !errors.As(err, &order) || order.Last != 3 || order.Got != gen {
			t.Errorf("generation %d after 3: %v", gen, err)
		}
	}
	if rec != (Record{Last: 3, Hash: change.Hash{3}}) {
		t.Errorf("got %+v", rec)
	}
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

// A device that re-entered twice: a:1‥5 with 2 in common, b:1‥3 of which 1 was taken, c.
func TestMappingsFollowTheChain(t *testing.T) {
	ms := Mappings{a: {Old: a, New: b, Common: 2}, b: {Old: b, New: c, Common: 1}}
	for _, k := range []struct{ from, to change.Version }{
		{change.Version{Device: a, Gen: 2}, change.Version{Device: a, Gen: 2}},
		{change.Version{Device: a, Gen: 3}, change.Version{Device: b, Gen: 1}},
		{change.Version{Device: a, Gen: 5}, change.Version{Device: c, Gen: 2}},
		{change.Version{Device: b, Gen: 2}, change.Version{Device: c, Gen: 1}},
		{change.Version{Device: c, Gen: 2}, change.Version{Device: c, Gen: 2}},
	} {
		if got := ms.Map(k.from); got != k.to {
			t.Errorf("%v is %v today, want %v", k.from, got, k.to)
		}
	}
	if v := (change.Version{Device: a, Gen: 9}); Mappings(nil).Map(v) != v {
		t.Error("no mappings map")
	}
	circle := Mappings{a: {Old: a, New: b}, b: {Old: b, New: a}}
	circle.Map(change.Version{Device: a, Gen: 1}) // ends
}

func TestMappingRoundTrip(t *testing.T) {
	for _, m := range []Mapping{{Old: a, New: b}, {Old: b, New: a, Common: change.MaxNumber}} {
		row, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := DecodeMapping(row); err != nil || back != m {
			t.Errorf("got %+v %v, want %+v", back, err, m)
		}
		if len(row) > MappingSize {
			t.Errorf("%d bytes, at most %d were promised", len(row), MappingSize)
		}
		for n := range row {
			if _, err := DecodeMapping(row[:n]); !errors.Is(err, change.ErrTruncated) {
				t.Errorf("%d of %d bytes: %v", n, len(row), err)
			}
		}
	}
}

func TestMappingRefuses(t *testing.T) {
	for _, bad := range []struct {
		m   Mapping
		err error
	}{
		{Mapping{Old: a}, change.ErrTooSmall},
		{Mapping{New: a}, change.ErrTooSmall},
		{Mapping{Old: a, New: a}, change.ErrDuplicate},
		{Mapping{Old: a, New: b, Common: change.MaxNumber + 1}, change.ErrTooLarge},
	} {
		if _, err := bad.m.Encode(); !errors.Is(err, bad.err) {
			t.Errorf("%+v: %v", bad.m, err)
		}
		row := slices.Concat([]byte{1, 0}, bad.m.Old[:], bad.m.New[:], binary.AppendUvarint(nil, uint64(bad.m.Common)))
		if _, err := DecodeMapping(row); !errors.Is(err, bad.err) {
			t.Errorf("%x: %v", row, err)
		}
	}
	row, _ := Mapping{Old: a, New: b}.Encode()
	if _, err := DecodeMapping(append(row, 0)); !errors.Is(err, change.ErrTrailing) {
		t.Errorf("got %v", err)
	}
	row[1] = 1
	if _, err := DecodeMapping(row); !errors.Is(err, change.ErrReserved) {
		t.Errorf("got %v", err)
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

func TestKeys(t *testing.T) {
	keys := []string{Key(b), MappingKey(a), Key(a)}
	slices.Sort(keys)
	if want := []string{Key(a), MappingKey(a), Key(b)}; !slices.Equal(keys, want) {
		t.Errorf("a mapping does not stand behind its device: %q", keys)
	}
	if IsMappingKey(Key(a)) || !IsMappingKey(MappingKey(a)) {
		t.Error("keys of records and mappings are mixed up")
	}
}

// FuzzDeviceRecord: what a decoder takes, its encoder writes; the rest is a clean error.
func FuzzDeviceRecord(f *testing.F) {
	for _, rec := range records {
		row, _ := rec.Encode()
		f.Add(row)
	}
	row, _ := Mapping{Old: a, New: b, Common: 7}.Encode()
	f.Add(row)
	f.Fuzz(func(t *testing.T, row []byte) {
		rec, err := DecodeRecord(row)
		again, _ := rec.Encode()
		judge(t, row, again, err)
		m, err := DecodeMapping(row)
		again, _ = m.Encode()
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
