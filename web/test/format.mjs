// A second, independent reader of what core/change writes: values, batches, feed entries, markers.
// It exists to hold the format, not to be fast; the tables above core/change's package clause say
// what it reads. Every refusal is a Refused, whose code is the name that the vectors use.
import { createHash, createHmac } from "node:crypto";

export class Refused extends Error {
  constructor(code, path = "") {
    super(`${code} ${path}`);
    this.code = code;
    this.path = path;
  }
}

const refuse = (code, when = true) => {
  if (when) throw new Refused(code);
};

const MAX = { number: 2n ** 53n - 1n, note: 1024, collection: 64, id: 512, parents: 64, value: 1 << 20, mutations: 20_000,
  batch: 8 << 20, annotation: 4 << 20, depth: 64, code: 32, message: 1024, key: 577 };

export const hex = (bytes) => Buffer.from(bytes).toString("hex");
export const unhex = (text) => new Uint8Array(Buffer.from(text, "hex"));
const concat = (...parts) => new Uint8Array(Buffer.concat(parts));
const sha = (...parts) => new Uint8Array(createHash("sha256").update(concat(...parts)).digest().subarray(0, 16));
const isZero = (bytes) => bytes.every((byte) => byte === 0);
const utf8 = (bytes, code) => {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Refused(code);
  }
};

/** Strict fields off bytes, as core/change's reader. */
class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.off = 0;
  }
  get left() {
    return this.bytes.length - this.off;
  }
  take(n) {
    refuse("truncated", n > this.left);
    this.off += n;
    return this.bytes.subarray(this.off - n, this.off);
  }
  byte() {
    return this.take(1)[0];
  }
  uvarint(limit = MAX.number) {
    let n = 0n;
    for (let i = 0n; ; i++) {
      const byte = this.byte();
      n |= BigInt(byte & 0x7f) << (7n * i);
      refuse("too_large", n >= 2n ** 64n || i > 9n);
      if (byte >= 0x80) continue;
      refuse("not_minimal", byte === 0 && i > 0n);
      refuse("too_large", n > BigInt(limit));
      return Number(n);
    }
  }
  positive() {
    const n = this.uvarint();
    refuse("too_small", n === 0);
    return n;
  }
  count(limit, size) {
    const n = this.uvarint(limit);
    refuse("truncated", n > Math.floor(this.left / size));
    return n;
  }
  counted(limit) {
    return this.take(this.uvarint(limit));
  }
  device() {
    const device = this.take(16);
    refuse("too_small", isZero(device));
    return hex(device);
  }
  end() {
    refuse("trailing", this.left > 0);
  }
}

export function readUvarint(bytes) {
  const r = new Reader(bytes);
  const n = r.uvarint();
  r.end();
  return n;
}

// Values. read gives: null, boolean, number, bigint (beyond ±(2^53-1)), string, Uint8Array, Date, Array, Map.

export function readValue(bytes) {
  if (bytes.length > MAX.value) throw new Refused("too_large", "$");
  const r = new Reader(bytes);
  try {
    const value = read(r, 0);
    r.end();
    return value;
  } catch (err) {
    if (err instanceof Refused) throw new Refused(err.code, `$${err.path}`);
    throw err;
  }
}

const within = (step, f) => {
  try {
    return f();
  } catch (err) {
    if (err instanceof Refused) throw new Refused(err.code, step + err.path);
    throw err;
  }
};

const bigEndian = (r, size) => r.take(size).reduce((n, byte) => (n << 8n) | BigInt(byte), 0n);
const number = (n) => (n >= -MAX.number && n <= MAX.number ? Number(n) : n);

function length(r, size, least) {
  const n = bigEndian(r, size);
  refuse("not_minimal", n < BigInt(least));
  return Number(n);
}

function read(r, depth) {
  const code = r.byte();
  if (code < 0x80) return code;
  if (code >= 0xe0) return code - 0x100;
  if (code < 0x90) return readMap(r, code & 15, depth + 1);
  if (code < 0xa0) return readArray(r, code & 15, depth + 1);
  if (code < 0xc0) return utf8(r.take(code & 31), "not_utf8");
  switch (code) {
    case 0xc0: return null;
    case 0xc2: return false;
    case 0xc3: return true;
    case 0xc4: return r.take(length(r, 1, 0));
    case 0xc5: return r.take(length(r, 2, 1 << 8));
    case 0xc6: return r.take(length(r, 4, 1 << 16));
    case 0xca: throw new Refused("not_minimal");
    case 0xcb: return readFloat(r);
    case 0xcc: case 0xcd: case 0xce: case 0xcf: return readUnsigned(r, 1 << (code - 0xcc));
    case 0xd0: case 0xd1: case 0xd2: case 0xd3: return readSigned(r, 1 << (code - 0xd0));
    case 0xd6: case 0xd7: case 0xc7: return readDate(r, code);
    case 0xd9: return utf8(r.take(length(r, 1, 32)), "not_utf8");
    case 0xda: return utf8(r.take(length(r, 2, 1 << 8)), "not_utf8");
    case 0xdb: return utf8(r.take(length(r, 4, 1 << 16)), "not_utf8");
    case 0xdc: return readArray(r, deepEnough(depth) && length(r, 2, 16), depth + 1);
    case 0xdd: return readArray(r, deepEnough(depth) && length(r, 4, 1 << 16), depth + 1);
    case 0xde: return readMap(r, deepEnough(depth) && length(r, 2, 16), depth + 1);
    case 0xdf: return readMap(r, deepEnough(depth) && length(r, 4, 1 << 16), depth + 1);
    default: throw new Refused("reserved");
  }
}

const deepEnough = (depth) => {
  refuse("too_large", depth + 1 > MAX.depth);
  return true;
};

function readUnsigned(r, size) {
  const n = bigEndian(r, size);
  refuse("not_minimal", n < (size === 1 ? 1n << 7n : 1n << BigInt(4 * size)));
  return number(n);
}

function readSigned(r, size) {
  const n = BigInt.asIntN(8 * size, bigEndian(r, size));
  refuse("not_minimal", n >= (size === 1 ? -32n : -(1n << BigInt(4 * size - 1))));
  return number(n);
}

function readFloat(r) {
  const bytes = r.take(8);
  const f = new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0);
  refuse("reserved", Number.isNaN(f));
  refuse("not_minimal", Number.isSafeInteger(f) && !Object.is(f, -0));
  return f;
}

function readDate(r, code) {
  const size = { 0xd6: 4, 0xd7: 8, 0xc7: 12 }[code];
  refuse("reserved", (code === 0xc7 && r.byte() !== 12) || r.byte() !== 0xff);
  const body = new Reader(r.take(size));
  let nanos = 0n;
  let seconds;
  if (size === 8) {
    const n = bigEndian(body, 8);
    nanos = n >> 34n;
    seconds = n & ((1n << 34n) - 1n);
  } else {
    if (size === 12) nanos = bigEndian(body, 4);
    seconds = BigInt.asIntN(64, bigEndian(body, size === 4 ? 4 : 8));
  }
  refuse("too_large", nanos > 999_999_999n);
  refuse("not_minimal", nanos % 1_000_000n !== 0n);
  const shortest = seconds < 0n || seconds >= 1n << 34n ? 12 : nanos !== 0n || seconds >= 1n << 32n ? 8 : 4;
  refuse("not_minimal", size !== shortest);
  const date = new Date(Number(seconds * 1000n + nanos / 1_000_000n));
  refuse("too_large", Number.isNaN(date.getTime()));
  return date;
}

function readArray(r, n, depth) {
  refuse("too_large", depth > MAX.depth);
  refuse("truncated", n > r.left);
  return Array.from({ length: n }, (_, i) => within(`[${i}]`, () => read(r, depth)));
}

function readMap(r, n, depth) {
  refuse("too_large", depth > MAX.depth);
  refuse("truncated", 2 * n > r.left);
  const map = new Map();
  let twice = false;
  for (let i = 0; i < n; i++) {
    refuse("truncated", r.left === 0);
    const code = r.bytes[r.off];
    refuse("reserved", !((code >= 0xa0 && code < 0xc0) || (code >= 0xd9 && code <= 0xdb)));
    const key = read(r, depth);
    twice ||= map.has(key);
    map.set(key, within(/^[A-Za-z_$][A-Za-z0-9_$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`, () => read(r, depth)));
  }
  refuse("duplicate", twice);
  return map;
}

/** The canonical bytes of what readValue gives. */
export function writeValue(value) {
  const out = [];
  const put = (code, size, n) => {
    out.push(code);
    for (let shift = 8 * (size - 1); shift >= 0; shift -= 8) out.push(Number((BigInt(n) >> BigInt(shift)) & 255n));
  };
  const head = (n, fixed, fix, one, two) => {
    if (n < fixed) out.push(fix | n);
    else if (n < 256 && one) put(one, 1, n);
    else if (n < 65536) put(two, 2, n);
    else put(two + 1, 4, n);
  };
  const integer = (n) => {
    if (n >= 0n && n < 128n) return out.push(Number(n));
    if (n < 0n && n >= -32n) return out.push(Number(n) + 256);
    const step = [1, 2, 4, 8].findIndex((size) => (n < 0n ? BigInt.asIntN(8 * size, n) : BigInt.asUintN(8 * size, n)) === n);
    return put((n < 0n ? 0xd0 : 0xcc) + step, 1 << step, BigInt.asUintN(64, n));
  };
  const write = (v) => {
    if (v === null) out.push(0xc0);
    else if (typeof v === "boolean") out.push(v ? 0xc3 : 0xc2);
    else if (typeof v === "bigint") integer(v);
    else if (typeof v === "number") {
      if (Number.isSafeInteger(v) && !Object.is(v, -0)) return integer(BigInt(v));
      const view = new DataView(new ArrayBuffer(8));
      view.setFloat64(0, v);
      put(0xcb, 8, view.getBigUint64(0));
    } else if (typeof v === "string") {
      const bytes = Buffer.from(v, "utf8");
      head(bytes.length, 32, 0xa0, 0xd9, 0xda);
      out.push(...bytes);
    } else if (v instanceof Uint8Array) {
      head(v.length, 0, 0, 0xc4, 0xc5);
      out.push(...v);
    } else if (v instanceof Date) writeDate(v, put, out);
    else if (Array.isArray(v)) {
      head(v.length, 16, 0x90, 0, 0xdc);
      v.forEach(write);
    } else {
      head(v.size, 16, 0x80, 0, 0xde);
      for (const [key, item] of v) {
        write(key);
        write(item);
      }
    }
  };
  write(value);
  return new Uint8Array(out);
}

function writeDate(date, put, out) {
  const ms = BigInt(date.getTime());
  const rest = ((ms % 1000n) + 1000n) % 1000n;
  const seconds = (ms - rest) / 1000n;
  const nanos = rest * 1_000_000n;
  if (seconds < 0n || seconds >= 1n << 34n) {
    out.push(0xc7, 12);
    put(0xff, 4, nanos);
    put(Number((BigInt.asUintN(64, seconds) >> 56n) & 255n), 7, BigInt.asUintN(56, seconds));
  } else if (nanos !== 0n || seconds >= 1n << 32n) {
    out.push(0xd7);
    put(0xff, 8, (nanos << 34n) | seconds);
  } else {
    out.push(0xd6);
    put(0xff, 4, seconds);
  }
}

/** A value as JSON with the tagged forms. Takes maps as Map and as plain object. */
export function tagged(v) {
  if (typeof v === "bigint") return typeof number(v) === "number" ? Number(v) : { $int: String(v) };
  if (v === Infinity || v === -Infinity) return { $float: String(v) };
  if (v instanceof Uint8Array) return { $bytes: Buffer.from(v).toString("base64") };
  if (v instanceof Date) return { $date: v.toISOString() };
  if (Array.isArray(v)) return v.map(tagged);
  if (v === null || typeof v !== "object") return v;
  const entries = v instanceof Map ? [...v] : Object.entries(v);
  const escape = entries.length === 1 && /^\$+(bytes|date|int|float)$/.test(entries[0][0]) ? "$" : "";
  return Object.fromEntries(entries.map(([key, item]) => [escape + key, tagged(item)]));
}

// Batches.

const checkCollection = (bytes) => {
  refuse("key", bytes.length < 1 || bytes.length > MAX.collection || bytes.some((b) => b < 0x20 || b === 0x7f));
  return utf8(bytes, "key");
};
const checkID = (bytes) => {
  refuse("key", bytes.length < 1 || bytes.length > MAX.id);
  return utf8(bytes, "key");
};

function readHeader(r) {
  const format = r.byte();
  refuse("unknown_format", format !== 1 && format !== 2);
  const flags = r.uvarint();
  refuse("reserved", flags > 3);
  const device = hex(r.take(16));
  const h = { device, gen: r.positive(), stamp: r.uvarint() };
  if (flags & 2) {
    h.nonce = { tab: hex(r.take(8)), counter: r.uvarint() };
    refuse("not_minimal", /^0+$/.test(h.nonce.tab) && h.nonce.counter === 0);
  }
  if (flags & 1) {
    const note = r.counted(MAX.note);
    refuse("not_minimal", note.length === 0);
    h.note = utf8(note, "not_utf8");
  }
  h.collections = Array.from({ length: r.count(MAX.mutations, 2) }, () => checkCollection(r.counted(MAX.collection)));
  refuse("duplicate", new Set(h.collections).size < h.collections.length);
  h.devices = Array.from({ length: r.count(MAX.batch, 16) }, () => r.device());
  refuse("duplicate", new Set(h.devices).size < h.devices.length);
  h.count = r.positive();
  h.size = r.uvarint(MAX.batch);
  h.body = hex(r.take(16));
  h.signed = concat(Uint8Array.of(1), r.bytes.subarray(1, r.off));
  h.hash = hex(r.take(16));
  refuse("too_small", /^0+$/.test(device));
  refuse("too_large", h.count > MAX.mutations);
  refuse("too_small", h.collections.length === 0);
  refuse("unused", h.collections.length > h.count || h.devices.length > h.count * MAX.parents);
  refuse("size", h.size < 6 * h.count);
  refuse("too_large", r.off + h.size > MAX.batch);
  h.partial = format === 2;
  return h;
}

/** Reads a batch that follows prev (hex), as DecodeAny and Follows do. Values stay bytes in raw. */
export function readBatch(bytes, prev, { whole = false } = {}) {
  refuse("partial", whole && bytes[0] === 2);
  const r = new Reader(bytes);
  const { signed, ...h } = readHeader(r);
  let present = h.count;
  if (h.partial) {
    present = r.count(MAX.mutations, 7);
    refuse("not_minimal", present >= h.count);
  } else {
    refuse("truncated", r.left < h.size);
    refuse("trailing", r.left > h.size);
    refuse("body_hash", hex(sha(bytes.subarray(r.off))) !== h.body);
  }
  const used = { collections: 0, devices: 0 };
  const mutations = [];
  for (let next = 0; mutations.length < present; next = mutations.at(-1).index + 1) {
    mutations.push(readFrame(r, h, used, next));
  }
  refuse(h.partial ? "trailing" : "size", r.left > 0);
  refuse("unused", !h.partial && (used.collections < h.collections.length || used.devices < h.devices.length));
  refuse("duplicate_object", new Set(mutations.map((m) => `${m.collection}\0${m.id}`)).size < mutations.length);
  refuse("chain", prev !== undefined && hex(sha(unhex(prev), signed)) !== h.hash);
  return { ...h, mutations };
}

function readFrame(r, h, used, next) {
  let index = next;
  if (h.partial) {
    index = r.uvarint(MAX.mutations);
    refuse("order", index < next);
    refuse("index", index >= h.count);
  }
  return { index, ...readMutation(new Reader(r.counted(MAX.batch)), h, used) };
}

function readMutation(r, h, used) {
  const row = (table) => {
    const i = r.uvarint();
    refuse("index", i >= h[table].length);
    refuse("order", !h.partial && i > used[table]);
    if (i === used[table]) used[table]++;
    return h[table][i];
  };
  const head = r.byte();
  refuse("reserved", ![0, 1, 4].includes(head));
  const m = { kind: head & 1 ? "delete" : "put", collection: row("collections"), id: checkID(r.counted(MAX.id)), parents: [] };
  let before = "";
  for (let n = r.count(MAX.parents, 2); n > 0; n--) {
    const device = row("devices");
    const gen = r.positive();
    const order = `${device}:${String(gen).padStart(16, "0")}`;
    refuse("order", order <= before);
    refuse("parent", device === h.device && gen >= h.gen);
    before = order;
    m.parents.push(`${device}:${gen}`);
  }
  if (head & 4) m.changes = tagged(readValue(r.counted(MAX.value)));
  if (m.kind === "delete") r.end();
  else m.value = tagged(readValue(r.take(r.left)));
  return m;
}

// Feed entries.

export function readEntry(bytes) {
  const r = new Reader(bytes);
  refuse("unknown_format", r.byte() !== 1);
  const kind = r.byte();
  refuse("reserved", kind < 1 || kind > 3);
  const ann = r.counted(MAX.annotation);
  const mac = hex(r.take(16));
  const body = r.take(r.left);
  const annotation = readAnnotation(ann);
  const { device, gen, hash, running = "" } = (kind === 1 ? nameOfBatch : kind === 2 ? nameOfVoid : nameOfLost)(body, annotation);
  const big = Buffer.alloc(8);
  big.writeBigUInt64BE(BigInt(gen));
  return {
    entry: { kind: ["batch", "void", "lost"][kind - 1], version: `${device}:${gen}`, hash, mac, annotation, body: hex(body) },
    name: concat(Uint8Array.of(kind), ann, unhex(device), big, unhex(hash), unhex(running)),
    running: /[^0]/.test(running) ? running : undefined,
  };
}

function nameOfBatch(body, annotation) {
  const h = readHeader(new Reader(body));
  refuse("annotation", annotation.reason !== undefined);
  refuse("not_minimal", annotation.stamp === h.stamp);
  refuse("index", (annotation.eparents?.at(-1).index ?? 0) >= h.count);
  return h;
}

function nameOfVoid(body, annotation) {
  const r = new Reader(body);
  const name = { device: r.device(), gen: r.positive(), hash: hex(r.take(16)) };
  r.end();
  refuse("annotation", !annotation.reason || annotation.stamp !== undefined || annotation.eparents !== undefined);
  return name;
}

function nameOfLost(body, annotation) {
  const r = new Reader(body);
  const name = { device: r.device(), gen: r.positive(), hash: hex(r.take(16)), running: hex(r.take(16)) };
  r.end();
  refuse("annotation", annotation.reason !== undefined || annotation.stamp !== undefined || annotation.eparents !== undefined);
  return name;
}

function readAnnotation(bytes) {
  const r = new Reader(bytes);
  const flags = r.uvarint();
  refuse("reserved", flags > 7);
  const a = { accepted: r.uvarint() };
  if (flags & 1) a.stamp = r.positive();
  if (flags & 2) a.eparents = readEParents(r);
  if (flags & 4) {
    const code = Buffer.from(r.counted(MAX.code)).toString("latin1");
    refuse("text", !/^[A-Z0-9_]+$/.test(code));
    a.reason = { code, message: utf8(r.counted(MAX.message), "not_utf8") };
  }
  r.end();
  return a;
}

function readEParents(r) {
  const list = [];
  const n = r.count(MAX.mutations, 2);
  refuse("not_minimal", n === 0);
  while (list.length < n) {
    const index = r.uvarint(MAX.mutations - 1);
    refuse("order", list.length > 0 && index <= list.at(-1).index);
    const parents = [];
    let before = "";
    for (let m = r.count(MAX.parents, 17); m > 0; m--) {
      const device = r.device();
      const gen = r.positive();
      const order = `${device}:${String(gen).padStart(16, "0")}`;
      refuse("order", order <= before);
      before = order;
      parents.push(`${device}:${gen}`);
    }
    list.push({ index, parents });
  }
  return list;
}

export const feedHash = (prev, name) => hex(sha(unhex(prev), name));

export function entryMAC(key, lineage, name) {
  const covered = concat(Buffer.from("vsync entry 1"), unhex(lineage), name);
  return createHmac("sha256", unhex(key)).update(covered).digest("hex").slice(0, 32);
}

// Keys, markers, versions.

export function readKey(bytes) {
  const nul = bytes.indexOf(0);
  refuse("truncated", nul < 0);
  refuse("too_large", bytes.length > MAX.key);
  return { collection: checkCollection(bytes.subarray(0, nul)), id: checkID(bytes.subarray(nul + 1)) };
}

export function readMarker(bytes) {
  const r = new Reader(bytes);
  refuse("unknown_format", r.byte() !== 1);
  const m = { epoch: r.uvarint(), seq: r.uvarint(), hash: hex(r.take(16)), scope: hex(r.take(16)) };
  r.end();
  refuse("too_small", m.epoch === 0 && !isZero(bytes.subarray(1)));
  return m;
}

export function parseMarker(text) {
  const bytes = Buffer.from(text, "base64url");
  refuse("text", text.length > 66 || bytes.toString("base64url") !== text);
  return readMarker(new Uint8Array(bytes));
}

export function parseVersion(text) {
  const parts = /^([0-9a-f]{32}):([1-9][0-9]*)$/.exec(text);
  refuse("text", !parts || BigInt(parts[2]) > MAX.number);
  return { device: parts[1], gen: Number(parts[2]) };
}
