package main

import "unsafe"

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

// wake asks for vsync_alarm at a time, in ms since 1970, whether the object sleeps or not.
//
//go:wasmimport vsync_object wake
func jsWake(at float64)

// beaten returns when the platform last answered a beat of a socket, in ms since 1970; 0: never.
//
//go:wasmimport vsync_object beaten
func jsBeaten(socket int32) float64

// tell prints a line in the object's log, if it has one.
//
//go:wasmimport vsync_object tell
func jsTell(line string)

// admitted says that a socket has shown its token, and is waited for no longer.
//
//go:wasmimport vsync_object admitted
func jsAdmitted(socket int32)

// made says that the database is opened, or made: its name is to be kept.
//
//go:wasmimport vsync_object made
func jsMade()

// body asks for the body of a subject's request, up to a length: vsync_body follows.
//
//go:wasmimport vsync_object body
func jsBody(request, most int32, subject string)

// piece sends a piece of the stream that answers a request: vsync_wrote follows.
//
//go:wasmimport vsync_object piece
func jsPiece(request int32, bytes unsafe.Pointer, length int32)

// served says that a request is answered, or all of its stream is sent.
//
//go:wasmimport vsync_object served
func jsServed(request int32)

// room is where object.ts puts what it says next; it is used again for the next, unless that has kept it.
var room []byte

const (
	// keptRoom is how much of it is kept at most. The linear memory never shrinks.
	keptRoom = 64 << 10
	// frameSlack is what a frame may leave of the room that it keeps, beside a quarter of its length.
	frameSlack = 256
)

//go:wasmexport vsync_room
func exportRoom(length int32) uint32 {
	defer ward()
	provoke("room")
	if cap(room) < int(length) || cap(room) > keptRoom {
		room = make([]byte, length)
	}
	room = room[:length]
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(room))))
}

// start begins; the room holds the database's name, the hub's key, and the keys of tokens, if there are any. Made: something is stored.
//
//go:wasmexport vsync_start
func exportStart(nameLength, keyLength, made int32) {
	defer ward()
	said := append([]byte(nil), room...)
	object.name = string(said[:nameLength])
	provoke("start")
	key, keys := said[nameLength:nameLength+keyLength], said[nameLength+keyLength:]
	start(key, keys, made != 0)
}

// open opens the database, or makes it.
//
//go:wasmexport vsync_open
func exportOpen() {
	defer ward()
	provoke("open")
	go begin()
}

// state tells whether the database is not open (0), open (1) or cannot be opened (2): sockets are told why then.
//
//go:wasmexport vsync_state
func exportState() int32 {
	defer ward()
	provoke("state")
	return state()
}

// connect takes a new socket.
//
//go:wasmexport vsync_connect
func exportConnect(socket int32) {
	defer ward()
	provoke("connect")
	connect(socket)
}

// thaw takes a socket that was there before the object slept; the room holds what was attached to it.
//
//go:wasmexport vsync_thaw
func exportThaw(socket int32) {
	defer ward()
	provoke("thaw")
	thaw(socket, room)
}

// frame takes a frame from the room.
//
//go:wasmexport vsync_frame
func exportFrame(socket int32) {
	defer ward()
	provoke("frame")
	frame := room[:len(room):len(room)]
	if cap(room) > len(room)+len(room)/4+frameSlack {
		frame = append([]byte(nil), room...)
	} else {
		room = nil // the frame has it: the replica may keep it
	}
	take(socket, frame)
}

// late says that a socket has had its time to show a token.
//
//go:wasmexport vsync_late
func exportLate(socket int32) {
	defer ward()
	provoke("late")
	late(socket)
}

// gone says that a socket is closed.
//
//go:wasmexport vsync_gone
func exportGone(socket int32) {
	defer ward()
	provoke("gone")
	gone(socket)
}

// settle attaches to sockets what is to be known of them after a sleep.
//
//go:wasmexport vsync_settle
func exportSettle() {
	defer ward()
	provoke("settle")
	settle()
}

// body gives a request its body, which the room holds; or else how is not 0.
//
//go:wasmexport vsync_body
func exportBody(request, how int32) {
	defer ward()
	provoke("body")
	bodyArrived(request, how, room)
}

// wrote tells whether a piece of a stream was taken (1), or nobody reads it (0).
//
//go:wasmexport vsync_wrote
func exportWrote(request, taken int32) {
	defer ward()
	provoke("wrote")
	pieceTaken(request, taken != 0)
}

// alarm does what wake asked for.
//
//go:wasmexport vsync_alarm
func exportAlarm() {
	defer ward()
	provoke("alarm")
	go alarm()
}

func address(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }
