//go:build !js

package scenario

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The index names what is there, and every script.
func TestIndex(t *testing.T) {
	text, err := os.ReadFile("INDEX.txt")
	if err != nil {
		t.Fatal(err)
	}
	list, err := All()
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, s := range list {
		named[s.Name] = false
	}
	tests := functions{}
	_, body, _ := strings.Cut(string(text), "\n== ")
	for _, line := range strings.Split(body, "\n") {
		about, witnesses, is := strings.Cut(line, " | ")
		if !is {
			continue
		}
		later, open := strings.Index(witnesses, "("), false
		if later >= 0 {
			witnesses, open = witnesses[:later], strings.HasSuffix(witnesses, ")")
		}
		list := strings.Fields(witnesses)
		if len(list) == 0 && !open {
			t.Errorf("nothing holds %q", about)
		}
		for _, w := range list {
			if _, is := named[w]; is {
				named[w] = true
			} else if dir, name, is := strings.Cut(w, "."); !is || !tests.has(t, dir, name) {
				t.Errorf("%q is held by %s, which is neither a script nor a test", about, w)
			}
		}
	}
	for name, is := range named {
		if !is {
			t.Errorf("the script %s holds nothing that the index names", name)
		}
	}
	if tests.has(t, "core/scenario", "TestOfNothing") || !tests.has(t, "core/scenario", "TestIndex") {
		t.Error("what is looked for is not found, or the other way round")
	}
}

// functions are the tests of directories that were asked for.
type functions map[string]map[string]bool

var declared = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

func (f functions) has(t *testing.T, dir, name string) bool {
	t.Helper()
	if f[dir] == nil {
		f[dir] = map[string]bool{}
		files, err := filepath.Glob(filepath.Join("../..", dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
				f[dir][m[1]] = true
			}
		}
	}
	return f[dir][name]
}
