package sim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vsync/core"
	"vsync/core/change"
)

// What objects under field rules must show, folded from what applications did: a counter is the sum of what was added, a member and a line
// are there as long as somebody put them there whom nobody saw who took them away. Of versions and bytes this fold knows nothing: things
// are named by the notes of batches.

// added is what is there, with the notes of those who put it there.
type added map[string][]string

func (a added) clone() added {
	b := added{}
	for k, by := range a {
		b[k] = slices.Clone(by)
	}
	return b
}

func (a added) put(k, by string) {
	if !slices.Contains(a[k], by) {
		a[k] = append(a[k], by)
	}
}

// take takes away what somebody saw.
func (a added) take(k string, seen []string) {
	a[k] = slices.DeleteFunc(a[k], func(by string) bool { return slices.Contains(seen, by) })
	if len(a[k]) == 0 {
		delete(a, k)
	}
}

// merged is an object's value. It is not changed once it is in the model.
type merged struct {
	by                string
	n, flip, top, low int64
	pad               int
	tags, lines       added
	m                 map[string]int64
}

func (o *merged) clone() *merged {
	c := *o
	c.tags, c.lines, c.m = o.tags.clone(), o.lines.clone(), maps.Clone(o.m)
	return &c
}

// String is how it looks, whatever the order of members and lines.
func (o *merged) String() string {
	return fmt.Sprintf("{by %s n %d flip %d top %d low %d pad %d tags %v lines %v m %v}", o.by, o.n, o.flip, o.top, o.low, o.pad,
		slices.Sorted(maps.Keys(o.tags)), slices.Sorted(maps.Keys(o.lines)), o.m)
}

// encode is the value with its lines in order.
func (o *merged) encode(lines []string) []byte {
	tags := []any{}
	for _, tag := range slices.Sorted(maps.Keys(o.tags)) {
		tags = append(tags, tag)
	}
	m := change.Map{}
	for _, k := range slices.Sorted(maps.Keys(o.m)) {
		m = append(m, change.Field{Key: k, Value: change.Map{{Key: "n", Value: o.m[k]}}})
	}
	return encoded(change.Map{{Key: "by", Value: o.by}, {Key: "n", Value: o.n}, {Key: "flip", Value: o.flip}, {Key: "top", Value: o.top}, {Key: "low", Value: o.low},
		{Key: "tags", Value: tags}, {Key: "text", Value: strings.Join(lines, "\n")}, {Key: "m", Value: m}, {Key: "pad", Value: strings.Repeat(".", o.pad)}})
}

// readRuled reads a value; all in it is its writer's. Nil where it is none.
func readRuled(value []byte) (*merged, []string) {
	v, err := change.DecodeValue(value)
	m, is := v.(change.Map)
	if err != nil || !is {
		return nil, nil
	}
	o := &merged{tags: added{}, lines: added{}, m: map[string]int64{}}
	var lines []string
	for _, f := range m {
		switch v := f.Value.(type) {
		case string:
			switch f.Key {
			case "by":
				o.by = v
			case "pad":
				o.pad = len(v)
			case "text":
				lines = strings.Split(v, "\n")
			}
		case []any:
			for _, tag := range v {
				o.tags.put(fmt.Sprint(tag), "")
			}
		case change.Map:
			for _, k := range v {
				if in, is := k.Value.(change.Map); is && len(in) == 1 {
					o.m[k.Key] = number(in[0].Value)
				}
			}
		default:
			if at := map[string]*int64{"n": &o.n, "flip": &o.flip, "top": &o.top, "low": &o.low}[f.Key]; at != nil {
				*at = number(v)
			}
		}
	}
	for _, line := range lines {
		o.lines.put(line, "")
	}
	o.all(o.by)
	return o, lines
}

// membersOf are the members of a value, in its order.
func membersOf(value []byte) (tags []string) {
	v, _ := change.DecodeValue(value)
	m, _ := v.(change.Map)
	for _, f := range m {
		if list, is := f.Value.([]any); is && f.Key == "tags" {
			for _, tag := range list {
				tags = append(tags, fmt.Sprint(tag))
			}
		}
	}
	return tags
}

func number(v any) (n int64) {
	_, err := fmt.Sscan(fmt.Sprint(v), &n)
	if err != nil {
		n = -1 << 60 // no application writes it
	}
	return n
}

// all says that all was put there by one.
func (o *merged) all(by string) {
	for _, a := range []added{o.tags, o.lines} {
		for k := range a {
			a[k] = []string{by}
		}
	}
}

// face is how a value looks to its readers: of one that merges, all of it.
func face(value []byte) string {
	if len(value) == 0 || value[0]&0xf0 != 0x80 { // no map
		return note(value)
	}
	v, err := change.DecodeValue(value)
	if err != nil {
		return note(value)
	}
	if m, is := v.(change.Map); is && len(m) > 0 && m[0].Key == "version" {
		return fmt.Sprintf("rules %v of %s", m[0].Value, noteInMap(m))
	}
	o, _ := readRuled(value)
	return o.String()
}

// noteInMap is the name of the batch that wrote a map; empty where it says none.
func noteInMap(m change.Map) string {
	for _, f := range m {
		if list, is := f.Value.([]any); is && f.Key == "indexes" && len(list) == 1 {
			return fmt.Sprint(list[0])
		}
		if f.Key == "by" {
			return fmt.Sprint(f.Value)
		}
	}
	return ""
}

// noteOf is the name of a batch. Rules are written without one: they say it themselves.
func noteOf(b *change.Batch) string {
	if b.Note == "" && len(b.Mutations) == 1 && b.Mutations[0].Key.Collection == change.RulesCollection {
		return note(b.Mutations[0].Value)
	}
	return b.Note
}

// noteIn is noteOf the bytes of a batch, of which the header was read.
func noteIn(batch []byte, h *change.Header) string {
	if h.Note != "" {
		return h.Note
	}
	b, err := change.Decode(batch)
	if err != nil {
		return ""
	}
	return noteOf(b)
}

// mergedAt is what an object merges to from one place of the feed on; nil: it is its winner's.
type mergedAt struct {
	seq uint64
	*merged
}

// enacted are rules that are in force from behind a place of the feed.
type enacted struct {
	seq, version uint64
}

// rulesAt is the version of the rules in force for what comes behind a place.
func (m *model) rulesAt(seq uint64) (version uint64) {
	for _, r := range m.rules {
		if r.seq <= seq {
			version = max(version, r.version)
		}
	}
	return version
}

// mergedUpTo is what objects merge to at a place of the feed.
func (m *model) mergedUpTo(seq uint64) map[string]*merged {
	out := map[string]*merged{}
	for key, states := range m.merges {
		for i := len(states) - 1; i >= 0; i-- {
			if states[i].seq <= seq {
				out[key] = states[i].merged
				break
			}
		}
	}
	return out
}

// enact takes up the rules that a batch brings, behind it.
func (m *model) enact(seq uint64, b *change.Batch) {
	for i := range b.Mutations {
		if mu := &b.Mutations[i]; mu.Key.Collection == change.RulesCollection {
			v, _ := change.DecodeValue(mu.Value)
			if rules, is := v.(change.Map); is && len(rules) > 0 {
				m.rules = append(m.rules, enacted{seq, uint64(number(rules[0].Value))})
			}
		}
	}
}

// merge folds one mutation into what an object merges to; was are its leaves before.
func (m *model) merge(seq uint64, b *change.Batch, mu *change.Mutation, was []leaf) {
	w := m.s.writes[noteOf(b)]
	if mu.Key.Collection != ruled || w == nil || w.does[mu.Key] == nil {
		return
	}
	key := string(mu.Key.Encode())
	var before *merged
	if states := m.merges[key]; len(states) > 0 {
		before = states[len(states)-1].merged
	}
	m.merges[key] = append(m.merges[key], mergedAt{seq, fold(m.rulesAt(seq-1), before, was, w.does[mu.Key], w.note)})
}

// fold is what an object merges to after somebody's doings, under rules.
func fold(rules uint64, before *merged, was []leaf, does *doings, by string) *merged {
	if !folds(rules) {
		return nil
	}
	winner := winnerOf(was)
	if before == nil && winner != nil && !winner.deleted {
		before, _ = readRuled(winner.value)
	}
	deleted := winner == nil || winner.deleted
	switch {
	case does.delete:
		return before
	case before == nil || does.whole || does.nothing && deleted:
		return does.wrote.owned(by)
	}
	now := before.clone()
	wrote := does.wrote
	if does.assigns && !does.nothing {
		return now.assigned(does, by)
	}
	if now.by = by; does.pads || does.nothing {
		now.pad = wrote.pad
	}
	now.top, now.low = max(now.top, does.top), min(now.low, does.low)
	now.n += does.n
	if counts(rules) && (does.counts || does.nothing) {
		now.flip += does.flip
	} else {
		now.flip = wrote.flip
	}
	for k, n := range does.by {
		now.m[k] += n
	}
	for _, tag := range does.add {
		now.tags.put(tag, by)
	}
	for tag, seen := range does.remove {
		now.tags.take(tag, seen)
	}
	if does.nothing {
		for line := range wrote.lines {
			now.lines.put(line, by)
		}
	}
	if does.line != "" {
		now.lines.put(does.line, by)
	}
	for line, seen := range does.unline {
		now.lines.take(line, seen)
	}
	return now
}

// assigned is a value after the doings of one who set what he changed.
func (o *merged) assigned(does *doings, by string) *merged {
	wrote := does.wrote.owned(by)
	o.by, o.n, o.flip = by, wrote.n, wrote.flip
	if does.pads {
		o.pad = wrote.pad
	}
	if does.top != 0 {
		o.top = wrote.top
	}
	if does.low != 0 {
		o.low = wrote.low
	}
	for k := range does.by {
		o.m[k] = wrote.m[k]
	}
	if len(does.add)+len(does.remove) > 0 || does.sorts {
		o.tags = wrote.tags
	}
	if does.line != "" || len(does.unline) > 0 {
		o.lines = wrote.lines
	}
	return o
}

// owned is a value all of which is one batch's.
func (o *merged) owned(by string) *merged {
	c := o.clone()
	c.all(by)
	return c
}

func winnerOf(leaves []leaf) (winner *leaf) {
	for i := range leaves {
		if winner == nil || leaves[i].beats(winner) {
			winner = &leaves[i]
		}
	}
	return winner
}

// knows is who put what there of what a device sees of an object; nil where the model cannot say, or says something else, which compare
// finds.
func (d *device) knows(k change.Key, shown []byte) *merged {
	st := d.r.State()
	m := d.s.feedOf(st.Marker)
	if m == nil || d.orphans() || d.s.forked() || st.Pending < int(st.LastGen-st.ConfirmedGen) {
		return nil
	}
	layer, merges := m.at(st.Marker.Seq), m.mergedUpTo(st.Marker.Seq)
	if st.Pending > 0 && !d.overlay(m, layer, merges, st) {
		return nil
	}
	key := string(k.Encode())
	known := merges[key]
	if winner := winnerOf(layer[key]); known == nil && winner != nil && !winner.deleted {
		known, _ = readRuled(winner.value)
	}
	if known == nil || known.String() != face(shown) {
		return nil
	}
	return known
}

// checkUnknown: rules of a newer engine are a problem as long as they are in force, and no longer.
func (n *node) checkUnknown(version uint64) {
	ps, err := n.r.Problems(n.s.ctx)
	if err != nil {
		n.mayFail(err, "problems")
		return
	}
	listed := slices.ContainsFunc(ps, func(p core.Problem) bool { return p.Code == string(core.VersionUnknown) })
	if want := byFields(version) && !folds(version); listed != want {
		n.s.fail("promise 5: %s has rules of version %d in force, and lists them as a problem: %v", n.name, version, listed)
	}
}

// stays: nobody dismisses a problem that only a newer engine, or other rules, can end.
func (d *device) stays(p core.Problem) {
	if err := d.r.Dismiss(d.s.ctx, p.Version); !errors.Is(err, &core.Error{Code: core.Invalid}) {
		d.mayFail(fmt.Errorf("it is dismissed: %w", err), "keeping the problem of rules that are not known")
	}
}

// excusedMerge accepts that an object that merges shows something else where a segment of the log is damaged: of an own batch that is in it
// and was not sent, nobody knows any more what it changed. The check has to say so, and all else is as it was.
func (s *Sim) excusedMerge(r *core.Replica, kind byte, before, now string) bool {
	if kind != 'L' || s.plan.rules == 0 || unmerged(before) != unmerged(now) {
		return false
	}
	rep, err := r.Check(s.ctx)
	s.count("damage to what merges")
	return err != nil || len(rep.Findings) > 0
}

// judged is what is shown, as far as the model can say: where one name means two batches, what merges was perhaps added twice.
func (s *Sim) judged(shown string) string {
	if s.plan.rules == 0 || !s.forked() {
		return shown
	}
	return unmerged(shown)
}

// unmerged is what is shown but for what merges.
func unmerged(shown string) string {
	var b strings.Builder
	for line := range strings.Lines(shown) {
		if !strings.HasPrefix(line, ruled+"/") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// checkRules holds the rules in force, and the texts that they have made, against what is known of them.
func (n *node) checkRules(m *model, seq uint64) {
	s := n.s
	if s.plan.rules == 0 || s.forked() {
		return
	}
	if got, want := n.r.Rules(ruled).Version, m.rulesAt(seq); got != want {
		s.fail("promise 3: %s is at sequence %d and has rules of version %d in force, and the model %d", n.name, seq, got, want)
	}
	n.checkUnknown(m.rulesAt(seq))
	if n.r.State().Pending > 0 {
		return
	}
	merges := m.mergedUpTo(seq)
	for e, err := range n.r.Scan(s.ctx, core.ScanRange{Collection: ruled}) {
		if err != nil {
			n.mayFail(err, "scan")
			return
		}
		if o := merges[string(e.Key.Encode())]; o != nil {
			_, lines := readRuled(e.Value)
			s.inOrder(n.name, e.Key, o, lines)
		}
	}
}
