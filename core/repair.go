package core

import (
	"context"
	"slices"

	"vsync/core/changelog"
	"vsync/core/fmt"
	"vsync/core/pages"
	"vsync/core/store"
)

// repairRounds bounds how often a repair checks what it has done: each round mends as many pages as stand in memory at once.
const repairRounds = 16

// Repair checks, mends what the log can mend, and checks again until nothing is left that it can do. The report lists what was found,
// and what was done about it. What was damaged is in quarantine then; see Damage.
//
//	check ─▶ rows unlike the log ─▶ their pages built anew ─▶ checkpoint ─▶ check …
//	      ├▶ stray rows ─▶ quarantine
//	      ├▶ segments of a device's log ─▶ quarantine; what the tables hold ─▶ the log (base.go)
//	      └▶ segments of a hub's log ────▶ quarantine; the hole is filled (fill.go)
//
// A segment that opening needs is mended at opening, by Config.Repair.
func (r *Replica) Repair(ctx context.Context) (Report, error) {
	first, err := r.checkAgain(ctx)
	if err != nil {
		return Report{}, err
	}
	if len(first.report.Findings) == 0 { // what was damaged, and was written anew before, may be in a commit that power takes
		return first.report, r.checkpointKept(ctx)
	}
	last := first
	for range repairRounds {
		if len(last.report.Findings) == 0 {
			break
		}
		if err := r.repair(ctx, last); err != nil {
			return last.report, typed(err, "repairing")
		}
		before := len(last.report.Findings)
		if last, err = r.checkAgain(ctx); err != nil {
			return Report{}, err
		}
		if len(last.report.Findings) >= before && before < maxFindings {
			break
		}
	}
	return repaired(first.report, last.report), nil
}

// checkAgain checks, and once more where the log is damaged: what was only read wrong is right the next time, and nobody gives up a segment
// for that.
func (r *Replica) checkAgain(ctx context.Context) (c *checker, err error) {
	if c, err = r.check(ctx); err == nil && c.broken {
		c, err = r.check(ctx)
	}
	return c, err
}

// repaired is what was found first, with what is found no more as mended.
func repaired(first, last Report) Report {
	out := last
	out.Findings = nil
	left := func(f Finding) bool {
		return slices.ContainsFunc(last.Findings, func(l Finding) bool { return l.String() == f.String() })
	}
	for _, f := range first.Findings {
		if !left(f) {
			f.Repair = mendedNow
			out.Findings = append(out.Findings, f)
		}
	}
	out.Findings = append(out.Findings, last.Findings...)
	return out
}

// repair mends what one check has found.
func (r *Replica) repair(ctx context.Context, c *checker) error {
	if err := r.passOver(ctx, c); err != nil {
		return err
	}
	if c.broken { // it was held against nothing else
		return nil
	}
	for _, f := range c.report.Findings {
		switch f.Scope {
		case ScopeSummary:
			r.log.ForgetSummaries()
			r.harm.summary(&changelog.CorruptError{Row: f.Row, Problem: f.Reason})
		case ScopeSuperblock:
			r.mu.Lock()
			r.cpDone = ^uint64(0) // the next checkpoint writes it
			r.mu.Unlock()
		case ScopePage:
			if err := r.distrust(ctx, f); err != nil {
				return err
			}
		}
	}
	if err := r.sweep(ctx, c.stray); err != nil {
		return err
	}
	if err := r.rebuild(ctx, c.rows); err != nil {
		return err
	}
	return r.checkpointKept(ctx)
}

// checkpointKept is a checkpoint that stays with the power gone: what is said to be mended stays so, and what is set aside is not missed.
func (r *Replica) checkpointKept(ctx context.Context) error {
	return r.submit(ctx, &request{checkpoint: true, strict: true})
}

// distrust builds a page anew that was found damaged. It may be whole in memory, so that nobody else meets that.
func (r *Replica) distrust(ctx context.Context, f Finding) error {
	switch {
	case len(f.Row) > 3:
		return r.tables.Distrust(ctx, f.Row[1], string(f.Row[3:]), f.Reason)
	case len(f.Row) == 3:
		return r.tables.DistrustLast(ctx, f.Row[1], f.Reason)
	}
	return nil
}

// sweep puts rows that nothing names into quarantine.
func (r *Replica) sweep(ctx context.Context, rows [][]byte) error {
	for group := range slices.Chunk(rows, 16) {
		tx := &store.Tx{}
		for _, row := range group {
			if err := r.setAside(ctx, tx, row, "nothing names it"); err != nil {
				return err
			}
			tx.Delete(row)
		}
		if err := r.st.Commit(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// rebuild makes rows of tables what the log says: in their pages, and in memory, where what was wrong may have been gone on from.
func (r *Replica) rebuild(ctx context.Context, rows []string) error {
	if len(rows) == 0 {
		return nil
	}
	wanted := map[string]bool{}
	for _, row := range rows {
		wanted[row] = true
		_, what := nameOfTableRow(row)
		if err := r.tables.Distrust(ctx, row[0], row[1:], fmt.Sprintf("what it holds of %s is not what the log says", what)); err != nil {
			break // as many as are mended at once
		}
	}
	return r.submit(ctx, &request{alone: true, form: func(s *stage) error {
		g := r.refoldingOf(s.state.commit)
		g.want = func(row string) bool { return wanted[row] }
		is, _, err := g.run(ctx)
		if err != nil {
			return err
		}
		changes := make([]pages.Change, 0, len(rows))
		for row := range wanted {
			changes = append(changes, pages.Change{Row: row, Value: is[row]})
		}
		r.mu.Lock()
		r.tables.Apply(changes)
		r.mu.Unlock()
		return nil
	}})
}
