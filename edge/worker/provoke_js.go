//go:build provoke

package main

import (
	"vsync/core/wire"
)

// This file is in no Worker but that of the tests: a ping with this number ends the program.
const deadly = 0xdead

func init() {
	provoke = func(frame []byte) {
		if m, err := wire.DecodeUp(frame); err == nil {
			if ping, is := m.(*wire.Ping); is && ping.N == deadly {
				panic("provoked by a ping")
			}
		}
	}
}
