package merge

import (
	"slices"
	"testing"

	"vsync/core/change"
)

// A town is a hub and devices that share one object, as the replica will hold it: a confirmed layer that folds the feed in its order,
// and own unsent mutations on top. It is what the package is for, in small, so that histories can be told.
//
//	device: write ▶ pending ── push ──▶ hub: feed ── pull ──▶ device: confirmed
type town struct {
	t       testing.TB
	feed    []post
	hub     object
	devices []*device
	voided  map[change.Version][]change.Version // what a voided one had as parents
}

// A post is a place of the feed: a mutation, a void, or rules.
type post struct {
	write
	void  bool
	rules *Rules
}

type write struct {
	Write
	parents []change.Version
	deleted bool
}

// An object is one layer: leaves, and the state.
type object struct {
	leaves []leaf
	state  State
	rules  *Rules
}

type leaf struct {
	version change.Version
	deleted bool
	value   []byte
}

type device struct {
	*town
	letter    byte
	gen       int
	at        int // how much of the feed it has
	confirmed object
	pending   []write
}

func newTown(t testing.TB, rules *Rules, devices int) *town {
	w := &town{t: t, voided: map[change.Version][]change.Version{}, hub: object{rules: rules}}
	for i := range devices {
		w.devices = append(w.devices, &device{town: w, letter: byte('a' + i), confirmed: object{rules: rules}})
	}
	return w
}

// fold takes a mutation in: a step of the fold in feed order.
func (o *object) fold(w write) {
	var kept []leaf
	for _, l := range o.leaves {
		if !slices.Contains(w.parents, l.version) {
			kept = append(kept, l)
		}
	}
	o.leaves = append(kept, leaf{w.Version, w.deleted, w.Value})
	switch {
	case !w.deleted:
		o.state = o.rules.Apply(o.state, w.Write)
	case !slices.ContainsFunc(o.leaves, func(l leaf) bool { return !l.deleted }):
		o.state.Deleted = true
	}
}

// visible is the confirmed layer with the device's own on top.
func (d *device) visible() object {
	o := object{slices.Clone(d.confirmed.leaves), d.confirmed.state, d.confirmed.rules}
	for _, w := range d.pending {
		w.parents = d.effective(w.parents)
		o.fold(w)
	}
	return o
}

func (o *object) frontier() (list []change.Version) {
	for _, l := range o.leaves {
		list = append(list, l.version)
	}
	return list
}

// put writes a value, as one who sees what the device shows.
func (d *device) put(value []byte) change.Version {
	o := d.visible()
	return d.write(write{parents: o.frontier(), Write: Write{Changes: o.rules.Diff(o.state.Shown(), o.state, value), Value: value}})
}

func (d *device) delete() change.Version {
	o := d.visible()
	return d.write(write{parents: o.frontier(), deleted: true})
}

func (d *device) write(w write) change.Version {
	d.gen++
	w.Version = version(d.letter, d.gen)
	d.pending = append(d.pending, w)
	return w.Version
}

// push sends the oldest unsent mutation, which the hub takes or voids.
func (d *device) push(void bool) {
	w := d.pending[0]
	d.pull() // the place before it; what the device does in one turn
	d.pending = d.pending[1:]
	p := post{write: w, void: void}
	p.parents = d.effective(p.parents)
	if void {
		d.voided[p.Version] = p.parents
	} else {
		d.hub.fold(p.write)
	}
	d.feed = append(d.feed, p)
	d.take(p)
}

// effective replaces voided parents by theirs.
func (w *town) effective(parents []change.Version) (list []change.Version) {
	for _, p := range parents {
		more := []change.Version{p}
		if theirs, is := w.voided[p]; is {
			more = theirs
		}
		for _, v := range more {
			if !slices.Contains(list, v) {
				list = append(list, v)
			}
		}
	}
	return list
}

func (d *device) take(p post) {
	d.at++
	switch {
	case p.rules != nil:
		d.confirmed.rules = p.rules
	case !p.void:
		d.confirmed.fold(p.write)
	}
}

// pull takes in all that the feed has.
func (d *device) pull() { d.pullTo(len(d.feed)) }

func (d *device) pullTo(at int) {
	for d.at < at {
		d.take(d.feed[d.at])
	}
}

// raise puts other rules into the feed.
func (w *town) raise(r *Rules) {
	w.feed = append(w.feed, post{rules: r})
	w.hub.rules = r
}

// settle sends all and lets everyone have all.
func (w *town) settle() {
	for _, d := range w.devices {
		for len(d.pending) > 0 {
			d.push(false)
		}
	}
	for _, d := range w.devices {
		d.pull()
	}
}

// agree fails where a device holds something else than the hub.
func (w *town) agree() {
	w.t.Helper()
	for _, d := range w.devices {
		if got, want := d.confirmed.state, w.hub.state; !sameState(got, want) {
			w.t.Fatalf("device %c has %s (%x) of %s, the hub %s (%x) of %s", d.letter, js(w.t, got.Value), got.Marks, got.Origin,
				js(w.t, want.Value), want.Marks, want.Origin)
		}
		if !slices.Equal(d.confirmed.frontier(), w.hub.frontier()) {
			w.t.Fatalf("device %c has other leaves than the hub", d.letter)
		}
	}
}

func sameState(a, b State) bool {
	return string(a.Value) == string(b.Value) && (a.Value == nil) == (b.Value == nil) && string(a.Marks) == string(b.Marks) && a.Origin == b.Origin && a.Deleted == b.Deleted
}
