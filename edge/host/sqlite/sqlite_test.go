package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"vsync/core/store"
	"vsync/core/store/storetest"
)

var ctx = context.Background()

// place is a path in a fresh directory; the characters in it mean something in
// URLs and in SQLite's file names.
type place struct{ path string }

func newPlace(t testing.TB) place {
	return place{filepath.Join(t.TempDir(), "a b?c#d%41&é.db")}
}

func (p place) Exclusive() bool { return true }

func (p place) Open(ctx context.Context) (store.Store, error) {
	s, err := Open(ctx, p.path, Options{})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Opener { return newPlace(t) })
}
