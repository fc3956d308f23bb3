//go:build mutants

package mutants

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	only      = flag.String("only", "", "only mutants in whose names this is found, a regular expression; else the engine without any, too")
	budget    = flag.Duration("budget", 10*time.Second, "how long the simulation may take to find one, in time of processors")
	atOnce    = flag.Int("at-once", 2, "how many mutants are compiled and looked for at a time, each on one core")
	seedsOnly = flag.Bool("all-seeds", false, "seeds are lived first for those too that are too rare for them")
)

// seldom has compilers and simulations collect garbage less often, which makes both a quarter faster.
const seldom = "GOGC=400"

// quickly leaves out of compiling what makes it a third longer, and the simulation no faster.
const quickly = "-gcflags=vsync/...=-l -dwarf=false"

// result is a row of the table.
type result struct {
	found bool
	lived string // histories
	took  string // seconds of a processor
	by    string // a seed, or a stored history
	what  string // the promise that was broken
	wrong string // what kept it from being looked for
}

// TestMutants compiles the simulation with all mutants woven in, and lets it look once as each of them, and once as none.
func TestMutants(t *testing.T) {
	clean := Mutant{Name: "none", Breaks: "nothing", Rule: "–"}
	merging := clean
	merging.Name, merging.Ruled = "none, with rules", true
	todo := []Mutant{clean, merging}
	if *only != "" {
		todo = nil
	}
	for _, m := range All() {
		if regexp.MustCompile(*only).MatchString(m.Name) {
			todo = append(todo, m)
		}
	}
	files, alone, err := weave(todo)
	if err != nil {
		t.Fatal(err)
	}
	woven, err := compile(t.TempDir(), files)
	if err != nil {
		t.Fatalf("with all mutants in it: %v", err)
	}
	fmt.Printf("%d mutants, of which %d are compiled alone\n", len(todo), len(alone))
	results := make([]result, len(todo))
	next := make(chan int)
	var all sync.WaitGroup
	for range *atOnce {
		all.Go(func() {
			for i := range next {
				results[i] = todo[i].look(t.TempDir(), woven, i+1, alone[i])
				fmt.Printf("%3d/%d  %s: %v\n", i+1, len(todo), todo[i].Name, results[i])
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
			t.Errorf("without a mutant something fails: %v", r)
		case !r.found && todo[i].File != "":
			t.Errorf("%s is not found in %v", todo[i].Name, *budget)
		}
	}
}

// look lets the simulation look for a mutant, in a program that has it under a number, or in one of its own.
func (m *Mutant) look(dir, program string, number int, alone bool) (r result) {
	if alone {
		var err error
		if program, err = m.compile(dir); err != nil {
			return result{wrong: err.Error()}
		}
	}
	args := []string{"-test.run=^TestBudget$", "-test.count=1", "-for", budget.String(), fmt.Sprintf("-ruled=%v", m.Ruled)}
	if m.Rare != "" && !*seedsOnly {
		args = append(args, "-rare")
	}
	cmd := exec.Command(program, args...) // it ends by itself, however long processors are busy with something else
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", seldom, fmt.Sprintf("%s=%d", wovenVar, number))
	out, err := cmd.CombinedOutput()
	r, said := parse(string(out))
	if !said {
		r.wrong = fmt.Sprintf("the simulation does not say what it found: %v\n%s", err, tail(out))
	}
	return r
}

// parse reads what TestBudget says.
func parse(out string) (r result, said bool) {
	for line := range strings.Lines(out) {
		before, what, is := strings.Cut(strings.TrimSpace(line), "found: ")
		if !is {
			continue
		}
		r.found = !strings.HasSuffix(before, "nothing ")
		cost, what, _ := strings.Cut(what, ": ")
		words := strings.SplitN(cost+", ", ", ", 4)
		r.lived, r.took, r.by, r.what = strings.TrimSuffix(words[0], " histories"), strings.TrimSuffix(words[1], " s"), words[2], what
		return r, true
	}
	return r, false
}

func (r result) String() string {
	if r.wrong != "" {
		return r.wrong
	}
	return fmt.Sprintf("%s histories, %s s, %s: %s", r.lived, r.took, cmp.Or(r.by, "nothing"), r.what)
}

// compile makes the program with one mutant.
func (m *Mutant) compile(dir string) (program string, err error) {
	text, err := m.apply()
	if err != nil {
		return "", err
	}
	return compile(dir, map[string]string{m.File: text})
}

// compile makes the simulation with files, named from the top, in place of the tree's, or beside them.
func compile(dir string, files map[string]string) (program string, err error) {
	replace := map[string]string{}
	for name, text := range files {
		at, err := filepath.Abs(filepath.Join(top, name))
		if err != nil {
			return "", err
		}
		replace[at] = filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(replace[at], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		return "", err
	}
	program = filepath.Join(dir, "sim.test")
	cmd := exec.Command("go", "test", "-c", "-ldflags=-w", quickly, "-o", program, "-overlay", overlay, "vsync/core/internal/sim")
	cmd.Env = append(os.Environ(), seldom)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("it does not compile: %w\n%s", err, tail(out))
	}
	return program, nil
}

// table is the results as Markdown, as README.md has them.
func table(ms []Mutant, rs []result) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n| defect | what goes wrong with it | histories | s | by | found by |\n|---|---|--:|--:|---|---|\n")
	for i, r := range rs {
		by, rest, _ := strings.Cut(cmp.Or(r.by, "–"), " ") // which seed it was says nothing
		if by != "seed" {
			by += " " + strings.ReplaceAll(rest, "_", " ")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", ms[i].Name, ms[i].Breaks, r.lived, r.took, by, witness(r.what))
	}
	return b.String()
}

// witness says in a few words what noticed a defect.
func witness(what string) string {
	if promised := regexp.MustCompile(`promise \d`).FindString(what); promised != "" {
		return promised
	}
	for _, w := range [][2]string{
		{"panic", "a panic"},
		{"the check finds", "the check of what is stored"},
		{"does not open", "a store that is not damaged does not open"},
		{"though nothing is wrong with its store", "a store that is not damaged reads as CORRUPT"},
		{" reads as ", "reading what was written"},
		{" leaves ", "reading what was written"},
		{"depends on what never was", "a condition that does not hold"},
		{"an update went through", "a condition that does not hold"},
		{"is a problem even so", "the list of problems"},
	} {
		if strings.Contains(what, w[0]) {
			return w[1]
		}
	}
	return "the model of the feed"
}

func tail(out []byte) []byte { return out[max(0, len(out)-2000):] }
