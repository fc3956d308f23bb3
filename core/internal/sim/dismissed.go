package sim

import (
	"errors"
	"slices"
	"strings"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/store"
)

// What an application has dismissed is gone for good, as far as its device's store knows of that. Where the hub loses the refusal, and the
// device goes back, or takes a new id:
//
//	                 going back ─▶ not among what is unsent and shown ─▶ refused again: not listed
//	dismiss ─▶ gone ─┤
//	                 new id ─────▶ a stand-in is in its place, and nothing of it is written again

// dismissal is that of a refusal.
type dismissal struct {
	note   string // of the batch; empty where it had none, or is written again already, under another name
	commit uint64 // after it
	unsure bool   // power, or the death of the store, may have taken it

	anew []change.Version // names by which it was written anew before, which power took
}

func (d *device) dismiss() {
	ps, err := d.r.Problems(d.s.ctx)
	if err != nil {
		d.mayFail(err, "problems")
		return
	}
	if len(ps) == 0 {
		return
	}
	p := ps[d.s.rnd.IntN(len(ps))]
	if p.Code == string(core.VersionUnknown) {
		d.stays(p)
		return
	}
	if w := d.retriable(p); w != nil && d.s.chance(50) {
		d.retry(p, w)
		return
	}
	err = d.r.Dismiss(d.s.ctx, p.Version)
	if err != nil && !errors.Is(err, store.ErrLost) {
		d.mayFail(err, "dismiss")
		return
	}
	d.s.did("dismissed")
	d.s.logf("%s dismisses %s, which is %s: %v", d.name, p.Version, noteOfProblem(&p), err)
	d.s.dismissed[p.Version] = true
	d.dismissals[p.Version] = dismissal{note: d.onlyNote(&p), commit: d.r.State().Commit, unsure: err != nil || d.landed && d.s.plan.power > 0}
	for _, o := range p.Ops {
		if w := d.s.writes[note(o.Value)]; w != nil {
			d.takenAnew(p.Version, w)
			w.dismissed = true
		}
	}
	if w := d.s.writes[d.s.unreadable[p.Version]]; p.Code == string(core.Corrupt) && w != nil { // also of one that only deletes
		w.dismissed = true
	}
}

// takenAnew notes with a dismissal by which names the write was written anew before it. It is listed again because power took that from this
// device. The hub may have it even so, or have it in its hands, or a copy of the device may: that was asked for, nobody dismissed it, and
// the device knows nothing of it that it could call back. Whatever the engine itself would write again has a name of another id.
func (d *device) takenAnew(v change.Version, w *write) {
	if x := d.dismissals[v]; d.s.plan.power > 0 {
		x.anew = slices.Clone(w.anew)
		d.dismissals[v] = x
	}
}

// retriable is the write that a problem lists, where the model can follow what becomes of it: no copy and no backup was made that may list it too.
func (d *device) retriable(p core.Problem) *write {
	if d.s.stats["clone"]+d.s.stats["backup"] > 0 || slices.ContainsFunc(p.Ops, func(o core.Op) bool { return o.Key.Collection != singles && o.Key.Collection != grouped }) {
		return nil
	}
	for _, o := range p.Ops {
		w := d.s.writes[note(o.Value)]
		if w != nil && w.came && p.Code == string(core.Corrupt) {
			return nil // who waits for the feed sees that the hub has it
		}
		if w != nil {
			return w
		}
	}
	return nil
}

// retry writes a refused batch anew. It is the same write to the application, and what it was told of counts from now on; an error says
// that the problem is listed as before.
func (d *device) retry(p core.Problem, w *write) {
	s := d.s
	w.retried = true
	st := d.r.State()
	w.anew = append(w.anew, change.Version{Device: st.Device, Gen: st.LastGen + 1}) // which it is too where the store dies of it
	got, err := d.r.Retry(s.ctx, p.Version)
	if err == nil || errors.Is(err, store.ErrLost) { // what was refused is gone, and its note is another's
		s.dismissed[p.Version] = true
		d.dismissals[p.Version] = dismissal{commit: d.r.State().Commit, unsure: err != nil || d.landed && s.plan.power > 0}
	}
	s.logf("%s writes %s anew, which was refused as %s: %v %v", d.name, w.note, p.Version, got.Version, err)
	if err != nil {
		d.maybe[w.note] = true
		d.mayFail(err, "retry")
		return
	}
	s.did("retried")
	w.fate, w.version, w.strict, w.contested, w.dismissed = confirmed, got.Version, false, d.landed, false
	d.holds[w.note] = d.r.State().Commit
	ps, err := d.r.Problems(s.ctx)
	if err == nil && slices.ContainsFunc(ps, func(q core.Problem) bool { return q.Version == p.Version }) {
		s.fail("%s: %s was written anew as %s, and is a problem even so", d.name, p.Version, got.Version)
	}
}

// noteOfProblem is the note of a batch that was refused; empty for one of deletions alone.
func noteOfProblem(p *core.Problem) string {
	for _, o := range p.Ops {
		if n := note(o.Value); n != "-" {
			return n
		}
	}
	return ""
}

// onlyNote is the note of a problem; empty where a batch with it is unsent: the device wrote it again before its refusal came back, and that
// was not dismissed.
func (d *device) onlyNote(p *core.Problem) string {
	n := noteOfProblem(p)
	for from := d.r.State().ConfirmedGen + 1; n != ""; {
		gens, batches, err := d.r.Unsent(d.s.ctx, from, 1<<20)
		if err != nil || len(gens) == 0 {
			break
		}
		if from += change.Generation(len(gens)); slices.ContainsFunc(batches, func(b []byte) bool {
			h, _, err := change.DecodeHeader(b)
			return err != nil || noteIn(b, &h) == n
		}) {
			return ""
		}
	}
	return n
}

// isDismissed says that an unsent batch is one whose refusal was dismissed; it is not known where power may have taken that.
func (d *device) isDismissed(b *change.Batch) (is, known bool) {
	x, is := d.dismissals[b.Version()]
	d.writesNoneAgain(b.Version(), noteOf(b))
	return is, !x.unsure
}

// sentNoneAgain holds what is new in the feed, if only a refusal, against what its device has dismissed.
func (s *Sim) sentNoneAgain(it *item) {
	for _, d := range s.devices {
		if d.r != nil && d.r.State().Device == it.name.Device {
			d.writesNoneAgain(it.name, it.note)
		}
	}
}

func (d *device) writesNoneAgain(as change.Version, note string) {
	if _, same := d.dismissals[as]; same {
		return
	}
	for v, x := range d.dismissals {
		if x.note != "" && x.note == note && !x.unsure && !slices.Contains(x.anew, as) {
			d.s.fail("promise 5: %s writes %s again, as %s, which was refused as %s, and dismissed", d.name, note, as, v)
		}
	}
}

// checkDismissed holds what is listed as a problem against what was dismissed.
func (d *device) checkDismissed() {
	if len(d.dismissals) == 0 {
		return
	}
	ps, err := d.r.Problems(d.s.ctx)
	if err != nil {
		d.mayFail(err, "problems")
		return
	}
	d.s.count("dismissed for good")
	for i := range ps {
		for v, x := range d.dismissals {
			if p := &ps[i]; !x.unsure && (p.Version == v || x.note != "" && noteOfProblem(p) == x.note) {
				d.s.fail("promise 5: %s lists %s as a problem, which is %s, and was dismissed as %s", d.name, p.Version, noteOfProblem(p), v)
			}
		}
	}
}

// undismissed takes dismissals back of which the store says no more that they were.
func (d *device) undismissed() {
	for v, x := range d.dismissals {
		if x.commit > d.r.State().Commit {
			x.unsure = true
			d.dismissals[v] = x
		}
	}
}

// standIn holds a batch in the feed that stands for one of which nothing is to be written again; false where it is none.
func (m *model) standIn(seq uint64, b *change.Batch) bool {
	name, is := strings.CutPrefix(b.Note, "what was left of ")
	if !is {
		return false
	}
	of, err := change.ParseVersion(name)
	if err == nil && m.standsFor(seq, b, of) {
		return true
	}
	if err != nil || !m.s.dismissed[of] {
		m.s.fail("promise 5: sequence %d stands for %s, which nobody dismissed", seq, name)
	}
	if len(b.Mutations) != 1 || b.Mutations[0].Kind != change.Delete || b.Mutations[0].Key.ID != name || !b.Mutations[0].Key.System() {
		m.s.fail("promise 5: sequence %d stands for %s, which was dismissed, and writes %v", seq, name, b.Mutations)
	}
	m.s.count("stand-in")
	return true
}
