import type { Batch, CheckReport, Collection, Database, Past, Receipt, WatchEvent, WatchOptions } from '../vsync.js';
import { checkCollection, fieldsOf, signalOf } from './arguments.js';
import { batch } from './batch.js';
import { check } from './check.js';
import { Objects } from './collection.js';
import { VsyncError, again } from './errors.js';
import { CLOSE, DISMISS, HELLO, PAUSE, PROTOCOL, RESUME } from './frame.js';
import { follow } from './life.js';
import { LEAVING } from './limits.js';
import { Ear } from './logout.js';
import type { Options } from './options.js';
import { at, undo } from './past.js';
import { Link } from './request.js';
import { Session } from './revive.js';
import { Board, persist } from './status.js';
import { Subject, loggedOut } from './subject.js';
import { answer } from './token.js';
import { watch } from './watch.js';
import { retry, synced } from './write.js';

/** What a database of this page stands on. */
interface Parts {
  subject: Subject;
  link: Link;
  board: Board;
  session: Session;
  ear: Ear;
}

/** A database whose engine, and each that follows it, this page shakes hands with. */
export async function openDatabase(name: string, options: Options): Promise<Database> {
  const subject = new Subject(name, options.token);
  const found = subject.find(options.signal);
  found.catch(() => undefined); // it is awaited below
  let database: Replica | undefined;
  let session: Session | undefined;
  const link: Link = new Link({
    status: (r) => board.read(r),
    ask: (n) => answer(link, n, subject),
    silent: () => session?.silent(),
    lost: (err) => database?.lost(err),
  });
  const board = boardOf(link);
  const leave = (err: VsyncError): void => (database ? database.leave(err) : link.end(err));
  const ear = new Ear(name, (outs) => void found.then(() => subject.left(outs)).then((left) => left && leave(loggedOut(name)), () => undefined));
  ear.open();
  try {
    if (options.token !== undefined) await found; // else the place is the name, if it may be opened
    const met = (session = new Session({
      name: subject.place,
      wanted: options.hosting,
      link,
      first: (signal) => hello(link, subject, options, { paused: board.current.paused, had: database ? link.stored || board.device : '' }, signal),
      met: (hosting) => board.host(hosting),
      seeking: (why) => board.seek(why),
      closed: () => board.closed,
      still: () => subject.still(() => database?.leaving ?? false),
    }));
    await met.begin(options.signal);
    await found.catch((err: unknown) => {
      met.release();
      throw err;
    });
    database = new Replica(name, { subject, link, board, session: met, ear });
  } catch (err) {
    ear.close();
    throw err;
  }
  if (link.over) database.lost(link.over);
  void persist().then(() => board.look(true));
  return database;
}

const boardOf = (link: Link): Board =>
  new Board(
    {
      retry: async (version) => retry(link, version),
      dismiss: async (version) => link.request(DISMISS, 1, (w) => void w.str(version), 0, () => undefined, { write: true, once: true }),
    },
    (fn) => link.later(fn),
  );

/** What the engine before has told this page. */
interface Before {
  paused: boolean;
  had: string; // what it has stored, or its device; empty: there was none
}

/**
 * Shakes hands. An engine that follows another one does not know that the exchange with the hub was paused; one that has other pages does. It
 * refuses where it does not have the storage that the other one had.
 */
async function hello(link: Link, { name, place }: Subject, options: Options, { paused, had }: Before, signal: AbortSignal): Promise<void> {
  await link.first(
    HELLO,
    2,
    (w) => {
      w.int(PROTOCOL);
      w.map(5 + Number(place !== name) + Number(paused) + Number(had !== '') + Number(options.rules.length > 0));
      const field = (key: string, value: string): void => {
        w.str(key);
        w.str(value);
      };
      field('name', name);
      if (place !== name) field('place', place);
      field('feed', options.feed);
      field('durability', options.durability);
      w.str('token');
      w.bool(options.token !== undefined);
      field('agent', globalThis.navigator?.userAgent ?? '');
      if (paused) {
        w.str('paused');
        w.bool(true);
      }
      if (had !== '') field('had', had);
      if (options.rules.length > 0) {
        w.str('collections');
        w.map(options.rules.length);
        for (const [collection, rules] of options.rules) {
          w.str(collection);
          w.bin(rules);
        }
      }
    },
    1, // the device, which STATUS said before
    signal,
  );
}

const closed = (): VsyncError => new VsyncError('CLOSED', 'the database was closed: open it again');

class Replica implements Database {
  readonly name: string;
  readonly #link: Link;
  readonly #session: Session;
  readonly #board: Board;
  readonly #ear: Ear;
  readonly #collections = new Map<string, Objects<unknown>>();
  readonly #unfollow: () => void;
  #closing: Promise<void> | undefined;
  #left: VsyncError | undefined;

  constructor(name: string, { subject, link, board, session, ear }: Parts) {
    this.name = name;
    this.#link = link;
    this.#session = session;
    this.#board = board;
    this.#ear = ear;
    this.#unfollow = follow({
      say: (kind) => {
        this.#link.say(kind, 0, 0);
        this.#link.flush();
      },
      sleep: (how) => {
        if (how === 'cached') ear.close(); // or browsers would not keep the page
        if (how === 'cached' || session.hosting === 'leader') session.sleep();
      },
      wake: () => {
        ear.open();
        if (!session.wake()) subject.still(() => this.leaving).catch((err: VsyncError) => this.leave(err));
      },
    });
  }

  get device(): string {
    return this.#board.device;
  }

  get status(): Board {
    return this.#board;
  }

  collection<T>(name: string): Collection<T> {
    let known = this.#collections.get(name);
    if (!known) {
      checkCollection(name);
      known = new Objects<unknown>(this.#link, name);
      this.#collections.set(name, known);
    }
    return known as Objects<T>;
  }

  batch(fn: (tx: Batch) => void | Promise<void>, options?: { note?: string }): Promise<Receipt> {
    return batch(this.#link, fn, options);
  }

  undo(version: string, options?: { note?: string }): Promise<Receipt> {
    return undo(this.#link, version, options);
  }

  at(when: string | number | Date): Promise<Past> {
    return at(this.#link, when);
  }

  check(options?: { repair?: boolean }): Promise<CheckReport> {
    return check(this.#link, options);
  }

  watch(options?: WatchOptions): AsyncIterable<WatchEvent> {
    return watch(this.#link, '', options);
  }

  async synced(options?: { signal?: AbortSignal }): Promise<void> {
    fieldsOf('synced', options, ['signal']);
    const signal = signalOf('synced', options);
    // What was called before is meant, so it is to be written first.
    await this.#link.written(signal);
    return synced(this.#link, '', options);
  }

  pause(): void {
    this.#tell(PAUSE);
  }

  resume(): void {
    this.#tell(RESUME);
  }

  #tell(kind: number): void {
    const err = this.#link.over;
    if (err) throw again(err);
    // It cannot be refused; if the engine is lost meanwhile, the status says so.
    this.#link.request(kind, 0, undefined, 0, () => undefined).catch(() => undefined);
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close(closed()));
  }

  async #close(why: VsyncError): Promise<void> {
    this.#link.quit(why);
    await this.#link.written();
    try {
      await this.#link.bye(CLOSE);
    } finally {
      this.#link.end(why);
      this.#let();
    }
  }

  /** Others have ended it. Where its user has left, what was to be written still is, if that is soon done. */
  leave(why: VsyncError): void {
    if (why.code !== 'LOGGED_OUT') return this.#link.end(why);
    if (this.#closing) return;
    this.#left = why;
    const late = setTimeout(() => this.#link.end(why), LEAVING);
    this.#closing = this.#close(why).catch(() => undefined).finally(() => clearTimeout(late));
  }

  /** Its user has left. */
  get leaving(): boolean {
    return this.#left !== undefined;
  }

  /** The link is over, by close() or because the engine is gone. */
  lost(err: VsyncError): void {
    this.#board.close(this.#left ?? (this.#closing ? undefined : err));
    this.#let();
  }

  #let(): void {
    this.#unfollow();
    this.#ear.close();
    this.#session.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
