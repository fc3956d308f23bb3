package dag

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"vsync/core/change"
)

// A scenario is a story about the graph of one object, one step a line, what has to come of it behind
// the arrow. A version is a letter, its device, and its generation; "!" marks a deletion.
//
//	b2! < a1 b1   -> fork a2 b2        a version with its parents; result and frontier
//	b9 < b8       -> gap b8            refused: nothing is changed
//	base a2 b2    -> a1                merge base
//	walk b2       -> b2 b1 a1          what is visited, in order; "without x" for what is missing
//	ancestors b2  -> b1 a1
//	descends b2 a1 -> true
//	prune b2      -> 2                 deletes its strict ancestors; how many these were
//	frontier      -> a2 b2
type scenario struct {
	t        *testing.T
	nodes    map[change.Version]Node
	held     change.Vector
	frontier Frontier
}

func tell(t *testing.T, story string) *scenario {
	t.Helper()
	s := &scenario{t: t, nodes: map[change.Version]Node{}, held: change.Vector{}}
	for i, line := range strings.Split(story, "\n") {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		if line == "" {
			continue
		}
		step, want, found := strings.Cut(line, "->")
		got := s.step(strings.Fields(step))
		if want = strings.Join(strings.Fields(want), " "); found && got != want {
			t.Errorf("line %d: %s: got %q, want %q", i, strings.TrimSpace(step), got, want)
		}
	}
	return s
}

func (s *scenario) lookup(_ context.Context, v change.Version) (Node, bool, error) {
	n, found := s.nodes[v]
	return n, found, nil
}

func (s *scenario) step(words []string) string {
	ctx := s.t.Context()
	args := words[1:]
	switch words[0] {
	case "base":
		base, found, err := MergeBase(ctx, s.lookup, versions(args...))
		if !found {
			return said("none", err)
		}
		return said(name(base), err)
	case "walk":
		var seen []change.Version
		walked, err := Walk(ctx, s.lookup, versions(args...), func(n Node) error {
			seen = append(seen, n.Version)
			return nil
		})
		if !walked.Complete() {
			return said(names(seen)+" without "+names(walked.Missing), err)
		}
		return said(names(seen), err)
	case "ancestors":
		all, err := Ancestors(ctx, s.lookup, version(args[0]))
		return said(names(all), err)
	case "descends":
		is, err := Descends(ctx, s.lookup, version(args[0]), version(args[1]))
		return said(fmt.Sprint(is), err)
	case "prune":
		all, err := Ancestors(ctx, s.lookup, version(args[0]))
		for _, v := range all {
			delete(s.nodes, v)
		}
		return said(fmt.Sprint(len(all)), err)
	case "frontier":
		return names(s.frontier)
	}
	return s.graft(words)
}

// graft takes a version in as the watcher does: known ones are skipped, gaps refused, the rest grafted.
func (s *scenario) graft(words []string) string {
	text, deleted := strings.CutSuffix(words[0], "!")
	v := version(text)
	var parents []change.Version
	if len(words) > 1 {
		parents = versions(words[2:]...)
	}
	if s.held.Covers(v) {
		return Known.String()
	}
	if gap, is := Gap(s.held, parents); is {
		return "gap " + name(gap)
	}
	var result Result
	s.frontier, result = s.frontier.Graft(v, parents)
	s.held.Raise(v)
	s.nodes[v] = Node{Version: v, Parents: parents, Deleted: deleted, Position: s.arrivals()}
	return result.String() + " " + names(s.frontier)
}

// arrivals counts what came, pruned or not.
func (s *scenario) arrivals() (n uint64) {
	for _, g := range s.held {
		n += uint64(g)
	}
	return n
}

func said(text string, err error) string {
	if errors.Is(err, ErrUnknown) {
		return "unknown"
	}
	if err != nil {
		return err.Error()
	}
	return text
}

func version(text string) change.Version {
	var gen uint64
	if _, err := fmt.Sscanf(text[1:], "%d", &gen); err != nil {
		panic("no version: " + text)
	}
	return change.Version{Device: change.DeviceID{text[0]}, Gen: change.Generation(gen)}
}

func versions(texts ...string) (all []change.Version) {
	for _, text := range texts {
		all = append(all, version(text))
	}
	return all
}

func name(v change.Version) string { return fmt.Sprintf("%c%d", v.Device[0], v.Gen) }

func names(all []change.Version) string {
	texts := make([]string, len(all))
	for i, v := range all {
		texts[i] = name(v)
	}
	return strings.Join(texts, " ")
}
