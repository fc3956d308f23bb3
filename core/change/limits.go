package change

// Every limit of the nouns that travel, in one table, each with its reason. Encoders refuse to pass
// them and decoders refuse before they allocate.
const (
	// MaxCollection is the longest collection name in bytes of UTF-8: names are repeated in every
	// key of the store, so they stay short.
	MaxCollection = 64

	// MaxID is the longest object id in bytes of UTF-8: room for a path or a URL, and a key
	// (collection, NUL, id) still fits a row key of the store beside its table prefix.
	MaxID = 512

	// MaxKey is the longest encoded key: collection, NUL, id.
	MaxKey = MaxCollection + 1 + MaxID

	// MaxParents bounds the parents of a mutation and the effective parents that the hub puts in
	// their place. An object never has more leaves than this, so a write that has seen all of them
	// still fits.
	MaxParents = 64

	// MaxNote is the longest note of a batch in bytes of UTF-8: a label for people, not a payload.
	MaxNote = 1024

	// MaxValue is the largest value in bytes of msgpack; larger things are files. It bounds the
	// changes of a mutation under field rules too.
	MaxValue = 1 << 20

	// MaxMutations bounds the objects of one atomic write, and with it every per-batch table.
	MaxMutations = 20_000

	// MaxBatch is the largest batch in bytes, header included: it is held in memory whole while it
	// is checked, on a device and at a hub that shares 128 MB among many databases.
	MaxBatch = 8 << 20

	// MaxPartial is the largest partial batch: each frame that is present costs an index of at most
	// three bytes more than it did in the whole batch.
	MaxPartial = MaxBatch + 3 + 3*MaxMutations

	// MaxDepth bounds the nesting of arrays and maps in a value, so that recursive readers, here and
	// in JavaScript, have a bounded stack.
	MaxDepth = 64

	// MaxNumber bounds every counter that travels (generation, stamp, epoch, sequence, nonce): the
	// largest integer that a JavaScript number holds exactly. At a million a second it lasts 285
	// years.
	MaxNumber = 1<<53 - 1

	// MaxAnnotation is the largest annotation of a feed entry in bytes. Effective parents of a whole
	// batch fit unless it names very many voided versions; such a batch is itself refused by the hub.
	MaxAnnotation = 4 << 20

	// MaxReasonCode and MaxReasonMessage bound the reason of a void, in bytes: a word for programs
	// and a sentence for people.
	MaxReasonCode    = 32
	MaxReasonMessage = 1024

	// MaxEntry is the largest feed entry: format, kind, length of the annotation, MAC and the two
	// parts that have limits of their own.
	MaxEntry = 2 + 4 + MaxAnnotation + HashSize + MaxPartial

	// MaxMarker is the longest encoded marker: format, two uvarints, two hashes.
	MaxMarker = 1 + 8 + 8 + 2*HashSize

	// maxDateMillis is the furthest date from 1970, either way, that a JavaScript Date can hold.
	maxDateMillis = 8_640_000_000_000_000

	// maxSafeInteger is the largest magnitude at which a number that is an integer is written as one.
	maxSafeInteger = MaxNumber
)
