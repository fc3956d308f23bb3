// Package e2e holds the tests that run the program that users run: hubs and devices in processes of their own,
// between them a network that package proxy spoils.
//
//	device ─┐
//	device ─┼─▶ proxy ─▶ vsync serve        killed, cut off, filled up, started again
//	device ─┘
//
//	program/   the program as a process, and as a hub
//	proxy/     connections, treated badly
//	ledger/    what became of each write
//	judge/     what is in a hub's files
//
// The program is the one that VSYNC_BIN names; without it, one is built. TestThroughCuts prints its seed, and runs
// again with it:
//
//	go test ./edge/e2e -run TestThroughCuts -args -seed 7 -for 1m
//
// The same tests run with the hub of edge/worker in workerd, and with those that only that hub has; ./build.sh says how:
//
//	go test -tags workerd ./edge/e2e -run 'TestScenarios|TestThroughCuts|TestHTTP|TestAttack|TestKills|TestWorker' -args -host worker
//
// TestKills kills it 20 times; -args -kills 1000 more often.
package e2e
