// Package device holds the rows of the table of devices: of each device that a replica has heard of,
// how far its batches are held; and the rule by which a replica that takes a new id renames what it wrote.
//
//	key           row
//	device 16     Record: last generation held, its hash, whose device it is
//
// Rows are kept for ever. A hub that forgot a device's last generation would take its old batches
// again; one that forgot its hash would not notice a clone.
//
// # Re-entry
//
// A device whose batches differ from those that the hub has of it (a clone, a restored backup, power
// lost) shares with it a prefix, the generations 1 to common. What it wrote after that it writes again
// under a new id, from generation 1, with every version in it renamed by one rule:
//
//	old:g   g ≤ common   stays: it is in the feed, and means the same on both sides
//	old:g   g > common   becomes new:(g − common)
//	other               stays
//
//	hub      old:1 ◀─ old:2 ◀─ old:3'                 what another clone sent
//	                    ▲
//	device   old:1 ◀─ old:2 ◀─ old:3 ◀─ old:4         common = 2
//	                    ▲
//	becomes             └───── new:1 ◀─ new:2
//
// The new id is made of the old id, of common and of the hash of the first batch that is written again,
// so that two restores of one backup become the same device with the same batches, and the hub takes
// them once. A device that re-enters with nothing to write again takes a random id.
//
// A device may re-enter again under its new id. The replica keeps its mappings, oldest first, and follows them in this order.
//
// # Bytes
//
// Numbers are uvarints in their shortest form, at most 2^53-1; there is one encoding of each row.
//
//	offset   record
//	0        format       1   0x01
//	1        flags        1   bit 0: a subject follows; others 0
//	2        hash        16   of the batch of the last generation; zero if there is none
//	18       last             highest generation held, all before it included; 0 = none yet
//	         contact          last heard of, ms since 1970 by this replica's clock; 0 = never
//	         [subject         length 1..512, UTF-8: whose device it is]
package device
