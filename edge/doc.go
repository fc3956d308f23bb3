// Package edge is the hub of one database: it takes connections, has the replica accept what devices
// push, and gives every device the feed. It has no sockets, no goroutines and no clock: frames and the
// time come in, frames go out. Hosts put sockets around it.
//
//	socket ──frame──▶ Receive ─┬─ hello ─▶ judged, settled ─────────▶ welcome ┐
//	                           ├─ push ──▶ joined ─▶ Replica.Accept           ├▶ answers ─┐
//	                           ├─ ping ──────────────────────────────▶ pong   ┘           ├─▶ Next, Poll ──▶ socket
//	                           └─ seen ──▶ credit                                         │
//	                                          Replica ──OnFeed──▶ recent ◀── cursor ──────┘
//	                                             └──────ReadFeed────▶┘
//
// A connection has no queue of the feed, only a cursor: the sequence up to which its frames were handed
// out. A commit is put into the recent part of the feed, and the readers are woken; each takes what
// stands behind its own cursor, as one encoding that all share, or cut for it where its own batches
// are in it or its credit ends. What is no longer recent is read from the replica, in the same way. So a
// reader that is live and one that is catching up are the same thing, and no place exists between them
// where an entry could get lost or come twice. A reader that does not read costs the hub nothing but
// its cursor.
//
//	hub.go      connections come, go and are counted
//	conn.go     one connection: its states, what it is handed next, silence and slowness
//	greet.go    hello ▶ welcome
//	grant.go    what a device may do, until when, and how much; tokens that follow
//	accept.go   push ▶ verdicts
//	joins.go    how much may wait for its end, of all and of one
//	fanout.go   a commit ▶ recent ▶ who is woken
//	stream.go   a cursor ▶ its next frame
//	recent.go   the recent part of the feed, and its shared encodings
//	end.go      how connections end, and what is said then
//	sleep.go    a connection as a few bytes, for hosts that forget everything else
//	limits.go   every bound
//
// A host runs one goroutine that reads from the socket and calls Receive, and one that calls Next and
// writes to the socket; or none, and calls Poll. Tick, every second or so, finds what is dead or slow.
// Receive and Next return an *End when the connection is over, which says how to close the socket; the
// host then calls Close.
package edge
