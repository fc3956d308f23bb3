package host

import "time"

// Every bound of the server, each with its reason. Those of one database are in package edge.
const (
	// defaultConnections bounds the sockets: at about 40 KB each, 400 MB.
	defaultConnections = 10_000

	// defaultOpen bounds the open databases: each has caches of a few MB, and four files.
	defaultOpen = 128

	// defaultIdle is how long a database stays open after its last connection: opening it again costs
	// some ms, and devices come back.
	defaultIdle = time.Minute

	// tickEvery is how often connections are looked after; what they wait for is counted in seconds.
	tickEvery = time.Second

	// lastWord is how long a connection that is over may take to write what is left.
	lastWord = 2 * time.Second

	// headerTime and idleTime bound what a client costs that says nothing; maxHeader has room for the
	// largest token.
	headerTime = 10 * time.Second
	idleTime   = time.Minute
	maxHeader  = 32 << 10

	// maxListed bounds the databases that health lists, and maxSeen the devices that it counts for each.
	maxListed = 1000
	maxSeen   = 10_000
)
