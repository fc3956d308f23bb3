package core

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/fmt"
	"vsync/core/store"
)

// A log with a hole is cut there, when the store is opened with repair. Where the hole lies behind the checkpoint:
//
//	checkpoint ── whole ──│ hole │── behind: readable
//	                      └▶ rows to quarantine
//	                                 └▶ own batches that follow on what is whole: written again, under their names
//	                                    own batches after lost ones: to quarantine, each by itself, with its reason; the
//	                                    device takes a new id then, so that no name of a lost batch is given again: what is whole keeps
//	                                    its name, and is written again under the new id where all of the feed has not brought it
//	                                    the feed: comes again from the hub, from the marker before the hole
//
// A commit behind the checkpoint that confirms a batch which stands in a damaged segment before it is such a hole, too.
//
// Pages that were current beyond the cut are built anew from what is whole; what they held is in quarantine too. What was cut off is not
// written again under another name: the hub may have it already, and it comes back with the feed then.

// Where the hole of a device's log lies before the checkpoint, the pages stand for what was there: it is passed over, and what is lost is
// history. What the tables hold is written anew behind it (base.go); what was not sent yet is written again from the pages (lost.go). A hub fills
// the hole from them (fill.go); what lies behind the checkpoint and cannot be read is lost until a device hands it back, and what is behind that
// takes new places in the feed (rejoin.go).

// salvaged is what opening takes over the hole.
type salvaged struct {
	again  [][]byte           // own batches to be written again
	lost   bool               // there were others
	cut    uint64             // the last commit before the hole
	behind []changelog.Record // RoleHub: what takes new places in the feed
}

// salvage opens the store at the cut. bad is what opening failed with.
func (r *Replica) salvage(ctx context.Context, sb *superblock, bad error) (*salvaged, error) {
	found, err := r.cutTo(ctx, sb, bad, sb.start)
	if err != nil && len(sb.head.fills) > 0 { // without summaries nothing says what is filled: all up to the checkpoint is passed over, and filled anew
		found, err = r.cutTo(ctx, sb, bad, changelog.Name{First: 1})
	}
	for err != nil && found != nil && r.stuck > 0 && r.stuck <= found.Cut { // a commit needs what lies in the hole: further back
		found, err = r.cutTo(ctx, sb, err, sb.start)
	}
	if err != nil {
		return nil, err
	}
	again, lost := r.ownBehind(found.Behind)
	tx := &store.Tx{}
	for _, rec := range lost {
		putAside(tx, quarantined{inc: r.inc, number: r.harm.number(), Finding: Finding{Scope: ScopeBatch, Row: rec.row, Reason: rec.reason,
			Time: r.cfg.Now(), Commit: r.head.commit, Bytes: rec.batch}})
	}
	over := &salvaged{again: again, lost: len(lost) > 0, cut: found.Cut}
	if r.cfg.Role == RoleHub {
		over.behind = found.Behind
	}
	return over, r.st.Commit(ctx, tx)
}

// cutTo opens the log at the latest cut that is possible, as far as is known, and returns it even where that fails.
func (r *Replica) cutTo(ctx context.Context, sb *superblock, bad error, start changelog.Name) (*changelog.Salvage, error) {
	found, err := r.readDamaged(ctx, sb, start)
	if err == nil && found.At == (changelog.Position{}) && found.Over == nil && start.First > 0 { // the cut is in an earlier segment
		behind := start
		if start, err = r.startBefore(ctx, behind); err == nil {
			found, err = r.readDamaged(ctx, sb, start)
		}
		if err == nil && found.Cut < sb.head.commit && start.First == 0 { // there is a hole before it, too, for which the pages stand
			if start, err = changelog.Before(ctx, r.st, behind); err == nil {
				found, err = r.readDamaged(ctx, sb, start)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	gone := len(found.Behind) > 0 || found.Cut < max(sb.head.commit, r.super.upTo)
	if r.cfg.Role == RoleHub && found.Cut < sb.head.commit {
		sb.head, sb.lasts = originOf(RoleHub, &sb.head), ""
	}
	if found.Cut < sb.head.commit || len(found.Damaged)+len(found.Behind) == 0 && found.Cut == 0 && (r.super.upTo == 0 || r.cfg.Role == RoleHub) {
		return nil, bad
	}
	if hole := holeOf(found); (gone || found.Over != nil && r.cfg.Role == RoleDevice) && r.stuck != hole {
		found.Damaged = append(found.Damaged, missingFrom(hole, found)...)
	}
	if seg, is := errors.AsType[*changelog.CorruptError](bad); is && r.stuck > 0 && seg.Segment.First > 0 && seg.Segment.First <= found.Cut {
		found.Partly = append(found.Partly, changelog.Damaged{Row: seg.Segment.Key(), Problem: seg.Problem}) // which a check gives up
	}
	if err := r.keepPartly(ctx, found); err != nil {
		return nil, err
	}
	if err := r.setAsideSegments(ctx, found.Damaged, bad); err != nil {
		return nil, err
	}
	return found, r.replayTo(ctx, sb, start, found)
}

// holeOf is the first commit that cannot be read.
func holeOf(found *changelog.Salvage) uint64 {
	if found.Over != nil {
		return found.Over.Hole
	}
	return found.Cut + 1
}

// missingFrom is the segment at a hole, if there is nothing of it.
func missingFrom(hole uint64, found *changelog.Salvage) []changelog.Damaged {
	row := changelog.Name{First: hole}.Key()
	if slices.ContainsFunc(found.Damaged, func(d changelog.Damaged) bool { return bytes.HasPrefix(d.Row, row[:9]) }) {
		return nil
	}
	return []changelog.Damaged{{Row: row, Problem: fmt.Sprintf("the segment of commit %d is missing; the incarnation that wrote it is not known", hole)}}
}

// readDamaged reads a log as far as it can be read. The pages stand for what it held up to the checkpoint.
func (r *Replica) readDamaged(ctx context.Context, sb *superblock, start changelog.Name) (*changelog.Salvage, error) {
	return changelog.Read(ctx, r.st, start, sb.head.commit, r.stuck)
}

// startBefore is where to read for a cut right before a segment: in the one before it if nothing else is wrong than that a commit cannot be
// taken up, else at the beginning.
func (r *Replica) startBefore(ctx context.Context, start changelog.Name) (changelog.Name, error) {
	if r.stuck != start.First && r.cfg.Role == RoleDevice {
		return changelog.Name{}, nil
	}
	return changelog.Before(ctx, r.st, start)
}

// keepPartly puts copies of segments into quarantine whose end cannot be read: the rest of them stays where it is.
func (r *Replica) keepPartly(ctx context.Context, found *changelog.Salvage) error {
	if r.cfg.Role == RoleHub { // which takes up what stands behind, and sets the row aside with that
		return nil
	}
	tx := &store.Tx{}
	for _, d := range found.Partly {
		if err := r.setAside(ctx, tx, d.Row, d.Problem); err != nil {
			return err
		}
	}
	if len(tx.Ops) == 0 {
		return nil
	}
	return r.st.Commit(ctx, tx)
}

func (r *Replica) setAsideSegments(ctx context.Context, rows []changelog.Damaged, bad error) error {
	for _, d := range rows {
		tx := &store.Tx{}
		reason := d.Problem
		if reason == "" {
			reason = bad.Error()
		}
		if err := r.setAside(ctx, tx, d.Row, reason); err != nil {
			return err
		}
		tx.Delete(d.Row)
		if err := r.st.Commit(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// replayTo replays up to the cut.
func (r *Replica) replayTo(ctx context.Context, sb *superblock, start changelog.Name, found *changelog.Salvage) error {
	openAt := func(visit func(*changelog.Log, changelog.Record) error) (*changelog.Log, error) {
		if found.Over != nil {
			return changelog.OpenOver(ctx, r.st, r.inc, *found.Over, found.At, visit)
		}
		return changelog.OpenAt(ctx, r.st, r.inc, start, found.At, visit)
	}
	l, err := openAt(func(*changelog.Log, changelog.Record) error { return nil })
	if err != nil {
		return err
	}
	if over := found.Over; over != nil {
		sb.head.fills = slices.DeleteFunc(slices.Clone(sb.head.fills), func(f fill) bool { return over.Lost.First <= f.first && f.first <= over.Last })
		l.SetFills(fillsOf(sb.head.fills))
	}
	r.newTables(sb)
	r.log = l
	r.head = sb.head
	if err := r.tables.DistrustAfter(ctx, found.Cut); err != nil {
		return err
	}
	return r.replayWith(ctx, sb, openAt)
}

// behind is a batch that was written behind a hole, and does not follow on what is before it.
type behind struct {
	row    []byte
	reason string
	batch  []byte
}

// ownBehind sorts the own batches behind the hole: those that follow on what is whole, and those that do not.
func (r *Replica) ownBehind(recs []changelog.Record) (again [][]byte, lost []behind) {
	if r.cfg.Role != RoleDevice {
		return nil, nil
	}
	gen, hash, parted := r.head.lastGen, r.head.lastHash, false
	for _, rec := range recs {
		for _, it := range rec.Items {
			parted = parted || it.Kind == changelog.ItemReentry
			if it.Kind != changelog.ItemBatch {
				continue
			}
			h, _, err := change.DecodeHeader(it.Data)
			if err != nil {
				continue
			}
			if !parted && h.Device == r.head.device && h.Gen == gen+1 && h.Follows(hash) == nil {
				again, gen, hash = append(again, it.Data), h.Gen, h.Hash
				continue
			}
			row := changelog.Name{First: rec.Commit, Incarnation: rec.Incarnation}
			lost = append(lost, behind{row.Key(), fmt.Sprintf("commit %d wrote the batch %s, and what was written before it is lost in a hole of the log: if the hub has it, it comes with the feed; else write its values again", rec.Commit, h.Version()), it.Data})
		}
	}
	return again, lost
}

// rejoinBehind takes up what stands behind the hole of a hub's log, whose rows are gone with that commit.
func (r *Replica) rejoinBehind(st *stage, s *salvaged) error {
	if r.cfg.Role != RoleHub {
		return nil
	}
	left, err := changelog.ReadRemains(st.ctx, r.st, s.cut+1, change.MaxNumber)
	if err != nil {
		return err
	}
	tx := &store.Tx{}
	for _, d := range left.Rows {
		if d.Problem != "" {
			if err := r.setAside(st.ctx, tx, d.Row, d.Problem); err != nil {
				return err
			}
		}
		tx.Delete(d.Row)
	}
	st.beside = append(st.beside, tx.Ops...)
	r.rejoined = true
	return r.rejoin(st, s.behind)
}

// goOn writes the commit that makes the cut so for ever; before it the pages that were built anew, as replay would take those that are
// there for current beyond commits that are written from now on.
func (r *Replica) goOn(ctx context.Context, s *salvaged) error {
	if err := r.Checkpoint(ctx); err != nil {
		return err
	}
	err := r.submit(ctx, &request{alone: true, strict: true, form: func(st *stage) error {
		if len(s.again) > 0 { // what they were written over may come behind them: who reads the history looks for the order
			data := rewindData(st.state.marker, nil, nil, nil, nil, st.state.rules, nil)
			st.add(changelog.ItemRewind, data)
			if err := st.goBack(data); err != nil {
				return err
			}
		}
		if err := r.rejoinBehind(st, s); err != nil {
			return err
		}
		for _, batch := range s.again {
			b, err := change.DecodeTrusted(batch)
			if err != nil {
				return err
			}
			turns, err := st.local(b, nil)
			if err != nil {
				return err
			}
			st.add(changelog.ItemBatch, batch)
			st.addTurns(turns)
		}
		st.add(changelog.ItemMarker, st.state.marker.Encode())
		return nil
	}})
	if err == nil && s.lost {
		err = r.reenter(ctx, allOwn, false) // the hub may have what stands before the hole, and nobody was told yet
	}
	if err == nil && r.cfg.Role == RoleDevice && len(r.log.Holes()) > 0 {
		if err = r.submit(ctx, &request{whole: r.writeBase}); errors.Is(err, &Error{Code: Quota}) {
			err = nil // Repair does it when there is room
		}
	}
	if err == nil {
		err = r.checkpointKept(ctx) // replay begins behind the hole from now on
	}
	return err
}
