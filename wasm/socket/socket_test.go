//go:build js

package socket

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"vsync/core/wire"
	"vsync/core/wire/conntest"
)

// The socket of the browser writes, and a native one reads or does not.
func TestConn(t *testing.T) {
	conntest.Run(t, conntest.Harness{
		Pair: func(t *testing.T) (a, b wire.Conn) {
			c, f := pair(t)
			return c, f
		},
		Open:  Open,
		After: time.After,
	})
}

// The native one writes. A browser cannot stop it, and ends the connection where nobody reads.
func TestConnOfTheFarEnd(t *testing.T) {
	conntest.Run(t, conntest.Harness{
		Pair: func(t *testing.T) (a, b wire.Conn) {
			c, f := pair(t)
			return f, c
		},
		Open:     Open,
		After:    time.After,
		Code:     Code,
		Overflow: ErrUnread,
	})
}

func TestTextIsRefused(t *testing.T) {
	c, err := Dial(context.Background(), address("/peer/text"))
	if err != nil {
		t.Fatal(err)
	}
	if message, err := c.Read(context.Background()); !errors.Is(err, wire.ErrText) {
		t.Errorf("expected ErrText, got %q, %v", message, err)
	}
	if _, err := c.Read(context.Background()); !errors.Is(err, wire.ErrClosed) {
		t.Errorf("afterwards: expected ErrClosed, got %v", err)
	}
	answer, err := http.Get(origin + "/peer/text/answer")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if code, err := io.ReadAll(answer.Body); err != nil || string(code) != "4103" {
		t.Errorf("it was closed with %s, %v", code, err)
	}
	c.Close(wire.CloseNormal, "")
}

// Why there is no connection is said as far as a browser lets one find out, with what to do.
func TestDialSaysWhy(t *testing.T) {
	for _, c := range []struct {
		name, url string
		why       Why
		text      string
	}{
		{"no address", "what://is this", BadAddress, "expected one such as wss://hub.example"},
		{"too long", "ws://localhost/" + strings.Repeat("x", maxURL), BadAddress, "no address of a hub"},
		{"nothing there", "ws://127.0.0.1:2/v1/notes", Unreachable, "check that the hub runs"},
		{"no hub", address("/files/none"), NoSocket, "status 404"},
		{"a page", address("/"), NoSocket, "status 200: a web page), but it gives this page no connection; sign in to this network"},
		// Chromium refuses it itself, as the standard wants; Firefox does not, and gets OtherProtocol.
		{"another protocol", address("/peer/other"), NoSocket, "check that it is a hub"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Dial(context.Background(), c.url)
			var known *DialError
			if !errors.As(err, &known) {
				t.Fatalf("expected a DialError, got %v", err)
			}
			if known.Why != c.why && (known.Why != OtherProtocol || c.name != "another protocol") || !strings.Contains(known.Error(), c.text) {
				t.Errorf("why %d: %v", known.Why, err)
			}
		})
	}
	for end := time.Now().Add(10 * time.Second); Open() > 0; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d sockets are left", Open())
		}
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Dial(ctx, address("/peer/never/socket"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("expected the context's error, got %v", err)
	}
}
