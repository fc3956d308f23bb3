package change

import (
	"errors"
	"slices"
	"testing"
)

func TestTexts(t *testing.T) {
	d := DeviceID(unhex(t, "00112233445566778899aabbccddeeff"))
	const text = "00112233445566778899aabbccddeeff"
	if got, err := ParseDeviceID(text); err != nil || got != d || d.String() != text || d.IsZero() || !(DeviceID{}).IsZero() {
		t.Errorf("device %v, %v", got, err)
	}
	if got, err := ParseHash(text); err != nil || got != Hash(d) || got.String() != text || got.IsZero() || !(Hash{}).IsZero() {
		t.Errorf("hash %v, %v", got, err)
	}
	if got, err := ParseLineage(text); err != nil || got != Lineage(d) || got.String() != text || got.IsZero() || !(Lineage{}).IsZero() {
		t.Errorf("lineage %v, %v", got, err)
	}
	v := Version{d, 9007199254740991}
	if got, err := ParseVersion(v.String()); err != nil || got != v || v.String() != text+":9007199254740991" || v.IsZero() || !(Version{}).IsZero() {
		t.Errorf("version %v, %v", got, err)
	}
	if !Generation(0).IsZero() || Generation(1).IsZero() {
		t.Error("generation 0 is none, 1 is one")
	}
	for _, bad := range []string{"", text[1:], text + "0", "0x" + text[2:], "AA" + text[2:], text[:31] + "ä"} {
		_, err1 := ParseDeviceID(bad)
		_, err2 := ParseHash(bad)
		_, err3 := ParseLineage(bad)
		if !errors.Is(err1, ErrText) || !errors.Is(err2, ErrText) || !errors.Is(err3, ErrText) {
			t.Errorf("%q: %v, %v, %v", bad, err1, err2, err3)
		}
	}
}

func TestVersionOrder(t *testing.T) {
	want := []Version{{device(1), 1}, {device(1), 2}, {device(1), 10}, {device(2), 1}, {device(0xff), 1}}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, Version.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestKeySystem(t *testing.T) {
	if !(Key{RulesCollection, "a"}).System() || (Key{"a$", "$"}).System() {
		t.Error("the system's collections are those that begin with $")
	}
	if (Key{"a", "b\n"}).String() != `a/"b\n"` || !(Key{}).IsZero() {
		t.Error("text of a key")
	}
}
