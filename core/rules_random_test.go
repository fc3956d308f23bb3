package core

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"vsync/core/store"
)

// Devices that write, lose batches, are refused, raise rules and crash: the counter is its origin and all differences that were not refused; what
// is shown before the feed has passed own mutations is what it gives then; and every check is clean.
func TestRulesAtRandom(t *testing.T) {
	seeds := uint64(30)
	if testing.Short() {
		seeds = 10
	}
	raised := 0
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 77))
		w, ns := ruled(t, 3)
		for i, n := range ns {
			n.cp, n.lazy = []int{0, 1500, 4000}[i], seed%3 == uint64(i)
			n.crash()
		}
		ids := []string{"x", "y"}
		sum := map[string]int64{}
		for _, id := range ids {
			ns[0].put(id, obj("n", 0))
		}
		w.sync(ns...)
		for range 60 {
			n := ns[r.IntN(len(ns))]
			id := ids[r.IntN(len(ids))]
			switch k := r.IntN(20); {
			case k < 9:
				by := int64(1 + r.IntN(9))
				n.plus(id, by)
				sum[id] += by
			case k < 11:
				by := int64(100)
				n.push()
				n.pull()
				v := n.plus(id, by)
				n.plus(id, 1)
				sum[id]++
				n.refuse(v.Gen)
			case k < 14:
				n.pull()
			case k < 17:
				n.push()
			case k < 18:
				if _, written, err := n.SetRules(w.ctx, "c", value(withVersion(townRules, 1+int(n.Rules("c").Version)))); err != nil {
					t.Fatal(err)
				} else if written {
					raised++
				}
			case k < 19:
				n.crash()
			default:
				n.pull()
				shown := n.dump()
				for range 2 {
					n.push()
					n.pull()
				}
				if got := n.dump(); values(got) != values(shown) {
					t.Fatalf("seed %d: shown\n%s\nthen\n%s", seed, shown, got)
				}
			}
		}
		w.sync(ns...)
		for _, id := range ids {
			if got := ns[0].number(id); got != sum[id] {
				t.Fatalf("seed %d: %s is %d, want %d", seed, id, got, sum[id])
			}
		}
		w.same(ns...)
		w.checkAll(ns...)
	}
	if raised == 0 {
		t.Error("no rules were raised")
	}
}

// The same, with all that happens to storages: hubs that lose what they had, devices that are put back from a copy, or copied. Then nobody
// knows what a sum would be: all hold the same, and what the log says.
func TestRulesThroughLosses(t *testing.T) {
	seeds := uint64(30)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 78))
		w, ns := ruled(t, 3)
		for i, n := range ns {
			n.cp, n.lazy = []int{0, 1500, 4000}[i], seed%3 == uint64(i)
			n.crash()
		}
		hubs, copies := []*store.Memory{w.hub.st.Clone()}, [][]*store.Memory{{}, {}, {}}
		ids := []string{"x", "y"}
		for range 50 {
			i := r.IntN(len(ns))
			n, id := ns[i], ids[r.IntN(len(ids))]
			switch k := r.IntN(30); {
			case k < 8:
				n.plus(id, int64(1+r.IntN(9)))
			case k < 11:
				tags := []any{}
				for _, tag := range "pqrs" {
					if r.IntN(2) == 0 {
						tags = append(tags, string(tag))
					}
				}
				n.put(id, obj("n", n.number(id), "tags", tags, "text", fmt.Sprint(r.IntN(3), "\n", r.IntN(3), "\n")))
			case k < 13:
				n.del(id)
			case k < 17:
				n.pull()
				n.check()
			case k < 21:
				n.push()
			case k < 23:
				if _, _, err := n.SetRules(w.ctx, "c", value(withVersion(townRules, 1+int(n.Rules("c").Version)))); err != nil {
					t.Fatal(err)
				}
			case k < 24:
				n.crash()
			case k < 25:
				hubs = append(hubs, w.hub.st.Clone())
				copies[i] = append(copies[i], n.st.Clone())
			case k < 26:
				w.hub.Kill()
				w.hub.st = hubs[r.IntN(len(hubs))].Clone()
				w.hub.open()
			case k < 27 && len(copies[i]) > 0:
				n.Kill()
				n.st = copies[i][r.IntN(len(copies[i]))].Clone()
				n.open()
			case k < 28:
				v := n.State().LastGen + 1
				n.pull()
				if from := n.hello(); from == v && n.State().LastGen == v-1 {
					n.plus(id, 50)
					n.plus(id, 1)
					n.refuse(v)
				}
			default:
				n.push()
				n.pull()
				n.check()
			}
		}
		for round := 0; ; round++ {
			done := true
			for _, n := range ns {
				refused := slices.ContainsFunc(n.push(), func(v Verdict) bool { return v.Kind == Refused })
				n.pull()
				if !refused {
					continue
				}
				if err := n.Reenter(w.ctx); err != nil { // it names what nobody has any more
					t.Fatal(err)
				}
			}
			for _, n := range ns {
				s := n.State()
				done = done && s.Pending == 0 && s.Marker.Seq == w.hub.Head().Seq
			}
			if done {
				break
			}
			if round == 9 {
				t.Fatalf("seed %d: not settled after %d rounds", seed, round)
			}
		}
		w.sync(ns...)
		w.same(ns...)
		w.checkAll(ns...)
		for i, n := range ns {
			if i > 0 {
				n.crash()
			}
			n.cp = 0
			if err := n.Checkpoint(w.ctx); err != nil {
				t.Fatal(err)
			}
			n.crash()
		}
		w.hub.crash()
		w.same(ns...)
	}
}

// values are keys and values of a dump: confirming changes no more than who wins.
func values(dump string) (out string) {
	for len(dump) > 0 {
		var k, v, rest string
		fmt.Sscan(dump, &k, &v)
		for i := range dump {
			if dump[i] == '\n' {
				rest = dump[i+1:]
				break
			}
		}
		out += k + v + "\n"
		dump = rest
	}
	return out
}
