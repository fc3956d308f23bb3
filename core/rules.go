package core

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"vsync/core/change"
	"vsync/core/merge"
	"vsync/core/objects"
	"vsync/core/order"
	"vsync/core/store"
)

// The rules of a collection are an object of change.RulesCollection, and travel like any. What is in force is kept in the head, which
// knows at each commit what it was there: a page may be newer than the commit that is replayed.
//
//	SetRules ─▶ batch ─▶ hub: Parse, INVALID ─▶ feed ─▶ enact, behind the batch ─▶ in force for what follows
//
// Of two the higher version counts, of equals the winner rule's choice: so the order in which they come does not matter.

// ruling is the rules of a collection that are in force. It is not changed.
type ruling struct {
	collection string
	leaf       objects.Leaf // that brought them
	rules      *merge.Rules
}

var noRules = &merge.Rules{}

// rulesOf returns the rules in force; never nil.
func (h *head) rulesOf(collection string) *merge.Rules {
	for i := range h.rules {
		if h.rules[i].collection == collection {
			return h.rules[i].rules
		}
	}
	return noRules
}

// enact takes up the rules that a batch of the feed brings, when all else of it was taken up.
func (f *fold) enact(b *change.Batch, stamp uint64) error {
	var changed []string
	for i := range b.Mutations {
		m := &b.Mutations[i]
		if m.Key.Collection != change.RulesCollection || m.Kind != change.Put {
			continue
		}
		rules, err := merge.Parse(m.Value)
		if err != nil {
			continue // handed back, where nobody judges
		}
		leaf := objects.Leaf{Version: b.Version(), Stamp: stamp, Value: bytes.Clone(m.Value)}
		if next, is := f.head.withRules(ruling{m.Key.ID, leaf, rules}); is {
			f.head.rules = next
			changed = append(changed, m.Key.ID)
		}
	}
	return f.rerule(changed)
}

// withRules returns the rules in force with others; false where these do not count, or there is no room for them.
func (h *head) withRules(n ruling) ([]ruling, bool) {
	next := slices.Clone(h.rules)
	at, is := slices.BinarySearchFunc(next, n.collection, func(r ruling, name string) int { return strings.Compare(r.collection, name) })
	if !is {
		next = order.Insert(next, at, n)
	} else {
		was := &next[at]
		if n.rules.Version < was.rules.Version || n.rules.Version == was.rules.Version && !n.leaf.Beats(was.leaf) {
			return nil, false
		}
		next[at] = n
	}
	return next, len(appendRules(nil, next)) <= maxRules
}

// Rules in the superblock and in a rewind: n uv × (collection uv bytes ‖ stamp uv ‖ device 16 ‖ gen uv ‖ value uv bytes), ascending.
func appendRules(b []byte, list []ruling) []byte {
	b = change.AppendUvarint(b, uint64(len(list)))
	for i := range list {
		r := &list[i]
		b = append(change.AppendUvarint(b, uint64(len(r.collection))), r.collection...)
		b = appendVersion(change.AppendUvarint(b, r.leaf.Stamp), r.leaf.Version)
		b = append(change.AppendUvarint(b, uint64(len(r.leaf.Value))), r.leaf.Value...)
	}
	return b
}

func (c *cutter) rules() (list []ruling) {
	for range c.count(20) {
		r := ruling{collection: string(c.bytes())}
		r.leaf.Stamp = c.uvarint()
		r.leaf.Version = c.version()
		r.leaf.Value = bytes.Clone(c.bytes())
		var err error
		if r.rules, err = merge.Parse(r.leaf.Value); err != nil && c.err == nil {
			c.err = err
		}
		if n := len(list); n > 0 && list[n-1].collection >= r.collection && c.err == nil {
			c.err = errorf(Corrupt, "rules of collections stand in another order")
		}
		if c.err != nil {
			return nil
		}
		list = append(list, r)
	}
	return list
}

// otherRules are the collections for which two lists say different things.
func otherRules(a, b []ruling) (names []string) {
	differs := func(r *ruling, list []ruling) bool {
		return !slices.ContainsFunc(list, func(o ruling) bool { return o.collection == r.collection && o.leaf.Version == r.leaf.Version })
	}
	for i := range a {
		if differs(&a[i], b) {
			names = append(names, a[i].collection)
		}
	}
	for i := range b {
		if differs(&b[i], a) && !slices.Contains(names, b[i].collection) {
			names = append(names, b[i].collection)
		}
	}
	return names
}

// Rules returns the rules of a collection that are in force: what the feed says, up to what is applied of it. Version 0 is none.
func (r *Replica) Rules(collection string) *merge.Rules {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head.rulesOf(collection)
}

// CanonicalRules reads rules as an application gives them, and returns them as they are written.
//
// Errors: INVALID for what are no rules, or no rules for this collection.
func CanonicalRules(collection string, rules []byte) ([]byte, error) {
	parsed, err := merge.Parse(rules)
	if err != nil {
		return nil, wrapf(Invalid, err, "the rules of the collection %q cannot be written", collection)
	}
	key := change.Key{Collection: collection, ID: "x"}
	if err := validKey(key); err != nil {
		return nil, err
	}
	if key.System() {
		return nil, errorf(Invalid, "%q is the system's own, and has no rules: name a collection of the application", collection)
	}
	return parsed.Encode(), nil
}

// UnknownRules names what of rules this engine does not know, and would show as latest: a newer engine's, or a mistake.
func UnknownRules(rules []byte) []string {
	parsed, err := merge.Parse(rules)
	if err != nil {
		return nil
	}
	return parsed.Unknown()
}

// SetRules writes the rules of a collection, as package merge reads them, if their version is higher than that of those in force and of
// what was written here and is not sent yet; written says whether. They are in force from their place in the feed on, so without a
// feed never. What is written before they are, by whomever, says nothing of what was changed, and counts as a whole where it is folded by
// them: of two who write one object then, one wins. So applications write rules behind the first sync, and the sooner the better.
//
// Errors: INVALID for what are no rules; as Write.
func (r *Replica) SetRules(ctx context.Context, collection string, rules []byte) (rec Receipt, written bool, err error) {
	if r.cfg.Role != RoleDevice {
		return rec, false, errorf(Invalid, "a hub's replica takes rules from devices, and writes none of its own")
	}
	if rules, err = CanonicalRules(collection, rules); err != nil {
		return rec, false, err
	}
	parsed, err := merge.Parse(rules)
	if err != nil {
		return rec, false, err
	}
	key := change.Key{Collection: change.RulesCollection, ID: collection}
	err = r.submit(ctx, &request{strict: r.cfg.Durability == store.Strict, weight: 400 + len(rules), form: func(s *stage) (err error) {
		if written, err = s.raises(key, parsed); err != nil || !written {
			return err
		}
		rec.Version, err = r.form(s, &Write{Ops: []Op{{Key: key, Value: parsed.Encode()}}})
		return err
	}})
	return rec, written && err == nil, err
}

// raises says whether rules are higher than those in force, and those that are written already; rules that find no room are refused.
func (s *stage) raises(key change.Key, rules *merge.Rules) (bool, error) {
	if rules.Version <= s.state.rulesOf(key.ID).Version {
		return false, nil
	}
	v, _, err := s.view(key)
	if err != nil {
		return false, err
	}
	for i := range v.Leaves {
		if was, err := merge.Parse(v.Leaves[i].Value); err == nil && was.Version >= rules.Version {
			return false, nil
		}
	}
	return true, s.roomFor(key.ID, rules)
}

func (s *stage) roomFor(collection string, rules *merge.Rules) error {
	n := ruling{collection, objects.Leaf{Version: change.Version{Device: s.state.device, Gen: change.MaxNumber}, Stamp: change.MaxNumber, Value: rules.Encode()}, rules}
	if rules.Version <= s.state.rulesOf(collection).Version {
		return nil
	}
	if _, room := s.state.withRules(n); !room {
		return errorf(Invalid, "the rules of all collections have at most %d bytes together: name fewer paths", maxRules)
	}
	return nil
}

// judgeRules says what is wrong with what a mutation says under field rules, or of rules; nil for nothing.
func (s *stage) judgeRules(m *change.Mutation) error {
	if m.Changes != nil {
		if err := merge.Check(m.Changes); err != nil {
			return err
		}
	}
	if m.Key.Collection != change.RulesCollection {
		return nil
	}
	if m.Kind == change.Delete {
		return errorf(Invalid, "rules are raised, and never taken away: write \"latest\" with a higher version")
	}
	rules, err := merge.Parse(m.Value)
	if err != nil {
		return err
	}
	return s.roomFor(m.Key.ID, rules)
}

// changesOf is what the writer changed, of the object in s.obj.
func (s *stage) changesOf(op *Op) ([]byte, error) {
	rules := s.state.rulesOf(op.Key.Collection)
	if rules.Mode != merge.Fields {
		return nil, nil
	}
	now, view := shownState(&s.obj), s.obj.Visible()
	seen := now.Value
	switch {
	case now.Deleted || !view.Exists():
		seen = nil
	case op.Seen == nil:
	case len(op.Seen) == 0:
		seen = nil
	default:
		named := s.named(op.Seen, view.Frontier())
		if slices.Equal(named, view.Frontier()) {
			break
		}
		value, ok, err := s.writtenBy(op.Key, named)
		if err != nil {
			return nil, err
		}
		if ok {
			seen = value
		}
	}
	return rules.Diff(seen, now, op.Value), nil
}

// named are the versions that a writer saw, as they are called now; refused ones too, since what they wrote is what he saw.
func (s *stage) named(seen, leaves []change.Version) (out []change.Version) {
	for _, v := range seen {
		out = append(out, s.today(v, leaves))
	}
	order.By(out, change.Version.Compare)
	return slices.Compact(out)
}

// foreignBatch reads a batch that came with the feed; nil where it cannot be read.
func (s *stage) foreignBatch(v change.Version) (*change.Batch, error) {
	bytes, _, ok, err := s.log.Find(s.ctx, v)
	if err != nil || !ok {
		return nil, unlessDamaged(err)
	}
	return change.DecodeTrusted(bytes)
}

// writtenBy is what the one version that a writer named as seen wrote; nil for a deletion, false where there are several, or it is gone.
func (s *stage) writtenBy(k change.Key, seen []change.Version) (value []byte, ok bool, err error) {
	if len(seen) != 1 {
		return nil, false, nil
	}
	b, err := s.ownBatch(seen[0])
	if b == nil && err == nil {
		b, err = s.foreignBatch(seen[0])
	}
	if b == nil || err != nil {
		return nil, false, err
	}
	i := slices.IndexFunc(b.Mutations, func(m change.Mutation) bool { return m.Key == k })
	if i < 0 {
		return nil, false, nil
	}
	return b.Mutations[i].Value, true, nil
}
