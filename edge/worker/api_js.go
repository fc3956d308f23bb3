package main

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall/js"
	"time"

	"github.com/syumai/workers"

	"vsync/core"
	"vsync/core/wire"
	"vsync/edge"
	"vsync/edge/httpapi"
)

// The API over HTTP: syumai/workers turns a Request into one of net/http, and what is answered into a Response. Bodies go another way, as
// its own keep some memory of each for ever:
//
//	Request ─▶ handleRequest ─▶ api ─▶ httpapi ─┬─ Read ──▶ jsBody, which reads it whole ──▶ vsync_body
//	                                           └─ Write ─▶ one piece: a Uint8Array
//	                                                       more: a stream, each piece when the one before was taken ──▶ vsync_wrote
//
// A request has a number, which object.ts gives it in a header.
const numberHeader = "Vsync-Request"

// binding is where syumai/workers leaves its entry, and object.ts what it is asked for with values of JavaScript.
var binding = js.Global().Get("context").Get("binding")

// maxBody bounds a body, requests those at the same time: what is under way is in memory, as JSON and as batches, and never given back.
const (
	maxBody  = 8 << 20
	requests = 500
)

// api are the requests under way that wait for JavaScript, by number: for a body, or until a piece is taken.
var api struct {
	bodies map[int32]chan arrived
	pieces map[int32]chan bool
}

// arrived is a body, or why there is none.
type arrived struct {
	bytes []byte
	err   error
}

// serveAPI has JavaScript find the API in binding.
func serveAPI() {
	api.bodies, api.pieces = map[int32]chan arrived{}, map[int32]chan bool{}
	cfg := httpapi.Config{
		Open: openFor, Body: maxBody, Requests: requests,
		Origin: func(*http.Request) bool { return true }, // the front Worker has judged it
	}
	if object.keys != nil {
		cfg.Auth = func(ctx context.Context, text, database string) (edge.Grant, error) {
			grant, err := object.keys.Grant(text, database, time.Now())
			if b, is := ctx.Value(bodyKey{}).(*body); is {
				b.subject = grant.Subject
			}
			return grant, err
		}
	}
	inner := httpapi.New(cfg)
	workers.ServeNonBlock(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(inner, w, r) }))
	workers.Ready()
}

// serve answers one request.
func serve(inner http.Handler, w http.ResponseWriter, r *http.Request) {
	for name, parts := range r.Header {
		r.Header[name] = []string{strings.Join(parts, ",")} // which syumai/workers has cut at each comma
	}
	n, _ := strconv.ParseInt(r.Header.Get(numberHeader), 10, 32)
	number := int32(n)
	a := &answer{ResponseWriter: w, number: number}
	b := &body{number: number}
	r.Body = b
	provoke("request")
	inner.ServeHTTP(a, r.WithContext(context.WithValue(r.Context(), bodyKey{}, b)))
	a.end()
	jsServed(number)
	changed() // there may be something that waits for time to pass
	check()
}

// openFor opens the database for a request. Reading makes none.
func openFor(_ context.Context, name string, write bool) (httpapi.Database, error) {
	if name != object.name {
		return httpapi.Database{}, &core.Error{Code: httpapi.NotFound, Message: "the name of a database has 1 to 64 characters of a-z 0-9 . _ -"}
	}
	if !write && !exists() {
		return httpapi.Database{}, &core.Error{Code: httpapi.NotFound, Message: "there is no database " + strconv.Quote(name) + "; the first write makes it"}
	}
	if err := begin(); err != nil {
		return httpapi.Database{}, err
	}
	return httpapi.Database{Replica: object.replica, Charge: object.hub.Charge, Release: func() {}}, nil
}

// A body is read when somebody wants it: who has no token has none read.
type body struct {
	number  int32
	subject string // whose it is; "" where nobody is asked for a token
	read    bool
	rest    []byte
	err     error
}

// bodyKey is where the context of a request has its body.
type bodyKey struct{}

func (b *body) Read(p []byte) (n int, err error) {
	if !b.read {
		b.read = true
		came := make(chan arrived, 1)
		api.bodies[b.number] = came
		jsBody(b.number, maxBody+1, b.subject)
		whole := <-came
		delete(api.bodies, b.number)
		b.rest, b.err = whole.bytes, whole.err
	}
	if len(b.rest) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		return 0, io.EOF
	}
	n = copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *body) Close() error { return nil }

// How the reading of a body ends: see object.ts.
const (
	bodyCame = iota
	bodyBroken
	bodyCrowded
)

// bodyArrived gives a request its body, or tells that there is none.
func bodyArrived(number, how int32, bytes []byte) {
	came := api.bodies[number]
	if came == nil {
		return
	}
	switch how {
	case bodyCame:
		came <- arrived{bytes: append([]byte(nil), bytes...)}
	case bodyCrowded:
		came <- arrived{err: &core.Error{Code: core.Code(wire.CodeRateLimited), Message: "too many bodies are on the way to this database; come back later"}}
	default:
		came <- arrived{err: io.ErrUnexpectedEOF}
	}
}

// An answer is written as JavaScript wants it.
type answer struct {
	http.ResponseWriter
	number   int32
	first    []byte // of the answer, until there is more or it ends
	streamed bool
	left     bool // nobody reads it
}

// raw is what the writer of syumai/workers can beside.
type raw interface {
	WriteRawJSBody(js.Value)
	Ready()
}

func (a *answer) Write(p []byte) (int, error) {
	if a.first == nil && !a.streamed {
		a.first = append(make([]byte, 0, len(p)), p...)
		return len(p), nil
	}
	if !a.streamed {
		a.streamed = true
		out := a.ResponseWriter.(raw)
		out.WriteRawJSBody(binding.Call("stream", a.number))
		out.Ready()
		first := a.first
		a.first = nil
		a.piece(first)
	}
	a.piece(p)
	if a.left {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

// piece sends a piece of a stream, and waits until it is taken.
func (a *answer) piece(p []byte) {
	if a.left || len(p) == 0 {
		return
	}
	taken := make(chan bool, 1)
	api.pieces[a.number] = taken
	jsPiece(a.number, address(p), int32(len(p)))
	a.left = !<-taken
	delete(api.pieces, a.number)
}

// pieceTaken tells whether the last piece of a stream was taken, or nobody reads it.
func pieceTaken(number int32, is bool) {
	if taken := api.pieces[number]; taken != nil {
		taken <- is
	}
}

// end sends what is left.
func (a *answer) end() {
	if a.streamed || a.first == nil {
		return // object.ts ends a stream where its request is served
	}
	bytes := js.Global().Get("Uint8Array").New(len(a.first))
	js.CopyBytesToJS(bytes, a.first)
	a.ResponseWriter.(raw).WriteRawJSBody(bytes)
}
