package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/store"
	"vsync/core/watcher"
)

// device is a device's process, with what of it outlives it.
type device struct {
	node
	course *watcher.Course
	sess   *watcher.Session // nil while there is no connection
	conn   *conn
	dialAt uint64 // when to connect
	upAt   uint64 // when the process starts again
	woken  bool
	connID int // of the connection that ended last

	// What its store must hold, by note, with the commit number after which it did. A copy of the store has a copy of it.
	holds      map[string]uint64
	maybe      map[string]bool // written when the store died: nobody knows
	watch      *observer
	dismissals map[change.Version]dismissal // by the name that was listed
	seen       []seen                       // frontiers that the application remembers
	read       []read                       // values that merge, which it remembers
	tab        *tab                         // nil: none that numbers what it writes

	backup *backup
	older  *store.Memory           // a copy of the store, of which rows are put back; nil: none
	cutOff map[string]bool         // notes of what a damaged log does not hold any more, though the hub has it, or it is listed
	unread map[change.Version]bool // batches that stood in segments that were damaged

	feed   *model // that its store stands in, as far as is known
	at     uint64 // its place there
	commit uint64 // its last then
	owes   []stood
}

// stood is where a device stood in a feed before it left that. What it had there it has still, and hands back until the hub is known
// to have it for good.
type stood struct {
	feed *model
	at   uint64
	from uint64 // the commit that left it
	to   uint64 // the commit by which the hub had it for good; 0: none yet
}

// seen is what an application read of an object some time ago.
type seen struct {
	key      change.Key
	frontier []change.Version
}

// backup is a copy of a store, with what it holds.
type backup struct {
	mem   *store.Memory
	holds map[string]uint64
	maybe map[string]bool
	owes  []stood

	cutOff     map[string]bool
	unread     map[change.Version]bool
	holed      bool
	unsummed   bool
	dismissals map[change.Version]dismissal
}

func (s *Sim) newDevice() {
	if len(s.devices) >= maxDevices {
		return
	}
	d := s.addDevice(store.NewMemory(), map[string]uint64{}, map[string]bool{})
	s.logf("%s is new", d.name)
	d.start()
	d.begun()
}

func (s *Sim) addDevice(mem *store.Memory, holds map[string]uint64, maybe map[string]bool) *device {
	s.names++
	d := &device{node: node{s: s, name: fmt.Sprintf("d%d", s.names), mem: mem, cp: s.plan.checkBytes}, holds: holds, maybe: maybe, dismissals: map[change.Version]dismissal{},
		cutOff: map[string]bool{}, unread: map[change.Version]bool{}}
	d.dialAt = s.now + uint64(s.rnd.IntN(3000))
	if s.plan.skew {
		d.skew = int64(s.rnd.IntN(300_000)) - 150_000
		s.did("clock skew")
	}
	d.watch = newObserver(d)
	s.devices = append(s.devices, d)
	return d
}

// begun completes a process whose replica is open.
func (d *device) begun() {
	d.course = watcher.NewCourse(watcher.Delays{}, rand.NewPCG(uint64(d.s.rnd.IntN(1<<30)), 1))
	d.r.OnUnsent(func() { d.woken = true })
}

// pump does what is due at this moment.
func (d *device) pump() {
	s := d.s
	d.noticed()
	if d.r == nil && s.now >= d.upAt {
		if d.start(); d.r == nil {
			d.beginEmpty()
		} else {
			d.reopened()
		}
		d.begun()
	}
	switch {
	case d.r == nil:
	case d.sess == nil && s.now >= d.dialAt && s.hub.r != nil:
		d.sess = watcher.New(d.r, watcher.Config{Database: database, Agent: d.name, Credit: uint64(s.plan.credit), Thin: d.course.Thin(),
			Rest: d.course.Rest(), Linger: d.course.Linger(), Parting: d.course.Parting(), Leaving: d.course.Leaving(),
			Trail: d.course.Trail(), Owing: d.course.Owing(), HandedBack: d.course.HandedBack(), Back: d.course.Back()})
		d.conn = s.connect(d)
		d.sess.Open(s.ctx, s.time())
		d.noticed()
	case d.sess != nil:
		if d.woken {
			d.woken = false
			d.sess.Wake()
		}
		if at := d.sess.Deadline(); !at.IsZero() && !s.time().Before(at) {
			d.sess.Tick(s.time())
		}
		d.noticed()
	}
}

// noticed acts on what became of the store or of the session.
func (d *device) noticed() {
	if d.lost() {
		d.s.logf("%s: its store died", d.name)
		d.s.count("store died")
		d.down(0)
		return
	}
	if d.sess == nil || !d.sess.Over() {
		return
	}
	over := d.sess
	d.connID = d.conn.id
	if over.Result().Outcome == watcher.Faulty && !d.conn.dirty {
		d.s.excuseFault(d, over.Result())
	}
	d.sess, d.conn.dev = nil, nil
	d.conn.left()
	d.conn = nil
	step := d.course.After(d.s.time(), over)
	if d.s.healing && slow(over.Result().Text) && d.connID > d.s.healedFrom {
		d.s.fail("promise 6: %s reads all that comes, and the hub ends its connection: %s", d.name, over.Result().Text)
	}
	if unanswered(over.Result().Text) && !d.s.plan.hubFaults && !d.excused() && !d.s.hub.excused() {
		d.s.fail("promise 6: %s waits in vain for a hub that does as it should: %s", d.name, over.Result().Text)
	}
	d.s.logf("%s: session %v %s: reenter %v, delay %v", d.name, over.Result().Outcome, over.Result().Text, step.Reenter, step.Delay)
	d.s.count("session " + over.Result().Outcome.String())
	d.s.afterLoss(over.Result().Outcome)
	if step.Reenter {
		if err := d.r.Reenter(d.s.ctx); err != nil {
			step = d.course.AfterFailure(err)
		}
		d.s.count("reentry")
	}
	d.dialAt = d.s.now + uint64(step.Delay.Milliseconds())
	if d.lost() || step.Stop {
		d.down(0)
	}
}

// due is when the device does something by itself.
func (d *device) due() uint64 {
	switch {
	case d.r == nil:
		return d.upAt
	case d.sess == nil:
		return d.dialAt
	}
	if at := d.sess.Deadline(); !at.IsZero() {
		return uint64(at.UnixMilli())
	}
	return 0
}

// down ends the process; the next one starts at once or later.
func (d *device) down(lost int) {
	if d.r == nil {
		return
	}
	d.s.logf("%s goes down, lost %d", d.name, lost)
	d.s.did("crash")
	d.watch.stop()
	d.kill(lost)
	if lost > 0 {
		d.tab = nil
	}
	d.sess = nil
	if d.conn != nil {
		d.conn.left()
		d.conn = nil
	}
	d.upAt = d.s.now
	if !d.s.healing && d.s.chance(50) {
		d.upAt += uint64(d.s.rnd.IntN(20_000))
	}
	d.dialAt = d.upAt
	d.woken = false
}

func (d *device) heal() {
	if d.r != nil && (d.lost() || !d.spent()) {
		d.down(0)
	}
	d.upAt = d.s.now
	d.disk.Release()
	d.pump()
	if d.unsettled() { // it reads now what landed behind its reading
		d.down(0)
		d.upAt = d.s.now
		d.pump()
	}
	if d.hurt != nil && d.r != nil {
		d.mend()
	}
}

func (d *device) quiet() bool {
	if d.r == nil || d.sess == nil || !d.sess.Live() {
		return false
	}
	if !d.conn.idle() {
		return false // somebody may be about to say that it ends
	}
	st := d.r.State()
	head := d.s.hub.head()
	head.Epoch = st.Marker.Epoch // who is connected while others find a loss learns of the new epoch later
	return (st.Pending == 0 || d.orphans()) && st.Marker == head
}

func (d *device) standing() string {
	if d.r == nil {
		return fmt.Sprintf("down until %d", d.upAt-start)
	}
	if d.sess == nil {
		return fmt.Sprintf("%s, pending %d, dials at %d", brief(d.r.State()), d.r.State().Pending, d.dialAt-start)
	}
	return fmt.Sprintf("%s, pending %d, live %v", brief(d.r.State()), d.r.State().Pending, d.sess.Live())
}

func (s *Sim) anyDevice() *device { return s.devices[s.rnd.IntN(len(s.devices))] }

// running is a device whose process runs; nil if the one that was drawn does not.
func (s *Sim) running() *device {
	if d := s.anyDevice(); d.r != nil && !d.lost() {
		return d
	}
	return nil
}

// crashOne ends a process, and holds what the next one finds against what this one showed.
func (s *Sim) crashOne() {
	if s.chance(25) {
		s.hub.down(0)
		return
	}
	d := s.running()
	if d == nil {
		return
	}
	before, ok := d.dump()
	if d.lost() { // reading found a fault
		d.noticed()
		return
	}
	if s.chance(30) {
		_ = d.r.Close() // a checkpoint, if it can be had
	}
	unsettled, cut := d.unsettled(), d.cutBack()
	d.again(0)
	if d.r == nil { // and again
		return
	}
	if after, can := d.dump(); ok && !unsettled && can && before != after && !cut {
		s.fail("promise 1: %s shows after a crash\n%s\nand showed before it\n%s", d.name, after, before)
	}
	if !d.lost() {
		d.check()
	}
	d.noticed()
}

// powerCut takes the end of what was not synced.
func (s *Sim) powerCut() {
	if s.chance(25) && !s.plan.hurtLog {
		s.did("hub power cut")
		s.hub.down(1 + s.rnd.IntN(8))
		return
	}
	if d := s.running(); d != nil {
		s.did("power cut")
		d.again(1 + s.rnd.IntN(8))
	}
}

func (s *Sim) cloneOne() {
	d := s.running()
	if d == nil || d.hurt != nil || d.remains() || len(s.devices) >= maxDevices {
		return
	}
	b := d.copy()
	s.did("clone")
	e := s.addDevice(b.mem, b.holds, b.maybe)
	e.holed, e.unsummed = d.holed, d.unsummed
	e.cutOff, e.unread = maps.Clone(d.cutOff), maps.Clone(d.unread)
	e.feed, e.at, e.commit, e.owes, e.dismissals = d.feed, d.at, d.commit, b.owes, b.dismissals
	s.logf("%s is a copy of %s", e.name, d.name)
	e.start()
	e.begun()
}

// copy takes a copy of the store while it is in use.
func (d *device) copy() *backup {
	d.copied = d.copied || d.unsettled()
	return &backup{mem: d.mem.Clone(), holds: maps.Clone(d.holds), maybe: maps.Clone(d.maybe), owes: slices.Clone(d.owes), dismissals: maps.Clone(d.dismissals),
		cutOff: maps.Clone(d.cutOff), unread: maps.Clone(d.unread), holed: d.holed, unsummed: d.unsummed}
}

// restoreOne takes a backup, or goes back to one: what was written since is lost, unless it was sent.
func (s *Sim) restoreOne() {
	d := s.running()
	if d == nil {
		return
	}
	if d.hurt != nil || d.remains() {
		return
	}
	if d.backup == nil || s.chance(40) {
		d.backup = d.copy()
		s.did("backup")
		s.logf("%s takes a backup at %s", d.name, brief(d.r.State()))
		return
	}
	s.logf("%s goes back to its backup", d.name)
	s.did("restore")
	defer s.missing(s.kept())
	d.down(0)
	b := d.backup
	d.mem = b.mem.Clone()
	d.holds, d.maybe, d.owes, d.dismissals = maps.Clone(b.holds), maps.Clone(b.maybe), slices.Clone(b.owes), maps.Clone(b.dismissals)
	d.cutOff, d.unread, d.older = maps.Clone(b.cutOff), maps.Clone(b.unread), nil
	d.held, d.late, d.tab, d.holed, d.unsummed = nil, nil, nil, b.holed, b.unsummed
	if s.chance(50) { // else the application keeps its marker elsewhere, and has seen what is gone
		d.watch = newObserver(d)
	}
	d.upAt = s.now
	d.pump()
}

func (s *Sim) jumpClock() {
	n := &s.hub.node
	if !s.chance(20) {
		n = &s.anyDevice().node
	}
	n.skew += int64(s.rnd.IntN(400_000)) - 200_000
	if s.chance(10) {
		n.skew = -int64(s.now)
	}
	s.did("clock jump")
	s.logf("%s: its clock is %d ms off", n.name, n.skew)
}

func (s *Sim) checkpointOne() {
	if s.chance(30) {
		if s.hub.r != nil {
			s.did("checkpoint")
			_ = s.hub.r.Checkpoint(s.ctx)
		}
		return
	}
	if d := s.running(); d != nil {
		s.did("checkpoint")
		_ = d.r.Checkpoint(s.ctx)
		d.noticed()
	}
}

// noteAt is the note of the unsent batch that the device has under a write's version; false where it has none, or it cannot be read.
func (d *device) noteAt(w *write) (string, bool) {
	if w.version.Device != d.r.State().Device {
		return "", false
	}
	gens, batches, err := d.r.Unsent(d.s.ctx, w.version.Gen, 1)
	if err != nil || len(gens) == 0 || gens[0] != w.version.Gen {
		return "", false
	}
	h, _, err := change.DecodeHeader(batches[0])
	return noteIn(batches[0], &h), err == nil
}

// lostTo says that a dead engine's transaction has the place of a write that went with the power, and gave the device a new id: then the
// history does not have it. The hub may have it, and the feed bring it back later, as that of whoever had the id then. It is so at the next
// opening, or never.
func (d *device) lostTo(w *write) bool {
	contested, st := w.contested, d.r.State()
	if w.contested = false; !contested || d.s.plan.power == 0 || w.voided || w.version.Device == st.Device {
		return false
	}
	if m := d.s.feedOf(st.Marker); w.came && (m == nil || m.notes[w.note] <= st.Marker.Seq) {
		return false // what this device has applied has it, or only a feed that it does not stand in
	}
	found := d.historyOf(w.ops[0].Key)
	for _, h := range found {
		if h.Note == w.note {
			return false
		}
	}
	return found != nil
}

// reopened holds what a device's store holds against what it must hold.
func (d *device) reopened() {
	defer d.s.missing(d.s.kept())
	defer d.stand()
	d.read = nil // the application has begun anew, too; and what it had read may be lost, and its name another's by now
	d.undismissed()
	if d.hurt != nil {
		d.survived()
	}
	st := d.r.State()
	for _, n := range slices.Sorted(maps.Keys(d.holds)) {
		commit := d.holds[n]
		w := d.s.writes[n]
		note, known := d.noteAt(w)
		// Power may have taken a write, and a transaction of the engine before, which landed late, may have its place. Of a group that
		// was split, all say the last commit.
		never := w.version.Device == st.Device && w.version.Gen > st.LastGen || d.lostTo(w)
		if d.cutOff[n] || known && note == n || !known && !never && commit <= st.Commit {
			continue
		}
		if w.strict || d.s.plan.power == 0 {
			d.s.fail("promise 1: %s is at commit %d after it was opened, and %s was confirmed in commit %d (strict %v)", d.name, st.Commit, n, commit, w.strict)
		}
		d.s.logf("%s has lost %s", d.name, n)
		d.s.count("lost write")
		delete(d.holds, n)
		d.maybe[n] = true
	}
}

var _ watcher.Replica = (*core.Replica)(nil)
