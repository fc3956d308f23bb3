package dag

import (
	"errors"

	"vsync/core/change"
	"vsync/core/fmt"
)

// ErrTooWide: more versions wait in a walk than MaxWaiting, or Ranked would look through more than MaxAncestors.
var ErrTooWide = errors.New("dag: the graph is wider than any that comes of real writes")

// An OrderError reports a record whose parent does not lie before it in the log: the log is damaged.
type OrderError struct {
	Version, Parent  change.Version
	Position, Before uint64 // the parent lies at Position and should lie before Before, its child's place
}

func (e *OrderError) Error() string {
	return fmt.Sprintf("dag: %v names parent %v, whose record (%v at position %d) must lie before position %d: the log is damaged",
		e.Version, e.Parent, e.Parent, e.Position, e.Before)
}
