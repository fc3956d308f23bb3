package core

import (
	"context"
	"encoding/binary"

	"vsync/core/change"
	"vsync/core/store"
)

// A superblock that is lost is made of what the log tells: the id under which the device wrote last, the hub's lineage, and all that
// a replay from the first commit gives. An id that has written nothing is not missed: the device takes another.

// incarnationStep is how far a new incarnation goes beyond the highest that left a trace, where others may have left none.
const incarnationStep = 1 << 10

// newSuperblockFor makes the superblock of a store that has lost it.
func (r *Replica) newSuperblockFor(ctx context.Context) (*superblock, error) {
	sb := &superblock{role: r.cfg.Role, database: r.cfg.Database}
	if r.cfg.Role == RoleHub {
		sb.head.marker.Epoch = 1
	}
	inc, err := highestIncarnation(ctx, r.st)
	if err != nil {
		return nil, err
	}
	sb.incarnation = inc + incarnationStep<<32
	for _, table := range []byte(allTables) {
		_, is, err := r.st.Get(ctx, []byte{'P', table, 1})
		if err != nil {
			return nil, err
		}
		if is {
			sb.lasts += string(table)
		}
	}
	r.harm.super = true
	return sb, nil
}

// highestIncarnation is that of the rows whose keys name one.
func highestIncarnation(ctx context.Context, st store.Store) (inc uint64, err error) {
	for kind, at := range map[byte]int{'L': 9, 'O': 1, 'Q': 1} {
		all := store.Range{From: []byte{kind}, To: []byte{kind + 1}, MaxBytes: 1 << 20}
		err = store.Each(ctx, st, all, func(r store.Row) error {
			if len(r.Key) >= at+8 {
				inc = max(inc, binary.BigEndian.Uint64(r.Key[at:]))
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return inc, nil
}

// isAlone says that the superblock is still the one that this engine wrote: an incarnation in the log that is higher is no other
// engine's that opened the store since, but was there before an older copy of the superblock was put back.
func (r *Replica) isAlone(ctx context.Context) bool {
	if r.cfg.Alone {
		return true
	}
	read, err := readSuperblock(ctx, r.st)
	return err == nil && read.sb != nil && read.sb.incarnation == r.inc
}

// overtake goes on from an older copy of the superblock, as an incarnation beyond all that left a trace.
func (r *Replica) overtake(ctx context.Context, sb *superblock) error {
	inc, err := highestIncarnation(ctx, r.st)
	if err != nil {
		return err
	}
	sb.incarnation = inc + incarnationStep<<32
	if err := r.begun(ctx, sb, false); err != nil {
		return err
	}
	r.harm.super = true
	return r.replay(ctx, sb)
}

// identified gives a device whose log names no id a new one, and refuses a hub whose log does not say whose it is.
func (r *Replica) identified() error {
	switch {
	case r.cfg.Role == RoleHub && r.head.lineage.IsZero():
		return errorf(Corrupt, "the superblock is lost, and the log is of an engine that did not write the hub's lineage into it: restore the store from a copy")
	case r.cfg.Role == RoleDevice && r.head.device.IsZero():
		id, err := newID(r.cfg.Rand)
		r.head.device = change.DeviceID(id)
		return err
	}
	return nil
}

// writeFence writes the superblock; what it replaces that is damaged is set aside.
func (r *Replica) writeFence(ctx context.Context, sb *superblock) error {
	tx := &store.Tx{Durability: store.Strict}
	for _, f := range r.badSuper {
		if err := r.setAside(ctx, tx, f.Row, f.Reason); err != nil {
			return err
		}
	}
	sb.put(tx)
	err := r.st.Commit(ctx, tx)
	if err == nil {
		r.badSuper = nil
	}
	return err
}
