package core

import (
	"context"

	"vsync/core/change"
	"vsync/core/changelog"
)

// stretch is what a stretch of the feed was about.
type stretch struct {
	left    map[change.Version]bool
	touched map[string]bool // rows
	kept    map[string]bool // rows that say of refusals there what stays: that they were settled, or were of a former id

	former map[string][]change.Version // of objects: versions that this device wrote under an id that it gave up
	gone   map[change.Version]bool     // what it wrote under its id of today, that was refused and dismissed
}

// stretchBehind reads what was applied of the feed behind a sequence, also what was left before.
func (r *Replica) stretchBehind(ctx context.Context, s *stage, seq uint64) (*stretch, error) {
	b := &stretch{map[change.Version]bool{}, map[string]bool{}, map[string]bool{}, map[string][]change.Version{}, map[change.Version]bool{}}
	at := AppliedCursor{Seq: seq}
	for {
		entries, next, err := r.Applied(ctx, at, 1<<20)
		if err != nil {
			return nil, err
		}
		if len(entries) == 0 {
			return b, b.leftBefore(ctx, r, s, seq)
		}
		at = next
		for _, bytes := range entries {
			if err := b.add(ctx, r, s, bytes); err != nil {
				return nil, err
			}
		}
	}
}

// passesBy says that an own batch is to be left out. What one that is not was over of such ones, it is over what they were over.
func (f *fold) passesBy(b *change.Batch) bool {
	if len(f.without) == 0 {
		return false
	}
	was := map[change.Key][]change.Version{}
	for i := range b.Mutations {
		m := &b.Mutations[i]
		var over []change.Version
		for _, p := range m.Parents {
			if theirs, is := f.passed[p][m.Key]; is {
				over = append(over, theirs...)
			} else {
				over = append(over, p)
			}
		}
		m.Parents, was[m.Key] = over, over
	}
	if f.without[b.Version()] {
		if f.passed == nil {
			f.passed = map[change.Version]map[change.Key][]change.Version{}
		}
		f.passed[b.Version()] = was
	}
	return f.without[b.Version()]
}

// leftBefore adds what an earlier rewind has left: it may come again still, and the rows of that rewind say so no more when one to an
// earlier place follows, or when they show what was dismissed since. What of it stood before this place may have come again there.
func (b *stretch) leftBefore(ctx context.Context, r *Replica, s *stage, seq uint64) error {
	return r.eachItem(ctx, 1, r.State().Commit, func(commit uint64, it changelog.Item) (bool, error) {
		switch {
		case it.Kind == changelog.ItemRewind:
			return true, b.rowsOf(it.Data, seq)
		case !r.hasLeft(commit, it):
			return true, nil
		case it.Kind == changelog.ItemEntry:
			at, e, err := entryOf(it)
			if err != nil {
				return true, err
			}
			return true, b.addLeft(s, e.Version, e.Kind, at > seq)
		default:
			c := &cutter{b: it.Data}
			at := c.uvarint()
			kind := change.EntryKind(c.byte())
			v := c.version()
			if c.err != nil {
				return true, c.err
			}
			return true, b.addLeft(s, v, kind, at > seq)
		}
	})
}

func (b *stretch) addLeft(s *stage, v change.Version, kind change.EntryKind, behind bool) error {
	b.left[v] = true
	if !behind {
		return nil
	}
	return b.refused(s, v, kind)
}

// rowsOf adds the objects of a rewind to this place or a later one.
func (b *stretch) rowsOf(rewind []byte, seq uint64) error {
	c := &cutter{b: rewind}
	m, err := change.DecodeMarker(c.bytes())
	if err != nil || m.Seq < seq {
		return err
	}
	for range c.count(2) {
		row := string(c.bytes())
		c.bytes()
		if row != "" && row[0] == tableObjects {
			b.touched[row] = true
		}
	}
	return c.err
}

// refused notes of a batch of today's id whether its refusal, which is left, was dismissed: then it is not shown again.
func (b *stretch) refused(s *stage, v change.Version, kind change.EntryKind) error {
	if kind != change.EntryVoid || v.Device != s.state.device {
		return nil
	}
	row, err := s.get(versionRow(tableSettled, v))
	if err != nil || row == nil {
		return err
	}
	b.gone[v] = true
	for _, was := range s.state.names(v) {
		b.gone[was] = true
	}
	return nil
}

func (b *stretch) add(ctx context.Context, r *Replica, s *stage, bytes []byte) error {
	e, err := change.DecodeEntry(bytes)
	if err != nil {
		return err
	}
	b.left[e.Version] = true
	b.touched[deviceRow(e.Version.Device)] = true
	batch := e.Body
	if err := b.refused(s, e.Version, e.Kind); err != nil {
		return err
	}
	if e.Kind == change.EntryLost {
		return b.unlost(r, s, e.Version)
	}
	if e.Kind == change.EntryVoid {
		rows := []string{versionRow(tableSettled, e.Version)}
		if problem := versionRow(tableProblems, e.Version); s.isAlias(e.Version) { // nobody pushes it again, to be refused again
			rows = append(rows, problem)
		} else {
			b.touched[problem] = true
		}
		for _, row := range rows {
			if was, err := s.get(row); err != nil {
				return err
			} else if was != nil {
				b.kept[row] = true
			}
		}
		if batch, _, _, err = r.log.Find(ctx, e.Version); err != nil || len(batch) == 0 {
			return err
		}
	}
	_, err = change.Walk(batch, func(m change.Mutation) bool {
		row := objectRow(m.Key)
		b.touched[row] = true
		if s.isAlias(e.Version) {
			b.former[row] = append(b.former[row], e.Version)
		}
		return true
	})
	return err
}

// unlost adds what was pending before the feed said that the hub had lost it.
func (b *stretch) unlost(r *Replica, s *stage, upTo change.Version) error {
	own := func(v change.Version) bool { return v.Device == s.state.device || s.isAlias(v) }
	for v := (change.Version{Device: upTo.Device, Gen: 1}); v.Gen <= upTo.Gen && own(v); v.Gen++ {
		batch, _, ok, err := r.log.Find(s.ctx, v)
		if unlessDamaged(err) != nil {
			return err
		}
		if err != nil || !ok {
			continue
		}
		if _, err := change.Walk(batch, func(m change.Mutation) bool { b.touched[objectRow(m.Key)] = true; return true }); err != nil {
			return err
		}
	}
	return nil
}
