package core

import (
	"errors"
	"slices"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/device"
	"vsync/core/order"
	"vsync/core/store"
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

// rejoining is the commit that takes up what stands behind a hole.
type rejoining struct {
	r       *Replica
	s       *stage
	orphans *Orphans
	voids   map[change.Version][]byte // what was kept of voids
	again   map[change.Version]*again
}

// rejoin gives new places to what stood behind the hole.
func (r *Replica) rejoin(s *stage, behind []changelog.Record) error {
	j := &rejoining{r, s, new(Orphans), map[change.Version][]byte{}, map[change.Version]*again{}}
	for _, rec := range behind {
		for _, it := range rec.Items {
			if v, is := versionOfKey(string(it.Data[:min(24, len(it.Data))])); is && it.Kind == changelog.ItemVoided {
				j.voids[v] = it.Data[24:]
			}
		}
		for _, it := range rec.Items {
			if err := j.item(rec, it); err != nil {
				return err
			}
		}
	}
	var rows []unlikeRow
	for _, v := range order.KeysBy(j.again, change.Version.Compare) {
		row := unlikeRow{row: versionRow(tableAgain, v), is: j.again[v].encode()}
		s.set(row.row, row.is)
		rows = append(rows, row)
	}
	s.patch(rows, func(u *unlikeRow) []byte { return u.is })
	return nil
}

func (j *rejoining) item(rec changelog.Record, it changelog.Item) error {
	s := j.s
	switch it.Kind {
	case changelog.ItemSubject:
		c := &cutter{b: it.Data}
		d := change.DeviceID(c.take(16))
		if err := s.claimFor(d, string(c.b)); !errors.Is(err, &Error{Code: Forbidden}) {
			return err
		}
	case changelog.ItemBefore, changelog.ItemEpoch:
		m, err := change.DecodeMarker(it.Data)
		if err == nil && m.Epoch > s.state.marker.Epoch {
			s.state.marker.Epoch = m.Epoch
			s.add(changelog.ItemEpoch, s.state.marker.Encode())
		}
		return err
	case changelog.ItemEntry:
		_, e, err := entryOf(it)
		if err == nil && s.state.lineage == lineageOf(j.r.cfg.HubKey, j.r.cfg.Database) { // else the key is another by now
			err = e.VerifyMAC(j.r.cfg.HubKey, s.state.lineage)
		}
		var b *change.Batch
		if err == nil && e.Kind == change.EntryBatch {
			b, err = change.DecodeTrusted(e.Body)
		}
		if err != nil {
			j.aside(rec, it, err.Error())
			return nil
		}
		if took, err := j.entry(e, b); took || err != nil {
			return err
		}
		j.aside(rec, it, "what its device wrote before it is lost in a hole of the log")
	}
	return nil
}

// aside puts an entry into quarantine that finds no place.
func (j *rejoining) aside(rec changelog.Record, it changelog.Item, reason string) {
	tx := &store.Tx{}
	row := changelog.Name{First: rec.Commit, Incarnation: rec.Incarnation}
	putAside(tx, quarantined{inc: j.r.inc, number: j.r.harm.number(), Finding: Finding{Row: row.Key(), Reason: clip(reason, maxReason),
		Time: j.r.cfg.Now(), Commit: j.s.state.commit, Bytes: it.Data}})
	j.s.beside = append(j.s.beside, tx.Ops...)
}

// entry takes one up. False where it finds no place.
func (j *rejoining) entry(e *change.Entry, b *change.Batch) (took bool, err error) {
	v := e.Version
	rec, err := j.s.device(v.Device)
	switch {
	case err != nil:
		return false, err
	case v.Gen <= rec.Last || e.Kind == change.EntryLost:
		return true, nil
	case b == nil && v.Gen == rec.Last+1:
		row, is := j.voids[v]
		if !is {
			row = encodeVoid(e.Hash, nil, nil)
		}
		return true, j.r.placeVoid(j.s, e, row)
	case b == nil:
		return false, nil
	case v.Gen == rec.Last+1 && b.Follows(rec.Hash) == nil:
		if len(j.orphans.named) > 0 {
			e.Annotation.EParents = j.orphans.effective(b, &e.Annotation)
		}
		if err := j.over(b, &e.Annotation); err != nil {
			return false, err
		}
		return true, j.r.place(j.s, e, b)
	}
	return j.renamed(e, b, rec)
}

// renamed takes a batch up that follows on one that is lost.
func (j *rejoining) renamed(e *change.Entry, b *change.Batch, was device.Record) (bool, error) {
	s, o := j.s, j.orphans
	last, is := o.before(&b.Header)
	if !is {
		last = orphan{now: change.Version{Device: device.ReentryID(b.Device, b.Gen-1, b.Hash)}}
	}
	n, bytes, err := j.r.newName(s, o, b, last)
	if err != nil || n == nil {
		return false, err
	}
	o.add(b.Version(), orphan{hash: b.Hash, now: n.Version(), end: n.Hash})
	j.row(b.Version()).hash, j.row(b.Version()).now = b.Hash, n.Version()
	rec, err := s.device(n.Device)
	if err != nil || n.Gen <= rec.Last {
		return err == nil, err
	}
	ann := e.Annotation
	ann.Stamp, ann.EParents = ann.EffectiveStamp(&b.Header), o.effective(n, &ann)
	if err := j.over(n, &ann); err != nil {
		return false, err
	}
	if was.Subject != "" {
		if err := s.claimFor(n.Device, was.Subject); err != nil {
			return false, err
		}
	}
	return true, j.r.place(s, change.NewBatchEntry(&n.Header, bytes, ann), n)
}

func (j *rejoining) row(v change.Version) *again {
	if j.again[v] == nil {
		j.again[v] = &again{}
	}
	return j.again[v]
}

// over notes which parents of a batch are lost.
func (j *rejoining) over(b *change.Batch, ann *change.Annotation) error {
	for i := range b.Mutations {
		m := &b.Mutations[i]
		for _, p := range ann.EffectiveParents(m) {
			rec, err := j.s.device(p.Device)
			if err != nil {
				return err
			}
			if key := string(m.Key.Encode()); p.Gen > rec.Last && !slices.Contains(j.row(p).keys, key) {
				j.row(p).keys = append(j.row(p).keys, key)
			}
		}
	}
	return nil
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
