package change

import (
	"errors"

	"vsync/core/fmt"
)

// Ways for bytes to be wrong. A *FormatError or a *ValueError wraps one of them; branch with
// errors.Is, read the details with errors.As.
var (
	// About any bytes.
	ErrTruncated     = errors.New("truncated")             // the bytes end before the thing does
	ErrTrailing      = errors.New("trailing bytes")        // something follows the thing
	ErrNotMinimal    = errors.New("not the shortest form") // a longer form than the one canonical one
	ErrUnknownFormat = errors.New("unknown format")        // a format byte of another version
	ErrReserved      = errors.New("reserved")              // a bit or number kept for later versions
	ErrTooLarge      = errors.New("too large")             // a limit of limits.go is passed
	ErrTooSmall      = errors.New("too small")             // a zero where there must be something
	ErrNotUTF8       = errors.New("not UTF-8")             // text that is no UTF-8
	ErrOrder         = errors.New("out of order")          // a list or table not in its canonical order
	ErrDuplicate     = errors.New("duplicate")             // the same member twice in a list or map
	ErrText          = errors.New("text cannot be parsed") // the text form of an identifier
	ErrKey           = errors.New("invalid key")           // a collection name or id against the rules
	ErrValue         = errors.New("invalid value")         // any *ValueError

	// About batches.
	ErrIndex           = errors.New("index out of range")      // names a row that its table does not have
	ErrUnused          = errors.New("unused table row")        // a collection or device that no mutation uses
	ErrDuplicateObject = errors.New("object twice in a batch") // one key, two mutations
	ErrParent          = errors.New("impossible parent")       // a parent of the own device, not before this batch
	ErrSize            = errors.New("size differs")            // frames longer or shorter than the header says
	ErrBodyHash        = errors.New("body hash differs")       // frames are not those that the header names
	ErrChain           = errors.New("hash chain differs")      // does not follow the given previous batch
	ErrPartial         = errors.New("partial batch")           // a partial batch where a whole one is needed

	// About feed entries.
	ErrMAC        = errors.New("MAC differs")        // not by this hub's key, or changed since
	ErrAnnotation = errors.New("annotation misused") // a part that this kind of entry must or must not have
)

// A FormatError says where bytes, or a thing that was to become bytes, break the format.
type FormatError struct {
	What   string // the thing: "batch header", "mutation 3", "annotation", "marker"
	Offset int    // bytes from the start of what was given to the decoder; -1 from an encoder
	Want   string // what was expected there
	Got    string // what came; empty where nothing is to be said
	Err    error  // the sentinel, or a *ValueError
}

func (e *FormatError) Error() string {
	at := ""
	if e.Offset >= 0 {
		at = fmt.Sprintf(" at byte %d", e.Offset)
	}
	got := ""
	if e.Got != "" {
		got = ", got " + e.Got
	}
	return fmt.Sprintf("%s%s: %v: expected %s%s", e.What, at, e.Err, e.Want, got)
}

func (e *FormatError) Unwrap() error { return e.Err }

// A ValueError says where in a value the canonical form is broken. It is an ErrValue and, beneath,
// one of the other sentinels.
type ValueError struct {
	Path    string // from the root, "$.a[3].b"
	Offset  int    // bytes from the start of the value, of the JSON text; -1 from Encode
	Problem string // what is wrong and what to write instead
	Err     error  // the sentinel
}

func (e *ValueError) Error() string {
	at := ""
	if e.Offset >= 0 {
		at = fmt.Sprintf(" (byte %d)", e.Offset)
	}
	return fmt.Sprintf("value at %s%s: %s", e.Path, at, e.Problem)
}

// Is makes every ValueError an ErrValue.
func (e *ValueError) Is(target error) bool { return target == ErrValue }

func (e *ValueError) Unwrap() error { return e.Err }
