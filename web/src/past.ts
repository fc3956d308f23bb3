// What was: undoing, going back, differences, who set what, and the database as it was at a moment.
import type { Blame, Difference, Entry, Past, PastCollection, Query, Receipt } from '../vsync.js';
import { checkCollection, checkNote, checkText, checkVersion, fieldsOf, writeId } from './arguments.js';
import { describe, invalid } from './errors.js';
import { BLAME, DIFF, PAST, REVERT, SCANPAST, UNDO, type Fields } from './frame.js';
import { MAX_IDS } from './limits.js';
import { queryFields } from './query.js';
import { Malformed, type Reader } from './reader.js';
import type { Link } from './request.js';
import { readRows } from './rows.js';
import { collect, iterable, type Source } from './stream.js';
import { receipt } from './write.js';
import type { Writer } from './writer.js';

type Noted = { note?: string } | undefined;

function noteOf(what: string, options: Noted): string {
  fieldsOf(what, options, ['note']);
  const note = options?.note ?? '';
  checkNote(note);
  return note;
}

/** Takes back what a batch did; of one object alone, if it is named. */
export async function undo(link: Link, version: string, options: Noted, collection = '', id?: string): Promise<Receipt> {
  checkVersion('undo', version);
  const note = noteOf('undo', options);
  const write: Fields = (w) => {
    w.str(version);
    w.str(collection);
    w.array(id === undefined ? 0 : 1);
    if (id !== undefined) writeId(w, id);
    w.str(note);
    link.nonce(w);
  };
  return receipt(link, await link.request(UNDO, 6, write, 1, (r) => r.str(), { write: true }));
}

export async function revert(link: Link, collection: string, id: string, version: string, options: Noted): Promise<Receipt> {
  checkVersion('revert', version);
  const note = noteOf('revert', options);
  const write: Fields = (w) => {
    w.str(collection);
    writeId(w, id);
    w.str(version);
    w.str(note);
    link.nonce(w);
  };
  return receipt(link, await link.request(REVERT, 6, write, 1, (r) => r.str(), { write: true }));
}

export async function diff(link: Link, collection: string, id: string, from: string, to: string | undefined): Promise<Difference[]> {
  checkVersion('diff: from', from);
  if (to !== undefined) checkVersion('diff: to', to);
  const write: Fields = (w) => {
    w.str(collection);
    writeId(w, id);
    w.str(from);
    w.str(to ?? '');
  };
  return link.request(DIFF, 4, write, 1, (r) => list(r, 3, () => ({ path: r.strs(), before: r.bin(), after: r.bin() })));
}

export async function blame(link: Link, collection: string, id: string): Promise<Blame[]> {
  const write: Fields = (w) => {
    w.str(collection);
    writeId(w, id);
  };
  return link.request(BLAME, 2, write, 1, (r) => list(r, 6, () => readBlame(r)));
}

function readBlame(r: Reader): Blame {
  const path = r.strs();
  const value = r.bin();
  const version = r.str();
  const time = r.int();
  const note = r.str();
  const blame: Blame = { path, value, version, time, device: version.slice(0, version.indexOf(':')), older: r.bool() };
  if (note !== '') blame.note = note;
  return blame;
}

function list<T>(r: Reader, fields: number, read: () => T): T[] {
  const all: T[] = [];
  for (let n = r.array(); n > 0; n--) {
    if (r.array() !== fields) throw new Malformed(`${fields} items`, r);
    all.push(read());
  }
  return all;
}

/** Resolves when the engine has said that there is such a moment. */
export async function at(link: Link, when: string | number | Date): Promise<Past> {
  const moment = momentOf(when);
  await entries(link, moment, '', []);
  return {
    collection<T>(name: string): PastCollection<T> {
      checkCollection(name);
      return new Then<T>(link, moment, name);
    },
  };
}

function momentOf(when: unknown): string | number {
  if (typeof when === 'string') {
    checkText('at', when);
    if (when === '') throw invalid('at: expected the marker of an event or a time, got an empty string');
    return when;
  }
  const ms = when instanceof Date ? when.getTime() : when;
  if (typeof ms !== 'number' || !(ms >= 0)) throw invalid(`at: expected the marker of an event, a Date, or ms since 1970, got ${describe(when)}`);
  return Math.min(Math.floor(ms), Number.MAX_SAFE_INTEGER);
}

const writeMoment = (w: Writer, when: string | number): void => (typeof when === 'string' ? void w.str(when) : w.int(when));

function entries<T>(link: Link, when: string | number, collection: string, ids: readonly string[]): Promise<Entry<T>[]> {
  const write: Fields = (w) => {
    writeMoment(w, when);
    w.str(collection);
    w.array(ids.length);
    for (const id of ids) writeId(w, id);
  };
  return link.request(PAST, 3, write, 2, (r) => readRows<T>(r));
}

class Then<T> implements PastCollection<T> {
  readonly name: string;
  readonly #link: Link;
  readonly #when: string | number;

  constructor(link: Link, when: string | number, name: string) {
    this.#link = link;
    this.#when = when;
    this.name = name;
  }

  async entry(id: string): Promise<Entry<T> | undefined> {
    return (await entries<T>(this.#link, this.#when, this.name, [id]))[0];
  }

  async get(id: string): Promise<T | undefined> {
    return (await this.entry(id))?.value;
  }

  async getMany(ids: readonly string[]): Promise<(T | undefined)[]> {
    if (!Array.isArray(ids)) throw invalid(`getMany: expected an array of ids, got ${describe(ids)}`);
    const found = new Map<string, T>();
    for (let i = 0; i < ids.length; i += MAX_IDS) {
      for (const { id, value } of await entries<T>(this.#link, this.#when, this.name, ids.slice(i, i + MAX_IDS))) found.set(id, value);
    }
    return ids.map((id) => found.get(id));
  }

  #source(query: Query | undefined): Source<Entry<T>> {
    const fields = queryFields(this.name, query);
    const write: Fields = (w) => {
      writeMoment(w, this.#when);
      fields(w);
    };
    return { kind: SCANPAST, fields: 2, write, itemFields: 2, read: (r) => readRows<T>(r) };
  }

  async query(query?: Query): Promise<Entry<T>[]> {
    return collect(this.#link, this.#source(query));
  }

  scan(query?: Query): AsyncIterable<Entry<T>> {
    return iterable(this.#link, () => this.#source(query));
  }

  async count(query?: Query): Promise<number> {
    return (await this.query(query)).length;
  }
}
