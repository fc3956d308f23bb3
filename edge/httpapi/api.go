package httpapi

import (
	"context"
	_ "embed"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"vsync/core"
	"vsync/core/change"
	"vsync/edge"
	"vsync/edge/token"
)

// A Replica is what the API needs of a hub's database; *core.Replica is one.
type Replica interface {
	Get(ctx context.Context, key change.Key) (core.Entry, bool, error)
	History(ctx context.Context, key change.Key) iter.Seq2[core.HistoryEntry, error]
	Scan(ctx context.Context, q core.ScanRange) iter.Seq2[core.Entry, error]
	View() (*core.View, error)
	Watch(ctx context.Context, o core.WatchOptions) iter.Seq2[core.Event, error]
	Changed() <-chan struct{}
	WriteAs(ctx context.Context, subject string, w core.Write) (core.Receipt, error)
}

// A Database is one that is open for a request, until Release.
type Database struct {
	Replica Replica
	Charge  func(subject string, now uint64, bytes int) (retry uint64) // see edge.Hub
	Release func()
}

// Config is what an API is told. Open is required.
type Config struct {
	// Open opens a database; one that is not there is made only for a write, and NOT_FOUND otherwise.
	Open func(ctx context.Context, name string, write bool) (Database, error)

	// Auth judges the token of a request for a database; nil: everybody may do everything. Its errors are *core.Error.
	Auth func(ctx context.Context, token, database string) (edge.Grant, error)

	// Origin says whether pages of the request's Origin may read answers; nil: no page of another origin.
	Origin func(r *http.Request) bool

	Body     int64            // bytes that a request may have; 0: 16 MiB
	Requests int              // at the same time, long polls among them; 0: 2,000
	Patience time.Duration    // until a body is whole; 0: 1 min
	Now      func() time.Time // nil: the clock
}

// An API answers requests.
type API struct {
	cfg  Config
	gate gate
}

// New returns an API.
func New(cfg Config) *API {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Patience <= 0 {
		cfg.Patience = bodyTime
	}
	if cfg.Body <= 0 {
		cfg.Body = maxBody
	}
	if cfg.Requests <= 0 {
		cfg.Requests = maxRequests
	}
	return &API{cfg: cfg, gate: gate{most: cfg.Requests}}
}

// A route is one thing that can be asked of a database.
type route struct {
	method string
	params []string // of the query; others are refused, or what is misspelt would be ignored
	write  bool
	serve  func(*call) error
}

var routes = map[string]route{
	"object":  {method: http.MethodGet, params: []string{"collection", "id"}, serve: (*call).object},
	"history": {method: http.MethodGet, params: []string{"collection", "id", "limit"}, serve: (*call).history},
	"scan":    {method: http.MethodGet, params: []string{"collection", "prefix", "limit", "cursor"}, serve: (*call).scan},
	"changes": {method: http.MethodGet, params: []string{"since", "collection", "limit", "wait"}, serve: (*call).changes},
	"export":  {method: http.MethodGet, params: []string{"collection"}, serve: (*call).export},
	"batch":   {method: http.MethodPost, write: true, serve: (*call).batch},
}

//go:embed openapi.json
var openapi []byte

const (
	describes = "/v1/openapi.json"
	// idempotencyKey is the header that names a write, so that it is written once.
	idempotencyKey = "Idempotency-Key"
)

// Serves reports whether a path is one of the API's, or would be if it were spelt right: more than the name of a database.
func Serves(path string) bool {
	rest, is := strings.CutPrefix(path, "/v1/")
	return is && (path == describes || strings.Contains(rest, "/"))
}

// A call is a request for a database under way.
type call struct {
	*API
	w       http.ResponseWriter
	r       *http.Request
	query   url.Values
	grant   edge.Grant
	db      Database
	started bool // of the answer, something is sent
}

// ServeHTTP answers a request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	a.allowOrigin(h, r)
	c := &call{API: a, w: w, r: r}
	switch {
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
	case r.URL.Path == describes && isGet(r.Method):
		h.Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write(openapi)
	default:
		if err := c.serve(); err != nil {
			c.fail(err)
		}
	}
}

// allowOrigin lets a page of an allowed origin read the answer. There are no cookies: who has no token reads nothing.
func (a *API) allowOrigin(h http.Header, r *http.Request) {
	origin := r.Header.Get("Origin")
	h.Add("Vary", "Origin")
	if origin == "" || a.cfg.Origin == nil || !a.cfg.Origin(r) {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, "+idempotencyKey)
	h.Set("Access-Control-Expose-Headers", "Retry-After, Vsync-Marker")
	h.Set("Access-Control-Max-Age", "600")
}

func isGet(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// serve finds the route, judges the token, and has the route served.
func (c *call) serve() (err error) {
	name, what, _ := strings.Cut(strings.TrimPrefix(c.r.URL.Path, "/v1/"), "/")
	route, known := routes[what]
	switch {
	case !known:
		return &core.Error{Code: NotFound, Message: fmt.Sprintf("there is no %s here; %s says what there is", clip(c.r.URL.Path), describes)}
	case c.r.Method != route.method && (route.method != http.MethodGet || c.r.Method != http.MethodHead):
		c.w.Header().Set("Allow", route.method)
		return &core.Error{Code: notAllowed, Message: fmt.Sprintf("expected %s, got %s", route.method, clip(c.r.Method))}
	}
	if err := c.authorize(name, route.write); err != nil {
		return err
	}
	if c.query, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return invalid("the query cannot be read; expected name=value with & between")
	}
	for given, values := range c.query {
		if !slices.Contains(route.params, given) || len(values) > 1 {
			return invalid("expected each of %v at most once in the query, got %q", route.params, clip(given))
		}
	}
	leave, err := c.gate.enter(c.grant.Subject)
	if err != nil {
		return err
	}
	defer leave()
	if c.db, err = c.cfg.Open(c.r.Context(), name, route.write); err != nil {
		return err
	}
	defer c.db.Release()
	if err := c.charge(0); err != nil {
		return err
	}
	return route.serve(c)
}

// authorize judges the token. It does so before anything is looked at that tells what is there.
func (c *call) authorize(database string, write bool) (err error) {
	if c.cfg.Auth == nil {
		return nil
	}
	if c.grant, err = c.cfg.Auth(c.r.Context(), token.Bearer(c.r.Header.Get("Authorization")), database); err != nil {
		return err
	}
	if write && c.grant.ReadOnly {
		return &core.Error{Code: core.Forbidden, Message: "the token allows reading only; nothing was written: get one that allows writing"}
	}
	return nil
}

// charge counts work for the subject.
func (c *call) charge(bytes int) error {
	if c.db.Charge == nil {
		return nil
	}
	if retry := c.db.Charge(c.grant.Subject, uint64(max(c.cfg.Now().UnixMilli(), 0)), bytes); retry > 0 {
		return &later{"this subject asks for more than it may", time.Duration(retry) * time.Millisecond}
	}
	return nil
}

// key returns the object that the query names.
func (c *call) key() change.Key {
	return change.Key{Collection: c.query.Get("collection"), ID: c.query.Get("id")}
}
