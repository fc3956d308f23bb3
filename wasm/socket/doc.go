//go:build js

// Package socket is wire.Conn over the WebSocket of a browser, in a worker. socket.ts is its other half.
//
//	Dial ──▶ open ──▶ new WebSocket                    wasmimport vsync_socket
//	Write ─▶ send ──▶ WebSocket.send ──▶ hub
//	Read ◀── queue ◀── message ◀── onmessage ◀── hub   wasmexport vsync_socket_…
//
// What browsers cannot do, and what stands here in its place:
//
//   - They take whatever is sent into a buffer without bounds. Write blocks while more than highWater of it is unsent, and socket.ts
//     looks how much there is as long as somebody may wait for it.
//   - They hand over whatever comes, and cannot stop a peer who sends. What is not read is bounded by MaxUnread, beyond what the
//     protocol's credit lets a hub send; over it the connection ends with ErrUnread.
//   - They send no close codes but 1000 and 3000 to 4999: see Code. They cannot cut a connection either: what Close leaves behind
//     after closeWait, because the peer does not answer, the browser ends by itself, and nothing here hears of it any more.
//   - They do not say why a connection could not be opened. A request over HTTP to the same place finds out what can be found out, and
//     DialError says it.
//
// All of it runs on one thread. Exported functions are called when every goroutine waits, and none waits with a lock held.
package socket
