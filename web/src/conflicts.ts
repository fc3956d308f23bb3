// Conflicts: objects of which several versions stand beside each other. What ends one is an ordinary write that names all of them.
import type { Conflict, Conflicts, Receipt, VsyncError } from '../vsync.js';
import { checkFunction, checkVersion } from './arguments.js';
import { invalid, isClosing, quote, report } from './errors.js';
import { CONFLICTS, LIVECONFLICTS, type Fields } from './frame.js';
import { Malformed, type Reader } from './reader.js';
import { callback, type Link } from './request.js';
import { Result } from './result.js';
import { collect } from './stream.js';
import { decodeValue } from './value.js';
import { DELETION, Raw, writeOne } from './write.js';

export function conflicts<T>(link: Link, collection: string): Conflicts<T> {
  const write: Fields = (w) => void w.str(collection);
  const read = (r: Reader): Conflict<T>[] => readConflicts<T>(link, collection, r);
  return Object.freeze({
    list: async () => collect(link, { kind: CONFLICTS, fields: 1, write, itemFields: 1, read }),
    subscribe(fn: (conflicts: Conflict<T>[]) => void, onError?: (error: VsyncError) => void): () => void {
      checkFunction('conflicts.subscribe', fn);
      if (onError !== undefined) checkFunction('conflicts.subscribe: onError', onError);
      return follow(link, write, read, fn, onError);
    },
  });
}

/** Keeps the list, and calls back with the whole of it whenever it is another. */
function follow<T>(link: Link, write: Fields, read: (r: Reader) => Conflict<T>[], fn: (conflicts: Conflict<T>[]) => void, onError?: (error: VsyncError) => void): () => void {
  let over = false;
  const result = new Result<Conflict<T>>(false, () => false);
  const fail = (err: VsyncError): void => {
    if (over) return;
    over = true;
    if (onError) callback(onError, err);
    else if (!isClosing(err)) report(err);
  };
  const items = (part: number, list: Conflict<T>[], gone: string[]): void => {
    if (result.take(part, list, gone) === 'part') return link.more(n, 1);
    const now = result.copy();
    link.later(() => {
      if (over) return;
      callback(fn, now);
      link.more(n, 1);
    });
  };
  let n = 0;
  try {
    n = link.stream(LIVECONFLICTS, 1, write, {
      fields: 3,
      standing: true,
      items: (r) => items(r.int(), read(r), r.strs()),
      fail: (err) => link.later(() => fail(err)),
      again: () => {
        result.restart();
        return write;
      },
    });
  } catch (err) {
    queueMicrotask(() => fail(err as VsyncError));
  }
  return () => {
    if (!over) link.cancel(n);
    over = true;
  };
}

function readConflicts<T>(link: Link, collection: string, r: Reader): Conflict<T>[] {
  const list: Conflict<T>[] = [];
  for (let n = r.array(); n > 0; n--) {
    if (r.array() !== 3) throw new Malformed('a conflict of 3', r);
    list.push(new Fork<T>(link, collection, r.str(), r.bin() as T | undefined, readSides(r)));
  }
  return list;
}

/** A side with its bytes, which picking it writes again as they are. */
type Bytes = Uint8Array<ArrayBuffer> | undefined;

function readSides(r: Reader): [version: string, time: number, bytes: Bytes][] {
  const sides: [string, number, Bytes][] = [];
  for (let n = r.array(); n > 0; n--) {
    if (r.array() !== 3) throw new Malformed('a side of 3', r);
    sides.push([r.str(), r.int(), r.raw()]);
  }
  return sides;
}

class Fork<T> implements Conflict<T> {
  readonly id: string;
  readonly base: T | undefined;
  readonly sides: Conflict<T>['sides'];
  readonly #link: Link;
  readonly #collection: string;
  readonly #bytes: Bytes[];

  constructor(link: Link, collection: string, id: string, base: T | undefined, sides: [version: string, time: number, bytes: Bytes][]) {
    this.#link = link;
    this.#collection = collection;
    this.id = id;
    this.base = base;
    this.#bytes = sides.map(([, , bytes]) => bytes);
    this.sides = sides.map(([version, time, bytes]) => ({
      value: bytes && (decodeValue(bytes) as T),
      deleted: !bytes,
      version,
      device: version.slice(0, version.indexOf(':')),
      time,
    }));
  }

  async resolve(value: T | undefined): Promise<Receipt> {
    return this.#write(value === undefined ? DELETION : value);
  }

  async pick(version: string): Promise<Receipt> {
    checkVersion('pick', version);
    const i = this.sides.findIndex((side) => side.version === version);
    if (i < 0) throw invalid(`pick: ${quote(version)} is none of the sides, which are ${this.sides.map((side) => quote(side.version)).join(', ')}`);
    const bytes = this.#bytes[i];
    return this.#write(bytes ? new Raw(bytes) : DELETION);
  }

  #write(value: unknown): Promise<Receipt> {
    return writeOne(this.#link, this.#collection, this.id, value, this.sides.map((side) => side.version));
  }
}
