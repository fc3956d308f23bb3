// Package watcher is the device's side of the feed: it keeps a replica current with a hub, and the
// hub with the replica.
//
//	               ┌──────────────── Session: a machine without IO ────────────────┐
//	Conn ─▶ frame ─┤ hello ─▶ welcome ─▶ settle ─┬─▶ changes ─▶ join ─▶ Apply ─▶ seen ├─▶ frame ─▶ Conn
//	               │                             └─▶ Unsent ─▶ push (window) ─────────┤
//	               └── heartbeat ── result ────────────────────────────────────────────┘
//
//	Run:  ┌─▶ getStream ─▶ processStream ─▶ Course: what next? ─▶ wait ─┐
//	      └───────────────────────────────────────────────────────────┘   until Close
//
// A Session is one connection: frames and the time go in, frames, a deadline and in the end a Result
// come out. Files are its steps: hello, welcome, changes, push, credit, heartbeat, result. A Course
// remembers what must outlive a connection: delays, and what failed twice in a row. A Watcher drives
// them over a Dialer and a Clock, and says in its Status where sync stands.
//
// # When something fails
//
// Nothing here ends the process, and nothing that fails stops local writes. What can be tried again is
// tried again; the rest is held at the smallest scope there is:
//
//   - a connection, dial or token that fails: the next attempt, after a delay with jitter
//   - a feed entry that the replica cannot take: everything before it is applied, entry by entry (if
//     the envelopes of its frame can be read and give the hub's running hash, else from the frame on);
//     it is asked for again once; then the feed is held at that sequence, on this device alone (phase
//     quarantined, with code, message and sequence), and tried once in the longest delay. Own batches
//     go on being pushed meanwhile
//   - an own batch that the hub refuses by generation: settled again, then written again under a new
//     device id, then held (phase quarantined, with its generation) and tried once in the longest
//     delay. The feed goes on meanwhile. One that the token does not allow is held at once
//   - another replica under our device id (a copied disk): what is not sent yet is sent, under this id,
//     since the other may have the same; then a new id is taken
//   - our own store (QUOTA, CORRUPT …): nothing of the message is applied; tried again with delays
//
// Panics are not caught: they are faults of this program.
package watcher
