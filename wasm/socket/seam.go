//go:build js

package socket

import (
	"unsafe"

	"vsync/core/wire"
)

// What socket.ts does. None of it calls back into Go.

// open makes a WebSocket; the answer is an opened, a refused, or one of the results below at once.
//
//go:wasmimport vsync_socket open
func jsOpen(id int32, url, protocol string, maxMessage, highWater, lowWater int32) openResult

// send sends one message, as text if that is not 0, and returns how much is unsent; -1 where nothing can be sent any more, which a
// closed will explain.
//
//go:wasmimport vsync_socket send
func jsSend(id int32, bytes unsafe.Pointer, length, text int32) int32

// close begins to end the connection; a closed follows when it is done.
//
//go:wasmimport vsync_socket close
func jsClose(id int32, code int32, reason string)

// forget says that nothing of this connection is to be told any more.
//
//go:wasmimport vsync_socket forget
func jsForget(id int32)

// count returns how many WebSockets the browser still has, forgotten ones too.
//
//go:wasmimport vsync_socket count
func jsCount() int32

type openResult int32

const (
	openStarted  openResult = 0
	openSyntax   openResult = 1 // the browser cannot read the address
	openInsecure openResult = 2 // ws: from a page that came over https:
	openFailed   openResult = 3 // anything else it threw
)

// Open returns how many WebSockets there are in the browser, those too that were closed and whose peer has not answered.
func Open() int { return int(jsCount()) }

// conns by the number that socket.ts knows them by.
var (
	conns  = map[int32]*Conn{}
	lastID int32
)

// exported finds the connection that an exported function is about, nil if it is over, and keeps a panic in it from ending the
// program: the connection ends in its place.
func exported(id int32, f func(c *Conn)) {
	c := conns[id]
	if c == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			c.end(fault(p))
		}
	}()
	f(c)
}

// room returns where the next message is to be put, 0 if nobody wants it.
//
//go:wasmexport vsync_socket_room
func exportRoom(id, length int32) (place uint32) {
	exported(id, func(c *Conn) { place = addressOf(c.makeRoom(int(length))) })
	return place
}

// words returns where the text of the event that follows is to be put.
//
//go:wasmexport vsync_socket_words
func exportWords(id, length int32) (place uint32) {
	exported(id, func(c *Conn) {
		c.words = make([]byte, length)
		place = addressOf(c.words)
	})
	return place
}

// addressOf returns where bytes stand in linear memory. None have no address that could be written to, which is as well.
func addressOf(bytes []byte) uint32 {
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(bytes))))
}

// A message is in the room.
//
//go:wasmexport vsync_socket_message
func exportMessage(id int32) { exported(id, (*Conn).takeMessage) }

// A text message came; its beginning is among the words.
//
//go:wasmexport vsync_socket_text
func exportText(id int32) { exported(id, (*Conn).takeText) }

// A message over the limit came.
//
//go:wasmexport vsync_socket_large
func exportLarge(id int32) {
	exported(id, func(c *Conn) { c.fail(wire.ErrTooLarge, wire.CloseTooLarge) })
}

// So much is unsent: not more than lowWater.
//
//go:wasmexport vsync_socket_drained
func exportDrained(id, unsent int32) { exported(id, func(c *Conn) { c.drained(int(unsent)) }) }

// The connection is open; agreed says whether on the subprotocol.
//
//go:wasmexport vsync_socket_opened
func exportOpened(id, agreed int32) { exported(id, func(c *Conn) { c.opened(agreed != 0) }) }

// The connection could not be opened. status is what a request over HTTP got, with the text of the answer among the words, or one
// of the negative ones in dial.go.
//
//go:wasmexport vsync_socket_refused
func exportRefused(id, status int32) { exported(id, func(c *Conn) { c.refused(int(status)) }) }

// The connection has ended; the reason is among the words.
//
//go:wasmexport vsync_socket_closed
func exportClosed(id, code int32) { exported(id, func(c *Conn) { c.gone(int(code)) }) }
