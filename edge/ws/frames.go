//go:build !js

package ws

import (
	"encoding/binary"
	"math"
	"net"
	"sync"
)

// frames are where a hub's frames go to the socket, those of the library and messages, which go past it, each whole. One close frame goes out,
// and nothing behind it: the library answers the peer's answer to a close with another close frame, which browsers take for a fault: they then
// report 1006 and no reason, whatever was said before.
//
//	frame   FIN|opcode, MASK|length, [length of 2 or 8 bytes], [mask of 4], payload
//
// The library writes frames one after the other, in pieces of any size, one Write at a time; those of control, which alone it has to write
// here, in one.
type frames struct {
	net.Conn
	mu      sync.Mutex
	head    []byte // of the frame that the library is writing, as far as it has come
	left    uint64 // of its payload
	closing bool   // it is a close frame
	done    bool   // one has gone out
}

const (
	opcodeClose = 8
	fin         = 0x80

	// smallMessage is up to where a message is copied behind its head; of a larger one the kernel is told where both are.
	smallMessage = 8 << 10
)

// small are buffers for small messages with their heads.
var small = sync.Pool{New: func() any { return new([smallMessage + 16]byte) }}

// message writes a message in a frame.
func (c *frames) message(opcode byte, payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return net.ErrClosed
	}
	room := small.Get().(*[smallMessage + 16]byte)
	defer small.Put(room)
	frame := appendHead(room[:0], opcode, len(payload))
	var err error
	if len(payload) <= smallMessage {
		_, err = c.Conn.Write(append(frame, payload...))
	} else {
		_, err = (&net.Buffers{frame, payload}).WriteTo(c.Conn)
	}
	return err
}

// appendHead appends the head of a frame without a mask.
func appendHead(b []byte, opcode byte, size int) []byte {
	b = append(b, fin|opcode)
	switch {
	case size < 126:
		return append(b, byte(size))
	case size <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(size))
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(size))
}

func (c *frames) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return len(p), nil
	}
	n := c.follow(p)
	written, err := c.Conn.Write(p[:n])
	if err != nil || !c.done {
		return written, err
	}
	return len(p), nil
}

// follow reads along, and returns how much of p may go out.
func (c *frames) follow(p []byte) int {
	for i := 0; i < len(p); {
		if c.left > 0 {
			n := min(c.left, uint64(len(p)-i))
			c.left -= n
			i += int(n)
		} else {
			c.head = append(c.head, p[i])
			i++
			if len(c.head) < 2 || len(c.head) < headSize(c.head[1]) {
				continue
			}
			c.left, c.closing = payloadSize(c.head), c.head[0]&0x0f == opcodeClose
			c.head = c.head[:0]
		}
		if c.left == 0 && c.closing {
			c.done = true
			return i
		}
	}
	return len(p)
}

// headSize returns the size of a frame's head by its second byte.
func headSize(b byte) int {
	n := 2
	switch b & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if b&0x80 != 0 {
		n += 4
	}
	return n
}

func payloadSize(head []byte) uint64 {
	switch n := head[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(head[2:]))
	case 127:
		return binary.BigEndian.Uint64(head[2:])
	default:
		return uint64(n)
	}
}
