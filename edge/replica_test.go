package edge

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"vsync/core"
	"vsync/core/store"
)

var _ Replica = (*core.Replica)(nil)

// everyReplica runs a test with the fake and with a hub's replica in memory: both must look the same to
// devices.
func everyReplica(t *testing.T, test func(t *testing.T, r Replica)) {
	t.Run("fake", func(t *testing.T) { test(t, newFake()) })
	t.Run("core", func(t *testing.T) { test(t, openReplica(t)) })
}

func openReplica(t testing.TB) *core.Replica {
	t.Helper()
	var clock atomic.Uint64
	r, err := core.Open(context.Background(), store.NewMemory(), core.Config{
		Role:     core.RoleHub,
		Database: "db",
		Now:      func() uint64 { return clock.Add(1) },
		Rand:     rand.NewChaCha8([32]byte{1}),
		HubKey:   bytes.Repeat([]byte{7}, 32),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}
