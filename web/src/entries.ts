// What is known of the databases of this browser, stored beside the replicas, so that nothing takes it away and leaves what it guards.
import { VsyncError } from './errors.js';

/** What is known of a database. subject.ts says what the first two mean. */
export interface Entry {
  owner?: string;
  last?: string;
  /** How many logouts there were. */
  outs?: number;
  /** How many times what was at a place was destroyed. */
  gone?: Record<string, number>;
}

const STORE = 'databases';

/** No database has this name, as "~" stands in none. */
function entries(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open('~vsync', 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Opens the entries. Undefined where the browser has no storage to give, as then no replica is kept either. */
async function stored(name: string): Promise<IDBDatabase | undefined> {
  try {
    if (globalThis.indexedDB) return await entries();
  } catch (err) {
    if (!(err instanceof DOMException) || (err.name !== 'SecurityError' && err.name !== 'InvalidStateError')) throw unknown(name, err);
  }
  return undefined;
}

export const reason = (err: unknown): string => (err instanceof Error ? err.message : String(err));

const unknown = (name: string, err: unknown): VsyncError =>
  new VsyncError('STORAGE_LOST', `whose "${name}" is could not be looked up or stored: ${reason(err)}. Free some storage of this site, or reload the page`, { cause: err });

/**
 * Puts what fn makes of an entry in its place, in one transaction; the same one stays as it is. Returns what is there then. Where nothing
 * is stored there is an owner whom nobody is. Rejects with what fn throws, and with STORAGE_LOST.
 */
export async function change(name: string, fn: (entry: Entry) => Entry): Promise<Entry> {
  const db = await stored(name);
  if (!db) return fn({ owner: '' });
  let now: Entry = {};
  let refusal: unknown;
  try {
    await new Promise<void>((resolve, reject) => {
      const tx = db.transaction(STORE, 'readwrite');
      const store = tx.objectStore(STORE);
      const read = store.get(name) as IDBRequest<Entry | undefined>;
      read.onsuccess = () => {
        const was = read.result ?? {};
        try {
          now = fn(was);
        } catch (err) {
          refusal = err;
          return tx.abort();
        }
        if (now !== was) store.put(now, name);
      };
      tx.oncomplete = () => resolve();
      tx.onabort = () => reject(tx.error);
    });
  } catch (err) {
    throw refusal ?? unknown(name, err);
  } finally {
    db.close();
  }
  return now;
}

export async function look(name: string): Promise<Entry | undefined> {
  const db = await stored(name);
  if (!db) return undefined;
  try {
    return await new Promise((resolve, reject) => {
      const read = db.transaction(STORE).objectStore(STORE).get(name) as IDBRequest<Entry | undefined>;
      read.onsuccess = () => resolve(read.result);
      read.onerror = () => reject(read.error);
    });
  } catch (err) {
    throw unknown(name, err);
  } finally {
    db.close();
  }
}
