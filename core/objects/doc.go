// Package objects holds the value of a row of the table of objects: what a replica knows of one
// object, in two layers.
//
//	confirmed   the leaves that the feed left, identical at the hub and on every replica
//	pending     this device's own versions that the feed has not passed yet, in the order of writing; one
//	            that a later one replaces is folded into that, so that a chain of any length is one
//
//	 feed ──▶ Graft ──▶ confirmed ◀── Graft ────┐ (the feed has passed it)
//	                        │                   │
//	                        ▼                   │
//	 Visible = fold of pending on confirmed ◀── pending ◀── AddPending ◀── put, delete
//	                                            │
//	                       problem ◀── DropPending (the hub refused it)
//
// Both layers know one step, graft: leaves' = (leaves − parents) ∪ {version}. What has more than 64
// leaves then loses, of the two first in feed order, the one that the winner rule puts behind.
//
// Winner rule: not deleted beats deleted; then the higher stamp, the higher device (by bytes), the
// higher generation.
//
// # Bytes
//
// Numbers are uvarints in their shortest form, at most 2^53-1. There is one encoding of an object:
// what the decoder takes, the encoder writes.
//
//	offset   object
//	0        format      1   0x01
//	1        flags       1   bit 0: a state follows; 1: own; 2, with 1: shown. All for field rules alone
//	2        confirmed       n ≤ 64, n × leaf, in feed order
//	         pending         n ≤ 64, n × pending, in the order of writing
//
//	         state           of the confirmed layer, where it is not what its only leaf wrote
//	         own             n, n × (device 16, n, n × generation less the one before): unsent versions, in the order of writing
//	         shown           the state that own make of the confirmed one; without it there is nothing
//
//	offset   state
//	0        origin     16   device
//	16       gen             of the origin
//	         from            0: a value follows; else 1 + index of the first leaf with the same, pending ones counted
//	                         behind the confirmed, in shown only
//	         value           where from is 0: length ≤ 1 MiB, bytes
//	         marks           length, bytes: package merge
//
//	offset   leaf
//	0        flags       1   bit 0: deleted; others 0
//	1        device     16   not zero
//	17       gen             1 or more
//	         stamp           effective stamp, ms since 1970
//	         accepted        hub's clock at acceptance, ms since 1970
//	         value           length ≤ 1 MiB, bytes; length 0 where deleted
//
//	offset   pending
//	0        flags       1   bit 0: deleted; others 0
//	1        device     16   not zero
//	17       gen             1 or more; above that of the pending before it, if of the same device
//	         stamp           the writer's clock, ms since 1970
//	         hides           n, n × (device 16, first gen, last − first, until), ascending, distinct
//	                         until: gen, 0 for this version itself; else device 16
//	         value           length ≤ 1 MiB, bytes; length 0 where deleted
//
// One confirmed leaf without pending, which nearly every object is, costs about 36 bytes beside its
// value. Values are not looked into: batches were checked when they came.
package objects
