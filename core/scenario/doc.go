// Package scenario runs scripts: devices and a hub that write, meet, part, die and come back, and what each of them then has to
// show. Whoever can read can write one.
//
//	# Two devices write the same note; both sides are there until somebody writes over both.
//	device a b
//	a put notes/x "base"
//	sync a b
//	a put notes/x "from a"
//	b put notes/x "from b"
//	sync a b
//	expect a b hub notes/x "from b" conflict leaves a:2 b:1
//	expect a base notes/x a:1
//
// A script begins with a comment that says in a sentence what it shows. Each line then is one step; the rest of a line after " # " is
// a comment too. There is always one hub, named hub, and it runs. In what follows A and B are names of devices, [a-z]+; KEY is
// collection/id; VALUE is JSON, or JSON*N for a text repeated N times; V names a version, device:generation. A device that had to
// take a new id goes by its name with a ' from then on: of a, that wrote two batches, and one more after that, it is a:1 a:2 a':1.
// Every device's clock goes on by one at every look, so that of two writes the one that stands later in the script is the later one.
//
//	only WORLD…                    other worlds pass this script over: memory, socket, indexeddb
//	device A…                      devices with nothing on their disks; offline
//
//	A put KEY VALUE [CONDITION]    CONDITION:  seeing V…  it replaces these alone    seeing nothing  it replaces nothing
//	A del KEY [CONDITION]                      if V…      these are all the leaves   if nothing      there is no object yet
//	A batch OP ; OP …              put and del as above, all or nothing; "batch nothing" has none
//	A strict put|del|batch …       as these, and it survives a power cut
//	A fill COLLECTION N VALUE      one batch of N objects 0000, 0001 …
//	A pick KEY V                   resolves a conflict with what a version of the history says
//	A retry V | A dismiss V        a problem
//	A rules COLLECTION N RULES     writes rules of version N, if they are newer. RULES: "latest", "keep", or {"path": "counter", …}; see
//	                               package merge. They are in force from their place in the feed on
//	A checkpoint | hub checkpoint  writes pages
//	A watch W from FROM            an application's watch, W a name like A. FROM: start; now; W2, where that watch is now; a marker "text"
//	W stop                         the application goes away
//	refused CODE STEP              a step of A that fails with this code; CHANGED where a condition does not hold
//
//	connect A…   offline A…        a device stays online from then on, or leaves
//	sync A…                        each comes online for as long as it needs to send all it has, one after the other; then for as
//	                               long as it needs to take all there is. Who was online stays so
//	cut A…                         the connection of A breaks; it comes back by itself
//	break A after N down|up        the next connection of A breaks after N frames, and there is no other until heal A
//	garble A after N down|up       the frame after the next N of A is garbage on its way; those behind it are not
//	spoil V                        on its way to the hub, this batch is damaged, every time
//	forge A as B                   until heal A, all that A writes goes up in the name of B, as if B had written it
//	clock A ±N                     A's clock jumps, in ms
//
//	crash A…|hub                   the process dies, and the next one starts
//	close A…|hub open A…|hub       it ends in good order; it starts
//	powercut A N                   dies as crash does, and of what was written relaxed the last N commits are lost (memory alone)
//	full A       room A            nothing more fits on A's disk; it fits again
//	clone A as B                   B is a new device with a copy of A's disk
//	backup A     restore A         keeps a copy of A's disk; puts it back
//	lose A                         A's disk is empty
//
//	backup hub   restore hub       keeps a copy of the hub's disk; the hub dies, and starts with the copy: what it had taken since is lost
//	empty hub                      the hub dies, and starts with an empty disk, and the key that it had
//	wipe hub                       the hub dies, and another one starts in its place
//
// A device that is online when the hub loses data may not have noticed yet in the next step; sync waits until it has.
//
//	expect WHO… KEY VALUE [conflict] [leaves V…]     what they show; no conflict where it does not say so. VALUE none: no object
//	expect WHO… count COLLECTION N                   objects
//	expect WHO… history KEY V…                       newest first as WHO took them up; -V a deletion
//	expect WHO… rules COLLECTION N                   the version of the rules in force; 0: none
//	expect WHO… base KEY V|none                      the merge base
//	expect WHO… vector A=N…                          all generations that WHO holds
//	expect WHO… marker N                             place in the feed; of the hub, its end
//	expect WHO… same                                 all of them show the same, bit for bit
//	expect A… pending N                              own batches that the feed has not passed
//	expect A… at V                                   device id and last generation
//	expect A… problem V CODE|none                    what the hub refused; "problems none" for no problem at all
//	expect A… synced V                               waits until the feed has passed this own batch
//	expect A… phase PHASE [CODE]                     waits until sync stands so; see watcher.Phase
//	expect A… broken                                 waits until what break or garble says has happened
//	expect W initial|reset KEY…                      the watch's next event: what is there
//	expect W V KEY…                                  the watch's next event: a batch with what it changed
//	expect W end CODE                                the watch's end
//
// WHO is a device or hub. After the last step every device that is open is closed, opened and checked as a whole.
//
//	script ─▶ Parse ─▶ steps ─▶ Run ─┬─ core.Replica, watcher.Watcher of each device
//	                                 └─ World: disks, the line to the hub, the hub
//
// The scripts of this package are scripts/*.txt; INDEX.txt says which behaviour each holds, and which tests hold the
// others. They are told in memory by this package's tests (in a browser too), with the program as the hub and real sockets by
// edge/e2e, and with the browser's databases by wasm/idb. One of them alone:
//
//	go test ./core/scenario -run TestInMemory/fork
//	go test ./edge/e2e -run TestScenarios/fork
//
//	lex.go      a line ▶ words
//	parse.go    words ▶ steps
//	expect.go   words ▶ expectations
//	run.go      a script in a world
//	device.go   processes, disks and copies of devices
//	show.go     what actors show, as text
//	line.go     connections that break, and batches that are damaged
//	town.go     the world in this process
package scenario
