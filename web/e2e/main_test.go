package e2e

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"vsync/edge/e2e/program"
	"vsync/web/browser"
)

var (
	seedFlag = flag.Uint64("seed", 0, "seed of TestThroughCuts; 0: a new one")
	timeFlag = flag.Duration("for", 20*time.Second, "how long TestThroughCuts goes on cutting and killing")
)

// The two browsers. Starting one takes seconds on a busy machine, so all tests share them: their origins keep them apart.
var anna, bert = &device{name: "anna"}, &device{name: "bert"}

// kind is what they are: VSYNC_BROWSER names it.
var kind browser.Kind

// soon is a context for what has to happen.
var soon = program.Soon

func TestMain(m *testing.M) {
	var err error
	if kind, err = browser.Chosen(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := program.Main(m)
	for _, d := range []*device{anna, bert} {
		if err := d.end(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
