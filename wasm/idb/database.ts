// Databases as wholes: opened, deleted, looked for.
import { cancelled, corrupt, failed, Failure, gone, missing, done, newer, noSpace, taken, unavailable } from './failure.js';

export const rows = 'rows';
export const version = 1;

/** How long one waits for other programs that have the database open and were told to close it, in ms. */
const patience = 5000;

/** How often a database is tried to be opened, and how long is waited in between, in ms: the browser may be starting a process. */
const attempts = 5;
const pause = 200;

/** Throws where there is no IndexedDB at all. Some browsers throw already when one looks. */
export function available(): void {
  try {
    if (globalThis.indexedDB) return;
  } catch (err) {
    throw refusal(err);
  }
  throw new Failure(unavailable, 'there is no IndexedDB');
}

/** Opens the database, or makes it; it must be there already where `again` says so, and is `gone` if it is not. */
export async function connect(name: string, again = false): Promise<IDBDatabase> {
  const db = await new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open(name, version);
    let reason: unknown;
    let late: ReturnType<typeof setTimeout> | undefined;
    request.onupgradeneeded = () => {
      request.transaction!.onabort = () => { reason ??= request.transaction?.error; };
      if (!again) return void request.result.createObjectStore(rows);
      reason = new Failure(gone, `the database ${name} is not there any more`);
      request.transaction!.abort();
    };
    request.onblocked = () => {
      late = setTimeout(() => reject((reason = new Failure(taken, 'another program has it open and does not close it'))), patience);
    };
    request.onsuccess = () => {
      clearTimeout(late);
      if (reason) request.result.close();
      resolve(request.result);
    };
    request.onerror = () => reject(reason ?? request.error);
  }).catch((err: unknown) => {
    throw err instanceof Failure ? err : refusal(err);
  });
  if (db.objectStoreNames.contains(rows)) return db;
  db.close();
  throw new Failure(corrupt, `the database ${name} is there, but has no ${rows}`);
}

/** Opens the database as connect does, and tries again where that may have failed for the moment only: an empty one is no substitute. */
export async function insist(name: string, signal?: AbortSignal, again = false): Promise<IDBDatabase> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await connect(name, again);
    } catch (err) {
      const passing = err instanceof Failure && (err.status === failed || (again && err.status === unavailable));
      if (attempt === attempts || !passing || signal?.aborted) throw err;
      await new Promise((next) => setTimeout(next, pause));
    }
  }
}

/** Chromium, and what is made of it. */
export const chromium = /Chrome\//.test(globalThis.navigator?.userAgent ?? '');

/** A database that is there for moments, and has nothing in it. */
const nothing = 'vsync-new-log';

/**
 * Has Chromium begin a new log, as a connection has just been opened: see doc.go. Nobody waits for it. Where it fails, as there is no space or
 * the site's data are just being cleared, there is nothing else to be done.
 */
export function beginLog(): void {
  if (!chromium) return;
  const request = indexedDB.open(nothing);
  request.onsuccess = () => {
    request.result.close();
    indexedDB.deleteDatabase(nothing);
  };
}

/**
 * What an error means that comes before a database is open. `unavailable` are those alone by which browsers say that a page is to have no
 * storage: SecurityError where it is blocked, InvalidStateError in private windows of Firefox before 115. All others may befall one that is there.
 */
export function refusal(err: unknown): Failure {
  const { name = '' } = (err ?? {}) as Partial<DOMException>;
  return new Failure(refusals[name] ?? failed, String(err));
}

const refusals: Record<string, number> = {
  VersionError: newer,
  QuotaExceededError: noSpace,
  SecurityError: unavailable,
  InvalidStateError: unavailable,
  NotSupportedError: unavailable,
};

/** Deletes the database, if there is one. Once the browser has been asked it cannot be told to stop. */
export function remove(name: string, signal: AbortSignal): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const request = indexedDB.deleteDatabase(name);
    request.onsuccess = () => resolve();
    request.onerror = () => reject(request.error);
    request.onblocked = () => setTimeout(() => reject(new Failure(taken, 'another program has it open and does not close it')), patience);
    signal.addEventListener('abort', () => reject(new Failure(cancelled, 'cancelled')));
  });
}

/** Says whether there is a database, as a status. */
export async function look(name: string): Promise<number> {
  const there = indexedDB.databases ? (await indexedDB.databases()).some((info) => info.name === name) : await lookByOpening(name);
  return there ? done : missing;
}

/** A database that is only made because it is opened is not there; the aborted upgrade takes it back. */
function lookByOpening(name: string): Promise<boolean> {
  return new Promise<boolean>((resolve, reject) => {
    let made = false;
    const request = indexedDB.open(name);
    request.onupgradeneeded = () => {
      made = true;
      request.transaction!.abort();
    };
    request.onsuccess = () => {
      request.result.close();
      resolve(true);
    };
    request.onerror = () => (made ? resolve(false) : reject(request.error));
  }).catch((err: unknown) => {
    throw refusal(err);
  });
}
