package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"vsync/core"
	"vsync/edge/host"
)

// The exit codes. Scripts rely on them: they do not change.
const (
	exitOK       = 0
	exitOther    = 1 // any other failure
	exitUsage    = 2 // the command line, or what was given to it, is wrong
	exitNotFound = 3 // there is no such object, or no such database
	exitCorrupt  = 4 // what is stored is damaged
	exitLocked   = 5 // another process has the database open, or the port
	exitRefused  = 6 // the hub refused what was written, or the token
	exitUnsynced = 7 // the hub did not answer in time; what was written is stored here
	exitStorage  = 8 // the disk is full, or cannot be written
)

// Codes of this program, beside those of package core.
const (
	codeUsage    core.Code = "USAGE"
	codeNotFound core.Code = "NOT_FOUND"
	codeTimeout  core.Code = "TIMEOUT"
	codeRefused  core.Code = "REFUSED"
	codeInput    core.Code = "INPUT"
	codeOutput   core.Code = "OUTPUT"
)

var exits = map[core.Code]int{
	codeUsage: exitUsage, core.Invalid: exitUsage, core.KeyTooLong: exitUsage, core.ValueTooLarge: exitUsage,
	core.BatchTooLarge: exitUsage, core.LocalOnly: exitUsage, core.Forbidden: exitUsage, core.UnknownMarker: exitUsage,
	core.TooOld:  exitNotFound,
	codeNotFound: exitNotFound,
	core.Corrupt: exitCorrupt,
	core.Locked:  exitLocked, host.PortInUse: exitLocked,
	codeRefused: exitRefused, core.OtherHub: exitRefused,
	codeTimeout: exitUnsynced,
	core.Quota:  exitStorage, core.ReadOnly: exitStorage,
}

// A refusal is what the hub said no to; its code is the hub's.
type refusal struct{ cause *core.Error }

func (r refusal) Error() string { return r.cause.Error() }
func (r refusal) Unwrap() error { return r.cause }

func fail(code core.Code, format string, args ...any) error {
	return &core.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// explain gives any error its code, its exit code and one line for people.
func explain(err error) (code core.Code, exit int, line string) {
	var known *core.Error
	switch {
	case errors.As(err, &known):
		line = known.Message
		if known.Err != nil {
			line += ": " + known.Err.Error()
		}
	case errors.Is(err, core.ErrChanged):
		known = &core.Error{Code: "CHANGED"}
		line = "what the write was based on has changed; read again and repeat it"
	case errors.Is(err, context.Canceled):
		known = &core.Error{Code: core.Aborted}
		line = "interrupted"
	default:
		known = &core.Error{Code: core.Internal}
		line = err.Error()
	}
	exit, listed := exits[known.Code]
	if !listed {
		exit = exitOther
	}
	var refused refusal
	if errors.As(err, &refused) {
		exit = exitRefused
	}
	return known.Code, exit, strings.Join(strings.Fields(line), " ")
}

// report writes the one line that says what went wrong, and returns the exit code.
func report(w io.Writer, err error, asJSON bool) int {
	code, exit, line := explain(err)
	if !asJSON {
		fmt.Fprintf(w, "vsync: %s: %s\n", code, line)
		return exit
	}
	text, _ := json.Marshal(struct {
		Code    core.Code `json:"code"`
		Message string    `json:"message"`
		Exit    int       `json:"exit"`
	}{code, line, exit})
	fmt.Fprintf(w, "%s\n", text)
	return exit
}
