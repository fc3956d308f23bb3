package host

// What a hub does against attacks is tested in edge/e2e, on both hosts. Here is what needs other times than those that the program has.

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"vsync/edge/token"
)

// Who sends a byte now and then is left, wherever he is: in the head of a request, before a hello, in a hello, in a body.
func TestAttackSlowDrip(t *testing.T) {
	keys, err := (*token.Keys)(nil).With("key", token.EdDSA, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	writer, err := keys.Sign(token.Claims{Subject: "anna", Databases: []string{"db"}, Write: true, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	f := start(t, Config{Keys: keys, Patience: 300 * time.Millisecond})
	upgrade := "GET /v1/db HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: vsync.1\r\n\r\n"
	post := "POST /v1/db/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\nAuthorization: Bearer " + writer + "\r\n\r\n"
	var group sync.WaitGroup
	for name, begin := range map[string]string{"head": "GET /v1/db/changes HTTP/1.1\r\nX: ", "silence": upgrade, "hello": upgrade + "\x82\xfe\x10\x00\x00\x00\x00\x00", "body": post + "{"} {
		group.Go(func() {
			conn, err := net.Dial("tcp", strings.TrimPrefix(f.base, "http://"))
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			io.WriteString(conn, begin)
			ended := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, bufio.NewReader(conn))
				ended <- err
			}()
			drip := time.NewTicker(20 * time.Millisecond)
			defer drip.Stop()
			for {
				select {
				case err := <-ended:
					if errors.Is(err, context.DeadlineExceeded) || errors.As(err, new(net.Error)) && err.(net.Error).Timeout() {
						t.Errorf("%s: nobody ended it", name)
					}
					return
				case <-drip.C:
					if name != "silence" {
						io.WriteString(conn, " ")
					}
				}
			}
		})
	}
	group.Wait()
	eventually(t, "all are gone", func() bool { return f.connections() == 0 })
}

// A hub that closes does not wait for who waits for news, and says so.
func TestCloseEndsLongPolls(t *testing.T) {
	r := start(t, Config{})
	post := func() {
		resp, err := http.Post(r.base+"/v1/db/batch", "application/json", strings.NewReader(`{"writes": [{"collection": "c", "id": "x", "value": 1}]}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	post()
	_, body := r.get("/v1/db/changes")
	var page struct{ Marker string }
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatal(err, body)
	}
	ended := make(chan error, 1)
	go func() {
		resp, err := http.Get(r.base + "/v1/db/changes?wait=30&since=" + page.Marker)
		if err == nil {
			resp.Body.Close()
		}
		ended <- err
	}()
	eventually(t, "it waits", func() bool { return r.connections() == 1 })
	from := time.Now()
	if err := r.Server.Close(); err != nil {
		t.Error(err)
	}
	<-ended
	if took := time.Since(from); took > lastWord {
		t.Errorf("it took %v", took)
	}
}
