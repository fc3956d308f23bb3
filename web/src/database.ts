import type { Batch, Collection, Database, Receipt, WatchEvent, WatchOptions } from '../vsync.js';
import { checkCollection, fieldsOf, signalOf } from './arguments.js';
import { batch } from './batch.js';
import { Objects } from './collection.js';
import { connect, type Connection } from './connect.js';
import { VsyncError, again } from './errors.js';
import { CLOSE, DISMISS, HELLO, PAUSE, PROTOCOL, RESUME } from './frame.js';
import { follow } from './life.js';
import type { Options } from './options.js';
import type { Reader } from './reader.js';
import type { Link } from './request.js';
import { Board, persist } from './status.js';
import { answer } from './token.js';
import { watch } from './watch.js';
import { retry, synced } from './write.js';

/** An engine that this page shook hands with. */
export async function openDatabase(name: string, options: Options): Promise<Database> {
  // What comes before the database is there, STATUS and ASK, is kept for it.
  const early: (() => void)[] = [];
  let database: Replica | undefined;
  const whenOpen = (fn: () => void): void => void (database ? fn() : early.push(fn));
  let status: ((r: Reader) => void) | undefined;
  const connection = await connect(
    name,
    options.hosting,
    {
      status: (r) => (status ? status(r) : r.skip()),
      ask: (n) => answer(connection.link, n, options.token),
      lost: (err) => whenOpen(() => database!.lost(err)),
    },
    options.signal,
  );
  const { link } = connection;
  const board = new Board(
    connection.hosting,
    {
      retry: async (version) => retry(link, version),
      dismiss: async (version) => link.request(DISMISS, 1, (w) => void w.str(version), 0, () => undefined, { write: true }),
    },
    (fn) => link.later(fn),
  );
  status = (r) => board.read(r);
  try {
    await hello(link, name, options);
  } catch (err) {
    connection.release();
    throw err;
  }
  database = new Replica(name, connection, board);
  for (const fn of early) fn();
  void persist().then(() => board.look(true));
  return database;
}

function hello(link: Link, name: string, options: Options): Promise<void> {
  return link.request(
    HELLO,
    2,
    (w) => {
      w.int(PROTOCOL);
      w.map(5);
      const field = (key: string, value: string): void => {
        w.str(key);
        w.str(value);
      };
      field('name', name);
      field('feed', options.feed);
      field('durability', options.durability);
      w.str('token');
      w.bool(options.token !== undefined);
      field('agent', globalThis.navigator?.userAgent ?? '');
    },
    1,
    (r) => r.skip(), // the device, which STATUS said before
    { signal: options.signal },
  );
}

const closed = (): VsyncError => new VsyncError('CLOSED', 'the database was closed: open it again');

class Replica implements Database {
  readonly name: string;
  readonly #connection: Connection;
  readonly #link: Link;
  readonly #board: Board;
  readonly #collections = new Map<string, Objects<unknown>>();
  readonly #unfollow: () => void;
  #closing: Promise<void> | undefined;

  constructor(name: string, connection: Connection, board: Board) {
    this.name = name;
    this.#connection = connection;
    this.#link = connection.link;
    this.#board = board;
    this.#unfollow = follow((kind) => {
      this.#link.say(kind, 0, 0);
      this.#link.flush();
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
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#link.quit(closed());
    await this.#link.written();
    try {
      await this.#link.bye(CLOSE);
    } finally {
      this.#link.end(closed());
      this.#let();
    }
  }

  /** The port is over, by close() or because the engine is gone. */
  lost(err: VsyncError): void {
    this.#board.close(this.#closing ? undefined : err);
    this.#let();
  }

  #let(): void {
    this.#unfollow();
    this.#connection.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
