package main

import (
	"slices"
	"syscall/js"
)

// random reads the browser's random numbers, for ids and nonces. crypto/rand reads the same ones, and brings a generator of its own along
// for certified modules.
type random struct{}

// maxRandom is how many bytes a browser gives at once.
const maxRandom = 1 << 16

func (random) Read(p []byte) (int, error) {
	for part := range slices.Chunk(p, maxRandom) {
		bytes := js.Global().Get("Uint8Array").New(len(part))
		js.Global().Get("crypto").Call("getRandomValues", bytes)
		js.CopyBytesToGo(part, bytes)
	}
	return len(p), nil
}
