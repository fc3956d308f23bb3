//go:build !js

package ws

import (
	"bufio"
	"context"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"

	"nhooyr.io/websocket"

	"vsync/core/wire"
)

// client keeps no idle connection behind a refused upgrade, so that nothing outlives a Dial.
var client = func() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	return &http.Client{Transport: transport}
}()

// A Dialer opens connections to hubs. The zero Dialer is ready; its method Dial is a wire.Dialer.
type Dialer struct {
	Client *http.Client // nil: one that keeps no idle connections
	Header http.Header  // sent with the upgrade, such as Origin
}

// Dial opens a connection to url (ws, wss, http or https). It fails if the server does not speak
// wire.Subprotocol.
func (d Dialer) Dial(ctx context.Context, url string) (wire.Conn, error) {
	if d.Client == nil {
		d.Client = client
	}
	var socket net.Conn
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { socket = info.Conn },
	})
	conn, answer, err := websocket.Dial(traced, url, &websocket.DialOptions{
		HTTPClient:      d.Client,
		HTTPHeader:      d.Header,
		Subprotocols:    []string{wire.Subprotocol},
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w%s", url, err, whose(answer))
	}
	if got := conn.Subprotocol(); got != wire.Subprotocol {
		conn.Close(websocket.StatusProtocolError, "expected subprotocol "+wire.Subprotocol)
		return nil, fmt.Errorf("connecting to %s: expected subprotocol %s, got %q", url, wire.Subprotocol, got)
	}
	return newConn(conn, socket, nil), nil
}

// whose says who else may have answered in the hub's place, "" if it is not known: no hub answers with a page for people.
func whose(answer *http.Response) string {
	if answer == nil {
		return ""
	}
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	switch {
	case answer.StatusCode == http.StatusProxyAuthRequired:
		return "; a proxy on the way wants its users to sign in"
	case answer.StatusCode == http.StatusNetworkAuthenticationRequired, kind == "text/html":
		return "; a web page came instead of the hub's answer: sign in to the network if it asks for that, and check the address and the proxies on the way"
	}
	return ""
}

// AcceptOptions say who may connect. The zero value allows pages of the hub's own host, and programs
// that are no browser and so send no Origin.
type AcceptOptions struct {
	// Origins are further hosts whose pages may connect, as patterns of path.Match such as
	// "*.example.com" or "localhost:*".
	Origins []string
}

// Accept upgrades a request. On an error the response is written: 426 for a client that does not ask
// for wire.Subprotocol, 403 for an Origin that is not allowed.
func Accept(w http.ResponseWriter, r *http.Request, o AcceptOptions) (*Conn, error) {
	if !asksFor(r.Header, wire.Subprotocol) {
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "expected WebSocket subprotocol "+wire.Subprotocol, http.StatusUpgradeRequired)
		return nil, fmt.Errorf("upgrade: expected subprotocol %s, got %q", wire.Subprotocol, r.Header.Get("Sec-WebSocket-Protocol"))
	}
	keeper := &socketKeeper{ResponseWriter: w}
	conn, err := websocket.Accept(keeper, r, &websocket.AcceptOptions{
		Subprotocols:    []string{wire.Subprotocol},
		OriginPatterns:  o.Origins,
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	return newConn(conn, keeper.socket, keeper.frames), nil
}

func asksFor(h http.Header, subprotocol string) bool {
	for _, line := range h.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(line, ",") {
			if strings.TrimSpace(name) == subprotocol {
				return true
			}
		}
	}
	return false
}

// A socketKeeper remembers the connection that an upgrade takes over.
type socketKeeper struct {
	http.ResponseWriter
	socket net.Conn
	frames *frames
}

// Hijack finds the connection beneath any wrappers of the ResponseWriter.
func (k *socketKeeper) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(k.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	k.socket, k.frames = conn, &frames{Conn: conn}
	rw.Writer.Reset(k.frames)
	return k.frames, rw, nil
}
