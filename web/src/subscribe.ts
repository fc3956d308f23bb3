// A live result: each batch that changes it is told once, with all of it.
import type { Entry, Query } from '../vsync.js';
import { checkFunction } from './arguments.js';
import { isClosing, report, VsyncError } from './errors.js';
import { LIVE } from './frame.js';
import { queryFields } from './query.js';
import { callback, type Link } from './request.js';
import { Result } from './result.js';
import { readRows } from './rows.js';
import { sameValue } from './value.js';

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
  readonly #result: Result<Entry<T>>;
  #n = 0;
  #told = false;
  #anew = false; // another engine tells the whole that was told
  #over = false;

  constructor(link: Link, collection: string, query: Query, call: Call<T>, onError: ((error: VsyncError) => void) | undefined) {
    this.#link = link;
    this.#call = call;
    this.#onError = onError;
    this.#result = new Result(query?.reverse === true, (a, b) => a.version === b.version && a.conflict === b.conflict && sameValue(a.value, b.value));
    try {
      const fields = queryFields(collection, query);
      this.#n = link.stream(LIVE, 1, fields, {
        fields: 5,
        standing: true,
        items: (r) => this.#items(r.int(), r.str(), readRows<T>(r), r.strs()),
        fail: (err) => link.later(() => this.#fail(err)),
        again: () => {
          this.#result.restart();
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
    this.#result.clear();
  };

  #fail(err: VsyncError): void {
    if (this.#over) return;
    this.#over = true;
    this.#result.clear();
    if (this.#onError) callback(this.#onError, err);
    else if (!isClosing(err)) report(err);
  }

  #items(part: number, marker: string, rows: Entry<T>[], gone: string[]): void {
    const taken = this.#result.take(part, rows, gone);
    if (taken === 'part') return this.#link.more(this.#n, 1);
    const known = this.#anew && taken === 'same';
    this.#anew = false;
    if (known) return this.#link.more(this.#n, 1);
    this.#told = true;
    const result = this.#result.copy();
    this.#link.later(() => {
      if (this.#over) return;
      callback(this.#call, result, { marker });
      this.#link.more(this.#n, 1);
    });
  }
}
