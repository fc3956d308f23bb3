//go:build js

package idb

import (
	"context"
	"math"
	"sync"
	"unsafe"

	"vsync/core/fmt"
	"vsync/core/store"
)

// What idb.ts is asked to do. It takes its copies before it returns, answers to id with vsync_idb_done from an event, and never calls
// back from inside.

//go:wasmimport vsync_idb open
func jsOpen(id int32, name unsafe.Pointer, length int32)

//go:wasmimport vsync_idb delete
func jsDelete(id int32, name unsafe.Pointer, length int32)

//go:wasmimport vsync_idb exists
func jsExists(id int32, name unsafe.Pointer, length int32)

//go:wasmimport vsync_idb cancel
func jsCancel(id int32)

// jsReopened answers when a connection that the browser has closed is open again.
//
//go:wasmimport vsync_idb reopened
func jsReopened(handle, id int32)

//go:wasmimport vsync_idb close
func jsClose(handle int32)

//go:wasmimport vsync_idb get
func jsGet(handle, id int32, key unsafe.Pointer, length int32)

//go:wasmimport vsync_idb scan
func jsScan(handle, id int32, packed unsafe.Pointer, length int32)

//go:wasmimport vsync_idb commit
func jsCommit(handle, id int32, packed unsafe.Pointer, length, strict int32)

// jsTake writes the answer that vsync_idb_done is just telling of. It can be called only inside that.
//
//go:wasmimport vsync_idb take
func jsTake(to unsafe.Pointer, length int32)

func textOf(s string) unsafe.Pointer { return unsafe.Pointer(unsafe.StringData(s)) }

// status is how a call ended, the same numbers as in idb.ts.
type status int32

const (
	done    status = iota // the answer is the bytes
	missing               // there is no such thing
	// From here on the bytes are the text of an error.
	failed
	noSpace
	gone
	taken
	unavailable
	newer
	corrupt
	cancelled
	broken // the browser has closed the connection: see reopen.go
)

// kinds are the errors that callers tell apart.
var kinds = map[status]error{
	failed: store.ErrIO, noSpace: store.ErrQuota, gone: store.ErrLost, taken: store.ErrLocked, unavailable: ErrUnavailable,
	newer: ErrVersion, corrupt: store.ErrCorrupt, cancelled: context.Canceled, broken: errBroken,
}

// call is one that is under way. What it ends with is there when ended has something.
type call struct {
	id    int32
	rows  bool // the answer is rows
	ended chan struct{}

	status status
	value  []byte
	found  []store.Row
	err    error
}

// The calls under way, and who wants to know of lost storage. An exported function may lock mu: it is never held where Go waits.
var (
	mu      sync.Mutex
	last    int32
	waiting = map[int32]*call{}
	losers  = map[int32]func(error){}
	scratch []byte // where the rows of a scan are taken to before they are separated
)

// maxScratch is how much of scratch is kept: steps of store.Each, of 1 MB, fit.
const maxScratch = 1<<20 + 256<<10

func begin() *call {
	c := &call{ended: make(chan struct{}, 1)}
	mu.Lock()
	defer mu.Unlock()
	for taken := true; taken; { // a number comes again after 2³¹ calls
		last = last%math.MaxInt32 + 1
		_, open := losers[last]
		taken = open || waiting[last] != nil
	}
	c.id = last
	waiting[c.id] = c
	return c
}

// await waits for the end of a read; when ctx ends before, nobody wants the answer any more.
func (c *call) await(ctx context.Context) error {
	select {
	case <-c.ended:
		return c.err
	case <-ctx.Done():
		mu.Lock()
		delete(waiting, c.id)
		mu.Unlock()
		return ctx.Err()
	}
}

// awaitOrCancel waits for the end of what takes a lock. When ctx ends before, it is undone, and that is awaited.
func (c *call) awaitOrCancel(ctx context.Context) error {
	select {
	case <-c.ended:
		return c.err
	case <-ctx.Done():
		jsCancel(c.id)
		<-c.ended
		if c.status == cancelled {
			return ctx.Err()
		}
		return c.err
	}
}

// end is told the outcome of a call, with the size of its answer.
func end(id int32, s status, size int) {
	mu.Lock()
	defer mu.Unlock()
	c := waiting[id]
	if c == nil {
		return // given up
	}
	delete(waiting, id)
	defer func() {
		if p := recover(); p != nil {
			c.err = fmt.Errorf("%w: %v", store.ErrIO, p)
		}
		c.ended <- struct{}{}
	}()
	c.status = s
	switch {
	case s == missing:
	case s != done:
		c.err = failure(s, string(take(make([]byte, size))))
	case c.rows:
		if cap(scratch) < size {
			scratch = make([]byte, size)
		}
		c.found, c.err = unpackRows(take(scratch[:size]))
		if cap(scratch) > maxScratch {
			scratch = nil
		}
	default:
		c.value = take(make([]byte, size))
	}
}

func take(to []byte) []byte {
	if len(to) > 0 {
		jsTake(unsafe.Pointer(unsafe.SliceData(to)), int32(len(to)))
	}
	return to
}

func failure(s status, text string) error {
	kind := kinds[s]
	if kind == nil {
		kind = store.ErrIO
	}
	return fmt.Errorf("%w: %s", kind, text)
}

// idbDone is called by idb.ts when a call has ended.
//
//go:wasmexport vsync_idb_done
func idbDone(id, s, size int32) { end(id, status(s), int(size)) }

// idbLost is called by idb.ts when the storage was taken away: gone, or newer.
//
//go:wasmexport vsync_idb_lost
func idbLost(handle, why int32) { tellLost(handle, status(why)) }

func tellLost(handle int32, why status) {
	mu.Lock()
	lost := losers[handle]
	delete(losers, handle)
	mu.Unlock()
	if lost != nil {
		go lost(kinds[why])
	}
}

func onLost(handle int32, lost func(error)) {
	mu.Lock()
	defer mu.Unlock()
	losers[handle] = lost
}

func forgetLost(handle int32) {
	mu.Lock()
	defer mu.Unlock()
	delete(losers, handle)
}
