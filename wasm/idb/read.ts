// Reading rows: no cursors, which cost a turn of the event loop for each row.
import { corrupt, Failure } from './failure.js';

/** The rows of a scan, in packed form: see pack.go. */
export interface Found {
  rows: Row[];
  size: number; // packed
}

export interface Row {
  key: Uint8Array;
  value: Uint8Array;
}

/** What to read; 0 sets no bound. */
export interface Range {
  reverse: boolean;
  limit: number;
  maxBytes: number;
  from: Uint8Array<ArrayBuffer>;
  to: Uint8Array<ArrayBuffer>; // empty: no end
}

/** The next rows in the order of the scan; fewer than asked for only at the end. */
type Source = (count: number) => Promise<Row[]>;

/** IDBObjectStore.getAllRecords, where a browser has it. */
interface Records {
  getAllRecords?(options: { query: IDBKeyRange | null; count: number; direction: IDBCursorDirection }): IDBRequest<{ key: ArrayBuffer; value: unknown }[]>;
}

/** How many rows the first step reads, and about how many bytes and at most how many rows later ones. */
const firstRows = 16;
const stepBytes = 4 << 20;
const stepRows = 10_000;

const result = <T>(request: IDBRequest<T>) =>
  new Promise<T>((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** The value at key; undefined where there is none. */
export async function get(store: IDBObjectStore, key: Uint8Array<ArrayBuffer>): Promise<Uint8Array | undefined> {
  const value: unknown = await result(store.get(key));
  return value === undefined ? undefined : bytes(value);
}

function bytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new Failure(corrupt, `a row holds ${Object.prototype.toString.call(value)}, not bytes`);
}

/** Reads a range in steps, all in the transaction of store. */
export async function scan(store: IDBObjectStore, range: Range): Promise<Found> {
  const next = source(store, range);
  const found: Row[] = [];
  let held = 0; // bytes of keys and values
  for (let count = range.limit > 0 ? Math.min(range.limit, firstRows) : firstRows; ; count = nextCount(range, found.length, held)) {
    const step = await next(count);
    for (const row of step) {
      const size = row.key.length + row.value.length;
      if (!fits(range, found.length, held, size)) return { rows: found, size: held + 8 * found.length };
      found.push(row);
      held += size;
    }
    if (step.length < count || found.length === range.limit) return { rows: found, size: held + 8 * found.length };
  }
}

/** The rule of store.Range. */
function fits(range: Range, rows: number, held: number, size: number): boolean {
  if (range.limit > 0 && rows >= range.limit) return false;
  return rows === 0 || range.maxBytes === 0 || held + size <= range.maxBytes;
}

/** As many rows as there is room for, if they are like those before: what is read too much costs as much as what is wanted. */
function nextCount(range: Range, rows: number, held: number): number {
  const room = range.maxBytes > 0 ? Math.min(range.maxBytes - held, stepBytes) : stepBytes;
  const count = Math.min(stepRows, 1 + Math.floor((room * rows) / Math.max(held, 1)));
  return range.limit > 0 ? Math.min(count, range.limit - rows) : count;
}

/** The range as IndexedDB takes it, without what was read already; undefined where nothing can lie in it. */
export function select(from: Uint8Array<ArrayBuffer>, to: Uint8Array<ArrayBuffer>, last?: Uint8Array<ArrayBuffer>, reverse = false): IDBKeyRange | undefined {
  const lower = last && !reverse ? last : from;
  const upper = last && reverse ? last : to;
  if (last && reverse ? indexedDB.cmp(lower, upper) >= 0 : to.length > 0 && indexedDB.cmp(lower, upper) >= 0) return undefined;
  const after = last !== undefined && !reverse;
  if (upper.length === 0 && !(last && reverse)) return IDBKeyRange.lowerBound(lower, after);
  return IDBKeyRange.bound(lower, upper, after, true);
}

function source(store: IDBObjectStore, range: Range): Source {
  if ((store as Records).getAllRecords) return records(store, range);
  return range.reverse ? backwards(store, range) : forwards(store, range);
}

function records(store: IDBObjectStore & Records, { from, to, reverse }: Range): Source {
  let last: Uint8Array<ArrayBuffer> | undefined;
  return async (count) => {
    const query = select(from, to, last, reverse);
    if (!query) return [];
    const list = await result(store.getAllRecords!({ query, count, direction: reverse ? 'prev' : 'next' }));
    const step = list.map(({ key, value }) => ({ key: new Uint8Array(key), value: bytes(value) }));
    last = step.at(-1)?.key;
    return step;
  };
}

function forwards(store: IDBObjectStore, { from, to }: Range): Source {
  let last: Uint8Array<ArrayBuffer> | undefined;
  return async (count) => {
    const query = select(from, to, last);
    if (!query) return [];
    const step = await both(store, query, count);
    last = step.at(-1)?.key as Uint8Array<ArrayBuffer> | undefined;
    return step;
  };
}

/** Only the keys tell where the last rows of a range begin: packed rows are few. */
function backwards(store: IDBObjectStore, { from, to }: Range): Source {
  let left: Promise<ArrayBuffer[]> | undefined;
  return async (count) => {
    left ??= result(store.getAllKeys(select(from, to))) as Promise<ArrayBuffer[]>;
    const keys = await left;
    const step = keys.splice(-count);
    if (step.length === 0) return [];
    const found = await both(store, IDBKeyRange.bound(step[0], step.at(-1)!), step.length);
    return found.reverse();
  };
}

async function both(store: IDBObjectStore, query: IDBKeyRange, count: number): Promise<Row[]> {
  const [keys, values] = await Promise.all([result(store.getAllKeys(query, count)), result<unknown[]>(store.getAll(query, count))]);
  return keys.map((key, i) => ({ key: new Uint8Array(key as ArrayBuffer), value: bytes(values[i]) }));
}
