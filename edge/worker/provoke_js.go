//go:build provoke

package main

import (
	"syscall/js"

	"vsync/core/wire"
)

// This file is in no Worker but that of the tests, in which a ping names the place where the program ends: deadly and its number. The first
// ends it there, the others when they are come to next. What is provoked is kept where it outlives the object.
const deadly = 0xdead00

var places = []string{"ping", "room", "start", "open", "state", "connect", "thaw", "frame", "late", "gone", "settle", "body", "wrote", "alarm", "request"}

func provokedBy(frame []byte) {
	m, err := wire.DecodeUp(frame)
	ping, is := m.(*wire.Ping)
	if err != nil || !is || ping.N < deadly || ping.N >= deadly+uint64(len(places)) {
		return
	}
	if ping.N == deadly {
		panic("provoked: ping")
	}
	js.Global().Set("provoked "+object.name, places[ping.N-deadly])
}

func provoke(place string) {
	if at := "provoked " + object.name; js.Global().Get(at).Equal(js.ValueOf(place)) {
		js.Global().Delete(at)
		panic("provoked: " + place)
	}
}
