package digest

import "hash"

// host is what the host has of its own, if anything; hostMin is from where on asking it is worth the call, in bytes.
var host func(b []byte) [Size]byte

const hostMin = 2 << 10

// UseHost has what is long be digested by the host: some have instructions of the processor for it. It is for a program's beginning.
func UseHost(sum func(b []byte) [Size]byte) { host = sum }

func sum(b []byte) [Size]byte {
	if host != nil && len(b) >= hostMin {
		return host(b)
	}
	return plainSum(b)
}

func newHash() hash.Hash { return newSHA() }

func newMAC(key []byte) hash.Hash { return newPlainMAC(key) }
