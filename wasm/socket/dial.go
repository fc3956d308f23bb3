//go:build js

package socket

import (
	"context"
	"strings"

	"vsync/core/fmt"
	"vsync/core/wire"
)

// A Why is what is known of a connection that could not be opened.
type Why uint8

const (
	BadAddress    Why = iota + 1 // it cannot be read
	Insecure                     // the page came over https, the hub's address is ws
	Blocked                      // the page's own policy does not allow it
	Offline                      // the device has no network
	Unreachable                  // nothing answers there
	NoSocket                     // a server answers, but not with a socket for this page
	OtherProtocol                // a socket that speaks something else
	Ended                        // the context of the Dial ended before
)

// A DialError says why a connection could not be opened, as far as a browser lets one find out, and what to do.
type DialError struct {
	URL    string
	Why    Why
	Status int    // NoSocket: what the server answers over HTTP; 0 where that cannot be read
	Text   string // what it says
	Err    error  // Ended: the context's
}

func (e *DialError) Error() string { return "connecting to " + e.URL + ": " + e.what() }

func (e *DialError) Unwrap() error { return e.Err }

func (e *DialError) what() string {
	switch e.Why {
	case BadAddress:
		return "this is no address of a hub; expected one such as wss://hub.example or ws://localhost:8787"
	case Insecure:
		return "a page that came over https can connect only to a hub at wss://; give it that address, or serve the page over http"
	case Blocked:
		return "the page's Content-Security-Policy does not allow it; add the hub's address to connect-src"
	case Offline:
		return "this device is offline; it connects when there is a network"
	case Unreachable:
		return "nothing answers there; check that the hub runs, that the address is right, and whether this network wants you to sign in"
	case NoSocket:
		return "a server answers there" + e.answer() + ", but it gives this page no connection; " +
			"sign in to this network if it asks for that; else check that it is a hub, that it allows pages of this origin, and that no proxy before it keeps WebSockets away"
	case OtherProtocol:
		return "what answers there does not speak " + wire.Subprotocol + "; check that it is a hub, and as new as this page"
	case Ended:
		return "given up before it answered: " + e.Err.Error()
	}
	return "the browser refused it"
}

func (e *DialError) answer() string {
	switch {
	case e.Status == 0:
		return ""
	case e.Text == "":
		return fmt.Sprintf(" (status %d)", e.Status)
	}
	return fmt.Sprintf(" (status %d: %s)", e.Status, e.Text)
}

// What vsync_socket_refused says instead of a status.
const (
	statusNothing    = 0
	statusUnreadable = -1
	statusOffline    = -2
	statusBlocked    = -3
)

// Dial is a wire.Dialer. The address may be ws, wss, http or https.
func Dial(ctx context.Context, url string) (wire.Conn, error) {
	if len(url) > maxURL {
		return nil, &DialError{URL: url[:64] + "…", Why: BadAddress}
	}
	c := newConn(overWebSocket(url))
	if result := jsOpen(c.id, c.url, wire.Subprotocol, wire.MaxFrame, highWater, lowWater); result != openStarted {
		delete(conns, c.id)
		return nil, &DialError{URL: c.url, Why: result.why()}
	}
	select {
	case err := <-c.dialed:
		if err != nil {
			return nil, err
		}
		return c, nil
	case <-ctx.Done():
		c.abandon()
		return nil, &DialError{URL: c.url, Why: Ended, Err: ctx.Err()}
	}
}

// opened tells Dial that the connection is open.
func (c *Conn) opened(agreed bool) {
	if agreed {
		c.dialed <- nil
		return
	}
	c.abandon()
	c.dialed <- &DialError{URL: c.url, Why: OtherProtocol}
}

// refused tells Dial that there is no connection.
func (c *Conn) refused(status int) {
	err := &DialError{URL: c.url, Why: NoSocket, Text: c.said()}
	switch {
	case status == statusNothing:
		err.Why = Unreachable
	case status == statusOffline:
		err.Why = Offline
	case status == statusBlocked:
		err.Why = Blocked
	case status > 0:
		err.Status = status
	}
	c.end(err)
	c.forget()
	c.dialed <- err
}

func (r openResult) why() Why {
	switch r {
	case openSyntax:
		return BadAddress
	case openInsecure:
		return Insecure
	}
	return 0
}

// overWebSocket returns the address that older browsers want, which take no http there.
func overWebSocket(url string) string {
	if rest, is := strings.CutPrefix(url, "http"); is {
		return "ws" + rest
	}
	return url
}
