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
// and bisected. Both together are a seventieth of an engine after compression. Of what the scheduler and the collector do they can write a
// trace, which nothing here begins: a fortieth. What GODEBUG has them print, and look for, goes as well, a hundred and fortieth, but for what a
// collection of garbage has found, by which a soak weighs engines.
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
	{
		pkg: "runtime", file: "traceruntime.go",
		old: "func traceEnabled() bool {\n\treturn trace.enabled\n",
		new: "func traceEnabled() bool {\n\treturn false\n",
	},
	{
		pkg: "runtime", file: "traceruntime.go",
		old: "func traceAllocFreeEnabled() bool {\n\treturn trace.enabledWithAllocFree\n",
		new: "func traceAllocFreeEnabled() bool {\n\treturn false\n",
	},
	{
		pkg: "runtime", file: "traceruntime.go",
		old: "func (tl traceLocker) ok() bool {\n\treturn tl.gen != 0\n",
		new: "func (tl traceLocker) ok() bool {\n\treturn false\n",
	},
	{
		pkg: "runtime", file: "proc.go",
		old: "func schedtrace(detailed bool) {\n",
		new: "func schedtrace(bool) {}\n\nfunc printSchedule(detailed bool) {\n",
	},
	{
		pkg: "runtime", file: "mcheckmark.go",
		old: "func checkFinalizersAndCleanups() {\n",
		new: "func checkFinalizersAndCleanups() {}\n\nfunc reportFinalizersAndCleanups() {\n",
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
	texts := map[string]string{} // by the file's name, without what was cut before
	for _, c := range cuts {
		at, err := exec.Command("go", "list", "-f", "{{.Dir}}", c.pkg).Output()
		if err != nil {
			return fmt.Errorf("go list %s: %w", c.pkg, err)
		}
		name := filepath.Join(strings.TrimSpace(string(at)), c.file)
		text, before := texts[name]
		if !before {
			whole, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			text = string(whole)
		}
		if strings.Count(text, c.old) != 1 {
			fmt.Fprintf(os.Stderr, "pack: %s is not as Go 1.26 has it, and stays whole: the engine becomes larger\n", name)
			continue
		}
		texts[name] = strings.Replace(text, c.old, c.new, 1)
		overlay.Replace[name] = filepath.Join(dir, strings.ReplaceAll(c.pkg, "/", "_")+"_"+strings.TrimSuffix(c.file, ".go")) // no .go: it is of no package here
	}
	for name, text := range texts {
		if err := write(overlay.Replace[name], text); err != nil {
			return err
		}
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
