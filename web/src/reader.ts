import { MAX_DEPTH } from './limits.js';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes that are not what should stand there. Nothing of ours writes such. */
export class Malformed extends Error {
  constructor(want: string, r: Reader) {
    super(`expected ${want} before byte ${r.off} of ${r.buf.length}`);
  }
}

/** Up to this many bytes, a character after the other is faster than all at once. */
const SHORT = 8;

/**
 * Longer ones, up to this many bytes, go through a list of character codes, of which one of each length stays. TextDecoder would be as fast, but for
 * each call Chromium makes objects of its own: of 100,000 of those, the page's thread has garbage to sweep for 60 ms at a stretch.
 */
const MEDIUM = 256;
const codes: number[][] = [];

/** Keys come again and again: one string for all of them saves memory and makes objects alike. */
const KEYS = 512;
const NAME = 24;
const keys: string[] = new Array<string>(KEYS).fill('');

/** Takes a packet, or a value, apart. Throws Malformed; reads any msgpack form. */
export class Reader {
  readonly buf: Uint8Array<ArrayBuffer>;
  off = 0;
  #view: DataView;

  constructor(buf: Uint8Array<ArrayBuffer>) {
    this.buf = buf;
    this.#view = new DataView(buf.buffer, buf.byteOffset, buf.byteLength);
  }

  more(): boolean {
    return this.off < this.buf.length;
  }

  #fail(want: string): never {
    throw new Malformed(want, this);
  }

  /** Moves over n bytes and returns where they begin. */
  #take(n: number, want: string): number {
    const at = this.off;
    if (n > this.buf.length - at) this.#fail(want);
    this.off = at + n;
    return at;
  }

  #size(bytes: number): number {
    const at = this.#take(bytes, 'a length');
    if (bytes === 1) return this.buf[at]!;
    return bytes === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  /** nil, if that is what comes. */
  nil(): boolean {
    if (this.buf[this.off] !== 0xc0) return false;
    this.off++;
    return true;
  }

  bool(): boolean {
    const c = this.buf[this.off++];
    return c === 0xc3 || (c !== 0xc2 && this.#fail('a boolean'));
  }

  /** An integer that a number holds. */
  int(): number {
    const c = this.buf[this.off++]!;
    if (c < 0x80) return c;
    const n = this.#scalar(c);
    return typeof n === 'number' ? n : this.#fail('a number');
  }

  str(): string {
    const n = this.#text(this.buf[this.off++]!);
    return n < 0 ? this.#fail('a string') : this.#string(n);
  }

  /** A string of a few that come often. */
  name(): string {
    const n = this.#text(this.buf[this.off++]!);
    return n < 0 ? this.#fail('a string') : this.#name(n);
  }

  strs(): string[] {
    const list: string[] = [];
    for (let n = this.array(); n > 0; n--) list.push(this.str());
    return list;
  }

  array(): number {
    const c = this.buf[this.off++]!;
    if (c >= 0x90 && c < 0xa0) return this.#count(c & 15, 1);
    if (c === 0xdc || c === 0xdd) return this.#count(this.#size(c === 0xdc ? 2 : 4), 1);
    return this.#fail('an array');
  }

  map(): number {
    const c = this.buf[this.off++]!;
    if (c >= 0x80 && c < 0x90) return this.#count(c & 15, 2);
    if (c === 0xde || c === 0xdf) return this.#count(this.#size(c === 0xde ? 2 : 4), 2);
    return this.#fail('a map');
  }

  /** A count of items of at least so many bytes, which then cannot be more than there are. */
  #count(n: number, size: number): number {
    return n * size <= this.buf.length - this.off ? n : this.#fail('as many items as are said');
  }

  /** A value that stands in a bin; undefined for nil. */
  bin(): unknown {
    const c = this.buf[this.off++]!;
    if (c === 0xc0) return undefined;
    if (!(c >= 0xc4 && c <= 0xc6)) this.#fail('a value in a bin');
    const n = this.#size(1 << (c - 0xc4));
    const end = this.off + n;
    if (end > this.buf.length) this.#fail('a value in a bin');
    const v = this.value();
    return this.off === end ? v : this.#fail('the end of a value');
  }

  /** The bytes of a value that stands in a bin, as a copy; undefined for nil. */
  raw(): Uint8Array<ArrayBuffer> | undefined {
    const c = this.buf[this.off++]!;
    if (c === 0xc0) return undefined;
    if (!(c >= 0xc4 && c <= 0xc6)) this.#fail('a value in a bin');
    const n = this.#size(1 << (c - 0xc4));
    const at = this.#take(n, 'a value in a bin');
    return this.buf.slice(at, at + n);
  }

  value(depth = 0): unknown {
    const c = this.buf[this.off++]!;
    if (c < 0x80) return c;
    if (c < 0xc0) {
      if (c >= 0xa0) return this.#string(c & 31);
      return c < 0x90 ? this.#map(this.#count(c & 15, 2), depth + 1) : this.#array(this.#count(c & 15, 1), depth + 1);
    }
    switch (c) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return this.#bytes(this.#size(1 << (c - 0xc4)));
      case 0xd9: case 0xda: case 0xdb: return this.#string(this.#size(1 << (c - 0xd9)));
      case 0xdc: case 0xdd: return this.#array(this.#count(this.#size(c === 0xdc ? 2 : 4), 1), depth + 1);
      case 0xde: case 0xdf: return this.#map(this.#count(this.#size(c === 0xde ? 2 : 4), 2), depth + 1);
      case 0xd6: case 0xd7: case 0xc7: return this.#date(c);
    }
    return this.#scalar(c);
  }

  #scalar(c: number): number | bigint {
    if (c >= 0xe0) return c - 0x100;
    const view = this.#view;
    switch (c) {
      case 0xcc: return this.buf[this.#take(1, 'a number')]!;
      case 0xcd: return view.getUint16(this.#take(2, 'a number'));
      case 0xce: return view.getUint32(this.#take(4, 'a number'));
      case 0xcf: return this.#eight(false);
      case 0xd0: return view.getInt8(this.#take(1, 'a number'));
      case 0xd1: return view.getInt16(this.#take(2, 'a number'));
      case 0xd2: return view.getInt32(this.#take(4, 'a number'));
      case 0xd3: return this.#eight(true);
      case 0xca: return this.#float(view.getFloat32(this.#take(4, 'a number')));
      case 0xcb: return this.#float(view.getFloat64(this.#take(8, 'a number')));
    }
    return this.#fail('a value');
  }

  #float(n: number): number {
    return n === n ? n : this.#fail('a number that is one');
  }

  /** 64 bits: a number where one holds it. */
  #eight(signed: boolean): number | bigint {
    const at = this.#take(8, 'a number');
    const view = this.#view;
    const n = (signed ? view.getInt32(at) : view.getUint32(at)) * 0x1_0000_0000 + view.getUint32(at + 4);
    if (Number.isSafeInteger(n)) return n;
    return signed ? view.getBigInt64(at) : view.getBigUint64(at);
  }

  #bytes(n: number): Uint8Array {
    const at = this.#take(n, 'bytes');
    return this.buf.slice(at, at + n);
  }

  #array(n: number, depth: number): unknown[] {
    if (depth > MAX_DEPTH) this.#fail(`at most ${MAX_DEPTH} levels`);
    const list: unknown[] = [];
    for (let i = 0; i < n; i++) list.push(this.value(depth));
    return list;
  }

  #map(n: number, depth: number): Record<string, unknown> {
    if (depth > MAX_DEPTH) this.#fail(`at most ${MAX_DEPTH} levels`);
    const map: Record<string, unknown> = {};
    for (let i = 0; i < n; i++) {
      const key = this.name();
      const v = this.value(depth);
      if (key === '__proto__') Object.defineProperty(map, key, { value: v, writable: true, enumerable: true, configurable: true });
      else map[key] = v;
    }
    return map;
  }

  #date(c: number): Date {
    const size = c === 0xd6 ? 4 : c === 0xd7 ? 8 : 12;
    if (size === 12 && this.buf[this.off++] !== 12) this.#fail('a timestamp');
    if (this.buf[this.off++] !== 0xff) this.#fail('a timestamp');
    const at = this.#take(size, 'a timestamp');
    const view = this.#view;
    if (size === 4) return new Date(view.getUint32(at) * 1000);
    const first = view.getUint32(at);
    const high = size === 8 ? first & 3 : view.getInt32(at + 4);
    const seconds = high * 0x1_0000_0000 + view.getUint32(size === 8 ? at + 4 : at + 8);
    const date = new Date(seconds * 1000 + Math.floor((size === 8 ? first >>> 2 : first) / 1_000_000));
    return date.getTime() === date.getTime() ? date : this.#fail('a timestamp that a Date holds');
  }

  /** The length of a string that begins with this code; -1 if none does. */
  #text(c: number): number {
    if (c >= 0xa0 && c < 0xc0) return c & 31;
    return c >= 0xd9 && c <= 0xdb ? this.#size(1 << (c - 0xd9)) : -1;
  }

  #string(n: number): string {
    return this.#characters(this.#take(n, 'a string'), n);
  }

  #characters(at: number, n: number): string {
    return n <= SHORT ? this.#short(at, n) : n <= MEDIUM ? this.#medium(at, n) : this.#decode(at, n);
  }

  #decode(at: number, n: number): string {
    try {
      return utf8.decode(this.buf.subarray(at, at + n));
    } catch {
      return this.#fail('UTF-8');
    }
  }

  #medium(at: number, n: number): string {
    const { buf } = this;
    const list = (codes[n] ??= new Array<number>(n).fill(0));
    for (let i = 0; i < n; i++) {
      const c = buf[at + i]!;
      if (c >= 0x80) return this.#decode(at, n);
      list[i] = c;
    }
    return String.fromCharCode.apply(null, list);
  }

  #short(at: number, n: number): string {
    const { buf } = this;
    let s = '';
    for (let i = 0; i < n; i++) {
      const c = buf[at + i]!;
      if (c >= 0x80) return this.#decode(at, n);
      s += String.fromCharCode(c);
    }
    return s;
  }

  #name(n: number): string {
    const at = this.#take(n, 'a string');
    if (n > NAME || n === 0) return n === 0 ? '' : this.#characters(at, n);
    const { buf } = this;
    const slot = (buf[at]! * 31 + buf[at + n - 1]! * 7 + buf[at + (n >> 1)]! * 17 + n) & (KEYS - 1);
    const known = keys[slot]!;
    if (known.length === n) {
      let i = 0;
      while (i < n && known.charCodeAt(i) === buf[at + i]) i++;
      if (i === n) return known;
    }
    const s = this.#characters(at, n);
    if (s.length === n) keys[slot] = s; // as many characters as bytes: ASCII
    return s;
  }

  /** Moves over one thing of any kind: what nobody waits for. */
  skip(): void {
    let left = 1;
    while (left-- > 0) {
      const c = this.buf[this.off++]!;
      if (c < 0x80 || c >= 0xe0 || c === 0xc0 || c === 0xc2 || c === 0xc3) continue;
      if (c < 0x90) left += 2 * (c & 15);
      else if (c < 0xa0) left += c & 15;
      else if (c < 0xc0) this.#take(c & 31, 'a string');
      else if (c >= 0xc4 && c <= 0xc6) this.#take(this.#size(1 << (c - 0xc4)), 'bytes');
      else if (c >= 0xd9 && c <= 0xdb) this.#take(this.#size(1 << (c - 0xd9)), 'a string');
      else if (c === 0xdc || c === 0xdd) left += this.#size(c === 0xdc ? 2 : 4);
      else if (c === 0xde || c === 0xdf) left += 2 * this.#size(c === 0xde ? 2 : 4);
      else this.#scalar(c);
    }
  }
}
