// Package wire is what crosses the socket between a device and a hub: the messages of PROTOCOL.md,
// their codec, the cutting and joining of what is larger than a frame, and the Conn that sockets
// implement. It does no IO and asks no clock.
//
//	frame   = msgpack [type, {key: value, …}]      one binary WebSocket message
//
//	up      1 hello ─ 2 push ─ 3 seen ─ 7 ping                        device ▶ hub
//	down    33 welcome ─ 34 changes ─ 36 accepted ─ 37 voided         hub ▶ device
//	        40 pong ─ 41 error ─ 42 bye ─ 43 resend
//
//	Message ──Append──▶ frame ──Conn.Write──▶ … ──Conn.Read──▶ frame ──DecodeUp/Down──▶ Message
//
//	batch ──SplitPush──▶ push{part 0, more} push{part 1, more} push{part 2} ──Joiner──▶ push{batch}
//
// Everything that Append takes, Decode accepts, and what Decode accepts, Append takes: both ask the
// same check. What we would send wrong is a *MessageError, what the peer sent wrong a *ProtocolError,
// which knows the *Error to answer with; what the peer says of us is an *Error.
package wire
