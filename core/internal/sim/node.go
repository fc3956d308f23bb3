package sim

import (
	"errors"
	"fmt"
	"strings"

	"vsync/core"
	"vsync/core/store"
)

// node is a replica and what of it outlives its process.
type node struct {
	s    *Sim
	name string
	role core.Role
	mem  *store.Memory
	disk *store.Faulty // around mem, for this life of the process
	plan []store.Fault // of disk
	r    *core.Replica // nil while the process is down
	skew int64         // of its clock, ms

	gasps     bool   // what this life's crash refuses lands in the next
	lateAfter int    // so many calls later
	held      *gasp  // what lands in the next life
	late      *gasp  // what lands in this one
	landed    bool   // it was of the log, and came when the engine opened, or later
	copied    bool   // a copy was made of it there, with nothing behind it
	opened    uint64 // commit at which this life began

	waiting bool     // what the engine would do in the background waits, so that writes come together
	queued  []func() // that
	cp      int

	hurt     *hurt // of a device: what was done to its store, and is not mended yet
	repair   bool  // the next life opens with repair
	unsummed bool  // nor is it known what was there
	holed    bool  // its log has lost something: nothing can be made anew of all of it
}

const opensAtMost = 20 // until a store must have opened: each life has one fault at most

func (n *node) clock() uint64 { return uint64(max(int64(n.s.now)+n.skew, 1)) }

// start opens the store until it opens. What is damaged on purpose is opened elsewhere.
func (n *node) start() {
	for range opensAtMost {
		err := n.open(n.faults())
		if err == nil {
			return
		}
		n.s.logf("%s does not open: %v", n.name, err)
		if n.disk.Fired() == 0 && n.beginsAnew(err) {
			continue
		}
		if n.disk.Fired() == 0 && n.hopeless(err) {
			return
		}
		n.repair = false // whoever comes next begins without
		if n.disk.Fired() == 0 {
			n.s.fail("%s does not open, though nothing is wrong with its store: %v", n.name, err)
		}
	}
	err := n.open(nil)
	if err != nil && n.beginsAnew(err) {
		err = n.open(nil)
	}
	if n.hopeless(err) {
		return
	}
	if err != nil {
		n.s.fail("%s does not open, though nothing is wrong with its store: %v", n.name, err)
	}
}

// faults says what will go wrong with the store in the life of the process that begins.
func (n *node) faults() []store.Fault {
	if n.s.sweep != nil {
		return n.s.sweep.faults(n)
	}
	plan := n.s.storeFaults(n)
	if n.hurt != nil && n.hurt.unseen() {
		return nil // it is checked and repaired at once, which nothing is to keep it from
	}
	if n.repair {
		plan = calmly(plan)
	}
	return plan
}

func (n *node) open(plan []store.Fault) error {
	n.buried()
	n.mem = n.reborn(n.mem)
	n.plan = plan
	n.late, n.held, n.landed, n.copied = n.held, nil, false, false
	n.disk = store.NewFaulty(n.mem, plan...)
	if n.s.sweep != nil && len(plan) > 0 {
		n.s.sweep.disk = n.disk
	}
	r, err := core.Open(n.s.ctx, gasping{n.disk, n}, n.config())
	if err != nil {
		return err
	}
	n.r, n.opened, n.repair = r, r.State().Commit, false
	n.s.logf("%s opens: %s, faults %v", n.name, brief(r.State()), plan)
	return nil
}

// reborn is the store as the next process finds it.
func (n *node) reborn(m *store.Memory) *store.Memory {
	m = m.Clone()
	m.History = 8
	return m
}

func (n *node) config() core.Config {
	return core.Config{Role: n.role, Database: database, Now: n.clock, Rand: n.s.entropy, Feed: true,
		HubKey: []byte("a key of the simulation"), Repair: n.repair, CheckpointBytes: n.cp, StepBytes: n.s.plan.stepBytes, Go: n.background}
}

const database = "sim"

// background runs what an engine does beside its callers: at once, or when they have all come.
func (n *node) background(f func()) {
	if n.waiting {
		n.queued = append(n.queued, f)
	} else {
		f()
	}
}

// together lets writes wait for each other, so that they share a commit.
func (n *node) together(begin func()) {
	n.waiting = true
	begin()
	n.waiting = false
	for _, f := range n.queued {
		f()
	}
	n.queued = nil
}

// buried counts what went wrong with the store in a life that is over.
func (n *node) buried() {
	if n.disk != nil && n.disk.Fired() > 0 {
		n.s.did("store " + n.plan[0].Do.String())
	}
}

// kill ends the process; lost relaxed commits go with it, as in a power cut.
func (n *node) kill(lost int) {
	if n.r == nil {
		return
	}
	n.r.Kill()
	n.r = nil
	if lost > 0 {
		before := n.mem.Clone()
		n.mem = n.mem.PowerLoss(lost)
		n.held, n.late = nil, nil
		if n.mem.Size() != before.Size() || n.mem.Len() != before.Len() {
			n.s.did("uncommitted lost")
		}
	}
}

// lost says that the store died, so that the process has to end.
func (n *node) lost() bool {
	return n.r != nil && (n.disk.Dead() || n.disk.Fired() > 0 && n.r.State().Failed != nil)
}

// spent says that nothing more will go wrong with this life's store.
func (n *node) spent() bool { return n.disk.Fired() >= len(n.plan) }

// excused says that an error may be the store's doing.
func (n *node) excused() bool { return n.disk.Fired() > 0 || n.hurt != nil && !n.hurt.logged() }

// dump is the visible state as text; false if the store did not let it be read.
func (n *node) dump() (string, bool) {
	var b strings.Builder
	groups := map[string]core.Entry{}
	members := map[string]int{}
	for e, err := range n.r.Scan(n.s.ctx, core.ScanRange{}) {
		if err != nil {
			n.mayFail(err, "scan")
			return "", false
		}
		writeEntry(&b, e)
		n.s.whole(n.name, groups, members, e)
	}
	n.s.wholeGroups(n.name, members)
	return b.String(), true
}

func writeEntry(b *strings.Builder, e core.Entry) {
	fmt.Fprintf(b, "%s %s %s %v %v\n", e.Key, face(e.Value), e.Version, e.Conflict, e.Frontier)
}

// mayFail accepts an error of a read only if something has gone wrong with the store.
func (n *node) mayFail(err error, doing string) {
	if !n.excused() {
		n.s.fail("%s: %s fails, though nothing is wrong with its store: %v", n.name, doing, err)
	}
	if errors.Is(err, &core.Error{Code: core.Internal}) && !errors.Is(err, store.ErrIO) {
		n.s.fail("%s: %s: %v", n.name, doing, err)
	}
}

func brief(st core.State) string {
	return fmt.Sprintf("id %.4s gen %d/%d marker %d commit %d", st.Device, st.ConfirmedGen, st.LastGen, st.Marker.Seq, st.Commit)
}

// check runs the engine's own check.
func (n *node) check() {
	fired := n.disk.Fired()
	rep, err := n.r.Check(n.s.ctx)
	if err != nil {
		n.mayFail(err, "check")
		return
	}
	if !rep.OK && n.hurt == nil && n.disk.Fired() == fired { // else it was read wrong
		n.s.fail("%s: the check finds: %v", n.name, rep.Findings)
	}
}
