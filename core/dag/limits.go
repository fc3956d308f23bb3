package dag

// Every limit of the walks, each with its reason.
const (
	// MaxWaiting bounds the versions that wait in a walk's heap, 4 MB or so: the width of one
	// object's graph. An object has at most 64 leaves and a version at most 64 parents, so what is
	// wider than this is made up to exhaust memory.
	MaxWaiting = 1 << 16

	// MaxAncestors bounds the versions that Ranked looks through, 24 MB; Walk has no such limit.
	MaxAncestors = 1 << 20

	// MaxMissing bounds the names of missing versions that a walk keeps; it counts the others.
	MaxMissing = 1 << 10
)
