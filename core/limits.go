package core

// Limits of the replica. Those of what travels are in core/change and core/wire.
const (
	// groupBytes is how much waiting work goes into one commit: enough to spread a disk's sync over it, little enough that
	// the first of the group does not wait long for the last.
	groupBytes = 1 << 20
	// groupRequests bounds a commit's requests for the same reason.
	groupRequests = 4096
	// defaultCheckpointBytes is the log after which pages are written. Replay at opening is bounded by about twice this.
	defaultCheckpointBytes = 4 << 20
	// defaultStepBytes is what one checkpoint step writes: a write that comes meanwhile waits for no more than this.
	defaultStepBytes = 1 << 20
	// roomBytes bounds what pieces of a commit are cut from at once: the last of them keeps it in memory.
	roomBytes = 16 << 10
	// rowOverhead is about what an object's row has beside its value, with one version.
	rowOverhead = 56
	// entryOverhead is what an entry of the feed has at most beside its batch, where the annotation is a plain one.
	entryOverhead = 48
	// spareEntries bounds the lists of a commit that are kept for the next: as many as dense frames fill.
	spareEntries = 2048
	// heldFactor times the checkpoint bytes is what may stand in memory before commits wait for more of the checkpoint than one step.
	heldFactor = 4
	// forceFactor times the checkpoint bytes is how long a checkpoint waits for readers of snapshots, so that memory stays bounded.
	forceFactor = 8
	// helloHashes is how many of its unsent generations a device names in one hello. The first names few: mostly the hub's last one tells that
	// both went the same way, and over a line that breaks often hellos are many.
	helloHashes = 4096
	firstHashes = 64
	// initialChunk is how many objects one initial watch event carries.
	initialChunk = 1000
	// allowedSkew is how far, in ms, a batch's stamp may lie after the hub's time of acceptance.
	allowedSkew = 60_000
	// maxSeen bounds the versions that a caller names as seen: as many as an object has leaves.
	maxSeen = 64
	// maxAliases bounds the ids that a replica gives up: they stand in the superblock, which is one row.
	maxAliases = 1000
	// maxTabs bounds the tabs whose nonces are known, those that wrote last: more than a browser has open of one page. They stand in
	// the superblock too, with 42 bytes each.
	maxTabs = 64
	// maxServed is how many of a subject's writes a hub knows by their nonces, so that asking again does no harm: a service asks again
	// at once, or after a restart. maxServices bounds the subjects of which they are held in memory; others' are read again from the log.
	maxServed   = 1000
	maxServices = 64
	// maxRenames bounds the re-entries behind one another under which a batch is looked for that comes back to a hub that has others
	// under its names: as many copies of one storage went their own ways at the same place.
	maxRenames = 16
	// maxTrials bounds the batches, one a device, that are noted while a hub's engine may die at them: they are rare, and stand in
	// the superblock.
	maxTrials = 64
	// maxTrail bounds the places that a device names to a hub that does not know its marker: enough to halve the way back to the
	// beginning of any feed.
	maxTrail = 64
	// maxEpochStep bounds how far a feed's epoch grows at once: a hub put back from an old copy has missed fewer losses.
	maxEpochStep = 1 << 20
	// maxRules is how many bytes the rules of all collections have together: they stand in the superblock, with their authors.
	maxRules = 16 << 10
	// maxKnown bounds the batches that a commit keeps which folds own unsent mutations again: they are read from the log, each for many
	// objects.
	maxKnown = 256
	// maxFolds bounds the own unsent mutations that are folded again in one commit so that each of its events shows what was there behind
	// it: a few milliseconds. Beyond that an object's last event shows it, and those before what was there before.
	maxFolds = 1024
	// pendingScan bounds what one page of unsent batches holds, in batches, however small they are.
	pendingScan = 1024
)
