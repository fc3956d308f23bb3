// What applications pass, checked before it costs a message.
import { VsyncError, describe, invalid, quote } from './errors.js';
import { MAX_COLLECTION, MAX_ID, MAX_NOTE } from './limits.js';
import { wellFormed, type Writer } from './writer.js';

/** Of what is planned and not there yet, so that it is not taken for a mistyped name. */
const PLANNED = ['indexes', 'where', 'orderBy', 'offset'];

/** Refuses options that are no object, and fields that are not known: one that is ignored would be taken for one that works. */
export function fieldsOf(what: string, options: object | undefined, known: readonly string[]): void {
  if (options === undefined) return;
  if (typeof options !== 'object' || options === null || Array.isArray(options)) throw invalid(`${what}: expected an object, got ${describe(options)}`);
  for (const field of Object.keys(options)) {
    if (known.includes(field) || (options as Record<string, unknown>)[field] === undefined) continue;
    if (PLANNED.includes(field)) throw invalid(`${what}: ${quote(field)} is planned, and this version does not have it; there is: ${known.join(', ')}`);
    throw invalid(`${what}: there is no ${quote(field)}; there is: ${known.join(', ')}`);
  }
}

export function signalOf(what: string, options: { signal?: AbortSignal } | undefined): AbortSignal | undefined {
  const signal: unknown = options?.signal;
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalid(`${what}: signal: expected an AbortSignal, got ${describe(signal)}`);
  return signal;
}

export function checkText(what: string, text: unknown): asserts text is string {
  if (typeof text !== 'string') throw invalid(`${what}: expected a string, got ${describe(text)}`);
  if (!wellFormed(text)) throw invalid(`${what}: ${quote(text)} has an unpaired surrogate, which is no text`);
}

export function checkFunction(what: string, fn: unknown): void {
  if (typeof fn !== 'function') throw invalid(`${what}: expected a function, got ${describe(fn)}`);
}

const NAME = /^[a-z0-9._-]{1,64}$/;

export function checkDatabase(name: unknown): asserts name is string {
  if (typeof name === 'string' && NAME.test(name) && name !== '.' && name !== '..') return;
  throw invalid(`the name of a database: expected 1 to 64 characters out of a-z 0-9 . _ - and neither "." nor "..", got ${describe(name)}`);
}

export function checkCollection(name: unknown): asserts name is string {
  const what = 'the name of a collection';
  checkText(what, name);
  if (name === '') throw invalid(`${what}: expected 1 to ${MAX_COLLECTION} bytes, got an empty string`);
  if (name.startsWith('$')) throw invalid(`${what}: ${quote(name)} begins with "$", and those are the system's own: choose another`);
  if (/[\0-\x1f\x7f]/.test(name)) throw invalid(`${what}: ${quote(name)} has control characters: choose one without`);
  const bytes = utf8Length(name);
  if (bytes > MAX_COLLECTION) throw new VsyncError('KEY_TOO_LONG', `${what} has at most ${MAX_COLLECTION} bytes of UTF-8, ${quote(name)} has ${bytes}`);
}

export function utf8Length(s: string): number {
  let n = s.length;
  for (let i = 0; i < s.length; i++) {
    const c = s.charCodeAt(i);
    if (c >= 0x80) n += c < 0x800 || (c >= 0xd800 && c < 0xe000) ? 1 : 2; // a pair of surrogates has 4 bytes
  }
  return n;
}

/** Writes an id, and throws where it is none. */
export function writeId(w: Writer, id: unknown): void {
  if (typeof id !== 'string') throw invalid(`an id: expected a string, got ${describe(id)}`);
  if (id === '') throw invalid(`an id: expected 1 to ${MAX_ID} bytes, got an empty string`);
  // Longer than any that is allowed: not worth writing.
  const bytes = id.length > MAX_ID ? id.length : w.str(id);
  if (bytes < 0) throw invalid(`an id: ${quote(id)} has an unpaired surrogate, which is no text`);
  if (bytes > MAX_ID) throw new VsyncError('KEY_TOO_LONG', `an id has at most ${MAX_ID} bytes of UTF-8, ${quote(id)} has ${utf8Length(id)}`);
}

export function checkNote(note: unknown): asserts note is string {
  checkText('note', note);
  const bytes = utf8Length(note);
  if (bytes > MAX_NOTE) throw invalid(`note: a label of at most ${MAX_NOTE} bytes of UTF-8, this one has ${bytes}: put the rest into a value`);
}

const VERSION = /^[0-9a-f]{32}:[1-9][0-9]{0,15}$/;

export function checkVersion(what: string, version: unknown): asserts version is string {
  if (typeof version === 'string' && VERSION.test(version)) return;
  throw invalid(`${what}: expected the version of an Entry (device:generation), got ${describe(version)}`);
}
