import type { Blame, Collection, Conflicts, Difference, Entry, HistoryEntry, Query, Receipt, VsyncError, WatchEvent, WatchOptions } from '../vsync.js';
import { checkFunction, checkVersion, fieldsOf, writeId } from './arguments.js';
import { conflicts } from './conflicts.js';
import { describe, invalid } from './errors.js';
import { COUNT, ENTRY, GET, GETMANY, type Fields } from './frame.js';
import { history } from './history.js';
import { MAX_IDS, MAX_RUNS } from './limits.js';
import { blame, diff, revert, undo } from './past.js';
import { queryFields, scan } from './query.js';
import { Malformed, type Reader } from './reader.js';
import type { Link } from './request.js';
import { readRows } from './rows.js';
import { collect, iterable } from './stream.js';
import { subscribe } from './subscribe.js';
import { watch } from './watch.js';
import { DELETION, Operations, outrun, overtaken, receipt, writeOne } from './write.js';

/** An object as it is read for a write that depends on it. */
export interface Read<T> {
  entry: Entry<T> | undefined;
  frontier: string[];
}

export function readEntry<T>(link: Link, collection: string, id: string): Promise<Read<T>> {
  return link.request(ENTRY, 2, key(collection, id), 3, (r) => ({ entry: readRows<T>(r)[0], frontier: r.strs() }));
}

const key = (collection: string, id: string): Fields => (w) => {
  w.str(collection);
  writeId(w, id);
};

export class Objects<T> implements Collection<T> {
  readonly name: string;
  readonly conflicts: Conflicts<T>;
  readonly #link: Link;

  constructor(link: Link, name: string) {
    this.#link = link;
    this.name = name;
    this.conflicts = conflicts<T>(link, name);
  }

  /** Whether a collection is one of the database behind this link. */
  static belongs(collection: unknown, link: Link): collection is Objects<unknown> {
    return collection instanceof Objects && collection.#link === link;
  }

  get(id: string): Promise<T | undefined> {
    return this.#link.request(GET, 2, key(this.name, id), 1, (r) => r.bin() as T | undefined);
  }

  async getMany(ids: readonly string[]): Promise<(T | undefined)[]> {
    if (!Array.isArray(ids)) throw invalid(`getMany: expected an array of ids, got ${describe(ids)}`);
    const all: (T | undefined)[] = [];
    const wanted = ids.slice();
    for (let i = 0; i === 0 || i < wanted.length; i += MAX_IDS) await this.#getSome(wanted.slice(i, i + MAX_IDS), all);
    return all;
  }

  /** Adds the values of these, which are of one moment. */
  #getSome(ids: string[], all: (T | undefined)[]): Promise<void> {
    const before = all.length;
    const take = (r: Reader): void => {
      for (let n = r.array(); n > 0; n--) all.push(r.bin() as T | undefined);
    };
    return this.#link.request(
      GETMANY,
      2,
      (w) => {
        w.str(this.name);
        w.array(ids.length);
        for (const id of ids) writeId(w, id);
      },
      1,
      (r) => {
        take(r);
        if (all.length !== before + ids.length) throw new Malformed('a value of each id', r);
      },
      { pieces: { take, anew: () => void (all.length = before) } },
    );
  }

  async entry(id: string): Promise<Entry<T> | undefined> {
    return (await readEntry<T>(this.#link, this.name, id)).entry;
  }

  async put(id: string, value: T, options?: { seen?: string }): Promise<Receipt> {
    if (options === undefined) return writeOne(this.#link, this.name, id, value);
    fieldsOf('put', options, ['seen']);
    const { seen } = options;
    if (seen !== undefined) checkVersion('put: seen', seen);
    return writeOne(this.#link, this.name, id, value, seen === undefined ? undefined : [seen]);
  }

  async putMany(entries: Iterable<readonly [string, T]>): Promise<Receipt> {
    const iterates = entries !== null && typeof entries === 'object' && Symbol.iterator in entries;
    if (!iterates) throw invalid(`putMany: expected entries [id, value], as an array or another iterable, got ${describe(entries)}`);
    const operations = new Operations();
    for (const entry of entries) {
      if (!Array.isArray(entry) || entry.length !== 2) throw invalid(`putMany: entry ${operations.count}: expected [id, value], got ${describe(entry)}`);
      operations.add(this.name, entry[0] as string, entry[1]);
    }
    return receipt(this.#link, await operations.send(this.#link, [], ''));
  }

  async update(id: string, fn: (current: T | undefined) => T | undefined): Promise<Receipt> {
    checkFunction('update', fn);
    for (let run = 0; run < MAX_RUNS; run++) {
      const { entry, frontier } = await readEntry<T>(this.#link, this.name, id);
      const value: unknown = fn(entry?.value);
      if (value instanceof Promise) throw invalid('update: the function returned a Promise: it has to return the value; use batch() where it must wait');
      const operations = new Operations();
      operations.add(this.name, id, value === undefined ? DELETION : value);
      try {
        return receipt(this.#link, await operations.send(this.#link, [{ collection: this.name, id, frontier }], ''));
      } catch (err) {
        if (!overtaken(err)) throw err;
      }
    }
    throw outrun('the update', MAX_RUNS);
  }

  async delete(id: string): Promise<Receipt> {
    return writeOne(this.#link, this.name, id, DELETION);
  }

  async query(query?: Query): Promise<Entry<T>[]> {
    return collect(this.#link, scan<T>(this.name, query));
  }

  scan(query?: Query): AsyncIterable<Entry<T>> {
    return iterable(this.#link, () => scan<T>(this.name, query));
  }

  async count(query?: Query): Promise<number> {
    return this.#link.request(COUNT, 1, queryFields(this.name, query), 1, (r) => r.int());
  }

  subscribe(query: Query, fn: (entries: Entry<T>[], event: { marker: string }) => void, onError?: (error: VsyncError) => void): () => void {
    return subscribe(this.#link, this.name, query, fn, onError);
  }

  watch(options?: WatchOptions): AsyncIterable<WatchEvent<T>> {
    return watch<T>(this.#link, this.name, options);
  }

  history(id: string, options?: { limit?: number }): AsyncIterable<HistoryEntry<T>> {
    return history<T>(this.#link, this.name, id, options);
  }

  diff(id: string, from: string, to?: string): Promise<Difference[]> {
    return diff(this.#link, this.name, id, from, to);
  }

  blame(id: string): Promise<Blame[]> {
    return blame(this.#link, this.name, id);
  }

  revert(id: string, version: string, options?: { note?: string }): Promise<Receipt> {
    return revert(this.#link, this.name, id, version, options);
  }

  undo(id: string, version: string, options?: { note?: string }): Promise<Receipt> {
    return undo(this.#link, version, options, this.name, id);
  }
}
