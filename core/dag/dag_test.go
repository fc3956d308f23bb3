package dag

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"vsync/core/change"
)

func TestLocalChain(t *testing.T) {
	tell(t, `
		a1
		a2 < a1
		a3 < a2
		walk a3     -> a3 a2 a1
		base a3     -> a3
		walk a1     -> a1
	`)
}

// A second root is no error: it has seen nothing of the first, which is a conflict.
func TestSecondRoot(t *testing.T) {
	tell(t, `
		a1
		b1
		base a1 b1  -> none
		a2 < a1 b1
		walk a2     -> a2 b1 a1
	`)
}

func TestRemoteChainWithNothingLocal(t *testing.T) {
	tell(t, `
		b1
		b2 < b1
		b3 < b2
		walk b3     -> b3 b2 b1
	`)
}

func TestRemoteContinuesLocalHead(t *testing.T) {
	tell(t, `
		a1
		a2 < a1
		b1 < a2
		b2 < b1
		base b2     -> b2
	`)
}

func TestRemoteFork(t *testing.T) {
	tell(t, `
		a1
		a2 < a1
		a3 < a2
		b1 < a2
		b2 < b1
		b3 < b2
		base a3 b3  -> a2
		a4 < a3 b3   # the merge is the head
		base a4     -> a4
		walk a4     -> a4 b3 b2 b1 a3 a2 a1
	`)
}

func TestTwoGraftsTakeTheDeepestBase(t *testing.T) {
	tell(t, `
		a1
		a2 < a1
		a3 < a2
		b1 < a1
		b2 < b1 a2
		base a3 b2   -> a2
		base b2 a2   -> a2
	`)
}

func TestThreeLeaves(t *testing.T) {
	tell(t, `
		a1
		a2 < a1
		a3 < a2
		b1 < a2
		c1 < a1
		base a3 b1     -> a2
		base a3 b1 c1  -> a1
		base           -> none
		base a3 a3     -> a3
		b2 < b1 c1
		base a3 b2     -> a2
		c2 < a3 b2
	`)
}

func TestCrossedMerges(t *testing.T) {
	tell(t, `
		a1
		b1
		a2 < a1 b1
		b2 < b1 a1
		base a2 b2   -> b1                # a1 is as deep and older
	`)
}

func TestDiamond(t *testing.T) {
	tell(t, `
		a1
		a2 < a1
		b1 < a1
		c1 < a1
		a3 < a2 b1 c1
		walk a3        -> a3 c1 b1 a2 a1
		walk a3 a2 a3  -> a3 c1 b1 a2 a1
		walk b1 c1     -> c1 b1 a1
	`)
}

func TestDeletionIsAVersion(t *testing.T) {
	s := tell(t, `
		a1
		a2! < a1
		a3! < a2
		b1 < a1   # deleted against updated
		base a3 b1   -> a1
		a4 < a3 b1   # created again
	`)
	if !s.nodes[version("a2")].Deleted || s.nodes[version("a4")].Deleted {
		t.Error("the mark of a deletion is not where it was put")
	}
}

// History that is gone ends a walk, and takes a base away.
func TestHistoryThatIsGone(t *testing.T) {
	tell(t, `
		a1
		a2 < a1
		b1 < a2
		c1 < a2
		c2 < c1
		a3 < b1 c2
		a4 < a3
		base b1 c2   -> a2
		drop a1 a2
		base b1 c2   -> none
		walk a4      -> a4 a3 c2 c1 b1 without a2
		drop b1 c1 c2 a3
		walk a4      -> a4 without a3
		b2 < a3                           # a parent below the floor is legal
		walk b2      -> b2 without a3
		base a4 b2   -> none
	`)
}

func TestVisitsErrorIsPassedOn(t *testing.T) {
	s := tell(t, `
		a1
		a2 < a1
		a3 < a2
	`)
	stop := errors.New("enough")
	calls := 0
	_, err := Walk(t.Context(), s.lookup, versions("a3"), func(n Node) error {
		if calls++; n.Version == version("a2") {
			return stop
		}
		return nil
	})
	if err != stop || calls != 2 {
		t.Errorf("got %v after %d calls", err, calls)
	}
}

func TestLookupsErrorIsPassedOn(t *testing.T) {
	broken := errors.New("unreadable")
	lookup := func(context.Context, change.Version) (Node, bool, error) { return Node{}, false, broken }
	ctx, a := t.Context(), versions("a1")
	if _, err := Walk(ctx, lookup, a, nil); err != broken {
		t.Errorf("Walk: %v", err)
	}
	if _, _, err := MergeBase(ctx, lookup, a); err != broken {
		t.Errorf("MergeBase: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	s := tell(t, "a1\na2 < a1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Walk(ctx, s.lookup, versions("a2"), func(Node) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A damaged log that names a descendant as a parent makes no walk run for ever.
func TestCircle(t *testing.T) {
	s := tell(t, "a1\na2 < a1\na3 < a2")
	n := s.nodes[version("a1")]
	n.Parents = versions("a3")
	s.nodes[n.Version] = n
	var order *OrderError
	if _, err := Walk(t.Context(), s.lookup, versions("a3"), func(Node) error { return nil }); !errors.As(err, &order) {
		t.Fatalf("got %v", err)
	}
	if order.Version != version("a1") || order.Parent != version("a3") {
		t.Errorf("blamed %v and %v", order.Version, order.Parent)
	}
}

func TestWidthIsBounded(t *testing.T) {
	wide := func(_ context.Context, v change.Version) (Node, bool, error) {
		n := Node{Version: v, Position: uint64(1<<40 - v.Gen)}
		for i := range change.Generation(change.MaxParents) {
			n.Parents = append(n.Parents, change.Version{Device: v.Device, Gen: v.Gen*change.MaxParents + i + 1})
		}
		return n, true, nil
	}
	_, err := Walk(t.Context(), wide, versions("a1"), func(Node) error { return nil })
	if !errors.Is(err, ErrTooWide) {
		t.Errorf("got %v", err)
	}
}

func TestMissingIsBounded(t *testing.T) {
	var from []change.Version
	for i := range MaxMissing + 7 {
		from = append(from, version(fmt.Sprintf("a%d", i+1)))
	}
	none := func(context.Context, change.Version) (Node, bool, error) { return Node{}, false, nil }
	walked, err := Walk(t.Context(), none, from, nil)
	if err != nil || len(walked.Missing) == 0 || len(walked.Missing) != MaxMissing || walked.More != 7 || walked.Nodes != 0 {
		t.Errorf("%d missing, %d more, %v", len(walked.Missing), walked.More, err)
	}
}

func TestResultsHaveNames(t *testing.T) {
	for result, want := range map[Result]string{
		FastForward: "fast-forward", Fork: "fork", Known: "known", Orphan: "orphan", 0: "result 0",
	} {
		if got := result.String(); got != want {
			t.Errorf("%d is %q, want %q", uint8(result), got, want)
		}
	}
}

func BenchmarkMergeBase(b *testing.B) {
	for _, length := range []int{10, 1000} {
		b.Run(fmt.Sprint(length), func(b *testing.B) {
			nodes := map[change.Version]Node{}
			at := func(device byte, gen int) change.Version {
				return change.Version{Device: change.DeviceID{device}, Gen: change.Generation(gen)}
			}
			root := at('r', 1)
			nodes[root] = Node{Version: root, Position: 1}
			for _, device := range []byte("ab") {
				for gen := 1; gen <= length; gen++ {
					parents := []change.Version{root}
					if gen > 1 {
						parents[0] = at(device, gen-1)
					}
					v := at(device, gen)
					nodes[v] = Node{Version: v, Parents: parents, Position: uint64(2*gen) + uint64(device&1)}
				}
			}
			lookup := func(_ context.Context, v change.Version) (Node, bool, error) {
				n, found := nodes[v]
				return n, found, nil
			}
			leaves := []change.Version{at('a', length), at('b', length)}
			b.ReportAllocs()
			for b.Loop() {
				if base, found, err := MergeBase(b.Context(), lookup, leaves); !found || base != root || err != nil {
					b.Fatal(base, found, err)
				}
			}
		})
	}
}
