//go:build workerd

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"vsync/edge/e2e/judge"
	"vsync/edge/e2e/program"
)

// TestWorkerCheckpointsOverLives: an object that writes little in each of its lives has its checkpoint all the same, once there is enough of it
// together. A process that is killed leaves an object what a sleep leaves it.
func TestWorkerCheckpointsOverLives(t *testing.T) {
	t.Parallel()
	h := program.New(t, t.TempDir())
	written := checkpointsOf(h)
	h.Start()
	a := follower(t, h.Addr(), database, 1)
	for life := range 3 { // 90,000 bytes, of which no life writes the 65,536 that are worth a checkpoint
		if life > 0 {
			h.Restart()
		}
		putNote(t, a, fmt.Sprint(life), strings.Repeat("x", 30_000))
	}
	select {
	case line := <-written:
		t.Log(line)
	case <-time.After(program.Patience):
		t.Fatal("no checkpoint was written")
	}
	h.Stop(t)
	judge.Hub(t, h, database, nil)
}
