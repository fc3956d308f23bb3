package sim

import (
	"errors"
	"slices"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/store"
	"vsync/core/wire"
	"vsync/edge"
)

// In every second pair of seeds, applications end conflicts, and tabs give their writes numbers, so that they can ask again for what they were
// not answered; and where the hub loses data, somebody hands it back what it never had. The other seeds know nothing of that, and mean what
// they meant before.
func (s *Sim) drawAsks(p *plan) {
	if s.seed%4 < 2 {
		p.asks = 3
	}
}

func (s *Sim) askingWork(d *device) []action {
	n := s.plan.asks
	return []action{
		{"resolve", n, func() { d.resolve(false) }},
		{"pick", n, func() { d.resolve(true) }},
		{"equal", n, d.writeEqual},
		{"askagain", 2 * n, d.askAgain},
	}
}

// resolve ends a conflict: with a new value, or with that of one side. Then there is none, whatever the others had.
func (d *device) resolve(pick bool) {
	var all []core.Conflict
	for c, err := range d.r.Conflicts(d.s.ctx, core.ScanRange{Collection: singles}) {
		if err != nil {
			d.mayFail(err, "conflicts")
			return
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return
	}
	c := all[d.s.rnd.IntN(len(all))]
	w, value := d.s.newWrite()
	op := core.Op{Key: c.Key, Value: value, Seen: c.Versions()}
	if side := c.Sides[d.s.rnd.IntN(len(c.Sides))]; pick && len(side.Value) < mostPicked {
		op.Value, op.Delete = side.Value, side.Deleted
	}
	if !d.perform(w, core.Write{Ops: []core.Op{op}}) || d.r == nil {
		return
	}
	d.s.did("conflict ended")
	e, there, err := d.r.Get(d.s.ctx, c.Key)
	switch {
	case err != nil:
		d.mayFail(err, "get")
	case d.s.forked(): // a side may have been refused under a name that is another's by now
	case e.Conflict || there == op.Delete || there && (e.Version != w.version || len(e.Frontier) != 1):
		d.s.fail("promise 5: %s: the conflict of %s, of %v, was ended as %s, and it shows %s of %s, conflict %v, %v", d.name, c.Key, c.Versions(), w.version, note(e.Value), e.Version, e.Conflict, e.Frontier)
	}
	d.noticed()
}

// writeEqual writes over what is there what others write too: two who do so at once have two versions, and no conflict.
func (d *device) writeEqual() {
	key := d.s.single()
	e, _, err := d.r.Get(d.s.ctx, key)
	if err != nil {
		d.mayFail(err, "get")
		return
	}
	w, _ := d.s.newWrite()
	value, err := change.Encode("equal")
	if err != nil {
		d.s.fail("a value cannot be encoded: %v", err)
	}
	if e.Frontier == nil {
		e.Frontier = []change.Version{}
	}
	d.perform(w, core.Write{Ops: []core.Op{{Key: key, Value: value, Seen: e.Frontier}}})
	d.s.count("equal values")
}

// mostPicked is the length of values that are picked: no batch of one is refused, so that no problem shows a value by another's note.
const mostPicked = 200

// asked is a write that has a number of its tab, so that it can be asked for again.
type asked struct {
	w  *write
	cw core.Write
}

// tab is one that writes to a device's replica. It outlives the engine, and not the machine, nor a store that is put back.
type tab struct {
	name    [8]byte
	counter uint64
	asked   []asked
}

// number gives a write the next number of the device's tab. Those that depend on what was read are not asked for again.
func (d *device) number(w *write, cw *core.Write) {
	if d.s.plan.asks == 0 || len(cw.Checks) > 0 || slices.ContainsFunc(cw.Ops, func(o core.Op) bool { return o.Seen != nil || o.Key.Collection == ruled }) {
		return
	}
	if d.tab == nil {
		d.s.tabs++
		d.tab = &tab{name: [8]byte{1, byte(d.s.tabs >> 8), byte(d.s.tabs)}}
	}
	d.tab.counter++
	cw.Nonce = change.Nonce{Tab: d.tab.name, Counter: d.tab.counter}
	d.tab.asked = append(d.tab.asked[max(0, len(d.tab.asked)-mostAsked+1):], asked{w, *cw})
}

// mostAsked is how many writes a tab remembers.
const mostAsked = 8

// askAgain asks once more for a write, answered or not: it takes effect once. What was answered is answered so again, and nothing is
// written; what was not is there now, whether it was or not.
func (d *device) askAgain() {
	if d.tab == nil {
		return
	}
	s, a := d.s, d.tab.asked[d.s.rnd.IntN(len(d.tab.asked))]
	if i := slices.IndexFunc(d.tab.asked, func(a asked) bool { return a.w.fate == unknown }); i >= 0 {
		a = d.tab.asked[i]
	}
	w, cw := a.w, a.cw
	before := d.r.State()
	got, err := d.r.Write(s.ctx, cw)
	s.logf("%s asks again for %s, of which it was told %s: %v %v", d.name, w.note, w.fate, got.Version, err)
	switch {
	case err != nil && errors.Is(err, &core.Error{Code: core.Aborted}) && w.fate != confirmed:
		w.fate = refused
	case err != nil && errors.Is(err, store.ErrLost) && w.fate != confirmed:
		w.fate = unknown
		d.maybe[w.note] = true
	case (errors.Is(err, &core.Error{Code: core.Corrupt}) || errors.Is(err, &core.Error{Code: core.Aborted})) && (d.lostBytes(w.note) || w.fate != confirmed && len(d.unread) > 0):
		s.count("asked again for what cannot be told")
		d.tab.asked = slices.DeleteFunc(d.tab.asked, func(a asked) bool { return a.w == w })
	case err != nil:
		d.mayFail(err, "asking again")
	case w.fate == confirmed && d.r.State().LastGen != before.LastGen && d.lostBytes(w.note):
		s.count("asked again for what was lost")
		d.holds[w.note], w.version, w.retried, w.doubled = d.r.State().Commit, got.Version, true, true
		delete(d.maybe, w.note)
		delete(d.cutOff, w.note)
	case w.fate == confirmed && d.r.State().LastGen != before.LastGen:
		s.fail("promise 4: %s: %s was confirmed as %s, and is written as %s when its tab asks again", d.name, w.note, w.version, got.Version)
	case w.fate == confirmed:
		s.did("asked again")
	default:
		s.did("asked again without an answer")
		w.fate, w.version, w.contested = confirmed, got.Version, d.landed
		d.holds[w.note] = d.opened // what is there was stored before
		if d.r.State().LastGen != before.LastGen {
			d.holds[w.note] = d.r.State().Commit
			if d.copied { // what landed may be this write: the copy has it, and this engine has not read it
				w.retried, w.doubled = true, true
			}
		}
		delete(d.maybe, w.note)
	}
	d.noticed()
}

func (f fate) String() string {
	return [...]string{"nothing", "that it is stored", "that it failed"}[f]
}

// forge hands the hub back what it never had: an entry of its feed with another time, or another batch in it, under the proof that it gave for
// what it did have. It says that it stood behind the hub's end, so that it is asked.
func (s *Sim) forge() {
	n := int(s.model.head())
	if s.hub.r == nil || n == 0 {
		return
	}
	it := &s.model.items[s.rnd.IntN(n)]
	e, err := change.DecodeEntry(it.entry)
	if err != nil {
		s.fail("an entry of the feed cannot be read: %v", err)
	}
	id := change.DeviceID{15: 7, 14: byte(s.rnd.IntN(256))}
	b := &change.Batch{Header: change.Header{Device: id, Gen: 1, Stamp: s.now, Note: "forged"}}
	b.Mutations = []change.Mutation{{Kind: change.Put, Key: s.single(), Value: []byte{0xc0}}}
	body, err := b.Encode(change.Hash{})
	if err != nil {
		s.fail("a batch cannot be written: %v", err)
	}
	forged := change.NewBatchEntry(&b.Header, body, change.Annotation{Accepted: e.Annotation.Accepted})
	forged.MAC = e.MAC
	data, err := forged.Encode()
	if err != nil {
		s.fail("an entry cannot be written: %v", err)
	}
	s.did("forged")
	c := s.hub.edge.Connect(s.now, edge.Peer{Address: "forger"})
	defer c.Close()
	if s.askedBack(c, id) {
		s.tell(c, handback(data))
	}
}

// askedBack says that the hub lets a device hand back which names a place that the hub does not know.
func (s *Sim) askedBack(c *edge.Conn, id change.DeviceID) bool {
	n := s.model.head()
	end := s.hub.head()
	hello := &wire.Hello{Protocol: 1, Database: database, Device: id, LowestHeld: 1, Credit: 1000, Agent: "forger",
		Marker: change.Marker{Epoch: end.Epoch, Seq: n + 1, Hash: change.Hash{1}}, Trail: []change.Place{{Seq: n, Hash: s.model.hashAt(n)}}}
	w := s.welcomed(c, hello)
	return w != nil && w.Mode == wire.ModeReplay
}

func handback(entry []byte) []byte {
	frame, err := wire.Append(nil, &wire.Handback{Seq: 1, Entries: [][]byte{entry}})
	if err != nil {
		panic(err)
	}
	return frame
}

// replacing is what an object's frontier has to be when a write has named the versions that it replaces. It is not known where these
// are not there by these names, or where it is not asked for.
func (d *device) replacing(op *core.Op) (rest []change.Version, known bool) {
	if d.s.plan.asks == 0 || d.s.forked() {
		return nil, false
	}
	e, _, err := d.r.Get(d.s.ctx, op.Key)
	if err != nil || len(e.Frontier) > mostLeaves {
		return nil, false
	}
	for _, v := range op.Seen {
		if !slices.Contains(e.Frontier, v) {
			return nil, false
		}
	}
	return slices.DeleteFunc(slices.Clone(e.Frontier), func(v change.Version) bool { return slices.Contains(op.Seen, v) }), true
}

// mostLeaves is less than an object may have: beyond, the oldest go.
const mostLeaves = 60

// replaced holds what a write left beside it against what it should have.
func (d *device) replaced(w *write, op *core.Op, rest []change.Version) {
	e, _, err := d.r.Get(d.s.ctx, op.Key)
	if err != nil {
		d.mayFail(err, "get")
		return
	}
	want := append(slices.Clone(rest), w.version)
	slices.SortFunc(want, change.Version.Compare)
	if !slices.Equal(e.Frontier, want) {
		d.s.fail("%s: %s, over %v of %s, leaves %v, and should %v", d.name, w.note, op.Seen, op.Key, e.Frontier, want)
	}
	d.s.count("write over what is there")
}
