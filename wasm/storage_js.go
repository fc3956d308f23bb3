package main

import (
	"context"
	"errors"
	"sync"

	"vsync/core"
	"vsync/core/store"
	"vsync/wasm/idb"
)

// storage is IndexedDB, or memory where a browser has none to give: in some private windows, and where storage is blocked.
type storage struct {
	mu     sync.Mutex
	memory map[string]*store.Memory
}

// memory outlives its closing, but not the worker.
type memory struct{ *store.Memory }

func (memory) Close() error { return nil }

func (s *storage) Open(ctx context.Context, name string, lost func(error)) (store.Store, string, error) {
	st, err := idb.Open(ctx, name, func(why error) { lost(explained(why)) })
	switch {
	case err == nil:
		return st, "indexeddb", nil
	case errors.Is(err, idb.ErrUnavailable):
		return s.remembered(name), "memory", nil
	}
	return nil, "", explained(err)
}

// explained says what a newer program's database means.
func explained(err error) error {
	if !errors.Is(err, idb.ErrVersion) {
		return err
	}
	return &core.Error{Code: core.VersionUnknown, Err: err,
		Message: "the database on this device was written by a newer version of this application: reload the page to get that one"}
}

func (s *storage) remembered(name string) store.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.memory == nil {
		s.memory = map[string]*store.Memory{}
	}
	if s.memory[name] == nil {
		s.memory[name] = store.NewMemory()
	}
	return memory{s.memory[name]}
}

func (s *storage) Delete(ctx context.Context, name string) error {
	s.mu.Lock()
	delete(s.memory, name)
	s.mu.Unlock()
	if err := idb.Delete(ctx, name); !errors.Is(err, idb.ErrUnavailable) {
		return err
	}
	return nil
}
