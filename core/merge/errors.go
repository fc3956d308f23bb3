package merge

import (
	"errors"

	"vsync/core/fmt"
)

// Ways for rules or changes to be wrong. An *Error wraps one of them.
var (
	ErrRules   = errors.New("invalid rules")   // a rules object that cannot be read
	ErrPath    = errors.New("invalid path")    // a pattern of rules
	ErrShadow  = errors.New("path never used") // a pattern below one that takes the whole value
	ErrChanges = errors.New("invalid changes") // changes of a mutation
)

// An Error says where rules or changes break their form.
type Error struct {
	Path string // in the thing, "$.conflict[\"a.b\"]"; for changes "op 3"
	Want string // what was expected there
	Got  string // what came
	Err  error  // the sentinel, or a *change.ValueError
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s: %v: expected %s, got %s", e.Path, e.Err, e.Want, e.Got)
}

func (e *Error) Unwrap() error { return e.Err }

func rulesError(path string, err error, want, got string) error {
	return &Error{Path: path, Want: want, Got: got, Err: err}
}
