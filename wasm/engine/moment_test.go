package engine

import (
	"context"
	"strings"
	"sync"
	"testing"

	"vsync/core/change"
	"vsync/core/store"
	"vsync/wasm/port"
)

// slow has the nth read of pages wait, once it is armed.
type slow struct {
	store.Store
	mu            sync.Mutex
	nth           int           // 0: none
	waits, goesOn chan struct{} // waits is closed then, goesOn by the test
}

func (s *slow) arm(nth int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nth, s.waits, s.goesOn = nth, make(chan struct{}), make(chan struct{})
}

func (s *slow) read(key []byte) {
	s.mu.Lock()
	if s.nth == 0 || len(key) == 0 || key[0] != 'P' && key[0] != 'O' {
		s.mu.Unlock()
		return
	}
	s.nth--
	last, waits, goesOn := s.nth == 0, s.waits, s.goesOn
	s.mu.Unlock()
	if last {
		close(waits)
		<-goesOn
	}
}

func (s *slow) Get(ctx context.Context, key []byte) ([]byte, bool, error) {
	s.read(key)
	return s.Store.Get(ctx, key)
}

func (s *slow) Scan(ctx context.Context, r store.Range) ([]store.Row, error) {
	s.read(r.From)
	return s.Store.Scan(ctx, r)
}

// Wherever reading many values has to wait for the store, and a batch is written to all of them meanwhile, they are of one moment.
func TestManyValuesAreOfOneMoment(t *testing.T) {
	e, at := newEngine(t, nil)
	a := e.tab(t)
	a.hello("notes")
	ids := []string{"a", "b", "c", "d"}
	write := func(a *tab, letter string) uint64 {
		value, err := change.Encode(strings.Repeat(letter, port.MaxItems/len(ids)-100)) // one answer has all
		if err != nil {
			t.Fatal(err)
		}
		var ops []any
		for _, id := range ids {
			ops = append(ops, []any{0, id, value, nil})
		}
		return a.write(ops...)
	}
	a.answer(write(a, "x"))
	a.answer(a.say(port.Close))
	a.p.Gone()
	stored := at.open["notes"].Store.(*store.Memory)

	waited := 0
	for n := 1; ; n++ {
		e, at := newEngine(t, nil)
		s := &slow{Store: stored.Clone()}
		at.open = map[string]*place{"notes": {Store: s}}
		reader, writer := e.tab(t), e.tab(t)
		reader.hello("notes")
		writer.hello("notes")
		s.arm(n)
		many := reader.say(port.GetMany, "docs", ids)
		answered := make(chan []any, 1)
		go func() { answered <- reader.answer(many)[0].([]any) }()
		var values []any
		select {
		case values = <-answered:
		case <-s.waits:
			waited++
			writer.answer(write(writer, "y"))
			close(s.goesOn)
			values = <-answered
		}
		if len(values) != len(ids) {
			t.Fatalf("%d values", len(values))
		}
		for i, v := range values {
			if v != values[0] {
				t.Errorf("read %d waits: %s is of another moment than %s", n, ids[i], ids[0])
			}
		}
		select {
		case <-s.waits:
		default:
			if waited < 2 {
				t.Fatalf("reading has waited %d times: it has to in the middle of it", waited)
			}
			return
		}
	}
}
