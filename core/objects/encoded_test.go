package objects

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"vsync/core/change"
	"vsync/core/dag"
)

// Steps on bytes do what steps on objects do, and leave the old bytes alone.
func TestEncodedSteps(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		o, row := &Object{}, []byte(nil)
		for gen := range change.Generation(30) {
			row = encodedStep(t, r, o, row, gen+1)
			if back, err := Decode(row); err != nil || !equal(o, back) {
				t.Fatalf("seed %d: %v\ngot  %+v\nwant %+v", seed, err, back, o)
			}
		}
	}
}

func encodedStep(t *testing.T, r *rand.Rand, o *Object, row []byte, gen change.Generation) []byte {
	t.Helper()
	before := bytes.Clone(row)
	v := change.Version{Device: change.DeviceID{byte('a' + r.IntN(3))}, Gen: gen}
	var parents []change.Version
	view := o.Visible()
	for _, p := range view.Frontier() {
		if r.IntN(3) > 0 {
			parents = append(parents, p)
		}
	}
	var next []byte
	var err error
	switch pending := len(o.Pending); {
	case pending > 0 && r.IntN(2) == 0:
		v = o.Pending[r.IntN(pending)].Version
		want, _ := o.Confirm(v, 7, 8, nil)
		var got dag.Result
		var was bool
		if next, got, was, err = ConfirmEncoded(row, v, 7, 8, nil); got != want || !was {
			t.Errorf("confirmed with %v %v, want %v", got, was, want)
		}
	case r.IntN(2) == 0:
		v.Device = change.DeviceID{'o'}
		p := Pending{Version: v, Stamp: uint64(gen), Value: []byte{1}, Parents: parents}
		o.AddPending(p)
		next, err = AddPendingEncoded(row, p)
	default:
		l := Leaf{Version: v, Stamp: uint64(r.IntN(9)), Accepted: 3, Value: []byte{byte(gen)}}
		want := o.Graft(l, parents)
		var got dag.Result
		if next, got, err = GraftEncoded(row, l, parents); got != want {
			t.Errorf("grafted with %v, want %v", got, want)
		}
	}
	if err != nil || !bytes.Equal(before, row) {
		t.Errorf("%v, old bytes %x became %x", err, before, row)
	}
	return next
}

func TestEncodedStepsThatChangeNothing(t *testing.T) {
	row := (&Object{Confirmed: []Leaf{leaf("a1", 1)}}).Encode()
	next, result, err := GraftEncoded(row, leaf("a1", 1), nil)
	if err != nil || result != dag.Known || &next[0] != &row[0] {
		t.Errorf("%v %v", result, err)
	}
	next, _, was, err := ConfirmEncoded(row, ver("a1"), 1, 1, nil)
	if err != nil || was || &next[0] != &row[0] {
		t.Errorf("%v %v", was, err)
	}
}

func TestEncodedStepsOnDamage(t *testing.T) {
	for _, row := range [][]byte{{}, {9}, (&Object{Confirmed: []Leaf{leaf("a1", 1)}}).Encode()[:20]} {
		var format *change.FormatError
		if _, _, err := GraftEncoded(row, leaf("a1", 1), nil); !errors.As(err, &format) {
			t.Errorf("GraftEncoded of %x: %v", row, err)
		}
		if _, _, _, err := ConfirmEncoded(row, ver("a1"), 1, 1, nil); !errors.As(err, &format) {
			t.Errorf("ConfirmEncoded of %x: %v", row, err)
		}
		if _, err := AddPendingEncoded(row, pend("a1", 1, "")); !errors.As(err, &format) {
			t.Errorf("AddPendingEncoded of %x: %v", row, err)
		}
	}
}

// The everyday step allocates the new bytes and nothing else.
func TestHotPathAllocations(t *testing.T) {
	row := (&Object{Confirmed: []Leaf{leaf("a1", 1)}}).Encode()
	next, parents := leaf("a2", 2), vers("a1")
	if n := fewestAllocs(func() { row2, _, _ = GraftEncoded(row, next, parents) }); n > 1 {
		t.Errorf("a graft allocates %v times", n)
	}
	waiting, _ := AddPendingEncoded(row, pend("a2", 2, "a1"))
	if n := fewestAllocs(func() { row2, _, _, _ = ConfirmEncoded(waiting, next.Version, 2, 3, nil) }); n > 1 {
		t.Errorf("a confirmation allocates %v times", n)
	}
	p := pend("a2", 2, "a1")
	if n := fewestAllocs(func() { row2, _ = AddPendingEncoded(row, p) }); n > 1 {
		t.Errorf("a pending version allocates %v times", n)
	}
	var o Object
	if n := fewestAllocs(func() { _ = o.Load(row); seen = o.Visible() }); n > 0 {
		t.Errorf("a look allocates %v times", n)
	}
}

// fewestAllocs is what f allocates when it finds its bench still there: the collector may take it away,
// and does so at random when looking for races.
func fewestAllocs(f func()) float64 {
	fewest := testing.AllocsPerRun(1, f)
	for range 50 {
		fewest = min(fewest, testing.AllocsPerRun(1, f))
	}
	return fewest
}

var (
	row2 []byte
	seen View
)

func BenchmarkGraftEncoded(b *testing.B) {
	value := append([]byte{0xc4, 190}, bytes.Repeat([]byte{7}, 190)...)
	row := (&Object{Confirmed: []Leaf{{Version: ver("a1"), Stamp: 1_700_000_000_000, Accepted: 1_700_000_000_000, Value: value}}}).Encode()
	next := Leaf{Version: ver("a2"), Stamp: 1_700_000_000_001, Accepted: 1_700_000_000_001, Value: value}
	parents := vers("a1")
	b.ReportAllocs()
	b.SetBytes(int64(len(row)))
	for b.Loop() {
		row2, _, _ = GraftEncoded(row, next, parents)
	}
}

func BenchmarkConfirmEncoded(b *testing.B) {
	row := (&Object{Confirmed: []Leaf{leaf("a1", 1)}, Pending: []Pending{pend("a2", 2, "a1")}}).Encode()
	v := ver("a2")
	b.ReportAllocs()
	for b.Loop() {
		row2, _, _, _ = ConfirmEncoded(row, v, 2, 3, nil)
	}
}

// What a version more costs an object that was written to often since the feed last passed.
func BenchmarkAddPendingEncoded(b *testing.B) {
	value := append([]byte{0xc4, 190}, bytes.Repeat([]byte{7}, 190)...)
	for _, n := range []int{0, 10, 100, 1000} {
		o := &Object{Confirmed: []Leaf{leaf("b1", 1)}}
		last := ver("b1")
		for i := range n {
			p := Pending{Version: change.Version{Device: ver("a1").Device, Gen: change.Generation(i + 1)}, Value: value, Parents: []change.Version{last}}
			o.AddPending(p)
			last = p.Version
		}
		row := o.Encode()
		next := Pending{Version: change.Version{Device: last.Device, Gen: last.Gen + 1}, Value: value, Parents: []change.Version{last}}
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				row2, _ = AddPendingEncoded(row, next)
			}
		})
	}
}

func BenchmarkVisible(b *testing.B) {
	for name, o := range map[string]*Object{
		"confirmed": {Confirmed: []Leaf{leaf("a1", 1)}},
		"pending":   {Confirmed: []Leaf{leaf("a1", 1)}, Pending: []Pending{pend("a2", 2, "a1")}},
	} {
		row := o.Encode()
		b.Run(name, func(b *testing.B) {
			var o Object
			b.ReportAllocs()
			for b.Loop() {
				if err := o.Load(row); err != nil {
					b.Fatal(err)
				}
				seen = o.Visible()
			}
		})
	}
}

func TestDecoderRefuses(t *testing.T) {
	good := (&Object{Confirmed: []Leaf{leaf("a1", 1)}, Pending: []Pending{pend("b1", 1, "a1"), pend("b2", 1, "")}}).Encode()
	edit := func(at int, by ...byte) []byte {
		return append(append(bytes.Clone(good[:at]), by...), good[at+len(by):]...)
	}
	const second = 3 + 1 + 17 + 1 + 1 + 4 + 1 // the first pending
	for name, c := range map[string]struct {
		b   []byte
		err error
	}{
		"empty":              {[]byte{}, change.ErrTruncated},
		"format":             {edit(0, 2), change.ErrUnknownFormat},
		"flags":              {edit(1, 1), change.ErrReserved},
		"too many leaves":    {edit(2, 65), change.ErrTooLarge},
		"more than fits":     {edit(2, 60), change.ErrTruncated},
		"flags of a leaf":    {edit(3, 2), change.ErrReserved},
		"deleted with value": {edit(3, 1), change.ErrReserved},
		"device zero":        {edit(4, 0), change.ErrTooSmall},
		"generation zero":    {edit(20, 0), change.ErrTooSmall},
		"longer than needed": {slices.Concat(good[:21], []byte{0x81, 0}, good[22:]), change.ErrNotMinimal},
		"too large a number": {slices.Concat(good[:21], bytes.Repeat([]byte{0xff}, 7), []byte{0x7f}, good[22:]), change.ErrTooLarge},
		"more than 64 bits":  {slices.Concat(good[:21], bytes.Repeat([]byte{0xff}, 10), []byte{1}, good[22:]), change.ErrTooLarge},
		"flags of a pending": {edit(second, 4), change.ErrReserved},
		"trailing":           {append(bytes.Clone(good), 0), change.ErrTrailing},
		"value cut":          {good[:len(good)-1], change.ErrTruncated},
		"leaf twice":         {(&Object{Confirmed: []Leaf{leaf("a1", 1), leaf("a1", 2)}}).Encode(), change.ErrDuplicate},
		"pending twice":      {(&Object{Pending: []Pending{pend("a1", 1, ""), pend("a1", 2, "")}}).Encode(), change.ErrOrder},
		"parents disordered": {(&Object{Pending: []Pending{pend("a3", 1, "a2 a1")}}).Encode(), change.ErrOrder},
		"parent twice":       {(&Object{Pending: []Pending{pend("a3", 1, "a1 a1")}}).Encode(), change.ErrOrder},
	} {
		var format *change.FormatError
		o, err := Decode(c.b)
		if !errors.Is(err, c.err) || !errors.As(err, &format) || o != nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if o, err := Decode(nil); err != nil || !o.IsEmpty() {
		t.Errorf("no row is %+v, %v", o, err)
	}
	for n := range good {
		if _, err := Decode(good[:n]); err == nil {
			t.Errorf("%d of %d bytes are taken", n, len(good))
		}
	}
}

// FuzzObject: what the decoder takes, the encoder writes, and every step on it holds what the decoder asks.
func FuzzObject(f *testing.F) {
	f.Add((&Object{}).Encode())
	f.Add((&Object{Confirmed: []Leaf{leaf("a1", 1), leaf("b1!", 2)}}).Encode())
	f.Add((&Object{Confirmed: []Leaf{leaf("a1", 1)}, Pending: []Pending{pend("c1", 1, "a1"), pend("c2!", 1, "c1")}}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		b = append([]byte{}, b...) // never nil, which is no row
		o, err := Decode(b)
		if err != nil {
			var format *change.FormatError
			if !errors.As(err, &format) || format.Offset > len(b) {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if again := o.Encode(); !bytes.Equal(again, b) {
			t.Fatalf("%x was taken, %x is written", b, again)
		}
		view := o.Visible()
		if (view.Winner < 0) != o.IsEmpty() || len(view.Leaves) > MaxLeaves {
			t.Fatalf("%+v is seen of %+v", view, o)
		}
		next, _, err := GraftEncoded(b, leaf("f1", 3), view.Frontier())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(next); err != nil {
			t.Fatalf("after a graft: %v", err)
		}
		for len(o.Pending) > 0 {
			o.DropPending(o.Pending[0].Version)
			if _, err := Decode(o.Encode()); err != nil {
				t.Fatalf("after a refusal: %v", err)
			}
		}
	})
}
