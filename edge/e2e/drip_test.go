package e2e

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"vsync/core/wire"
	"vsync/edge/e2e/program"
)

// Who connects and says nothing, or says it byte by byte, is left after the time for a hello.
func TestAttackSilence(t *testing.T) {
	t.Parallel() // the hub of each is its own
	f := fortified(t)
	from := time.Now()
	for _, p := range []*peer{f.dial("db"), f.dial("new-db")} {
		p.refused("no hello", p.hears(), wire.CodeProtocol)
	}
	if took := time.Since(from); took < wire.HelloTimeout/2 {
		t.Errorf("it had %v", took)
	}
}

// Who says something byte by byte is left as who says nothing, and keeps nobody waiting: a hello whose frame does not end, a push whose
// further parts do not come, a body that goes on for ever.
func TestAttackDrip(t *testing.T) {
	t.Parallel() // the hub of each is its own
	f := fortified(t)
	ctx, stop := context.WithCancel(t.Context())
	var drips sync.WaitGroup
	defer drips.Wait()
	defer stop()
	drip := func(head string, rest []byte) net.Conn {
		conn, err := net.Dial("tcp", f.hub.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, head); err != nil {
			t.Fatal(err)
		}
		drips.Go(func() {
			for tick := time.Tick(200 * time.Millisecond); len(rest) > 0; rest = rest[1:] {
				select {
				case <-tick:
				case <-ctx.Done():
					return
				}
				if _, err := conn.Write(rest[:1]); err != nil {
					return
				}
			}
		})
		return conn
	}
	from := time.Now()
	// A masked binary frame of 200 bytes, with a mask of zeros: a hello of 40 s.
	hello := drip("GET /v1/db HTTP/1.1\r\nHost: "+f.hub.Addr()+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: vsync.1\r\n\r\n", append([]byte{0x82, 0xfe, 0, 200, 0, 0, 0, 0}, make([]byte, 200)...))
	drip("POST /v1/db/batch HTTP/1.1\r\nHost: "+f.hub.Addr()+"\r\nAuthorization: Bearer "+f.writer+"\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
		bytes.Repeat([]byte{' '}, 1000))
	f.enters(f.writer, 1).say(&wire.Push{Gen: 1, Part: wire.Part{More: true}, Batches: [][]byte{make([]byte, 1000)}})

	for n := range byte(3) { // others are served meanwhile
		if status, _ := f.call("GET", "/v1/db/object?collection=c&id=x", f.writer, ""); status != 200 {
			t.Error(status)
		}
		f.enters(f.writer, 2+n)
	}
	if err := hello.SetReadDeadline(time.Now().Add(program.Patience)); err != nil {
		t.Fatal(err)
	}
	var said []byte
	for err := error(nil); err == nil && !bytes.Contains(said, []byte("expected hello")); {
		buf, n := make([]byte, 1<<10), 0
		n, err = hello.Read(buf)
		said = append(said, buf[:n]...)
	}
	if took := time.Since(from); took < wire.HelloTimeout/2 || !bytes.HasPrefix(said, []byte("HTTP/1.1 101 ")) || !bytes.Contains(said, []byte("expected hello")) {
		t.Errorf("after %v: %q", took, said)
	}
}
