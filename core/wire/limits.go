package wire

import (
	"time"

	"vsync/core/change"
)

// Subprotocol is the WebSocket subprotocol that both ends must agree on.
const Subprotocol = "vsync.1"

// Protocol is the highest protocol version (`p` of hello and welcome) that this package speaks.
const Protocol = 1

// Every limit of a message, in one table, each with its reason. Encoders refuse to pass them and
// decoders refuse before they allocate. The limits of batches and entries are those of package
// change.
const (
	// MaxFrame is the largest frame that is accepted, in bytes: what each end must be able to hold.
	MaxFrame = 1 << 20

	// FrameBudget is the largest frame that is sent, in bytes, so that heartbeats and other batches
	// get their turn on a slow line.
	FrameBudget = 256 << 10

	// MinFrameBudget is the smallest budget that a hub may announce: below, framing outweighs what
	// it carries.
	MinFrameBudget = 4 << 10

	// MaxItems bounds the batches, entries or annotations of one message: a table of slices is made
	// before the items are looked at.
	MaxItems = 4096

	// MaxKeys bounds the keys of one map: duplicates are found by comparing each with each.
	MaxKeys = 64

	// MaxNesting bounds how many arrays and maps stand in each other below an unknown key, because
	// skipping recurses.
	MaxNesting = change.MaxDepth

	// MaxOwn bounds the hashes in hello: 64 KiB. A device that went another way more than this many
	// generations ago says hello again.
	MaxOwn = 4096

	// MaxTrail bounds the places in hello: enough to halve the way back to the beginning of any feed.
	MaxTrail = 64

	// MaxPushes bounds the pushes that are not answered: enough to hide the round trip, little
	// enough to send again after a break.
	MaxPushes = 16

	// DefaultCredit is how many bytes may be on the way, either direction: 100 ms at 10 MB/s.
	DefaultCredit = 1 << 20

	// MaxDatabase is the longest name of a database: it is one element of a path.
	MaxDatabase = 64

	// MaxToken is the longest token: what HTTP servers accept as a header.
	MaxToken = 8 << 10

	// MaxAgent is the longest name of a program: part of a line in a log.
	MaxAgent = 128

	// MaxText is the longest text for people: a sentence or two.
	MaxText = 1024

	// MaxCode is the longest error code and the longest reason of a bye: a word.
	MaxCode = 32

	// MaxVoidAnnotation bounds annotation and MAC of a void: it has a reason and no parents.
	MaxVoidAnnotation = 4 << 10

	// minAnnotation is the shortest annotation (flags, time) with its MAC.
	minAnnotation = 2 + change.HashSize

	// maxAnnotationItem is the largest annotation with its MAC.
	maxAnnotationItem = change.MaxAnnotation + change.HashSize

	// MaxResends is how often a hub may ask for the same again before the device settles anew.
	MaxResends = 8
)

// Times of PROTOCOL.md, sections 12 to 14.
const (
	PingAfter    = 10 * time.Second // device: silence, either way, before a ping
	DeviceGiveUp = 25 * time.Second // device: two pings and their round trip without an answer
	ProbeGiveUp  = 5 * time.Second  // device: a ping's round trip on a bad line, where there is reason to doubt the connection
	AnswerGiveUp = 2 * time.Minute  // device: for what is due from a hub that answers pings; a slow line carries a large frame in it
	HubGiveUp    = 30 * time.Second // hub: three pings that did not come
	PartTimeout  = 30 * time.Second // hub: for the next part of what comes in parts, as long as for anything
	HelloTimeout = 10 * time.Second // hub: for hello; device: for welcome
	DialTimeout  = 30 * time.Second // device: for the open socket, a cold hub included
	SeenAfter    = time.Second      // device: applied and not yet said so
	SlowAfter    = 60 * time.Second // hub: out of credit with something to send

	WatchRetryDelay  = 2 * time.Second        // device: base of the delay after a failed dial
	StreamRetryDelay = time.Second            // device: base of the delay after a stream ended
	MaxRetryDelay    = 60 * time.Second       // device: cap of both
	MinRetryDelay    = 100 * time.Millisecond // device: floor of both, so that luck makes no hot loop
	StreamStable     = 30 * time.Second       // device: life of a stream that resets the delay
)

// Limits are what a hub announces in its welcome. Zero fields count as the protocol's own limits.
type Limits struct {
	Frame     uint64 // bytes: the largest push frame that it wants
	Value     uint64 // bytes of a value
	Batch     uint64 // bytes of a batch
	Mutations uint64 // mutations of a batch
	Pushes    uint64 // pushes that are not answered
	Credit    uint64 // bytes of batches that are not answered
}

// DefaultLimits returns the protocol's own limits, which no hub raises.
func DefaultLimits() Limits {
	return Limits{
		Frame: MaxFrame, Value: change.MaxValue, Batch: change.MaxBatch,
		Mutations: change.MaxMutations, Pushes: MaxPushes, Credit: DefaultCredit,
	}
}

// effective returns l with zero fields, and fields above the protocol's limits, replaced by these.
func (l Limits) effective() Limits {
	d := DefaultLimits()
	pick := func(n, limit uint64) uint64 {
		if n == 0 || n > limit {
			return limit
		}
		return n
	}
	return Limits{
		Frame: pick(l.Frame, d.Frame), Value: pick(l.Value, d.Value), Batch: pick(l.Batch, d.Batch),
		Mutations: pick(l.Mutations, d.Mutations), Pushes: pick(l.Pushes, d.Pushes), Credit: pick(l.Credit, d.Credit),
	}
}

// PushBudget returns the largest push frame that a device should send to a hub with these limits.
func (l Limits) PushBudget() int { return int(min(l.effective().Frame, FrameBudget)) }
