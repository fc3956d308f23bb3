package sim

import (
	"fmt"
	"strings"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/store"
)

// Sweep is one workload, always the same, in which one call of one store goes wrong. To let every call go wrong in turn, run
// it for N = 1, 2, 3 … until the fault does not fire any more.
type Sweep struct {
	Node  string // "hub", "d1" or "d2"
	Life  int    // of its process: 1 is the first
	Fault store.Fault
	Late  bool // CrashBefore: the commit lands in the next life of the process
}

// sweeping is a sweep that is under way.
type sweeping struct {
	Sweep
	lives map[string]int
	disk  *store.Faulty // that has the fault
}

func (w *sweeping) faults(n *node) []store.Fault {
	w.lives[n.name]++
	n.gasps = false
	if !n.s.healing && n.name == w.Node && w.lives[n.name] == w.Life {
		n.gasps, n.lateAfter = w.Late, 1+w.Fault.N%lateBy
		return []store.Fault{w.Fault}
	}
	return nil
}

// Run runs the workload, heals, and checks every promise. fired says whether the fault has happened.
func (w Sweep) Run(trace bool) (fired bool, failure *Failure) {
	s := newSim(1, trace)
	s.plan = plan{checkBytes: 900, hubBytes: 1500, stepBytes: 1, maxBatch: 900, keys: 3, hubFaults: true, power: 1, strict: 50}
	s.sweep = &sweeping{Sweep: w, lives: map[string]int{}}
	defer func() {
		if p := recover(); p != nil {
			failure = s.failure(p)
			failure.Text = fmt.Sprintf("%s, life %d, %v: %s", w.Node, w.Life, w.Fault, failure.Text)
		}
		fired = s.sweep.disk != nil && s.sweep.disk.Fired() > 0
		s.stop()
	}()
	s.workload()
	s.heal()
	s.checkEnd()
	return fired, nil
}

// workload has writes of every kind, a conflict, a refused batch, checkpoints, and a second life of everybody.
func (s *Sim) workload() {
	s.hub = s.newHub()
	s.newDevice()
	s.newDevice()
	for s.step = 1; s.step <= 48; s.step++ {
		for i, d := range s.devices {
			if d.r != nil && !d.lost() {
				s.play(d, s.step+i)
			}
			d.noticed()
		}
		if s.step%3 != 0 { // between, both write what the other has not seen
			s.calm()
		}
		switch s.step {
		case 16:
			s.devices[0].again(0)
		case 20:
			s.hub.down(0)
		case 24:
			s.devices[1].again(1)
		}
	}
}

// again ends the process and starts the next one at once.
func (d *device) again(lost int) {
	d.down(lost)
	d.upAt = d.s.now
	d.pump()
}

// play is what a device does in a step.
func (s *Sim) play(d *device, n int) {
	switch n % 8 {
	case 0:
		d.writeGroup()
	case 1:
		d.put()
	case 2:
		d.update()
	case 3:
		w, value := s.newWrite()
		key := func(i int) change.Key { return change.Key{Collection: singles, ID: fmt.Sprintf("k%d", i)} }
		d.perform(w, core.Write{Ops: []core.Op{{Key: key(0), Value: value}, {Key: key(1), Delete: true}, {Key: key(2), Value: value}}})
	case 4:
		d.watch.drain()
		d.writeSeen()
	case 5: // larger than this hub takes
		w, _ := s.newWrite()
		value, _ := change.Encode(w.note + strings.Repeat(".", 1500))
		d.perform(w, core.Write{Ops: []core.Op{{Key: s.single(), Value: value}}})
	case 6:
		_ = d.r.Checkpoint(s.ctx)
	case 7:
		d.scanSlowly()
	}
}

// calm lets frames arrive until none is on its way; a little time passes.
func (s *Sim) calm() {
	for range 200 {
		s.pump()
		if !s.deliverAny() {
			break
		}
	}
	s.now += 700
}
