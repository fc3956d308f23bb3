//go:build !js

package mutants

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// top is the top of the tree, from this package's directory.
const top = "../../../.."

// apply returns the file of a mutant with its defect.
func (m *Mutant) apply() (string, error) {
	text, err := os.ReadFile(filepath.Join(top, m.File))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), m.Old); n != 1 {
		return "", fmt.Errorf("its old text stands in %s %d times, it has to stand there once: write the mutant anew\n%s", m.File, n, m.Old)
	}
	return strings.Replace(string(text), m.Old, m.New, 1), nil
}

// TestMutantsFit: every patch has one place in its file, and says what it is about.
func TestMutantsFit(t *testing.T) {
	names := map[string]bool{}
	for _, m := range All() {
		if m.Name == "" || m.Breaks == "" || m.Rule == "" || m.Old == m.New || names[m.Name] {
			t.Errorf("%q: a mutant has a name of its own, says what it breaks and which rule, and changes something", m.Name)
		}
		names[m.Name] = true
		if _, err := m.apply(); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
	if len(names) < 25 {
		t.Errorf("there are %d mutants", len(names))
	}
}
