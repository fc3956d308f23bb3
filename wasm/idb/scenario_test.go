//go:build js

package idb_test

import (
	"context"
	"testing"
	"time"

	"vsync/core/scenario"
	"vsync/core/store"
)

// TestScenarios tells the scripts of core/scenario with devices whose disks are databases of the browser.
func TestScenarios(t *testing.T) {
	list, err := scenario.All()
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, s := range list {
		if !s.In("indexeddb") {
			t.Logf("passed over: %s", s.Name)
			continue
		}
		told++
		t.Run(s.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			town, err := scenario.NewTown(ctx, func(ctx context.Context, device string) (store.Store, error) {
				return place{t.Name() + "/" + device}.Open(ctx)
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := scenario.Run(ctx, s, town); err != nil {
				t.Error(err)
			}
			if err := town.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if told < len(list)*3/4 {
		t.Errorf("%d of %d scripts were told", told, len(list))
	}
}
