package changelog

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
)

// loose is an index of which nothing is packed, and that looks at everything.
type loose struct {
	segs []summary
	at   map[change.Version]int // segments in which batches stand
}

func (p *loose) extend(s summary) {
	if n := len(p.segs); n > 0 && p.segs[n-1].name == s.name {
		t := &p.segs[n-1]
		t.last, t.size = s.last, t.size+s.size
		if s.seq > 0 {
			t.reach(s.seq, s.end)
		}
		t.take(s.spans)
	} else {
		s.spans = slices.Clone(s.spans)
		p.segs = append(p.segs, s)
	}
	for _, sp := range s.spans {
		for v := range p.at {
			if sp.cut() && v.Device == sp.device && v.Gen >= sp.from {
				delete(p.at, v)
			}
		}
		for g := sp.from; g <= sp.to; g++ {
			p.at[change.Version{Device: sp.device, Gen: g}] = len(p.segs) - 1
		}
	}
}

func (p *loose) lose(i int) {
	p.segs[i].size, p.segs[i].seq, p.segs[i].end = 0, 0, 0
	p.segs[i].spans = slices.DeleteFunc(slices.Clone(p.segs[i].spans), func(sp span) bool { return !sp.cut() })
	for v, at := range p.at {
		if at == i {
			delete(p.at, v)
		}
	}
}

// TestSegmentsArePacked: an index of a long log, most of which is packed, says what one says that is not. Batches come again, ids are given up,
// segments are lost, and it is read from its rows.
func TestSegmentsArePacked(t *testing.T) {
	for seed := range few(20) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		x, want := newIndex(), &loose{at: map[change.Version]int{}}
		last := map[byte]change.Generation{}
		var commit, seq uint64
		inc := uint64(1)
		for range 2000 {
			commit++
			s := summary{name: Name{commit, inc}, last: commit + rnd.Uint64N(3), size: 1 + rnd.IntN(5000)}
			if n := len(want.segs); n > 0 && rnd.IntN(3) == 0 {
				s.name = want.segs[n-1].name
			} else if rnd.IntN(40) == 0 {
				inc += 1 + rnd.Uint64()>>1
				s.name.Incarnation = inc
			}
			commit = s.last
			if rnd.IntN(3) > 0 {
				s.seq = seq + 1
				seq += 1 + rnd.Uint64N(5)
				s.end = seq
			}
			var spans []span
			for range rnd.IntN(4) {
				d := byte(rnd.IntN(5))
				from, n := last[d]+1, change.Generation(rnd.IntN(4))
				switch rnd.IntN(30) {
				case 0:
					from = 1 + change.Generation(rnd.IntN(int(from)))
				case 1:
					spans = append(spans, span{device(d), from - min(from-1, n), from - min(from-1, n) - 1})
					continue
				}
				last[d] = max(last[d], from+n)
				spans = append(spans, span{device(d), from, from + n})
			}
			s.take(spans)
			x.extend(s)
			want.extend(s)
			if rnd.IntN(100) == 0 {
				i := rnd.IntN(len(want.segs))
				x.lose(i)
				want.lose(i)
			}
		}
		sameIndex(t, &x, want, last, commit, seq)
		if len(x.segs.blocks) < 20 || len(x.holes) == 0 {
			t.Fatalf("%d blocks, %d holes: too few to tell anything", len(x.segs.blocks), len(x.holes))
		}
		x.rows = summaryRows{}
		tx, again := &store.Tx{}, newIndex()
		x.write(tx, Name{First: ^uint64(0)})
		for _, op := range tx.Ops {
			if err := again.loadRow(store.Row{Key: op.Key, Value: op.Value}, Name{First: ^uint64(0)}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range want.segs {
			if a, b := x.segs.at(i), again.segs.at(i); !a.equal(b) {
				t.Fatalf("segment %d is %+v, read again %+v", i, a, b)
			}
		}
		if !reflect.DeepEqual(x.holes, again.holes) {
			t.Fatalf("holes %v, read again %v", x.holes, again.holes)
		}
	}
}

func sameIndex(t *testing.T, x *index, want *loose, last map[byte]change.Generation, commit, seq uint64) {
	t.Helper()
	if x.segs.len() != len(want.segs) {
		t.Fatalf("%d segments, want %d", x.segs.len(), len(want.segs))
	}
	copied := x.segs.clone()
	for i := range want.segs {
		if s, cp := x.segs.at(i), copied.at(i); !s.equal(&want.segs[i]) || !cp.equal(&want.segs[i]) {
			t.Fatalf("segment %d is %+v, and a copy's %+v, want %+v", i, s, cp, want.segs[i])
		}
	}
	for c := uint64(0); c <= commit+1; c++ {
		i := slices.IndexFunc(want.segs, func(s summary) bool { return s.name.First <= c && c <= s.last })
		if got := x.at(c); got != i {
			t.Fatalf("commit %d is in %d, want %d", c, got, i)
		}
	}
	for q := uint64(0); q <= seq+1; q++ {
		i := slices.IndexFunc(want.segs, func(s summary) bool { return s.seq > 0 && s.end >= q })
		if got := x.segs.bySeq(q); got != i {
			t.Fatalf("sequence %d is in %d, want %d", q, got, i)
		}
	}
	for d, last := range last {
		for g := change.Generation(1); g <= last+1; g++ {
			v := change.Version{Device: device(d), Gen: g}
			at, is := want.at[v]
			if got := x.byVersion(v); is && got != at || !is && got >= 0 {
				t.Fatalf("%s is in %d, want %d %v", v, got, at, is)
			}
			if g%50 > 0 {
				continue
			}
			var before []int
			for i := x.at(commit / 2); i >= 0; i-- {
				if want.segs[i].holds(v) {
					before = append(before, i)
				}
			}
			if got := x.before(v, commit/2); !slices.Equal(got, before) {
				t.Fatalf("%s was in %v, want %v", v, got, before)
			}
		}
	}
	var holes []Hole
	for _, s := range want.segs {
		if s.size == 0 {
			holes = append(holes, Hole{s.name.First, s.last})
		}
	}
	if !slices.Equal(x.holes, holes) {
		t.Fatalf("holes %v, want %v", x.holes, holes)
	}
}
