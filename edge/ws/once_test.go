package ws

import (
	"bytes"
	"net"
	"testing"
)

// kept is a net.Conn that keeps what is written.
type kept struct {
	net.Conn
	all []byte
}

func (k *kept) Write(p []byte) (int, error) {
	k.all = append(k.all, p...)
	return len(p), nil
}

// Whatever pieces the frames come in, one close frame goes out and nothing behind it.
func TestOneCloseFrame(t *testing.T) {
	short := []byte{0x82, 3, 1, 2, 3}
	middle := append([]byte{0x82, 126, 1, 0}, make([]byte, 256)...)
	long := append([]byte{0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}, bytes.Repeat([]byte{0x88}, 1<<16)...)
	masked := []byte{0x82, 0x81, 0x88, 0x88, 0x88, 0x88, 0x88}
	empty := []byte{0x89, 0}
	closing := []byte{0x88, 5, 3, 0xf1, 'b', 'i', 'g'}
	again := []byte{0x88, 2, 3, 0xe8}

	want := bytes.Join([][]byte{short, middle, long, masked, empty, closing}, nil)
	all := append(append(bytes.Clone(want), again...), short...)
	for _, step := range []int{1, 2, 3, 7, 100, 4096, len(all)} {
		var k kept
		c := &closeOnce{Conn: &k}
		for rest := all; len(rest) > 0; {
			n := min(step, len(rest))
			if written, err := c.Write(rest[:n]); written != n || err != nil {
				t.Fatalf("in pieces of %d: wrote %d of %d, %v", step, written, n, err)
			}
			rest = rest[n:]
		}
		if !bytes.Equal(k.all, want) {
			t.Errorf("in pieces of %d: %d bytes went out, expected %d", step, len(k.all), len(want))
		}
	}
}
