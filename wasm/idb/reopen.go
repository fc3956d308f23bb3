//go:build js

package idb

import (
	"context"
	"errors"
	"hash/crc32"
	"sync"

	"vsync/core/fmt"
	"vsync/core/store"
)

// Browsers close connections that nobody asked them to close: WebKit those of tabs in the background, all of them when a process of
// theirs dies. idb.ts then opens another one, and the calls that were under way are made again. That is right for reads, and for one
// commit, which writes the same twice; where several are under way, the storage is taken for lost.
//
//	call ─▶ broken ─▶ reopened ─┬─▶ witness is there ─▶ the call again
//	                            └─▶ it is not, or no database ─▶ store.ErrLost, and lost is called
//
// A witness is what the last commit has left: a browser whose process died may have forgotten what it had confirmed, and then nothing
// that this program believes of its storage holds.

// errBroken ends a call whose connection was closed. It does not leave this package.
var errBroken = errors.New("idb: the browser has closed the connection")

// maxBreaks is how many connections one call may see end: whatever breaks more often than that is not coming back.
const maxBreaks = 3

// line is what a Store knows of its connection.
type line struct {
	mu        sync.Mutex // held while the connection is opened again
	turn      int        // counts connections
	confirmed witness    // of the last commit that was confirmed
	underway  []witness
}

// witness is one row as a commit has left it. The zero witness tells nothing.
type witness struct {
	key  string
	size int // of the value; -1: there must be no such row
	sum  uint32
}

// witnessOf takes the last operation of a commit: nothing of the same commit changes that row again.
func witnessOf(tx *store.Tx) (w witness) {
	if len(tx.Ops) == 0 {
		return w
	}
	switch op := &tx.Ops[len(tx.Ops)-1]; op.Kind {
	case store.OpPut:
		return witness{string(op.Key), len(op.Value), crc32.Checksum(op.Value, castagnoli)}
	case store.OpDelete:
		return witness{key: string(op.Key), size: -1}
	}
	return w
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (l *line) begins(w witness) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.underway = append(l.underway, w)
}

// ends notes the end of the commit of w. Browsers end commits in the order in which they began.
func (l *line) ends(w witness, confirmed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, x := range l.underway {
		if x == w {
			l.underway = append(l.underway[:i:i], l.underway[i+1:]...)
			break
		}
	}
	if confirmed {
		l.confirmed = w
	}
}

func (l *line) now() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.turn
}

// repeat makes a call, and again on the next connection if its connection was closed.
func (s *Store) repeat(ctx context.Context, begin func() *call) (*call, error) {
	for breaks := 0; ; breaks++ {
		turn := s.line.now()
		c := begin()
		err := c.await(ctx)
		if !errors.Is(err, errBroken) {
			return c, err
		}
		if breaks == maxBreaks {
			return c, s.giveUp("the browser closes every connection")
		}
		if err := s.reopen(turn); err != nil && !errors.Is(err, errBroken) {
			return c, err
		}
	}
}

// reopen waits until there is another connection than the one of that turn, and tries what it finds there.
func (s *Store) reopen(turn int) error {
	l := &s.line
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.turn != turn {
		return nil // somebody else has done it
	}
	c := begin()
	jsReopened(s.handle, c.id)
	if err := c.await(context.Background()); err != nil {
		return fmt.Errorf("%w: %w", store.ErrLost, err)
	}
	// What is under way may be stored or not. If it is, it may have changed what the commit before it left.
	for _, w := range append(l.underway[:len(l.underway):len(l.underway)], l.confirmed) {
		there, err := s.finds(w)
		if there || err != nil {
			l.turn++
			return err
		}
	}
	return s.giveUp("the browser has forgotten what it had stored")
}

// giveUp takes the storage for lost. line.mu may be held.
func (s *Store) giveUp(why string) error {
	s.dead.Store(true)
	tellLost(s.handle, gone)
	return fmt.Errorf("%w: %s", store.ErrLost, why)
}

// finds reports whether a witness stands as it should; one that tells nothing does.
func (s *Store) finds(w witness) (bool, error) {
	if w == (witness{}) {
		return true, nil
	}
	c := s.get([]byte(w.key))
	if err := c.await(context.Background()); err != nil {
		return false, err
	}
	return w.fits(c), nil
}

func (w witness) fits(c *call) bool {
	if c.status == missing {
		return w.size < 0
	}
	return len(c.value) == w.size && crc32.Checksum(c.value, castagnoli) == w.sum
}
