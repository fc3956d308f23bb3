//go:build mutants

package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	only   = flag.String("only", "", "only mutants that have this in their names")
	budget = flag.Duration("budget", 10*time.Second, "how long the simulation may take to find one, in time of processors")
)

// atOnce is how many mutants are compiled and looked for at a time; each is looked for on one core.
const atOnce = 2

// grace is what a simulation gets beyond its budget, as processors may be busy with something else.
const grace = time.Minute

// result is a row of the table.
type result struct {
	found bool
	what  string // histories and seconds, then the promise that was broken
	wrong string // what kept it from being looked for
}

// TestMutants compiles the simulation once for each mutant, and once without any, and lets it look.
func TestMutants(t *testing.T) {
	clean := Mutant{Name: "none", Breaks: "nothing", Rule: "–"}
	merging := clean
	merging.Name, merging.Ruled = "none, with rules", true
	todo := []Mutant{clean, merging}
	for _, m := range All() {
		if strings.Contains(m.Name, *only) {
			todo = append(todo, m)
		}
	}
	results := make([]result, len(todo))
	next := make(chan int)
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for i := range next {
				results[i] = todo[i].look(t.TempDir())
				fmt.Printf("%3d/%d  %s: %s%s\n", i, len(todo)-1, todo[i].Name, results[i].what, results[i].wrong)
			}
		})
	}
	for i := range todo {
		next <- i
	}
	close(next)
	all.Wait()
	fmt.Print(table(todo, results))
	for i, r := range results {
		switch {
		case r.wrong != "":
			t.Errorf("%s: %s", todo[i].Name, r.wrong)
		case r.found && todo[i].File == "":
			t.Errorf("without a mutant something fails: %s", r.what)
		case !r.found && todo[i].File != "":
			t.Errorf("%s is not found in %v", todo[i].Name, *budget)
		}
	}
}

// look compiles a mutant and lets the simulation look for it.
func (m *Mutant) look(dir string) result {
	binary, err := m.compile(dir)
	if err != nil {
		return result{wrong: err.Error()}
	}
	ctx, cancel := context.WithTimeout(context.Background(), *budget+grace)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run=^TestBudget$", "-test.count=1", "-for", budget.String(), fmt.Sprintf("-ruled=%v", m.Ruled))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if before, what, is := strings.Cut(line, "found: "); is {
			return result{found: !strings.HasSuffix(before, "nothing "), what: strings.TrimSpace(what)}
		}
	}
	return result{wrong: fmt.Sprintf("the simulation does not say what it found: %v\n%s", err, tail(out))}
}

func (m *Mutant) compile(dir string) (binary string, err error) {
	binary = filepath.Join(dir, "sim.test")
	args := []string{"test", "-c", "-ldflags=-w", "-o", binary}
	if m.File != "" {
		overlay, err := m.overlay(dir)
		if err != nil {
			return "", err
		}
		args = append(args, "-overlay", overlay)
	}
	out, err := exec.Command("go", append(args, "vsync/core/internal/sim")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("it does not compile: %w\n%s", err, tail(out))
	}
	return binary, nil
}

// overlay writes the file with the defect, and what tells the compiler to take it.
func (m *Mutant) overlay(dir string) (name string, err error) {
	file, err := filepath.Abs(filepath.Join(top, m.File))
	if err != nil {
		return "", err
	}
	text, err := m.apply()
	if err != nil {
		return "", err
	}
	changed := filepath.Join(dir, "changed.go")
	if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {file: changed}})
	if err != nil {
		return "", err
	}
	name = filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, list, 0o600)
}

// table is the results as Markdown.
func table(ms []Mutant, rs []result) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n| mutant | rule | found after | by |\n|---|---|---|---|\n")
	for i, r := range rs {
		after, by, _ := strings.Cut(r.what, ": ")
		if !r.found {
			after, by = "–", r.what
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", ms[i].Name, ms[i].Rule, after, strings.ReplaceAll(by, "|", "\\|"))
	}
	return b.String()
}

func tail(out []byte) []byte { return out[max(0, len(out)-2000):] }
