package digest

// A mac is HMAC by a key. Both hashes begin with a block that the key alone decides: what they are behind it is kept.
type mac struct {
	sha              // the inner one
	inner, outer sha // behind their first block
}

func newPlainMAC(key []byte) *mac {
	if len(key) > blockSize {
		short := plainSum(key)
		key = short[:]
	}
	m := &mac{inner: keyed(key, 0x36), outer: keyed(key, 0x5c)}
	m.Reset()
	return m
}

func keyed(key []byte, pad byte) sha {
	var block [blockSize]byte
	copy(block[:], key)
	for i := range block {
		block[i] ^= pad
	}
	s := sha{state: initial}
	s.Write(block[:])
	return s
}

// Reset begins another message.
func (m *mac) Reset() { m.sha = m.inner }

// Sum appends the MAC of what was written, and more may be written.
func (m *mac) Sum(to []byte) []byte {
	var message [Size]byte
	inner, outer := m.sha, m.outer
	inner.finish(&message)
	outer.Write(message[:])
	outer.finish(&message)
	return append(to, message[:]...)
}
