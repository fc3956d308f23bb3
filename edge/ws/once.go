//go:build !js

package ws

import (
	"encoding/binary"
	"net"
)

// A closeOnce lets one close frame out, and nothing behind it. The library answers the peer's answer to a close with another close
// frame, which browsers take for a fault: they then report 1006 and no reason, whatever was said before.
//
//	frame   FIN|opcode, MASK|length, [length of 2 or 8 bytes], [mask of 4], payload
//
// The library writes frames one after the other, in pieces of any size, one Write at a time.
type closeOnce struct {
	net.Conn
	head    []byte // of the frame that is being written, as far as it has come
	left    uint64 // of its payload
	closing bool   // it is a close frame
	done    bool   // one has gone out
}

const opcodeClose = 8

func (c *closeOnce) Write(p []byte) (int, error) {
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
func (c *closeOnce) follow(p []byte) int {
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
