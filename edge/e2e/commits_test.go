//go:build workerd

package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"vsync/core/change"
	"vsync/core/wire"
	"vsync/edge/e2e/program"
)

// TestWorkerCommitsTogether: what several devices push at once is stored in few commits, and not in one for each push.
func TestWorkerCommitsTogether(t *testing.T) {
	t.Parallel()
	const devices, pushes = 4, 16
	h := program.NewVariant(t, t.TempDir(), "billed")
	h.Start()
	c := &client{t: t, base: "http://" + h.Addr()}
	var conns []net.Conn
	for name := range byte(devices) {
		conn, err := net.Dial("tcp", h.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(program.Patience))
		hello := &wire.Hello{Protocol: 1, Database: database, Device: change.DeviceID{1 + name}, LowestHeld: 1, Credit: 1 << 20, Agent: "test"}
		if _, err := fmt.Fprintf(conn, "GET /v1/%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: vsync.1\r\n\r\n%s", database, h.Addr(), masked(frameOf(t, hello))); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(resp, err)
		}
		if _, err := r.Peek(2); err != nil { // of the welcome
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	before, err := billOf(h)
	must(t, err)
	for i, conn := range conns {
		if _, err := conn.Write(burstOf(t, 1+byte(i), pushes)); err != nil {
			t.Fatal(err)
		}
	}
	for until := time.Now().Add(program.Patience); ; time.Sleep(20 * time.Millisecond) {
		found := 0
		for i := range devices {
			if c.ask("GET", fmt.Sprintf("/v1/%s/object?collection=burst&id=%d-%d", database, 1+i, pushes), "").Status == 200 {
				found++
			}
		}
		if found == devices {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("%d of %d are there", found, devices)
		}
	}
	after, err := billOf(h)
	must(t, err)
	commits, rows := after.Commits-before.Commits, after.RowsWritten-before.RowsWritten
	t.Logf("%d pushes of %d devices: %v commits, %v rows", devices*pushes, devices, commits, rows)
	if commits < 1 || commits > devices*pushes/4 || rows > devices*pushes/2 {
		t.Error("they do not share their commits")
	}
}

// burstOf is what a device sends that has written often: frames as they stand on the line, of one small batch each.
func burstOf(t *testing.T, device byte, pushes int) (frames []byte) {
	t.Helper()
	var after change.Hash
	for gen := change.Generation(1); int(gen) <= pushes; gen++ {
		b := &change.Batch{Header: change.Header{Device: change.DeviceID{device}, Gen: gen, Stamp: 1},
			Mutations: []change.Mutation{{Kind: change.Put, Key: change.Key{Collection: "burst", ID: fmt.Sprint(device, "-", gen)}, Value: []byte{1}}}}
		bytes, err := b.Encode(after)
		if err != nil {
			t.Fatal(err)
		}
		after = b.Hash
		frames = append(frames, masked(frameOf(t, &wire.Push{Gen: gen, Batches: [][]byte{bytes}}))...)
	}
	return frames
}

// masked is a frame as a client writes it to a socket, with a mask of zeros.
func masked(frame []byte) []byte {
	if len(frame) < 126 {
		return append([]byte{0x82, 0x80 | byte(len(frame)), 0, 0, 0, 0}, frame...)
	}
	return append([]byte{0x82, 0x80 | 126, byte(len(frame) >> 8), byte(len(frame)), 0, 0, 0, 0}, frame...)
}
