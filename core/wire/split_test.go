package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"vsync/core/change"
)

// block returns n bytes that differ from block to block.
func block(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)*31 + byte(i>>8) + seed
	}
	return b
}

// join sends messages through their frames and a Joiner, and returns what comes out whole.
func join(t testing.TB, up bool, budget int, messages func(yield func(Message))) []Message {
	t.Helper()
	var j Joiner
	var out []Message
	messages(func(m Message) {
		frame := mustAppend(t, m)
		if len(frame) > budget {
			t.Fatalf("a frame of %d bytes, over the budget of %d", len(frame), budget)
		}
		got, err := decoder(up)(frame)
		if err != nil {
			t.Fatal(err)
		}
		joined, err := j.Join(got)
		clear(frame) // the Joiner must not keep it; whole messages are checked before, below
		switch {
		case err != nil || joined == Orphan:
			t.Fatal(joined, err)
		case joined == Whole:
			again, _ := decoder(up)(mustAppend(t, m))
			if list := *pieceItems(got); !pieceSplit(m) {
				copy(list, *pieceItems(again))
			}
			out = append(out, got)
		}
	})
	if j.Held() != 0 {
		t.Errorf("%d bytes left in the joiner", j.Held())
	}
	return out
}

func pieceItems(m Message) *[][]byte { p, _ := pieceOf(m); return p.items }
func pieceSplit(m Message) bool      { p, _ := pieceOf(m); return p.part.Split() }

func TestBatchesOfAnySizeComeBackWhole(t *testing.T) {
	for name, sizes := range map[string][]int{
		"one small":                        {200},
		"many small share frames":          {200, 300, 5000, 1, 90000, 90000, 90000, 7},
		"exactly the room":                 {FrameBudget - envelope - itemHeader},
		"one byte over the room":           {FrameBudget - envelope - itemHeader + 1},
		"large between small":              {10, 3 * FrameBudget, 20},
		"large, large":                     {FrameBudget, FrameBudget},
		"the largest batch":                {change.MaxBatch},
		"more than the items of a message": append(make([]int, 0), repeat(3, MaxItems+5)...),
	} {
		t.Run(name, func(t *testing.T) {
			var batches [][]byte
			for i, n := range sizes {
				batches = append(batches, block(n, byte(i)))
			}
			var got [][]byte
			next := change.Generation(7)
			for _, m := range join(t, true, FrameBudget, func(yield func(Message)) {
				for m := range SplitPush(7, batches, FrameBudget) {
					yield(m)
				}
			}) {
				p := m.(*Push)
				if p.Gen != next || p.Part != (Part{}) {
					t.Fatalf("expected generation %d whole, got %d %+v", next, p.Gen, p.Part)
				}
				got = append(got, p.Batches...)
				next += change.Generation(len(p.Batches))
			}
			if !same(got, batches) {
				t.Error("the batches differ")
			}
		})
	}
}

func repeat(n, times int) []int {
	all := make([]int, times)
	for i := range all {
		all[i] = n
	}
	return all
}

func same(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func TestChangesAndAcceptedComeBackWholeWithTheirHashes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		var list [][]byte
		var after []change.Hash
		for i := range 1 + rng.IntN(30) {
			list = append(list, block(18+rng.IntN(9000), byte(i)))
			after = append(after, change.Hash{1, byte(i)})
		}
		check := func(at uint64, got [][]byte, hash change.Hash) int {
			from := int(at - 100)
			if !same(got, list[from:from+len(got)]) || hash != after[from+len(got)-1] {
				t.Fatalf("sequence %d: entries or hash differ", at)
			}
			return len(got)
		}
		n := 0
		for _, m := range join(t, false, MinFrameBudget, func(yield func(Message)) {
			for m := range SplitChanges(100, list, after, 0) {
				yield(m)
			}
		}) {
			n += check(m.(*Changes).Seq, m.(*Changes).Entries, m.(*Changes).Hash)
		}
		for _, m := range join(t, false, MinFrameBudget, func(yield func(Message)) {
			for m := range SplitAccepted(100, 5, list, after, 0) {
				yield(m)
			}
		}) {
			a := m.(*Accepted)
			if uint64(a.Gen)-5 != a.Seq-100 {
				t.Fatalf("sequence %d with generation %d", a.Seq, a.Gen)
			}
			n += check(a.Seq, a.Annotations, a.Hash)
		}
		if n != 2*len(list) {
			t.Fatalf("%d of %d came", n, 2*len(list))
		}
	}
}

func TestSplittingStopsWhenItsReaderDoes(t *testing.T) {
	batches := [][]byte{block(10*MinFrameBudget, 1), block(10, 2)}
	n := 0
	for range SplitPush(1, batches, MinFrameBudget) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d messages", n)
	}
}

func part(gen change.Generation, index uint64, more bool) *Push {
	return &Push{Gen: gen, Batches: [][]byte{{byte(index)}}, Part: Part{Index: index, More: more}}
}

func TestJoinerStories(t *testing.T) {
	whole := func(gen change.Generation) *Push { return &Push{Gen: gen, Batches: [][]byte{{1}}} }
	hash := change.Hash{1}
	type step struct {
		m    Message
		want Joined
		code Code // instead of want
	}
	for name, story := range map[string][]step{
		"whole ones pass":               {{whole(1), Whole, ""}, {whole(2), Whole, ""}},
		"two parts":                     {{part(1, 0, true), Waiting, ""}, {part(1, 1, false), Whole, ""}, {whole(2), Whole, ""}},
		"a ping between parts":          {{part(1, 0, true), Waiting, ""}, {&Ping{}, Whole, ""}, {&Seen{}, Whole, ""}, {part(1, 1, false), Whole, ""}},
		"no beginning, twice":           {{part(1, 1, true), Orphan, ""}, {part(1, 2, false), Orphan, ""}, {part(1, 0, true), Waiting, ""}, {part(1, 1, false), Whole, ""}},
		"a part left out":               {{part(1, 0, true), Waiting, ""}, {part(1, 2, false), 0, CodeProtocol}, {whole(1), Whole, ""}},
		"a part twice":                  {{part(1, 0, true), Waiting, ""}, {part(1, 1, true), Waiting, ""}, {part(1, 1, true), 0, CodeProtocol}},
		"another beginning in between":  {{part(1, 0, true), Waiting, ""}, {part(1, 0, true), 0, CodeProtocol}},
		"another generation":            {{part(1, 0, true), Waiting, ""}, {part(2, 1, false), 0, CodeProtocol}},
		"a whole one in between":        {{part(1, 0, true), Waiting, ""}, {whole(2), 0, CodeProtocol}},
		"a void in between":             {{&Changes{Seq: 1, Entries: [][]byte{{1}}, Part: Part{More: true}}, Waiting, ""}, {&Voided{}, 0, CodeProtocol}},
		"another hash":                  {{&Changes{Seq: 1, Entries: [][]byte{{1}}, Part: Part{More: true}}, Waiting, ""}, {&Changes{Seq: 1, Entries: [][]byte{{1}}, Hash: hash, Part: Part{Index: 1}}, 0, CodeProtocol}},
		"another kind":                  {{&Changes{Seq: 1, Entries: [][]byte{{1}}, Part: Part{More: true}}, Waiting, ""}, {&Accepted{Seq: 1, Annotations: [][]byte{{1}}, Part: Part{Index: 1}}, 0, CodeProtocol}},
		"two pieces, built by hand":     {{&Push{Gen: 1, Batches: [][]byte{{1}, {2}}, Part: Part{More: true}}, 0, CodeInvalid}},
		"no piece, built by hand":       {{&Push{Gen: 1, Part: Part{More: true}}, 0, CodeInvalid}},
		"an empty piece, built by hand": {{&Push{Gen: 1, Batches: [][]byte{{}}, Part: Part{More: true}}, 0, CodeInvalid}},
	} {
		var j Joiner
		for i, s := range story {
			got, err := j.Join(s.m)
			if codeOf(err) != s.code || s.code == "" && got != s.want {
				t.Errorf("%s, step %d: expected %v %s, got %v, %v", name, i, s.want, s.code, got, err)
			}
			if err != nil && j.Held() != 0 {
				t.Errorf("%s: bytes are kept after an error", name)
			}
		}
	}
}

func TestJoinerRefusesPushesByTheirGeneration(t *testing.T) {
	var j Joiner
	j.Join(part(4, 0, true))
	_, err := j.Join(part(4, 3, true))
	var wrong *ProtocolError
	if !errors.As(err, &wrong) || wrong.Gen != 4 || wrong.Answer().Gen != 4 {
		t.Errorf("got %v", err)
	}
}

func TestJoinerForgets(t *testing.T) {
	var j Joiner
	j.Join(part(1, 0, true))
	j.Reset()
	if got, err := j.Join(part(1, 1, false)); got != Orphan || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestJoinerHoldsNoMoreThanABatch(t *testing.T) {
	var j Joiner
	piece := make([]byte, 1_000_003)
	sum := 0
	for i := uint64(0); ; i++ {
		_, err := j.Join(&Push{Gen: 1, Batches: [][]byte{piece}, Part: Part{Index: i, More: true}})
		if err != nil {
			if codeOf(err) != CodeTooLarge || sum+len(piece) <= change.MaxBatch {
				t.Errorf("refused %v at %d bytes", err, sum+len(piece))
			}
			return
		}
		if sum += len(piece); sum > change.MaxBatch || cap(j.bytes) > change.MaxBatch || j.Held() != sum {
			t.Fatalf("holds %d bytes in a buffer of %d", j.Held(), cap(j.bytes))
		}
	}
}

var blob = block(256+255*255*32, 0)

// FuzzJoiner reads a script: each three bytes are one message.
func FuzzJoiner(f *testing.F) {
	f.Add([]byte{0, 0, 9, 1, 1, 9, 2, 2, 9, 3, 0, 0})
	f.Add([]byte{4, 0x80, 255, 4, 0x81, 255, 4, 0x82, 255, 4, 3, 255})
	f.Fuzz(func(t *testing.T, script []byte) {
		var j Joiner
		var want []byte // what the parts since the beginning say
		for ; len(script) >= 3; script = script[3:] {
			p := Part{Index: uint64(script[1] & 0x7f), More: script[1]&0x80 != 0}
			data := blob[int(script[2]):][:int(script[2])*int(script[2])*32] // up to 2 MB
			m := scripted(script[0], p, data)
			held := j.Held()
			got, err := j.Join(m)
			if j.Held() > maxHeld(m) || cap(j.bytes) > maxHeld(m) {
				t.Fatalf("holds %d of %d", j.Held(), cap(j.bytes))
			}
			switch {
			case err != nil:
				if codeOf(err) == "" || j.Held() != 0 {
					t.Fatal(err)
				}
				want = nil
			case got == Waiting:
				want = append(want, data...)
			case got == Whole && held > 0 && pieceItems(m) != nil:
				if all := *pieceItems(m); len(all) != 1 || !bytes.Equal(all[0], append(want, data...)) || pieceSplit(m) {
					t.Fatal("the whole is not its parts")
				}
				want = nil
			}
		}
	})
}

func maxHeld(m Message) int {
	if p, ok := pieceOf(m); ok && p.limit > 0 {
		return p.limit
	}
	return change.MaxEntry
}

func scripted(kind byte, p Part, data []byte) Message {
	items := [][]byte{data}
	switch first := uint64(kind >> 4); kind & 3 {
	case 0:
		return &Push{Gen: change.Generation(first), Batches: items, Part: p}
	case 1:
		return &Changes{Seq: first, Entries: items, Part: p}
	case 2:
		return &Accepted{Seq: first, Annotations: items, Part: p}
	}
	return &Ping{}
}
