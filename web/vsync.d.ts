// What a page may use of vsync: `import { open } from 'vsync'` (ESM, browsers).
//
//   const db = await open('notes', { feed: 'ws://localhost:8787' })
//   const todos = db.collection<{ text: string; done: boolean }>('todos')
//   await todos.put('1', { text: 'milk', done: false })      // stored on this device, with or without a network
//   const stop = todos.subscribe({ prefix: '' }, (entries) => render(entries))
//
// Every time is in ms since 1970, as Date.now(). Every promise that can fail rejects with a VsyncError: `code` is for programs,
// `message` says what was expected, what came and what to do.

/** A value as it is stored: one JSON-like document, bytes and dates included, at most 1 MiB encoded and 64 levels deep. */
export type Value = null | boolean | number | bigint | string | Date | Uint8Array | Value[] | { [key: string]: Value };

/**
 * Opens a database, and makes it where there is none. All tabs of an origin work on one replica, which an engine in a worker holds.
 *
 * `name` has 1 to 64 characters out of `a-z 0-9 . _ -`, and is neither `.` nor `..`.
 *
 * Rejects with INVALID for a wrong name or option, for options that differ from those it is open with already (another tab's, or
 * this page's own), or in a page that browsers give no Web Locks (neither https nor localhost); LOCKED if another engine has it;
 * VERSION if another tab runs a newer build; UNAUTHENTICATED if no token says whose replica is to be opened; LOGGED_OUT, CLOSED if that
 * user leaves, or another page destroys it, meanwhile; STORAGE_LOST, CORRUPT; ENGINE_LOST if the engine could not be started; ABORTED.
 */
export function open(name: string, options?: OpenOptions): Promise<Database>;

/**
 * A user leaves. Every page of this origin, this one too, that has the database open finds it closed with LOGGED_OUT: show nothing of it any
 * more. A page that is frozen, or in the back/forward cache, finds that when it goes on. What was written stays stored, unsent changes too, for
 * when that user comes back; who had it open last is forgotten, so that without a token nobody's is opened (see `token`). `destroy` deletes
 * what is stored. A database that no token was ever used for is no user's, and stays open.
 */
export function logout(name: string): Promise<void>;

/**
 * Deletes this device's replica of a database; where several users have one, that of who opened it last. Whoever has it open finds it
 * closed. Other devices and the hub keep theirs.
 *
 * Rejects with INVALID after `logout`, as nobody says whose it is then; with UNSENT while it holds changes that the hub has not confirmed,
 * unless `force` gives them up.
 */
export function destroy(name: string, options?: { force?: boolean }): Promise<void>;

/**
 * Has a service worker, vsync-sw.js, keep the page, the SDK and the engine on this device, so that a reload without a network works.
 * It needs no database. The files are a set: a page gets all of them from one version, and a new version is taken all at once.
 *
 * Resolves when they are kept. Rejects, with an Error that is no VsyncError, where browsers allow no service worker: in pages that came
 * neither over https nor from localhost, in private windows of some, and where the script is not served.
 */
export function keepOffline(options?: KeepOptions): Promise<Kept>;

export interface KeepOptions {
  /** What the page needs beside itself and the SDK: styles, scripts, pictures. Addresses, relative to the page's own. */
  files?: readonly (string | URL)[];
  /** The page, if it is not the one that calls. It is also shown for addresses that cannot be reached without a network. */
  page?: string | URL;
  /** Address of the service worker, at the page's own origin; `/vsync-sw.js` if left out. It serves what lies beside and below it. */
  worker?: string | URL;
  /** A new version of the files is there, all of it. `take` has every open page load it; until then each stays with what it has. */
  onUpdate?: (take: () => void) => void;
}

export interface Kept {
  /** Looks for a new version now; resolves to whether there is one. The service worker also looks when a page is opened. */
  check(): Promise<boolean>;
  /** Has every open page load the new version, if there is one. */
  take(): void;
}

export interface OpenOptions {
  /**
   * Address of a hub: `wss://…`, `ws://…`, or `https://…`, `http://…`, which mean the same. The feed is `/v1/<name>` below it.
   * Left out, the database is local: nothing is sent anywhere.
   */
  feed?: string | URL;
  /**
   * Bearer token for the hub, or a function that is asked for one when the database opens, and each time that the hub wants it: it should
   * give the one it has as long as that is good. Each subject (`sub`) that opens the database on this device has a replica of its own, which
   * the others cannot read or send; the first one has what was stored there before. When no token comes for two seconds, as without a
   * network, the replica of who opened it last is opened, and a token of another subject that comes later ends it: FORBIDDEN, open anew.
   * After `logout` opening rejects with UNAUTHENTICATED until a token comes, and so it does without a token once a subject has come.
   */
  token?: string | (() => string | Promise<string>);
  /**
   * When a write counts as stored. `relaxed` (default): the browser has taken it, and it survives a crash of the tab or of the
   * browser. `strict`: it is on the disk, and survives loss of power; a write then takes a disk's sync.
   */
  durability?: 'relaxed' | 'strict';
  /**
   * What the application says of its collections; stored in the database, so that every device applies the same. They are written
   * after the first sync with the hub, if their version is higher than that of the rules in force, and are in force from their place in
   * the feed on: for what is written after that. Rules that are missing here stay as they are. Without a feed none are written.
   *
   * Two tabs may not say different things of one collection: `open` rejects with INVALID, and names both.
   */
  collections?: Record<string, CollectionRules>;
  /**
   * Where the engine runs. `shared`: in a SharedWorker, one for all tabs. `leader`: in a worker of one tab, which the tabs elect among
   * themselves; when it goes, another one leads. `tab`: in a worker of this page, which then has the database to itself (other tabs get
   * LOCKED). `auto` (default): shared where the browser can, else leader.
   */
  hosting?: 'auto' | 'shared' | 'leader' | 'tab';
  /** Gives up opening: `open` rejects with ABORTED. Without effect on a database that is open. */
  signal?: AbortSignal;
}

/** What becomes of an object that several have written without knowing of each other. */
export interface CollectionRules {
  /** A whole number of 1 or more. Raise it with every change: a lower or equal one is not written. */
  version: number;
  /**
   * `latest` (default): one side is shown, the last by the writers' clocks (within what the hub allows); an update beats a deletion.
   *
   * `keep`: the same is shown, and all sides stay until someone resolves the conflict. A plain `put`, `update` or `delete` replaces the
   * side that is shown only.
   *
   * An object: field rules, by path, at most 128. What each side changed is applied, one after the other.
   *
   * Whatever the rule, `Collection.conflicts` lists all sides, and nothing is lost: see the history.
   */
  conflict?: 'latest' | 'keep' | MergeRules;
}

/**
 * Field rules: keys with dots between them (`stock.count`), a star for any key (`stock.*.count`), at the end for all that is there and
 * below (`*`: the rest). A backslash before a dot, a star or a backslash makes it a letter of a key. The most exact path that fits counts;
 * where none does, it is `latest`. Lists are taken whole, unless they are a `set`.
 *
 * `counter`: numbers; what each side added counts. `set`: lists without repetitions; what each added is there, what each removed that he
 * saw is not. `text`: strings; edits of lines, of one line of characters. `max`, `min`: the larger, the smaller. `latest`: what comes
 * last in the feed.
 */
export type MergeRules = { [path: string]: 'latest' | 'counter' | 'set' | 'text' | 'max' | 'min' };

/**
 * An open database. When its engine is lost (its tab was closed, its worker killed, or it gives no sign of life), another one is started or found, and asked for what
 * was not answered: a write takes effect once, a subscription and a watcher go on where they were. What cannot go on (`scan` and
 * `history` that have begun, `Problem.retry` and `dismiss`) rejects with ENGINE_LOST. After `close()`, and once it was closed for another
 * reason (`Status.error`), every call rejects, and every iteration and subscription ends: with CLOSED, LOGGED_OUT, FORBIDDEN, STORAGE_LOST,
 * ENGINE_LOST; VERSION, as another tab has opened it with a newer build, which has the database from then on.
 */
export interface Database extends AsyncDisposable {
  readonly name: string;
  /** Id of this device's replica, 32 hexadecimal digits. It changes if the replica has to begin anew, as after loss of its storage. */
  readonly device: string;
  /**
   * A collection: 1 to 64 bytes of UTF-8 without control characters, and not beginning with `$`. It need not be made first. Throws
   * INVALID or KEY_TOO_LONG. `T` is not checked.
   */
  collection<T = unknown>(name: string): Collection<T>;
  /**
   * Writes to several objects as one: all of it or nothing, on disk, on the wire, at the hub, and in every watcher's event.
   *
   * `fn` puts the batch together, and may wait. What it reads through `tx.get` is checked when the batch is written: if any of it has
   * changed, nothing is written and `fn` runs again, so it should do nothing but read and write. If it throws, nothing is written, and
   * `batch` rejects with what was thrown. Of several writes to one object the last counts.
   *
   * `note` (at most 1024 bytes) is a label for people: history and watchers show it.
   *
   * Rejects with INVALID (also if nothing was written), VALUE_TOO_LARGE, BATCH_TOO_LARGE past 20,000 objects or 8 MiB, QUOTA;
   * ABORTED after 100 runs each of which others overtook.
   */
  batch(fn: (tx: Batch) => void | Promise<void>, options?: { note?: string }): Promise<Receipt>;
  /**
   * Takes back what a batch did, anyone's, and leaves what happened since: a new batch, which merges as any, and can be undone itself.
   * Paths that hold another value by now stay as they are; of counters, sets and texts under field rules just the batch's part goes.
   * `note` is a label, as of `batch`.
   *
   * Rejects with INVALID if nothing of it is left to be undone; TOO_OLD if history does not hold the batch, or what it replaced.
   */
  undo(version: string, options?: { note?: string }): Promise<Receipt>;
  /**
   * The database as it was, to be read: when an event with this marker was shown here (`WatchEvent.marker`), or at a time (a Date, or ms
   * since 1970): what the hub had accepted by then, and what this device had written itself. Each reading goes through the log.
   *
   * Rejects with UNKNOWN_MARKER for what is no marker of this device; TOO_OLD if history does not go back so far.
   */
  at(when: string | number | Date): Promise<Past>;
  /** All collections' changes, batch by batch; see Collection.watch. */
  watch(options?: WatchOptions): AsyncIterable<WatchEvent>;
  readonly status: StatusSource;
  /**
   * Resolves when the hub has everything that was written before the call, and the rules of `OpenOptions.collections` are in force.
   * Batches that the hub refused do not stop it: see `Status.problems`. Rejects with LOCAL_ONLY if there is no feed; ABORTED; the hub's
   * reason if it takes nothing at all.
   */
  synced(options?: { signal?: AbortSignal }): Promise<void>;
  /** Stops the exchange with the hub until resume(). Reading and writing go on. Throws CLOSED. */
  pause(): void;
  /** Takes the exchange with the hub up again. Throws CLOSED. */
  resume(): void;
  /**
   * Holds everything that is stored on this device against each other: log, history, objects, and the checksums of all. With `repair`
   * what the log or the hub can restore is, and what nothing can is set aside. What is met damaged while reading is mended without it.
   * It reads all there is, a second or more for 100,000 objects, in which other calls wait at times.
   */
  check(options?: { repair?: boolean }): Promise<CheckReport>;
  /** Resolves when the writes that were called before are stored and the replica is let go of. A second call does nothing. */
  close(): Promise<void>;
}

/** What `Database.batch` hands to its function; of no use once that has ended. */
export interface Batch {
  /** An object's value, as this batch has it: what was put or deleted before in the same run shows. */
  get<T>(collection: Collection<T>, id: string): Promise<T | undefined>;
  /** Throws as Collection.put rejects: INVALID, KEY_TOO_LONG, VALUE_TOO_LARGE. The value is taken as it is at this moment. */
  put<T>(collection: Collection<T>, id: string, value: T): void;
  delete<T>(collection: Collection<T>, id: string): void;
}

/** A batch that is stored on this device. */
export interface Receipt {
  /** `device:generation`: names the batch, and is the version of each object that it wrote. */
  readonly version: string;
  /**
   * Resolves when the hub has stored the batch, which may be days later. Rejects with the hub's reason if it refused the batch (then
   * its values are among `Status.problems`), also after it was retried or dismissed; LOCAL_ONLY without a feed; ABORTED; CLOSED,
   * LOGGED_OUT, ENGINE_LOST (the batch is stored and will still be sent).
   */
  synced(options?: { signal?: AbortSignal }): Promise<void>;
}

/**
 * The objects of one collection. An `id` has 1 to 512 bytes of UTF-8, any characters; ids are ordered by those bytes. Whatever takes
 * an id rejects with INVALID (empty, an unpaired surrogate) or KEY_TOO_LONG.
 */
export interface Collection<T> {
  readonly name: string;
  /** The value of an object; undefined where there is none. */
  get(id: string): Promise<T | undefined>;
  /** The values of many objects, in the order of the ids; much faster than as many `get`. */
  getMany(ids: readonly string[]): Promise<(T | undefined)[]>;
  /** Value, version, time, device, and whether it is in conflict; undefined where there is none. */
  entry(id: string): Promise<Entry<T> | undefined>;
  /**
   * Writes an object; resolves when it is stored on this device, which is before anybody sees it.
   *
   * A value is null, a boolean, a number, a bigint of 64 bits, a string, a Date, a Uint8Array, or an array or plain object of such. It
   * comes back equal, apart from: a bigint within ±(2^53-1) comes back as a number, and keys of an object that are whole numbers come
   * first, as JavaScript orders them. Anything else is INVALID and named by its path (`$.a[3].b`): undefined inside a value,
   * functions, symbols, NaN, invalid dates, instances of classes, unpaired surrogates, more than 64 levels (cycles, that is).
   *
   * `seen`, an Entry's version, says what the writer had before him. If the object is another by now, what was written meanwhile is
   * kept beside it, as a conflict. Left out, whatever is there now is replaced.
   *
   * Rejects with INVALID, KEY_TOO_LONG, VALUE_TOO_LARGE, QUOTA (nothing was written).
   */
  put(id: string, value: T, options?: { seen?: string }): Promise<Receipt>;
  /**
   * Writes many objects as one batch: all or none. The entries are read once, before this returns; each id may come once.
   * Rejects as put does, and with BATCH_TOO_LARGE past 20,000 objects or 8 MiB; INVALID if there are none.
   */
  putMany(entries: Iterable<readonly [string, T]>): Promise<Receipt>;
  /**
   * Reads, changes and writes an object as one step: `fn` gets the value (undefined where there is none) and returns the new one;
   * undefined deletes. If the object changes meanwhile, nothing is written and `fn` runs again with what is there then. It must not
   * be async: `Database.batch` may wait. Rejects with what `fn` throws; as put; ABORTED after 100 runs that others overtook.
   */
  update(id: string, fn: (current: T | undefined) => T | undefined): Promise<Receipt>;
  /** Deletes an object. Its history stays. Deleting what is not there is a write like any other. */
  delete(id: string): Promise<Receipt>;
  /** The objects that a query selects, all at once; `scan` holds less in memory at a time. */
  query(query?: Query): Promise<Entry<T>[]>;
  /**
   * The same, one by one, as they were when the iteration began. The engine reads only a little ahead of the loop. Each iteration
   * reads anew; leaving the loop ends it. Rejects with ABORTED if the loop stood still while very much was written.
   */
  scan(query?: Query): AsyncIterable<Entry<T>>;
  count(query?: Query): Promise<number>;
  /**
   * Calls `fn` with the whole result soon, and again after every batch that changes it: a new array each time, in which entries
   * that are as they were are the same objects. `event.marker` is where `watch` would go on from.
   *
   * Returns the way to stop; after it, `fn` is not called any more. What `fn` throws is reported as an uncaught error and stops
   * nothing. `onError` hears once of what ends the subscription; without it that is reported too, unless it is CLOSED or LOGGED_OUT.
   */
  subscribe(
    query: Query,
    fn: (entries: Entry<T>[], event: { marker: string }) => void,
    onError?: (error: VsyncError) => void,
  ): () => void;
  /**
   * What happens, batch by batch, in the order in which this device took it up. Never ends by itself: leaving the loop or the signal
   * (ABORTED) ends it. The engine waits for a slow loop, and nothing is lost: keep `marker`, and go on from it after a reload.
   * Rejects with UNKNOWN_MARKER for a `from` that is none.
   */
  watch(options?: WatchOptions): AsyncIterable<WatchEvent<T>>;
  /** An object's versions, the newest first: each once, and before those it replaced; as far back as history is kept. */
  history(id: string, options?: { limit?: number }): AsyncIterable<HistoryEntry<T>>;
  /**
   * Where two versions of an object differ, by path; left out, `to` is what is shown now. Objects are looked into, arrays are not.
   * Rejects with TOO_OLD for a version that history does not hold; INVALID for one that did not write this object.
   */
  diff(id: string, from: string, to?: string): Promise<Difference[]>;
  /** Who gave each path of what is shown its value; nothing where there is no object. */
  blame(id: string): Promise<Blame[]>;
  /**
   * Goes back: writes what the object was at an earlier version (a deletion deletes it), over what is there now. Rejects as `diff`
   * and `put`.
   */
  revert(id: string, version: string, options?: { note?: string }): Promise<Receipt>;
  /** Takes back what one batch did to this object alone; see Database.undo. */
  undo(id: string, version: string, options?: { note?: string }): Promise<Receipt>;
  /** The objects of which several versions stand beside each other, whatever the collection's rules are. */
  readonly conflicts: Conflicts<T>;
}

/** Objects that several have written, differently, without knowing of each other. Equal values are no conflict. */
export interface Conflicts<T> {
  /** All of them, in the order of their ids. It looks through the whole collection. */
  list(): Promise<Conflict<T>[]>;
  /**
   * Calls `fn` with all of them soon, and again whenever one begins, changes or ends, on whichever device. Returns the way to stop. `onError`
   * hears once of what ends it; without it that is reported as an uncaught error, unless it is CLOSED
   * or LOGGED_OUT.
   */
  subscribe(fn: (conflicts: Conflict<T>[]) => void, onError?: (error: VsyncError) => void): () => void;
}

/** An object in conflict, as it was when this was made. */
export interface Conflict<T> {
  readonly id: string;
  /** The nearest version that all sides come from; undefined where there is none, it is a deletion, or history does not reach it. */
  readonly base: T | undefined;
  /** At most 64. The first is the one that `latest` and `keep` show; under field rules all of them together are shown. */
  readonly sides: readonly { value: T | undefined; deleted: boolean; version: string; device: string; time: number }[];
  /**
   * Ends the conflict: writes a value (undefined deletes) over all these sides. One that came meanwhile stays beside it. The same
   * resolution on two devices at once ends it once; different ones are a conflict again. Under field rules it is a change to what is
   * shown, and merges as any: two who both take the same number from a counter take it twice.
   */
  resolve(value: T | undefined): Promise<Receipt>;
  /** Ends it with one side, by its version. Rejects with INVALID for any other. */
  pick(version: string): Promise<Receipt>;
}

/** A place at which two versions differ: `path` holds keys from the root, none for the whole value. undefined: nothing is there. */
export interface Difference {
  path: string[];
  before: unknown;
  after: unknown;
}

/** Who gave a path its value: the newest version that did. What a merge made of several counts for the newest that changed it. */
export interface Blame {
  path: string[];
  value: unknown;
  version: string;
  time: number;
  device: string;
  note?: string;
  /** It was this version or one before: history goes no further back. */
  older: boolean;
}

/** The database as it was at a moment. */
export interface Past {
  collection<T = unknown>(name: string): PastCollection<T>;
}

/** A collection as it was. What these answer is found anew each time, so ask for much at once. */
export interface PastCollection<T> {
  readonly name: string;
  get(id: string): Promise<T | undefined>;
  getMany(ids: readonly string[]): Promise<(T | undefined)[]>;
  entry(id: string): Promise<Entry<T> | undefined>;
  query(query?: Query): Promise<Entry<T>[]>;
  scan(query?: Query): AsyncIterable<Entry<T>>;
  count(query?: Query): Promise<number>;
}

/** Which objects of a collection, and in which order. Left out: all, in the order of their ids. An empty text is no bound. */
export interface Query {
  /** Ids that begin so. */
  prefix?: string;
  /** The first id; need not exist. */
  from?: string;
  /** The id before which it ends; need not exist. */
  to?: string;
  /** At most so many, 1 or more. */
  limit?: number;
  /** From the last to the first. */
  reverse?: boolean;
}

export interface Entry<T> {
  id: string;
  value: T;
  /** `device:generation` of the batch that wrote the value. */
  version: string;
  /** When it was written, by its writer's clock; ms since 1970. */
  time: number;
  /** Who wrote it. */
  device: string;
  /** Others wrote without knowing of this, and other values: see Collection.conflicts. */
  conflict: boolean;
}

export interface HistoryEntry<T> {
  id: string;
  /** undefined if this version deleted the object. */
  value: T | undefined;
  deleted: boolean;
  version: string;
  /** The versions that this one replaced; several where it ended a conflict, none where it began. */
  parents: string[];
  time: number;
  device: string;
  note?: string;
}

export interface WatchOptions {
  /** Only ids that begin so. Needs a collection. */
  prefix?: string;
  /** `start` (default): what is there, then what comes. `now`: what comes. Else the marker of an earlier event: what came after it. */
  from?: string | 'start' | 'now';
  signal?: AbortSignal;
}

/** One batch, whole (its changes that this watch is about), or a part of what was there before. */
export interface WatchEvent<T = unknown> {
  /** Give it to `from` to go on after this event, also after a reload; of an `initial` one before the last it means `start`. */
  marker: string;
  /** What was there before, in the order of keys: no batch. */
  initial: boolean;
  /** On an initial event: forget all that came before. The marker that was asked for is too old, or very much has changed. */
  reset?: boolean;
  /** Whether this device wrote the batch, in any of its tabs. Without meaning in an initial event. */
  source: 'local' | 'remote';
  /** Of the batch: who wrote it, when (ms since 1970, the writer's clock) and what the writer noted. */
  device?: string;
  time?: number;
  note?: string;
  /** Objects as they were after the batch; none twice. */
  changes: { collection: string; id: string; value: T | undefined; deleted: boolean; version: string; conflict: boolean }[];
}

export interface StatusSource {
  /** Where the database stands. Always there, never changed afterwards: another status is another object. */
  readonly current: Status;
  /** Calls `fn` with the current status soon, and then with each new one. Returns the way to stop. */
  subscribe(fn: (status: Status) => void): () => void;
}

export interface Status {
  /**
   * `local`: no feed. `connecting`. `catching-up`: receiving what the hub has (`progress`). `live`: what the hub has is here.
   * `waiting`: for the next attempt (`nextAttemptAt`), or for resume() where `paused`. `refused`: the hub wants something changed,
   * `error` says what. `quarantined`: something that the hub sent, or that is to be sent, is held back, `error` says what. `closed`.
   */
  phase: 'local' | 'connecting' | 'catching-up' | 'live' | 'waiting' | 'refused' | 'quarantined' | 'closed';
  /** pause() was called, in this tab or another. */
  paused: boolean;
  /** Batches written here that the hub has not confirmed. */
  pending: number;
  /** Age of the oldest of them in ms when this status was made; 0 if there is none. */
  oldestPendingMs: number;
  /** When that one was written. */
  oldestPendingAt?: number;
  /** While catching up: batches received, and expected. */
  progress?: { received: number; expected: number };
  /** When the hub last confirmed something written here. */
  lastConfirmedAt?: number;
  nextAttemptAt?: number;
  /** How far the hub's feed is applied here. Two replicas with the same marker hold the same, apart from unsent writes. */
  marker?: string;
  /**
   * `shared`: the engine runs in a SharedWorker. `leader`: in a worker of this page, which other tabs use too. `follower`: another tab leads, or
   * another tab's shared worker of another build has it. `tab`: in a worker of this page alone. It changes when an engine is lost.
   */
  hosting: 'shared' | 'leader' | 'follower' | 'tab';
  /**
   * `memory`: the browser lets nothing be kept (as in some private windows), and all is gone with the engine's worker: under hosting `shared` with
   * the last tab, under `leader` and `tab` with the tab that has the worker. Other tabs then find the database closed with STORAGE_LOST.
   * Bytes of the whole origin.
   */
  storage: { mode: 'indexeddb' | 'memory'; usage: number; quota: number; persisted: boolean };
  /**
   * What the exchange with the hub waits for, also where `phase` is `live`: own writes that are not confirmed. And what this page waits for
   * itself: an engine, or the storage. Not there: for nothing.
   */
  waiting?: Waiting;
  /** What the hub refused, and what damage cut off; listed until it is retried or dismissed. */
  problems: readonly Problem[];
  /** Why the exchange does not go on, or why the database is closed. */
  error?: { code: ErrorCode; message: string };
}

/** What is waited for. */
export interface Waiting {
  /**
   * `engine`: this page's engine is gone, and another one is looked for or started. `token`: the application's token function. `connection`: the network. `welcome`: a hub that took the connection. `changes`: more
   * of what the hub has. `confirmation`: the hub's answer to what was written here. `storage`: this device's own storage, which is
   * slow, also where there is no feed. `attempt`: `nextAttemptAt`, or until what is held back is tried again. `resume`: resume().
   */
  for: 'engine' | 'token' | 'connection' | 'welcome' | 'changes' | 'confirmation' | 'storage' | 'attempt' | 'resume';
  /** Since when it has come no further; ms since 1970. */
  since: number;
  /** It takes longer than it should, seconds in most cases. It is not given up: that is for the bounds of connections. */
  stalled: boolean;
}

/** What `Database.check` found. */
export interface CheckReport {
  /** Nothing is damaged, or it was and is repaired. */
  ok: boolean;
  /** How many objects there are, deleted ones among them, and how many batches the log holds. */
  objects: number;
  batches: number;
  /** What does not fit, 100 at most. */
  findings: readonly Finding[];
  /** What was found damaged before, at opening and while reading, and is kept as it was found. */
  aside: readonly Finding[];
}

/** Something that is stored and is not what was written. */
export interface Finding {
  /** What it concerns, why, and what was done about it, in a line for people. */
  what: string;
  repaired: boolean;
  /** Nothing reads it, so it leaves `ok` as it is. */
  harmless: boolean;
  /** When it was set aside. */
  time?: number;
}

/** A batch of this device that counts nowhere. Its values are here and in the history; nothing shows them otherwise. */
export interface Problem {
  /** `rejected`: the hub refused it. `quarantined`: what it stood on was damaged on this device (CORRUPT), or it is of a version that is not known (VERSION). */
  kind: 'rejected' | 'quarantined';
  code: ErrorCode;
  message: string;
  /** Of the batch. */
  version: string;
  /** When the hub refused it, or the damage was found. */
  time: number;
  /** What the batch would have written; `value` is undefined for deletions. */
  changes: readonly { collection: string; id: string; value: unknown; deleted: boolean }[];
  /** Its only change, if it has one only. */
  collection?: string;
  id?: string;
  value?: unknown;
  /** Writes the same again as a new batch, over what is there now, and takes this one off the list: both or neither. */
  retry(): Promise<Receipt>;
  /** Takes it off the list. */
  dismiss(): Promise<void>;
}

export type ErrorCode =
  /** The database was closed, by this page or because another destroyed it, also while this one was put aside. Open it again. */
  | 'CLOSED'
  /** The caller gave up (AbortSignal), or others were faster each time. */
  | 'ABORTED'
  /** An argument that cannot be taken; the message names it. */
  | 'INVALID'
  /** There is no feed to be in sync with. */
  | 'LOCAL_ONLY'
  /** An id, or a collection's name, is too long. */
  | 'KEY_TOO_LONG'
  /** A value is too large. */
  | 'VALUE_TOO_LARGE'
  /** A batch is too large: split it. */
  | 'BATCH_TOO_LARGE'
  /** The browser gives no more space: nothing was written, reading goes on. In `Status.error`: the hub has none, and what is unsent waits. */
  | 'QUOTA'
  /**
   * The storage is gone, or another one than before: the browser took it away, it was cleared while no tab used it, or it was `memory`. What was
   * confirmed may be gone, but for what the hub has. From `open` also: it cannot be opened, though there is one. Close and open again.
   */
  | 'STORAGE_LOST'
  /** What is stored, here or (in `Status.error`) at the hub, is not what was written. */
  | 'CORRUPT'
  /** `destroy`: there are changes that the hub does not have. */
  | 'UNSENT'
  /** Another engine has the database to itself: of a tab that opened it with hosting `tab`, or of another program. Close that tab. */
  | 'LOCKED'
  /** The engine's worker ended, and no other could start or be found. What was confirmed is stored; open the database again. */
  | 'ENGINE_LOST'
  /** The hub wants a token, or another one; or none says whose replica is to be opened. */
  | 'UNAUTHENTICATED'
  /** The user has logged out, in this page or another: the database was closed. */
  | 'LOGGED_OUT'
  /** The token does not allow it, or it is another user's than the one for whom the database was opened: open it again. */
  | 'FORBIDDEN'
  /** Too much at once; it is tried again later. */
  | 'RATE_LIMITED'
  /** Only in `Status.error`: the hub has no such database yet, and the token may only read. Sync begins by itself when it was made. */
  | 'NOT_FOUND'
  /** The other side, hub or engine, said what cannot be understood. */
  | 'PROTOCOL'
  /** The other side, hub or engine, is of another version: reload, or update it. */
  | 'VERSION'
  /** The hub is not the one that this replica belongs to. */
  | 'OTHER_HUB'
  /** A marker that no event carried. */
  | 'UNKNOWN_MARKER'
  /** What was asked for lies before what history holds. */
  | 'TOO_OLD'
  /** The hub cannot be reached; only in `Status.error`. It is tried again by itself. */
  | 'OFFLINE'
  /** A defect of vsync, or a batch at which the hub died each time: please report the message. */
  | 'INTERNAL';

export class VsyncError extends Error {
  constructor(code: ErrorCode, message: string, options?: ErrorOptions);
  readonly name: 'VsyncError';
  readonly code: ErrorCode;
}
