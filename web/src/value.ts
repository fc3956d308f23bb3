// The canonical msgpack of values, which the engine, the hub and every other device keep as it is written here:
// shortest integers, float64 for other numbers (-0 too), timestamps of whole milliseconds, keys in the object's own order.
import { VsyncError, describe, invalid } from './errors.js';
import { MAX_DEPTH, MAX_VALUE } from './limits.js';
import { Malformed, Reader } from './reader.js';
import { Writer } from './writer.js';

/** Keys and indexes from the root to what is being written; only the first `depth` of them mean anything. */
const path: (string | number)[] = [];

/** Where the value that is being written would be too large. */
let limit = 0;

/** A value is being written: a getter in it may not write another one, into the same bytes. */
let busy = false;

/** Writes a value. If it is none, nothing is written: it throws INVALID or VALUE_TOO_LARGE, which name the path. */
export function writeValue(w: Writer, v: unknown): void {
  if (busy) throw invalid('a getter in a value used the database: read first, and pass a plain value');
  const start = w.off;
  limit = start + MAX_VALUE;
  busy = true;
  try {
    write(w, v, 0);
    if (w.off > limit) throw tooLarge();
  } catch (err) {
    w.off = start;
    throw err;
  } finally {
    busy = false;
  }
}

/** Writes a value as a bin, which is how it stands in frames. */
export function writeBin(w: Writer, v: unknown): void {
  const start = w.off;
  const mark = w.beginBin();
  try {
    writeValue(w, v);
  } catch (err) {
    w.off = start;
    throw err;
  }
  w.endBin(mark);
}

const scratch = new Writer();

export function encodeValue(v: unknown): Uint8Array<ArrayBuffer> {
  writeValue(scratch, v);
  return scratch.take();
}

/** Throws PROTOCOL for what is no value. */
export function decodeValue(bytes: Uint8Array<ArrayBuffer>): unknown {
  try {
    const r = new Reader(bytes);
    const v = r.value();
    if (r.more()) throw new Malformed('the end of a value', r);
    return v;
  } catch (err) {
    if (err instanceof Malformed) throw new VsyncError('PROTOCOL', `a stored value cannot be read: ${err.message}`);
    throw err;
  }
}

function write(w: Writer, v: unknown, depth: number): void {
  switch (typeof v) {
    case 'string':
      return writeString(w, v, depth);
    case 'number':
      return writeNumber(w, v, depth);
    case 'boolean':
      return w.bool(v);
    case 'object':
      return v === null ? w.nil() : writeObject(w, v, depth);
    case 'bigint':
      return writeBigint(w, v, depth);
    case 'undefined':
      throw bad(depth, depth > 0 ? 'undefined is no value: leave the key out, or write null' : 'undefined is no value: write null, or delete the object');
  }
  throw bad(depth, `${describe(v)} is no value`);
}

function writeString(w: Writer, s: string, depth: number): void {
  if (s.length > MAX_VALUE) throw tooLarge();
  if (w.str(s) < 0) throw bad(depth, 'a string with an unpaired surrogate: use s.toWellFormed(), or a Uint8Array for what is no text');
}

function writeNumber(w: Writer, n: number, depth: number): void {
  if (Number.isSafeInteger(n) && (n !== 0 || 1 / n > 0)) w.int(n);
  else if (n === n) w.float(n);
  else throw bad(depth, 'NaN is no value: write null where there is no number');
}

function writeBigint(w: Writer, n: bigint, depth: number): void {
  if (n >= -0x1f_ffff_ffff_ffffn && n <= 0x1f_ffff_ffff_ffffn) w.int(Number(n));
  else if (n >= -(1n << 63n) && n < 1n << 64n) w.bigint(n);
  else throw bad(depth, 'a bigint has at most 64 bits, from -2^63 to 2^64-1: write a larger one as a string');
}

function writeObject(w: Writer, v: object, depth: number): void {
  if (Array.isArray(v)) return writeArray(w, v, depth);
  const proto: unknown = Object.getPrototypeOf(v);
  if (proto === Object.prototype) return writeMap(w, v as Record<string, unknown>, depth);
  if (v instanceof Uint8Array || (ArrayBuffer.isView(v) && tag(v) === 'Uint8Array')) return writeBytes(w, v as Uint8Array);
  if (v instanceof Date || tag(v) === 'Date') return writeDate(w, v, depth);
  // An object of another frame has another Object.prototype, with null above it as well.
  if (proto === null || (Object.getPrototypeOf(proto) === null && tag(v) === 'Object')) return writeMap(w, v as Record<string, unknown>, depth);
  throw bad(depth, `${describe(v)} is no value: ${advice(v)}`);
}

const tag = (v: object): string => Object.prototype.toString.call(v).slice(8, -1);

function advice(v: object): string {
  if (v instanceof Map) return 'write Object.fromEntries(map)';
  if (v instanceof Set) return 'write an array, [...set]';
  if (v instanceof Promise) return 'await it first';
  if (ArrayBuffer.isView(v)) return 'write new Uint8Array(a.buffer, a.byteOffset, a.byteLength), or an array of numbers';
  if (v instanceof ArrayBuffer) return 'write new Uint8Array(buffer)';
  return 'of objects there are plain ones, arrays, Date and Uint8Array; copy what is to be stored into one of these';
}

function writeArray(w: Writer, list: unknown[], depth: number): void {
  const n = list.length;
  if (depth >= MAX_DEPTH) throw tooDeep(depth);
  if (n > MAX_VALUE) throw tooLarge();
  w.array(n);
  for (let i = 0; i < n; i++) {
    path[depth] = i;
    write(w, list[i], depth + 1);
    if (w.off > limit) throw tooLarge();
  }
}

function writeMap(w: Writer, o: Record<string, unknown>, depth: number): void {
  if (depth >= MAX_DEPTH) throw tooDeep(depth);
  const keys = Object.keys(o);
  w.map(keys.length);
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    path[depth] = key;
    if (w.str(key) < 0) throw bad(depth + 1, 'a key with an unpaired surrogate: keys are text');
    write(w, o[key], depth + 1);
    if (w.off > limit) throw tooLarge();
  }
}

function writeBytes(w: Writer, bytes: Uint8Array): void {
  if (bytes.length > MAX_VALUE) throw tooLarge();
  w.bin(bytes);
}

function writeDate(w: Writer, date: object, depth: number): void {
  let ms = NaN;
  try {
    ms = Date.prototype.getTime.call(date as Date);
  } catch {
    // Something that only says that it is a Date.
  }
  if (ms !== ms) throw bad(depth, 'an invalid Date is no value: write null where there is no date');
  w.date(ms);
}

const tooLarge = (): VsyncError =>
  new VsyncError('VALUE_TOO_LARGE', `a value has at most ${MAX_VALUE} bytes encoded, this one has more: split it over several objects`);

const tooDeep = (depth: number): VsyncError =>
  bad(depth, `arrays and objects are nested at most ${MAX_DEPTH} deep, here they are more: is there a cycle?`);

/** A problem at the place that the path names. */
function bad(depth: number, problem: string): VsyncError {
  let at = '$';
  for (const step of path.slice(0, depth)) {
    if (typeof step === 'number') at += `[${step}]`;
    else at += /^[A-Za-z_$][A-Za-z0-9_$]*$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
  }
  return invalid(`value at ${at.length > 300 ? `${at.slice(0, 300)}…` : at}: ${problem}`);
}

/** Whether two values that were read are the same. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (!isObject(a) || !isObject(b) || Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (a instanceof Date) return Object.is(a.getTime(), (b as unknown as Date).getTime());
  if (a instanceof Uint8Array) return a.length === b.length && a.every((byte, i) => byte === b[i]);
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameValue(a[key], b[key]));
}

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null;
