package edge

import (
	"context"
	"time"

	"vsync/core/change"
	"vsync/core/wire"
)

// Every bound of a hub, each with its reason. Those of messages are in core/wire.
const (
	// oldestProtocol is the lowest protocol version that this hub still speaks.
	oldestProtocol = 1

	// defaultConnections bounds the connections of one database: at about 2 KB each without the
	// socket, 20 MB.
	defaultConnections = 10_000

	// defaultSubject bounds the connections of one subject: the devices of a person, or the processes of a service. More are a
	// mistake, or meant to keep others out.
	defaultSubject = 100

	// defaultWork and workSeconds bound what one subject may have done: see Hub.Charge. A batch of a few hundred bytes counts about
	// half a KB, so that is tens of thousands a second, and more at first: what was written offline comes at once.
	defaultWork = 16 << 20
	workSeconds = 4

	// frameCost, batchCost and helloCost are what these count beside their bytes: about the bytes that a hub copies in the same time.
	frameCost = 1 << 10
	batchCost = 256
	helloCost = 64 << 10

	// defaultCredit bounds what a device may ask for: 1.6 s at 10 MB/s. What is on the way costs the
	// hub no memory of its own, so it is generous.
	defaultCredit = 16 << 20

	// defaultRecent is how much of the feed is kept in memory for readers that are a little behind.
	// One larger entry is kept beyond it, while it is the latest one read.
	defaultRecent = 8 << 20

	// recentSpans bounds the pieces that the recent feed is kept in: looking for one by a place in
	// its middle goes through all.
	recentSpans = 128

	// defaultJoining bounds the parts of all connections together that wait for their end: enough
	// for eight of the largest batches at the same time, on an edge that has 128 MB. At the least there is room for the largest entry that
	// one hands back, beside the largest batch of another.
	defaultJoining = 64 << 20
	leastJoining   = change.MaxEntry + change.MaxBatch

	// joiningShares is what part of that one subject may have: see joins.
	joiningShares = 4

	// maxAnswers bounds the answers (pongs, resends) that a connection has not taken. Who asks more
	// than that without reading is not reading.
	maxAnswers = 64

	// maxUnseen bounds the records, of 40 bytes, of what a reader has not confirmed. Beyond it they are
	// put together: credit then comes back in larger steps.
	maxUnseen = 1024

	// spanOverhead is about what an entry costs in memory beside its bytes.
	spanOverhead = 200

	// frameOverhead is more than what a frame has around its items, and itemOverhead more than what
	// an item has around its bytes: see wire's Split functions, which cut at the same places.
	frameOverhead = 96
	itemOverhead  = 5

	// maxReason is the longest reason of a WebSocket's close, in bytes.
	maxReason = 123
)

// How long devices are asked to stay away, in ms; they add a random part of their own.
const (
	retryClosing = 1_000  // the hub comes back, or another takes over
	retrySlow    = 5_000  // the line gets a rest
	retryBusy    = 5_000  // parts of other batches fill the memory, or connections the list
	retryEmpty   = 5_000  // somebody has to make the database
	retryQuota   = 30_000 // somebody has to make room on a disk
	retryFault   = 5_000  // the storage failed
)

// A Config is what a hub is told. Its zero value, with a Database, is right for most.
type Config struct {
	Database string // name, as devices give it in hello: [a-z0-9._-]{1,64}

	// Auth judges the token of a hello ("" for none). Nil: everybody may do everything, without bounds of a subject. An error that
	// wraps a *core.Error is answered with its code, any other with UNAUTHENTICATED; its text goes to the device.
	Auth func(ctx context.Context, token string) (Grant, error)

	Connections int // how many at most; 0: 10,000
	Subject     int // connections of one subject, at most; 0: 100
	Work        int // of one subject in a second, in bytes: see Hub.Charge; 0: 16 MiB
	MaxBatch    int // bytes; larger batches, up to the protocol's 8 MiB, are voided; 0: 8 MiB
	Credit      int // bytes of the feed on the way to one device, at most; 0: 16 MiB
	Recent      int // bytes of the feed that are kept in memory, encoded twice; 0: 8 MiB
	Joining     int // bytes of unfinished parts, all connections together, a quarter of it of one subject; at least 20.1 MiB; 0: 64 MiB
	Frame       int // bytes of a frame as sent, at least 4 KiB; 0: 256 KiB

	// Beats says that the host answers text pings by itself, and tells of them through Heard, so that devices need not wake the hub.
	Beats bool

	SlowAfter time.Duration // how long a reader may not move on though there is something for it; 0: 60 s
}

// validate completes the configuration; values out of range are replaced by the nearest that are in it.
func (c Config) validate() Config {
	c.Connections = orElse(c.Connections, defaultConnections)
	c.Subject = orElse(c.Subject, defaultSubject)
	c.Work = orElse(c.Work, defaultWork)
	c.MaxBatch = min(orElse(c.MaxBatch, change.MaxBatch), change.MaxBatch)
	c.Credit = orElse(c.Credit, defaultCredit)
	c.Recent = orElse(c.Recent, defaultRecent)
	c.Joining = max(orElse(c.Joining, defaultJoining), leastJoining)
	c.Frame = max(min(orElse(c.Frame, wire.FrameBudget), wire.FrameBudget), wire.MinFrameBudget)
	if c.SlowAfter <= 0 {
		c.SlowAfter = wire.SlowAfter
	}
	return c
}

func orElse(n, otherwise int) int {
	if n <= 0 {
		return otherwise
	}
	return n
}
