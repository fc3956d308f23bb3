//go:build !js

package house

import (
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// TestNothingIsForTestsAlone: what core's packages export, something that is shipped uses. A test of what nobody uses shows nothing of
// the product. It goes by names: one that is used anywhere, on whatever, counts as used.
func TestNothingIsForTestsAlone(t *testing.T) {
	unused := forTestsAlone(tree(t))
	for _, name := range unused {
		if forTests[name] == "" {
			t.Errorf("%s is used by tests alone", name)
		}
	}
	for name := range forTests {
		if !slices.Contains(unused, name) {
			t.Errorf("%s is used, or gone: it needs no reason any more", name)
		}
	}
}

// forTests is what may be used by tests alone, each with its reason.
var forTests = map[string]string{
	"core/change.Partial":      "readers with limited rights get partial batches, which no hub sends yet; their bytes are part of the format",
	"core/change.ParseHash":    everyIdentifier,
	"core/change.ParseLineage": everyIdentifier,
	"core/change.ParseMarker":  everyIdentifier,
	"core/scenario.NewTown":    scripts,
	"core/store.Inner":         "a test looks at what is below a store that fails",
}

const (
	everyIdentifier = "every identifier can be read as it is shown"
	scripts         = "scripts are told by tests"
)

// called are methods that Go's library calls, by their names.
var called = []string{"Unwrap", "BlockSize", "Less", "Swap"}

// forTestsAlone are exported functions of core that no file uses but tests.
func forTestsAlone(tree []source) (list []string) {
	used := map[string]bool{}
	for _, name := range called {
		used[name] = true
	}
	var declared []string
	for _, s := range tree {
		if !s.isGo() || s.isTest() {
			continue
		}
		names := map[*ast.Ident]bool{}
		for _, d := range s.ast.Decls {
			if f, is := d.(*ast.FuncDecl); is {
				names[f.Name] = true
				if f.Name.IsExported() && s.isCore() && !strings.HasPrefix(s.path, "core/internal/") {
					declared = append(declared, s.dir()+"."+f.Name.Name)
				}
			}
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if id, is := n.(*ast.Ident); is && !names[id] {
				used[id.Name] = true
			}
			return true
		})
	}
	return slices.DeleteFunc(declared, func(d string) bool { return used[d[strings.LastIndex(d, ".")+1:]] })
}

func TestWhatIsForTestsAloneIsFound(t *testing.T) {
	var tree []source
	for name, text := range map[string]string{
		"core/a/a.go":      "package a\n\nfunc Used() {}\nfunc Alone() {}\nfunc Unwrap() {}\n",
		"core/a/a_test.go": "package a\n\nfunc f() { Alone() }\n",
		"core/b/b.go":      "package b\n\nimport \"vsync/core/a\"\n\nfunc g() { a.Used() }\n",
	} {
		s, err := parse(name, text)
		if err != nil {
			t.Fatal(err)
		}
		tree = append(tree, s)
	}
	if got := forTestsAlone(tree); !slices.Equal(got, []string{"core/a.Alone"}) {
		t.Errorf("found %v", got)
	}
}
