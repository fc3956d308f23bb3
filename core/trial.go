package core

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"

	"vsync/core/change"
	"vsync/core/changelog"
)

// A batch that the hub's engine died at, again and again, must not keep its device from syncing for ever, nor the hub from living.
// Its device notices that connections end without a word, and sends it alone and says so. Then:
//
//	alone ─▶ a trial of it stands from an earlier engine? ─yes▶ void: that engine died at it
//	              │ no
//	              └▶ note the trial, in a commit of its own ─▶ judge ─▶ the outcome, and with it the end of the trial, in one commit
//
// An engine that ends in order ends its trials too: only one that died leaves any. However often the network cuts such a push, it
// is taken.
type trial struct {
	version change.Version
	hash    change.Hash
	engine  uint64 // incarnation that noted it
}

// acceptAlone judges a batch that engines may have died at.
func (r *Replica) acceptAlone(ctx context.Context, in *Incoming) ([]Verdict, error) {
	var out []Verdict
	err := r.submit(ctx, &request{weight: 200, strict: true, form: func(s *stage) (err error) {
		out, err = r.try(s, in)
		return err
	}})
	if err != nil || len(out) > 0 {
		return out, err
	}
	err = r.submit(ctx, &request{weight: len(in.Bytes) + 64, strict: true, form: func(s *stage) error {
		v, err := r.judgeOne(s, in)
		out = []Verdict{v}
		s.tried(in.Device) // of a refused one too
		return err
	}})
	if err != nil {
		r.endTrial(ctx, in.Device)
	}
	return out, err
}

// endTrial takes a trial back that this engine has outlived without an outcome: the store is full, or the caller gave up. Where that
// cannot be stored either, it is left to the end of the engine.
func (r *Replica) endTrial(ctx context.Context, d change.DeviceID) {
	_ = r.submit(context.WithoutCancel(ctx), &request{weight: 64, strict: true, form: func(s *stage) error {
		s.tried(d)
		return nil
	}})
}

// endTrials is for an engine that ends in order, where nobody leads any more.
func (r *Replica) endTrials() {
	r.mu.Lock()
	trials := r.head.trials
	r.mu.Unlock()
	if len(trials) == 0 {
		return
	}
	q := &request{strict: true, done: make(chan error, 1), form: func(s *stage) error {
		for _, t := range trials {
			s.tried(t.version.Device)
		}
		return nil
	}}
	_ = r.commitGroup([]*request{q}) // what could not be stored stays
}

// try notes a trial, or voids a batch that has had one. What is wrong with the batch otherwise is not its business: no verdict.
func (r *Replica) try(s *stage, in *Incoming) ([]Verdict, error) {
	h, _, err := change.DecodeHeader(in.Bytes)
	if err != nil || h.IsPartial || h.Device != in.Device {
		return nil, nil
	}
	rec, err := s.device(h.Device)
	if err != nil || h.Gen != rec.Last+1 || h.Follows(rec.Hash) != nil {
		return nil, err
	}
	now := trial{h.Version(), h.Hash, r.inc}
	for _, t := range s.state.trials {
		switch {
		case t == now:
			return nil, nil
		case t.version == now.version && t.hash == now.hash:
			v, err := r.void(s, &h, nil, nil, Internal, "the hub's engine died each time it took this batch in, so it is not taken: write it again in another form, and report it")
			return []Verdict{v}, err
		}
	}
	s.add(changelog.ItemTrial, now.append(nil))
	s.trying(now)
	return nil, nil
}

// tried ends the trials of a device.
func (s *stage) tried(d change.DeviceID) {
	if f := &s.fold; f.onTrial(d) {
		s.add(changelog.ItemTried, bytes.Clone(d[:]))
		f.tried(d)
	}
}

func (f *fold) onTrial(d change.DeviceID) bool {
	return slices.ContainsFunc(f.head.trials, func(t trial) bool { return t.version.Device == d })
}

// trying and tried make the list anew: states of before share it.
func (f *fold) trying(now trial) {
	f.tried(now.version.Device)
	list := slices.Clone(f.head.trials)
	if len(list) >= maxTrials {
		list = list[1:]
	}
	f.head.trials = append(list, now)
}

func (f *fold) tried(d change.DeviceID) {
	if f.onTrial(d) {
		f.head.trials = slices.DeleteFunc(slices.Clone(f.head.trials), func(t trial) bool { return t.version.Device == d })
	}
	if len(f.head.trials) == 0 {
		f.head.trials = nil
	}
}

// A trial in the log and in the superblock: device 16 ‖ gen uv ‖ hash 16 ‖ incarnation BE64.
func (t trial) append(b []byte) []byte {
	b = change.AppendUvarint(append(b, t.version.Device[:]...), uint64(t.version.Gen))
	return binary.BigEndian.AppendUint64(append(b, t.hash[:]...), t.engine)
}

func (c *cutter) trial() (t trial) {
	copy(t.version.Device[:], c.take(16))
	t.version.Gen = change.Generation(c.uvarint())
	copy(t.hash[:], c.take(16))
	t.engine = c.be64()
	return t
}
