// The half of package idb that speaks with IndexedDB. Its doc.go says what is stored and who owns it, pack.go how calls are packed.
import { call, text, view } from '../seam.js';
import type { GoInstance } from '../seam.js';
import { available, beginLog, chromium, look, insist, remove, rows, version } from './database.js';
import { broken, cancelled, done, Failure, gone, missing, newer } from './failure.js';
import { lock } from './lock.js';
import { get, scan, select } from './read.js';
import type { Found, Range } from './read.js';

/** An open database. */
interface Open {
  name: string;
  db: IDBDatabase;
  release(): void; // the lock
  lost?: number; // for good, and what that is: gone or newer
  pending: Set<number>; // ids of calls
  commits: number; // of them, those that write
  again?: Promise<void>; // a new connection is being opened
}

/** The transaction of a call; settle says whether this is the call's first end. */
interface Begun {
  tx: IDBTransaction;
  settle(): boolean;
}

/** Operations of a commit, as core/store numbers them. */
const put = 1;
const del = 2;

/**
 * WebKit (2.50): a transaction that was told to commit, and whose worker ends before that is done, is never ended, and nobody else gets into
 * the database. One that ends by itself is given up with its worker, as it should be. What is lost so was not confirmed.
 */
const leavesCommitting = /AppleWebKit\//.test(globalThis.navigator?.userAgent ?? '') && !chromium;

export function idb(go: GoInstance): WebAssembly.Imports {
  const open = new Map<number, Open>();
  const running = new Map<number, AbortController>(); // what a cancel reaches

  // --- answers ---

  let answer: ((into: Uint8Array) => void) | undefined;

  /** Tells Go how a call has ended; Go takes the answer before this returns. */
  function tell(id: number, status: number, size = 0, write?: (into: Uint8Array) => void): void {
    answer = write;
    call(go, 'vsync_idb_done', id, status, size);
  }

  function tellFailure(id: number, err: unknown): void {
    const failure = Failure.of(err);
    const message = new TextEncoder().encode(failure.message);
    tell(id, failure.status, message.length, (into) => into.set(message));
  }

  // --- databases as wholes ---

  /** Runs what may wait for a lock. */
  function run(id: number, work: (signal: AbortSignal) => Promise<number>): void {
    const controller = new AbortController();
    running.set(id, controller);
    work(controller.signal)
      .finally(() => running.delete(id))
      .then((status) => tell(id, status), (err: unknown) => tellFailure(id, err));
  }

  async function openDatabase(handle: number, name: string, signal: AbortSignal): Promise<number> {
    available();
    const release = await lock(name, version, signal, { stolen: () => lose(handle, gone), newer: () => refuse(handle, newer) });
    let db: IDBDatabase | undefined;
    try {
      db = await insist('vsync:' + name, signal);
      if (signal.aborted) throw new Failure(cancelled, 'cancelled');
    } catch (err) {
      db?.close();
      release();
      throw err;
    }
    open.set(handle, { name: 'vsync:' + name, db, release, pending: new Set(), commits: 0 });
    attend(handle, db);
    beginLog();
    return done;
  }

  /** Notices the end of a connection. */
  function attend(handle: number, db: IDBDatabase): void {
    db.onclose = () => lapse(handle, db);
    // Somebody deletes the database, or makes a newer one of it. What is under way comes to its end, then it is closed.
    db.onversionchange = ({ newVersion }) => {
      db.close();
      refuse(handle, newVersion === null ? gone : newer);
    };
  }

  /** From now on calls are refused. */
  function refuse(handle: number, why: number): void {
    const database = open.get(handle);
    if (!database || database.lost) return;
    database.lost = why;
    call(go, 'vsync_idb_lost', handle, why);
  }

  /** The connection is gone, and what was under way has ended nobody knows how. */
  function hangUp(database: Open, status: number): void {
    const pending = [...database.pending];
    database.pending.clear();
    database.commits = 0;
    database.db.close();
    for (const id of pending) tellFailure(id, new Failure(status, 'the browser has closed the connection'));
  }

  /** The storage is gone, or somebody else's. */
  function lose(handle: number, why: number): void {
    const database = open.get(handle);
    if (!database) return;
    hangUp(database, why);
    refuse(handle, why);
  }

  /**
   * The browser has closed a connection: another one is opened, and calls are made again. One commit may be made twice, as it writes the
   * same; of several, the first would undo what the second has done.
   */
  function lapse(handle: number, db: IDBDatabase): void {
    const database = open.get(handle);
    if (!database || database.lost || database.db !== db || database.again) return;
    if (database.commits > 1) return lose(handle, gone);
    database.again = insist(database.name, undefined, true).then(
      (fresh) => {
        if (open.get(handle) !== database || database.lost) return fresh.close();
        delete database.again;
        database.db = fresh;
        attend(handle, fresh);
        beginLog();
      },
      (err: unknown) => lose(handle, Failure.of(err).status === newer ? newer : gone),
    );
    hangUp(database, broken);
  }

  /** Says when a new connection stands. */
  async function reopened(handle: number): Promise<number> {
    await open.get(handle)?.again;
    const database = open.get(handle);
    if (!database || database.lost) throw new Failure(database?.lost ?? gone, 'the browser has taken the storage away');
    return done;
  }

  function close(handle: number): void {
    const database = open.get(handle);
    if (!database) return;
    open.delete(handle);
    database.db.close();
    database.release();
  }

  async function deleteDatabase(name: string, signal: AbortSignal): Promise<number> {
    available();
    const release = await lock(name, version, signal, { stolen: () => undefined, newer: () => undefined });
    await remove('vsync:' + name, signal).finally(release);
    return done;
  }

  async function exists(name: string): Promise<number> {
    available();
    return look('vsync:' + name);
  }

  go.onExit(() => {
    for (const controller of running.values()) controller.abort();
    for (const handle of [...open.keys()]) close(handle);
  });

  // --- rows ---

  /** Begins the transaction of a call. That it cannot is told later: Go stands in the middle of its call. */
  function begin(handle: number, id: number, mode: IDBTransactionMode, durability: IDBTransactionDurability): Begun | undefined {
    const database = open.get(handle);
    const { db } = database ?? {};
    try {
      if (!database || database.lost) throw new Failure(database?.lost ?? gone, 'the connection is closed');
      if (database.again) throw new Failure(broken, 'the connection is being opened again');
      const tx = db!.transaction(rows, mode, { durability });
      const write = Number(mode === 'readwrite');
      database.pending.add(id);
      database.commits += write;
      const settle = (): boolean => {
        const first = database.pending.delete(id);
        if (first) database.commits -= write;
        return first;
      };
      return { tx, settle };
    } catch (err) {
      queueMicrotask(() => {
        if (db && Failure.of(err).status === broken) lapse(handle, db);
        tellFailure(id, err);
      });
      return undefined;
    }
  }

  /** A call has failed in the middle. If that is because the connection has ended, it is the first to know, and its end is that of all. */
  function ended(handle: number, id: number, { tx, settle }: Begun, err: unknown): void {
    if (Failure.of(err).status === broken) lapse(handle, tx.db);
    if (settle()) tellFailure(id, err);
  }

  /** Runs a read in a transaction of its own and tells what it finds. */
  function read<T>(handle: number, id: number, work: (store: IDBObjectStore) => Promise<T>, found: (result: T) => void): void {
    const begun = begin(handle, id, 'readonly', 'default');
    if (!begun) return;
    work(begun.tx.objectStore(rows)).then(
      (result) => { if (begun.settle()) found(result); },
      (err: unknown) => ended(handle, id, begun, err),
    );
  }

  function commit(handle: number, id: number, packed: Uint8Array<ArrayBuffer>, durability: IDBTransactionDurability): void {
    const begun = begin(handle, id, 'readwrite', durability);
    if (!begun) return;
    const { tx, settle } = begun;
    let reason: unknown;
    tx.oncomplete = () => { if (settle()) tell(id, done); };
    tx.onerror = ({ target }) => { reason ??= (target as IDBRequest).error; }; // of the request that ends it: Firefox says it here alone
    tx.onabort = () => ended(handle, id, begun, reason ?? tx.error ?? new Failure(broken, 'the browser has ended the transaction'));
    try {
      apply(tx.objectStore(rows), packed);
      if (!leavesCommitting) tx.commit?.();
    } catch (err) {
      reason = err;
      tx.abort();
    }
  }

  return {
    vsync_idb: {
      open: (id: number, name: number, length: number) => {
        const database = text(go, name, length);
        run(id, (signal) => openDatabase(id, database, signal));
      },
      delete: (id: number, name: number, length: number) => {
        const database = text(go, name, length);
        run(id, (signal) => deleteDatabase(database, signal));
      },
      exists: (id: number, name: number, length: number) => {
        const database = text(go, name, length);
        run(id, () => exists(database));
      },
      reopened: (handle: number, id: number) => run(id, () => reopened(handle)),
      cancel: (id: number) => running.get(id)?.abort(),
      close,
      commit: (handle: number, id: number, packed: number, length: number, strict: number) =>
        commit(handle, id, view(go, packed, length), strict ? 'strict' : 'relaxed'),
      get: (handle: number, id: number, packed: number, length: number) => {
        const key = view(go, packed, length).slice();
        read(handle, id, (store) => get(store, key), (value) => {
          if (value) tell(id, done, value.length, (into) => into.set(value));
          else tell(id, missing);
        });
      },
      scan: (handle: number, id: number, packed: number, length: number) => {
        const range = unpackRange(view(go, packed, length));
        read(handle, id, (store) => scan(store, range), (found) => tell(id, done, found.size, (into) => packRows(found, into)));
      },
      take: (to: number, length: number) => answer?.(view(go, to, length)),
    },
  };
}

/** Issues the requests of a commit. What is stored is copied out of Go's memory: a view would drag all of that along. */
function apply(store: IDBObjectStore, packed: Uint8Array<ArrayBuffer>): void {
  const numbers = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  for (let at = 0; at < packed.length; ) {
    const kind = numbers.getUint32(at, true);
    const second = at + 12 + numbers.getUint32(at + 4, true);
    const end = second + numbers.getUint32(at + 8, true);
    const key = packed.slice(at + 12, second);
    if (kind === put) store.put(packed.slice(second, end), key);
    else if (kind === del) store.delete(key);
    else store.delete(select(key, packed.slice(second, end))!);
    at = end;
  }
}

function unpackRange(packed: Uint8Array<ArrayBuffer>): Range {
  const number = (i: number) => new DataView(packed.buffer, packed.byteOffset).getUint32(4 * i, true);
  const to = 20 + number(3);
  return { reverse: number(0) === 1, limit: number(1), maxBytes: number(2), from: packed.slice(20, to), to: packed.slice(to) };
}

function packRows({ rows }: Found, into: Uint8Array): void {
  const numbers = new DataView(into.buffer, into.byteOffset);
  let at = 0;
  for (const { key, value } of rows) {
    numbers.setUint32(at, key.length, true);
    numbers.setUint32(at + 4, value.length, true);
    into.set(key, at + 8);
    into.set(value, at + 8 + key.length);
    at += 8 + key.length + value.length;
  }
}
