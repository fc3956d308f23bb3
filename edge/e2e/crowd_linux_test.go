//go:build workerd

package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"vsync/core/change"
	"vsync/core/wire"
	"vsync/edge/e2e/program"
)

// BenchmarkEdgeReaders: the native hub, one writer, whose frames bring one change, and many readers. One operation is a change that all have.
func BenchmarkEdgeReaders(b *testing.B) {
	for _, readers := range []int{10, 100, 1000, 9999} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) { benchmarkReaders(b, readers) })
	}
}

func benchmarkReaders(b *testing.B, readers int) {
	h := program.NewNative(b, b.TempDir())
	h.Start()
	changes := max(min(b.N, 4_000_000/readers), 50)
	frames := pushFrames(b, change.DeviceID{1}, changes, 1, 1)
	empty := rssOf(b, h)
	crowd := gather(b, h.Addr(), readers)
	joined := rssOf(b, h)
	defer crowd.stayAlive()()
	s := enterBench(b, program.DatabaseURL(h.Addr(), database), change.DeviceID{1}, false)
	defer s.conn.Close(wire.CloseNormal, "")
	used := cpuOf(b, h.Cmd.Process.Pid)
	read := make(chan error, 1)
	b.ResetTimer()
	go func() { read <- crowd.readAll(uint64(changes)) }()
	if err := errors.Join(s.sendAll(frames, 1), <-read); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	used = cpuOf(b, h.Cmd.Process.Pid) - used
	n := float64(changes * readers)
	b.ReportMetric(n/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(float64(used.Microseconds())/n, "cpu-µs/delivery")
	b.ReportMetric(float64(used.Microseconds())/float64(crowd.frames), "cpu-µs/frame")
	b.ReportMetric(n/float64(crowd.frames), "changes/frame")
	b.ReportMetric(float64(joined-empty)/float64(readers)/1024, "KiB/reader")
	b.ReportMetric(0, "ns/op")
}

// A crowd are readers that cost little, as they share the machine with the hub: one thread, which asks the kernel who has something. All get
// the same bytes, and these are decoded once.
type crowd struct {
	poll    int
	readers map[int32]*reader // by socket
	frames  int               // that came
	known   [16]struct {      // frames that came last, and up to where of the feed they go
		frame []byte
		last  uint64
	}
	next int
}

// A reader is one socket.
type reader struct {
	socket int
	begun  []byte // of a frame
	last   uint64
	unseen int
}

func gather(b *testing.B, addr string, n int) *crowd {
	b.Helper()
	poll, err := syscall.EpollCreate1(0)
	c := &crowd{poll: poll, readers: map[int32]*reader{}}
	b.Cleanup(func() {
		for _, r := range c.readers {
			syscall.Close(r.socket)
		}
		syscall.Close(poll)
	})
	for i := 0; i < n && err == nil; i++ {
		err = c.enter(addr, change.DeviceID{2, byte(i), byte(i >> 8)})
	}
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// enter has one more reader, which is welcomed.
func (c *crowd) enter(addr string, device change.DeviceID) error {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return err
	}
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	r := &reader{socket: socket}
	c.readers[int32(socket)] = r
	if err := syscall.Connect(socket, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		return err
	}
	hello := &wire.Hello{Protocol: wire.Protocol, Database: database, Device: device, LowestHeld: 1, Credit: wire.DefaultCredit, Agent: "bench"}
	if err := r.write([]byte(upgrade(addr))); err != nil {
		return err
	}
	if err := r.say(hello); err != nil {
		return err
	}
	room := make([]byte, 64<<10)
	for !bytes.Contains(r.begun, []byte("\r\n\r\n\x82")) { // the welcome has come, or begins to
		n, err := syscall.Read(socket, room)
		if n <= 0 || err != nil {
			return fmt.Errorf("%q: %d, %w", r.begun, n, err)
		}
		r.begun = append(r.begun, room[:n]...)
	}
	_, r.begun, _ = bytes.Cut(r.begun, []byte("\r\n\r\n"))
	if err := syscall.SetNonblock(socket, true); err != nil {
		return err
	}
	return syscall.EpollCtl(c.poll, syscall.EPOLL_CTL_ADD, socket, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(socket)})
}

func upgrade(addr string) string {
	return fmt.Sprintf("GET /v1/%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: %s\r\n\r\n", database, addr, wire.Subprotocol)
}

func (r *reader) say(m wire.Message) error {
	frame, err := wire.Append(nil, m)
	if err != nil {
		return err
	}
	return r.write(masked(frame))
}

func (r *reader) write(bytes []byte) error {
	n, err := syscall.Write(r.socket, bytes)
	if err == nil && n < len(bytes) {
		err = io.ErrShortWrite
	}
	return err
}

// readAll returns when all have the feed up to a sequence.
func (c *crowd) readAll(seq uint64) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	events, room := make([]syscall.EpollEvent, 512), make([]byte, 256<<10)
	for behind := len(c.readers); behind > 0; {
		n, err := syscall.EpollWait(c.poll, events, -1)
		if err != nil && err != syscall.EINTR {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			r := c.readers[e.Fd]
			was := r.last
			n, err := syscall.Read(r.socket, room)
			if err == nil && n == 0 {
				err = io.EOF
			}
			if err == nil {
				err = c.take(r, room[:n])
			}
			if err != nil && err != syscall.EAGAIN {
				return err
			}
			if was < seq && r.last >= seq {
				behind--
			}
		}
	}
	return nil
}

// take cuts what has come for a reader into frames.
func (c *crowd) take(r *reader, came []byte) error {
	if len(r.begun) > 0 {
		came = append(r.begun, came...)
	}
	for len(came) >= 2 {
		head, size := 2, int(came[1])
		switch {
		case size == 126 && len(came) >= 4:
			head, size = 4, int(binary.BigEndian.Uint16(came[2:]))
		case size == 127 && len(came) >= 10:
			head, size = 10, int(binary.BigEndian.Uint64(came[2:]))
		}
		if size >= 126 && head == 2 || len(came) < head+size {
			break
		}
		if err := c.frame(r, came[0], came[head:head+size]); err != nil {
			return err
		}
		came = came[head+size:]
	}
	r.begun = append(r.begun[:0], came...)
	return nil
}

func (c *crowd) frame(r *reader, kind byte, frame []byte) error {
	last, known := uint64(0), false
	for i := range c.known {
		if known = len(c.known[i].frame) > 0 && bytes.Equal(c.known[i].frame, frame); known {
			last = c.known[i].last
			break
		}
	}
	if !known {
		if kind != 0x82 {
			return fmt.Errorf("expected a binary message, got %x: %q", kind, frame)
		}
		if m, err := wire.DecodeDown(frame); err != nil {
			return err
		} else if m.Type() == wire.TypeWelcome {
			return nil
		}
		var err error
		if last, _, err = streamed(frame); err != nil {
			return err
		}
		k := &c.known[c.next%len(c.known)]
		c.next++
		k.frame, k.last = append(k.frame[:0], frame...), last
	}
	if last == 0 {
		return nil // a pong
	}
	c.frames++
	if last <= r.last {
		return fmt.Errorf("the feed up to %d behind that up to %d", last, r.last)
	}
	r.last = last
	if r.unseen += len(frame); r.unseen <= wire.DefaultCredit/4 {
		return nil
	}
	r.unseen = 0
	return r.say(&wire.Seen{Seq: last})
}

// stayAlive says for all that they are there, as devices do. Returns the way to stop.
func (c *crowd) stayAlive() (stop func()) {
	over := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			select {
			case <-time.After(wire.HelloTimeout):
			case <-over:
				return
			}
			for _, r := range c.readers {
				_ = r.say(&wire.Ping{}) // readAll tells of what is wrong
			}
		}
	})
	return func() {
		close(over)
		all.Wait()
	}
}
