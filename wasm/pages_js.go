package main

import (
	"sync"
	"unsafe"

	"vsync/wasm/engine"
)

// The other half of these is pages.ts.

//go:wasmimport vsync_pages due
func pagesDue(page int32)

//go:wasmimport vsync_pages post
func pagesPost(page int32, data unsafe.Pointer, size int32)

// postAt is the size from which a packet is posted at once, and which it does not pass unless a frame does: a page reads a packet in one
// task, which is to end within a few ms. keepAt is the one up to which its buffer is used again.
const (
	postAt = 60_000
	keepAt = 1 << 20
)

// page is a page at the other end of a MessagePort.
type page struct {
	id   int32
	port *engine.Port
	out  []byte
}

// pages are the pages, by the numbers that JavaScript gives them.
var pages struct {
	sync.Mutex
	engine *engine.Engine
	open   map[int32]*page
	inbox  []byte
}

// send gathers frames. They are posted when JavaScript's turn ends.
func (p *page) send(frame []byte) {
	pages.Lock()
	defer pages.Unlock()
	if pages.open[p.id] != p {
		return
	}
	if len(p.out)+len(frame) > postAt {
		p.post()
	}
	if len(p.out) == 0 && len(frame) < postAt {
		pagesDue(p.id)
	}
	if p.out = append(p.out, frame...); len(p.out) >= postAt {
		p.post()
	}
}

func (p *page) post() {
	if len(p.out) == 0 {
		return
	}
	pagesPost(p.id, unsafe.Pointer(unsafe.SliceData(p.out)), int32(len(p.out)))
	if p.out = p.out[:0]; cap(p.out) > keepAt {
		p.out = nil
	}
}

// flushPages posts what was to be posted when JavaScript's turn ends.
func flushPages() {
	pages.Lock()
	defer pages.Unlock()
	for _, p := range pages.open {
		p.post()
	}
}

//go:wasmexport vsync_pages_open
func pagesOpen(id int32) {
	defer ward()
	p := &page{id: id}
	pages.Lock()
	defer pages.Unlock()
	pages.open[id] = p
	p.port = pages.engine.Attach(p.send)
}

// pagesRoom returns where the next packet is to be put.
//
//go:wasmexport vsync_pages_room
func pagesRoom(size int32) unsafe.Pointer {
	defer ward()
	pages.Lock()
	defer pages.Unlock()
	pages.inbox = make([]byte, max(size, 1))
	return unsafe.Pointer(unsafe.SliceData(pages.inbox))
}

//go:wasmexport vsync_pages_receive
func pagesReceive(id, size int32) {
	defer ward()
	pages.Lock()
	defer pages.Unlock()
	packet := pages.inbox[:size]
	pages.inbox = nil
	if p := pages.open[id]; p != nil {
		p.port.Receive(packet)
	}
}

//go:wasmexport vsync_pages_flush
func pagesFlush(id int32) {
	defer ward()
	pages.Lock()
	defer pages.Unlock()
	if p := pages.open[id]; p != nil {
		p.post()
	}
}

//go:wasmexport vsync_pages_gone
func pagesGone(id int32) {
	defer ward()
	pages.Lock()
	defer pages.Unlock()
	if p := pages.open[id]; p != nil {
		delete(pages.open, id)
		p.port.Gone()
	}
}

//go:wasmexport vsync_pages_online
func pagesOnline() {
	defer ward()
	go pages.engine.Online()
}
