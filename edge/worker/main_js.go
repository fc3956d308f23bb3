// Command worker is the hub of one database in a Durable Object of Cloudflare Workers: the same hub as everywhere, package edge, on
// the object's own SQLite. One instance of it runs for each object, from its waking to its sleep.
//
//	device ◀─ WebSocket ─▶ object.ts ─── frame ──▶ object.go ─▶ edge.Conn ─▶ edge.Hub ─▶ core ─▶ rows ─▶ rows.ts ─▶ SQLite
//	                           ▲ └─ attachment ─▶ thaw                │
//	                           └──── send, close, attach ◀────────────┘
//
// The shell, object.ts, decodes no frame and has no state of the hub's: it moves bytes. Whatever comes is given to an exported function,
// which wakes a goroutine; then Go runs until all of its goroutines wait. Storage answers at once, so that is the end of all work that
// the event has caused: when an event is over, its batches are stored and its frames are sent, and the platform holds them back until
// what was stored is on disks.
//
//	object_js.go  opening, tokens, connections, frames
//	api_js.go     the API for services, package httpapi, through syumai/workers
//	sleep_js.go   what is kept of a connection while the object sleeps, ticks and alarms
//	spawn_js.go   goroutines that are used again
//	digest_js.go  SHA-256 by the platform
//	calm_js.go    nothing; in the Worker of the tests provoke_js.go, which has the program end where they want it
//	seam_js.go    what JavaScript calls, and what it is asked to do
//	rows/         the store
//	rows.ts digest.ts object.ts front.ts   the other half
package main

import (
	"fmt"
	"os"
	"runtime/debug"
)

func main() { select {} }

// ward ends the program where an exported function panics: JavaScript would go on with garbage otherwise. The object ends with it.
func ward() {
	if r := recover(); r != nil {
		fmt.Fprintf(os.Stderr, "vsync: %v\n%s", r, debug.Stack())
		os.Exit(2)
	}
}
