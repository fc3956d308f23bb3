import type { HistoryEntry } from '../vsync.js';
import { fieldsOf, writeId } from './arguments.js';
import { describe, invalid } from './errors.js';
import { HISTORY } from './frame.js';
import { MAX_LIMIT } from './limits.js';
import { Malformed, type Reader } from './reader.js';
import type { Link } from './request.js';
import { iterable, type Source } from './stream.js';

export function history<T>(link: Link, collection: string, id: string, options: { limit?: number } | undefined): AsyncIterable<HistoryEntry<T>> {
  return iterable(link, () => source<T>(collection, id, options));
}

function source<T>(collection: string, id: string, options: { limit?: number } | undefined): Source<HistoryEntry<T>> {
  fieldsOf('history', options, ['limit']);
  const limit = options?.limit;
  if (limit !== undefined && !(Number.isInteger(limit) && limit > 0)) throw invalid(`history: limit: expected a whole number of 1 or more, got ${describe(limit)}`);
  const write: Source<HistoryEntry<T>>['write'] = (w) => {
    w.str(collection);
    writeId(w, id);
    w.int(Math.min(limit ?? 0, MAX_LIMIT));
  };
  return { kind: HISTORY, fields: 3, write, itemFields: 1, read: (r) => readVersions<T>(r, id) };
}

function readVersions<T>(r: Reader, id: string): HistoryEntry<T>[] {
  const list: HistoryEntry<T>[] = [];
  for (let n = r.array(); n > 0; n--) {
    if (r.array() !== 6) throw new Malformed('a version of 6', r);
    const version = r.str();
    const parents = r.strs();
    const time = r.int();
    const deleted = r.bool();
    const value = r.bin() as T | undefined;
    const note = r.str();
    const entry: HistoryEntry<T> = { id, value, deleted, version, parents, time, device: version.slice(0, version.indexOf(':')) };
    if (note !== '') entry.note = note;
    list.push(entry);
  }
  return list;
}
