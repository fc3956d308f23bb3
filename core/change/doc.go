// Package change holds the nouns that travel between replicas, their bytes and their hashes:
// devices, generations, versions, keys, batches, feed entries, markers, values.
//
// It does no IO, asks no clock and keeps no state. All integers are uvarints (LEB128, as
// encoding/binary) in their shortest form and at most 2^53-1, unless a width is given; all hashes
// are SHA-256 cut to 16 bytes; ‖ puts bytes one after the other. Everything has exactly one
// encoding: what a decoder here accepts, the encoder here writes.
//
// # Batch
//
// A batch is one atomic write. Its bytes are written once and travel unchanged.
//
//	batch    = header frames
//	header   = 0x01             format
//	           flags            bit 0: a note follows, bit 1: a nonce follows; others 0
//	           device       16  the writer; not zero
//	           gen              generation, 1 or more
//	           stamp            writer's clock, ms since 1970
//	           [nonce           tab 8 bytes, counter; not all zero]
//	           [note            length 1..1,024, UTF-8]
//	           colls            n, n × (length 1..64, name): collections, in order of first use
//	           devs             n, n × 16: devices named by parents, in order of first use
//	           count            mutations, 1..20,000
//	           size             bytes of all frames together
//	           body         16  hash of all frames
//	           hash         16  hash of (hash of this device's previous batch, or 16 zeros before
//	                            generation 1) ‖ all header bytes before this field
//	frames   = count × (length, mutation)
//	mutation = kind          1  bits 0-1: 0 put, 1 delete (2 and 3 reserved); bit 2: changes follow,
//	                            never in a delete; others 0
//	           coll             index into colls
//	           id               length 1..512, UTF-8
//	           parents          n ≤ 64, n × (index into devs, gen); ascending by (device, gen),
//	                            distinct, none of this device unless before this generation
//	           [changes         length, value]
//	           value            the rest: one value; nothing in a delete
//
// The previous hash is not stored, so a header proves its place in the device's chain:
//
//	zeros ─▶ hash of 1 ─▶ hash of 2 ─▶ hash of 3
//	           ▲            ▲            ▲
//	         header 1     header 2     header 3 ─▶ body ─▶ frames
//
// A reader with limited rights gets a partial batch: the same header, with format 0x02, and those
// mutations that he may read. Its header's hash, which is that of the header with format 0x01, is
// checked in the chain; its body cannot be. It is never pushed on. One with all its frames does not
// exist: that is the whole batch.
//
//	partial  = header (0x02), n < count, n × (index, ascending, length, mutation)
//
// # Feed entry
//
// A feed entry is a place in the hub's order: the batch's own bytes, untouched, beside what the hub
// says about it.
//
//	entry      = 0x01           format
//	             kind        1  1 batch, 2 void; others reserved
//	             ann            length, annotation
//	             mac        16  HMAC-SHA-256, cut to 16 bytes, by the hub's key, over
//	                            "vsync entry 1" ‖ lineage ‖ name
//	             body           the rest; kind 1: batch, whole or partial; kind 2: device 16, gen,
//	                            hash 16
//	annotation = flags          bit 0: stamp, bit 1: eparents, bit 2: reason; others 0
//	             accepted       hub's clock at acceptance, ms since 1970
//	             [stamp         effective stamp; not 0, and not the batch's own]
//	             [eparents      n ≥ 1, n × (index of the mutation, ascending, m ≤ 64,
//	                            m × (device 16, gen) ascending)]
//	             [reason        length 1..32, code of A-Z 0-9 _; length ≤ 1,024, UTF-8 message]
//	name       = kind 1 ‖ annotation ‖ device 16 ‖ gen, 8 bytes big-endian ‖ hash of the batch 16
//
// A void has a reason and nothing else; a batch never has one. The running hash of the feed after
// an entry is the hash of (running hash before it ‖ name): 16 zeros before the first.
//
// # Marker and key
//
//	marker = 0x01, epoch, seq, hash 16, scope 16      epoch 0 only if all is zero
//	key    = collection, 0x00, id                     orders by bytes
//
// # Value
//
// A value is msgpack in one canonical form:
//
//	nil, bool
//	integer    shortest form of its value, unsigned unless negative; -2^63 to 2^64-1
//	float64    only what is no integer within ±(2^53-1); -0 and ±Inf are float64, NaN is refused
//	str        UTF-8, shortest length
//	bin        shortest length
//	array      shortest length
//	map        shortest length; keys are str, distinct, in the writer's order
//	timestamp  extension -1, whole milliseconds, shortest of the three forms, at most 8.64e15 ms from
//	           1970 (what a JavaScript Date holds)
//
// Arrays and maps nest at most 64 deep. Nothing else is a value.
package change
