//go:build !js

package digest

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
)

func sum(b []byte) [Size]byte { return sha256.Sum256(b) }

func newHash() hash.Hash { return sha256.New() }

func newMAC(key []byte) hash.Hash { return hmac.New(sha256.New, key) }
