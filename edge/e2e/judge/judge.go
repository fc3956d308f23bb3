// Package judge looks into what a test leaves behind: into the files of a hub that was stopped.
package judge

import (
	"maps"
	"testing"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/edge/e2e/program"
	"vsync/edge/host"
	"vsync/edge/host/sqlite"
)

// OpenHub opens a database in the files of a hub that does not run.
func OpenHub(t *testing.T, hub *program.Hub, name string) *core.Replica {
	t.Helper()
	st, err := sqlite.Open(program.Soon(t), hub.File(name), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	replica, err := core.Open(program.Soon(t), st, core.Config{Role: core.RoleHub, Database: name, Now: host.Now, Rand: host.Random, HubKey: hub.Key()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { replica.Close() })
	return replica
}

// Hub looks into the hub's own files: they fit together, and have these tokens, each so many times.
func Hub(t *testing.T, hub *program.Hub, name string, tokens map[string]int) {
	t.Helper()
	replica := OpenHub(t, hub, name)
	Checked(t, "the hub", replica)
	if stored := FeedTokens(t, replica); tokens != nil && !maps.Equal(stored, tokens) {
		t.Errorf("the hub holds %d tokens, and %d came", len(stored), len(tokens))
	}
}

// FeedTokens counts the notes in a hub's feed: those that batches carry, each naming one write.
func FeedTokens(t *testing.T, replica *core.Replica) map[string]int {
	t.Helper()
	tokens := map[string]int{}
	for seq := uint64(0); seq < replica.Head().Seq; {
		entries, err := replica.ReadFeed(program.Soon(t), seq, 1<<20)
		if err != nil || len(entries) == 0 {
			t.Fatalf("reading the feed behind %d: %d entries, %v", seq, len(entries), err)
		}
		for _, e := range entries {
			seq = e.Seq
			entry, err := change.DecodeEntry(e.Entry)
			if err != nil {
				t.Fatal(err)
			}
			batch, err := entry.Batch()
			if err != nil {
				t.Fatal(err)
			}
			tokens[batch.Note]++
		}
	}
	return tokens
}

// Checked fails the test if a replica's stored structures contradict each other.
func Checked(t *testing.T, name string, r *core.Replica) {
	t.Helper()
	from := time.Now()
	report, err := r.Check(program.Soon(t))
	if err != nil || !report.OK {
		t.Errorf("check of %s: %v %q", name, err, report.Findings)
	}
	t.Logf("check of %s: %d objects, %d batches, %v", name, report.Objects, report.Batches, time.Since(from))
}
