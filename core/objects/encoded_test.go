package objects

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"vsync/core/change"
)

// The everyday step allocates the new bytes and nothing else.
func TestHotPathAllocations(t *testing.T) {
	row := (&Object{Confirmed: []Leaf{leaf("a1", 1)}}).Encode()
	next, parents := leaf("a2", 2), vers("a1")
	var o Object
	step := func(row []byte, f func()) func() {
		return func() {
			if err := o.Load(row); err != nil {
				t.Fatal(err)
			}
			f()
			row2 = o.Encode()
		}
	}
	if n := fewestAllocs(step(row, func() { o.Graft(next, parents) })); n > 1 {
		t.Errorf("a graft allocates %v times", n)
	}
	if n := fewestAllocs(step(row, func() { o.AddPending(next, parents) })); n > 1 {
		t.Errorf("a pending version allocates %v times", n)
	}
	waiting := row2
	if n := fewestAllocs(step(waiting, func() { o.Graft(next, parents) })); n > 1 {
		t.Errorf("a confirmation allocates %v times", n)
	}
	third, second := leaf("a3", 3), vers("a2")
	if n := fewestAllocs(step(waiting, func() { o.AddPending(third, second) })); n > 1 {
		t.Errorf("a second pending version allocates %v times", n)
	}
	for _, row := range [][]byte{row, waiting} {
		if n := fewestAllocs(func() { _ = o.Load(row); seen = o.Visible() }); n > 0 {
			t.Errorf("a look allocates %v times", n)
		}
	}
}

// fewestAllocs is what f allocates when its lists are large enough.
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

func BenchmarkGraft(b *testing.B) {
	value := append([]byte{0xc4, 190}, bytes.Repeat([]byte{7}, 190)...)
	row := (&Object{Confirmed: []Leaf{{Version: ver("a1"), Stamp: 1_700_000_000_000, Accepted: 1_700_000_000_000, Value: value}}}).Encode()
	next := Leaf{Version: ver("a2"), Stamp: 1_700_000_000_001, Accepted: 1_700_000_000_001, Value: value}
	parents := vers("a1")
	var o Object
	b.ReportAllocs()
	b.SetBytes(int64(len(row)))
	for b.Loop() {
		_ = o.Load(row)
		o.Graft(next, parents)
		row2 = o.Encode()
	}
}

// What a version more costs an object that was written to often since the feed last passed.
func BenchmarkAddPending(b *testing.B) {
	value := append([]byte{0xc4, 190}, bytes.Repeat([]byte{7}, 190)...)
	for _, n := range []int{0, 10, 1000} {
		o := &Object{Confirmed: []Leaf{leaf("b1", 1)}}
		last := ver("b1")
		for i := range n {
			v := change.Version{Device: ver("a1").Device, Gen: change.Generation(i + 1)}
			o.AddPending(Leaf{Version: v, Value: value}, []change.Version{last})
			last = v
		}
		row := o.Encode()
		next := Leaf{Version: change.Version{Device: last.Device, Gen: last.Gen + 1}, Value: value}
		parents := []change.Version{last}
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = o.Load(row)
				o.AddPending(next, parents)
				row2 = o.Encode()
			}
		})
	}
}

func BenchmarkVisible(b *testing.B) {
	for name, o := range map[string]*Object{
		"confirmed": {Confirmed: []Leaf{leaf("a1", 1)}},
		"pending":   {Confirmed: []Leaf{leaf("a1", 1)}, Pending: []Pending{pend("a2", "a1")}},
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
	good := (&Object{Confirmed: []Leaf{leaf("a1", 1)}, Pending: []Pending{pend("b1", "a1"), pend("b2", "")}}).Encode()
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
		"flags":              {edit(1, 8), change.ErrReserved},
		"shown without own":  {edit(1, 4), change.ErrReserved},
		"no state":           {edit(1, 1), change.ErrTruncated},
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
		"pending twice":      {(&Object{Pending: []Pending{pend("a1", ""), pend("a1", "")}}).Encode(), change.ErrOrder},
		"parents disordered": {(&Object{Pending: []Pending{pend("a3", "a2 a1")}}).Encode(), change.ErrOrder},
		"until disordered":   {(&Object{Pending: []Pending{pend("a9", "a3>a5 a3>a4")}}).Encode(), change.ErrOrder},
		"parent twice":       {(&Object{Pending: []Pending{pend("a3", "a1 a1")}}).Encode(), change.ErrOrder},
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
	f.Add((&Object{Confirmed: []Leaf{leaf("a1", 1)}, Pending: []Pending{pend("c1", "a1"), pend("c9!", "a1 c2-3>c5 c5-8")}}).Encode())
	for _, o := range stated() {
		f.Add(o.Encode())
	}
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
		frontier := view.Frontier()
		for _, step := range []func(*Object){
			func(o *Object) { o.Graft(leaf("f1", 3), frontier) },
			func(o *Object) { o.AddPending(leaf("f1", 3), frontier) },
			func(o *Object) { o.AddPending(leaf("f1", 3), nil) },
		} {
			next, _ := Decode(b)
			step(next)
			if _, err := Decode(next.Encode()); err != nil && !errors.Is(err, change.ErrOrder) { // f may have written later ones
				t.Fatalf("after a step: %v", err)
			}
		}
		for len(o.Pending) > 0 {
			o.DropPending(o.Pending[0].Version)
			if _, err := Decode(o.Encode()); err != nil {
				t.Fatalf("after a refusal: %v", err)
			}
		}
	})
}

// pend is a pending version as a step leaves it.
func pend(text, hides string) Pending {
	l := leaf(text, 1)
	p := Pending{Version: l.Version, Stamp: 1, Deleted: l.Deleted, Value: l.Value}
	for _, text := range strings.Fields(hides) {
		text, until, has := strings.Cut(text, ">")
		first, last, long := strings.Cut(text, "-")
		h := only(ver(first))
		if long {
			h.Last = ver(first[:1] + last).Gen
		}
		if has {
			h.Until = ver(until)
		}
		p.Hides = append(p.Hides, h)
	}
	return p
}
