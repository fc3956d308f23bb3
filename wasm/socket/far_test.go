//go:build js

package socket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall/js"
	"testing"

	"vsync/core/wire"
)

// origin is where the runner serves, whose package peer is the far end.
var origin = js.Global().Get("location").Get("origin").String()

// far is a far end: a native socket in the runner, which does what it is asked over HTTP.
type far struct{ id string }

var farEnds int

// pair connects a socket of this browser with a far end.
func pair(t *testing.T) (*Conn, far) {
	t.Helper()
	farEnds++
	f := far{id: fmt.Sprintf("%s-%d", url.PathEscape(strings.ReplaceAll(t.Name(), "/", "-")), farEnds)}
	c, err := Dial(context.Background(), address("/peer/"+f.id+"/socket"))
	if err != nil {
		t.Fatal(err)
	}
	return c.(*Conn), f
}

func address(path string) string { return "ws" + strings.TrimPrefix(origin, "http") + path }

func (f far) ask(ctx context.Context, what string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, "POST", origin+"/peer/"+f.id+"/"+what, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		return io.ReadAll(answer.Body)
	}
	switch name := answer.Header.Get("Failed"); name {
	case "closed":
		return nil, wire.ErrClosed
	case "too-large":
		return nil, wire.ErrTooLarge
	case "text":
		return nil, wire.ErrText
	case "by-peer":
		code, _ := strconv.Atoi(answer.Header.Get("Code"))
		reason, _ := url.QueryUnescape(answer.Header.Get("Reason"))
		return nil, &wire.CloseError{Code: code, Reason: reason}
	default:
		return nil, errors.New("the far end: " + answer.Status + " " + name)
	}
}

func (f far) Read(ctx context.Context) ([]byte, error) { return f.ask(ctx, "read", nil) }

func (f far) Write(ctx context.Context, message []byte) error {
	_, err := f.ask(ctx, "write", message)
	return err
}

func (f far) Close(code int, reason string) error {
	_, err := f.ask(context.Background(), fmt.Sprintf("close?code=%d&reason=%s", code, url.QueryEscape(reason)), nil)
	return err
}
