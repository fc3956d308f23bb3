//go:build js

package socket

import (
	"time"

	"vsync/core/change"
	"vsync/core/wire"
)

// Bounds of this package, each with its reason.
const (
	// MaxUnread bounds the bytes that came and are not read. A hub has at most the credit on the way, or one entry of any size;
	// both together, with the frames around them, stay below twice the largest batch.
	MaxUnread = 2 * change.MaxBatch

	// highWater is how much may be unsent in the browser's buffer when a Write returns: one frame goes out while the next one
	// waits, and a ping behind them is not late on a slow line.
	highWater = wire.FrameBudget

	// lowWater is where a Write that waits goes on: the line has something to do until it is there.
	lowWater = highWater / 2

	// closeWait is how long a Close waits for the peer's answer: a round trip on a bad line.
	closeWait = 500 * time.Millisecond

	// maxReason is what a close frame has room for, in bytes.
	maxReason = 123

	// maxURL bounds an address: servers refuse longer ones.
	maxURL = 8 << 10
)
