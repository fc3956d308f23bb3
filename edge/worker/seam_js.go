package main

import (
	"runtime"
	"unsafe"
)

// What object.ts does. None of it calls back into Go. A socket is named by a number that object.ts has given it; one that is gone
// already is passed over.

// send sends one frame; one of no length is the same as the last one that was sent.
//
//go:wasmimport vsync_object send
func jsSend(socket int32, frame unsafe.Pointer, length int32)

// close closes a socket.
//
//go:wasmimport vsync_object close
func jsClose(socket int32, code int32, reason string)

// attach keeps bytes with a socket, for as long as it is open.
//
//go:wasmimport vsync_object attach
func jsAttach(socket int32, bytes unsafe.Pointer, length int32)

// settle says that something of a connection has changed: vsync_settle is to be called soon, and before the object sleeps.
//
//go:wasmimport vsync_object settle
func jsSettle()

// wake asks for vsync_alarm in so many milliseconds, whether the object sleeps or not.
//
//go:wasmimport vsync_object wake
func jsWake(millis int32)

// beaten returns when the platform last answered a beat of a socket, in ms since 1970; 0: never.
//
//go:wasmimport vsync_object beaten
func jsBeaten(socket int32) float64

// tell prints a line in the object's log, if it has one.
//
//go:wasmimport vsync_object tell
func jsTell(line string)

// room is where object.ts puts what it says next; it is used again for the next.
var room []byte

// keptRoom is how much of it is kept: most frames fit. The linear memory never shrinks.
const keptRoom = 64 << 10

//go:wasmexport vsync_room
func exportRoom(length int32) uint32 {
	defer ward()
	if cap(room) < int(length) || cap(room) > keptRoom {
		room = make([]byte, max(int(length), keptRoom))
	}
	room = room[:length]
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(room))))
}

// open opens the database; the room holds its name, the hub's key, and the keys of tokens, if there are any.
//
//go:wasmexport vsync_open
func exportOpen(nameLength, keyLength int32) {
	defer ward()
	said := append([]byte(nil), room...)
	key, keys := said[nameLength:nameLength+keyLength], said[nameLength+keyLength:]
	start(string(said[:nameLength]), key, keys)
}

// state tells whether the database is opening (0), open (1) or cannot be opened (2): sockets are told why then.
//
//go:wasmexport vsync_state
func exportState() int32 {
	defer ward()
	return state()
}

// connect takes a new socket.
//
//go:wasmexport vsync_connect
func exportConnect(socket int32) {
	defer ward()
	connect(socket)
}

// thaw takes a socket that was there before the object slept; the room holds what was attached to it.
//
//go:wasmexport vsync_thaw
func exportThaw(socket int32) {
	defer ward()
	thaw(socket, room)
}

// frame takes a frame from the room.
//
//go:wasmexport vsync_frame
func exportFrame(socket int32) {
	defer ward()
	take(socket, append([]byte(nil), room...)) // the replica may keep it
}

// gone says that a socket is closed.
//
//go:wasmexport vsync_gone
func exportGone(socket int32) {
	defer ward()
	gone(socket)
}

// settle attaches to sockets what is to be known of them after a sleep.
//
//go:wasmexport vsync_settle
func exportSettle() {
	defer ward()
	settle()
}

// alarm does what wake asked for.
//
//go:wasmexport vsync_alarm
func exportAlarm() {
	defer ward()
	go alarm()
}

// memory returns the bytes that Go has taken, for the tests of its bounds.
//
//go:wasmexport vsync_memory
func exportMemory() uint32 {
	defer ward()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return uint32(m.Sys)
}

func address(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }
