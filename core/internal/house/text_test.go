//go:build !js

package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The top of the tree: these names, and names that begin with a dot.
var (
	mustStand = []string{"README.md", "build.sh", "core", "edge", "go.mod", "go.sum", "web", "wrangler.toml"}
	mayStand  = []string{"build", "wasm"}
)

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	stands := map[string]bool{}
	for _, entry := range entries {
		name := entry.Name()
		stands[name] = true
		if ignored := strings.HasPrefix(name, ".") || slices.Contains([]string{".test", ".prof", ".out"}, path.Ext(name)); ignored {
			continue
		}
		if !slices.Contains(mustStand, name) && !slices.Contains(mayStand, name) {
			t.Errorf("%s has no place at the top", name)
		}
	}
	for _, name := range mustStand {
		if !stands[name] {
			t.Errorf("%s is missing at the top", name)
		}
	}
}

// Each package has its comment directly above a package clause, where go doc shows it.
func TestPackagesAreDocumented(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range tree(t) {
		if !s.isGo() || s.isTest() {
			continue
		}
		documented[s.dir()] = documented[s.dir()] || introduces(s.ast)
	}
	if len(documented) == 0 {
		t.Fatal("no package was found")
	}
	for dir, is := range documented {
		if !is {
			t.Errorf("%s: no file has a comment above its package clause that begins with \"Package name\" (\"Command name\" or a name for a program)", dir)
		}
	}
}

// introduces says whether a file's comment introduces its package by name.
func introduces(file *ast.File) bool {
	text := file.Doc.Text()
	if file.Name.Name == "main" {
		return len(strings.Fields(text)) > 3
	}
	return strings.HasPrefix(text, "Package "+file.Name.Name+" ")
}

func TestIntroduces(t *testing.T) {
	for text, want := range map[string]bool{
		"// Package a does it.\npackage a":                   true,
		"// Package a does it.\n\npackage a":                 false,
		"// Package b does it.\npackage a":                   false,
		"package a\n// Package a does it.":                   false,
		"// Vsync runs the hub and a replica.\npackage main": true,
		"package main": false,
	} {
		s, err := parse("x.go", text)
		if err != nil {
			t.Fatal(err)
		}
		if got := introduces(s.ast); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

const longest = 700 // lines; a file that needs more holds more than one thing

func tooLong(s source) []string {
	if lines := strings.Count(s.text, "\n"); lines > longest {
		return []string{fmt.Sprintf("%d lines, at most %d", lines, longest)}
	}
	return nil
}

func TestFilesAreShort(t *testing.T) {
	wants(t, tooLong, "x.ts", strings.Repeat("a\n", longest), 0)
	wants(t, tooLong, "x.ts", strings.Repeat("a\n", longest+1), 1)
	hold(t, tooLong)
}

// Put together here, or this file would be its own first finding.
var openMark = regexp.MustCompile(`\b(` + strings.Join([]string{"TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK", "not imple" + "mented", "unimple" + "mented"}, "|") + `)\b`)

func leftOpen(s source) (findings []string) {
	for i, line := range strings.Split(s.text, "\n") {
		if mark := openMark.FindString(line); mark != "" {
			findings = append(findings, fmt.Sprintf("line %d: %q: finish it, or say it where it is planned", i+1, mark))
		}
	}
	return findings
}

func TestNothingIsLeftOpen(t *testing.T) {
	wants(t, leftOpen, "x.go", "package x // TO"+"DO: more", 1)
	wants(t, leftOpen, "x.md", "a to-do list, todo/1, XX"+"XX", 0)
	hold(t, leftOpen)
}

// A test that skips proves nothing. (Samples are put together for the same reason as above.)
func skips(s source) (findings []string) {
	if !s.isGo() || !s.isTest() {
		return nil
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		call, is := n.(*ast.CallExpr)
		if !is {
			return true
		}
		selector, is := call.Fun.(*ast.SelectorExpr)
		if is && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, selector.Sel.Name) {
			if owner, is := selector.X.(*ast.Ident); is && slices.Contains([]string{"t", "b", "f", "tb"}, owner.Name) {
				findings = append(findings, fmt.Sprintf("line %d: a test may not skip", s.line(n)))
			}
		}
		return true
	})
	return findings
}

func TestNoTestSkips(t *testing.T) {
	wants(t, skips, "x_test.go", `package x; import "testing"; func TestX(t *testing.T) { t.Sk`+`ip("no") }`, 1)
	wants(t, skips, "x_test.go", `package x; func f(r reader) { r.Sk`+`ip(3) }`, 0)
	hold(t, skips)
}

func unformatted(s source) []string {
	if !s.isGo() {
		return nil
	}
	formatted, err := format.Source([]byte(s.text))
	if err != nil {
		return []string{err.Error()}
	}
	if !bytes.Equal(formatted, []byte(s.text)) {
		return []string{"gofmt would change it"}
	}
	return nil
}

func TestFormat(t *testing.T) {
	wants(t, unformatted, "x.go", "package  x\n", 1)
	wants(t, unformatted, "x.go", "package x\n", 0)
	hold(t, unformatted)
}
