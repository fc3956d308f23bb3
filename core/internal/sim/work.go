package sim

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/store"
)

// Collections: of singles, every object is written by itself or with others, as it comes; those of one group are always
// written and deleted together, so that half a batch shows as a group whose members differ.
const (
	singles = "s"
	grouped = "g"
	groups  = 3
	members = 3
)

// fate is what a writer was told.
type fate uint8

const (
	unknown   fate = iota // the store died: it may be there or not
	confirmed             // it is stored
	refused               // nothing has happened
)

// write is one batch that an application wanted written. Its note names it wherever it goes.
type write struct {
	note      string
	ops       []core.Op
	strict    bool
	fate      fate
	version   change.Version   // as the writer was told
	seq       uint64           // its place in the feed; 0: none yet, or not any more
	came      bool             // it had one once
	voided    bool             // it was refused once
	retried   bool             // it was written anew when it had been refused
	anew      []change.Version // by these names
	doubled   bool             // it was written anew when no byte of it was left where it was asked for; the hub may have had it, or a copy
	dismissed bool             // its problem was, so nothing needs to show its values
	contested bool             // written where a dead engine's transaction of the log had landed, which may be of the same number

	does map[change.Key]*doings // to objects under field rules
}

// work is one thing that an application does.
func (s *Sim) work() {
	d := s.running()
	if d == nil {
		return
	}
	actions := []action{
		{"put", 10, func() { d.put() }},
		{"delete", 3, func() { d.write(core.Write{Ops: []core.Op{{Key: s.single(), Delete: true}}}) }},
		{"group", 8, func() { d.writeGroup() }},
		{"some", 4, func() { d.writeSome() }},
		{"several", 4, func() { d.writeSeveral() }},
		{"update", 4, func() { d.update() }},
		{"seen", 4, func() { d.writeSeen() }},
		{"scan", 3, func() { d.scanSlowly() }},
		{"history", 2, func() { d.history() }},
		{"watch", 6, func() { d.watch.drain() }},
		{"rewatch", 2, func() { d.watch.restart() }},
		{"dismiss", 4, func() { d.dismiss() }},
	}
	s.rnd.pick(slices.Concat(actions, s.ruledWork(d), s.askingWork(d))).do()
	d.noticed()
}

func (s *Sim) single() change.Key {
	return change.Key{Collection: singles, ID: fmt.Sprintf("k%d", s.rnd.IntN(s.plan.keys))}
}

func member(group, i int) change.Key {
	return change.Key{Collection: grouped, ID: fmt.Sprintf("%d/%d", group, i)}
}

// newWrite names a batch; the value of every object in it is that name, and something that makes it longer.
func (s *Sim) newWrite() (w *write, value []byte) {
	w = &write{note: fmt.Sprintf("n%d", len(s.writes)+1), strict: s.chance(s.plan.strict)}
	s.writes[w.note] = w
	length := s.rnd.IntN(60)
	switch {
	case s.plan.large && s.plan.hurt > 0 && s.chance(35): // each has rows of its own
		length = 12_500 + s.rnd.IntN(12_000)
	case s.plan.large && s.plan.hurt == 0 && s.chance(10):
		length = 10_000 + s.rnd.IntN(120_000)
	case s.chance(5) || s.plan.maxBatch > 0 && s.chance(10):
		length = s.rnd.IntN(5000)
	}
	value, err := change.Encode(w.note + strings.Repeat(".", length))
	if err != nil {
		s.fail("a value cannot be encoded: %v", err)
	}
	return w, value
}

// note is the name of the batch that wrote a value; "-" for none.
func note(value []byte) string {
	if value == nil {
		return "-"
	}
	v, err := change.DecodeValue(value)
	if m, is := v.(change.Map); is && noteInMap(m) != "" {
		return noteInMap(m)
	}
	text, is := v.(string)
	if err != nil || !is {
		return fmt.Sprintf("?%x", value[:min(len(value), 20)])
	}
	return strings.TrimRight(text, ".")
}

func (d *device) put() {
	w, value := d.s.newWrite()
	d.perform(w, core.Write{Ops: []core.Op{{Key: d.s.single(), Value: value}}})
}

// write writes a batch without values.
func (d *device) write(cw core.Write) {
	w, _ := d.s.newWrite()
	d.perform(w, cw)
}

func (d *device) writeGroup() {
	w, value := d.s.newWrite()
	g, del := d.s.rnd.IntN(groups), d.s.chance(20)
	var cw core.Write
	for i := range members {
		op := core.Op{Key: member(g, i), Value: value}
		if del {
			op = core.Op{Key: member(g, i), Delete: true}
		}
		cw.Ops = append(cw.Ops, op)
	}
	d.s.rnd.Shuffle(members, func(i, j int) { cw.Ops[i], cw.Ops[j] = cw.Ops[j], cw.Ops[i] })
	d.perform(w, cw)
}

// writeSeveral has several callers write at once, one of them what cannot be: they share a commit, or each has one, and each
// is told what became of its own.
func (d *device) writeSeveral() {
	s := d.s
	type asked struct {
		w    *write
		cw   core.Write
		wait func() (core.Receipt, error)
	}
	var all []asked
	d.together(func() {
		for range 2 + s.rnd.IntN(3) {
			w, value := s.newWrite()
			cw := core.Write{Ops: []core.Op{{Key: s.single(), Value: value}}, Note: w.note}
			if s.chance(25) {
				cw.Checks = []core.Check{{Key: cw.Ops[0].Key, Frontier: []change.Version{{Device: change.DeviceID{1}, Gen: 1}}}}
			}
			durability := store.Relaxed
			if w.strict {
				durability = store.Strict
			}
			w.ops, cw.Durability = cw.Ops, &durability
			all = append(all, asked{w, cw, d.r.Begin(s.ctx, cw)})
		}
	})
	s.did("group commit")
	failed := 0
	for i := range all {
		got, err := all[i].wait()
		if d.wrote(all[i].w, all[i].cw, got, err); err == nil && len(all[i].cw.Checks) > 0 {
			s.fail("%s: a write went through that depends on what never was", d.name)
		}
		if err != nil && len(all[i].cw.Checks) == 0 && !errors.Is(err, store.ErrLost) {
			failed++
		}
	}
	if failed > 1 && len(d.plan) > 0 && d.plan[0].Do == store.Fail {
		s.fail("promise 2: %s: %d of %d writes that came together were refused, where the store refused one commit", d.name, failed, len(all))
	}
}

// writeSome writes several singles at once.
func (d *device) writeSome() {
	w, value := d.s.newWrite()
	var cw core.Write
	for i := range d.s.plan.keys {
		if d.s.chance(50) {
			cw.Ops = append(cw.Ops, core.Op{Key: change.Key{Collection: singles, ID: fmt.Sprintf("k%d", i)}, Value: value})
		}
	}
	if len(cw.Ops) == 0 {
		cw.Ops = []core.Op{{Key: d.s.single(), Value: value}}
	}
	d.perform(w, cw)
}

// update reads an object and writes it if it is still as it was read; in between, others may write.
func (d *device) update() {
	key := d.s.single()
	e, _, err := d.r.Get(d.s.ctx, key)
	if err != nil {
		d.mayFail(err, "get")
		return
	}
	between := d.s.chance(30)
	d.s.did("update")
	if between {
		w, value := d.s.newWrite()
		if !d.perform(w, core.Write{Ops: []core.Op{{Key: key, Value: value}}}) || d.r == nil {
			return
		}
	}
	w, value := d.s.newWrite()
	frontier := e.Frontier
	if frontier == nil {
		frontier = []change.Version{}
	}
	ok := d.perform(w, core.Write{Ops: []core.Op{{Key: key, Value: value, Seen: frontier}}, Checks: []core.Check{{Key: key, Frontier: e.Frontier}}})
	if ok && between {
		d.s.fail("%s: an update went through, though %s was written since it was read", d.name, key)
	}
}

// writeSeen writes with what the application read some time ago, perhaps before a crash, or under another device id.
func (d *device) writeSeen() {
	if len(d.seen) == 0 || d.s.chance(40) {
		key := d.s.single()
		if e, _, err := d.r.Get(d.s.ctx, key); err == nil {
			d.seen = append(d.seen, seen{key, e.Frontier})
		}
		return
	}
	d.s.count("write with what was seen")
	old := d.seen[d.s.rnd.IntN(len(d.seen))]
	frontier := append([]change.Version{}, old.frontier...)
	if d.s.chance(20) {
		frontier = []change.Version{}
	}
	w, value := d.s.newWrite()
	op := core.Op{Key: old.key, Value: value, Seen: frontier}
	rest, known := d.replacing(&op)
	if d.perform(w, core.Write{Ops: []core.Op{op}}) && known && d.r != nil {
		d.replaced(w, &op, rest)
	}
	d.noticed()
}

// perform writes and notes what the application was told. It reports whether it was told that all is stored.
func (d *device) perform(w *write, cw core.Write) bool {
	s := d.s
	w.ops, cw.Note = cw.Ops, w.note
	durability := store.Relaxed
	if w.strict {
		durability = store.Strict
	}
	cw.Durability = &durability
	d.number(w, &cw)
	got, err := d.r.Write(s.ctx, cw)
	d.wrote(w, cw, got, err)
	if err == nil && d.sees(cw) {
		d.readBack(w, cw)
	}
	d.noticed()
	return err == nil
}

// wrote notes what the application was told of a write.
func (d *device) wrote(w *write, cw core.Write, got core.Receipt, err error) {
	s := d.s
	switch {
	case err == nil:
		w.fate, w.version, w.contested = confirmed, got.Version, d.landed
		d.holds[w.note] = d.r.State().Commit
		for _, op := range w.ops {
			s.count(map[bool]string{false: "put", true: "delete"}[op.Delete])
		}
		if len(w.ops) > 1 {
			s.count("batch")
		}
		s.did("write")
	case errors.Is(err, store.ErrLost):
		w.fate = unknown
		d.maybe[w.note] = true
	default:
		w.fate = refused
		s.did("refused write")
		d.refusal(w, cw, err)
	}
	s.logf("%s writes %s %s strict %v: %v %v", d.name, w.note, keysOf(cw.Ops), w.strict, got.Version, err)
}

// sees reports whether the write replaces what is visible.
func (d *device) sees(cw core.Write) bool {
	return !slices.ContainsFunc(cw.Ops, func(o core.Op) bool { return o.Seen != nil })
}

// refusal holds an error against what may refuse a write.
func (d *device) refusal(w *write, cw core.Write, err error) {
	var known *core.Error
	switch {
	case errors.Is(err, core.ErrChanged) && len(cw.Checks) > 0:
	case errors.As(err, &known) && known.Code == core.Invalid && !d.sees(cw):
		// A version that this store lost with its power, or that a backup does not have, was named as seen.
	default:
		d.mayFail(err, "write")
	}
}

// readBack reads what was just written.
func (d *device) readBack(w *write, cw core.Write) {
	op := cw.Ops[d.s.rnd.IntN(len(cw.Ops))]
	e, ok, err := d.r.Get(d.s.ctx, op.Key)
	switch {
	case err != nil:
		d.mayFail(err, "get")
	case ok == op.Delete || e.Version != w.version || e.Conflict || !op.Delete && note(e.Value) != w.note:
		d.s.fail("%s: %s reads as %s of %s (there %v, conflict %v) after %s was written as %s", d.name, op.Key, note(e.Value), e.Version, ok, e.Conflict, w.note, w.version)
	}
}

func keysOf(ops []core.Op) (keys []string) {
	for _, o := range ops {
		k := o.Key.Collection + "/" + o.Key.ID
		if o.Delete {
			k = "-" + k
		}
		keys = append(keys, k)
	}
	return keys
}

// scanSlowly reads all objects while others are being written: the reader sees one moment.
func (d *device) scanSlowly() {
	before, ok := d.dump()
	if !ok || d.lost() {
		return
	}
	d.s.did("scan")
	next, stop := iter.Pull2(d.r.Scan(d.s.ctx, core.ScanRange{Reverse: false}))
	defer stop()
	var b strings.Builder
	for {
		e, err, more := next()
		if !more {
			break
		}
		if err != nil {
			if !errors.Is(err, &core.Error{Code: core.Aborted}) {
				d.mayFail(err, "scan")
			}
			return
		}
		writeEntry(&b, e)
		if d.s.chance(30) {
			r := d.r
			d.writeGroup()
			if d.r != r { // it died meanwhile
				return
			}
		}
		if d.s.chance(10) {
			_ = d.r.Checkpoint(d.s.ctx)
			if d.lost() {
				return
			}
		}
	}
	if b.String() != before {
		d.s.fail("promise 2: %s: a scan saw\n%s\nand stood on\n%s", d.name, b.String(), before)
	}
}

// history reads one object's versions: each once, and newer ones before those that they replaced.
func (d *device) history() {
	d.s.did("history")
	d.historyOf(d.s.single())
}

func (d *device) historyOf(key change.Key) (versions map[change.Version]core.HistoryEntry) {
	versions = map[change.Version]core.HistoryEntry{}
	for h, err := range d.r.History(d.s.ctx, key) {
		if err != nil {
			d.mayFail(err, "history")
			return nil
		}
		if _, twice := versions[h.Version]; twice {
			d.s.fail("%s: the history of %s has %s twice", d.name, key, h.Version)
		}
		for v, other := range versions {
			if slices.Contains(h.Parents, v) && !d.s.forked() {
				d.s.fail("%s: the history of %s has %s before %s, which replaced it (%v)", d.name, key, v, h.Version, other.Parents)
			}
		}
		versions[h.Version] = h
	}
	return versions
}
