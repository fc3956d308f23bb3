package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"vsync/core"
	"vsync/core/change"
	"vsync/edge/e2e/ledger"
)

// Notes are single objects that all devices fight over. Crowds are groups of objects that are only ever written
// together, in one batch with one token: wherever and whenever one is seen, all of it has the same token, or it is
// not there at all. That holds under conflicts too, since all objects of a crowd have the same past.
const (
	notes, crowds = "notes", "crowds"
	noteIDs       = 25
	crowdIDs      = 4
	crowdSize     = 1000
)

func noteKey(r *rand.Rand) change.Key {
	return change.Key{Collection: notes, ID: noteID(r.IntN(noteIDs))}
}

func noteID(n int) string { return fmt.Sprintf("note %02d", n) }

func crowdOf(id string) string { return id[:strings.IndexByte(id, '/')] }

// write writes at random until ctx ends. What it does depends on the seed, and on what it finds.
func (l life) write(ctx context.Context, replica *core.Replica, waiting chan<- written, tell ledger.Report) error {
	w := &writer{r: rand.New(rand.NewPCG(l.Seed, 2)), replica: replica}
	for n := 1; ctx.Err() == nil; n++ {
		w.pad = 100
		if w.r.IntN(4) == 0 {
			w.pad = 600 // a crowd of these is larger than a frame, and travels in parts
		}
		w.token = fmt.Sprintf("%s.%d.%d", l.Name, l.Number, n)
		batch, err := w.next(ctx)
		if err != nil {
			return err
		}
		batch.Note = w.token
		tell(ledger.Tried, w.token)
		receipt, err := replica.Write(context.WithoutCancel(ctx), batch) // it is to be known what became of it
		switch {
		case errors.Is(err, core.ErrChanged):
			tell(ledger.Dodged, w.token)
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", w.token, err)
		}
		tell(ledger.Stored, w.token)
		select {
		case waiting <- written{w.token, receipt.Version}:
		case <-ctx.Done():
		}
	}
	return nil
}

type writer struct {
	r       *rand.Rand
	replica *core.Replica
	token   string
	pad     int // bytes of a value at most, in this batch; of a crowd, half of it a thousand times
}

// next makes up a write.
func (w *writer) next(ctx context.Context) (core.Write, error) {
	switch n := w.r.IntN(100); {
	case n < 30:
		return w.batch(w.put(noteKey(w.r))), nil
	case n < 45:
		return w.batch(w.delete(noteKey(w.r))), nil
	case n < 60:
		return w.recreate(ctx)
	case n < 80:
		return w.update(ctx)
	case n < 96:
		return w.several(), nil
	case n < 99:
		return w.crowd(w.put), nil
	}
	return w.crowd(w.delete), nil
}

func (w *writer) batch(ops ...core.Op) core.Write { return core.Write{Ops: ops} }

func (w *writer) put(key change.Key) core.Op {
	value, err := change.Encode(change.Map{{Key: "token", Value: w.token}, {Key: "pad", Value: make([]byte, w.r.IntN(w.pad))}})
	if err != nil {
		panic(err) // a map of a string and bytes has an encoding
	}
	return core.Op{Key: key, Value: value}
}

func (w *writer) delete(key change.Key) core.Op { return core.Op{Key: key, Delete: true} }

// recreate puts a note that is not there, as long as nobody else does.
func (w *writer) recreate(ctx context.Context) (core.Write, error) {
	for range noteIDs {
		key := noteKey(w.r)
		e, there, err := w.replica.Get(ctx, key)
		if err != nil {
			return core.Write{}, err
		}
		if !there {
			batch := w.batch(w.put(key))
			batch.Checks = []core.Check{{Key: key, Frontier: e.Frontier}}
			return batch, nil
		}
	}
	return w.batch(w.delete(noteKey(w.r))), nil
}

// update replaces what was read: as a plain write that names it, or one that insists on it.
func (w *writer) update(ctx context.Context) (core.Write, error) {
	key := noteKey(w.r)
	e, _, err := w.replica.Get(ctx, key)
	if err != nil {
		return core.Write{}, err
	}
	op := w.put(key)
	if w.r.IntN(2) == 0 {
		op.Seen = append([]change.Version{}, e.Frontier...)
		return w.batch(op), nil
	}
	batch := w.batch(op)
	batch.Checks = []core.Check{{Key: key, Frontier: e.Frontier}}
	return batch, nil
}

// several notes in one batch, some put and some deleted.
func (w *writer) several() (batch core.Write) {
	taken := map[change.Key]bool{}
	for range 2 + w.r.IntN(8) {
		key := noteKey(w.r)
		if taken[key] {
			continue
		}
		taken[key] = true
		if w.r.IntN(3) == 0 {
			batch.Ops = append(batch.Ops, w.delete(key))
		} else {
			batch.Ops = append(batch.Ops, w.put(key))
		}
	}
	return batch
}

func (w *writer) crowd(op func(change.Key) core.Op) (batch core.Write) {
	crowd := w.r.IntN(crowdIDs)
	for i := range crowdSize {
		batch.Ops = append(batch.Ops, op(change.Key{Collection: crowds, ID: fmt.Sprintf("crowd %d/%04d", crowd, i)}))
	}
	return batch
}

// tokenOf reads the token of a value.
func tokenOf(value []byte) (string, error) {
	v, err := change.DecodeValue(value)
	if err != nil {
		return "", err
	}
	m, _ := v.(change.Map)
	token, _ := m.Get("token")
	if s, is := token.(string); is {
		return s, nil
	}
	return "", fmt.Errorf("the value %v has no token", v)
}

// A crowdCount counts what is seen of crowds.
type crowdCount map[string]map[string]int // crowd → token, "" where it is deleted → objects

func (c crowdCount) add(e core.Entry) (err error) {
	if e.Key.Collection != crowds {
		return nil
	}
	token := ""
	if !e.Deleted {
		if token, err = tokenOf(e.Value); err != nil {
			return fmt.Errorf("%s: %w", e.Key, err)
		}
	}
	crowd := crowdOf(e.Key.ID)
	if c[crowd] == nil {
		c[crowd] = map[string]int{}
	}
	c[crowd][token]++
	return nil
}

// whole returns an error if a crowd is there in part.
func (c crowdCount) whole() error {
	for crowd, tokens := range c {
		for token, n := range tokens {
			if n != crowdSize {
				return fmt.Errorf("%s was seen in part: %d objects of %q, in all %v", crowd, n, token, tokens)
			}
		}
	}
	return nil
}

func scanCrowds(ctx context.Context, r *core.Replica) error {
	seen := crowdCount{}
	for e, err := range r.Scan(ctx, core.ScanRange{Collection: crowds}) {
		if err == nil {
			err = seen.add(e)
		}
		if err != nil {
			return err
		}
	}
	return seen.whole()
}
