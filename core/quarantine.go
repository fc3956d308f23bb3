package core

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"sync"

	"vsync/core/change"
	"vsync/core/changelog"
	"vsync/core/pages"
	"vsync/core/store"
)

// Nothing damaged is deleted: before a transaction replaces a damaged row, it puts what the row held into quarantine.
//
//	row 'Q' ‖ incarnation BE64 ‖ number BE32 ‖ piece BE16
//	┌────────┬───────┬─────────┬───────────┬──────────┬──────────┬───────┬────────┐
//	│ format │ flags │ time    │ commit    │ row key  │ reason   │ bytes │ crc32c │
//	│ 1 = 01 │ 1     │ uv (ms) │ uv        │ uv bytes │ uv bytes │       │ LE32   │
//	└────────┴───────┴─────────┴───────────┴──────────┴──────────┴───────┴────────┘
//	 flags 1: there was no such row; 2: a batch of this device, which stood in the row; 4: the application has dismissed it
//	 commit:  where the replica stood
//
// What is too long for a row goes on in the next piece. The checksum covers the key too.
const (
	rowQuarantine    = 'Q'
	formatQuarantine = 0x01
	flagMissing      = 0x01
	flagBatch        = 0x02
	flagDismissed    = 0x04
	// quarantinePiece is how much of a damaged row one row keeps: with keys and reason it stays under store.MaxRow.
	quarantinePiece = 56_000
	// maxReason bounds a reason as it is kept, in bytes.
	maxReason = 1000
)

// harm is what a replica has found damaged since it was opened.
type harm struct {
	mu        sync.Mutex
	count     uint32    // rows put into quarantine
	met       []Finding // mended in memory, and not written yet
	summaries []Finding // to be written anew, all of them
	super     bool      // the superblock was built from the log

	settling sync.Mutex    // one stranded batch is settled at a time, its commit included: taken before mu
	read     bool          // stranded was read
	stranded []quarantined // own batches that were set aside and not dismissed
	asked    []answered    // those that have nonces, dismissed ones too
}

func (h *harm) note(f Finding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.met) < maxFindings {
		h.met = append(h.met, f)
	}
}

// summary notes that the summaries of the log have to be made anew.
func (h *harm) summary(bad *changelog.CorruptError) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.summaries = append(h.summaries, Finding{Scope: ScopeSummary, Row: bad.Row, Reason: bad.Problem, Repair: fromLog})
}

func (h *harm) summariesWritten() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.summaries, h.super = nil, false
}

func (h *harm) all() []Finding {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append(append([]Finding(nil), h.met...), h.summaries...)
}

func (h *harm) number() uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	return h.count
}

// mendDue says that what was mended in memory waits for a checkpoint.
func (r *Replica) mendDue() bool {
	r.harm.mu.Lock()
	defer r.harm.mu.Unlock()
	return r.harm.super || len(r.harm.summaries) > 0 || r.tables.Mended() > 0
}

// asideSummaries sets aside, before everything else that tx does, the summaries that it writes anew because some were damaged: those
// that are others, or missing.
func (r *Replica) asideSummaries(ctx context.Context, tx *store.Tx) error {
	r.harm.mu.Lock()
	found := r.harm.summaries
	r.harm.mu.Unlock()
	if len(found) == 0 {
		return nil
	}
	var aside store.Tx
	for _, op := range tx.Ops {
		if op.Kind != store.OpPut || scopeOfRow(op.Key) != ScopeSummary {
			continue
		}
		if val, is, err := r.st.Get(ctx, op.Key); err != nil {
			return err
		} else if is && bytes.Equal(val, op.Value) {
			continue
		}
		if err := r.setAside(ctx, &aside, op.Key, found[0].Reason); err != nil {
			return err
		}
	}
	tx.Ops = append(aside.Ops, tx.Ops...)
	return nil
}

// mender is how the tables get damaged pages mended.
type mender struct{ r *Replica }

func (m *mender) Refold(ctx context.Context, at pages.Stamp, want func(row string) bool) (map[string][]byte, error) {
	if at.Commit == 0 {
		return nil, nil
	}
	g := m.r.refoldingOf(at.Commit)
	g.want = want
	g.passing = true // at opening, a rewind that leaves them may not be read yet; replay holds them against it
	rows, _, err := g.run(ctx)
	return rows, err
}

func (m *mender) SetAside(ctx context.Context, tx *store.Tx, row []byte, reason string) error {
	return m.r.setAside(ctx, tx, row, reason)
}

func (m *mender) Met(row []byte, reason string) {
	m.r.harm.note(Finding{Scope: scopeOfRow(row), Row: row, Reason: reason, Repair: fromLog})
}

// setAside adds to tx the rows that keep a damaged one as it is.
func (r *Replica) setAside(ctx context.Context, tx *store.Tx, row []byte, reason string) error {
	val, is, err := r.st.Get(ctx, row)
	if err != nil {
		return err
	}
	r.mu.Lock()
	commit := r.head.commit
	r.mu.Unlock()
	putAside(tx, quarantined{inc: r.inc, number: r.harm.number(), Finding: Finding{Row: row, Reason: clip(reason, maxReason),
		Time: r.cfg.Now(), Commit: commit, Missing: !is, Bytes: val}})
	return nil
}

// quarantined is one damaged row as it was set aside.
type quarantined struct {
	Finding
	inc       uint64
	number    uint32
	dismissed bool
}

func quarantineKey(inc uint64, number uint32, piece uint16) []byte {
	b := binary.BigEndian.AppendUint64([]byte{rowQuarantine}, inc)
	b = binary.BigEndian.AppendUint32(b, number)
	return binary.BigEndian.AppendUint16(b, piece)
}

func putAside(tx *store.Tx, q quarantined) {
	rest := q.Bytes
	for piece := uint16(0); piece == 0 || len(rest) > 0; piece++ {
		n := min(len(rest), quarantinePiece)
		key := quarantineKey(q.inc, q.number, piece)
		tx.Put(key, q.encode(key, rest[:n]))
		rest = rest[n:]
	}
}

func (q *quarantined) encode(key, piece []byte) []byte {
	var flags byte
	if q.Missing {
		flags |= flagMissing
	}
	if q.Scope == ScopeBatch {
		flags |= flagBatch
	}
	if q.dismissed {
		flags |= flagDismissed
	}
	b := []byte{formatQuarantine, flags}
	b = change.AppendUvarint(b, q.Time)
	b = change.AppendUvarint(b, q.Commit)
	b = change.AppendUvarint(b, uint64(len(q.Row)))
	b = append(b, q.Row...)
	b = change.AppendUvarint(b, uint64(len(q.Reason)))
	b = append(b, q.Reason...)
	b = append(b, piece...)
	return binary.LittleEndian.AppendUint32(b, quarantineSum(key, b))
}

func quarantineSum(key, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, b)
}

// parseQuarantined reads one piece.
func parseQuarantined(key, b []byte) (q quarantined, piece uint16, err error) {
	n := len(b) - 4
	if len(key) != 15 || n < 2 || quarantineSum(key, b[:n]) != binary.LittleEndian.Uint32(b[n:]) || b[0] != formatQuarantine {
		return q, 0, errorf(Corrupt, "the row %x of the quarantine is damaged itself", key)
	}
	k := &cutter{b: key[1:]}
	q.inc, q.number = k.be64(), binary.BigEndian.Uint32(k.take(4))
	piece = binary.BigEndian.Uint16(k.take(2))
	c := &cutter{b: b[2:n]}
	q.Missing = b[1]&flagMissing != 0
	q.Time, q.Commit, q.Row, q.Reason = c.uvarint(), c.uvarint(), c.bytes(), string(c.bytes())
	if c.err != nil {
		return q, 0, errorf(Corrupt, "the row %x of the quarantine has another shape than format %d", key, formatQuarantine)
	}
	q.Scope, q.Repair, q.Bytes = scopeOfRow(q.Row), setAsideFor, c.b
	if q.dismissed = b[1]&flagDismissed != 0; b[1]&flagBatch != 0 {
		q.Scope = ScopeBatch
	}
	if q.Scope == ScopeBatch || q.Scope == ScopeSegment { // nothing else has what it held
		q.Repair = setAside
	}
	return q, piece, nil
}

// Damage lists what was found damaged and set aside or mended, the oldest first.
func (r *Replica) Damage(ctx context.Context) ([]Finding, error) {
	if err := r.readable(); err != nil {
		return nil, err
	}
	stored, err := readQuarantine(ctx, r.st)
	if err != nil {
		return nil, typed(err, "listing what is damaged")
	}
	out := make([]Finding, 0, len(stored))
	aside := map[string]bool{}
	for _, q := range stored {
		out = append(out, q.Finding)
		aside[string(q.Row)] = aside[string(q.Row)] || q.inc == r.inc
	}
	for _, f := range r.harm.all() {
		if !aside[string(f.Row)] {
			out = append(out, f)
		}
	}
	return out, nil
}

func readQuarantine(ctx context.Context, st store.Store) (out []quarantined, err error) {
	all := store.Range{From: []byte{rowQuarantine}, To: []byte{rowQuarantine + 1}, MaxBytes: 1 << 20}
	err = store.Each(ctx, st, all, func(row store.Row) error {
		q, piece, err := parseQuarantined(row.Key, row.Value)
		if err != nil { // what it kept is still there
			out = append(out, quarantined{Finding: Finding{Scope: ScopeRow, Row: row.Key, Reason: err.Error(), Bytes: row.Value}})
			return nil
		}
		if n := len(out) - 1; piece > 0 && n >= 0 && out[n].inc == q.inc && out[n].number == q.number {
			out[n].Bytes = append(out[n].Bytes, q.Bytes...)
			return nil
		}
		out = append(out, q)
		return nil
	})
	return out, err
}

// version is that of a batch that was set aside.
func (q *quarantined) version() (v change.Version, ok bool) {
	if q.Scope != ScopeBatch {
		return v, false
	}
	return change.PeekVersion(q.Bytes)
}
