package watcher

import "time"

// Bounds of this package, each with its reason. Those of the protocol are in package wire.
const (
	// MaxAtOnce is how often in a row a device connects again without a delay: settling takes one
	// re-entry, or a second hello for each 4,096 generations, and whatever needs more can wait.
	MaxAtOnce = 3

	// maxHandbacks is how many frames that hand entries back may wait for their answers: the hub stores one while the next
	// is on the way.
	maxHandbacks = 4

	// maxDeaths is how many connections may end without a word while the same push is under way before its
	// batches go one by one: once is the network, most likely.
	maxDeaths = 2

	// MaxStay is the longest that a hub can send a device away for: a wrong number must not end sync.
	MaxStay = time.Hour

	// maxInbound is how many frames are read ahead, so that the socket is read while a commit is
	// under way. The hub's credit bounds their bytes.
	maxInbound = 16

	// seenShare: while live, applied bytes worth less than this share of the credit wait for
	// wire.SeenAfter, or a thousand readers would answer every small change at once.
	seenShare = 16

	// renewBefore is how long before its end a token is asked for anew, at most: an application may have to ask a server, or a user.
	// renewAgain is when that is tried again where it failed, minRenew what is too short for all that, and maxToken what is as good
	// as for ever.
	renewBefore = time.Minute
	renewAgain  = 10 * time.Second
	minRenew    = 10 * time.Second
	maxToken    = 10 * 365 * 24 * time.Hour

	// drainTime is how long is read on after a write failed, for what the peer said before he closed.
	drainTime = time.Second

	// nudgeDelay bounds the random delay that a nudge leaves: many devices come online together.
	nudgeDelay = time.Second

	// maxReason is what a close frame has room for, in bytes.
	maxReason = 123
)
