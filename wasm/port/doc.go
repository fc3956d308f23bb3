// Package port is what a page and its engine say to each other.
//
//	page (web/src) ◀── packets over a MessagePort ──▶ worker (wasm/*.ts) ◀── linear memory ──▶ engine (Go)
//
// # Around the packets
//
// One worker holds the engine of one database: a SharedWorker named "vsync:" and the database's name, or a dedicated worker of a
// page, of that name too. A page that a shared worker does not answer within 10 s, as Firefox may keep one that has ended, takes the one
// named "vsync1:", then "vsync2:". What is posted is an object as long as there is no engine, then packets only:
//
//	page ─▶ {vsync: 1, wasm: URL, tab: NAME}   the first message. A dedicated worker gets it with the port to talk over among the
//	                                           transferred, and with `door`, whether other pages may use it; in a SharedWorker
//	                                           it comes over the port itself. NAME is a Web Lock that the page holds as long as
//	                                           it needs the engine, which waits for it, and so learns of the page's end.
//	page ◀─ {engine: NAME}                     the engine runs, and holds this Web Lock as long as it lives: a page that is
//	                                           granted it (mode "shared") knows that the engine is dead
//	page ◀─ {lost: TEXT}                       it cannot be started, or ended by itself; nothing else comes
//	both    Uint8Array                         a packet
//	page ─▶ ArrayBuffer                        the buffer of a packet that it has read, to be used again
//	page ─▶ {hangs: true}                      the engine has not answered a number of PINGs. The worker ends itself, unless the engine has
//
// A page that cannot have a port to the worker, because another tab leads or a worker of another build has the database, comes to the
// engine's door, a BroadcastChannel "vsync:door:" and the database's name, and gets a channel of its own instead of a port:
//
//	page ─▶ {knock: true}                      at the door: is there an engine?
//	page ◀─ {open: NAME}                       there is the one that holds this lock; also said when it starts
//	page ─▶ {vsync, wasm, tab, to, engine}     at the door: the first message, to that engine. All else goes over the channel `to`
//
// A page whose engine is gone finds the next one, says HELLO to it, and then again all requests that were not answered, in their order
// and with their numbers, but for those that cannot be done twice: DISMISS and RETRY, and SCAN and HISTORY of which something has
// come. WRITE has a name for that. WATCH goes on from the last marker.
//
// A packet is one or more frames, one behind the other; packets and frames arrive in order. A sender gathers what it has to say in
// one turn of its event loop into one packet, and transfers its buffer.
//
// # Frames
//
// A frame is a msgpack array: what it is, the number it belongs to, and fields in the order given here. Readers take any msgpack
// form that holds a number. A value is the canonical msgpack of core/change, as a bin. KEY is the id of an object, COLLECTION its
// collection, both strings; VERSION is the text "device:generation"; TIME is ms since 1970.
//
// Numbers of requests are the page's: 1, 2, 3 …, each once.
//
//	page ─▶ engine
//	  1 HELLO    n, protocol (4), {"name" str, "place" str (in this browser's storage, if it is not the name: web/src/subject.ts),
//	             "feed" str, "durability" str, "token" bool, "agent" str, "paused" bool (if it was in the engine before, and nobody
//	             has it open), "had" str (VERSION of what the engine before has stored for this page last, or the device, if that was
//	             nothing), "collections" {COLLECTION rules bin …}}
//	                                                        ─▶ OK device str. Comes first; STATUS comes before the OK.
//	                                                           FAIL "STORAGE_LOST" where that was written in another storage
//	  2 DESTROY  n, protocol (4), name str, force bool, and, if it is not the name, place str
//	                                                        ─▶ OK. Comes first, instead of HELLO; nothing follows
//	  3 GET      n, COLLECTION, KEY                         ─▶ OK value | nil
//	  4 GETMANY  n, COLLECTION, [KEY …]                     ─▶ ITEMS [value | nil …] … of the first ones, where these are many
//	                                                           bytes, OK [value | nil …] of the others: all of one moment
//	  5 ENTRY    n, COLLECTION, KEY                         ─▶ OK ROWS (one or none), [VERSION …] the frontier, for checks
//	  6 WRITE    n, [COLLECTION …], [OP …], [CHECK …], note str, and, if the page may ask again in another engine, tab bin (8 random
//	             bytes), counter (rising with each write of the tab)
//	                                                        ─▶ OK VERSION, when it is stored. A counter that was stored before,
//	                                                           by any engine, is not written again: VERSION is that batch's;
//	                                                           FAIL "ABORTED" where it had failed, and a later one was stored
//	       OP    [index of COLLECTION, KEY, value | nil (deletes), [VERSION …] seen | nil (whatever is there)]
//	       CHECK [index of COLLECTION, KEY, [VERSION …] frontier]; one that does not hold: FAIL "CHANGED"
//	  7 COUNT    n, QUERY                                   ─▶ OK number
//	  8 SCAN     n, QUERY                                   ─▶ ITEMS ROWS …, END
//	  9 LIVE     n, QUERY                                   ─▶ ITEMS part, marker str, ROWS, [KEY …] …, never END
//	       part 0: a piece of the whole result, more follows. 1: its last piece; what was there before is void. 2: what one batch
//	       changed: rows that are new or other than before, and keys that are gone; the marker stands behind that batch. 3: the
//	       pieces since the last whole are void, and come anew. 4: rows of what one batch changed, the rest of which follows as
//	       part 2; nothing of it is to be shown before
//	 10 WATCH    n, COLLECTION ("": all), prefix str, from str ("start", "now", a marker)
//	                                                        ─▶ ITEMS marker str, flags, device str, TIME, note str, [str …] devices,
//	                                                           [CHANGE …] …, never END. flags: 1 initial, 2 reset, 4 local,
//	                                                           8 a part: the next ITEMS say the same, with other changes of the event.
//	                                                           From "now", the first one has no changes, and says where that is
//	       CHANGE [COLLECTION, KEY, value | nil, deleted bool, index of device, generation, conflict bool]
//	 11 HISTORY  n, COLLECTION, KEY, limit (0: all)         ─▶ ITEMS [[VERSION, [VERSION …] parents, TIME, deleted bool,
//	                                                           value | nil, note str] …] …, END
//	 12 SYNCED   n, VERSION | "" (all that is written now)  ─▶ OK, when the hub has it; FAIL with the hub's reason
//	 13 PAUSE    n                                          ─▶ OK
//	 14 RESUME   n                                          ─▶ OK
//	 15 DISMISS  n, VERSION                                 ─▶ OK
//	 16 RETRY    n, VERSION                                 ─▶ OK VERSION: written anew, and off the list
//	 17 CLOSE    n                                          ─▶ OK; nothing follows. The last page's close closes the database
//	 18 CANCEL   n of the request that nobody waits for any more; it is answered FAIL "ABORTED", or has been answered
//	 19 MORE     n of a stream, how many of its ITEMS were consumed since the last MORE
//	 20 HIDDEN   0: the page is being hidden, and may be gone soon: write a checkpoint
//	 21 TOKEN    n of the ASK, token str | nil, why there is none str
//	 22 WAKE     0: the page goes on after it was frozen or hidden, or the network is another: look whether the hub can be reached
//	 23 PING     n                                          ─▶ OK, at once: the engine lives
//	 30 CONFLICTS n, COLLECTION                             ─▶ ITEMS [CONFLICT …] …, END
//	 31 LIVECONFLICTS n, COLLECTION                         ─▶ ITEMS part, [CONFLICT …], [KEY …] …, never END. Parts are those of LIVE
//	       CONFLICT [KEY, base value | nil, [[VERSION, TIME, value | nil (deleted)] …]], the side that is shown first
//	 32 REVERT   n, COLLECTION, KEY, VERSION, note str, tab bin, counter
//	                                                        ─▶ OK VERSION, as WRITE does
//	 33 UNDO     n, VERSION, COLLECTION, [KEY …], note str, tab bin, counter
//	                                                        ─▶ OK VERSION, as WRITE does. Without keys all that the batch wrote
//	 34 DIFF     n, COLLECTION, KEY, VERSION, VERSION ("": what is shown)
//	                                                        ─▶ OK [[[str …] path, value | nil, value | nil] …]
//	 35 BLAME    n, COLLECTION, KEY                         ─▶ OK [[[str …] path, value, VERSION, TIME, note str, older bool] …]
//	 36 PAST     n, WHEN, COLLECTION, [KEY …]               ─▶ OK ROWS: of those that were there
//	 37 SCANPAST n, WHEN, QUERY                             ─▶ ITEMS ROWS …, END
//	       WHEN  the marker of an event, or a TIME
//	 38 CHECK    n, repair bool                             ─▶ OK ok bool, objects uint, batches uint, [FINDING …], [FINDING …] set
//	                                                           aside before
//	       FINDING [what str, repaired bool, harmless bool, TIME | 0]
//
//	engine ─▶ page
//	 64 OK       n, fields
//	 65 FAIL     n, code str, message str
//	 66 ITEMS    n, fields. At most Window of a stream's are on the way
//	 67 END      n
//	 68 STATUS   0, {…} when something of it has changed
//	 69 ASK      n of the engine's: a token is wanted
//
//	QUERY    [COLLECTION, prefix str, from str, to str ("": no bound), reverse bool, limit (0: none)]
//	ROWS     [str …] devices, [[KEY, value, index of device, generation, TIME, conflict bool] …]: two fields
//	STATUS   "phase" str, "paused" bool, "pending" uint, "oldest" TIME | 0 of the oldest pending batch, "received", "expected" uint,
//	         "confirmed" TIME | 0, "next" TIME | 0, "marker" str, "mode" "indexeddb" | "memory", "device" str,
//	         "code", "message" str of the fault ("": none), "waiting" [what for str ("": nothing), since TIME | 0, stalled bool], and, only when they are others than before, "problems":
//	         [[VERSION, code str, message str, TIME, [[COLLECTION, KEY, value | nil (deletes)] …]] …]
//
// A code is one of the SDK's ErrorCode, CHANGED, or INTERNAL. After a page was told that the database is closed (STATUS with phase
// "closed", because another page destroyed it or its storage is gone), it gets no other STATUS, and every request of it fails with CLOSED
// or STORAGE_LOST.
//
// A frame that cannot be read ends the port: FAIL 0, "PROTOCOL", and nothing follows. Page and engine come from one build, but a tab
// may be older than the worker that another tab has started: HELLO with a lower protocol is answered FAIL "VERSION". With a higher one it
// is not answered: the engine closes the database, which its pages are told with VERSION, and ends with its worker, so that one of the newer
// page's build takes its place.
package port

// Protocol is the version of all this.
const Protocol = 4

// Window is how many ITEMS of a stream may be on the way.
const Window = 4

// MaxItems is about how many bytes one ITEMS holds, and an answer to GETMANY: one value more at most, and of ids that are gone as much again. A page reads it in one
// task, which is to end within a few ms.
const MaxItems = 60_000
