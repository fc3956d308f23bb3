package dag

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"vsync/core/change"
)

// A scenario is a story about the graph of one object, one step a line, what has to come of it behind
// the arrow. A version is a letter, its device, and its generation; "!" marks a deletion. How versions are
// grafted is not told here: that is package objects' to do.
//
//	b2! < a1 b1              a record with its parents comes
//	base a2 b2    -> a1      merge base
//	walk b2       -> b2 b1 a1   what is visited, in order; "without x" for what is missing
//	drop b1 a1               these records are gone
type scenario struct {
	t     *testing.T
	nodes map[change.Version]Node
	came  uint64
}

func tell(t *testing.T, story string) *scenario {
	t.Helper()
	s := &scenario{t: t, nodes: map[change.Version]Node{}}
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
		if len(walked.Missing) > 0 {
			return said(names(seen)+" without "+names(walked.Missing), err)
		}
		return said(names(seen), err)
	case "drop":
		for _, v := range versions(args...) {
			delete(s.nodes, v)
		}
		return ""
	}
	s.comes(words)
	return ""
}

func (s *scenario) comes(words []string) {
	text, deleted := strings.CutSuffix(words[0], "!")
	n := Node{Version: version(text), Deleted: deleted}
	if len(words) > 1 {
		n.Parents = versions(words[2:]...)
	}
	s.came++
	n.Position = s.came
	s.nodes[n.Version] = n
}

func said(text string, err error) string {
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
