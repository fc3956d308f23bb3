package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/pages"
	"vsync/core/store"
	"vsync/core/watcher"
	"vsync/core/wire"
)

// whole takes an object that a scan has shown; wholeGroups then says whether a batch was torn.
func (s *Sim) whole(who string, first map[string]core.Entry, members map[string]int, e core.Entry) {
	if e.Key.Collection != grouped {
		return
	}
	group, _, _ := strings.Cut(e.Key.ID, "/")
	members[group]++
	if f, is := first[group]; !is {
		first[group] = e
	} else if f.Version != e.Version || note(f.Value) != note(e.Value) || f.Conflict != e.Conflict || !slices.Equal(f.Frontier, e.Frontier) {
		s.fail("promise 2: %s shows of group %s %s as %s %s %v, and %s as %s %s %v", who, group, f.Key.ID, note(f.Value), f.Version, f.Frontier, e.Key.ID, note(e.Value), e.Version, e.Frontier)
	}
}

func (s *Sim) wholeGroups(who string, seen map[string]int) {
	for _, group := range slices.Sorted(maps.Keys(seen)) {
		if seen[group] != members {
			s.fail("promise 2: %s shows %d objects of group %s, which has %d", who, seen[group], group, members)
		}
	}
}

// checkOne holds one replica against the model while all is in motion.
func (s *Sim) checkOne() {
	d := s.running()
	if d == nil {
		return
	}
	s.did("check")
	d.compare()
	d.noticed()
	if s.chance(20) && d.r != nil {
		d.check()
		d.noticed()
	}
	if s.chance(10) && s.hub.r != nil {
		s.hub.check()
	}
}

// checkConns holds what must be true of connections at any moment.
func (s *Sim) checkConns() {
	of := map[change.DeviceID]int{}
	for _, c := range s.conns {
		if c.hub == nil || c.over() {
			continue
		}
		if s.now > c.heard+deadAfter {
			s.fail("promise 6: conn %d: the hub has heard nothing for %d ms, and keeps the connection", c.id, s.now-c.heard)
		}
		id := c.hub.Info().Device
		if other := of[id]; other > 0 && !id.IsZero() {
			s.fail("promise 6: device %s has two connections at the hub, %d and %d", id, other, c.id)
		}
		of[id] = c.id
	}
}

// deadAfter is how long, in ms, the hub may keep a connection that is silent: 30 s, and the second in which it looks.
const deadAfter = 31_000

// slow says that a session was ended for want of credit.
func slow(text string) bool { return text == "the hub said bye: "+string(wire.WhySlow) }

// unanswered: a session was ended because the hub lives, and owes it something.
func unanswered(text string) bool {
	return strings.HasPrefix(text, "the hub answers pings, and nothing else")
}

// excuseFault accepts that a device found fault with the hub only if its own store was damaged meanwhile.
func (s *Sim) excuseFault(d *device, r watcher.Result) {
	if !d.excused() && !s.hub.excused() && r.Code != wire.CodeHash {
		s.fail("promise 6: %s finds fault with a hub that does as it should: %s %s", d.name, r.Code, r.Text)
	}
}

var errUntold = errors.New("sim: fewer batches are pending than were not confirmed")

// compare holds what a device shows against the model: the feed up to its marker, with its unsent batches on top.
func (d *device) compare() {
	s, st := d.s, d.r.State()
	m := s.feedOf(st.Marker)
	if m == nil {
		s.fail("promise 3: %s is at %d with hash %s, which no feed has; the hub's ends at %d", d.name, st.Marker.Seq, st.Marker.Hash, s.model.head())
	}
	if d.orphans() {
		return
	}
	if st.Pending < int(st.LastGen-st.ConfirmedGen) { // which the store did not tell
		d.mayFail(errUntold, "counting what is pending")
		return
	}
	layer, merges := m.at(st.Marker.Seq), m.mergedUpTo(st.Marker.Seq)
	if st.Pending > 0 && !d.overlay(m, layer, merges, st) {
		return
	}
	want := s.judged(show(layer, merges))
	got, ok := d.dump()
	if got = s.judged(got); ok && got != want {
		s.fail("promise 3: %s shows at sequence %d with %d pending\n%s\nand the model\n%s", d.name, st.Marker.Seq, st.Pending, got, want)
	}
	d.checkRules(m, st.Marker.Seq)
	d.checkDismissed()
	s.count("compared")
}

// overlay folds the unsent batches on a layer. It reports false where the model cannot say: what was sent under an id that the
// device gave up is not among them, and neither are the parents of what was voided, if it is no problem any more.
func (d *device) overlay(m *model, layer map[string][]leaf, merges map[string]*merged, st core.State) bool {
	if st.Pending != int(st.LastGen-st.ConfirmedGen) {
		return false
	}
	voided := voidParents{d: d, feed: m}
	rules := m.rulesAt(st.Marker.Seq)
	for from := st.ConfirmedGen + 1; from <= st.LastGen; {
		gens, batches, err := d.r.Unsent(d.s.ctx, from, 1<<20)
		if core.IsLost(err) && (len(d.unread) > 0 || d.hurt != nil) {
			return false // only the pages know
		}
		if err != nil {
			d.mayFail(err, "unsent")
			return false
		}
		from += change.Generation(len(gens))
		for _, bytes := range batches {
			b, err := change.Decode(bytes)
			if err != nil {
				d.s.fail("%s: an unsent batch cannot be read: %v", d.name, err)
			}
			if gone, known := d.isDismissed(b); !known {
				return false
			} else if gone {
				voided.passOver(b)
				continue
			}
			for i := range b.Mutations {
				m := &b.Mutations[i]
				parents, known := voided.effective(m.Key, m.Parents)
				if !known {
					return false
				}
				key := string(m.Key.Encode())
				if w := d.s.writes[noteOf(b)]; m.Key.Collection == ruled && w != nil && w.does[m.Key] != nil {
					merges[key] = fold(rules, merges[key], layer[key], w.does[m.Key], w.note)
				}
				layer[key] = grafted(layer[key], leaf{version: b.Version(), stamp: b.Stamp, deleted: m.Kind == change.Delete, value: m.Value}, parents)
			}
		}
	}
	return true
}

// voidParents finds what a batch that was voided had as parents, among the problems of the device that wrote it.
type voidParents struct {
	d    *device
	feed *model
	of   map[change.Version]map[change.Key][]change.Version
	gone map[change.Version]map[change.Key][]change.Version // which are unsent still, and were dismissed
}

// passOver notes what a batch has as parents that was dismissed: what was written over it is over these.
func (v *voidParents) passOver(b *change.Batch) {
	if v.gone == nil {
		v.gone = map[change.Version]map[change.Key][]change.Version{}
	}
	v.gone[b.Version()] = map[change.Key][]change.Version{}
	for i := range b.Mutations {
		v.gone[b.Version()][b.Mutations[i].Key] = b.Mutations[i].Parents
	}
}

// effective replaces parents that were voided by theirs; false where these are not known.
func (v *voidParents) effective(key change.Key, parents []change.Version) (out []change.Version, known bool) {
	for _, p := range parents {
		theirs, ok := v.gone[p][key]
		if !ok && !v.feed.voids[p] {
			out = append(out, p)
			continue
		}
		if !ok && !v.load() {
			return nil, false
		}
		if !ok {
			theirs, ok = v.of[p][key]
		}
		if !ok {
			return nil, false
		}
		if theirs, ok = v.effective(key, theirs); !ok {
			return nil, false
		}
		out = append(out, theirs...)
	}
	return out, true
}

func (v *voidParents) load() bool {
	if v.of != nil {
		return true
	}
	problems, err := v.d.r.Problems(v.d.s.ctx)
	if err != nil {
		v.d.mayFail(err, "problems")
		return false
	}
	v.of = map[change.Version]map[change.Key][]change.Version{}
	for _, p := range problems {
		v.of[p.Version] = map[change.Key][]change.Version{}
		for _, op := range p.Ops {
			v.of[p.Version][op.Key] = op.Seen
		}
	}
	return true
}

// checkEnd holds everything against every promise, when all is quiet.
func (s *Sim) checkEnd() {
	s.checkAll()
	s.checkBack()
	if s.chance(50) { // and once more after everything was opened again
		s.hub.down(0)
		s.hub.pump()
		for _, d := range s.devices {
			d.again(0)
		}
		s.checkAll()
	}
}

func (s *Sim) checkAll() {
	head := s.model.head()
	want := s.judged(show(s.model.at(head), s.model.mergedUpTo(head)))
	got, _ := s.hub.dump()
	if got = s.judged(got); got != want {
		s.fail("promise 3: the hub shows\n%s\nand the model\n%s", got, want)
	}
	s.hub.checkRules(s.model, head)
	s.hub.check()
	rows := s.hub.rows()
	for _, d := range s.devices {
		d.compare()
		orphans := d.orphans()
		if !orphans {
			d.check()
		}
		if got := d.rows(); got != rows && !orphans {
			s.fail("promise 3: %s has at sequence %d other rows than the hub (-):\n%s", d.name, s.model.head(), diff(rows, got))
		}
		d.watch.drain()
		d.watch.drain()
		d.receipts()
		if !orphans {
			d.values()
		}
	}
}

// diff is the lines that two texts do not share.
func diff(a, b string) string {
	var out strings.Builder
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for _, line := range as {
		if !slices.Contains(bs, line) {
			fmt.Fprintln(&out, "-", line)
		}
	}
	for _, line := range bs {
		if !slices.Contains(as, line) {
			fmt.Fprintln(&out, "+", line)
		}
	}
	return out.String()
}

// rows is the table of objects as it is stored, bit for bit.
func (n *node) rows() string {
	if err := n.r.Checkpoint(n.s.ctx); err != nil {
		n.s.fail("%s: a checkpoint fails after healing: %v", n.name, err)
	}
	snap := pages.New(n.mem.Clone(), 1).Snapshot()
	defer snap.Release()
	var b strings.Builder
	for kv, err := range snap.Scan(n.s.ctx, 'o', "", "", false) {
		if err != nil {
			n.s.fail("%s: its pages cannot be read: %v", n.name, err)
		}
		fmt.Fprintf(&b, "%q %x\n", kv.Key, kv.Value)
	}
	return b.String()
}

// receipts holds the feed against what the device's applications were told.
func (d *device) receipts() {
	s := d.s
	problems, err := d.r.Problems(s.ctx)
	if err != nil {
		d.mayFail(err, "problems")
		return
	}
	listed, named := map[string]bool{}, map[change.Version]bool{}
	for _, p := range problems {
		named[p.Version] = true
		for _, o := range p.Ops {
			listed[note(o.Value)] = true
		}
	}
	for _, n := range slices.Sorted(maps.Keys(d.holds)) {
		w := s.writes[n]
		var refusal *core.Error
		err := d.r.WaitSynced(&parking{Context: context.Background(), park: func() bool { return false }}, w.version)
		refused := errors.As(err, &refusal) && refusal.Gen > 0
		switch {
		case err != nil && !refused && !d.orphans() && !d.cutOff[n]:
			s.fail("promise 4: %s: the receipt of %s as %s: %v", d.name, n, w.version, err)
		case refused && s.plan.maxBatch == 0 && refusal.Code == core.Invalid:
			s.fail("promise 5: %s: the hub refuses %s as %s, and nothing is wrong with it: %v", d.name, n, w.version, refusal)
		case w.seq > 0:
		case w.dismissed || listed[n] || named[w.version] || s.displaced(n) || d.orphans():
		default:
			s.fail("promise 5: %s was confirmed as %s at %s, and is neither in the feed nor among the problems (receipt: %v)", n, w.version, d.name, err)
		}
	}
}

// values looks for every value of the feed in the history of its object.
func (d *device) values() {
	found := map[change.Key]map[change.Version]core.HistoryEntry{}
	for i := range d.s.model.items {
		b := d.s.model.items[i].batch
		if b == nil || d.s.renamed(&d.s.model.items[i]) {
			continue
		}
		for j := range b.Mutations {
			m := &b.Mutations[j]
			if found[m.Key] == nil {
				found[m.Key] = d.historyOf(m.Key)
			}
			h, ok := found[m.Key][b.Version()]
			if !ok && d.gapIn(m.Key) {
				d.s.count("not in the history any more")
				continue
			}
			if !ok || !bytes.Equal(h.Value, m.Value) {
				d.s.fail("promise 5: %s: the history of %s does not have what %s wrote as %s (there %v); it has %v", d.name, m.Key, noteOf(b), b.Version(), ok, slices.Collect(maps.Keys(found[m.Key])))
			}
		}
	}
}

// damageOne damages a copy of a store at rest. Where the log can mend it, opening and reading shows what was there; otherwise that, or
// CORRUPT is said.
func (s *Sim) damageOne() {
	n := &s.hub.node
	if d := s.running(); d != nil {
		n = &d.node
	}
	if n.r == nil || n.lost() || n.hurt != nil {
		return
	}
	before, ok := n.dump()
	if !ok || n.lost() || n.unsettled() { // what is late may land while this reads
		return
	}
	copied := n.mem.Clone()
	rows, err := copied.Scan(s.ctx, store.Range{})
	if err != nil {
		s.fail("a copy of the store cannot be read: %v", err)
	}
	if len(rows) == 0 { // it was full from the beginning
		return
	}
	key := rows[s.rnd.IntN(len(rows))].Key
	fault := store.Fault{Do: store.FlipBit, Bit: s.rnd.IntN(1 << 20)}
	if s.chance(30) && key[0] != 'L' { // a segment that ends with a record is a whole one
		fault = store.Fault{Do: store.Cut, Bytes: 1 + s.rnd.IntN(100)}
	}
	what := fmt.Sprintf("%x %v bit %d", key, fault, fault.Bit)
	kept := key[0] != 'M' || !s.countsNot(n, copied, key)
	if logged := key[0] == 'P' || key[0] == 'O' || key[0] == 'M'; logged && s.chance(20) {
		kept = false // there is nothing to keep
		what, err = fmt.Sprintf("%x missing", key), copied.Commit(s.ctx, &store.Tx{Ops: []store.Op{{Kind: store.OpDelete, Key: key}}})
	} else {
		_, err = store.Damage(s.ctx, copied, key, fault)
	}
	if err != nil {
		s.fail("a copy of the store cannot be damaged: %v", err)
	}
	s.did("damage")
	s.logf("a copy of %s is damaged: %s", n.name, what)
	if key[0] == 'L' {
		s.salvaged(n, copied.Clone(), what)
	}
	s.readDamaged(n, copied, before, what, key[0], kept)
}

// countsNot says that a summary is of a checkpoint that does not count: it was stored in part, without its superblock, or came late, from a dead
// engine, and was taken back by the first write of the next, which had read an earlier one. Nobody misses the row where it is gone, and nobody
// reads it until a checkpoint writes it again.
func (s *Sim) countsNot(n *node, m *store.Memory, key []byte) bool {
	if s.stats["store tear"] == 0 && s.stats["late commit"] == s.stats["late commit of the log"] {
		return false
	}
	m = m.Clone()
	if err := m.Commit(s.ctx, &store.Tx{Ops: []store.Op{{Kind: store.OpDelete, Key: key}}}); err != nil {
		s.fail("a row cannot be taken from a copy of the store: %v", err)
	}
	cfg := n.config()
	cfg.Rand = strings.NewReader(strings.Repeat("r", 64))
	r, err := core.Open(s.ctx, m, cfg)
	if err != nil {
		return false
	}
	defer r.Kill()
	found, err := r.Damage(s.ctx)
	if err != nil || slices.ContainsFunc(found, func(f core.Finding) bool { return f.Scope == core.ScopeSummary }) {
		return false
	}
	rep, err := r.Check(s.ctx)
	if err != nil || len(rep.Findings) > 0 {
		return false
	}
	s.count("damage to a summary that does not count")
	return true
}

func (s *Sim) readDamaged(n *node, m *store.Memory, before, what string, kind byte, kept bool) {
	cfg := n.config()
	cfg.Rand = strings.NewReader(strings.Repeat("r", 64))
	r, err := core.Open(s.ctx, m, cfg)
	if err == nil {
		var b strings.Builder
		for e, scanned := range r.Scan(s.ctx, core.ScanRange{}) {
			if err = scanned; err == nil {
				writeEntry(&b, e)
			}
		}
		if err == nil && b.String() != before && !s.excusedMerge(r, kind, before, b.String()) {
			s.fail("promise 7: with %s damaged, %s shows\n%s\nin place of\n%s", what, n.name, b.String(), before)
		}
		if err == nil {
			s.count("damage unseen")
			_, _ = r.Check(s.ctx)
		}
	}
	twice, scanErr := n.mem.Scan(s.ctx, store.Range{From: []byte{'S'}, To: []byte{'T'}})
	// Or stored twice. Of a log with a hole only the summaries say where it goes on.
	switch logged := kind == 'P' || kind == 'O' || kind == 'M' && !n.holed || kind == 'S' && scanErr == nil && len(twice) > 1; {
	case logged && err == nil:
		s.mended(n, m, r, what, kept)
	case logged:
		s.fail("promise 7: with %s damaged, which the log has, %s says: %v", what, n.name, err)
	}
	if err != nil && !errors.Is(err, &core.Error{Code: core.Corrupt}) && !errors.Is(err, &core.Error{Code: core.VersionUnknown}) {
		s.fail("promise 7: with %s damaged, %s says: %v", what, n.name, err)
	}
}

// mended holds what was mended: once it is written, nothing is damaged, and what was is kept, if it is to be.
func (s *Sim) mended(n *node, m *store.Memory, r *core.Replica, what string, kept bool) {
	found, err := r.Check(s.ctx) // which meets what nobody has read
	if err == nil {
		err = r.Checkpoint(s.ctx)
	}
	if errors.Is(err, &core.Error{Code: core.Corrupt}) {
		s.fail("promise 7: with %s damaged, %s writes no checkpoint: %v", what, n.name, err)
	}
	if err != nil { // a full disk
		return
	}
	if rep, err := r.Check(s.ctx); err != nil || !rep.OK {
		s.fail("promise 7: with %s damaged, %s finds after a checkpoint %v: %v", what, n.name, err, rep.Findings)
	}
	// What no page names, and a large value that is written again already: nobody reads it, and the checkpoint took it away.
	gone := slices.ContainsFunc(found.Findings, func(f core.Finding) bool {
		return strings.HasPrefix(what, fmt.Sprintf("%x ", f.Row)) && (f.Harmless || f.Row[0] == 'O' && f.Repair == "")
	})
	if !gone && kept {
		s.setAside(n, m.Clone(), what)
	}
}

// setAside holds that what was damaged is kept as it was: who opens the store later has it listed.
func (s *Sim) setAside(n *node, m *store.Memory, what string) {
	cfg := n.config()
	cfg.Rand = strings.NewReader(strings.Repeat("r", 64))
	r, err := core.Open(s.ctx, m, cfg)
	if err != nil {
		s.fail("promise 7: with %s damaged, and mended, %s does not open: %v", what, n.name, err)
	}
	if aside, err := r.Damage(s.ctx); err != nil || len(aside) == 0 {
		s.fail("promise 5: with %s damaged, and mended, %s lists nothing of it: %v", what, n.name, err)
	}
}

// salvaged opens a store with a damaged segment with repair. What it can say is CORRUPT, if the hole is before the checkpoint; else all fits
// but for the segment, and it is the same when it is opened once more.
func (s *Sim) salvaged(n *node, m *store.Memory, what string) {
	cfg := n.config()
	show := func(m *store.Memory, repair bool) (string, bool) {
		cfg.Rand, cfg.Repair = strings.NewReader(strings.Repeat("r", 256)), repair
		r, err := core.Open(s.ctx, m, cfg)
		if err != nil {
			if !repair || !errors.Is(err, &core.Error{Code: core.Corrupt}) && !errors.Is(err, &core.Error{Code: core.VersionUnknown}) && !errors.Is(err, &core.Error{Code: core.Quota}) {
				s.fail("promise 7: with %s damaged, %s opened with repair %v says: %v", what, n.name, repair, err)
			}
			return "", false
		}
		defer r.Kill()
		var b strings.Builder
		for e, err := range r.Scan(s.ctx, core.ScanRange{}) {
			if err != nil {
				s.fail("promise 7: with %s damaged, %s opened with repair %v cannot be read: %v", what, n.name, repair, err)
			}
			writeEntry(&b, e)
		}
		rep, err := r.Check(s.ctx)
		if err != nil {
			s.fail("promise 7: with %s damaged, %s opened with repair %v cannot be checked: %v", what, n.name, repair, err)
		}
		for _, f := range rep.Findings {
			if f.Scope != core.ScopeSegment && f.Repair == "" && !f.Harmless {
				s.fail("promise 7: with %s damaged, %s opened with repair %v finds %v", what, n.name, repair, rep.Findings)
			}
		}
		return b.String(), true
	}
	first, ok := show(m, true)
	if !ok {
		return
	}
	s.count("salvaged")
	if again, _ := show(m.Clone(), false); again != first {
		s.fail("promise 7: with %s damaged, %s shows after a repair\n%s\nand when it is opened again\n%s", what, n.name, first, again)
	}
	repaired := m.Clone()
	cfg.Rand, cfg.Repair = strings.NewReader(strings.Repeat("r", 256)), true
	s.passedOver(n, repaired, cfg, what)
	if again, _ := show(repaired.Clone(), false); again != first {
		s.fail("promise 7: with %s damaged, %s shows after a second repair\n%s\nand before it\n%s", what, n.name, again, first)
	}
}

// passedOver repairs what can be repaired while a store is open: then nothing is damaged any more.
func (s *Sim) passedOver(n *node, m *store.Memory, cfg core.Config, what string) {
	r, err := core.Open(s.ctx, m, cfg)
	if err != nil {
		s.fail("promise 7: with %s damaged, %s opened with repair, and then: %v", what, n.name, err)
	}
	defer r.Kill()
	rep, err := r.Repair(s.ctx)
	if err == nil {
		rep, err = r.Check(s.ctx)
	}
	if errors.Is(err, &core.Error{Code: core.Quota}) {
		return
	}
	if err != nil || !rep.OK {
		s.fail("promise 7: with %s damaged, %s finds after a repair %v: %v", what, n.name, err, rep.Findings)
	}
}
