package change

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func one(change func(*Batch)) *Batch {
	b := &Batch{Header: Header{Device: device(1), Gen: 5, Stamp: 1}, Mutations: []Mutation{{Key: Key{"c", "a"}, Value: []byte{0xc0}}}}
	change(b)
	return b
}

func TestAppendRefuses(t *testing.T) {
	v := func(d byte, g Generation) Version { return Version{device(d), g} }
	many := make([]Mutation, MaxMutations+1)
	for i := range many {
		many[i] = Mutation{Key: Key{"c", fmt.Sprint(i)}, Value: []byte{0xc0}}
	}
	big := mustEncode(t, make([]byte, MaxValue-5))
	for about, c := range map[string]struct {
		b    *Batch
		want error
	}{
		"partial":            {one(func(b *Batch) { b.IsPartial = true }), ErrPartial},
		"no device":          {one(func(b *Batch) { b.Device = DeviceID{} }), ErrTooSmall},
		"no generation":      {one(func(b *Batch) { b.Gen = 0 }), ErrTooSmall},
		"generation 2^53":    {one(func(b *Batch) { b.Gen = 1 << 53 }), ErrTooLarge},
		"stamp 2^53":         {one(func(b *Batch) { b.Stamp = 1 << 53 }), ErrTooLarge},
		"nonce 2^53":         {one(func(b *Batch) { b.Nonce.Counter = 1 << 53 }), ErrTooLarge},
		"note too long":      {one(func(b *Batch) { b.Note = strings.Repeat("n", MaxNote+1) }), ErrTooLarge},
		"note not UTF-8":     {one(func(b *Batch) { b.Note = "\xff" }), ErrNotUTF8},
		"no mutations":       {one(func(b *Batch) { b.Mutations = nil }), ErrTooSmall},
		"20001 mutations":    {one(func(b *Batch) { b.Mutations = many }), ErrTooLarge},
		"bad key":            {one(func(b *Batch) { b.Mutations[0].Key.ID = "" }), ErrKey},
		"kind 2":             {one(func(b *Batch) { b.Mutations[0].Kind = 2 }), ErrReserved},
		"changes in delete":  {one(func(b *Batch) { b.Mutations[0] = Mutation{Kind: Delete, Key: Key{"c", "a"}, Changes: []byte{0xc0}} }), ErrReserved},
		"value in delete":    {one(func(b *Batch) { b.Mutations[0].Kind = Delete }), ErrTrailing},
		"no value":           {one(func(b *Batch) { b.Mutations[0].Value = nil }), ErrTruncated},
		"value too large":    {one(func(b *Batch) { b.Mutations[0].Value = make([]byte, MaxValue+1) }), ErrTooLarge},
		"bad value":          {one(func(b *Batch) { b.Mutations[0].Value = []byte{0xcc, 1} }), ErrNotMinimal},
		"bad changes":        {one(func(b *Batch) { b.Mutations[0].Changes = []byte{} }), ErrTruncated},
		"65 parents":         {one(func(b *Batch) { b.Mutations[0].Parents = make([]Version, 65) }), ErrTooLarge},
		"parent zero":        {one(func(b *Batch) { b.Mutations[0].Parents = []Version{v(0, 1)} }), ErrTooSmall},
		"parent 0":           {one(func(b *Batch) { b.Mutations[0].Parents = []Version{v(2, 0)} }), ErrTooSmall},
		"parent 2^53":        {one(func(b *Batch) { b.Mutations[0].Parents = []Version{v(2, 1<<53)} }), ErrTooLarge},
		"parent twice":       {one(func(b *Batch) { b.Mutations[0].Parents = []Version{v(2, 1), v(3, 1), v(2, 1)} }), ErrDuplicate},
		"parent itself":      {one(func(b *Batch) { b.Mutations[0].Parents = []Version{v(1, 5)} }), ErrParent},
		"parent to come":     {one(func(b *Batch) { b.Mutations[0].Parents = []Version{v(1, 6)} }), ErrParent},
		"object twice":       {one(func(b *Batch) { b.Mutations = append(b.Mutations, b.Mutations[0]) }), ErrDuplicateObject},
		"object twice of 99": {one(func(b *Batch) { b.Mutations = append(many[:98:98], many[40]) }), ErrDuplicateObject},
		"9 MiB": {one(func(b *Batch) {
			for i := range 8 {
				b.Mutations = append(b.Mutations, Mutation{Key: Key{"c", fmt.Sprint(i)}, Value: big})
			}
		}), ErrTooLarge},
	} {
		got, err := c.b.Append([]byte("as it was"), Hash{})
		if !errors.Is(err, c.want) || string(got) != "as it was" {
			t.Errorf("%s: %.20q, %v, want %v", about, got, err, c.want)
		}
		if c.b.Hash != (Hash{}) {
			t.Errorf("%s: the batch was filled in", about)
		}
		var f *FormatError
		if !errors.As(err, &f) || f.Offset != -1 {
			t.Errorf("%s: %#v", about, err)
		}
	}
}

// The limits themselves are legal, one more is not.
func TestBatchLimits(t *testing.T) {
	b := one(func(b *Batch) {
		b.Note = strings.Repeat("n", MaxNote)
		b.Mutations[0].Key = Key{strings.Repeat("c", MaxCollection), strings.Repeat("i", MaxID)}
		b.Mutations[0].Value = mustEncode(t, make([]byte, MaxValue-5))
		for i := range MaxParents {
			b.Mutations[0].Parents = append(b.Mutations[0].Parents, Version{device(byte(i + 2)), MaxNumber})
		}
		for i := range MaxMutations - 1 {
			b.Mutations = append(b.Mutations, Mutation{Key: Key{"c", fmt.Sprint(i)}, Kind: Delete})
		}
	})
	raw, err := b.Encode(Hash{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := Decode(raw)
	if err != nil || !reflect.DeepEqual(d, b) {
		t.Fatal(err)
	}
	frameHead := 6 // index and lengths within a partial batch
	part := b.Partial(func(m Mutation) bool { return m.Index > 0 })
	if len(part) > len(raw)+frameHead*MaxMutations || len(part) > MaxPartial {
		t.Errorf("partial has %d bytes, whole %d", len(part), len(raw))
	}
	if p, err := DecodeAny(part); err != nil || len(p.Mutations) != MaxMutations-1 {
		t.Error(err)
	}
}

func TestAppendAfterOthers(t *testing.T) {
	b := one(func(*Batch) {})
	alone, err := b.Encode(Hash{7})
	if err != nil {
		t.Fatal(err)
	}
	after, err := b.Append([]byte("before"), Hash{7})
	if err != nil || string(after) != "before"+string(alone) {
		t.Errorf("%q, %v", after, err)
	}
	if err := b.Follows(Hash{7}); err != nil {
		t.Error(err)
	}
	if err := b.Follows(Hash{8}); !errors.Is(err, ErrChain) {
		t.Error(err)
	}
}

func TestAppendSortsParents(t *testing.T) {
	want := []Version{{device(2), 1}, {device(2), 3}, {device(3), 1}}
	b := one(func(b *Batch) { b.Mutations[0].Parents = []Version{want[2], want[1], want[0]} })
	raw, err := b.Encode(Hash{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := Decode(raw)
	if err != nil || !slices.Equal(d.Mutations[0].Parents, want) {
		t.Errorf("%v, %v", d, err)
	}
}

// A partial batch of a partial one is what it would have been of the whole one.
func TestPartialOfPartial(t *testing.T) {
	for _, row := range sampleBatches(t) {
		raw, err := row.b.Encode(Hash{})
		if err != nil {
			t.Fatal(err)
		}
		if whole := row.b.Partial(func(Mutation) bool { return true }); !bytes.Equal(whole, raw) {
			t.Errorf("%s: with nothing left out it is not the whole batch", row.about)
		}
		odd := func(m Mutation) bool { return m.Index%2 == 1 }
		first := row.b.Partial(odd)
		d, err := DecodeAny(first)
		if err != nil {
			t.Fatal(err)
		}
		if again := d.Partial(func(Mutation) bool { return true }); !bytes.Equal(again, first) {
			t.Errorf("%s: a partial batch did not come back", row.about)
		}
		third := d.Partial(func(m Mutation) bool { return m.Index%3 == 0 })
		if want := row.b.Partial(func(m Mutation) bool { return odd(m) && m.Index%3 == 0 }); !bytes.Equal(third, want) {
			t.Errorf("%s: %x, want %x", row.about, third, want)
		}
	}
}

// The fast path reads the same, and stops where it is told.
func TestTrusted(t *testing.T) {
	for _, row := range sampleBatches(t) {
		whole, err := row.b.Encode(Hash{})
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range [][]byte{whole, row.b.Partial(func(m Mutation) bool { return m.Index != 0 })} {
			strict, err := DecodeAny(raw)
			if err != nil {
				t.Fatal(err)
			}
			if fast, err := DecodeTrusted(raw); err != nil || !reflect.DeepEqual(fast, strict) {
				t.Errorf("%s: %+v, %v", row.about, fast, err)
			}
			var walked []Mutation
			h, err := Walk(raw, func(m Mutation) bool { walked = append(walked, m); return len(walked) < 2 })
			if want := strict.Mutations[:min(2, len(strict.Mutations))]; err != nil || !reflect.DeepEqual(h, strict.Header) || len(walked) != len(want) || len(want) > 0 && !reflect.DeepEqual(walked, want) {
				t.Errorf("%s: walked %+v, %v", row.about, walked, err)
			}
		}
	}
	bad := crafted(mutation(0, 0, "a", 0, 0xcc, 5)).with(func(c *craft) { c.body = &Hash{} }).bytes()
	if _, err := DecodeTrusted(bad); err != nil {
		t.Errorf("the fast path looked at hash or value: %v", err)
	}
	for _, row := range badBatches() {
		if _, err := DecodeTrusted(row.b); err == nil {
			continue
		}
		if _, err := Walk(row.b, func(Mutation) bool { return true }); err == nil {
			t.Errorf("%s: Walk accepts what DecodeTrusted refuses", row.about)
		}
	}
}

// Ids of many mutations share a buffer: none may change when it grows.
func TestManyIDs(t *testing.T) {
	b := one(func(b *Batch) { b.Mutations = nil })
	for i := range 500 {
		b.Mutations = append(b.Mutations, Mutation{Key: Key{"c", strings.Repeat("i", i) + fmt.Sprint(i)}, Value: []byte{1},
			Parents: []Version{{device(2), Generation(i + 1)}, {device(3), 1}}})
	}
	raw, err := b.Encode(Hash{})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := Decode(raw); err != nil || !reflect.DeepEqual(d, b) {
		t.Fatal("differs", err)
	}
}

// Every prefix of a batch, and every batch with one byte changed, is refused or reads as itself.
func TestDamage(t *testing.T) {
	raw, err := sampleBatches(t)[1].b.Encode(Hash{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		if _, err := Decode(raw[:i]); !errors.Is(err, ErrTruncated) {
			t.Errorf("%d of %d bytes: %v", i, len(raw), err)
		}
		for _, flip := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(raw)
			bad[i] ^= flip
			if d, err := Decode(bad); err == nil && d.Follows(Hash{}) == nil {
				t.Errorf("byte %d changed by %02x goes unnoticed", i, flip)
			}
		}
	}
}
