package core

import (
	"encoding/binary"
	"strings"

	"vsync/core/fmt"
)

// Scope says how much of a store something concerns.
type Scope string

// The scopes of findings, from the smallest.
const (
	ScopeObject     Scope = "object"
	ScopeBatch      Scope = "batch"
	ScopeDevice     Scope = "device"     // the row of a device, or the chain of its batches
	ScopeProblem    Scope = "problem"    // a refused batch, or what a hub keeps of one
	ScopeFeed       Scope = "feed"       // the order of the feed, or its hashes
	ScopeOverflow   Scope = "overflow"   // 'O': a large value
	ScopePage       Scope = "page"       // 'P': a page of a table
	ScopeSummary    Scope = "summary"    // 'M': a summary of segments
	ScopeSegment    Scope = "segment"    // 'L': a segment of the log
	ScopeSuperblock Scope = "superblock" // 'S'
	ScopeRow        Scope = "row"        // a row of no known kind
)

// A Finding is something that is stored and is not what was written, or does not fit what else is stored.
type Finding struct {
	Scope   Scope
	What    string // the object, batch, device or place that it concerns, for people
	Row     []byte // key of the row of the store; nil: none, or several
	Reason  string
	Repair  string // what was done; empty: nothing yet
	Time    uint64 // ms since 1970, of a row that was set aside
	Commit  uint64 // where the replica stood then
	Missing bool   // there was no such row

	Harmless bool   // nothing reads it
	Bytes    []byte // what the row held
}

// What can be done.
const (
	fromLog     = "built anew from the log"
	mendedNow   = "mended; what was there is in quarantine"
	setAsideFor = "set aside, and built anew"
	setAside    = "set aside"
)

// String is one line.
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(string(f.Scope))
	if f.What != "" {
		fmt.Fprintf(&b, " %s", f.What)
	} else if f.Row != nil {
		fmt.Fprintf(&b, " %s", rowName(f.Row))
	}
	fmt.Fprintf(&b, ": %s", f.Reason)
	if f.Harmless {
		b.WriteString(" (harmless)")
	}
	if f.Repair != "" {
		fmt.Fprintf(&b, "; %s", f.Repair)
	}
	return b.String()
}

func scopeOfRow(row []byte) Scope {
	if len(row) > 0 {
		switch row[0] {
		case 'S':
			return ScopeSuperblock
		case 'L':
			return ScopeSegment
		case 'M':
			return ScopeSummary
		case 'P':
			return ScopePage
		case 'O':
			return ScopeOverflow
		}
	}
	return ScopeRow
}

// rowName names a row for people.
func rowName(row []byte) string {
	switch {
	case len(row) == 19 && row[0] == 'L':
		return fmt.Sprintf("of commit %d, incarnation %x, part %d", binary.BigEndian.Uint64(row[1:]), row[9:17], binary.BigEndian.Uint16(row[17:]))
	case len(row) > 3 && row[0] == 'P':
		return fmt.Sprintf("of table %c up to %q", row[1], row[3:])
	case len(row) == 3 && row[0] == 'P':
		return fmt.Sprintf("of table %c, the last", row[1])
	case len(row) > 0 && row[0] == 'S':
		return fmt.Sprintf("%q", row)
	}
	return fmt.Sprintf("row %x", row)
}
