// Whose replica it is. What one user of this browser has written is nothing that another one may read, or send: each subject of a hub has
// a place of its own, by which everything is named that is this browser's: the storage, the locks, the worker, the door.
//
//   token ─▶ sub ─▶ hash ─▶ entry of the database {owner, last} ─▶ place: NAME for the owner, else NAME~HASH
//
//   owner   the first subject that has come: what was there before it stays where it was, and is that subject's
//   last    who opened it last: theirs is opened where no token can be had, as without a network
//
// The entries are stored beside the replicas, so that nothing takes them away and leaves what they guard.
import type { Token } from './token.js';
import { VsyncError, describe, invalid } from './errors.js';
import { TOKEN_PATIENCE } from './limits.js';
import { bounded, hex, secure } from './locks.js';
import { aborted } from './request.js';

/** What is known of a database. */
interface Entry {
  owner?: string | undefined;
  last?: string | undefined;
}

/** Whose a database is for a page that has it open. */
export class Subject {
  readonly name: string;
  readonly token: Token;
  #hash: string | undefined; // undefined: nobody's yet, whose first token says

  /** Under which name everything is that is this browser's. */
  place: string;

  constructor(name: string, token: Token) {
    this.name = name;
    this.token = token;
    this.place = name;
  }

  /**
   * Finds the place. A token that does not come for a while is not waited for. Rejects with UNAUTHENTICATED where there is none, and
   * others' data are there, with ABORTED, and with STORAGE_LOST where that cannot be looked up.
   */
  async find(signal: AbortSignal | undefined): Promise<this> {
    if (this.token === undefined) {
      if ((await look(this.name))?.owner === undefined) return this;
      throw new VsyncError('UNAUTHENTICATED', `"${this.name}" is a user's on this device: open it with a token`);
    }
    secure();
    let why: unknown;
    const text = await patient(ask(this.token), signal).catch((err: unknown) => void (why = err));
    if (signal?.aborted) throw aborted(signal);
    const entry = text === undefined ? await look(this.name) : undefined;
    if (text !== undefined) {
      this.#hash = await hashOf(text);
      this.place = await claim(this.name, this.#hash);
    } else if (entry?.last !== undefined) {
      this.#hash = entry.last;
      this.place = placeOf(this.name, entry, this.#hash);
    } else if (entry?.owner !== undefined) {
      throw new VsyncError('UNAUTHENTICATED', `there is no token that says whose "${this.name}" is to be opened (${reason(why)}), and nobody has it open last: log in, and open it then`);
    }
    return this;
  }

  /** A token for the hub. Rejects with FORBIDDEN where it is not of whom the database was opened for, and with what the function throws. */
  async give(): Promise<string> {
    const text = await ask(this.token);
    const hash = await hashOf(text);
    if (this.#hash === undefined && (await claim(this.name, hash)) === this.place) this.#hash = hash;
    if (this.#hash === hash) return text;
    throw new VsyncError('FORBIDDEN', `the token is of another user than the one whose "${this.name}" this page has open: nothing was sent with it. Open the database again for the new one`);
  }
}

/** Forgets who opened a database last. */
export const forget = (name: string): Promise<void> => change(name, ({ owner }) => (owner === undefined ? undefined : { owner }));

/** The place of who opened it last. Rejects with INVALID after a logout. */
export async function lastPlace(name: string): Promise<string> {
  const entry = await look(name);
  if (entry?.last !== undefined) return placeOf(name, entry, entry.last);
  if (entry?.owner === undefined) return name;
  throw invalid(`nobody has "${name}" open last, since a logout, so it is not known whose is to be destroyed: destroy it before, or open it for that user`);
}

/** Says that a subject has come, and where it is. */
async function claim(name: string, hash: string): Promise<string> {
  let entry: Entry = {};
  await change(name, ({ owner = hash }) => (entry = { owner, last: hash }));
  return placeOf(name, entry, hash);
}

const placeOf = (name: string, { owner }: Entry, hash: string): string => (owner === hash ? name : `${name}~${hash}`);

async function ask(token: Token): Promise<string> {
  const text: unknown = typeof token === 'function' ? await token() : token;
  if (typeof text !== 'string' || text === '') throw new Error(`the token function has to return a string, it returned ${describe(text)}`);
  return text;
}

/** Whose token it is. What has no subject, or cannot be read here, is one subject's: the hub looks at it in earnest. */
async function hashOf(token: string): Promise<string> {
  const bytes = new TextEncoder().encode(subjectOf(token));
  return hex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes), 0, 16));
}

function subjectOf(token: string): string {
  try {
    const body = token.split('.')[1]!.replaceAll('-', '+').replaceAll('_', '/');
    const claims: unknown = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(body), (c) => c.charCodeAt(0))));
    const { sub } = claims as { sub?: unknown };
    return typeof sub === 'string' ? sub : '';
  } catch {
    return '';
  }
}

/** Waits for a token, but not for long. */
function patient(token: Promise<string>, signal: AbortSignal | undefined): Promise<string> {
  const patience = bounded(signal ?? new AbortController().signal, TOKEN_PATIENCE);
  const late = new Promise<never>((_, reject) => {
    const end = (): void => reject(new Error(`none has come in ${TOKEN_PATIENCE / 1000} s`));
    patience.signal.addEventListener('abort', end);
    if (patience.signal.aborted) end();
  });
  return Promise.race([token, late]).finally(patience.end);
}

const reason = (err: unknown): string => (err instanceof Error ? err.message : String(err));

const STORE = 'databases';

/** The entries. No database has this name, as "~" stands in none. */
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

const unknown = (name: string, err: unknown): VsyncError =>
  new VsyncError('STORAGE_LOST', `whose "${name}" is could not be looked up or stored: ${reason(err)}. Free some storage of this site, or reload the page`, { cause: err });

/** Does something with an entry in one transaction. */
async function change(name: string, fn: (entry: Entry) => Entry | undefined): Promise<void> {
  const db = await stored(name);
  if (!db) return void fn({ owner: '' });
  try {
    await new Promise<void>((resolve, reject) => {
      const tx = db.transaction(STORE, 'readwrite');
      const store = tx.objectStore(STORE);
      const read = store.get(name) as IDBRequest<Entry | undefined>;
      read.onsuccess = () => {
        const was = read.result ?? {};
        const now = fn(was);
        if (now === undefined) store.delete(name);
        else if (now.owner !== was.owner || now.last !== was.last) store.put(now, name);
      };
      tx.oncomplete = () => resolve();
      tx.onabort = () => reject(tx.error);
    });
  } catch (err) {
    throw unknown(name, err);
  } finally {
    db.close();
  }
}

async function look(name: string): Promise<Entry | undefined> {
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
