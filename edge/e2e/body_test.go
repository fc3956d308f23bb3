//go:build workerd

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"vsync/edge/e2e/program"
	"vsync/edge/token"
)

// A body that takes too long is none, whatever of it has come: what stands in it is not written, and who sent it is told so. Bodies of one
// subject that do not come leave room for those of others.
func TestWorkerSlowBodies(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := fortified(t, func(o *program.Options) { o.BodyTime = 6 * time.Second })
	slowly := f.sign(token.Claims{Subject: "bert", Databases: []string{"db"}, Write: true})
	mallory := f.sign(token.Claims{Subject: "mallory", Databases: []string{"db"}, Write: true})
	post := func(text string, length int, body string) net.Conn {
		conn, err := net.Dial("tcp", f.hub.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := fmt.Fprintf(conn, "POST /v1/db/batch HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			f.hub.Addr(), text, length, body); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	answers := func(conn net.Conn) (status int, text string) {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(program.Patience))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	from := time.Now()
	var slow []net.Conn
	for _, body := range []string{evil + "  ", evil[:20], ""} { // whole, with blanks to come; a part; nothing
		conn := post(slowly, 1000, body)
		slow = append(slow, conn)
		go func() {
			for n := 0; n < 30; n++ {
				time.Sleep(500 * time.Millisecond)
				if _, err := io.WriteString(conn, " "); err != nil {
					return
				}
			}
		}()
	}
	var large []net.Conn
	for range 3 { // 24 MB, which is all the room there is
		large = append(large, post(mallory, 8<<20, strings.Repeat(" ", 8<<20-100)))
	}
	if status, code := f.call("POST", "/v1/db/batch", f.writer, `{"writes": [{"collection": "c", "id": "large", "value": "`+strings.Repeat("x", 1<<20-100)+`"}]}`); status != 200 {
		t.Errorf("another's body: %d %s", status, code)
	}
	t.Logf("another's body was taken after %v", time.Since(from))
	f.before = f.state()
	limited := 0
	for _, conn := range large {
		if status, text := answers(conn); status == http.StatusTooManyRequests && strings.Contains(text, "RATE_LIMITED") {
			limited++
		}
	}
	if limited == 0 {
		t.Error("one subject has all the room")
	}
	for _, conn := range slow {
		if status, text := answers(conn); status != http.StatusBadRequest || !strings.Contains(text, "not in time") {
			t.Errorf("%d %s", status, text)
		}
	}
	if took := time.Since(from); took < 5*time.Second {
		t.Errorf("they had %v", took)
	}
}
