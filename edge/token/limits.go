package token

import "time"

// Every bound of tokens and keys, each with its reason.
const (
	// Leeway is how far the clocks of who signs and who judges may differ: what machines without a time server drift in some weeks.
	Leeway = 30 * time.Second

	// maxToken is the protocol's.
	maxToken = 8 << 10

	// maxSubject is what a hub can keep beside a device.
	maxSubject = 512

	// maxDatabases bounds the names in one token; "*" is for more.
	maxDatabases = 64

	// maxSet and maxKeys bound a set: nobody rotates more at once.
	maxSet  = 64 << 10
	maxKeys = 32

	// minSecret is as long as what HS256 makes of it (RFC 7518, 3.2): a shorter one could be guessed offline.
	minSecret = 32

	// maxKid bounds the name of a key.
	maxKid = 64
)
