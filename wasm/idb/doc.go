// Package idb is the store in a browser: IndexedDB.
//
//	database "vsync:" + name, version 1
//	  object store "rows"     key: Uint8Array, out of line;  value: Uint8Array of at most store.MaxRow bytes
//
//	Commit ─pack─▶ vsync_idb.commit ─▶ idb.ts ─▶ one transaction, its requests at once, commit()
//	       ◀────── vsync_idb_done ◀── "complete"
//	Scan   ─────▶ vsync_idb.scan ───▶ one transaction, getAllRecords or getAll in steps
//	       ◀─take─ vsync_idb_done ◀── last step
//
// Each call crosses to JavaScript once, packed into one buffer, and comes back once; nothing of it waits for Go between the requests of a
// transaction, or the browser would end it. What idb.ts needs of the program is in wasm/seam.ts.
//
// # One owner
//
// IndexedDB lets several workers write the same database; the engine must be alone. So Open first takes the exclusive Web Lock
// "vsync:" + name, and Close gives it back when the database is closed; a worker that ends gives it back without being asked. Whoever finds it
// taken asks over the BroadcastChannel "vsync:lock:" + name who has it. A living owner answers, and Open fails with store.ErrLocked at once. From
// one that is just dying (a page that is being reloaded, a process that has crashed) no answer comes, and Open waits for the lock, but not
// for ever. Where a browser has no BroadcastChannel that is so with a living owner too.
//
// # How durable
//
// A commit is confirmed at the transaction's "complete". Relaxed, it then survives the death of the browser; strict, a power cut too, as the
// transaction is opened with durability "strict". Browsers write commits in order, so a strict one takes along those before it.
//
// Chromium (156) loses all of a site's databases where it was killed in the middle of a write. What is torn at the end of LevelDB's log is taken
// for the end when the log is read; then the same log is written on, behind it. Whoever opens it next finds it damaged in the middle, and gets
// an empty database in its place:
//
//	killed               ── a ── b ── c{torn
//	opened               ── a ── b ── c{torn ── d      a, b and then d are there
//	opened once more     ── a ── b ✗                   deleted
//
// So each connection has a new log begun at once, as LevelDB does when a range of keys is compacted, and Chromium has that done when a
// database is deleted: an empty one is made and deleted. That takes 10 to 40 ms beside all else, and the torn log is gone.
//
// # What goes wrong
//
//	no IndexedDB, no Web Locks, or the browser says that   ErrUnavailable, from Open: there is memory instead
//	  a page is to have none
//	it cannot be opened for any other reason               it is tried again for a second; then store.ErrIO, from Open: what is there
//	                                                       is not to be taken for nothing
//	the database belongs to a newer program                ErrVersion, from Open; one that comes later gets it: lost is called with that
//	somebody else has it open                              store.ErrLocked, from Open and Delete
//	no space                                               store.ErrQuota; nothing was applied
//	the browser closed the connection                      it is opened again, and what was under way is done: reopen.go
//	the user cleared the site's data, somebody deletes     store.ErrLost, from then on; Open's function lost is called
//	  the database, the browser forgot what it had stored
package idb
