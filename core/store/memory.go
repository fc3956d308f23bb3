package store

import (
	"bytes"
	"context"
	"sync"

	"github.com/tidwall/btree"

	"vsync/core/fmt"
)

// Memory is the store in memory: the reference for all others, the base of the
// simulations, and what an application gets where nothing durable can be had.
// Its rows end with the process.
//
// What a crash leaves behind is a copy, made in constant time: Clone after the
// death of a process, PowerLoss after a power cut. The copies share unchanged
// rows and are independent of each other.
type Memory struct {
	// History is how many relaxed commits PowerLoss can undo at most. Set it
	// before the first commit; 0 keeps none. Each costs the nodes of the tree
	// that it changed.
	History int

	mu     sync.RWMutex
	closed bool
	rows   *btree.Map[string, *[]byte] // values are never changed in place; for all pointers a tree's code is the same
	size   int                         // of keys and values
	undo   []snapshot                  // before each relaxed commit since the last strict one, oldest first
}

type snapshot struct {
	rows *btree.Map[string, *[]byte]
	size int
}

// memoryDegree is the order of the tree: measured, 32 is as fast as larger ones
// and copies less.
const memoryDegree = 32

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{rows: btree.NewMap[string, *[]byte](memoryDegree)}
}

// Clone returns an open store with all that was committed to m, what a process
// finds that starts again after this one died. m may be closed.
func (m *Memory) Clone() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Memory{History: m.History, rows: m.rows.Copy(), size: m.size}
}

// PowerLoss returns an open store without the latest relaxed commits of m, at
// most lost of them and none from before the latest strict one or beyond
// m.History: what a machine may find after a power cut. m may be closed.
func (m *Memory) PowerLoss(lost int) *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := snapshot{m.rows, m.size}
	if lost = min(lost, len(m.undo)); lost > 0 {
		s = m.undo[len(m.undo)-lost]
	}
	return &Memory{History: m.History, rows: s.rows.Copy(), size: s.size}
}

// Len returns the number of rows.
func (m *Memory) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.rows.Len()
}

// Size returns the bytes of all keys and values.
func (m *Memory) Size() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.size
}

// Get implements Store.
func (m *Memory) Get(ctx context.Context, key []byte) ([]byte, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.usable(ctx); err != nil {
		return nil, false, fmt.Errorf("memory: get %q: %w", key, err)
	}
	v, ok := m.rows.Get(string(key))
	if !ok {
		return nil, false, nil
	}
	return bytes.Clone(*v), true, nil
}

// Scan implements Store.
func (m *Memory) Scan(ctx context.Context, r Range) ([]Row, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.usable(ctx); err != nil {
		return nil, fmt.Errorf("memory: scan %v: %w", r, err)
	}
	var rows []Row
	size := 0
	take := func(k string, v []byte) bool {
		if !r.Fits(len(rows), size, len(k)+len(v)) {
			return false
		}
		rows = append(rows, Row{Key: []byte(k), Value: bytes.Clone(v)})
		size += len(k) + len(v)
		return true
	}
	if r.Reverse {
		m.descend(r, take)
	} else {
		m.ascend(r, take)
	}
	return rows, nil
}

func (m *Memory) ascend(r Range, take func(string, []byte) bool) {
	to := string(r.To)
	m.rows.Ascend(string(r.From), func(k string, v *[]byte) bool {
		return (to == "" || k < to) && take(k, *v)
	})
}

func (m *Memory) descend(r Range, take func(string, []byte) bool) {
	from, to := string(r.From), string(r.To)
	visit := func(k string, v *[]byte) bool {
		if to != "" && k >= to {
			return true // Descend begins at to itself, which is outside
		}
		return k >= from && take(k, *v)
	}
	if to == "" {
		m.rows.Reverse(visit)
	} else {
		m.rows.Descend(to, visit)
	}
}

// Commit implements Store.
func (m *Memory) Commit(ctx context.Context, tx *Tx) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return fmt.Errorf("memory: commit: %w", err)
	}
	if err := tx.Check(); err != nil {
		return err
	}
	m.remember(tx.Durability)
	for i := range tx.Ops {
		m.apply(&tx.Ops[i])
	}
	return nil
}

// remember keeps what a power cut may bring back, before a commit of that
// durability.
func (m *Memory) remember(d Durability) {
	if d == Strict {
		clear(m.undo)
		m.undo = m.undo[:0]
		return
	}
	if m.History <= 0 {
		return
	}
	if len(m.undo) >= m.History {
		m.undo = append(m.undo[:0], m.undo[len(m.undo)-m.History+1:]...)
	}
	m.undo = append(m.undo, snapshot{m.rows.Copy(), m.size})
}

func (m *Memory) apply(op *Op) {
	switch op.Kind {
	case OpPut:
		v := append(make([]byte, 0, len(op.Value)), op.Value...)
		old, replaced := m.rows.Set(string(op.Key), &v)
		m.size += len(v)
		if replaced {
			m.size -= len(*old)
		} else {
			m.size += len(op.Key)
		}
	case OpDelete:
		m.remove(string(op.Key))
	case OpDeleteRange:
		var keys []string
		m.ascend(Range{From: op.Key, To: op.To}, func(k string, _ []byte) bool {
			keys = append(keys, k)
			return true
		})
		for _, k := range keys {
			m.remove(k)
		}
	}
}

func (m *Memory) remove(key string) {
	if old, ok := m.rows.Delete(key); ok {
		m.size -= len(key) + len(*old)
	}
}

// usable tells why a call must be refused. The caller holds mu.
func (m *Memory) usable(ctx context.Context) error {
	if m.closed {
		return ErrClosed
	}
	return ctx.Err()
}

// Close implements Store. Clone and PowerLoss still work afterwards.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}
