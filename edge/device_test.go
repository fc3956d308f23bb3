package edge

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vsync/core/change"
	"vsync/core/wire"
)

// A device speaks frames with a hub and checks every one that comes: order, hashes, parts.
type device struct {
	id      change.DeviceID
	batches [][]byte      // own, generation 1 first
	hashes  []change.Hash // of them
	stamp   uint64
	alone   bool // as it says of the next push

	conn *Conn
	join wire.Joiner
	seq  uint64 // applied
	hash change.Hash
	base change.Generation // highest own generation that the stream has answered
	got  int               // messages of the stream, parts counted one by one
}

func newDevice(name byte) *device {
	d := &device{}
	for i := range d.id {
		d.id[i] = name
	}
	return d
}

func (d *device) last() change.Generation { return change.Generation(len(d.batches)) }

func (d *device) lastHash() (h change.Hash) {
	if len(d.hashes) > 0 {
		h = d.hashes[len(d.hashes)-1]
	}
	return h
}

// write makes the next own batch, with a value of so many bytes.
func (d *device) write(size int, parents ...change.Version) {
	value, err := change.Encode(strings.Repeat("v", size))
	if err != nil {
		panic(err)
	}
	d.stamp++
	b := change.Batch{
		Header:    change.Header{Device: d.id, Gen: d.last() + 1, Stamp: d.stamp},
		Mutations: []change.Mutation{{Key: change.Key{Collection: "c", ID: fmt.Sprint(d.last() + 1)}, Parents: parents, Value: value}},
	}
	bytes, err := b.Encode(d.lastHash())
	if err != nil {
		panic(err)
	}
	d.batches, d.hashes = append(d.batches, bytes), append(d.hashes, b.Hash)
}

// spoil changes the body of the last batch, so that its hash no longer fits.
func (d *device) spoil() {
	b := d.batches[len(d.batches)-1]
	b[len(b)-1] ^= 1
}

// forget takes own generations from gen on back, as a restored backup does.
func (d *device) forget(gen change.Generation) {
	d.batches, d.hashes = d.batches[:gen-1], d.hashes[:gen-1]
	d.base = min(d.base, gen-1)
}

func (d *device) hello() *wire.Hello {
	h := &wire.Hello{Protocol: 1, Database: "db", Device: d.id, Gen: d.base, LowestHeld: 1, Credit: wire.DefaultCredit, Agent: "test"}
	if d.seq > 0 {
		h.Marker = change.Marker{Epoch: 1, Seq: d.seq, Hash: d.hash}
	}
	if d.base > 0 {
		h.Hash = d.hashes[d.base-1]
	}
	h.Own = d.hashes[d.base:]
	return h
}

func frame(m wire.Message) []byte {
	b, err := wire.Append(nil, m)
	if err != nil {
		panic(err)
	}
	return b
}

// push sends own generations from..to, in frames of at most budget bytes.
func (d *device) push(ctx context.Context, now uint64, from, to change.Generation, budget int) error {
	for p := range wire.SplitPush(from, d.batches[from-1:to], budget) {
		p.Alone = d.alone
		if err := d.conn.Receive(ctx, now, frame(p)); err != nil {
			return err
		}
	}
	return nil
}

// take applies a frame of the hub and says what it was. The error is the hub's fault.
func (d *device) take(frame []byte) (string, wire.Message, error) {
	m, err := wire.DecodeDown(frame)
	if err != nil {
		return "", nil, err
	}
	joined, err := d.join.Join(m)
	switch {
	case err != nil:
		return "", nil, err
	case joined == wire.Orphan:
		return "", nil, errors.New("part without its beginning")
	case joined == wire.Waiting:
		d.got++
		return fmt.Sprintf("%v, part, %d bytes so far", m.Type(), d.join.Held()), m, nil
	}
	switch m := m.(type) {
	case *wire.Welcome:
		d.seq, d.hash = m.Marker.Seq, m.Marker.Hash
		return fmt.Sprintf("welcome %s behind %d, common %d, last %d, head %d", m.Mode, m.Marker.Seq, m.Common, m.Last, m.Head), m, nil
	case *wire.Changes:
		text, err := d.changes(m)
		return text, m, err
	case *wire.Accepted:
		text, err := d.accepted(m)
		return text, m, err
	case *wire.Voided:
		e := change.NewVoidEntry(change.Version{Device: d.id, Gen: m.Gen}, d.hashes[m.Gen-1], change.Annotation{})
		err := d.own(m.Seq, e, m.Annotation)
		return fmt.Sprintf("voided %d: %d %s", m.Seq, m.Gen, m.Code), m, errors.Join(err, d.arrive(m.Hash))
	case *wire.Error:
		return fmt.Sprintf("error %s%s%s", m.Code, optional(" gen", uint64(m.Gen)), optional(" retry", m.Retry)), m, nil
	case *wire.Bye:
		return fmt.Sprintf("bye %s%s", m.Why, optional(" retry", m.Retry)), m, nil
	case *wire.Resend:
		return fmt.Sprintf("resend %d", m.Gen), m, nil
	case *wire.Pong:
		return fmt.Sprintf("pong %d", m.N), m, nil
	}
	return "", nil, fmt.Errorf("unexpected %v", m.Type())
}

func optional(name string, n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(name, " ", n)
}

func (d *device) changes(m *wire.Changes) (string, error) {
	var names []string
	for i, b := range m.Entries {
		e, err := change.DecodeEntry(b)
		if err != nil {
			return "", err
		}
		if err := d.next(m.Seq+uint64(i), e); err != nil {
			return "", err
		}
		if e.Version.Device == d.id {
			d.base = max(d.base, e.Version.Gen)
		}
		name := fmt.Sprintf("%c:%d", e.Version.Device[0], e.Version.Gen)
		if e.Kind == change.EntryVoid {
			name += " void"
		}
		names = append(names, name)
	}
	return fmt.Sprintf("changes %d: %s", m.Seq, strings.Join(names, ", ")), d.arrive(m.Hash)
}

func (d *device) accepted(m *wire.Accepted) (string, error) {
	for i, a := range m.Annotations {
		gen := m.Gen + change.Generation(i)
		if gen > d.last() {
			return "", fmt.Errorf("accepted generation %d, which this device has not", gen)
		}
		h, _, err := change.DecodeHeader(d.batches[gen-1])
		if err != nil {
			return "", err
		}
		if err := d.own(m.Seq+uint64(i), change.NewBatchEntry(&h, d.batches[gen-1], change.Annotation{}), a); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("accepted %d: %d to %d", m.Seq, m.Gen, int(m.Gen)+len(m.Annotations)-1), d.arrive(m.Hash)
}

// own applies an entry of which only the annotation came.
func (d *device) own(seq uint64, e *change.Entry, item []byte) error {
	ann, _, ok := wire.SplitAnnotation(item)
	if !ok {
		return errors.New("annotation too short")
	}
	var err error
	if e.Annotation, err = change.DecodeAnnotation(ann); err != nil {
		return err
	}
	if e.Version.Gen != d.base+1 {
		return fmt.Errorf("own generation %d answered behind %d", e.Version.Gen, d.base)
	}
	d.base = e.Version.Gen
	return d.next(seq, e)
}

// next applies an entry, which must be the one behind the last.
func (d *device) next(seq uint64, e *change.Entry) error {
	if seq != d.seq+1 {
		return fmt.Errorf("sequence %d behind %d", seq, d.seq)
	}
	d.seq, d.hash = seq, e.FeedHash(d.hash)
	return nil
}

func (d *device) arrive(hash change.Hash) error {
	d.got++
	if hash != d.hash {
		return fmt.Errorf("running hash %v after sequence %d, the hub says %v", d.hash, d.seq, hash)
	}
	return nil
}

// drain takes what there is, and says what it was.
func (d *device) drain(ctx context.Context) (lines []string, err error) {
	for {
		frame, err := d.conn.Poll(ctx)
		var over *End
		switch {
		case errors.As(err, &over):
			d.conn.Close()
			d.conn = nil
			return append(lines, fmt.Sprintf("over %d %s", over.Code, strings.SplitN(over.Reason, ":", 2)[0])), nil
		case err != nil || frame == nil:
			return lines, err
		}
		line, _, err := d.take(frame)
		if err != nil {
			return lines, err
		}
		lines = append(lines, line)
	}
}
