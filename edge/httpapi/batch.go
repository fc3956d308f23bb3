package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"vsync/core"
	"vsync/core/change"
)

// What a batch asks for.
type (
	batch struct {
		Writes []write `json:"writes"`
		Note   string  `json:"note,omitempty"`
	}
	write struct {
		Collection string          `json:"collection"`
		ID         string          `json:"id"`
		Value      json.RawMessage `json:"value,omitempty"`
		Delete     bool            `json:"delete,omitempty"`
		Expect     []string        `json:"expect,omitempty"` // the frontier that was read; empty: nothing was ever there
	}
)

// batch writes one batch. With a header Idempotency-Key it is written once, however often it comes.
func (c *call) batch() error {
	body, err := c.body()
	if err != nil {
		return err
	}
	if err := c.charge(len(body)); err != nil {
		return err
	}
	var b batch
	if err := decode(body, &b); err != nil {
		return err
	}
	w := core.Write{Note: b.Note}
	if w.Nonce, err = nonceOf(c.r.Header.Values(idempotencyKey), body); err != nil {
		return err
	}
	for i := range b.Writes {
		if err := b.Writes[i].add(&w); err != nil {
			return err
		}
	}
	r, err := c.db.Replica.WriteAs(c.r.Context(), c.grant.Subject, w)
	if errors.Is(err, core.ErrChanged) {
		return c.current(w.Checks)
	}
	if err != nil {
		return err
	}
	return c.answer(receipt{r.Version.String()})
}

// body reads what was sent, within bounds of size and time.
func (c *call) body() ([]byte, error) {
	if kind := c.r.Header.Get("Content-Type"); kind == "" || !isJSON(kind) {
		return nil, invalid("expected Content-Type: application/json, got %q", clip(kind))
	}
	control := http.NewResponseController(c.w)
	_ = control.SetReadDeadline(c.cfg.Now().Add(c.cfg.Patience)) // where a host has no deadlines, it has others
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, c.cfg.Body))
	var long *http.MaxBytesError
	var known *core.Error
	switch {
	case errors.As(err, &long):
		return nil, &core.Error{Code: tooLarge, Message: fmt.Sprintf("expected a body of at most %d bytes, more came: write several batches", c.cfg.Body)}
	case errors.As(err, &known): // of a host that takes no more bodies
		return nil, known
	case err != nil:
		return nil, invalid("the body did not come whole, or not in time; nothing was written")
	}
	_ = control.SetReadDeadline(time.Time{})
	return body, nil
}

// isJSON looks at a media type: pages of other origins may send the simple ones without being asked.
func isJSON(kind string) bool {
	media, _, _ := bytes.Cut([]byte(kind), []byte(";"))
	return string(bytes.ToLower(bytes.TrimSpace(media))) == "application/json"
}

// decode reads a batch. What is misspelt is refused: an "expect" that is ignored would do harm.
func decode(body []byte, b *batch) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(b); err != nil {
		return invalid(`expected {"writes": [{"collection", "id", "value"}, …]}: %v`, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return invalid("something stands behind the end of the batch")
	}
	return nil
}

// nonceOf names a write by the key that a client gave it, and says by the body what it is.
func nonceOf(keys []string, body []byte) (n change.Nonce, err error) {
	switch {
	case len(keys) == 0:
		return n, nil
	case len(keys) > 1 || keys[0] == "" || len(keys[0]) > maxKey:
		return n, invalid("expected one Idempotency-Key of 1 to %d characters", maxKey)
	}
	name, what := sha256.Sum256([]byte(keys[0])), sha256.Sum256(body)
	copy(n.Tab[:], name[:])
	n.Counter = 1 + binary.BigEndian.Uint64(what[:])>>16
	return n, nil
}

// add makes a mutation of a write, and a check of what it expects.
func (w *write) add(to *core.Write) error {
	op := core.Op{Key: change.Key{Collection: w.Collection, ID: w.ID}, Delete: w.Delete}
	if w.Delete != (w.Value == nil) {
		return invalid(`%q in %q: expected either a "value" or "delete": true`, clip(w.ID), clip(w.Collection))
	}
	if !w.Delete {
		value, err := change.FromJSON(w.Value)
		if errors.Is(err, change.ErrTooLarge) {
			return &core.Error{Code: core.ValueTooLarge, Message: fmt.Sprintf("%q in %q: a value has at most 1 MiB as it is stored, this one has more", clip(w.ID), clip(w.Collection))}
		}
		if err != nil {
			return invalid("%q in %q: the value cannot be stored: %v", clip(w.ID), clip(w.Collection), err)
		}
		op.Value = value
	}
	to.Ops = append(to.Ops, op)
	if w.Expect == nil {
		return nil
	}
	if len(w.Expect) > change.MaxParents {
		return invalid(`%q in %q: "expect" names %d versions, and an object has at most %d`, clip(w.ID), clip(w.Collection), len(w.Expect), change.MaxParents)
	}
	check := core.Check{Key: op.Key}
	for _, text := range w.Expect {
		v, err := change.ParseVersion(text)
		if err != nil {
			return invalid(`%q in %q: expected versions as "frontier" has them, got %q`, clip(w.ID), clip(w.Collection), clip(text))
		}
		check.Frontier = append(check.Frontier, v)
	}
	slices.SortFunc(check.Frontier, change.Version.Compare)
	to.Checks = append(to.Checks, check)
	return nil
}

// current is the answer where objects are not as was expected: those, as they are now.
func (c *call) current(checks []core.Check) error {
	found := &conflict{cause: &core.Error{Code: changed, Message: "objects are not as was expected, and nothing was written: look at what is there, and write again"}}
	size := 0
	for _, check := range checks {
		e, _, err := c.db.Replica.Get(c.r.Context(), check.Key)
		if err != nil {
			return err
		}
		now := slices.Clone(e.Frontier)
		slices.SortFunc(now, change.Version.Compare)
		if slices.Equal(now, check.Frontier) {
			continue
		}
		if len(found.objects) == maxConflicts || size >= pageBytes {
			break
		}
		e.Key = check.Key
		o, err := objectOf(e)
		if err != nil {
			return err
		}
		size += len(o.Value)
		found.objects = append(found.objects, o)
	}
	return found
}
