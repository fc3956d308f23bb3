// A live result: the engine sends the whole, then what each batch changed; this side keeps it sorted.
import type { Entry, Query } from '../vsync.js';
import { checkFunction } from './arguments.js';
import { VsyncError, report } from './errors.js';
import { DELTA, LIVE, PART, VOID, WHOLE } from './frame.js';
import { compareIds } from './order.js';
import { queryFields } from './query.js';
import { callback, type Link } from './request.js';
import { readRows } from './rows.js';

type Call<T> = (entries: Entry<T>[], event: { marker: string }) => void;

export function subscribe<T>(link: Link, collection: string, query: Query, fn: Call<T>, onError?: (error: VsyncError) => void): () => void {
  checkFunction('subscribe', fn);
  if (onError !== undefined) checkFunction('subscribe: onError', onError);
  return new Live(link, collection, query, fn, onError).stop;
}

class Live<T> {
  readonly #link: Link;
  readonly #call: Call<T>;
  readonly #onError: ((error: VsyncError) => void) | undefined;
  readonly #reverse: boolean;
  #n = 0;
  #result: Entry<T>[] = [];
  #pieces: Entry<T>[] = [];
  #part: { rows: Entry<T>[]; gone: string[] } = { rows: [], gone: [] }; // of a batch
  #told = false;
  #anew = false; // another engine tells the whole that was told
  #over = false;

  constructor(link: Link, collection: string, query: Query, call: Call<T>, onError: ((error: VsyncError) => void) | undefined) {
    this.#link = link;
    this.#call = call;
    this.#onError = onError;
    this.#reverse = query?.reverse === true;
    try {
      const fields = queryFields(collection, query);
      this.#n = link.stream(LIVE, 1, fields, {
        fields: 5,
        items: (r) => this.#items(r.int(), r.str(), readRows<T>(r), r.strs()),
        fail: (err) => link.later(() => this.#fail(err)),
        again: () => {
          this.#pieces = [];
          this.#part = { rows: [], gone: [] };
          this.#anew = this.#told;
          return fields;
        },
      });
    } catch (err) {
      // As with every other failure, the caller hears of it when this has returned.
      queueMicrotask(() => this.#fail(err as VsyncError));
    }
  }

  readonly stop = (): void => {
    if (!this.#over) this.#link.cancel(this.#n);
    this.#over = true;
    this.#result = this.#pieces = [];
    this.#part = { rows: [], gone: [] };
  };

  #fail(err: VsyncError): void {
    if (this.#over) return;
    this.#over = true;
    this.#result = this.#pieces = [];
    if (this.#onError) callback(this.#onError, err);
    else if (err.code !== 'CLOSED') report(err);
  }

  #items(part: number, marker: string, rows: Entry<T>[], gone: string[]): void {
    if (part === DELTA || part === PART) {
      for (const row of rows) this.#part.rows.push(row);
      for (const id of gone) this.#part.gone.push(id);
      if (part === PART) return this.#link.more(this.#n, 1);
      this.#result = merge(this.#result, this.#part.rows, this.#part.gone, this.#reverse);
      this.#part = { rows: [], gone: [] };
    } else {
      if (part === VOID) this.#pieces = [];
      for (const row of rows) this.#pieces.push(row);
      if (part !== WHOLE) return this.#link.more(this.#n, 1);
      const before = this.#result;
      this.#result = keepSame(before, this.#pieces);
      this.#pieces = [];
      if (this.#anew && same(before, this.#result)) {
        this.#anew = false;
        return this.#link.more(this.#n, 1);
      }
    }
    this.#anew = false;
    this.#told = true;
    const result = this.#result.slice(); // the caller may do with it as he likes
    this.#link.later(() => {
      if (this.#over) return;
      callback(this.#call, result, { marker });
      this.#link.more(this.#n, 1);
    });
  }
}

/** The new result, with the old object for each entry that is as it was. */
function keepSame<T>(old: Entry<T>[], now: Entry<T>[]): Entry<T>[] {
  if (old.length === 0) return now;
  const known = new Map(old.map((entry) => [entry.id, entry]));
  return now.map((entry) => {
    const before = known.get(entry.id);
    return before && before.version === entry.version && before.conflict === entry.conflict ? before : entry;
  });
}

const same = <T>(a: Entry<T>[], b: Entry<T>[]): boolean => a.length === b.length && a.every((entry, i) => entry === b[i]);

/** A result after a change: rows that are new or other than before, ids that are gone. Sorted as it was. */
export function merge<T>(old: Entry<T>[], rows: Entry<T>[], gone: string[], reverse: boolean): Entry<T>[] {
  const changes: { id: string; row?: Entry<T> }[] = [...rows.map((row) => ({ id: row.id, row })), ...gone.map((id) => ({ id }))];
  const order = reverse ? (a: string, b: string): number => compareIds(b, a) : compareIds;
  changes.sort((a, b) => order(a.id, b.id));
  const now: Entry<T>[] = [];
  let at = 0;
  for (const { id, row } of changes) {
    const place = search(old, id, at, order);
    for (; at < place; at++) now.push(old[at]!);
    if (old[at]?.id === id) at++;
    if (row) now.push(row);
  }
  for (; at < old.length; at++) now.push(old[at]!);
  return now;
}

/** The first place from `low` on whose id does not come before this one. */
function search<T>(list: Entry<T>[], id: string, low: number, order: (a: string, b: string) => number): number {
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (order(list[middle]!.id, id) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
