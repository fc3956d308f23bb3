package core

import (
	"context"
	"encoding/binary"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/fmt"
	"vsync/core/store"
)

// Where a device's log has a hole, what the tables hold cannot be built anew from its beginning any more. So what they hold is written into
// the log, as the base of all that is folded from then on:
//
//	log:  … │ hole │ … │ base: all rows of all tables, and the head │ …
//	        history │                                              └─ check, refolding, earlier places of the feed: from here
//
// What lies before stays, as history; what the hole had is in quarantine as far as there were bytes. The base takes several commits, and
// counts when the last of them is there. Nobody writes between them.
//
//	a part in the log: first uv (commit of the first part) ‖ last 1 ‖ head uv bytes (a superblock; in the first part) ‖ n × (row uv bytes ‖ value uv bytes)

// basePart is about how much of the tables one commit of a base holds.
const basePart = 1 << 20

// appendBasePart begins a part.
func appendBasePart(first uint64, last bool, h []byte) []byte {
	b := change.AppendUvarint(nil, first)
	b = append(b, map[bool]byte{true: 1}[last])
	b = change.AppendUvarint(b, uint64(len(h)))
	return append(b, h...)
}

// basePartOf reads a part.
func basePartOf(data []byte) (first uint64, last bool, h *head, rows *cutter, err error) {
	c := &cutter{b: data}
	first = c.uvarint()
	last = c.byte() == 1
	sb := c.bytes()
	if c.err != nil {
		return 0, false, nil, nil, errorf(Corrupt, "a base in the log is cut short")
	}
	if len(sb) > 0 {
		parsed, err := parseSuperblock(sb)
		if err != nil {
			return 0, false, nil, nil, err
		}
		h = &parsed.head
	}
	return first, last, h, c, nil
}

// base takes up a part.
func (f *fold) base(data []byte) error {
	first, last, h, c, err := basePartOf(data)
	if err != nil {
		return err
	}
	if h != nil && f.origin {
		h.commit, h.base = f.head.commit, 0
		*f.head = *h
	}
	for len(c.b) > 0 && c.err == nil {
		row, val := string(c.bytes()), c.bytes()
		if c.err != nil || row == "" {
			return errorf(Corrupt, "a base in the log is cut short")
		}
		if stale, err := f.rows.stale(row); err != nil {
			return err
		} else if !stale {
			f.rows.set(row, append([]byte(nil), val...))
		}
	}
	if last {
		f.head.base = first
	}
	return nil
}

// writeBase writes what the tables hold. It is the leader's: no commit comes between.
func (r *Replica) writeBase(ctx context.Context) error {
	r.mu.Lock()
	h := r.head
	snap := r.tables.Snapshot()
	r.mu.Unlock()
	defer snap.Release()
	r.log.Part()
	first := h.commit + 1
	sb := (&superblock{role: r.cfg.Role, database: r.cfg.Database, head: h}).encode()
	data := appendBasePart(first, false, sb)
	put := func(last bool) error {
		if last {
			_, w := binary.Uvarint(data)
			data[w] = 1
		}
		r.mu.Lock()
		s := r.newStage(ctx, r.head)
		r.mu.Unlock()
		s.strict = true
		s.add(changelog.ItemBase, data)
		if last {
			s.state.base = first
			s.add(changelog.ItemMarker, s.state.marker.Encode()) // a place to go back to
		}
		data = appendBasePart(first, false, nil)
		return r.store(ctx, s)
	}
	for _, table := range []byte(allTables) {
		for kv, err := range snap.Scan(ctx, table, "", "", false) {
			if err != nil {
				return err
			}
			data = append(append(change.AppendUvarint(data, uint64(1+len(kv.Key))), table), kv.Key...)
			data = append(change.AppendUvarint(data, uint64(len(kv.Value))), kv.Value...)
			if len(data) >= basePart {
				if err := put(false); err != nil {
					return err
				}
			}
		}
	}
	return put(true)
}

// beginsAt is the commit from which on the log says what the tables hold.
func (h *head) beginsAt() uint64 { return max(h.base, 1) }

// passOver gives up the segments of a device's log that a check has found damaged: behind a base nothing is folded from them, and their rows
// go into quarantine. It is so too for segments before the last base: what came behind that may refer to their batches.
func (r *Replica) passOver(ctx context.Context, c *checker) error {
	if !c.broken {
		return nil
	}
	if r.cfg.Role == RoleHub {
		return r.fillHoles(ctx, c.holes, c.why)
	}
	if err := r.submit(ctx, &request{whole: r.writeBase}); err != nil {
		return err
	}
	for _, name := range c.holes { // none is the last: the base is behind it
		if err := r.setAsideSegment(ctx, name, c.why[name]); err != nil {
			return err
		}
		r.log.Lose(name.First) // not before: where the store fails, the next repair has to find it
	}
	return r.checkpointKept(ctx)
}

// setAsideSegment puts the rows of a segment into quarantine.
func (r *Replica) setAsideSegment(ctx context.Context, name changelog.Name, reason string) error {
	key := name.Key()
	prefix := key[:len(key)-2]
	rows, err := r.st.Scan(ctx, store.Range{From: prefix, To: store.Successor(prefix)})
	if err != nil {
		return err
	}
	damaged := []changelog.Damaged{{Row: key, Problem: reason}} // also where there is no row any more
	for _, row := range rows {
		if string(row.Key) != string(key) {
			damaged = append(damaged, changelog.Damaged{Row: row.Key, Problem: reason})
		}
	}
	return r.setAsideSegments(ctx, damaged, fmt.Errorf("%s", reason))
}
