package objects

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"vsync/core/change"
)

// model keeps every pending version with its parents, and folds all of them each time: what an Object does, without folding
// chains. It does not hold the bounds.
type model struct {
	confirmed []Leaf
	pending   []modelPending
}

type modelPending struct {
	leaf    Leaf
	parents []change.Version
}

func (m *model) visible() []Leaf {
	leaves := slices.Clone(m.confirmed)
	for _, p := range m.pending {
		leaves = append(subtract(leaves, p.parents), p.leaf)
	}
	return leaves
}

// pass moves the first pending version on: into the confirmed layer, or away, where those that name it get its parents.
func (m *model) pass(refused bool, parents []change.Version) {
	p := m.pending[0]
	m.pending = m.pending[1:]
	if !refused {
		m.confirmed = append(subtract(m.confirmed, parents), p.leaf)
		return
	}
	for i := range m.pending {
		q := &m.pending[i]
		if j := slices.Index(q.parents, p.leaf.Version); j >= 0 {
			q.parents = append(slices.Delete(q.parents, j, j+1), p.parents...)
		}
	}
}

// Folded or not, the same is seen: after writes that have seen all, some or what was there before; foreign versions;
// confirmations and refusals, in the order of writing; and through the bytes after each.
func TestAgainstTheModel(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 9))
		o, m := &Object{}, &model{}
		gen := map[byte]change.Generation{}
		next := func(device byte, skip int) change.Version {
			gen[device] += 1 + change.Generation(r.IntN(1+skip))
			return change.Version{Device: change.DeviceID{device}, Gen: gen[device]}
		}
		refusals := seed%2 == 0
		var old []change.Version
		own, story := byte('o'), ""
		for range 40 {
			now := o.Visible()
			frontier := now.Frontier()
			seen := slices.DeleteFunc(slices.Clone(frontier), func(change.Version) bool { return r.IntN(5) == 0 })
			switch n := r.IntN(10); {
			case n < 5:
				if r.IntN(5) == 0 && len(old) > 0 {
					seen = slices.Clone(old)
				}
				l := Leaf{Version: next(own, 3), Stamp: uint64(r.IntN(50)), Value: str(fmt.Sprint(r.IntN(50)))}
				story += fmt.Sprintf("write %d<%v; ", l.Version.Gen, seen)
				o.AddPending(l, slices.Clone(seen))
				m.pending = append(m.pending, modelPending{l, slices.Clone(seen)})
				old = frontier
			case n < 7 && len(m.pending) > 0:
				p := m.pending[0]
				refused := refusals && r.IntN(3) == 0
				inForce := p.parents
				if r.IntN(6) == 0 { // the hub knows nothing of what one of them replaced
					inForce = slices.DeleteFunc(slices.Clone(inForce), func(change.Version) bool { return r.IntN(2) == 0 })
				}
				m.pass(refused, inForce)
				story += fmt.Sprintf("pass %d %v; ", p.leaf.Version.Gen, refused)
				if refused {
					o.DropPending(p.leaf.Version)
				} else {
					o.Graft(p.leaf, inForce)
				}
			case n < 9 && len(o.Confirmed) < 20:
				foreign := byte('f')
				if own > 'o' && r.IntN(3) == 0 && !slices.ContainsFunc(m.pending, func(p modelPending) bool { return p.leaf.Version.Device == change.DeviceID{own - 1} }) {
					foreign = own - 1 // a copy kept the id that was given up
				}
				l := Leaf{Version: next(foreign, 0), Stamp: uint64(r.IntN(50)), Value: str("f")}
				var parents []change.Version
				for _, c := range o.Confirmed {
					if r.IntN(3) > 0 {
						parents = append(parents, c.Version)
					}
				}
				o.Graft(l, parents)
				m.confirmed = append(subtract(m.confirmed, parents), l)
				story += fmt.Sprintf("foreign %c%d; ", foreign, l.Version.Gen)
			case n == 9 && len(m.pending) > 0 && r.IntN(3) == 0:
				at := change.Version{Device: change.DeviceID{own}, Gen: m.pending[r.IntN(len(m.pending))].leaf.Version.Gen - change.Generation(r.IntN(2))}
				rename := func(v change.Version) change.Version {
					if v.Device == at.Device && v.Gen > at.Gen {
						return change.Version{Device: change.DeviceID{own + 1}, Gen: v.Gen - at.Gen}
					}
					return v
				}
				if m.pending[0].leaf.Version.Device != at.Device || slices.ContainsFunc(m.confirmed, func(l Leaf) bool { return rename(l.Version) != l.Version }) {
					break // one re-entry at a time, after what was confirmed
				}
				first := change.Version{}
				for i := range m.pending {
					p := &m.pending[i]
					p.leaf.Version = rename(p.leaf.Version)
					if first.IsZero() && p.leaf.Version.Device != at.Device {
						first = p.leaf.Version
					}
					for j := range p.parents {
						p.parents[j] = rename(p.parents[j])
					}
				}
				for i := range old {
					old[i] = rename(old[i])
				}
				story += fmt.Sprintf("rename after %d; ", at.Gen)
				o.RenamePending(at.Device, at.Gen, first)
				gen[own+1] = gen[own] - at.Gen
				own++
			}
			got := o.Visible()
			want := view(m.visible())
			if leafNames(got.Leaves) != leafNames(want.Leaves) || got.Version != want.Version || string(got.Value) != string(want.Value) || got.Conflict != want.Conflict {
				t.Fatalf("seed %d: %s\ngot  %s\nwant %s\n%s", seed, story, leafNames(got.Leaves), leafNames(want.Leaves), pendingNames(o))
			}
			back, err := Decode(o.Encode())
			if err != nil || !equal(o, back) {
				t.Fatalf("seed %d: %s %v", seed, story, err)
			}
			if r.IntN(2) == 0 {
				o = back
			}
		}
	}
}
