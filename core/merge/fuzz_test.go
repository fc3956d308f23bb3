package merge

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"vsync/core/change"
)

// samples are changes of every kind, with the state that they were made from.
func samples(t testing.TB) (list []sample) {
	r := rulesOf(t, everyRule)
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		s := born(version('a', 1), encoded(t, document(rnd)))
		for gen := 2; gen < 5; gen++ {
			value := encoded(t, document(rnd))
			w := Write{version(byte('a'+rnd.IntN(3)), gen), r.Diff(s.Value, s, value), value}
			list = append(list, sample{s, w})
			s = r.Apply(s, w)
		}
	}
	return list
}

type sample struct {
	state State
	write Write
}

// What the decoder takes, the encoder writes: changes have one encoding.
func FuzzChanges(f *testing.F) {
	f.Add([]byte{0})
	f.Add([]byte{0x92, 2, 0x90})
	f.Add([]byte{0x92, 1, 0x91, 0x94, 99, 0x90, 1, 2})
	f.Add([]byte{0x92, 1, 0x91, 0x94, 0xcd, 0x21, 0, 0x90, 1, 2}) // an unknown op keeps its number, however high
	for _, s := range samples(f) {
		f.Add(s.write.Changes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decode(b)
		if change.CheckValue(b) != nil || err != nil || c == nil {
			return
		}
		if again := c.encode(); !bytes.Equal(again, b) {
			t.Fatalf("%x was written again as %x", b, again)
		}
		renamed, err := Rename(b, func(v change.Version) change.Version { v.Gen++; return v })
		if err != nil || Check(renamed) != nil {
			t.Fatalf("%x, renamed, is %x: %v, %v", b, renamed, err, Check(renamed))
		}
	})
}

// Whatever bytes come: Apply ends, gives a value in canonical form, and the same again.
func FuzzApply(f *testing.F) {
	r := rulesOf(f, everyRule)
	for _, s := range samples(f) {
		f.Add(s.state.Value, s.state.Marks, s.write.Changes, s.write.Value)
	}
	f.Fuzz(func(t *testing.T, value, marks, changes, written []byte) {
		if change.CheckValue(value) != nil || change.CheckValue(written) != nil {
			return
		}
		s := State{Value: value, Origin: version('a', 1), Marks: marks}
		w := Write{version('b', 7), changes, written}
		next := r.Apply(s, w)
		if err := change.CheckValue(next.Value); err != nil {
			t.Fatalf("%x came: %v", next.Value, err)
		}
		if !sameState(next, r.Apply(copyOf(s), w)) {
			t.Fatal("another state came the second time")
		}
		if !bytes.Equal(next.Marks, marks) && !bytes.Equal(decodeMarks(next.Marks).encode(), next.Marks) {
			t.Fatalf("marks %x are not read as they were written", next.Marks)
		}
		again := r.Diff(value, s, written)
		if err := Check(again); err != nil {
			t.Fatal(err)
		}
		if len(marks) > 0 {
			return // made up, they may cut a character in two: then the value counts as a whole
		}
		back := r.Apply(s, Write{version('c', 9), again, written})
		if left := r.Diff(back.Value, back, written); !bytes.Equal(left, []byte{0x92, 1, 0x90}) {
			t.Fatalf("%s came, not %s, from %s by %s", js(t, back.Value), js(t, written), js(t, value), js(t, again))
		}
	})
}

// Values that are no msgpack at all, which a damaged store may give, do no harm either.
func FuzzDamaged(f *testing.F) {
	r := rulesOf(f, everyRule)
	for _, s := range samples(f)[:30] {
		f.Add(s.state.Value, s.state.Marks, s.write.Changes, s.write.Value)
	}
	f.Fuzz(func(t *testing.T, value, marks, changes, written []byte) {
		s := State{Value: value, Origin: version('a', 1), Marks: marks}
		r.Apply(s, Write{version('b', 7), changes, written})
		r.Diff(value, s, written)
		r.Diff(written, s, value)
	})
}

func FuzzRules(f *testing.F) {
	f.Add(val(f, `{"version":1,"conflict":`+everyRule+`,"indexes":["a.b"]}`))
	f.Add(val(f, `{"version":3,"conflict":"keep"}`))
	f.Add(val(f, `{"version":3,"conflict":{"a\\.b.*.c":"text@2","*":"latest"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Parse(r.Encode())
		if err != nil {
			t.Fatalf("%s was written as %s: %v", js(t, b), js(t, r.Encode()), err)
		}
		if !bytes.Equal(again.Encode(), r.Encode()) {
			t.Fatal("another encoding the second time")
		}
	})
}
