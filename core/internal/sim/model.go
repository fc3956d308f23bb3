package sim

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"vsync/core"
	"vsync/core/change"
)

// model is the feed as the hub told it, folded by code of its own: it shares decoders with the engine, and nothing else.
type model struct {
	s        *Sim
	items    []item // by sequence − 1
	last     map[change.DeviceID]change.Generation
	chain    map[change.DeviceID]change.Hash
	objects  map[string][]state // by key, in the order of the feed
	notes    map[string]uint64  // where each note came
	accepted uint64             // the hub's latest time, but for what was handed back
	voids    map[change.Version]bool
	merges   map[string][]mergedAt // by key, in the order of the feed
	rules    []enacted             // of the collection that merges
}

// allowedSkew is how far, in ms, a batch's time may lie after the hub's.
const allowedSkew = 60_000

// item is one place of the feed.
type item struct {
	entry []byte
	hash  change.Hash // running, after it
	name  change.Version
	batch *change.Batch // nil: a void
	of    change.Hash   // of what it is about
	note  string        // of the batch, also of one that was refused, as far as that is known
	back  bool          // it was in a feed before that the hub lost

	accepted uint64 // when the hub took it, or took it first
}

// id is what an entry is known by, whichever device brings it, and in whichever feed.
func (it *item) id() string {
	switch {
	case it.batch != nil:
		return it.note
	case it.note != "":
		return voidOf(it.note)
	}
	return fmt.Sprintf("the void %s of %s", it.name, it.of)
}

func voidOf(note string) string { return "the void of " + note }

// state is an object from one place of the feed on.
type state struct {
	seq    uint64
	leaves []leaf
}

type leaf struct {
	version         change.Version
	stamp, accepted uint64
	deleted         bool
	value           []byte
}

func newModel(s *Sim) *model {
	return &model{s: s, last: map[change.DeviceID]change.Generation{}, chain: map[change.DeviceID]change.Hash{},
		objects: map[string][]state{}, notes: map[string]uint64{}, voids: map[change.Version]bool{}, merges: map[string][]mergedAt{}}
}

func (m *model) head() uint64 { return uint64(len(m.items)) }

func (m *model) hashAt(seq uint64) change.Hash {
	if seq == 0 {
		return change.Hash{}
	}
	return m.items[seq-1].hash
}

// told takes what the hub tells its readers.
func (m *model) told(es []core.FeedEntry) {
	for i := range es {
		if es[i].Seq != m.head()+1 {
			m.s.fail("the hub tells sequence %d after %d", es[i].Seq, m.head())
		}
		m.add(&es[i])
	}
}

// branch returns a model of a feed that begins with some entries.
func (m *model) branch(items []item) *model {
	b := newModel(m.s)
	for i := range items {
		b.take(items[i].entry)
	}
	return b
}

// reopened reads the feed of a hub that was opened: what it told before is there, and at most what it was storing when
// it died is new.
func (m *model) reopened(h *hub) {
	for seq := uint64(0); ; {
		es, err := h.r.ReadFeed(m.s.ctx, seq, 1<<20)
		if err != nil {
			h.mayFail(err, "reading the feed")
			h.kill(0)
			h.start()
			seq = 0
			continue
		}
		if len(es) == 0 {
			if seq < m.head() {
				m.s.fail("promise 1: the hub's feed ends at %d after it was opened, and it had told %d", seq, m.head())
			}
			return
		}
		for i := range es {
			seq++
			switch {
			case es[i].Seq != seq:
				m.s.fail("the hub's feed has %d at the place of %d", es[i].Seq, seq)
			case seq <= m.head() && !bytes.Equal(es[i].Entry, m.items[seq-1].entry):
				m.s.fail("promise 1: the hub's feed has another entry at %d than it told", seq)
			case seq > m.head():
				m.add(&es[i])
			}
		}
	}
}

// add takes an entry that is new in the feed.
func (m *model) add(f *core.FeedEntry) {
	s := m.s
	it := m.take(f.Entry)
	switch {
	case it.hash != f.Hash:
		s.fail("the running hash at %d is %s, and the hub says %s", f.Seq, it.hash, f.Hash)
	case it.back:
		s.count("handed back")
		if it.batch == nil {
			s.count("void handed back")
		}
	case it.batch == nil:
		s.count("void")
	}
	if !it.back {
		s.sentNoneAgain(it)
	}
	s.logf("feed %d: %s %s, handed back %v", f.Seq, it.name, m.describe(it), it.back)
}

// take takes the next entry.
func (m *model) take(entry []byte) *item {
	s, seq := m.s, m.head()+1
	e, err := change.DecodeEntry(entry)
	if err != nil {
		s.fail("sequence %d cannot be read: %v", seq, err)
	}
	it := item{entry: entry, hash: e.FeedHash(m.hashAt(seq - 1)), name: e.Version, of: e.Hash, accepted: e.Annotation.Accepted}
	if e.Kind == change.EntryBatch {
		if it.batch, err = change.Decode(e.Body); err != nil {
			s.fail("the batch at %d cannot be read: %v", seq, err)
		}
		it.note = noteOf(it.batch)
	} else {
		it.note = s.sent[e.Hash]
	}
	if it.back = s.saidBefore(&it); !it.back {
		if it.accepted < m.accepted {
			s.fail("sequence %d was taken at %d, and the one before it at %d", seq, it.accepted, m.accepted)
		}
		m.accepted = it.accepted
	}
	if e.Version.Gen != m.last[e.Version.Device]+1 {
		s.fail("sequence %d brings %s after generation %d", seq, e.Version, m.last[e.Version.Device])
	}
	if it.batch == nil {
		m.voids[e.Version] = true
		if w := s.writes[it.note]; w != nil {
			w.voided = true
		}
	} else {
		m.fold(seq, e, &it)
	}
	m.last[e.Version.Device], m.chain[e.Version.Device] = e.Version.Gen, e.Hash
	m.items = append(m.items, it)
	return &m.items[len(m.items)-1]
}

// fold takes a batch up.
func (m *model) fold(seq uint64, e *change.Entry, it *item) {
	s, b := m.s, it.batch
	if err := b.Follows(m.chain[e.Version.Device]); err != nil {
		s.fail("the batch at %d: %v", seq, err)
	}
	if got, want := e.Annotation.EffectiveStamp(&b.Header), min(b.Stamp, e.Annotation.Accepted+allowedSkew); got != want {
		s.fail("the batch at %d counts as written at %d, and should as at %d", seq, got, want)
	}
	m.known(seq, it, &e.Annotation)
	m.judge(seq, b)
	for i := range b.Mutations {
		was := m.graft(seq, e, &b.Mutations[i], b, it.back)
		m.merge(seq, b, &b.Mutations[i], was)
	}
	m.enact(seq, b)
}

func (m *model) describe(it *item) string {
	if it.batch == nil {
		return "void"
	}
	return it.note
}

// known holds a batch's parents against the feed before it. Of what was handed back, those count that the hub names.
func (m *model) known(seq uint64, it *item, ann *change.Annotation) {
	for i := range it.batch.Mutations {
		parents := ann.EffectiveParents(&it.batch.Mutations[i])
		if !it.back {
			parents = slices.Concat(parents, it.batch.Mutations[i].Parents)
		}
		for _, p := range parents {
			if p.Device != it.name.Device && p.Gen > m.last[p.Device] {
				m.s.fail("sequence %d names %s, which the feed does not have yet", seq, p)
			}
		}
	}
}

// judge holds a batch in the feed against what its writer wanted.
func (m *model) judge(seq uint64, b *change.Batch) {
	s := m.s
	name := noteOf(b)
	if strings.HasPrefix(name, "rogue") || m.standIn(seq, b) {
		return
	}
	w := s.writes[name]
	switch {
	case w == nil:
		s.fail("sequence %d brings a batch %q that nobody wrote", seq, name)
	case m.notes[name] != 0 && (s.forked() || s.unreadableToCopies()):
		s.count("doubled by copies")
	case m.notes[name] != 0 && w.doubled:
		s.count("doubled by what was lost")
	case m.notes[name] != 0:
		s.fail("promise 4: %s is in the feed at %d and, as %s, at %d", name, m.notes[name], b.Version(), seq)
	case w.fate == refused:
		s.fail("promise 1: %s is in the feed at %d, and its writer was told that it failed", name, seq)
	case len(w.ops) != len(b.Mutations):
		s.fail("promise 2: %s has %d mutations in the feed and was written with %d", name, len(b.Mutations), len(w.ops))
	}
	for i := range b.Mutations {
		mu := &b.Mutations[i]
		if !slices.ContainsFunc(w.ops, func(o core.Op) bool {
			return o.Key == mu.Key && o.Delete == (mu.Kind == change.Delete) && bytes.Equal(o.Value, mu.Value)
		}) {
			s.fail("promise 2: %s has in the feed %s, which its writer did not write so", name, mu.Key)
		}
	}
	m.notes[name], w.seq, w.came = seq, seq, true
}

// graft is the rule of the fold: the version takes the place of its parents. What was handed back is not judged again.
func (m *model) graft(seq uint64, e *change.Entry, mu *change.Mutation, b *change.Batch, back bool) (was []leaf) {
	parents := mu.Parents
	for _, ep := range e.Annotation.EParents {
		if ep.Index == mu.Index {
			parents = ep.Parents
		}
	}
	for _, p := range parents {
		if m.voids[p] && !back {
			m.s.fail("sequence %d: %s counts as replacing %s, which was voided", seq, b.Version(), p)
		}
	}
	stamp := b.Stamp
	if e.Annotation.Stamp != 0 {
		stamp = e.Annotation.Stamp
	}
	l := leaf{version: b.Version(), stamp: stamp, accepted: e.Annotation.Accepted, deleted: mu.Kind == change.Delete, value: mu.Value}
	key := string(mu.Key.Encode())
	if states := m.objects[key]; len(states) > 0 {
		was = states[len(states)-1].leaves
	}
	m.objects[key] = append(m.objects[key], state{seq, grafted(was, l, parents)})
	return was
}

func grafted(was []leaf, l leaf, parents []change.Version) []leaf {
	var now []leaf
	for _, x := range was {
		if !slices.Contains(parents, x.version) {
			now = append(now, x)
		}
	}
	now = append(now, l)
	for len(now) > 64 {
		if now[0].beats(&now[1]) {
			now = slices.Delete(now, 1, 2)
		} else {
			now = now[1:]
		}
	}
	return now
}

// beats is the winner rule.
func (l *leaf) beats(o *leaf) bool {
	if l.deleted != o.deleted {
		return o.deleted
	}
	if l.stamp != o.stamp {
		return l.stamp > o.stamp
	}
	if c := bytes.Compare(l.version.Device[:], o.version.Device[:]); c != 0 {
		return c > 0
	}
	return l.version.Gen > o.version.Gen
}

// at is the confirmed layer at a place of the feed.
func (m *model) at(seq uint64) map[string][]leaf {
	out := map[string][]leaf{}
	for key, states := range m.objects {
		for i := len(states) - 1; i >= 0; i-- {
			if states[i].seq <= seq {
				out[key] = states[i].leaves
				break
			}
		}
	}
	return out
}

// show is how a layer looks to a reader, as node.dump has it.
func show(layer map[string][]leaf, merges map[string]*merged) string {
	keys := make([]string, 0, len(layer))
	for k := range layer {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var b strings.Builder
	for _, k := range keys {
		leaves := layer[k]
		if len(leaves) == 0 {
			continue
		}
		winner, conflict := &leaves[0], false
		var frontier []change.Version
		for i := range leaves {
			if leaves[i].beats(winner) {
				winner = &leaves[i]
			}
			conflict = conflict || leaves[i].deleted != leaves[0].deleted || !bytes.Equal(leaves[i].value, leaves[0].value)
			frontier = append(frontier, leaves[i].version)
		}
		if winner.deleted || strings.HasPrefix(k, change.SystemPrefix) {
			continue // a scan of all leaves out what is the system's own
		}
		slices.SortFunc(frontier, change.Version.Compare)
		key, err := change.DecodeKey([]byte(k))
		if err != nil {
			panic(err)
		}
		looks := face(winner.value)
		if o := merges[k]; o != nil {
			looks = o.String()
		}
		fmt.Fprintf(&b, "%s %s %s %v %v\n", key, looks, winner.version, conflict, frontier)
	}
	return b.String()
}
