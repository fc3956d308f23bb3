//go:build !js

package house

import (
	"fmt"
	"strings"
	"testing"
)

// heavy lists what makes an engine larger by more than it is worth there, with what does instead. Who puts it in by another package
// sees the size that the build prints.
var heavy = map[string]string{
	"fmt":           "vsync/core/fmt",
	"os":            "package syscall",
	"encoding/hex":  "core/change writes ids",
	"runtime/debug": "package runtime",
	"log":           "what is wrong is returned, or told in the status",
	"encoding/json": "core/change reads and writes JSON",
	"text/template": "vsync/core/fmt",
	"html/template": "vsync/core/fmt",
	"regexp":        "package strings",
	"math/big":      "package strconv",
	"net/http":      "wasm/socket",
	"crypto/sha256": "core/digest",
	"crypto/hmac":   "core/digest",
	"crypto/rand":   "wasm/random_js.go",
}

// light lists what stands below core and wasm and is in no engine.
var light = []string{"core/scenario", "core/internal", "core/vectors", "core/store/storetest", "core/wire/conntest", "wasm/pack"}

func inEngine(s source) bool {
	if !s.isGo() || s.isTest() || strings.HasPrefix(s.text, "//go:build !js") {
		return false
	}
	for _, dir := range light {
		if strings.HasPrefix(s.path, dir+"/") {
			return false
		}
	}
	return strings.HasPrefix(s.path, "core/") || strings.HasPrefix(s.path, "wasm/")
}

func badWeight(s source) (findings []string) {
	if !inEngine(s) {
		return nil
	}
	for target := range s.imports() {
		if instead, is := heavy[target]; is {
			findings = append(findings, fmt.Sprintf("the engine is to do without %q: %s", target, instead))
		}
	}
	return findings
}

func TestEngineIsLight(t *testing.T) {
	wants(t, badWeight, "core/dag/x.go", `package dag; import ("fmt"; "net/http")`, 2)
	wants(t, badWeight, "wasm/engine/x.go", `package engine; import "encoding/json"`, 1)
	wants(t, badWeight, "wasm/engine/x.go", "//go:build !js\n\npackage engine\n\nimport \"encoding/json\"", 0)
	wants(t, badWeight, "core/dag/x.go", `package dag; import "vsync/core/fmt"`, 0)
	wants(t, badWeight, "core/dag/x_test.go", `package dag; import "fmt"`, 0)
	wants(t, badWeight, "core/scenario/x.go", `package scenario; import "fmt"`, 0)
	wants(t, badWeight, "edge/x.go", `package edge; import "fmt"`, 0)
	hold(t, badWeight)
}
