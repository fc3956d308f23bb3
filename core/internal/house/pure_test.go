//go:build !js

package house

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// outside lists the packages that reach out of the machine. What is below them is meant too.
var outside = []string{"syscall", "syscall/js", "net", "os", "io/ioutil", "crypto/rand", "log", "plugin", "runtime/debug"}

// asking lists, per package, what of it asks the clock, waits, prints or draws from the process's own
// random numbers. Time and randomness come in as arguments, or no simulation could replay them.
var asking = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
	"fmt":  {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
	"math/rand": {"Int", "Intn", "Int31", "Int31n", "Int63", "Int63n", "Uint32", "Uint64", "Float32", "Float64", "Perm",
		"Shuffle", "Read", "Seed", "ExpFloat64", "NormFloat64"},
	"math/rand/v2": {"Int", "IntN", "Int32", "Int32N", "Int64", "Int64N", "Uint", "UintN", "Uint32", "Uint32N", "Uint64",
		"Uint64N", "N", "Float32", "Float64", "Perm", "Shuffle", "ExpFloat64", "NormFloat64"},
	"context": {"WithTimeout", "WithTimeoutCause", "WithDeadline", "WithDeadlineCause"},
}

func badImports(s source) (findings []string) {
	if !s.isGo() || s.isTest() || !s.isCore() {
		return nil
	}
	for target := range s.imports() {
		for _, room := range outside {
			if target == room || (strings.HasPrefix(target, room+"/") && room != "runtime/debug") {
				findings = append(findings, fmt.Sprintf("core may not import %q", target))
				break
			}
		}
	}
	return findings
}

func badCalls(s source) (findings []string) {
	if !s.isGo() || s.isTest() || !s.isCore() {
		return nil
	}
	forbidden := map[string][]string{} // by the package's name in this file
	for target, name := range s.imports() {
		if name == "." && asking[target] != nil {
			findings = append(findings, fmt.Sprintf("%q is imported with a dot, which hides what is used of it", target))
		}
		forbidden[name] = asking[target]
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		selector, is := n.(*ast.SelectorExpr)
		if !is {
			return true
		}
		// A name that was declared in the file hides the package of that name.
		if pkg, is := selector.X.(*ast.Ident); is && pkg.Obj == nil && slices.Contains(forbidden[pkg.Name], selector.Sel.Name) {
			findings = append(findings, fmt.Sprintf("line %d: core may not use %s.%s", s.line(n), pkg.Name, selector.Sel.Name))
		}
		return true
	})
	return findings
}

func TestCoreImportsNothingOutside(t *testing.T) {
	wants(t, badImports, "core/x.go", `package core; import ("os"; "net/http"; "syscall/js"; "crypto/rand")`, 4)
	wants(t, badImports, "core/x_test.go", `package core; import "os"`, 0)
	wants(t, badImports, "core/x.go", `package core; import ("time"; "crypto/sha256"; "math/rand/v2"; "runtime")`, 0)
	wants(t, badImports, "edge/host/x.go", `package host; import "os"`, 0)
	hold(t, badImports)
}

func TestCoreAsksNoClock(t *testing.T) {
	wants(t, badCalls, "core/x.go", `package core; import "time"; var now = time.Now`, 1)
	wants(t, badCalls, "core/x.go", `package core; import clock "time"; func f() { clock.Sleep(1); <-clock.After(1) }`, 2)
	wants(t, badCalls, "core/x.go", `package core; import "time"; type t time.Duration; const s = time.Second`, 0)
	wants(t, badCalls, "core/x.go", `package core; func f(time struct{ Now int }) int { return time.Now }`, 0)
	wants(t, badCalls, "core/x.go", `package core; import . "time"; var now = Now`, 1)
	wants(t, badCalls, "core/x.go", `package core; import "math/rand/v2"; func f(r *rand.Rand) int { return r.IntN(rand.IntN(3)) }`, 1)
	wants(t, badCalls, "core/x_test.go", `package core; import "time"; var now = time.Now`, 0)
	wants(t, badCalls, "edge/host/x.go", `package host; import "time"; var now = time.Now`, 0)
	hold(t, badCalls)
}
