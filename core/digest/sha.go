package digest

import (
	"encoding/binary"
	"math/bits"
)

// initial are the first 32 bits of the fractional parts of the square roots of the first eight primes, rounds of the cube roots of
// the first 64.
var (
	initial = [8]uint32{
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	}
	rounds = [blockSize]uint32{
		0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
		0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
		0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
		0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
		0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
		0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
		0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
		0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
	}
)

// A sha is a digest under way. Copying it keeps where it stands.
type sha struct {
	state  [8]uint32
	rest   [blockSize]byte // what is no whole block yet
	held   int             // bytes of rest
	length uint64          // of all, in bytes
}

func newSHA() *sha { return &sha{state: initial} }

func plainSum(b []byte) (out [Size]byte) {
	s := sha{state: initial}
	s.Write(b)
	s.finish(&out)
	return out
}

func (s *sha) Reset()         { *s = sha{state: initial} }
func (s *sha) Size() int      { return Size }
func (s *sha) BlockSize() int { return blockSize }

// Write never fails.
func (s *sha) Write(p []byte) (int, error) {
	written := len(p)
	s.length += uint64(written)
	if s.held > 0 {
		n := copy(s.rest[s.held:], p)
		s.held, p = s.held+n, p[n:]
		if s.held < blockSize {
			return written, nil
		}
		s.block(s.rest[:])
	}
	for ; len(p) >= blockSize; p = p[blockSize:] {
		s.block(p)
	}
	s.held = copy(s.rest[:], p)
	return written, nil
}

// Sum appends the digest of what was written, and more may be written.
func (s *sha) Sum(to []byte) []byte {
	end, out := *s, [Size]byte{}
	end.finish(&out)
	return append(to, out[:]...)
}

// finish appends a bit, zeroes, and the length in bits, up to whole blocks.
func (s *sha) finish(out *[Size]byte) {
	var tail [blockSize + 8]byte
	tail[0] = 0x80
	zeroes := (2*blockSize - 1 - 8 - s.held) % blockSize
	binary.BigEndian.PutUint64(tail[1+zeroes:], s.length*8)
	s.Write(tail[:1+zeroes+8])
	for i, word := range s.state {
		binary.BigEndian.PutUint32(out[4*i:], word)
	}
}

func (s *sha) block(p []byte) {
	p = p[:blockSize]
	var w [blockSize]uint32
	for i := range 16 {
		w[i] = binary.BigEndian.Uint32(p[4*i:])
	}
	for i := 16; i < len(w); i++ {
		x, y := w[i-2], w[i-15]
		w[i] = w[i-16] + w[i-7] +
			(bits.RotateLeft32(x, -17) ^ bits.RotateLeft32(x, -19) ^ x>>10) +
			(bits.RotateLeft32(y, -7) ^ bits.RotateLeft32(y, -18) ^ y>>3)
	}
	a, b, c, d, e, f, g, h := s.state[0], s.state[1], s.state[2], s.state[3], s.state[4], s.state[5], s.state[6], s.state[7]
	for i := range w {
		t1 := h + (bits.RotateLeft32(e, -6) ^ bits.RotateLeft32(e, -11) ^ bits.RotateLeft32(e, -25)) + (e&f ^ ^e&g) + rounds[i] + w[i]
		t2 := (bits.RotateLeft32(a, -2) ^ bits.RotateLeft32(a, -13) ^ bits.RotateLeft32(a, -22)) + (a&b ^ a&c ^ b&c)
		a, b, c, d, e, f, g, h = t1+t2, a, b, c, d+t1, e, f, g
	}
	for i, word := range [...]uint32{a, b, c, d, e, f, g, h} {
		s.state[i] += word
	}
}
