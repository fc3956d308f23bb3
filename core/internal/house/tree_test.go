//go:build !js

package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const module = "vsync"

// A source is one text file of the tree; Go files are parsed.
type source struct {
	path string // from the root of the tree, with slashes
	text string
	ast  *ast.File // nil where it is not Go
	fset *token.FileSet
}

func (s source) dir() string         { return path.Dir(s.path) }
func (s source) isGo() bool          { return s.ast != nil }
func (s source) isTest() bool        { return strings.HasSuffix(s.path, "_test.go") }
func (s source) isCore() bool        { return s.path == "core" || strings.HasPrefix(s.path, "core/") }
func (s source) line(n ast.Node) int { return s.fset.Position(n.Pos()).Line }

// imports returns the import paths of a Go file with the name each goes by in it.
func (s source) imports() map[string]string {
	named := map[string]string{}
	for _, spec := range s.ast.Imports {
		target := strings.Trim(spec.Path.Value, `"`)
		name := path.Base(strings.TrimSuffix(target, "/v2"))
		if spec.Name != nil {
			name = spec.Name.Name
		}
		named[target] = name
	}
	return named
}

func parse(name, text string) (source, error) {
	s := source{path: name, text: text}
	if path.Ext(name) != ".go" {
		return s, nil
	}
	s.fset = token.NewFileSet()
	var err error
	s.ast, err = parser.ParseFile(s.fset, name, text, parser.ParseComments)
	return s, err
}

const root = "../../.."

// written says whether a file is written by hand here, by its extension.
func written(name string) bool {
	switch path.Ext(name) {
	case ".go", ".ts", ".mjs", ".js", ".sh", ".css", ".html", ".md", ".toml", ".sql":
		return true
	}
	return false
}

// passedOver says which directories hold nothing that was written here.
func passedOver(dir string) bool {
	base := path.Base(dir)
	return dir == "build" || dir == "web/dist" || base == "node_modules" || base == "testdata" ||
		(strings.HasPrefix(base, ".") && dir != "." && dir != ".ci")
}

var readTree = sync.OnceValues(func() ([]source, error) {
	var tree []source
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		if entry.IsDir() {
			if passedOver(relative) {
				return filepath.SkipDir
			}
			return nil
		}
		if !written(relative) {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		s, err := parse(relative, string(text))
		tree = append(tree, s)
		return err
	})
	return tree, err
})

// tree returns all sources. It fails the test where the root is not this module's, so that no rule ever
// passes because it looked at nothing.
func tree(t *testing.T) []source {
	t.Helper()
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil || !strings.HasPrefix(string(mod), "module "+module+"\n") {
		t.Fatalf("%s is not the root of module %s: %v", root, module, err)
	}
	sources, err := readTree()
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

// hold reports what a rule finds anywhere in the tree.
func hold(t *testing.T, rule func(source) []string) {
	t.Helper()
	for _, s := range tree(t) {
		for _, finding := range rule(s) {
			t.Errorf("%s: %s", s.path, finding)
		}
	}
}

// wants tries a rule on a file made up for it.
func wants(t *testing.T, rule func(source) []string, name, text string, findings int) {
	t.Helper()
	s, err := parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	if got := rule(s); len(got) != findings {
		t.Errorf("%s\n%s\ngave %d findings %q, want %d", name, text, len(got), got, findings)
	}
}
