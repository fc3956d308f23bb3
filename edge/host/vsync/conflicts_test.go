package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

func TestConflictsAreListedAndResolved(t *testing.T) {
	s := newShell(t)
	s.ok("put", "c", "9", "1")
	equal(t, s.ok("conflicts"), "none\n")
	base := strings.TrimSpace(s.ok("put", "c", "1", `"base"`))
	left := strings.TrimSpace(s.ok("put", "c", "1", `"left"`))
	right := strings.TrimSpace(s.ok("put", "c", "1", `"right"`, "--seen", base))
	lines := strings.Split(s.ok("conflicts"), "\n")
	if len(lines) != 5 || lines[0] != "c 1" || !strings.HasSuffix(lines[1], `put "right"`) || !strings.Contains(lines[2], left) || lines[3] != `    from "base"` {
		t.Errorf("conflicts: %q", lines)
	}
	var j jsonConflict
	if err := json.Unmarshal([]byte(s.ok("conflicts", "c", "--json")), &j); err != nil || len(j.Sides) != 2 || j.Sides[0].Version != right || string(j.Base) != `"base"` {
		t.Errorf("conflicts --json: %+v, %v", j, err)
	}
	s.fails(exitUsage, "USAGE", "resolve", "c", "1", `"x"`, "--pick", left)
	s.fails(exitUsage, "USAGE", "resolve", "c", "1", "--pick", base)
	s.fails(exitNotFound, "NOT_FOUND", "resolve", "c", "2", `"x"`)
	s.ok("resolve", "c", "1", "--pick", left, "--note", "the left one")
	equal(t, s.ok("get", "c", "1"), "\"left\"\n")
	equal(t, s.ok("conflicts", "c"), "none\n")
	s.ok("put", "c", "1", `"again"`, "--seen", base)
	s.ok("resolve", "c", "1", `"both"`)
	equal(t, s.ok("get", "c", "1"), "\"both\"\n")
	s.ok("put", "c", "1", `"again"`, "--seen", base)
	s.ok("resolve", "c", "1", "--delete")
	s.fails(exitNotFound, "NOT_FOUND", "get", "c", "1")
}

func TestWhatWas(t *testing.T) {
	s := newShell(t)
	v1 := strings.TrimSpace(s.ok("put", "c", "1", `{"a":1,"b.c":{"d":[1]}}`))
	var first jsonVersion
	if err := json.Unmarshal([]byte(s.ok("history", "c", "1", "--json")), &first); err != nil {
		t.Fatal(err)
	}
	v2 := strings.TrimSpace(s.ok("put", "c", "1", `{"a":2,"b.c":{"d":[1]}}`, "--note", "two"))
	s.ok("put", "c", "1", `{"a":2,"b.c":{"d":[1,2]},"e":null}`)
	equal(t, s.ok("diff", "c", "1", v1, v2), "- a 1\n+ a 2\n")
	equal(t, s.ok("diff", "c", "1", v1), "- a 1\n+ a 2\n- b\\.c.d [1]\n+ b\\.c.d [1,2]\n+ e null\n")
	if out := s.ok("diff", "c", "1", v1, v2, "--json"); out != `{"path":["a"],"before":1,"after":2}`+"\n" {
		t.Errorf("diff --json: %s", out)
	}
	lines := strings.Split(s.ok("blame", "c", "1"), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], v2) || !strings.HasSuffix(lines[0], " a 2") || !strings.HasSuffix(lines[1], ` b\.c.d [1,2]`) {
		t.Errorf("blame: %q", lines)
	}
	equal(t, s.ok("get", "c", "1", "--at", strconv.FormatUint(first.Time, 10)), `{"a":1,"b.c":{"d":[1]}}`+"\n")
	equal(t, s.ok("get", "c", "1", "--at", clockTime(first.Time)), `{"a":1,"b.c":{"d":[1]}}`+"\n")
	equal(t, s.ok("scan", "c", "--at", "2001-01-01"), "")
	s.fails(exitUsage, "UNKNOWN_MARKER", "get", "c", "1", "--at", "yesterday")

	v4 := strings.TrimSpace(s.ok("undo", v2, "--note", "not two"))
	equal(t, s.ok("get", "c", "1"), `{"a":1,"b.c":{"d":[1,2]},"e":null}`+"\n")
	s.fails(exitUsage, "INVALID", "undo", v2)
	s.fails(exitUsage, "USAGE", "undo", "nonsense")
	s.fails(exitUsage, "USAGE", "undo", v2, "c")
	s.ok("undo", v4, "c", "1")
	s.ok("revert", "c", "1", v1)
	equal(t, s.ok("get", "c", "1"), `{"a":1,"b.c":{"d":[1]}}`+"\n")
	s.fails(exitNotFound, "TOO_OLD", "revert", "c", "1", strings.Repeat("9", 32)+":1")
	s.fails(exitNotFound, "NOT_FOUND", "blame", "c", "2")
	s.fails(exitNotFound, "NOT_FOUND", "rules", "c")
}

// Two devices under rules that one of them wrote: what both added counts, and what both kept is resolved on one.
func TestRulesOfACollection(t *testing.T) {
	s := newShell(t)
	hub := s.serve()
	on := func(device string, args ...string) string {
		t.Helper()
		return s.ok(append(args, "--data", device, "--feed", hub.Feed)...)
	}
	on("a", "rules", "stock", `{"version":1,"conflict":{"n":"counter","tags":"set"}}`)
	on("a", "rules", "texts", `{"version":1,"conflict":"keep"}`)
	if out := on("b", "rules", "stock"); !strings.Contains(out, `"n":"counter@1"`) {
		t.Errorf("rules: %s", out)
	}
	s.fails(exitUsage, "INVALID", "rules", "stock", `{"version":1,"conflict":"keep"}`, "--data", "b", "--feed", hub.Feed)
	for _, wrong := range []string{`"keeps"`, `{"n":"conter"}`} {
		s.fails(exitUsage, "INVALID", "rules", "stock", `{"version":2,"conflict":`+wrong+`}`, "--data", "b", "--feed", hub.Feed)
	}
	s.fails(exitUsage, "INVALID", "rules", "stock", `{"version":2,"conflict":{"n":"counter","n.m":"set"}}`, "--data", "b", "--feed", hub.Feed)
	on("a", "put", "stock", "x", `{"n":1,"tags":["p"]}`)
	on("a", "put", "texts", "x", `"base"`)
	on("b", "sync")
	for device, value := range map[string]string{"a": `{"n":11,"tags":["p","q"]}`, "b": `{"n":101,"tags":["r"]}`} {
		s.ok("put", "stock", "x", value, "--data", device, "--offline")
		s.ok("put", "texts", "x", `"`+device+`"`, "--data", device, "--offline")
	}
	on("a", "sync")
	on("b", "sync")
	on("a", "sync")
	for _, device := range []string{"a", "b"} {
		var got struct {
			N    int
			Tags []string
		}
		if err := json.Unmarshal([]byte(on(device, "get", "stock", "x")), &got); err != nil || got.N != 111 || strings.Join(got.Tags, "") != "qr" {
			t.Errorf("%s: %+v, %v", device, got, err)
		}
	}
	equal(t, on("a", "conflicts"), on("b", "conflicts"))
	on("a", "resolve", "texts", "x", `"a and b"`)
	equal(t, on("b", "get", "texts", "x"), "\"a and b\"\n")
	equal(t, on("b", "conflicts", "texts"), "none\n")
}
