package core

import (
	"slices"
	"strings"

	"vsync/core/change"
	"vsync/core/changelog"
)

// A tab that lost its engine asks the next one again for what was not answered. A write that names a nonce takes effect once:
//
//	Write (tab, counter) ─▶ counter > the tab's highest ─▶ a new batch, whose header has the nonce
//	                    └─▶ counter ≤ the tab's highest ─▶ the batch of that nonce, by the name that it has today; nothing is written
//
// Where segments of the log are lost, the nonces that stood there are known no more, but for the highest. Who asks for a lower one, which is
// not found, is told so. What a hole cut off, which is in quarantine, is found there. But a batch of which no byte is left, at the end of the
// log, is written again; should the hub have had it already, it has it twice then.
//
// The highest counter of each tab stands in the head, and is what the log says. A tab's counters rise along the log, so that a lower
// one is found by going back from the tab's latest batch.
type tab struct {
	name    [8]byte
	counter uint64         // highest that was committed
	version change.Version // of its batch, by the name of that time
}

// wrote notes a batch of this replica. The tabs are never changed in place: states of before share them.
func (h *head) wrote(n change.Nonce, v change.Version) {
	if n.IsZero() {
		return
	}
	i := h.tab(n.Tab)
	if i >= 0 && h.tabs[i].counter >= n.Counter {
		return // written again under a new id
	}
	tabs := make([]tab, 0, len(h.tabs)+1)
	for j := range h.tabs {
		if j != i {
			tabs = append(tabs, h.tabs[j])
		}
	}
	if len(tabs) >= maxTabs {
		tabs = tabs[1:]
	}
	h.tabs = append(tabs, tab{n.Tab, n.Counter, v})
}

func (h *head) tab(name [8]byte) int {
	return slices.IndexFunc(h.tabs, func(t tab) bool { return t.name == name })
}

// written returns the batch that was committed with a nonce; false if the nonce is a new one.
//
// Errors: ABORTED for one that was passed over: its write failed, and later ones of its tab did not. CORRUPT where it cannot be told.
func (r *Replica) written(s *stage, n change.Nonce) (change.Version, bool, error) {
	if n.IsZero() {
		return change.Version{}, false, nil
	}
	i := s.state.tab(n.Tab)
	if i < 0 || n.Counter > s.state.tabs[i].counter {
		return r.strandedAs(s.ctx, n)
	}
	latest := &s.state.tabs[i]
	v := s.state.today(latest.version)
	if n.Counter == latest.counter {
		return v, true, nil
	}
	lost := false
	found, err := r.found.behind(s, n)
	if err == nil && found.IsZero() {
		found, lost, err = s.findBefore(v, n)
	}
	if err == nil && found.IsZero() {
		if found, is, err := r.strandedAs(s.ctx, n); is || err != nil {
			return found, is, err
		}
	}
	if err != nil {
		return found, false, err
	}
	if found.IsZero() && lost {
		return found, false, errorf(Corrupt, "whether write %d of the tab %x is stored cannot be told, as a segment of the log that may have had it is lost: look what is there before you write it again", n.Counter, n.Tab)
	}
	if found.IsZero() {
		return found, false, errorf(Aborted, "write %d of the tab %x is not stored, and %d is: it had failed, or is lost with the end of the log; write it again under a new number", n.Counter, n.Tab, latest.counter)
	}
	r.found = answered{n, found}
	return found, true, nil
}

// answered is the batch of a nonce that was asked for last: the next that is asked for mostly stands behind it.
type answered struct {
	nonce   change.Nonce
	version change.Version
}

func (a *answered) behind(s *stage, n change.Nonce) (change.Version, error) {
	if a.nonce.Tab != n.Tab || a.nonce.Counter >= n.Counter {
		return change.Version{}, nil
	}
	v := s.state.today(a.version)
	for _, run := range s.state.runs() {
		if run.device != v.Device {
			continue
		}
		for v.Gen++; v.Gen <= run.last; v.Gen++ {
			if have, _, err := s.nonce(v); err != nil || have == n {
				return v, err
			} else if have.Tab == n.Tab && have.Counter > n.Counter {
				break
			}
		}
	}
	return change.Version{}, nil
}

// findBefore looks for a nonce among the batches before v; the zero version if there is none. lost says that some cannot be read.
func (s *stage) findBefore(v change.Version, n change.Nonce) (found change.Version, lost bool, err error) {
	for _, run := range slices.Backward(s.state.runs()) {
		if v.Device != run.device && !v.IsZero() {
			continue // what was written after v
		}
		g := run.last
		if !v.IsZero() {
			g = v.Gen - 1
		}
		v = change.Version{}
		for ; g > 0; g-- {
			at := change.Version{Device: run.device, Gen: g}
			have, gone, err := s.nonce(at)
			if err != nil || have == n {
				return at, false, err
			}
			if lost = lost || gone; have.Tab == n.Tab && have.Counter < n.Counter && !have.IsZero() {
				return change.Version{}, lost, nil
			}
		}
	}
	return change.Version{}, lost, nil
}

// A run is what this replica wrote under one id and is still named so: generations 1 to last.
type run struct {
	device change.DeviceID
	last   change.Generation
}

// runs are all batches of this replica, the oldest first.
func (h *head) runs() (out []run) {
	for _, a := range h.aliases {
		out = append(out, run{a.Old, a.Common})
	}
	return append(out, run{h.device, h.lastGen})
}

// nonce returns that of an own batch, zero where it has none; lost where that cannot be read, and where it is what was left of such a one.
func (s *stage) nonce(v change.Version) (n change.Nonce, lost bool, err error) {
	batch, _, ok, err := s.log.Find(s.ctx, v)
	if unlessDamaged(err) != nil {
		return n, false, err
	}
	for i := len(s.items) - 1; !ok && i >= 0; i-- {
		if it := s.items[i]; it.Kind == changelog.ItemBatch {
			have, _ := change.PeekVersion(it.Data)
			batch, ok = it.Data, have == v
		}
	}
	if !ok {
		return n, true, nil
	}
	h, _, err := change.DecodeHeader(batch)
	return h.Nonce, strings.HasPrefix(h.Note, leftNote), err
}
