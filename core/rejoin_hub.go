//go:build !device

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
