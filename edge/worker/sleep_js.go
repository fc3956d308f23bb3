package main

import (
	"context"
	"fmt"
	"time"

	"vsync/edge"
)

const (
	// tickEvery is how often connections are looked after while frames come.
	tickEvery = uint64(1000)
	// quiet is how long nothing may have been stored before a checkpoint is written that only makes the next waking shorter.
	quiet = 5 * time.Second
	// idleBytes is the log from which that is worth its rows, whether it was written in this waking or before: replaying so much takes
	// about 2 ms.
	idleBytes = 64 << 10
	// lookAfter is when connections are looked after that may be silent or slow, while no frame comes.
	lookAfter = 10 * time.Second
)

// rest is what of the object's life has to do with its sleep.
var rest struct {
	ticked  uint64 // when all connections were looked after last
	settles bool   // vsync_settle was asked for
	alarm   uint64 // for when vsync_alarm was asked for, ms since 1970; 0: it was not, or an object before has forgotten
	logged  int64  // bytes that this object has written to the log, when stored was set
	stored  uint64 // when logged was seen to have grown
}

// thaw goes on with a socket that was there before the object slept.
func thaw(id int32, frozen []byte) {
	s := &socket{id: id, kept: string(frozen)}
	if object.failed != nil {
		s.turnAway(object.failed)
		return
	}
	c, err := object.hub.Thaw(now(), edge.Peer{Wake: s.wake}, frozen)
	if err != nil {
		c = object.hub.Connect(now(), edge.Peer{Wake: s.wake})
		c.Close()
	}
	s.enter(c)
}

// touch notes that what is to be kept of a socket has changed.
func (s *socket) touch() {
	s.changed = true
	changed()
}

func changed() {
	if !rest.settles {
		rest.settles = true
		jsSettle()
	}
}

// settle attaches to sockets what is to be known of them after a sleep.
func settle() {
	rest.settles = false
	for _, s := range object.sockets {
		if !s.changed || s.conn == nil {
			continue
		}
		s.changed = false
		frozen := s.conn.Freeze()
		if string(frozen) != s.kept {
			s.kept = string(frozen)
			jsAttach(s.id, address(frozen), int32(len(frozen)))
		}
	}
	arm()
}

// tick looks after all connections, every now and then.
func tick() {
	if at := now(); object.hub != nil && (at >= rest.ticked+tickEvery || at < rest.ticked) {
		rest.ticked = at
		lookAfterAll(at)
	}
}

// lookAfterAll finds who is silent or slow. The beats of devices have woken nobody here.
func lookAfterAll(at uint64) {
	for _, s := range object.sockets {
		if beat := jsBeaten(s.id); s.conn != nil && beat > 0 {
			s.conn.Heard(uint64(beat))
		}
	}
	object.hub.Tick(at)
}

// arm asks for an alarm, if there is something that has to be done without a frame: the earliest. There is one alarm an object, and each
// that is set costs a row; one that comes too early is set again.
func arm() {
	if object.hub == nil {
		return
	}
	note()
	at, stats := now(), object.hub.Stats()
	next := object.hub.Expires()
	if object.replica.State().LogBehind >= idleBytes {
		next = earlier(next, at+uint64(quiet.Milliseconds()))
	}
	if stats.Behind > 0 || stats.Streaming < stats.Connections {
		next = earlier(next, at+uint64(lookAfter.Milliseconds()))
	}
	if next == 0 || rest.alarm != 0 && rest.alarm <= next {
		return
	}
	rest.alarm = max(next, at+tickEvery)
	jsWake(float64(rest.alarm))
}

// earlier of two times, of which 0 is none.
func earlier(a, b uint64) uint64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// note sees whether the log has grown.
func note() {
	if bytes := object.replica.State().LogBytes; bytes != rest.logged {
		rest.logged, rest.stored = bytes, now()
	}
}

// alarm does what waits for time to pass.
func alarm() {
	rest.alarm = 0
	if object.hub == nil {
		return
	}
	lookAfterAll(now())
	note()
	if due := object.replica.State().LogBehind; due >= idleBytes && now() >= rest.stored+uint64(quiet.Milliseconds()) {
		if done, err := object.replica.TryCheckpoint(context.Background()); err == nil && done {
			jsTell(fmt.Sprintf("has a checkpoint behind %d bytes of its log", due))
		}
	}
	arm()
	check()
}
