package watcher

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"vsync/core"
	"vsync/core/change"
)

// A fakeReplica keeps just enough to be watched: own batches, a marker, heads. It is strict about the
// order of what it is asked.
type fakeReplica struct {
	mu        sync.Mutex
	device    change.DeviceID
	lineage   change.Lineage
	marker    change.Marker
	back      change.Place  // owed until marker is there
	own       [][]byte      // own batches from generation 1
	hashes    []change.Hash // theirs
	confirmed change.Generation
	heads     map[change.Key]head
	applies   [][]uint64 // sequences of each commit
	welcomes  []core.Welcome
	reentries int
	applied   [][]byte        // entries to be handed back
	rewinds   []change.Marker // places to which it went back
	unsent    func()

	// What a test wants to go wrong.
	refuse   map[uint64]error // applying this sequence
	helloErr error
	settle   []core.Settled                  // the next answers, before the usual one
	hold     func(ctx context.Context) error // called at the start of Apply
}

type head struct {
	version change.Version
	deleted bool
	members int // mutations of the batch that wrote it
}

func newFake(device byte) *fakeReplica {
	return &fakeReplica{device: change.DeviceID{device}, heads: map[change.Key]head{}, refuse: map[uint64]error{}}
}

func (r *fakeReplica) Hello(context.Context) (core.HelloState, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.helloErr != nil {
		return core.HelloState{}, r.helloErr
	}
	h := core.HelloState{Device: r.device, Lineage: r.lineage, Marker: r.marker, Base: r.confirmed, Held: 1}
	if r.confirmed > 0 {
		h.BaseHash = r.hashes[r.confirmed-1]
	}
	if r.marker.Seq < r.back.Seq {
		h.Back = r.back
	}
	h.Own = slices.Clone(r.hashes[r.confirmed:])
	return h, nil
}

func (r *fakeReplica) Settle(_ context.Context, w core.Welcome) (core.Settled, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.welcomes = append(r.welcomes, w)
	r.lineage = w.Lineage
	if len(r.settle) > 0 {
		answer := r.settle[0]
		r.settle = r.settle[1:]
		return answer, nil
	}
	if w.Last > change.Generation(len(r.own)) {
		return core.Settled{Reentered: true}, nil
	}
	return core.Settled{PushFrom: w.Last + 1}, nil
}

func (r *fakeReplica) Unsent(_ context.Context, from change.Generation, maxBytes int) (gens []change.Generation, batches [][]byte, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for gen := from; gen <= change.Generation(len(r.own)); gen++ {
		batch := r.own[gen-1]
		if len(batches) > 0 && len(batch) > maxBytes {
			break
		}
		maxBytes -= len(batch)
		gens, batches = append(gens, gen), append(batches, batch)
	}
	return gens, batches, nil
}

func (r *fakeReplica) Apply(ctx context.Context, arrivals []core.Arrival, after change.Hash) error {
	if r.hold != nil {
		if err := r.hold(ctx); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.welcomes) == 0 {
		panic("applied before settled")
	}
	hash, seq, confirmed := r.marker.Hash, r.marker.Seq, r.confirmed
	var seqs []uint64
	var batches []*change.Batch
	for _, a := range arrivals {
		if a.Seq <= seq {
			continue
		}
		if a.Seq != seq+1 {
			return &core.Error{Code: core.Gap, Message: fmt.Sprintf("expected %d, got %d", seq+1, a.Seq)}
		}
		if err := r.refuse[a.Seq]; err != nil {
			return err
		}
		entry, err := r.entry(a)
		if err != nil {
			return &core.Error{Code: core.Corrupt, Message: "entry", Err: err}
		}
		if entry.Version.Device == r.device {
			confirmed = entry.Version.Gen
		}
		if entry.Kind == change.EntryBatch {
			b, err := entry.Batch()
			if err != nil {
				return &core.Error{Code: core.Corrupt, Message: "batch", Err: err}
			}
			batches = append(batches, b)
		}
		hash, seq = entry.FeedHash(hash), a.Seq
		seqs = append(seqs, a.Seq)
	}
	if hash != after {
		return &core.Error{Code: core.WrongHash, Message: "running hash"}
	}
	for _, b := range batches {
		for _, m := range b.Mutations {
			r.heads[m.Key] = head{b.Version(), m.Kind == change.Delete, b.Count}
		}
	}
	r.marker = change.Marker{Epoch: 1, Seq: seq, Hash: hash}
	r.confirmed = confirmed
	r.applies = append(r.applies, seqs)
	return nil
}

func (r *fakeReplica) entry(a core.Arrival) (*change.Entry, error) {
	if a.Entry != nil {
		return change.DecodeEntry(a.Entry)
	}
	ann, err := change.DecodeAnnotation(a.Ann)
	if err != nil {
		return nil, err
	}
	v := change.Version{Device: r.device, Gen: a.Gen}
	if a.Void {
		return change.NewVoidEntry(v, r.hashes[a.Gen-1], ann), nil
	}
	b, err := change.Decode(r.own[a.Gen-1])
	if err != nil {
		return nil, err
	}
	return change.NewBatchEntry(&b.Header, r.own[a.Gen-1], ann), nil
}

func (r *fakeReplica) Reenter(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reentries++
	r.device[15]++
	r.own, r.hashes, r.confirmed = nil, nil, 0
	return nil
}

func (r *fakeReplica) Trail(context.Context) ([]change.Place, error) {
	return []change.Place{{}}, nil
}

func (r *fakeReplica) Applied(_ context.Context, at core.AppliedCursor, _ int) ([][]byte, core.AppliedCursor, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at.Seq >= uint64(len(r.applied)) {
		return nil, at, nil
	}
	at.Seq++
	return r.applied[at.Seq-1 : at.Seq], at, nil
}

func (r *fakeReplica) Owe(_ context.Context, back change.Place) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.back = back
	return nil
}

func (r *fakeReplica) GoBack(_ context.Context, to change.Marker, back change.Place) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rewinds = append(r.rewinds, to)
	r.marker, r.back = to, back
	return nil
}

func (r *fakeReplica) State() core.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return core.State{Device: r.device, Lineage: r.lineage, Marker: r.marker, LastGen: change.Generation(len(r.own)),
		ConfirmedGen: r.confirmed, Pending: len(r.own) - int(r.confirmed)}
}

func (r *fakeReplica) OnUnsent(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unsent = fn
}

// put writes one batch of a value with so many bytes.
func (r *fakeReplica) put(t testing.TB, size int) {
	r.mu.Lock()
	prev := change.Hash{}
	if n := len(r.hashes); n > 0 {
		prev = r.hashes[n-1]
	}
	raw, hash := batch(t, r.device, change.Generation(len(r.own)+1), prev, put("mine", size))
	r.own, r.hashes = append(r.own, raw), append(r.hashes, hash)
	unsent := r.unsent
	r.mu.Unlock()
	if unsent != nil {
		unsent()
	}
}

func put(id string, size int) change.Mutation {
	value, err := change.Encode(string(slices.Repeat([]byte("x"), size)))
	if err != nil {
		panic(err)
	}
	return change.Mutation{Kind: change.Put, Key: change.Key{Collection: "notes", ID: id}, Value: value}
}

func del(id string, parents ...change.Version) change.Mutation {
	return change.Mutation{Kind: change.Delete, Key: change.Key{Collection: "notes", ID: id}, Parents: parents}
}

func batch(t testing.TB, device change.DeviceID, gen change.Generation, prev change.Hash, mutations ...change.Mutation) ([]byte, change.Hash) {
	t.Helper()
	b := change.Batch{Header: change.Header{Device: device, Gen: gen, Stamp: 1_700_000_000_000}, Mutations: mutations}
	raw, err := b.Encode(prev)
	if err != nil {
		t.Fatal(err)
	}
	return raw, b.Hash
}
