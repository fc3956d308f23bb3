//go:build !js

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A cut is text of a file of Go's library, and what stands in its place.
type cut struct {
	pkg, file string
	old, new  string
}

// The linker keeps every method String of a type that reaches an interface, as every context's does that tells its deadline, so that all is
// linked by which a time of any zone can be written. And settings of GODEBUG, which nobody makes where an engine runs, are parsed, counted,
// and bisected. Both together are a seventieth of an engine after compression.
var cuts = []cut{
	{
		pkg: "time", file: "format.go",
		old: "func (t Time) String() string {\n",
		new: "func (t Time) String() string { return string(appendInt(nil, int(t.Unix()), 0)) + \" s\" }\n\nfunc (t Time) text() string {\n",
	},
	{
		pkg: "internal/godebug", file: "godebug.go",
		old: "func init() {\n\tsetUpdate(update)\n\tsetNewIncNonDefault(newIncNonDefault)\n}\n",
	},
}

// lean writes the files that are cut, and which is read in place of which. What a later Go has written otherwise stays as it is, and is
// said to: the engine is larger then.
func lean(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	for _, c := range cuts {
		at, err := exec.Command("go", "list", "-f", "{{.Dir}}", c.pkg).Output()
		if err != nil {
			return fmt.Errorf("go list %s: %w", c.pkg, err)
		}
		name := filepath.Join(strings.TrimSpace(string(at)), c.file)
		whole, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if strings.Count(string(whole), c.old) != 1 {
			fmt.Fprintf(os.Stderr, "pack: %s is not as Go 1.26 has it, and stays whole: the engine becomes larger\n", name)
			continue
		}
		copied := filepath.Join(dir, strings.ReplaceAll(c.pkg, "/", "_")+"_"+strings.TrimSuffix(c.file, ".go")) // no .go: it is of no package here
		if err := write(copied, strings.Replace(string(whole), c.old, c.new, 1)); err != nil {
			return err
		}
		overlay.Replace[name] = copied
	}
	text, err := json.MarshalIndent(overlay, "", "  ")
	if err != nil {
		return err
	}
	return write(filepath.Join(dir, "overlay.json"), string(text)+"\n")
}

// write leaves a file that has the text already as it is, so that Go need not build anew.
func write(name, text string) error {
	if there, err := os.ReadFile(name); err == nil && string(there) == text {
		return nil
	}
	return os.WriteFile(name, []byte(text), 0o644)
}
