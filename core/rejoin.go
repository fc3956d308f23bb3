package core

import (
	"slices"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/order"
)

// Where the hole of a hub's log lies behind the checkpoint, what stood in it is lost, until a device hands it back. What is behind it and can be
// read takes new places in the feed, in the commit that makes the cut so; each entry has the hub's own MAC, so nobody judges it again:
//
//	was:   D:4 │ hole: D:5 … D:7, X:2 │ D:8  D:9  Y:6 (over D:9)  Y:7 (over X:2)
//	is:    D:4 │ N:1  N:2  Y:6 (over N:2)  Y:7
//	later: D:5  D:6  D:7                  pushed, or handed back: they follow on D:4
//	       D:8  D:9                       the same: a void with the code KEPT, for they are N:1 and N:2
//	       X:2                            handed back: Y:7 was written over it, so it is no leaf
//
// What follows on a batch that is lost cannot keep its name, which the lost one comes before: it gets that of a re-entry, as orphans do.
// A table keeps what is to be known when names of before come again.
//
//	row of a version: hash 16, zero where it is itself lost ‖ device 16 ‖ gen uv: what it is now ‖ n uv × (key uv bytes): objects for which it was named as a parent

// keptCode is the reason of a void whose batch is in the feed under another name.
const keptCode = "KEPT"

// again is such a row.
type again struct {
	hash change.Hash
	now  change.Version
	keys []string
}

func (a *again) encode() []byte {
	b := appendVersion(append([]byte(nil), a.hash[:]...), a.now)
	b = change.AppendUvarint(b, uint64(len(a.keys)))
	for _, k := range a.keys {
		b = append(change.AppendUvarint(b, uint64(len(k))), k...)
	}
	return b
}

func decodeAgain(row []byte) (a again, err error) {
	c := &cutter{b: row}
	copy(a.hash[:], c.take(16))
	a.now = c.version()
	for range c.count(1) {
		a.keys = append(a.keys, string(c.bytes()))
	}
	return a, c.err
}

// placeVoid gives a void its place, and keeps what later versions need to pass it by.
func (r *Replica) placeVoid(s *stage, e *change.Entry, row []byte) error {
	s.set(versionRow(tableVoids, e.Version), row)
	s.voided = append(s.voided, e.Version)
	if err := r.place(s, e, nil); err != nil {
		return err
	}
	s.add(changelog.ItemVoided, append([]byte(versionKey(e.Version)), row...))
	return nil
}

// knownAgain is what is known of a name that comes again; nil for nearly all.
func (r *Replica) knownAgain(s *stage, v change.Version) (*again, error) {
	if !r.rejoined {
		return nil, nil
	}
	row, err := s.get(versionRow(tableAgain, v))
	if err != nil || row == nil {
		return nil, err
	}
	a, err := decodeAgain(row)
	return &a, err
}

// keep gives the name of a batch that is in the feed under another one its place: it changes nothing.
func (r *Replica) keep(s *stage, b *change.Batch, now change.Version) error {
	ann := change.Annotation{Accepted: r.acceptedAt(s), Reason: &change.Reason{Code: keptCode, Message: "it is in the feed as " + now.String()}}
	as := &change.Batch{}
	for i := range b.Mutations {
		as.Mutations = append(as.Mutations, change.Mutation{Index: i, Key: b.Mutations[i].Key, Parents: []change.Version{now}})
	}
	return r.placeVoid(s, change.NewVoidEntry(b.Version(), b.Hash, ann), encodeVoid(b.Hash, as, nil))
}

// replacedAlready lets a batch that is handed back be replaced from the beginning where others have named it as a parent.
func (a *again) replacedAlready(b *change.Batch, ann *change.Annotation) {
	var out []change.EParents
	for i := range b.Mutations {
		m := &b.Mutations[i]
		ps := ann.EffectiveParents(m)
		if slices.Contains(a.keys, string(m.Key.Encode())) && len(ps) < change.MaxParents {
			ps = append(slices.Clone(ps), b.Version())
			order.By(ps, change.Version.Compare)
		}
		if !slices.Equal(ps, m.Parents) {
			out = append(out, change.EParents{Index: m.Index, Parents: ps})
		}
	}
	ann.EParents = out
}
