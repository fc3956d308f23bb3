// The frames that Go writes (core/vectors/wire.json), judged by a second reader, made from the tables of
// core/wire/PROTOCOL.md alone; the right ones by the msgpack library that the SDK uses, too.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decode, encode } from "@msgpack/msgpack";

const vectors = JSON.parse(readFileSync(new URL("../../core/vectors/wire.json", import.meta.url), "utf8"));
const unhex = (text) => new Uint8Array(Buffer.from(text, "hex"));
const hex = (bytes) => Buffer.from(bytes).toString("hex");

/** A frame that is refused; the message is the code to answer with. */
class Refused extends Error {}
const refuse = (code) => { throw new Refused(code); };

const MAX = BigInt(Number.MAX_SAFE_INTEGER);

/** One msgpack value at the reader's place, as {kind, value}; a map's value is a list of pairs. */
class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  take(n) {
    if (n > this.bytes.length - this.at) refuse("PROTOCOL");
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }

  size(n) {
    return Number(this.unsigned(n));
  }

  unsigned(n) {
    return this.take(n).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  }

  list(n, depth, read) {
    if (depth > 65) refuse("TOO_LARGE"); // 64 in each other below the frame's array and map
    if (n > this.bytes.length - this.at) refuse("PROTOCOL");
    return Array.from({ length: n }, read);
  }

  array(n, depth) {
    return { kind: "array", value: this.list(n, depth, () => this.value(depth + 1)) };
  }

  map(n, depth) {
    return { kind: "map", value: this.list(n, depth, () => [this.value(depth + 1), this.value(depth + 1)]) };
  }

  value(depth) {
    const [c] = this.take(1);
    if (c < 0x80) return { kind: "int", value: BigInt(c) };
    if (c < 0x90) return this.map(c & 15, depth);
    if (c < 0xa0) return this.array(c & 15, depth);
    if (c < 0xc0) return { kind: "str", value: this.take(c & 31) };
    if (c >= 0xe0) return { kind: "int", value: BigInt(c) - 256n };
    switch (c) {
      case 0xc0: return { kind: "nil" };
      case 0xc2: case 0xc3: return { kind: "bool", value: c === 0xc3 };
      case 0xc4: case 0xc5: case 0xc6: return { kind: "bin", value: this.take(this.size(1 << (c - 0xc4))) };
      case 0xc7: case 0xc8: case 0xc9: return { kind: "ext", value: this.take(this.size(1 << (c - 0xc7)) + 1) };
      case 0xca: case 0xcb: return { kind: "float", value: this.take(4 << (c - 0xca)) };
      case 0xcc: case 0xcd: case 0xce: case 0xcf: return { kind: "int", value: this.unsigned(1 << (c - 0xcc)) };
      case 0xd0: case 0xd1: case 0xd2: case 0xd3: {
        const n = 1 << (c - 0xd0);
        return { kind: "int", value: BigInt.asIntN(8 * n, this.unsigned(n)) };
      }
      case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return { kind: "ext", value: this.take(1 + (1 << (c - 0xd4))) };
      case 0xd9: case 0xda: case 0xdb: return { kind: "str", value: this.take(this.size(1 << (c - 0xd9))) };
      case 0xdc: case 0xdd: return this.array(this.size(2 << (c - 0xdc)), depth);
      case 0xde: case 0xdf: return this.map(this.size(2 << (c - 0xde)), depth);
      default: return refuse("PROTOCOL");
    }
  }
}

// Kinds of fields: each takes what the reader found and gives the plain value.
const of = (kind, v) => (v.kind === kind ? v.value : refuse("PROTOCOL"));
const uint = (least = 0n) => (v) => {
  const n = of("int", v);
  if (n < 0n) refuse("PROTOCOL");
  return n >= least && n <= MAX ? Number(n) : refuse("INVALID");
};
const str = (most, form) => (v) => {
  const bytes = of("str", v);
  if (bytes.length > most) refuse("TOO_LARGE");
  const text = utf8(bytes);
  return !form || form.test(text) ? text : refuse("INVALID");
};
const utf8 = (bytes) => {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return refuse("PROTOCOL");
  }
};
const bin = (least, most) => (v) => {
  const bytes = of("bin", v);
  if (bytes.length < least) refuse("INVALID");
  return bytes.length > most ? refuse("TOO_LARGE") : bytes;
};
const zero = (bytes) => bytes.every((byte) => byte === 0);
const bin16 = (v) => (of("bin", v).length === 16 ? v.value : refuse("PROTOCOL"));
const some16 = (v) => (zero(bin16(v)) ? refuse("INVALID") : v.value);
const bool = (v) => of("bool", v);
const hashes = (v) => {
  const n = of("bin", v).length;
  if (n % 16 !== 0) refuse("PROTOCOL");
  return n > 16 * 4096 ? refuse("TOO_LARGE") : v.value;
};
const trail = (v) => {
  const bytes = of("bin", v);
  if (bytes.length % 24 !== 0) refuse("PROTOCOL");
  if (bytes.length > 24 * 64) refuse("TOO_LARGE");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let last = MAX + 1n;
  for (let at = 0; at < bytes.length; at += 24) {
    const seq = view.getBigUint64(at);
    if (seq >= last) refuse("INVALID");
    last = seq;
  }
  return bytes;
};
const place = (v) => {
  const bytes = of("bin", v);
  if (bytes.length !== 24) refuse("PROTOCOL");
  if (zero(bytes.subarray(0, 8)) && !zero(bytes)) refuse("INVALID"); // there is no entry 0
  return trail(v);
};
const items = (v) => {
  const list = of("array", v);
  if (list.length > 4096) refuse("TOO_LARGE");
  if (list.length === 0) refuse("INVALID");
  return list.map((item) => (of("bin", item).length > 0 ? item.value : refuse("INVALID")));
};
const marker = (v) => {
  const bytes = of("bin", v);
  let at = 1;
  const number = () => {
    let n = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 49n || (byte === 0 && shift > 0n)) refuse("UNKNOWN_MARKER");
      n |= BigInt(byte & 127) << shift;
      if (byte < 128) return n <= MAX ? n : refuse("UNKNOWN_MARKER");
    }
  };
  if (bytes[0] !== 1) refuse("UNKNOWN_MARKER");
  const epoch = number();
  number();
  if (bytes.length !== at + 32) refuse("UNKNOWN_MARKER");
  if (epoch === 0n && !zero(bytes.subarray(1))) refuse("UNKNOWN_MARKER");
  return { bytes, epoch };
};
const mode = (v) => {
  const text = str(32)(v);
  if (text === "pages") refuse("UNKNOWN_MESSAGE");
  return text === "resume" || text === "replay" ? text : refuse("INVALID");
};
const limits = (v) => {
  const fields = { frame: uint(4096n), value: uint(1n), batch: uint(1n), mutations: uint(1n), pushes: uint(1n), credit: uint(1n) };
  return body(v, fields, Object.keys(fields));
};

const code = str(32, /^[A-Z0-9_]+$/);
const parts = { part: uint(), more: bool };
const text = str(1024);

/** By type: name, receiver, fields, which of them may be missing, and what is said of several at once. */
const messages = {
  1: ["hello", "hub", {
    p: uint(1n), db: str(64, /^[a-z0-9._-]+$/), lin: bin16, dev: some16, tok: str(8192), mk: marker, gen: uint(), hash: bin16,
    own: hashes, held: uint(1n), credit: uint(1n), agent: str(128), trail, back: place,
  }, ["lin", "tok", "mk", "trail", "back"], (m) => m.gen > 0 || zero(m.hash)],
  2: ["push", "hub", { gen: uint(1n), b: items, ...parts, alone: bool }, ["part", "more", "alone"],
    (m) => lists(m, m.b, 1) && (!m.alone || m.b.length === 1)],
  3: ["seen", "hub", { seq: uint(), hash: bin16 }, ["hash"]],
  5: ["handback", "hub", { seq: uint(1n), e: items, ...parts }, ["part", "more"], (m) => lists(m, m.e, 1)],
  7: ["ping", "hub", { n: uint() }, []],
  8: ["token", "hub", { tok: str(8192, /./s) }, []],
  33: ["welcome", "device", {
    p: uint(1n), lin: some16, ep: uint(1n), now: uint(), mode, common: uint(), last: uint(), hash: bin16, head: uint(), mk: marker,
    lim: limits, exp: uint(),
  }, ["exp"], (m) => m.mk.epoch > 0n && m.common <= m.last && (m.last > 0 || zero(m.hash))],
  34: ["changes", "device", { seq: uint(1n), e: items, hash: bin16, ...parts }, ["part", "more"], (m) => lists(m, m.e, 1)],
  36: ["accepted", "device", { seq: uint(1n), gen: uint(1n), a: items, hash: bin16, ...parts }, ["part", "more"], (m) => lists(m, m.a, 18)],
  37: ["voided", "device", { seq: uint(1n), gen: uint(1n), a: bin(18, 4096), code, msg: text, hash: bin16 }, []],
  40: ["pong", "device", { n: uint(), now: uint(), exp: uint() }, ["exp"]],
  41: ["error", "device", { code, msg: text, retry: uint(), gen: uint() }, ["retry", "gen"]],
  42: ["bye", "device", { why: str(32, /./s), retry: uint() }, []],
  43: ["resend", "device", { gen: uint(1n) }, []],
  44: ["handed", "device", { seq: uint(1n), n: uint(), head: place }, []],
};

/** A part has one piece; whole items have a least size, and consecutive numbers that stay numbers. */
function lists(m, list, least) {
  if (m.part > 0 || m.more) return list.length === 1;
  const first = Math.max(m.seq ?? 0, m.gen ?? 0);
  return list.every((item) => item.length >= least) && first <= Number.MAX_SAFE_INTEGER - (list.length - 1);
}

function body(v, fields, optional) {
  const pairs = of("map", v);
  if (pairs.length > 64) refuse("TOO_LARGE");
  const out = {};
  const met = new Set();
  for (const [k, value] of pairs) {
    const key = hex(of("str", k));
    if (met.has(key)) refuse("PROTOCOL");
    met.add(key);
    const name = Buffer.from(k.value).toString();
    if (Object.hasOwn(fields, name)) out[name] = fields[name](value);
  }
  for (const name of Object.keys(fields)) {
    if (!(name in out) && !optional.includes(name)) refuse("PROTOCOL");
  }
  return out;
}

/** Reads a frame for a receiver: its message's name, or Refused. */
function judge(to, bytes) {
  const reader = new Reader(bytes);
  const frame = of("array", reader.value(0));
  if (reader.at !== bytes.length || frame.length !== 2) refuse("PROTOCOL");
  const type = of("int", frame[0]);
  if (type < 0n) refuse("PROTOCOL");
  const [name, receiver, fields, optional, holds] = messages[type] ?? refuse("UNKNOWN_MESSAGE");
  if (receiver !== to) refuse("UNKNOWN_MESSAGE");
  const m = body(frame[1], fields, optional);
  if (holds && !holds(m)) refuse("INVALID");
  return name;
}

/** The JSON form of a vector as what the library takes and gives. */
const plain = (json) => {
  if (Array.isArray(json)) return json.map(plain);
  if (json === null || typeof json !== "object") return json;
  const keys = Object.keys(json);
  if (keys.length === 1 && keys[0] === "bin") return unhex(json.bin);
  return Object.fromEntries(keys.map((key) => [key, plain(json[key])]));
};

test("right frames are read and written by the library", () => {
  assert.ok(vectors.frames.length >= 25);
  for (const v of vectors.frames) {
    assert.deepEqual(decode(unhex(v.frame)), plain(v.json), v.name);
    assert.equal(hex(encode(plain(v.json))), v.frame, `${v.name}: written again`);
  }
});

test("right frames are taken", () => {
  for (const v of vectors.frames) assert.equal(judge(v.to, unhex(v.frame)), v.message, v.name);
});

test("loose frames are taken, and say the same as the strict ones", () => {
  assert.ok(vectors.loose.length >= 8);
  for (const v of vectors.loose) assert.equal(judge(v.to, unhex(v.frame)), judge(v.to, unhex(v.same)), v.name);
});

test("wrong frames are refused with their codes", () => {
  assert.ok(vectors.wrong.length >= 200);
  for (const v of vectors.wrong) {
    assert.throws(() => judge(v.to, unhex(v.frame)), (err) => {
      assert.ok(err instanceof Refused, `${v.name}: ${err.stack}`);
      assert.equal(err.message, v.code, v.name);
      return true;
    }, v.name);
  }
});

test("every frame cut short is refused", () => {
  for (const v of vectors.frames) {
    const bytes = unhex(v.frame);
    for (let n = 0; n < bytes.length; n++) assert.throws(() => judge(v.to, bytes.subarray(0, n)), { message: "PROTOCOL" }, v.name);
  }
});
