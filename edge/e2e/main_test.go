package e2e

import (
	"flag"
	"os"
	"testing"
	"time"

	"vsync/edge/e2e/program"
)

var (
	seedFlag = flag.Uint64("seed", 0, "seed of TestThroughCuts; 0: a new one")
	timeFlag = flag.Duration("for", 12*time.Second, "how long TestThroughCuts goes on cutting and killing")
)

// childEnv makes the test binary a device in a process of its own: see beChild.
const childEnv = "VSYNC_E2E_DEVICE"

func TestMain(m *testing.M) {
	if config := os.Getenv(childEnv); config != "" {
		os.Exit(beChild(config))
	}
	os.Exit(program.Main(m))
}
