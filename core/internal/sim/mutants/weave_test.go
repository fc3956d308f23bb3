//go:build mutants

package mutants

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Most of a mutant's time was the compiler's. So mutants are woven into one program, which is told by its environment which of
// them it is: a function with defects stands in it once as it is and once more for each of them, and asks at its start.
//
//	func (r *Replica) apply(b *Batch) error {
//		switch woven {
//		case 17:
//			return r.applyMutant17(b)      the same text with the patch of the 17th mutant
//		}
//		...
//
// A defect that is not inside one function, or changes what it takes and returns, is compiled alone.

// wovenVar tells a woven program by its environment which mutant it is: its number, from 1; none without it.
const wovenVar = "VSYNC_MUTANT"

var errAlone = errors.New("this one is compiled alone")

// weave returns what the files of a tree are with all mutants in them, by their names from the top, and which mutants these are
// not. Numbers are places in ms, plus 1.
func weave(ms []Mutant) (files map[string]string, alone map[int]bool, err error) {
	alone = map[int]bool{}
	ofFile := map[string][]int{}
	for i, m := range ms {
		if m.File != "" {
			ofFile[m.File] = append(ofFile[m.File], i)
		}
	}
	files = map[string]string{}
	for name, list := range ofFile {
		text, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			return nil, nil, err
		}
		w, err := newWeaver(name, string(text))
		if err != nil {
			return nil, nil, err
		}
		for _, i := range list {
			switch err := w.add(i+1, &ms[i]); {
			case errors.Is(err, errAlone):
				alone[i] = true
			case err != nil:
				return nil, nil, fmt.Errorf("%s: %w", ms[i].Name, err)
			}
		}
		files[name] = w.text()
		files[filepath.Join(filepath.Dir(name), "woven_mutants.go")] = fmt.Sprintf(`package %s

import (
	"os"
	"strconv"
)

var woven, _ = strconv.Atoi(os.Getenv(%q))
`, w.file.Name.Name, wovenVar)
	}
	return files, alone, nil
}

// weaver weaves one file.
type weaver struct {
	src    string
	file   *ast.File
	asks   map[int]*bytes.Buffer // what stands at the start of bodies, by where they start in src
	copies bytes.Buffer
}

func newWeaver(name, src string) (*weaver, error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, src, 0)
	if err != nil {
		return nil, err
	}
	return &weaver{src: src, file: file, asks: map[int]*bytes.Buffer{}}, nil
}

// at is where something stands in src: the only file of its set begins at 1.
func at(p token.Pos) int { return int(p) - 1 }

func (w *weaver) add(number int, m *Mutant) error {
	if _, err := m.apply(); err != nil {
		return err
	}
	from := strings.Index(w.src, m.Old)
	to := from + len(m.Old)
	for _, d := range w.file.Decls {
		f, is := d.(*ast.FuncDecl)
		if !is || f.Body == nil || from <= at(f.Body.Lbrace) || at(f.Body.Rbrace) < to {
			continue
		}
		name := fmt.Sprintf("%sMutant%d", f.Name.Name, number)
		call, err := calls(f, name)
		if err != nil {
			return err
		}
		fmt.Fprintf(&w.copies, "\n%s%s%s%s%s\n", w.src[at(f.Pos()):at(f.Name.Pos())], name, w.src[at(f.Name.End()):from], m.New, w.src[to:at(f.End())])
		body := at(f.Body.Lbrace) + 1
		if w.asks[body] == nil {
			w.asks[body] = &bytes.Buffer{}
		}
		fmt.Fprintf(w.asks[body], " case %d: %s;", number, call)
		return nil
	}
	return errAlone
}

// calls is the statement that calls the copy of a function with what the function was called with.
func calls(f *ast.FuncDecl, name string) (string, error) {
	var args []string
	for _, p := range f.Type.Params.List {
		if len(p.Names) == 0 {
			return "", errAlone
		}
		for _, n := range p.Names {
			if n.Name == "_" {
				return "", errAlone
			}
			args = append(args, n.Name)
		}
		if _, many := p.Type.(*ast.Ellipsis); many {
			args[len(args)-1] += "..."
		}
	}
	if f.Recv != nil {
		if len(f.Recv.List[0].Names) == 0 {
			return "", errAlone
		}
		name = f.Recv.List[0].Names[0].Name + "." + name
	}
	if f.Type.TypeParams != nil || f.Name.Name == "init" {
		return "", errAlone
	}
	call := fmt.Sprintf("%s(%s)", name, strings.Join(args, ", "))
	if f.Type.Results == nil {
		return call + "; return", nil
	}
	return "return " + call, nil
}

func (w *weaver) text() string {
	var places []int
	for p := range w.asks {
		places = append(places, p)
	}
	sort.Ints(places)
	var b strings.Builder
	done := 0
	for _, p := range places {
		b.WriteString(w.src[done:p])
		fmt.Fprintf(&b, " switch woven {%s }; ", strings.TrimSuffix(w.asks[p].String(), ";"))
		done = p
	}
	b.WriteString(w.src[done:])
	b.WriteString(w.copies.String())
	return b.String()
}
