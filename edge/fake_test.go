package edge

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"vsync/core"
	"vsync/core/change"
)

var (
	fakeKey     = []byte("a key of sixteen")
	fakeLineage = change.Lineage{0xfa, 0xce}
)

// A fake is a replica in memory that judges like a hub's, but for parents in the future of a device.
type fake struct {
	commit sync.Mutex // one Accept at a time, its OnFeed included

	mu      sync.Mutex
	feed    []core.FeedEntry
	hash    change.Hash
	hashes  map[change.DeviceID][]change.Hash // of all generations
	owners  map[change.DeviceID]string
	reads   int
	onFeed  func([]core.FeedEntry)
	refuse  error // what Accept fails with
	readErr error // what ReadFeed fails with
	lag     bool  // entries can be read some time before they are told
}

func newFake() *fake {
	return &fake{hashes: map[change.DeviceID][]change.Hash{}, owners: map[change.DeviceID]string{}}
}

func (f *fake) Claim(_ context.Context, d change.DeviceID, subject string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if owner := f.owners[d]; owner != "" && owner != subject {
		return &core.Error{Code: core.Forbidden, Message: "another's device"}
	}
	f.owners[d] = subject
	return nil
}

func (f *fake) Lineage() change.Lineage          { return fakeLineage }
func (f *fake) OnFeed(fn func([]core.FeedEntry)) { f.onFeed = fn }
func (f *fake) place(seq uint64) change.Marker {
	return change.Marker{Epoch: 1, Seq: seq, Hash: f.hashAt(seq)}
}
func (f *fake) fail(err error) { f.mu.Lock(); f.refuse = err; f.mu.Unlock() }
func (f *fake) vector(d change.DeviceID) change.Generation {
	return change.Generation(len(f.hashes[d]))
}

func (f *fake) hashAt(seq uint64) change.Hash {
	if seq == 0 {
		return change.Hash{}
	}
	return f.feed[seq-1].Hash
}

func (f *fake) Head() change.Marker {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.place(uint64(len(f.feed)))
}

func (f *fake) Locate(_ context.Context, at core.Whereabouts) (change.Marker, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	knows := func(p change.Place) bool {
		return p.Seq <= uint64(len(f.feed)) && p.Hash == f.hashAt(p.Seq)
	}
	for _, p := range append([]change.Place{{Seq: at.Marker.Seq, Hash: at.Marker.Hash}}, at.Trail...) {
		if knows(at.Back) && knows(p) {
			return f.place(p.Seq), nil
		}
	}
	return at.Marker, &core.Error{Code: core.UnknownMarker, Message: "no place of this feed"}
}

func (f *fake) TakeBack(_ context.Context, entries [][]byte, _ *core.Orphans) (taken int, head change.Marker, err error) {
	f.commit.Lock()
	defer f.commit.Unlock()
	f.mu.Lock()
	from := len(f.feed)
	for _, bytes := range entries {
		e, err := change.DecodeEntry(bytes)
		if err != nil || e.VerifyMAC(fakeKey, fakeLineage) != nil || e.Version.Gen != f.vector(e.Version.Device)+1 {
			continue
		}
		h, _, err := change.DecodeHeader(e.Body)
		if err == nil {
			f.take(&h, e.Body, nil)
			taken++
		}
	}
	news, head := f.feed[from:len(f.feed):len(f.feed)], f.place(uint64(len(f.feed)))
	f.mu.Unlock()
	if len(news) > 0 {
		f.onFeed(news)
	}
	return taken, head, nil
}

func (f *fake) Settlement(_ context.Context, d change.DeviceID, base change.Generation, _ change.Hash, own []change.Hash) (
	common, last change.Generation, lastHash change.Hash, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.hashes[d]
	last = change.Generation(len(known))
	if last > 0 {
		lastHash = known[last-1]
	}
	common = min(base, last)
	for i, h := range own {
		if g := int(base) + i + 1; g <= len(known) && known[g-1] == h {
			common = change.Generation(g)
		}
	}
	return common, last, lastHash, nil
}

func (f *fake) ReadFeed(ctx context.Context, after uint64, maxBytes int) (entries []core.FeedEntry, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	if err := errors.Join(ctx.Err(), f.readErr); err != nil {
		return nil, err
	}
	for _, e := range f.feed[min(after, uint64(len(f.feed))):] {
		if maxBytes -= len(e.Entry); maxBytes < 0 && len(entries) > 0 {
			break
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func (f *fake) Accept(_ context.Context, in []core.Incoming) ([]core.Verdict, error) {
	f.commit.Lock()
	defer f.commit.Unlock()
	f.mu.Lock()
	if f.refuse != nil {
		defer f.mu.Unlock()
		return nil, f.refuse
	}
	from := len(f.feed)
	verdicts := make([]core.Verdict, 0, len(in))
	refused := false
	for _, b := range in {
		v := core.Verdict{Kind: core.Refused, Code: string(core.Aborted)}
		if !refused {
			v = f.judge(b)
		}
		refused = v.Kind == core.Refused
		verdicts = append(verdicts, v)
	}
	news := f.feed[from:len(f.feed):len(f.feed)]
	f.mu.Unlock()
	if f.lag {
		runtime.Gosched()
	}
	if len(news) > 0 {
		f.onFeed(news)
	}
	return verdicts, nil
}

func (f *fake) judge(in core.Incoming) core.Verdict {
	h, _, err := change.DecodeHeader(in.Bytes)
	no := func(code core.Code) core.Verdict {
		return core.Verdict{Kind: core.Refused, Gen: h.Gen, Code: string(code)}
	}
	if err != nil || h.IsPartial {
		return no(core.Protocol)
	}
	last := f.vector(h.Device)
	switch {
	case h.Device != in.Device:
		return no(core.Forbidden)
	case h.Gen <= last && f.hashes[h.Device][h.Gen-1] == h.Hash:
		return core.Verdict{Kind: core.Duplicate, Gen: h.Gen}
	case h.Gen <= last:
		return no(core.WrongHash)
	case h.Gen > last+1:
		return no(core.Gap)
	}
	var prev change.Hash
	if last > 0 {
		prev = f.hashes[h.Device][last-1]
	}
	if h.Follows(prev) != nil {
		return no(core.WrongHash)
	}
	b, err := change.Decode(in.Bytes)
	if in.Oversize || err != nil {
		return f.take(&h, in.Bytes, &change.Reason{Code: "INVALID", Message: "can never be right"})
	}
	for _, m := range b.Mutations {
		for _, p := range m.Parents {
			if p.Device != h.Device && p.Gen > f.vector(p.Device) {
				return no(core.Gap)
			}
		}
	}
	return f.take(&h, in.Bytes, nil)
}

func (f *fake) take(h *change.Header, batch []byte, void *change.Reason) core.Verdict {
	ann := change.Annotation{Accepted: 1000 + uint64(len(f.feed)), Reason: void}
	e := change.NewBatchEntry(h, batch, ann)
	kind := core.Accepted
	if void != nil {
		e, kind = change.NewVoidEntry(h.Version(), h.Hash, ann), core.Voided
	}
	e.Seal(fakeKey, fakeLineage)
	f.hash = e.FeedHash(f.hash)
	bytes, err := e.Encode()
	if err != nil {
		panic(err)
	}
	fe := core.FeedEntry{Seq: uint64(len(f.feed)) + 1, Kind: e.Kind, Device: h.Device, Gen: h.Gen, Entry: bytes, Ann: ann.Encode(), MAC: e.MAC, Hash: f.hash}
	if void != nil {
		fe.Code, fe.Message = void.Code, void.Message
	}
	f.feed = append(f.feed, fe)
	f.hashes[h.Device] = append(f.hashes[h.Device], h.Hash)
	return core.Verdict{Kind: kind, Gen: h.Gen, Seq: fe.Seq}
}
