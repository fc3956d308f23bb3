package store

import (
	"bytes"
	"context"

	"vsync/core/fmt"
)

// eachBytes is how much Each reads at a time where the caller does not say: a
// megabyte is some twenty full rows, and small in any memory.
const eachBytes = 1 << 20

// Each calls fn with every row of r, in order, and reads them in steps of
// r.MaxBytes bytes (about 1 MB if that is 0). r.Limit bounds the rows of all steps
// together; 0 sets no bound. An error of fn ends it and is returned as it is.
//
// Each step is a Scan of its own: commits made meanwhile show up in later
// steps.
func Each(ctx context.Context, s Store, r Range, fn func(Row) error) error {
	if r.MaxBytes <= 0 {
		r.MaxBytes = eachBytes
	}
	left := r.Limit
	for {
		r.Limit = left
		rows, err := s.Scan(ctx, r)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			if err := fn(row); err != nil {
				return err
			}
		}
		if left > 0 {
			if left -= len(rows); left == 0 {
				return nil
			}
		}
		if !r.after(rows[len(rows)-1].Key) {
			return nil
		}
	}
}

// after narrows r to what follows the row at last; false if nothing can.
func (r *Range) after(last []byte) bool {
	if !r.Reverse {
		r.From = Successor(last)
		return true
	}
	r.To = last
	return len(last) > 0 // an empty To would begin again at the end
}

// Contains reports whether key lies in the range.
func (r Range) Contains(key []byte) bool {
	return bytes.Compare(key, r.From) >= 0 && (len(r.To) == 0 || bytes.Compare(key, r.To) < 0)
}

// Fits is the rule of Range's limits: whether a result that has rows rows of
// size bytes may take one more of next bytes.
func (r Range) Fits(rows, size, next int) bool {
	if r.Limit > 0 && rows >= r.Limit {
		return false
	}
	return rows == 0 || r.MaxBytes <= 0 || size+next <= r.MaxBytes
}

// Successor returns the first key after key.
func Successor(key []byte) []byte {
	return append(key[:len(key):len(key)], 0)
}

// Prefix returns the range of all keys that begin with prefix.
func Prefix(prefix []byte) Range {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return Range{From: prefix, To: end[:i+1]}
		}
	}
	return Range{From: prefix}
}

func (r Range) String() string {
	to := "end"
	if len(r.To) > 0 {
		to = fmt.Sprintf("%q", r.To)
	}
	s := fmt.Sprintf("[%q, %s)", r.From, to)
	if r.Limit > 0 {
		s += fmt.Sprintf(", %d rows", r.Limit)
	}
	if r.MaxBytes > 0 {
		s += fmt.Sprintf(", %d bytes", r.MaxBytes)
	}
	if r.Reverse {
		s += ", reverse"
	}
	return s
}
