// Package digest is SHA-256 (FIPS 180-4) and HMAC (RFC 2104) by it:
//
//	SHA-256( key ⊕ 5c5c…  │  SHA-256( key ⊕ 3636…  │  message ) )
//
// Natively they are Go's, which use what the processor has. For WebAssembly Go has plain code as well, and it brings along all ciphers
// and generators that a certified module tests, AES and its tables and SHA-3 among them, which an engine has no use for: there it is
// what stands in sha.go and mac.go. Tests compare the two. A host that has its own says so: UseHost.
package digest

import "hash"

// Size is the number of bytes of a digest, blockSize of what is taken at once.
const (
	Size      = 32
	blockSize = 64
)

// Sum returns the digest of b.
func Sum(b []byte) [Size]byte { return sum(b) }

// New returns the digest of nothing, to be written to.
func New() hash.Hash { return newHash() }

// NewMAC returns the MAC by a key, of no message yet.
func NewMAC(key []byte) hash.Hash { return newMAC(key) }

// Equal takes the same time wherever two MACs of one length differ.
func Equal(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	differ := byte(0)
	for i := range a {
		differ |= a[i] ^ b[i]
	}
	return differ == 0
}
