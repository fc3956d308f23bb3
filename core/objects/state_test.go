package objects

import (
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"vsync/core/change"
)

// stated are objects under field rules.
func stated() []*Object {
	two := []Leaf{leaf("a1", 1), leaf("b1", 2)}
	return []*Object{
		{Confirmed: two, State: &State{Value: str("x"), Origin: ver("a1"), Marks: []byte{1, 2}}},
		{Confirmed: two, State: &State{Value: str("b1"), Origin: ver("a1")}},
		{Confirmed: []Leaf{leaf("a1!", 1)}, State: &State{Value: str("x"), Origin: ver("b7")}},
		{Confirmed: two, Pending: []Pending{pend("c2", "a1 b1")}, Own: vers("c1 c2"), Shown: &State{Value: str("c2"), Origin: ver("a1")}},
		{Confirmed: two[:1], Pending: []Pending{pend("d1!", "a1")}, Own: vers("c1 c9 d1")},
		{Confirmed: two[:1], Pending: []Pending{pend("d1", "")}, State: &State{Value: str("y"), Origin: ver("a1"), Marks: []byte{3}},
			Own: vers("d1"), Shown: &State{Value: str("z"), Origin: ver("d1")}},
	}
}

func TestStatesInBytes(t *testing.T) {
	for i, o := range stated() {
		b := o.Encode()
		if len(b) != cap(b) {
			t.Errorf("%d: %d bytes in a slice of %d", i, len(b), cap(b))
		}
		back, err := Decode(b)
		if err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		if !equal(o, back) {
			t.Errorf("%d: %+v became %+v", i, o, back)
		}
		for n := range b {
			if _, err := Decode(b[:n]); err == nil {
				t.Errorf("%d: %d of %d bytes are taken", i, n, len(b))
			}
		}
	}
}

// The bytes of rows, which stay what they are.
func TestVectorsOfStates(t *testing.T) {
	d := func(b string) string { return b + "000000000000000000000000000000" }
	leaves := "02" + "00" + d("61") + "01" + "01" + "02" + "03a26131" + "00" + d("62") + "01" + "02" + "03" + "03a26231"
	for i, want := range []string{
		"0101" + leaves + "00" + d("61") + "01" + "00" + "02a178" + "020102",
		"0101" + leaves + "00" + d("61") + "01" + "02" + "00",
		"0101" + "01" + "01" + d("61") + "01" + "01" + "02" + "00" + "00" + d("62") + "07" + "00" + "02a178" + "00",
		"0106" + leaves + "01" + "00" + d("63") + "02" + "01" + "02" + d("61") + "010000" + d("62") + "010000" + "03a26332" +
			"01" + d("63") + "020101" + d("61") + "01" + "03" + "00",
	} {
		if got := hex.EncodeToString(stated()[i].Encode()); got != want {
			t.Errorf("%d:\ngot  %s\nwant %s", i, got, want)
		}
	}
}

func TestStatesRefused(t *testing.T) {
	only := &Object{Confirmed: []Leaf{leaf("a1", 1)}, State: &State{Value: str("a1"), Origin: ver("a1")}}
	if _, err := Decode(only.Encode()); !errors.Is(err, change.ErrNotMinimal) {
		t.Errorf("a state that its leaf says: %v", err)
	}
	bare := &Object{Confirmed: []Leaf{{Version: ver("a1")}, {Version: ver("b1")}}, State: &State{Origin: ver("a1")}}
	if _, err := Decode(bare.Encode()); !errors.Is(err, change.ErrTooSmall) {
		t.Errorf("a state without a value: %v", err)
	}
	b := stated()[1].Encode()
	own := slices.Concat(b[:len(b)-2], []byte{0}, []byte{3}, str("b1"), []byte{0})
	if _, err := Decode(own); !errors.Is(err, change.ErrNotMinimal) {
		t.Errorf("a value that a leaf has: %v", err)
	}
	b[len(b)-2] = 3
	if _, err := Decode(b); !errors.Is(err, change.ErrIndex) {
		t.Errorf("a leaf that is not there: %v", err)
	}
}

func TestMergedIsShown(t *testing.T) {
	os := stated()
	for i, want := range []string{"x", "b1", "", "c2", "", "z"} {
		v := os[i].Visible()
		if v.Exists() != (want != "") || want != "" && string(v.Value) != string(str(want)) {
			t.Errorf("%d shows %q, want %q", i, v.Value, want)
		}
	}
	if v := os[0].Visible(); !v.Merged() || v.Version != ver("b1") || !v.Conflict {
		t.Errorf("two leaves are seen as %+v", v)
	}
	if v := os[1].Visible(); v.Merged() {
		t.Error("what the winner wrote counts as merged")
	}
}
