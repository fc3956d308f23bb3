// Package sim runs whole systems of devices and a hub in one goroutine, with one virtual clock and one source of
// randomness: a seed replays a history exactly.
//
//	              ┌─ device: core.Replica ─ Faulty ─ Memory          watcher.Session, watcher.Course
//	seed ─▶ Sim ──┼─ device …                  │                            │
//	              ├─ network: connections that delay, stall, are cut, stay half open, bring garbage
//	              ├─ rogue: bytes that no device would send                 │
//	              └─ hub:    core.Replica ─ Faulty ─ Memory          edge.Hub, edge.Conn
//	                              │              └─ copies that are put back
//	                              └─ models: the feed, and each that the hub lost, folded by other code than the engine's
//
// A history is some hundred steps, each drawn from the seed: a write, a read, a frame that arrives, a crash, a power cut, a copy
// of a store that comes to life. All that is drawn is noted as a list of choices, by which a failing history is shrunk, and kept
// in testdata; READING.md says how to read one. classes.go lists what can happen, and a test holds that all of it does. Which of these can happen at all is drawn first, so that histories differ in kind. Then
// all is healed: no faults, the network is up, and everything runs until nothing is left to do. What is checked:
//
//	1  what was confirmed is there after a crash; a power cut takes only the unsynced tail; what failed never shows
//	2  batches are whole in every scan, watch event and feed entry: some objects are only ever written together
//	3  a replica shows what the model makes of the feed up to its marker, with its unsent batches on top
//	4  every batch carries a note of its own; no note comes twice in the feed, whatever device id brings it
//	5  every value that was confirmed is found in the history, or among the problems; what the hub lost and a device still had is back
//	6  after healing, all is quiet within a bounded number of steps
//	7  nothing panics; damaged rows are reported as CORRUPT
//
// Seeds from ruledSeeds on live histories that have objects under field rules as well: see ruled.go. What these must show is folded from
// what applications did, by notes, and not from versions and changes, as the engine has it.
//
// Seeds that are 0 or 1 modulo 4 live histories in which applications end conflicts and ask again for what was not answered: see asked.go.
//
// Seeds with the bit hurtSeeds have histories in which the stores of devices are damaged while they are in use, or between two lives of a process:
// rows are flipped, cut, missing, swapped, older than they should be; and the device goes on with what is left. See hurt.go.
//
// A connection is cut between frames: a WebSocket gives a frame whole or not at all, so there is nothing of a part of one that either end
// could see. Split batches go in several frames, and are cut inside. That real sockets keep this where they are cut at any byte is what edge/e2e shows.
//
// The files: sim (steps and healing), plan (what can happen), choices, shrink, classes, node, late (a dead engine's last commit),
// hub, loss (what the hub forgets), hurt (what stores in use suffer), device, network, rogue, work (what applications do), dismissed (what they want to see no more), asked (how they end conflicts, and ask again), ruled (what they do to what merges), folded (what that gives), watching, model, check, sweep (every store operation of one workload
// fails in turn). Package mutants has defects that it must find, by seeds; by what stored histories have where seeds are too many.
package sim
