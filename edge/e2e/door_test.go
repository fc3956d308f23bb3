//go:build workerd

package e2e

import (
	"crypto/rand"
	"net/http"
	"testing"

	"vsync/core/wire"
	"vsync/edge/e2e/program"
	"vsync/edge/token"
)

// TestWorkerServesItsMachine: a Worker that asks for no tokens is there for who calls it by a name of its own machine, and for nobody else, be it
// for a socket or the API; unless its operator says that it is open to everyone, or it asks for tokens.
func TestWorkerServesItsMachine(t *testing.T) {
	t.Parallel()
	keys, err := (*token.Keys)(nil).With("test", token.EdDSA, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options program.Options
		status  map[string]int // by Host, of GET /v1/notes/changes
		socket  int
	}{
		"alone": {program.Options{}, map[string]int{"localhost": 404, "127.0.0.1:80": 404, "a.localhost": 404, "[::1]": 404,
			"hub.example": 403, "localhost.example": 403, "127.0.0.1.example": 403, "10.0.0.1": 403}, 403},
		"open":   {program.Options{OpenTo: "everyone"}, map[string]int{"localhost": 404, "hub.example": 404}, 101},
		"tokens": {program.Options{Keys: keys}, map[string]int{"localhost": 401, "hub.example": 401}, 101},
	} {
		h := program.New(t, t.TempDir())
		h.Options = c.options
		h.Start()
		ask := func(path, host string, header ...string) int {
			t.Helper()
			req := (&client{t: t, base: "http://" + h.Addr()}).request("GET", path, "", header...)
			req.Host = host
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			return resp.StatusCode
		}
		for host, want := range c.status {
			if status := ask("/v1/notes/changes", host); status != want {
				t.Errorf("%s: %s is told %d, expected %d", name, host, status, want)
			}
		}
		if status := ask("/v1/notes", "hub.example", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13",
			"Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol", wire.Subprotocol); status != c.socket {
			t.Errorf("%s: a socket for hub.example: %d, expected %d", name, status, c.socket)
		}
		h.Stop(t)
	}
}
