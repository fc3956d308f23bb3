package core

import (
	"errors"
	"fmt"
	"testing"
)

// TestCheckpointBesideReaders: a checkpoint takes nothing from a reader who has all that was written. One who has not loses his
// place, and a checkpoint that is only tried lets him finish.
func TestCheckpointBesideReaders(t *testing.T) {
	w := newWorld(t)
	n := w.local()
	const objects = 3000
	for i := range objects {
		n.put(fmt.Sprintf("%05d", i), i)
	}
	if err := n.Checkpoint(w.ctx); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < objects; i += 7 {
		n.put(fmt.Sprintf("%05d", i), i)
	}
	// read reads all, calls between when it has begun, and returns how far it came.
	read := func(between func()) (came int, err error) {
		for _, err := range n.Scan(w.ctx, ScanRange{Collection: key("").Collection}) {
			if err != nil {
				return came, err
			}
			if came++; came == 10 {
				between()
			}
		}
		return came, nil
	}
	try := func(want bool) {
		t.Helper()
		if done, err := n.TryCheckpoint(w.ctx); done != want || err != nil {
			t.Errorf("a checkpoint was tried: done is %v, want %v; %v", done, want, err)
		}
	}
	if came, err := read(func() { try(true) }); came != objects || err != nil {
		t.Errorf("a reader of the present state came to %d of %d: %v", came, objects, err)
	}
	if came, err := read(func() { n.put("00001", "new"); try(false) }); came != objects || err != nil {
		t.Errorf("a reader of an older state came to %d of %d: %v", came, objects, err)
	}
	try(true)
	_, err := read(func() {
		n.put("00001", "newer")
		if err := n.Checkpoint(w.ctx); err != nil {
			t.Error(err)
		}
	})
	if !errors.Is(err, &Error{Code: Aborted}) {
		t.Errorf("a reader of an older state, beside a checkpoint that does not wait: %v", err)
	}
	n.check()
}
