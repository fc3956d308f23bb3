// Command wasm is the engine of a browser: it runs in a worker, keeps a database in IndexedDB and serves it to pages.
//
//	page ◀─ MessagePort ─▶ pages.ts ─▶ pages_js.go ─▶ engine ─┬─▶ core ─▶ idb ─▶ idb.ts ─▶ IndexedDB
//	                                                          └─▶ watcher ─▶ socket ─▶ socket.ts ─▶ WebSocket
//
// web/src/worker.ts starts it. Package port says what pages and engine say to each other.
package main

import (
	"runtime"
	"syscall"

	"vsync/core/fmt"
	"vsync/wasm/engine"
	"vsync/wasm/socket"
)

func main() {
	pages.open = map[int32]*page{}
	end := func() {
		flushPages()
		syscall.Exit(anew)
	}
	pages.engine = engine.New(engine.Config{Storage: &storage{}, Dial: socket.Dial, Clock: clocks, Rand: random{}, End: end})
	select {}
}

// anew is the code by which the program asks for another worker to follow its own: that one's script may be of a newer build, and has
// nothing under way in the storage. web/src/worker.ts knows it.
const anew = 3

// maxStack bounds what is printed of a program that has failed.
const maxStack = 64 << 10

// ward ends the program where an exported function panics: JavaScript would go on with garbage otherwise.
func ward() {
	if r := recover(); r != nil {
		stack := make([]byte, maxStack)
		print("vsync: ", fmt.Sprint(r), "\n", string(stack[:runtime.Stack(stack, false)]))
		syscall.Exit(2)
	}
}
