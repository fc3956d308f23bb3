// Streams as async iterators. The engine is at most a window of ITEMS ahead of the loop, so nothing is held without bound.
import { VsyncError, again } from './errors.js';
import type { Fields } from './frame.js';
import type { Reader } from './reader.js';
import { aborted, type Link } from './request.js';

/** How a stream is asked for and read. */
export interface Source<T> {
  kind: number;
  /** How many fields the request has. */
  fields: number;
  write: Fields;
  /** How many fields its ITEMS have. */
  itemFields: number;
  /** What one ITEMS brings. */
  read(r: Reader): T[];
  /** How it goes on in another engine after what was read; left out, it begins anew, unless something was read. */
  again?(): Fields;
}

/** Each iteration begins the stream anew; `begin` may throw, which the first step of the loop then does. */
export function iterable<T>(link: Link, begin: () => Source<T>, signal?: AbortSignal): AsyncIterable<T> {
  return { [Symbol.asyncIterator]: () => new Iteration(link, begin, signal) };
}

type Step<T> = { resolve(result: IteratorResult<T, undefined>): void; reject(err: unknown): void };

class Iteration<T> implements AsyncIterableIterator<T, undefined> {
  readonly #link: Link;
  #n = 0;
  #chunks: T[][] = [];
  #at = 0; // in the first chunk
  #consumed = 0; // chunks since the last MORE
  #steps: Step<T>[] = []; // that wait
  #begun = false; // something came
  #over = false; // nothing comes behind the chunks
  #error: VsyncError | undefined; // told by the next step, once
  #quiet: (() => void) | undefined;

  constructor(link: Link, begin: () => Source<T>, signal: AbortSignal | undefined) {
    this.#link = link;
    try {
      if (signal?.aborted) throw aborted(signal);
      const source = begin();
      this.#n = link.stream(source.kind, source.fields, source.write, {
        fields: source.itemFields,
        standing: source.again !== undefined,
        items: (r) => this.#take(source.read(r)),
        end: () => this.#finish(undefined),
        fail: (err) => this.#finish(err),
        again: () => source.again?.() ?? (this.#begun ? undefined : source.write),
      });
    } catch (err) {
      if (!(err instanceof VsyncError)) throw err;
      this.#finish(err);
    }
    if (signal && !this.#over) this.#listen(signal);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #listen(signal: AbortSignal): void {
    const abort = (): void => {
      this.#link.cancel(this.#n);
      this.#chunks = [];
      this.#finish(aborted(signal));
    };
    signal.addEventListener('abort', abort, { once: true });
    this.#quiet = () => signal.removeEventListener('abort', abort);
  }

  #take(chunk: T[]): void {
    this.#begun = true;
    this.#chunks.push(chunk);
    while (this.#steps.length > 0) {
      const item = this.#shift();
      if (!item) return;
      this.#steps.shift()!.resolve(item);
    }
  }

  /** The next item that is there. A chunk counts as consumed when the step behind its last item is taken. */
  #shift(): IteratorYieldResult<T> | undefined {
    while (this.#chunks.length > 0) {
      const chunk = this.#chunks[0]!;
      if (this.#at < chunk.length) return { value: chunk[this.#at++]!, done: false };
      this.#chunks.shift();
      this.#at = 0;
      this.#consumed++;
      if (this.#over) continue;
      if (this.#consumed >= 2 || this.#chunks.length === 0) {
        this.#link.more(this.#n, this.#consumed);
        this.#consumed = 0;
      }
    }
    return undefined;
  }

  #finish(err: VsyncError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#quiet?.();
    this.#error = err;
    for (const step of this.#steps.splice(0)) this.#end(step);
  }

  #end(step: Step<T>): void {
    const err = this.#error;
    this.#error = undefined;
    if (err) step.reject(again(err));
    else step.resolve({ value: undefined, done: true });
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const item = this.#steps.length === 0 ? this.#shift() : undefined;
    if (item) return Promise.resolve(item);
    return new Promise((resolve, reject) => {
      const step = { resolve, reject };
      if (this.#over) this.#end(step);
      else this.#steps.push(step);
    });
  }

  /** The loop was left. */
  return(): Promise<IteratorResult<T, undefined>> {
    if (!this.#over) this.#link.cancel(this.#n);
    this.#chunks = [];
    this.#error = undefined;
    this.#finish(undefined);
    return Promise.resolve({ value: undefined, done: true });
  }
}

/** Reads a stream to its end, as fast as it comes. */
export function collect<T>(link: Link, source: Source<T>): Promise<T[]> {
  return new Promise((resolve, reject) => {
    let all: T[] = [];
    const n = link.stream(source.kind, source.fields, source.write, {
      fields: source.itemFields,
      items: (r) => {
        for (const item of source.read(r)) all.push(item);
        link.more(n, 1);
      },
      end: () => resolve(all),
      fail: reject,
      again: () => {
        all = [];
        return source.write;
      },
    });
  });
}
