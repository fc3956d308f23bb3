package pages

import "testing"

// few is how many of so many cases are tried: all of them, or a part in a short run, such as one in WebAssembly, which takes
// ten times as long.
func few(n uint64) uint64 {
	if testing.Short() {
		return max(1, n/5)
	}
	return n
}
