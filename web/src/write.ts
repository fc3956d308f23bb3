// Writes: how operations become the frame WRITE, and what is returned for them.
import type { Receipt } from '../vsync.js';
import { fieldsOf, signalOf, writeId } from './arguments.js';
import { VsyncError, invalid } from './errors.js';
import { RETRY, SYNCED, WRITE } from './frame.js';
import { MAX_BATCH, MAX_MUTATIONS } from './limits.js';
import { Reader } from './reader.js';
import type { Link } from './request.js';
import { writeBin } from './value.js';
import { Writer } from './writer.js';

/** Stands for a value in an operation that deletes. */
export const DELETION = Symbol('deletion');

/** A value as it is stored already, which is written again byte by byte. */
export class Raw {
  constructor(readonly bytes: Uint8Array) {}
}

/** What a write depends on: an object, and its frontier as it was read. */
export interface Check {
  collection: string;
  id: string;
  frontier: string[];
}

/** The operations of one write, encoded as they come, so that what the application changes afterwards does not matter. */
export class Operations {
  /** Names with their indexes. */
  readonly #collections = new Map<string, number>();
  readonly #body = Writer.begin();
  /** Begin and end of each in the body, one behind the other. */
  readonly #spans: number[] = [];

  get count(): number {
    return this.#spans.length / 2;
  }

  /** Adds an operation and returns its place. Throws INVALID, KEY_TOO_LONG, VALUE_TOO_LARGE, BATCH_TOO_LARGE; then nothing is added. */
  add(collection: string, id: string, value: unknown): number {
    const w = this.#body;
    const start = w.off;
    try {
      this.#encode(w, collection, id, value);
      if (this.count >= MAX_MUTATIONS) throw tooLarge(`${MAX_MUTATIONS} objects`);
    } catch (err) {
      w.off = start;
      throw err;
    }
    return this.#spans.push(start, w.off) / 2 - 1;
  }

  /** Puts another operation on the same object into a place. */
  replace(place: number, collection: string, id: string, value: unknown): void {
    const w = this.#body;
    const start = w.off;
    this.#encode(w, collection, id, value);
    this.#spans[2 * place] = start;
    this.#spans[2 * place + 1] = w.off;
  }

  /** The value in a place, as it will be read; undefined for a deletion. */
  value(place: number): unknown {
    const r = new Reader(this.#body.buf.slice(this.#spans[2 * place], this.#spans[2 * place + 1]));
    r.array();
    r.int();
    r.str();
    return r.bin();
  }

  #encode(w: Writer, collection: string, id: string, value: unknown): void {
    const start = w.off;
    try {
      writeOperation(w, this.#index(collection), id, value);
    } catch (err) {
      w.off = start;
      throw err;
    }
    // Replaced operations count as well: a loop that writes for ever ends here.
    if (w.off > 4 * MAX_BATCH) {
      w.off = start;
      throw tooLarge(`${MAX_BATCH} bytes`);
    }
  }

  #index(collection: string): number {
    let i = this.#collections.get(collection);
    if (i === undefined) this.#collections.set(collection, (i = this.#collections.size));
    return i;
  }

  /** Copies the operations, those that stand one behind the other at once: there may be many. */
  #copy(w: Writer): void {
    const spans = this.#spans;
    for (let i = 0; i < spans.length; ) {
      const start = spans[i]!;
      let end = start;
      for (; spans[i] === end; i += 2) end = spans[i + 1]!;
      w.raw(this.#body.buf, start, end);
    }
  }

  send(link: Link, checks: Check[], note: string): Promise<string> {
    if (this.count === 0) throw invalid('a batch that writes nothing: write at least one object, or do not begin it');
    const bytes = this.#spans.reduce((sum, at, i) => (i % 2 === 0 ? sum - at : sum + at), 0);
    if (bytes > MAX_BATCH) throw tooLarge(`${MAX_BATCH} bytes`);
    const indexes = checks.map((check) => this.#index(check.collection));
    const write = (w: Writer): void => {
      w.array(this.#collections.size);
      for (const name of this.#collections.keys()) w.str(name);
      w.array(this.count);
      w.room(bytes + AROUND);
      this.#copy(w);
      w.array(checks.length);
      checks.forEach((check, i) => {
        w.array(3);
        w.int(indexes[i]!);
        w.str(check.id);
        w.array(check.frontier.length);
        for (const version of check.frontier) w.str(version);
      });
      w.str(note);
    };
    return sendWrite(link, write, true).finally(() => this.#body.end());
  }
}

/** Bytes of what stands around the operations of most batches. */
const AROUND = 4096;

const tooLarge = (bound: string): VsyncError => new VsyncError('BATCH_TOO_LARGE', `a batch has at most ${bound}, this one has more: split it into several`);

function writeOperation(w: Writer, collection: number, id: string, value: unknown, seen?: readonly string[]): void {
  w.array(4);
  w.int(collection);
  writeId(w, id);
  if (value === DELETION) w.nil();
  else if (value instanceof Raw) w.bin(value.bytes);
  else writeBin(w, value);
  if (seen === undefined) w.nil();
  else {
    w.array(seen.length);
    for (const version of seen) w.str(version);
  }
}

function sendWrite(link: Link, fields: (w: Writer) => void, fixed = false): Promise<string> {
  let name: number | undefined;
  const named = (w: Writer): void => {
    fields(w);
    name = link.nonce(w, name);
  };
  return link.request(WRITE, 6, named, 1, (r) => r.str(), { write: true, fixed });
}

/** A write of one object, the value encoded straight into the packet. */
export function writeOne(link: Link, collection: string, id: string, value: unknown, seen?: readonly string[]): Promise<Receipt> {
  return sendWrite(link, (w) => {
    w.array(1);
    w.str(collection);
    w.array(1);
    writeOperation(w, 0, id, value, seen);
    w.array(0);
    w.str('');
  }).then((version) => receipt(link, version));
}

/** Waits for the hub; everything that is written now with an empty version. */
export function synced(link: Link, version: string, options: { signal?: AbortSignal } | undefined): Promise<void> {
  fieldsOf('synced', options, ['signal']);
  return link.request(SYNCED, 1, (w) => void w.str(version), 0, () => undefined, { signal: signalOf('synced', options), standing: true });
}

export function receipt(link: Link, version: string): Receipt {
  link.stored = version;
  return {
    version,
    async synced(options) {
      return synced(link, version, options);
    },
  };
}

/** Writes a refused batch anew. */
export function retry(link: Link, version: string): Promise<Receipt> {
  return link.request(RETRY, 1, (w) => void w.str(version), 1, (r) => r.str(), { write: true, once: true }).then((anew) => receipt(link, anew));
}

/** Whether a write failed only because others were faster. */
export function overtaken(err: unknown): boolean {
  return err instanceof VsyncError && (err.code as string) === 'CHANGED';
}

/** What is said after MAX_RUNS of these. */
export function outrun(what: string, runs: number): VsyncError {
  return new VsyncError('ABORTED', `${what} was tried ${runs} times, and each time others changed what it had read; nothing was written: read less of what changes that often, or try again later`);
}

