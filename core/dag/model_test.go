package dag

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"vsync/core/change"
)

// A model of a graph that answers everything the long way: for each version the set of all that it
// descends from, itself included.
type model struct {
	nodes []Node // by position
	above []map[change.Version]bool
}

func (m *model) lookup(_ context.Context, v change.Version) (Node, bool, error) {
	i := m.place(v)
	if i < 0 {
		return Node{}, false, nil
	}
	return m.nodes[i], true, nil
}

func (m *model) place(v change.Version) int {
	return slices.IndexFunc(m.nodes, func(n Node) bool { return n.Version == v })
}

// grow makes a random graph of n versions by some devices; each has up to three parents, rarely none.
func grow(r *rand.Rand, n int) *model {
	m := &model{}
	gens := map[byte]change.Generation{}
	for i := range n {
		device := byte('a' + r.IntN(4))
		gens[device]++
		node := Node{Version: change.Version{Device: change.DeviceID{device}, Gen: gens[device]}, Position: uint64(10 + 3*i)}
		above := map[change.Version]bool{node.Version: true}
		if i > 0 && r.IntN(8) > 0 {
			for range 1 + r.IntN(3) {
				parent := max(0, i-1-r.IntN(6))
				node.Parents = append(node.Parents, m.nodes[parent].Version)
				for v := range m.above[parent] {
					above[v] = true
				}
			}
		}
		m.nodes = append(m.nodes, node)
		m.above = append(m.above, above)
	}
	return m
}

// base looks for the newest version that stands above all others, and proves that none below it does.
func (m *model) base(leaves []change.Version) (change.Version, bool) {
	for i := len(m.nodes) - 1; i >= 0 && len(leaves) > 0; i-- {
		common := true
		for _, leaf := range leaves {
			common = common && m.above[m.place(leaf)][m.nodes[i].Version]
		}
		if common {
			return m.nodes[i].Version, true
		}
	}
	return change.Version{}, false
}

func TestAgainstModel(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := grow(r, 1+r.IntN(40))
		for range 10 {
			var leaves []change.Version
			for range r.IntN(5) {
				leaves = append(leaves, m.nodes[r.IntN(len(m.nodes))].Version)
			}
			m.checkBase(t, seed, leaves)
			m.checkWalk(t, seed, leaves)
		}
		if t.Failed() {
			return
		}
	}
}

func (m *model) checkBase(t *testing.T, seed uint64, leaves []change.Version) {
	want, found := m.base(leaves)
	got, is, err := MergeBase(t.Context(), m.lookup, leaves)
	if err != nil || is != found || got != want {
		t.Errorf("seed %d: base of %s: got %s %v %v, want %s %v", seed, names(leaves), name(got), is, err, name(want), found)
	}
	// Deepest: nothing that descends from the base is above all leaves too.
	for _, n := range m.nodes {
		below := found && n.Version != want && m.above[m.place(n.Version)][want]
		for _, leaf := range leaves {
			below = below && m.above[m.place(leaf)][n.Version]
		}
		if below {
			t.Errorf("seed %d: base of %s: %s is nearer than %s", seed, names(leaves), name(n.Version), name(want))
		}
	}
}

func (m *model) checkWalk(t *testing.T, seed uint64, from []change.Version) {
	var want, got []change.Version
	for i := len(m.nodes) - 1; i >= 0; i-- {
		reached := func(v change.Version) bool { return m.above[m.place(v)][m.nodes[i].Version] }
		if slices.ContainsFunc(from, reached) {
			want = append(want, m.nodes[i].Version)
		}
	}
	walked, err := Walk(t.Context(), m.lookup, from, func(n Node) error {
		got = append(got, n.Version)
		return nil
	})
	if err != nil || len(walked.Missing) > 0 || walked.Nodes != len(want) || !slices.Equal(got, want) {
		t.Errorf("seed %d: walk from %s: got %s %v, want %s", seed, names(from), names(got), err, names(want))
	}
}

// More leaves than a word has bits, which no object has, are no special case.
func TestBaseOfVeryManyLeaves(t *testing.T) {
	m := &model{}
	root := version("a1")
	m.nodes = []Node{{Version: root, Position: 1}}
	var leaves []change.Version
	for i := range 200 {
		v := change.Version{Device: change.DeviceID{'b'}, Gen: change.Generation(i + 1)}
		m.nodes = append(m.nodes, Node{Version: v, Parents: []change.Version{root}, Position: uint64(i + 2)})
		leaves = append(leaves, v)
	}
	base, found, err := MergeBase(t.Context(), m.lookup, leaves)
	if !found || base != root || err != nil {
		t.Errorf("got %v %v %v", name(base), found, err)
	}
}
