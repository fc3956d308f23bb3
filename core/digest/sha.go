package digest

import "encoding/binary"

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

// block takes in one block. It counts in 64 bits, the registers that WebAssembly has: a word that stands there twice is turned by a
// shift, and what comes above 32 bits is cut off where it would be turned in again. Eight rounds stand in a row, so that the words change
// their names rather than their places, and because each jump back costs more than a round.
func (s *sha) block(p []byte) {
	p = p[:blockSize]
	var w [blockSize]uint32
	for i := 0; i < 16; i += 4 {
		four := p[4*i : 4*i+16]
		w[i] = binary.BigEndian.Uint32(four)
		w[i+1] = binary.BigEndian.Uint32(four[4:])
		w[i+2] = binary.BigEndian.Uint32(four[8:])
		w[i+3] = binary.BigEndian.Uint32(four[12:])
	}
	for i := 16; i < len(w); i += 8 {
		to, from := w[i:i+8:i+8], w[i-16:i+6:i+6]
		to[0] = expand(from[0], from[1], from[9], from[14])
		to[1] = expand(from[1], from[2], from[10], from[15])
		to[2] = expand(from[2], from[3], from[11], from[16])
		to[3] = expand(from[3], from[4], from[12], from[17])
		to[4] = expand(from[4], from[5], from[13], from[18])
		to[5] = expand(from[5], from[6], from[14], from[19])
		to[6] = expand(from[6], from[7], from[15], from[20])
		to[7] = expand(from[7], from[8], from[16], from[21])
	}
	a, b, c, d := uint64(s.state[0]), uint64(s.state[1]), uint64(s.state[2]), uint64(s.state[3])
	e, f, g, h := uint64(s.state[4]), uint64(s.state[5]), uint64(s.state[6]), uint64(s.state[7])
	for i := 0; i < len(w); i += 8 {
		word, k := w[i:i+8:i+8], rounds[i:i+8:i+8]
		d, h = round(a, b, c, d, e, f, g, h+uint64(k[0])+uint64(word[0]))
		c, g = round(h, a, b, c, d, e, f, g+uint64(k[1])+uint64(word[1]))
		b, f = round(g, h, a, b, c, d, e, f+uint64(k[2])+uint64(word[2]))
		a, e = round(f, g, h, a, b, c, d, e+uint64(k[3])+uint64(word[3]))
		h, d = round(e, f, g, h, a, b, c, d+uint64(k[4])+uint64(word[4]))
		g, c = round(d, e, f, g, h, a, b, c+uint64(k[5])+uint64(word[5]))
		f, b = round(c, d, e, f, g, h, a, b+uint64(k[6])+uint64(word[6]))
		e, a = round(b, c, d, e, f, g, h, a+uint64(k[7])+uint64(word[7]))
	}
	s.state = [8]uint32{
		s.state[0] + uint32(a), s.state[1] + uint32(b), s.state[2] + uint32(c), s.state[3] + uint32(d),
		s.state[4] + uint32(e), s.state[5] + uint32(f), s.state[6] + uint32(g), s.state[7] + uint32(h),
	}
}

// expand makes a word of those that come 16, 15, 7 and 2 before it.
func expand(w16, w15, w7, w2 uint32) uint32 {
	y, x := uint64(w15)<<32|uint64(w15), uint64(w2)<<32|uint64(w2)
	return w16 + w7 + (uint32(y>>7^y>>18) ^ w15>>3) + (uint32(x>>17^x>>19) ^ w2>>10)
}

// round returns what takes the places of d and h, whose word and constant are added to it already. Both are of 32 bits.
func round(a, b, c, d, e, f, g, h uint64) (newD, newH uint64) {
	e2, a2 := e<<32|e, a<<32|a
	h += (e2>>6 ^ e2>>11 ^ e2>>25) + (g ^ e&(f^g))
	return (d + h) & 0xffffffff, (h + (a2>>2 ^ a2>>13 ^ a2>>22) + (a&b | c&(a|b))) & 0xffffffff
}
