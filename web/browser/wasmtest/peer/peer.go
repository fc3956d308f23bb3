// Package peer is the far end of a browser's sockets, for their tests: native sockets in the runner, moved from the test a call at a time.
//
//	GET  /peer/{id}/socket                a WebSocket that speaks vsync.1, and is the far end called id from then on
//	POST /peer/{id}/read                  the next message
//	POST /peer/{id}/write                 sends the body
//	POST /peer/{id}/close?code=&reason=   closes it
//	GET  /peer/text                       a WebSocket that sends a text message
//	GET  /peer/text/answer                the code that such a socket was closed with
//	GET  /peer/other                      a WebSocket that agrees on no subprotocol
//
// A far end that is not asked to read does not read, and so stops who writes to it. Failures come with status 409 and what they are in the
// header Failed: one of the names below, or the error's text; a close has Code and Reason beside it.
package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"nhooyr.io/websocket"

	"vsync/core/wire"
	"vsync/edge/ws"
)

// Names of failures.
const (
	Closed   = "closed"    // wire.ErrClosed
	ByPeer   = "by-peer"   // *wire.CloseError
	TooLarge = "too-large" // wire.ErrTooLarge
	Text     = "text"      // wire.ErrText
)

// accepting is how long a far end may take to be there after its browser knows that it is.
const accepting = 10 * time.Second

// Handler serves all of it.
func Handler() http.Handler {
	p := &peers{ends: map[string]*end{}, answers: make(chan websocket.StatusCode, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /peer/{id}/socket", p.accept)
	mux.HandleFunc("POST /peer/{id}/read", p.call(func(w http.ResponseWriter, r *http.Request, c *ws.Conn) error {
		message, err := c.Read(r.Context())
		if err == nil {
			_, err = w.Write(message)
		}
		return err
	}))
	mux.HandleFunc("POST /peer/{id}/write", p.call(func(_ http.ResponseWriter, r *http.Request, c *ws.Conn) error {
		message, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		return c.Write(r.Context(), message)
	}))
	mux.HandleFunc("POST /peer/{id}/close", p.call(func(_ http.ResponseWriter, r *http.Request, c *ws.Conn) error {
		code, err := strconv.Atoi(r.URL.Query().Get("code"))
		if err != nil {
			return err
		}
		return c.Close(code, r.URL.Query().Get("reason"))
	}))
	mux.HandleFunc("GET /peer/text", p.text)
	mux.HandleFunc("GET /peer/text/answer", p.answer)
	mux.HandleFunc("GET /peer/other", other)
	return mux
}

type peers struct {
	mu      sync.Mutex
	ends    map[string]*end
	answers chan websocket.StatusCode // with which the last text was answered
}

// end is a far end, which may be asked for before it is there.
type end struct {
	conn  *ws.Conn
	there chan struct{} // closed with conn
}

func (p *peers) end(id string) *end {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ends[id] == nil {
		p.ends[id] = &end{there: make(chan struct{})}
	}
	return p.ends[id]
}

func (p *peers) accept(w http.ResponseWriter, r *http.Request) {
	conn, err := ws.Accept(w, r, ws.AcceptOptions{})
	if err != nil {
		return // it has answered
	}
	e := p.end(r.PathValue("id"))
	e.conn = conn
	close(e.there)
}

func (p *peers) call(do func(http.ResponseWriter, *http.Request, *ws.Conn) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e := p.end(r.PathValue("id"))
		ctx, cancel := context.WithTimeout(r.Context(), accepting)
		defer cancel()
		select {
		case <-e.there:
		case <-ctx.Done():
			refuse(w, fmt.Errorf("no socket came: %w", ctx.Err()))
			return
		}
		if err := do(w, r, e.conn); err != nil {
			refuse(w, err)
		}
	}
}

func refuse(w http.ResponseWriter, err error) {
	var byPeer *wire.CloseError
	name := err.Error()
	switch {
	case errors.As(err, &byPeer):
		name = ByPeer
		w.Header().Set("Code", strconv.Itoa(byPeer.Code))
		w.Header().Set("Reason", url.QueryEscape(byPeer.Reason))
	case errors.Is(err, wire.ErrClosed):
		name = Closed
	case errors.Is(err, wire.ErrTooLarge):
		name = TooLarge
	case errors.Is(err, wire.ErrText):
		name = Text
	}
	w.Header().Set("Failed", name)
	w.WriteHeader(http.StatusConflict)
}

// text sends what no hub sends.
func (p *peers) text(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	_ = conn.Write(r.Context(), websocket.MessageText, []byte("hello"))
	_, _, err = conn.Read(r.Context())
	p.answers <- websocket.CloseStatus(err)
}

func (p *peers) answer(w http.ResponseWriter, r *http.Request) {
	select {
	case code := <-p.answers:
		fmt.Fprint(w, int(code))
	case <-r.Context().Done():
	}
}

func other(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	_, _, _ = conn.Read(r.Context())
}
