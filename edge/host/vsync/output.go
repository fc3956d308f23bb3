package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"vsync/core"
	"vsync/core/change"
)

// What --json prints. Times are ms since 1970; values are JSON as change.ToJSON writes it.
type (
	jsonEntry struct {
		Collection string          `json:"collection"`
		ID         string          `json:"id"`
		Value      json.RawMessage `json:"value,omitempty"` // none: deleted
		Deleted    bool            `json:"deleted,omitempty"`
		Version    string          `json:"version"`
		Time       uint64          `json:"time"`
		Conflict   bool            `json:"conflict,omitempty"`
		Frontier   []string        `json:"frontier,omitempty"` // where there is more than one side
	}
	jsonEvent struct {
		Marker  string      `json:"marker"`
		Initial bool        `json:"initial,omitempty"`
		Reset   bool        `json:"reset,omitempty"`
		Local   bool        `json:"local,omitempty"`
		Version string      `json:"version,omitempty"`
		Time    uint64      `json:"time,omitempty"`
		Note    string      `json:"note,omitempty"`
		Changes []jsonEntry `json:"changes"`
	}
	jsonVersion struct {
		Version string          `json:"version"`
		Parents []string        `json:"parents"`
		Time    uint64          `json:"time"`
		Deleted bool            `json:"deleted,omitempty"`
		Value   json.RawMessage `json:"value,omitempty"`
		Note    string          `json:"note,omitempty"`
	}
	jsonProblem struct {
		Version string      `json:"version"`
		Time    uint64      `json:"time"`
		Code    string      `json:"code"`
		Message string      `json:"message"`
		Ops     []jsonEntry `json:"writes"`
	}
	jsonReceipt struct {
		Version string `json:"version"`
		Synced  bool   `json:"synced"`
	}
)

// line prints a JSON value and a line's end.
func (c *call) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fail(core.Internal, "%v", err)
	}
	c.out.Write(text)
	return c.out.WriteByte('\n')
}

// quote writes a string as JSON.
func quote(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}

// toJSON writes a value that the replica gave.
func toJSON(value []byte) (json.RawMessage, error) {
	text, err := change.ToJSON(value)
	if err != nil {
		return nil, &core.Error{Code: core.Corrupt, Message: "a stored value cannot be read", Err: err}
	}
	return text, nil
}

func entryJSON(e core.Entry) (j jsonEntry, err error) {
	j = jsonEntry{Collection: e.Key.Collection, ID: e.Key.ID, Deleted: e.Deleted, Time: e.Time, Conflict: e.Conflict}
	if !e.Version.IsZero() {
		j.Version = e.Version.String()
	}
	if len(e.Frontier) > 1 {
		j.Frontier = versions(e.Frontier)
	}
	if !e.Deleted {
		j.Value, err = toJSON(e.Value)
	}
	return j, err
}

func versions(list []change.Version) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.String()
	}
	return out
}

// clockTime writes ms since 1970 for people.
func clockTime(ms uint64) string {
	return time.UnixMilli(int64(ms)).UTC().Format("2006-01-02T15:04:05.000Z")
}

// printID writes an id so that it fills no more than its place in a line.
func printID(id string) string {
	for _, r := range id {
		if r < ' ' || r == 0x7f || r == '"' {
			return quote(id)
		}
	}
	return id
}

// printChange writes one change of an event for people.
func (c *call) printChange(e core.Entry, initial bool) error {
	word := "put"
	switch {
	case e.Deleted:
		word = "delete"
	case initial:
		word = "has"
	}
	fmt.Fprintf(c.out, "%-6s %s %s", word, e.Key.Collection, printID(e.Key.ID))
	if !e.Deleted {
		text, err := toJSON(e.Value)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, " %s", text)
	}
	if e.Conflict {
		fmt.Fprint(c.out, "   (conflict)")
	}
	return c.out.WriteByte('\n')
}

func printVersion(_ context.Context, c *call) error {
	if c.json {
		return c.line(map[string]string{"version": version})
	}
	fmt.Fprintln(c.out, "vsync", version)
	return nil
}
