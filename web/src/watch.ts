import type { WatchEvent, WatchOptions } from '../vsync.js';
import { checkText, fieldsOf, signalOf } from './arguments.js';
import { invalid } from './errors.js';
import { INITIAL, LOCAL, RESET, UNFINISHED, WATCH, type Fields } from './frame.js';
import { Malformed, type Reader } from './reader.js';
import type { Link } from './request.js';
import { Versions } from './rows.js';
import { iterable, type Source } from './stream.js';
import type { Writer } from './writer.js';

/** Watches a collection, or with an empty name all of them. */
export function watch<T>(link: Link, collection: string, options: WatchOptions | undefined): AsyncIterable<WatchEvent<T>> {
  const { signal } = options ?? {};
  return iterable(link, () => source<T>(collection, options), signal instanceof AbortSignal ? signal : undefined);
}

function source<T>(collection: string, options: WatchOptions | undefined): Source<WatchEvent<T>> {
  fieldsOf('watch', options, ['prefix', 'from', 'signal']);
  signalOf('watch', options);
  const { prefix = '', from = 'start' } = options ?? {};
  checkText('watch: prefix', prefix);
  checkText('watch: from', from);
  if (collection === '' && prefix !== '') throw invalid('watch: a prefix of ids needs a collection: use db.collection(name).watch');
  if (from === '') throw invalid('watch: from: expected "start", "now" or the marker of an event, got an empty string');
  const place = new Place<T>(from);
  const write = (w: Writer): void => {
    w.str(collection);
    w.str(prefix);
    w.str(place.marker);
  };
  const again = (): Fields => {
    place.lose();
    return write;
  };
  return { kind: WATCH, fields: 3, write, itemFields: 7, read: (r) => place.read(r), again };
}

/** How far a watcher is, so that another engine can go on from there. */
class Place<T> {
  marker: string;
  #inside = false; // of what was there before, which begins again as a whole
  #reset = false; // some of it came, and comes again
  #begun: WatchEvent<T> | undefined; // an event of which parts are missing

  constructor(from: string) {
    this.marker = from;
  }

  lose(): void {
    this.#begun = undefined;
    this.#reset ||= this.#inside;
  }

  /** Reads an event, or a part of one, which is told when it is whole. */
  read(r: Reader): WatchEvent<T>[] {
    const { event: part, more } = readEvent<T>(r);
    const event = (this.#begun ??= part);
    readChanges(r, event.changes);
    if (more) return [];
    this.#begun = undefined;
    return this.#pass(event);
  }

  #pass(event: WatchEvent<T>): WatchEvent<T>[] {
    this.marker = event.marker;
    if (!event.initial && event.changes.length === 0) return []; // only says where the watcher stands
    this.#inside = event.initial && event.marker === 'start';
    if (this.#reset && event.initial) event.reset = true;
    this.#reset = false;
    return [event];
  }
}

/** All of an event but its changes. */
function readEvent<T>(r: Reader): { event: WatchEvent<T>; more: boolean } {
  const marker = r.str();
  const flags = r.int();
  const device = r.str();
  const time = r.int();
  const note = r.str();
  const event: WatchEvent<T> = { marker, initial: (flags & INITIAL) > 0, source: flags & LOCAL ? 'local' : 'remote', changes: [] };
  if (flags & RESET) event.reset = true;
  if (!event.initial) {
    event.device = device;
    event.time = time;
  }
  if (note !== '') event.note = note;
  return { event, more: (flags & UNFINISHED) > 0 };
}

function readChanges<T>(r: Reader, changes: WatchEvent<T>['changes']): void {
  const versions = new Versions(r.strs(), r);
  for (let n = r.array(); n > 0; n--) {
    if (r.array() !== 7) throw new Malformed('a change of 7', r);
    const collection = r.name();
    const id = r.str();
    const value = r.bin() as T | undefined;
    const deleted = r.bool();
    const version = versions.name(r.int(), r.int());
    changes.push({ collection, id, value, deleted, version, conflict: r.bool() });
  }
}
