package core

import (
	"context"
	"slices"

	"vsync/core/change"
	"vsync/core/digest"
)

// A service holds no replica: the hub writes for it, in one commit with the batch's place in the feed, so that what it expects of
// objects holds until its batch is there.
//
//	WriteAs ─▶ the subject's device ─▶ written before? ─▶ checks ─▶ form, on what is there now ─▶ judge ─▶ place ─▶ the feed
//
// The batch is one of a device of the hub's own, one a subject: its id is made of the hub's key, so it is the same after a crash and
// in a hub that lost its data, and it belongs to the subject, so that nobody else pushes under it. The next generation and what it
// follows on stand in the row of the device, which the commit changes with everything else: there is nothing to be put right after
// a crash. Where the hub lost some, it goes on with generations that it has given before, and what is handed back comes under the
// names of a re-entry, as with every device that went back in time together with its hub.

// serviceDevice returns the id under which the hub writes for a subject.
func (r *Replica) serviceDevice(subject string) change.DeviceID {
	return r.serviceDeviceOf(r.Lineage(), subject)
}

func (r *Replica) serviceDeviceOf(lineage change.Lineage, subject string) (d change.DeviceID) {
	mac := digest.NewMAC(r.cfg.HubKey)
	mac.Write([]byte("vsync service 1"))
	mac.Write(lineage[:])
	mac.Write([]byte(subject))
	copy(d[:], mac.Sum(nil))
	return d
}

// WriteAs writes a batch at the hub, for a subject that has no replica; "" is nobody's. It returns when the batch has its place in the
// feed and is stored.
//
// A nonce's tab names the write and its counter says what it is: one that is among the last 1,000 of the subject is not written again,
// and its receipt is the one of then.
//
// Errors: as Write; INVALID where the nonce's tab was another write's; FORBIDDEN where the device is another subject's.
func (r *Replica) WriteAs(ctx context.Context, subject string, w Write) (Receipt, error) {
	if r.cfg.Role != RoleHub {
		return Receipt{}, errorf(Invalid, "only a hub writes for others; write here with Write")
	}
	if err := w.validate(); err != nil {
		return Receipt{}, err
	}
	device := r.serviceDevice(subject)
	var rec Receipt
	err := r.mendingSubmit(ctx, &request{weight: w.weight(), strict: true, form: func(s *stage) (err error) {
		rec.Version, err = r.serve(s, device, subject, &w)
		return err
	}})
	return rec, err
}

func (r *Replica) serve(s *stage, d change.DeviceID, subject string, w *Write) (change.Version, error) {
	if err := s.claimFor(d, subject); err != nil {
		return change.Version{}, err
	}
	rec, err := s.device(d)
	if err != nil {
		return change.Version{}, err
	}
	known := r.served.of(s, d, rec.Last)
	if v, ok, err := known.find(s, d, rec.Last, w.Nonce); ok || err != nil {
		return v, err
	}
	for i := range w.Checks {
		if err := s.check(&w.Checks[i]); err != nil {
			return change.Version{}, err
		}
	}
	h := change.Header{Device: d, Gen: rec.Last + 1, Stamp: r.cfg.Now(), Nonce: w.Nonce, Note: w.Note}
	b, _, err := s.batch(h, w.Ops)
	if err != nil {
		return change.Version{}, err
	}
	bytes, err := b.Encode(rec.Hash)
	if err != nil {
		return change.Version{}, writeError(err)
	}
	v, err := r.judgeOne(s, &Incoming{Device: d, Bytes: bytes})
	if err != nil {
		return change.Version{}, err
	}
	if v.Kind != Accepted {
		return change.Version{}, errorf(Invalid, "the hub cannot take the batch: %s", v.Message)
	}
	known.add(w.Nonce, h.Gen)
	return b.Version(), nil
}

// served are the writes of subjects that are known by their nonces. It is only a hint, filled from the log where it is not there, and
// what it says is looked up: so what was formed and not stored does no harm. The leader's.
type served map[change.DeviceID]*servedBy

type servedBy struct {
	gens map[[8]byte]change.Generation // by tab; of the last maxServed generations, and some before
}

func (k *served) of(s *stage, d change.DeviceID, last change.Generation) *servedBy {
	if by := (*k)[d]; by != nil {
		return by
	}
	if *k == nil || len(*k) >= maxServices {
		*k = served{}
	}
	by := &servedBy{gens: map[[8]byte]change.Generation{}}
	for g := last; g > 0 && last-g < maxServed; g-- {
		n, err := s.placed(change.Version{Device: d, Gen: g})
		if err != nil {
			break // a damaged log is no hindrance to write on
		}
		if _, later := by.gens[n.Tab]; !later && !n.IsZero() {
			by.gens[n.Tab] = g
		}
	}
	(*k)[d] = by
	return by
}

// find returns the batch that was written with a nonce.
func (by *servedBy) find(s *stage, d change.DeviceID, last change.Generation, n change.Nonce) (change.Version, bool, error) {
	v := change.Version{Device: d, Gen: by.gens[n.Tab]}
	if n.IsZero() || v.Gen == 0 || v.Gen > last {
		return v, false, nil
	}
	have, err := s.placed(v)
	switch {
	case err != nil || have.Tab != n.Tab:
		return v, false, err
	case have != n:
		return v, false, errorf(Invalid, "the name of this write is that of another, which was stored as %s; give each write a name of its own", v)
	}
	return v, true, nil
}

func (by *servedBy) add(n change.Nonce, gen change.Generation) {
	if n.IsZero() {
		return
	}
	by.gens[n.Tab] = gen
	if len(by.gens) <= 2*maxServed {
		return
	}
	for tab, g := range by.gens {
		if g+maxServed <= gen {
			delete(by.gens, tab)
		}
	}
}

// placed returns the nonce of a batch in the feed, or about to be; zero where it has none, or its record is gone.
func (s *stage) placed(v change.Version) (change.Nonce, error) {
	var batch []byte
	i := slices.IndexFunc(s.feed, func(f FeedEntry) bool { return f.Device == v.Device && f.Gen == v.Gen && f.Kind == change.EntryBatch })
	if i >= 0 {
		_, _, _, batch, _ = change.CutEntry(s.feed[i].Entry)
	} else {
		found, _, ok, err := s.log.Find(s.ctx, v)
		if err != nil || !ok {
			return change.Nonce{}, err
		}
		batch = found
	}
	h, _, err := change.DecodeHeader(batch)
	return h.Nonce, err
}
