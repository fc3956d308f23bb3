// Whose replica it is. What one user of this browser has written is nothing that another one may read, or send: each subject of a hub has
// a place of its own, by which everything is named that is this browser's: the storage, the locks, the worker, the door.
//
//   token ─▶ sub ─▶ hash ─▶ entry of the database {owner, last, …} ─▶ place: NAME for the owner, else NAME~HASH
//
//   owner   the first subject that has come: what was there before it stays where it was, and is that subject's
//   last    who opened it last: theirs is opened where no token can be had, as without a network
import type { Token } from './token.js';
import { change, look, reason, type Entry } from './entries.js';
import { VsyncError, describe, invalid } from './errors.js';
import { TOKEN_PATIENCE } from './limits.js';
import { bounded, hex, secure } from './locks.js';
import { aborted } from './request.js';

/** Whose a database is for a page that has it open. */
export class Subject {
  readonly name: string;
  readonly token: Token;
  #hash: string | undefined; // undefined: nobody's yet, whose first token says
  #found: Entry = {}; // what was noted then

  /** Under which name everything is that is this browser's. */
  place: string;

  constructor(name: string, token: Token) {
    this.name = name;
    this.token = token;
    this.place = name;
  }

  /**
   * Finds the place. A token that does not come for a while is not waited for. Rejects with UNAUTHENTICATED where there is none, and
   * others' data are there, with LOGGED_OUT where that happened meanwhile, with ABORTED, and with STORAGE_LOST where that cannot be looked up.
   */
  async find(signal: AbortSignal | undefined): Promise<this> {
    const before = look(this.name);
    if (this.token === undefined) {
      this.#found = (await before) ?? {};
      if (this.#found.owner === undefined) return this;
      throw new VsyncError('UNAUTHENTICATED', `"${this.name}" is a user's on this device: open it with a token`);
    }
    before.catch(() => undefined); // it is awaited below
    secure();
    let why: unknown;
    const text = await patient(ask(this.token), signal).catch((err: unknown) => void (why = err));
    if (signal?.aborted) throw aborted(signal);
    if (text !== undefined) {
      this.#found = (await before) ?? {};
      this.#hash = await hashOf(text);
      this.place = await this.#claim(this.#hash);
      return this;
    }
    const { owner, last } = (this.#found = (await look(this.name)) ?? {});
    if (last !== undefined) {
      this.#hash = last;
      this.place = placeOf(this.name, this.#found, last);
    } else if (owner !== undefined) {
      throw new VsyncError('UNAUTHENTICATED', `there is no token that says whose "${this.name}" is to be opened (${reason(why)}), and nobody has it open last: log in, and open it then`);
    }
    return this;
  }

  /** Says that a subject has come, and where it is. Rejects with LOGGED_OUT where one has left since the token was asked for. */
  async #claim(hash: string): Promise<string> {
    this.#found = await change(this.name, (entry) => {
      if (past(entry.outs, this.#found.outs)) throw loggedOut(this.name);
      return entry.owner !== undefined && entry.last === hash ? entry : { ...entry, owner: entry.owner ?? hash, last: hash };
    });
    return placeOf(this.name, this.#found, hash);
  }

  /** A token for the hub. Rejects with FORBIDDEN where it is not of whom the database was opened for, and with what the function throws. */
  async give(): Promise<string> {
    const text = await ask(this.token);
    const hash = await hashOf(text);
    if (this.#hash === undefined && (await this.#claim(hash)) === this.place) this.#hash = hash;
    if (this.#hash === hash) return text;
    throw new VsyncError('FORBIDDEN', `the token is of another user than the one whose "${this.name}" this page has open: nothing was sent with it. Open the database again for the new one`);
  }

  /** Whether a logout, of which this is the so manieth, is of whom the database is open for. */
  async left(outs: number): Promise<boolean> {
    if (this.token === undefined && (await look(this.name))?.owner === undefined) return false;
    return past(outs, this.#found.outs);
  }

  /** Rejects where others have ended it since it was found: with LOGGED_OUT, unless that is known by then, or with CLOSED, as it was destroyed. */
  async still(leaving: () => boolean): Promise<void> {
    const now = await look(this.name).catch(() => undefined); // where storage is at fault, the engine says so
    if (!leaving() && past(now?.outs, this.#found.outs)) throw loggedOut(this.name);
    if (past(now?.gone?.[this.place], this.#found.gone?.[this.place])) throw new VsyncError('CLOSED', 'the database was destroyed by another page');
  }
}

/** Whether one count is beyond an earlier one. */
const past = (now = 0, before = 0): boolean => now > before;

export const loggedOut = (name: string): VsyncError =>
  new VsyncError('LOGGED_OUT', `the user whose "${name}" this page had open has logged out: show nothing of it any more, and open it again for who logs in`);

/** Notes that what was at a place is destroyed, and forgets that it was opened last, unless that is another one by now. */
export async function bury(name: string, place: string): Promise<void> {
  await change(name, ({ last, ...entry }) => {
    const other = last !== undefined && placeOf(name, entry, last) !== place;
    return { ...entry, ...(other ? { last } : {}), gone: { ...entry.gone, [place]: (entry.gone?.[place] ?? 0) + 1 } };
  });
}

/** The place of who opened it last. Rejects with INVALID after a logout. */
export async function lastPlace(name: string): Promise<string> {
  const entry = await look(name);
  if (entry?.last !== undefined) return placeOf(name, entry, entry.last);
  if (entry?.owner === undefined) return name;
  throw invalid(`nobody has "${name}" open last, since a logout, so it is not known whose is to be destroyed: destroy it before, or open it for that user`);
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

