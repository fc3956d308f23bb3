package wire

import (
	"vsync/core/change"
	"vsync/core/fmt"
)

// A Type numbers a message: 1 to 31 go up, from device to hub, 33 to 63 down.
type Type uint8

const (
	TypeHello        Type = 1
	TypePush         Type = 2
	TypeSeen         Type = 3
	TypeFetch        Type = 4 // reserved
	TypeHandback     Type = 5
	TypePresenceUp   Type = 6 // reserved
	TypePing         Type = 7
	TypeToken        Type = 8
	TypeWelcome      Type = 33
	TypeChanges      Type = 34
	TypePages        Type = 35 // reserved
	TypeAccepted     Type = 36
	TypeVoided       Type = 37
	TypeHistory      Type = 38 // reserved
	TypePresenceDown Type = 39 // reserved
	TypePong         Type = 40
	TypeError        Type = 41
	TypeBye          Type = 42
	TypeResend       Type = 43
	TypeHanded       Type = 44
)

var typeNames = map[Type]string{
	TypeHello: "hello", TypePush: "push", TypeSeen: "seen", TypeFetch: "fetch", TypeHandback: "handback",
	TypePresenceUp: "presence", TypePing: "ping", TypeToken: "token",
	TypeWelcome: "welcome", TypeChanges: "changes", TypePages: "pages", TypeAccepted: "accepted",
	TypeVoided: "voided", TypeHistory: "history", TypePresenceDown: "presence", TypePong: "pong",
	TypeError: "error", TypeBye: "bye", TypeResend: "resend",
	TypeHanded: "handed",
}

func (t Type) String() string {
	if name, ok := typeNames[t]; ok {
		return name
	}
	return fmt.Sprintf("message %d", uint8(t))
}

// Reserved reports whether t is kept for a later version of the protocol.
func (t Type) Reserved() bool {
	switch t {
	case TypeFetch, TypePresenceUp, TypePages, TypeHistory, TypePresenceDown:
		return true
	}
	return false
}

// A Message is one of the structs of this file, by pointer.
type Message interface {
	Type() Type
	check() *flaw           // what of it may not be sent or taken
	append(b []byte) []byte // the body, checked before
}

// Hello is the first message of a device.
type Hello struct {
	Protocol   uint64            // p: highest version that the device speaks, ≥ 1
	Database   string            // db: [a-z0-9._-]{1,64}
	Lineage    change.Lineage    // lin: hub that the replica belongs to; zero: never met one
	Device     change.DeviceID   // dev
	Token      string            // tok: empty: none
	Marker     change.Marker     // mk: up to where the feed is applied; zero: from the start
	Gen        change.Generation // gen: highest own generation that the applied feed settled; 0: none
	Hash       change.Hash       // hash: of Gen
	Own        []change.Hash     // own: of the generations Gen+1, Gen+2, …, at most MaxOwn
	LowestHeld change.Generation // held: lowest own generation whose bytes are still there
	Credit     uint64            // credit: bytes of the stream that may be on the way, ≥ 1
	Agent      string            // agent: program and version, for logs
	Trail      []change.Place    // trail: earlier places of the feed that is applied, the latest first, where the hub did not know Marker
	Back       change.Place      // back: the end of the hub's feed when it had taken what was handed back; zero: nothing was
}

// A Mode says where the stream begins.
type Mode string

const (
	ModeResume Mode = "resume" // behind the device's marker
	ModeReplay Mode = "replay" // behind Welcome.Marker, an earlier place
	modePages  Mode = "pages"  // reserved
)

// Welcome is a hub's answer to Hello.
type Welcome struct {
	Protocol uint64            // p: version in force, ≥ 1
	Lineage  change.Lineage    // lin
	Epoch    uint64            // ep: of the feed, ≥ 1
	Now      uint64            // now: the hub's clock, ms since 1970
	Mode     Mode              // mode
	Common   change.Generation // common: highest own generation known to be shared
	Last     change.Generation // last: the hub's last generation of this device; 0: none
	Hash     change.Hash       // hash: of Last
	Head     uint64            // head: last sequence of the feed now
	Marker   change.Marker     // mk: the stream begins behind it
	Limits   Limits            // lim
	Beat     bool              // beat: heartbeats may be text
	Expires  uint64            // exp: when the token does, by the hub's clock, ms since 1970; 0: never, and the hub takes no Token
}

// Part places a message in a split. The zero Part is a whole message.
type Part struct {
	Index uint64 // part: 0, 1, 2 …
	More  bool   // more: further parts follow
}

// Split reports whether the message is a part, its only item a piece.
func (p Part) Split() bool { return p.Index > 0 || p.More }

// Push carries the device's next batches.
type Push struct {
	Gen     change.Generation // gen: of Batches[0]; the others follow without gaps
	Batches [][]byte          // b: batch bytes, or one piece of one
	Alone   bool              // alone: hubs seem to die at it; it is one batch
	Part    Part
}

// Changes carries the next entries of the feed.
type Changes struct {
	Seq     uint64      // seq: of Entries[0]; the others follow without gaps
	Entries [][]byte    // e: entry bytes, or one piece of one
	Hash    change.Hash // hash: running hash of the feed after the last entry
	Part    Part
}

// Handback gives a hub back what it lost: entries of the feed that the device has applied.
type Handback struct {
	Seq     uint64   // seq: of Entries[0] in the feed that the device has; the others follow without gaps
	Entries [][]byte // e: entry bytes, or one piece of one
	Part    Part
}

// Handed says that the hub has dealt with what was handed back.
type Handed struct {
	Seq   uint64       // seq: of the last entry, as in Handback
	Taken uint64       // n: how many of the message's entries it did not have
	Head  change.Place // head: the end of its feed then
}

// Accepted says that own batches are in the feed; it stands there in the place of Changes.
type Accepted struct {
	Seq         uint64            // seq: of the first
	Gen         change.Generation // gen: of the first
	Annotations [][]byte          // a: for each batch annotation ‖ MAC, or one piece of one
	Hash        change.Hash       // hash: running hash of the feed after the last
	Part        Part
}

// Voided says that an own batch can never be right; it stands in the feed in its place.
type Voided struct {
	Seq        uint64
	Gen        change.Generation
	Annotation []byte      // a: annotation ‖ MAC
	Code       Code        // code: why
	Text       string      // msg: for people
	Hash       change.Hash // hash: running hash of the feed after it
}

// SplitAnnotation cuts an item of Accepted or Voided into the annotation's bytes and the MAC. It
// reports false if the item is too short to hold both.
func SplitAnnotation(item []byte) (annotation []byte, mac change.Hash, ok bool) {
	if len(item) < minAnnotation {
		return nil, mac, false
	}
	cut := len(item) - change.HashSize
	return item[:cut:cut], change.Hash(item[cut:]), true
}

// Seen says how much of the stream is applied and stored.
type Seen struct {
	Seq  uint64
	Hash change.Hash // hash: running hash there; zero: not said
}

// Resend asks for the batches from Gen on.
type Resend struct{ Gen change.Generation }

// Ping asks for a Pong with the same number.
type Ping struct{ N uint64 }

// Token is a new token, for a connection whose own expires. It is answered with a Pong.
type Token struct{ Token string }

// Pong answers a Ping, or a Token.
type Pong struct {
	N       uint64
	Now     uint64 // the hub's clock, ms since 1970
	Expires uint64 // exp: as in Welcome, in the answer to a Token
}

// Error is what the peer says we did wrong, or cannot have; the connection ends behind it.
type Error struct {
	Code  Code              // code
	Text  string            // msg: for people
	Retry uint64            // retry: ms to stay away at least; 0: not said
	Gen   change.Generation // gen: own generation that it is about; 0: none
}

func (e *Error) Error() string { return fmt.Sprintf("peer says %s: %s", e.Code, e.Text) }

// Why says why a hub ends a connection without a fault of the device.
type Why string

const (
	WhyClosing    Why = "closing"    // the hub goes down or moves; also every reason not known
	WhySlow       Why = "slow"       // no credit came
	WhySuperseded Why = "superseded" // a newer connection of the same device
)

// Bye ends a connection without a fault of the device.
type Bye struct {
	Why   Why
	Retry uint64 // ms to stay away at least
}

func (*Hello) Type() Type    { return TypeHello }
func (*Push) Type() Type     { return TypePush }
func (*Seen) Type() Type     { return TypeSeen }
func (*Ping) Type() Type     { return TypePing }
func (*Token) Type() Type    { return TypeToken }
func (*Welcome) Type() Type  { return TypeWelcome }
func (*Changes) Type() Type  { return TypeChanges }
func (*Accepted) Type() Type { return TypeAccepted }
func (*Voided) Type() Type   { return TypeVoided }
func (*Pong) Type() Type     { return TypePong }
func (*Error) Type() Type    { return TypeError }
func (*Bye) Type() Type      { return TypeBye }
func (*Resend) Type() Type   { return TypeResend }
func (*Handback) Type() Type { return TypeHandback }
func (*Handed) Type() Type   { return TypeHanded }
