package ws

import (
	"bytes"
	"errors"
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
		c := &frames{Conn: &k}
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

// Messages that go past the library stand whole between its frames, and none goes out behind a close frame.
func TestMessages(t *testing.T) {
	var k kept
	c := &frames{Conn: &k}
	var want []byte
	for _, size := range []int{0, 1, 125, 126, smallMessage, smallMessage + 1, 1<<16 - 1, 1 << 16, 1 << 20} {
		payload := bytes.Repeat([]byte{byte(size), 0x88}, (size+1)/2)[:size]
		if err := c.message(2, payload); err != nil {
			t.Fatal(err)
		}
		want = append(want, 0x82)
		switch {
		case size < 126:
			want = append(want, byte(size))
		case size < 1<<16:
			want = append(want, 126, byte(size>>8), byte(size))
		default:
			want = append(want, 127, 0, 0, 0, 0, 0, byte(size>>16), byte(size>>8), byte(size))
		}
		want = append(want, payload...)
		pong := []byte{0x8a, 1, byte(size)}
		if _, err := c.Write(pong); err != nil {
			t.Fatal(err)
		}
		want = append(want, pong...)
	}
	closing := []byte{0x88, 2, 3, 0xe8}
	c.Write(closing)
	if err := c.message(2, []byte("late")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("behind a close frame: %v", err)
	}
	if want = append(want, closing...); !bytes.Equal(k.all, want) {
		t.Errorf("%d bytes went out, expected %d", len(k.all), len(want))
	}
}
