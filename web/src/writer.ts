import { KEEP_BUFFER, SPARE_BUFFERS } from './limits.js';

const utf8 = new TextEncoder();

/** Below this length a loop is faster than a call of TextEncoder, with what that leaves behind: see the reader's MEDIUM. */
const SHORT = 600;

/** Buffers of writers that have ended: a fresh one costs a page fault for each 4 KB that is written into it, and as much again when it is freed. */
const spares: Uint8Array<ArrayBuffer>[] = [];
const none = new Uint8Array(0);

/** Appends msgpack to one growing buffer that is used again. Always the shortest form, but for bins that are filled in place. */
export class Writer {
  buf: Uint8Array<ArrayBuffer>;
  off = 0;
  #view: DataView;

  constructor(buf = new Uint8Array(1024)) {
    this.buf = buf;
    this.#view = new DataView(this.buf.buffer);
  }

  /** Makes room for n more bytes. */
  room(n: number): void {
    if (this.off + n > this.buf.length) this.#grow(this.off + n);
  }

  #grow(least: number): void {
    const old = this.buf;
    this.buf = new Uint8Array(Math.max(least, 2 * old.length));
    this.buf.set(old.subarray(0, this.off));
    this.#view = new DataView(this.buf.buffer);
  }

  /** What was written, in a buffer of its own; writing begins anew. */
  take(): Uint8Array<ArrayBuffer> {
    const { buf, off } = this;
    this.off = 0;
    if (buf.length <= KEEP_BUFFER) return buf.slice(0, off);
    this.buf = new Uint8Array(1024);
    this.#view = new DataView(this.buf.buffer);
    return buf.subarray(0, off);
  }

  /** One that lives for a while, until end(). */
  static begin(): Writer {
    return new Writer(spares.pop() ?? new Uint8Array(256));
  }

  /** Nothing is read or written any more: another one takes the buffer. */
  end(): void {
    const { buf } = this;
    this.off = 0;
    this.buf = none;
    this.#view = new DataView(none.buffer);
    if (buf.length <= KEEP_BUFFER && spares.length < SPARE_BUFFERS) spares.push(buf);
  }

  nil(): void {
    this.room(1);
    this.buf[this.off++] = 0xc0;
  }

  bool(v: boolean): void {
    this.room(1);
    this.buf[this.off++] = v ? 0xc3 : 0xc2;
  }

  /** An integer within ±(2^53-1). */
  int(n: number): void {
    this.room(9);
    const { buf } = this;
    if (n >= 0) {
      if (n < 0x80) buf[this.off++] = n;
      else if (n < 0x100) {
        buf[this.off++] = 0xcc;
        buf[this.off++] = n;
      } else if (n < 0x10000) {
        buf[this.off++] = 0xcd;
        buf[this.off++] = n >> 8;
        buf[this.off++] = n;
      } else if (n < 0x1_0000_0000) this.#four(0xce, n);
      else this.#eight(0xcf, n);
    } else if (n >= -0x20) buf[this.off++] = n;
    else if (n >= -0x80) {
      buf[this.off++] = 0xd0;
      buf[this.off++] = n;
    } else if (n >= -0x8000) {
      buf[this.off++] = 0xd1;
      buf[this.off++] = n >> 8;
      buf[this.off++] = n;
    } else if (n >= -0x8000_0000) this.#four(0xd2, n);
    else this.#eight(0xd3, n);
  }

  #four(code: number, n: number): void {
    this.buf[this.off] = code;
    this.#view.setInt32(this.off + 1, n);
    this.off += 5;
  }

  #eight(code: number, n: number): void {
    const high = Math.floor(n / 0x1_0000_0000);
    this.buf[this.off] = code;
    this.#view.setInt32(this.off + 1, high);
    this.#view.setInt32(this.off + 5, n - high * 0x1_0000_0000);
    this.off += 9;
  }

  /** An integer from -2^63 to 2^64-1, beyond what int takes. */
  bigint(n: bigint): void {
    this.room(9);
    this.buf[this.off] = n < 0n ? 0xd3 : 0xcf;
    this.#view.setBigInt64(this.off + 1, BigInt.asIntN(64, n));
    this.off += 9;
  }

  float(n: number): void {
    this.room(9);
    this.buf[this.off] = 0xcb;
    this.#view.setFloat64(this.off + 1, n);
    this.off += 9;
  }

  /** A timestamp of whole milliseconds since 1970. */
  date(ms: number): void {
    this.room(15);
    const seconds = Math.floor(ms / 1000);
    const nanos = (ms - seconds * 1000) * 1_000_000;
    const high = Math.floor(seconds / 0x1_0000_0000);
    const low = seconds - high * 0x1_0000_0000;
    const { buf } = this;
    if (high < 0 || high > 3) {
      buf[this.off++] = 0xc7;
      buf[this.off++] = 12;
      buf[this.off++] = 0xff;
      this.#view.setInt32(this.off, nanos);
      this.#view.setInt32(this.off + 4, high);
      this.#view.setInt32(this.off + 8, low);
      this.off += 12;
    } else if (nanos > 0 || high > 0) {
      buf[this.off++] = 0xd7;
      buf[this.off++] = 0xff;
      this.#view.setInt32(this.off, nanos * 4 + high);
      this.#view.setInt32(this.off + 4, low);
      this.off += 8;
    } else {
      buf[this.off++] = 0xd6;
      buf[this.off++] = 0xff;
      this.#view.setInt32(this.off, low);
      this.off += 4;
    }
  }

  /** What begins something counted: within the code below fixed, else behind it in one byte (if there is such a form), two or four. */
  #head(n: number, fixed: number, fix: number, one: number, two: number): void {
    const { buf } = this;
    if (n < fixed) buf[this.off++] = fix | n;
    else if (n < 0x100 && one > 0) {
      buf[this.off++] = one;
      buf[this.off++] = n;
    } else if (n < 0x10000) {
      buf[this.off++] = two;
      buf[this.off++] = n >> 8;
      buf[this.off++] = n;
    } else this.#four(two + 1, n);
  }

  array(n: number): void {
    this.room(5);
    this.#head(n, 16, 0x90, 0, 0xdc);
  }

  map(n: number): void {
    this.room(5);
    this.#head(n, 16, 0x80, 0, 0xde);
  }

  bin(bytes: Uint8Array): void {
    this.room(5 + bytes.length);
    this.#head(bytes.length, 0, 0, 0xc4, 0xc5);
    this.buf.set(bytes, this.off);
    this.off += bytes.length;
  }

  /** Copies what was written elsewhere. */
  raw(from: Uint8Array, start: number, end: number): void {
    this.room(end - start);
    if (end - start < 64) for (let i = start; i < end; i++) this.buf[this.off++] = from[i]!;
    else {
      this.buf.set(from.subarray(start, end), this.off);
      this.off += end - start;
    }
  }

  /** Begins a bin of unknown length, which what is written next fills; endBin takes the mark. */
  beginBin(): number {
    this.room(3);
    this.off += 3;
    return this.off;
  }

  endBin(mark: number): void {
    const n = this.off - mark;
    if (n > 0xffff) {
      this.room(2);
      this.buf.copyWithin(mark + 2, mark, this.off);
      this.off = mark - 3;
      this.#four(0xc6, n);
      this.off += n;
      return;
    }
    this.buf[mark - 3] = 0xc5;
    this.buf[mark - 2] = n >> 8;
    this.buf[mark - 1] = n;
  }

  /** Returns how many bytes of UTF-8 the string has; -1, and nothing is written, if it has an unpaired surrogate. */
  str(s: string): number {
    const n = s.length;
    this.room(5 + 3 * n);
    const start = this.off;
    // The head is as long as ASCII needs it. If the text turns out longer, it is moved.
    const head = n < 32 ? 1 : n < 0x100 ? 2 : n < 0x10000 ? 3 : 5;
    const end = n < SHORT ? this.#short(s, start + head) : this.#long(s, start + head);
    if (end < 0) return -1;
    const bytes = end - start - head;
    if (bytes >= 32) {
      const needed = bytes < 0x100 ? 2 : bytes < 0x10000 ? 3 : 5;
      if (needed > head) this.buf.copyWithin(start + needed, start + head, end);
    }
    this.#head(bytes, 32, 0xa0, 0xd9, 0xda);
    this.off += bytes;
    return bytes;
  }

  #short(s: string, p: number): number {
    const { buf } = this;
    for (let i = 0; i < s.length; i++) {
      let c = s.charCodeAt(i);
      if (c < 0x80) {
        buf[p++] = c;
        continue;
      }
      if (c < 0x800) buf[p++] = 0xc0 | (c >> 6);
      else {
        if (c >= 0xd800 && c < 0xe000) {
          const d = s.charCodeAt(++i); // NaN behind the end
          if (c >= 0xdc00 || !(d >= 0xdc00 && d < 0xe000)) return -1;
          c = 0x10000 + ((c - 0xd800) << 10) + (d - 0xdc00);
          buf[p++] = 0xf0 | (c >> 18);
          buf[p++] = 0x80 | ((c >> 12) & 0x3f);
        } else buf[p++] = 0xe0 | (c >> 12);
        buf[p++] = 0x80 | ((c >> 6) & 0x3f);
      }
      buf[p++] = 0x80 | (c & 0x3f);
    }
    return p;
  }

  #long(s: string, p: number): number {
    const { written } = utf8.encodeInto(s, this.buf.subarray(p));
    return written === s.length || wellFormed(s) ? p + written : -1;
  }
}

/** Whether a string has no unpaired surrogate. */
export function wellFormed(s: string & { isWellFormed?: () => boolean }): boolean {
  return s.isWellFormed ? s.isWellFormed() : !/\p{Surrogate}/u.test(s);
}
