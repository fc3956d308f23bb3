package core

import (
	"context"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/pages"
	"vsync/core/store"
)

// stage is a commit that is being formed: what it changes hides the tables.
type stage struct {
	fold
	tables  *pages.Tables
	state   head
	items   []changelog.Item
	bytes   int
	changes []pages.Change
	before  []int          // per change, the one that it hides, −1
	index   map[string]int // row → the latest change
	floor   int            // changes before it are those of other requests
	feed    []FeedEntry    // RoleHub: what is to be told
	wrote   bool           // RoleDevice: there is a new batch to push
	voided  []change.Version
	last    map[string]lastTurn // of objects whose shown state is put off
	beside  []store.Op          // rows that are no part of the log, and change with this commit
	strict  bool
	clock   uint64 // RoleHub: what it counts as the time of acceptance; 0: not asked for yet
	entries room   // RoleHub: of entries

	lostName  *nameTaken // of what is being applied
	takenAway map[change.Version]bool
}

func (r *Replica) newStage(ctx context.Context, h head) *stage {
	s := &stage{tables: r.tables, state: h}
	if s.make(&r.spare); s.index == nil {
		s.index = map[string]int{}
	}
	s.fold = fold{ctx: ctx, rows: s, log: r.log, head: &s.state, folds: r.folds}
	return s
}

func (s *stage) get(row string) ([]byte, error) {
	if i, ok := s.index[row]; ok {
		return s.changes[i].Value, nil
	}
	val, _, err := s.tables.GetRow(s.ctx, row)
	return val, err
}

func (s *stage) set(row string, val []byte) {
	was, ok := s.index[row]
	if ok && was >= s.floor {
		s.changes[was].Value = val
		return
	}
	if !ok {
		was = -1
	}
	s.index[row] = len(s.changes)
	s.changes = append(s.changes, pages.Change{Row: row, Value: val})
	s.before = append(s.before, was)
}

func (s *stage) stale(string) (bool, error) { return false, nil }

func (s *stage) add(kind changelog.ItemKind, data []byte) {
	s.items = append(s.items, changelog.Item{Kind: kind, Data: data})
	s.bytes += len(data)
}

func (s *stage) addTurns(turns []turn) {
	if len(turns) > 0 {
		s.keepLast(turns)
		s.add(changelog.ItemOutcome, encodeTurns(turns))
	}
	if s.reshown {
		s.add(changelog.ItemReshown, nil)
		s.reshown = false
	}
}

// mark is a place to go back to.
type mark struct {
	state                                       head
	items, bytes, changes, feed, voided, beside int
	wrote, strict                               bool
}

func (s *stage) mark() mark {
	s.floor = len(s.changes)
	return mark{s.state, len(s.items), s.bytes, len(s.changes), len(s.feed), len(s.voided), len(s.beside), s.wrote, s.strict}
}

// rollback takes back what one request did that failed; its neighbours stay.
func (s *stage) rollback(m mark) {
	for i := len(s.changes) - 1; i >= m.changes; i-- {
		k := s.changes[i].Row
		if s.before[i] < 0 {
			delete(s.index, k)
		} else {
			s.index[k] = s.before[i]
		}
	}
	s.state, s.bytes, s.wrote, s.strict = m.state, m.bytes, m.wrote, m.strict
	s.items, s.changes, s.before = s.items[:m.items], s.changes[:m.changes], s.before[:m.changes]
	s.due, s.putOff, s.last = nil, nil, nil
	s.feed, s.voided, s.beside = s.feed[:m.feed], s.voided[:m.voided], s.beside[:m.beside]
}
