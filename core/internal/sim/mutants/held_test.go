package mutants

import (
	"slices"
	"strings"
	"testing"
)

// TestEveryDefectComesBack: each defect of the earlier store is one that the simulation is shown to find, or says why it cannot be yet.
func TestEveryDefectComesBack(t *testing.T) {
	names := map[int][]string{}
	for _, m := range All() {
		if m.Defect < 0 || m.Defect > defects {
			t.Errorf("%s: there is no defect %d", m.Name, m.Defect)
		}
		names[m.Defect] = append(names[m.Defect], m.Name)
	}
	for n := 1; n <= defects; n++ {
		why, late := notYet[n]
		switch {
		case late == (len(names[n]) > 0):
			t.Errorf("defect %d has mutants %q, and not yet any because of %q", n, names[n], why)
		case late:
			t.Logf("%2d  not yet: %s", n, why)
		default:
			t.Logf("%2d  %s", n, strings.Join(names[n], "; "))
		}
	}
}

// TestEveryRuleIsBroken: each rule that is said to be held has a mutant that breaks it, and mutants break nothing else.
func TestEveryRuleIsBroken(t *testing.T) {
	broken := map[string]bool{}
	for _, m := range All() {
		for _, rule := range strings.Split(m.Rule, "; ") {
			broken[rule] = true
			if !slices.Contains(held, rule) {
				t.Errorf("%s: %q is no rule of the list", m.Name, rule)
			}
		}
	}
	for _, rule := range held {
		if !broken[rule] {
			t.Errorf("nothing breaks %q", rule)
		}
	}
	for rule, instead := range unheld {
		t.Logf("not simulated: %s: %s", rule, instead)
	}
}
