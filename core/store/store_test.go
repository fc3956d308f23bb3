package store_test

import (
	"context"
	"testing"

	"vsync/core/store"
	"vsync/core/store/storetest"
)

// memoryPlace opens what the last store in it had committed, as a process
// finds it that starts again.
type memoryPlace struct{ last *store.Memory }

func (p *memoryPlace) Exclusive() bool { return false }

func (p *memoryPlace) Open(context.Context) (store.Store, error) {
	if p.last == nil {
		p.last = store.NewMemory()
	} else {
		p.last = p.last.Clone()
	}
	return p.last, nil
}

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Opener { return &memoryPlace{} })
}

// rewindingPlace also keeps what a power cut could undo.
type rewindingPlace struct{ memoryPlace }

func (p *rewindingPlace) Open(ctx context.Context) (store.Store, error) {
	s, err := p.memoryPlace.Open(ctx)
	p.last.History = 8
	return s, err
}

func TestMemoryWithHistory(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Opener { return &rewindingPlace{} })
}

type faultyPlace struct{ memoryPlace }

func (p *faultyPlace) Open(ctx context.Context) (store.Store, error) {
	s, err := p.memoryPlace.Open(ctx)
	return store.NewFaulty(s), err
}

func TestFaultyWithoutPlan(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Opener { return &faultyPlace{} })
}
