package e2e

import (
	"testing"
	"time"

	"vsync/core/change"
	"vsync/core/wire"
	"vsync/edge/e2e/program"
	"vsync/edge/token"
)

// Who begins large pushes and does not end them, on many connections, takes no room from others: they are refused beyond his share, and
// those that he has are ended, whatever else he says.
func TestAttackParts(t *testing.T) {
	t.Parallel() // the hub of each is its own
	f := fortified(t)
	mallory := f.sign(token.Claims{Subject: "mallory", Databases: []string{"db"}, Write: true})
	var held []*peer
	for n := byte(0); ; n++ {
		p := f.enters(mallory, 100+n)
		e := p.begins(1, change.MaxBatch-1)
		if e == nil {
			held = append(held, p)
			continue
		}
		if e.Code != wire.CodeRateLimited || e.Retry == 0 {
			t.Errorf("%+v", e)
		}
		break
	}
	t.Logf("%d of one subject are begun", len(held))
	from := time.Now()

	anna := f.enters(f.writer, 1)
	batch := largeBatch(t, 1, change.MaxBatch/8*7)
	for p := range wire.SplitPush(1, [][]byte{batch}, wire.FrameBudget) {
		anna.say(p)
	}
	for m := anna.hears(); m.Type() != wire.TypeAccepted; m = anna.hears() {
		if e, is := m.(*wire.Error); is {
			t.Fatalf("another's push: %+v", e)
		}
	}
	f.before = f.state()
	if !program.IsWorker() {
		return // the rest takes its time, and is the same hub; there, it is frames that have it look at the clock
	}
	last := held[len(held)-1]
	for n := uint64(1); ; n++ {
		time.Sleep(2 * time.Second)
		if err := last.conn.Write(t.Context(), frameOf(t, &wire.Ping{N: n})); err != nil {
			break // the reason is there to be read
		}
		if ended := last.passes(t, wire.CodeProtocol); ended {
			break
		}
		if time.Since(from) > 2*wire.PartTimeout {
			t.Fatal("it is never left")
		}
	}
	if took := time.Since(from); took < wire.PartTimeout/2 {
		t.Errorf("it had %v", took)
	}
}

// begins pushes so many bytes of a batch that does not end, and returns the error by which the hub ends that; nil: it waits for more.
func (p *peer) begins(gen change.Generation, bytes int) *wire.Error {
	p.t.Helper()
	for index := uint64(0); bytes > 0; index++ {
		n := min(bytes, 900_000)
		bytes -= n
		m := &wire.Push{Gen: gen, Part: wire.Part{Index: index, More: true}, Batches: [][]byte{make([]byte, n)}}
		if p.conn.Write(p.t.Context(), frameOf(p.t, m)) != nil {
			break
		}
	}
	_ = p.conn.Write(p.t.Context(), frameOf(p.t, &wire.Ping{N: 1}))
	for {
		switch m := p.hears().(type) {
		case *wire.Error:
			return m
		case *wire.Pong:
			return nil
		}
	}
}

// passes reads up to a pong, or to the error by which the hub ends the connection: true.
func (p *peer) passes(t *testing.T, code wire.Code) bool {
	t.Helper()
	for {
		switch m := p.hears().(type) {
		case *wire.Error:
			if m.Code != code {
				t.Errorf("%+v", m)
			}
			return true
		case *wire.Pong:
			return false
		}
	}
}

// largeBatch is the first batch of a device, of about so many bytes.
func largeBatch(t *testing.T, device byte, bytes int) []byte {
	t.Helper()
	b := &change.Batch{Header: change.Header{Device: change.DeviceID{device}, Gen: 1, Stamp: 1}}
	for i := byte('a'); bytes > 0; i++ {
		n := min(bytes, 500_000)
		bytes -= n
		value, err := change.Encode(make([]byte, n))
		if err != nil {
			t.Fatal(err)
		}
		b.Mutations = append(b.Mutations, change.Mutation{Kind: change.Put, Key: change.Key{Collection: "large", ID: string(i)}, Value: value})
	}
	encoded, err := b.Encode(change.Hash{})
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}
