package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/core/wire"
	"vsync/edge/token"
)

// Codes of this package, beside those of core, of the protocol and of tokens.
const (
	// NotFound: there is no such database, object or route.
	NotFound   core.Code = "NOT_FOUND"
	notAllowed core.Code = "METHOD_NOT_ALLOWED"
	changed    core.Code = "CHANGED"
	tooLarge             = core.Code(wire.CodeTooLarge)
	limited              = core.Code(wire.CodeRateLimited)
)

// What answers hold. Times are ms since 1970.
type (
	object struct {
		Collection string          `json:"collection"`
		ID         string          `json:"id"`
		Value      json.RawMessage `json:"value,omitempty"` // none: deleted, or never there
		Deleted    bool            `json:"deleted,omitempty"`
		Version    string          `json:"version,omitempty"`
		Time       uint64          `json:"time,omitempty"`
		Conflict   bool            `json:"conflict,omitempty"`
		Frontier   []string        `json:"frontier,omitempty"` // what "expect" takes
	}
	version struct {
		Version string          `json:"version"`
		Parents []string        `json:"parents"`
		Time    uint64          `json:"time"`
		Deleted bool            `json:"deleted,omitempty"`
		Value   json.RawMessage `json:"value,omitempty"`
		Note    string          `json:"note,omitempty"`
	}
	versionPage struct {
		Versions []version `json:"versions"`
		More     bool      `json:"more"`
	}
	objectPage struct {
		Objects []object `json:"objects"`
		Cursor  string   `json:"cursor,omitempty"` // none: that was the last page
	}
	event struct {
		Marker  string   `json:"marker"`
		Version string   `json:"version,omitempty"`
		Time    uint64   `json:"time,omitempty"`
		Note    string   `json:"note,omitempty"`
		Changes []object `json:"changes"`
	}
	eventPage struct {
		Events []event `json:"events"`
		Marker string  `json:"marker"` // what the next request gives as since
		More   bool    `json:"more"`
	}
	line struct {
		Collection string          `json:"collection,omitempty"` // in an export of all collections
		ID         string          `json:"id"`
		Value      json.RawMessage `json:"value"`
	}
	receipt struct {
		Version string `json:"version"`
	}
	problem struct {
		Code    core.Code `json:"code"`
		Message string    `json:"message"`
		Retry   int64     `json:"retry,omitempty"`   // come back no sooner, in ms
		Objects []object  `json:"objects,omitempty"` // CHANGED, NOT_FOUND: what is there
	}
)

// later is RATE_LIMITED, with the time to come back.
type later struct {
	text  string
	retry time.Duration
}

func (l *later) Error() string { return l.text }

// conflict is CHANGED or NOT_FOUND, with what is there.
type conflict struct {
	cause   *core.Error
	objects []object
}

func (c *conflict) Error() string { return c.cause.Error() }
func (c *conflict) Unwrap() error { return c.cause }

func invalid(format string, args ...any) error {
	return &core.Error{Code: core.Invalid, Message: fmt.Sprintf(format, args...)}
}

// clip keeps what clients wrote short.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}

// statuses by code; 500 for what is not here.
var statuses = map[core.Code]int{
	core.Invalid: http.StatusBadRequest, core.KeyTooLong: http.StatusBadRequest,
	token.Unauthenticated: http.StatusUnauthorized, core.Forbidden: http.StatusForbidden,
	NotFound: http.StatusNotFound, notAllowed: http.StatusMethodNotAllowed,
	changed: http.StatusConflict, core.UnknownMarker: http.StatusGone,
	tooLarge: http.StatusRequestEntityTooLarge, core.ValueTooLarge: http.StatusRequestEntityTooLarge, core.BatchTooLarge: http.StatusRequestEntityTooLarge,
	limited: http.StatusTooManyRequests, core.Quota: http.StatusInsufficientStorage,
	core.Closed: http.StatusServiceUnavailable, core.Aborted: http.StatusServiceUnavailable,
}

// problemOf says what a client is told. What is not its business is told without its text, which may name files.
func problemOf(err error) problem {
	var busy *later
	var seen *conflict
	var known *core.Error
	switch {
	case errors.As(err, &busy):
		return problem{Code: limited, Message: busy.text + "; come back later", Retry: busy.retry.Milliseconds()}
	case errors.As(err, &seen):
		return problem{Code: seen.cause.Code, Message: seen.cause.Message, Objects: seen.objects}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return problem{Code: core.Aborted, Message: "the request was given up"}
	case !errors.As(err, &known):
		return problem{Code: core.Internal, Message: "the hub has failed; come back later"}
	case known.Code == limited, known.Code == core.Closed:
		return problem{Code: known.Code, Message: known.Message, Retry: retryBusy.Milliseconds()}
	case known.Code == core.Quota:
		return problem{Code: core.Quota, Message: "the hub's storage is full; nothing was taken, come back later"}
	case known.Code == core.Corrupt:
		return problem{Code: core.Corrupt, Message: "what the hub has stored is damaged; its operator has to look"}
	case statuses[known.Code] == 0:
		return problem{Code: core.Internal, Message: "the hub has failed; come back later"}
	}
	text := known.Message
	if known.Err != nil && known.Code != core.Aborted {
		text += ": " + known.Err.Error()
	}
	return problem{Code: known.Code, Message: text}
}

// fail answers with an error.
func (c *call) fail(err error) {
	p := problemOf(err)
	c.write(head(c.w.Header(), p), p)
}

// Refuse answers with an error, for a host that lets a request not come so far.
func Refuse(w http.ResponseWriter, err error) {
	p := problemOf(err)
	status := head(w.Header(), p)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(p)
}

// head sets what stands in the head of an answer that is an error, and returns its status.
func head(h http.Header, p problem) int {
	status := statuses[p.Code]
	if status == 0 {
		status = http.StatusInternalServerError
	}
	if p.Retry > 0 {
		h.Set("Retry-After", strconv.FormatInt((p.Retry+999)/1000, 10))
	}
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="vsync"`)
	}
	return status
}

// answer sends a value as JSON, and counts it for the subject.
func (c *call) answer(v any) error {
	c.write(http.StatusOK, v)
	return nil
}

func (c *call) write(status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"code":"INTERNAL","message":"the answer cannot be written"}`)
	}
	c.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	c.w.WriteHeader(status)
	c.send(append(text, '\n'))
}

// send writes a part of the answer; a client that does not read it is left.
func (c *call) send(text []byte) error {
	control := http.NewResponseController(c.w)
	_ = control.SetWriteDeadline(c.cfg.Now().Add(stallTime)) // where a host has no deadlines, it has others
	_, err := c.w.Write(text)
	_ = control.SetWriteDeadline(time.Time{})
	if c.db.Charge != nil {
		_ = c.charge(len(text)) // what was read counts for the next request
	}
	return err
}

func objectOf(e core.Entry) (o object, err error) {
	o = object{Collection: e.Key.Collection, ID: e.Key.ID, Deleted: e.Deleted, Time: e.Time, Conflict: e.Conflict, Frontier: texts(e.Frontier)}
	if !e.Version.IsZero() {
		o.Version = e.Version.String()
	}
	if !e.Deleted && !e.Version.IsZero() {
		o.Value, err = valueOf(e.Value)
	}
	return o, err
}

func valueOf(value []byte) (json.RawMessage, error) {
	text, err := change.ToJSON(value)
	if err != nil {
		return nil, &core.Error{Code: core.Corrupt, Message: "a stored value cannot be read", Err: err}
	}
	return text, nil
}

func texts(list []change.Version) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.String()
	}
	return out
}
