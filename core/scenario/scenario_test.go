package scenario

import (
	"context"
	"testing"
	"time"
)

const patience = 30 * time.Second // that anything may take; nothing waits for it to pass

func TestInMemory(t *testing.T) {
	list, err := All()
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, s := range list {
		if !s.In("memory") {
			t.Logf("passed over: %s, which is for %v", s.Name, s.only)
			continue
		}
		told++
		t.Run(s.Name, func(t *testing.T) { tell(t, s) })
	}
	if told < len(list)*3/4 {
		t.Errorf("%d of %d scripts were told", told, len(list))
	}
}

func tell(t *testing.T, s *Script) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	town, err := NewTown(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := Run(ctx, s, town); err != nil {
		t.Error(err)
	}
	if err := town.Close(); err != nil {
		t.Error(err)
	}
}
