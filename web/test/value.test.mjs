import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { load } from "./built.mjs";
import { hex, readValue, tagged, unhex, writeValue } from "./format.mjs";

const { encodeValue, decodeValue } = await load("value");
const { Writer } = await load("writer");
const { Reader } = await load("reader");
const vectors = JSON.parse(readFileSync(new URL("../../core/vectors/values.json", import.meta.url), "utf8"));

// A plain object puts keys that are whole numbers first, so a map with such keys in another order cannot come back as it was.
const reordered = "digits as keys, out of order";

test("every good value is read, and written back byte by byte", () => {
  for (const { about, hex: bytes, json } of vectors.good) {
    const value = decodeValue(unhex(bytes));
    assert.deepEqual(tagged(value), json, about);
    if (about === reordered) assert.deepEqual(decodeValue(encodeValue(value)), value);
    else assert.equal(hex(encodeValue(value)), bytes, about);
  }
});

test("what is wrong is refused, or is another form of what is right", () => {
  for (const { about, hex: bytes } of vectors.bad) {
    let value;
    try {
      value = decodeValue(unhex(bytes));
    } catch (err) {
      assert.equal(err.code, "PROTOCOL", about);
      continue;
    }
    assert.notEqual(hex(encodeValue(value)), bytes, about);
  }
});

test("what JSON says becomes the canonical bytes", () => {
  for (const { about, json, hex: bytes } of vectors.fromJson) {
    if (typeof json !== "string" || /\$|\d{16}/.test(json)) continue; // tags, and numbers that JSON.parse rounds
    assert.equal(hex(encodeValue(JSON.parse(json))), bytes, about);
  }
});

test("integers at every border, as numbers and as bigints", () => {
  for (let bit = 0n; bit <= 64n; bit++) {
    for (const off of [-2n, -1n, 0n, 1n, 2n]) {
      for (const n of [(1n << bit) + off, -(1n << bit) + off]) {
        if (n < -(1n << 63n) || n >= 1n << 64n) continue;
        const bytes = encodeValue(n);
        assert.equal(hex(bytes), hex(writeValue(n)), String(n));
        const small = n >= -(2n ** 53n - 1n) && n <= 2n ** 53n - 1n;
        assert.equal(decodeValue(bytes), small ? Number(n) : n);
        if (small) assert.equal(hex(encodeValue(Number(n))), hex(bytes));
      }
    }
  }
});

test("numbers that are no integers keep their bits, and -0 its sign", () => {
  for (const n of [-0, 0.1, -0.1, 5e-324, Number.MAX_VALUE, Infinity, -Infinity, 2 ** 53, -(2 ** 53), 1e21]) {
    const bytes = encodeValue(n);
    assert.equal(bytes[0], 0xcb);
    assert.ok(Object.is(decodeValue(bytes), n), String(n));
  }
});

test("strings of every length around the borders, ASCII or not", () => {
  const alphabets = ["a", "é", "東", "🌍", "aé", "a東🌍"];
  const lengths = [0, 1, 10, 11, 15, 16, 23, 24, 25, 30, 31, 32, 33, 46, 47, 48, 49, 84, 85, 86, 127, 128, 254, 255, 256, 257, 21844, 21846, 65535, 65536, 65537];
  for (const alphabet of alphabets) {
    for (const length of lengths) {
      const s = alphabet.repeat(length);
      const bytes = encodeValue(s);
      assert.ok(readValue(bytes) === s, `${length} of ${alphabet}`); // strict: a longer form would be refused
      assert.ok(decodeValue(bytes) === s, `${length} of ${alphabet}`);
    }
  }
});

test("unpaired surrogates are refused wherever they stand", () => {
  for (const s of ["\ud800", "\udc00", "a\ud800", "\ud800a", "\ud800\ud800", "\udc00\ud800", `${"x".repeat(100)}\ud800`, `\udc00${"x".repeat(100)}`]) {
    for (const [value, path] of [[s, "$"], [{ a: [s] }, "$.a[0]"], [{ b: { [s]: 1 } }, "$.b["]]) {
      assert.throws(() => encodeValue(value), (err) => err.code === "INVALID" && err.message.includes(`value at ${path}`) && err.message.includes("surrogate"));
    }
  }
  assert.equal(decodeValue(encodeValue("\ud83c\udf0d")), "🌍");
});

test("what is no value is refused with its path", () => {
  class Point {}
  const cases = [
    [undefined, "$", "delete the object"],
    [{ a: undefined }, "$.a", "leave the key out"],
    [{ a: [0, 1, 2, { b: undefined }] }, "$.a[3].b", "undefined"],
    [[1, , 3], "$[1]", "undefined"],
    [{ f() {} }, "$.f", "a function"],
    [{ "b c": { "": Symbol("x") } }, '$["b c"][""]', "a symbol"],
    [[NaN], "$[0]", "NaN"],
    [{ d: new Date(NaN) }, "$.d", "invalid Date"],
    [{ p: new Point() }, "$.p", "a Point"],
    [new Map([["a", 1]]), "$", "Object.fromEntries"],
    [[new Set()], "$[0]", "[...set]"],
    [Promise.resolve(1), "$", "await"],
    [new Float64Array(2), "$", "new Uint8Array(a.buffer"],
    [new ArrayBuffer(2), "$", "new Uint8Array(buffer)"],
    [new String("s"), "$", "a String"],
    [/x/, "$", "a RegExp"],
    [new Error("x"), "$", "a Error"],
    [Object.create(Date.prototype), "$", "invalid Date"],
    [2n ** 64n, "$", "64 bits"],
    [-(2n ** 63n) - 1n, "$", "64 bits"],
    [{ [Symbol.toStringTag]: "Date", [Symbol.iterator]: 1, x: undefined }, "$.x", "undefined"],
  ];
  for (const [value, path, words] of cases) {
    assert.throws(
      () => encodeValue(value),
      (err) => {
        assert.equal(err.code, "INVALID");
        assert.ok(err.message.startsWith(`value at ${path}: `) && err.message.includes(words), err.message);
        return true;
      },
    );
  }
});

test("nesting has an end, so a cycle has one", () => {
  const deep = (n) => (n === 0 ? 1 : [deep(n - 1)]);
  assert.deepEqual(decodeValue(encodeValue(deep(64))), deep(64));
  const cycle = { a: [] };
  cycle.a.push(cycle);
  for (const value of [deep(65), cycle]) assert.throws(() => encodeValue(value), (err) => err.code === "INVALID" && err.message.includes("64 deep"));
});

test("a value of 1 MiB goes, one byte more does not", () => {
  const most = 2 ** 20;
  const fits = [new Uint8Array(most - 5), "x".repeat(most - 5)];
  for (const value of fits) assert.equal(encodeValue(value).length, most);
  const wide = new Array(2 ** 18).fill("abcd");
  for (const value of [new Uint8Array(most - 4), "x".repeat(most - 4), "é".repeat(most / 2), "x".repeat(2 ** 24), wide, Object.fromEntries(wide.map((v, i) => [i, v]))]) {
    assert.throws(() => encodeValue(value), (err) => err.code === "VALUE_TOO_LARGE" && err.message.includes("1048576"));
  }
  const endless = new Proxy([], { get: (_, key) => (key === "length" ? 2 ** 32 - 1 : 1) });
  assert.throws(() => encodeValue(endless), (err) => err.code === "VALUE_TOO_LARGE");
});

test("after a refusal, the next value is written as if nothing had been", () => {
  assert.throws(() => encodeValue({ a: 1, b: [2, undefined] }));
  assert.equal(hex(encodeValue({ a: 1 })), "81a16101");
});

test("a getter cannot write a value into the middle of another", () => {
  const value = { a: 1, get b() { return encodeValue({ c: 2 }); } };
  assert.throws(() => encodeValue(value), (err) => err.code === "INVALID" && err.message.includes("getter"));
  assert.throws(() => encodeValue({ get a() { throw new RangeError("mine"); } }), RangeError);
  assert.equal(hex(encodeValue(1)), "01");
});

test("plain objects: without a prototype, of another realm, with __proto__ as a key, and only own keys", () => {
  const bare = Object.assign(Object.create(null), { a: 1 });
  const other = runInNewContext("({a: [new Date(5), new Uint8Array([1, 2])]})");
  assert.equal(hex(encodeValue(bare)), "81a16101");
  assert.equal(hex(encodeValue(other)), hex(encodeValue({ a: [new Date(5), Uint8Array.of(1, 2)] })));
  const own = JSON.parse('{"__proto__": {"x": 1}, "constructor": 2}');
  const back = decodeValue(encodeValue(own));
  assert.deepEqual(Object.keys(back), ["__proto__", "constructor"]);
  assert.equal(Object.getPrototypeOf(back), Object.prototype);
  assert.equal(back.x, undefined);
});

test("bytes that are read are nobody else's", () => {
  const packet = encodeValue({ a: Uint8Array.of(1, 2, 3) });
  const value = decodeValue(packet);
  packet.fill(0);
  assert.deepEqual(value.a, Uint8Array.of(1, 2, 3));
  assert.equal(value.a.buffer.byteLength, 3);
  assert.ok(decodeValue(encodeValue(Buffer.from("hi"))) instanceof Uint8Array);
});

test("dates from end to end of what a Date holds", () => {
  for (const ms of [0, 1, 999, 1000, -1, -1000, -1001, 2 ** 32 * 1000 - 1, 2 ** 32 * 1000, 2 ** 34 * 1000 - 1, 2 ** 34 * 1000, 8.64e15, -8.64e15, 1767322984678]) {
    const bytes = encodeValue(new Date(ms));
    assert.equal(hex(bytes), hex(writeValue(new Date(ms))), String(ms));
    assert.equal(decodeValue(bytes).getTime(), ms);
  }
});

// Random values against the second, independent reader and writer.

function generator(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const below = (n) => Math.floor(next() * n);
  const pick = (list) => list[below(list.length)];
  const text = (most) => Array.from({ length: below(most) }, () => pick(["a", "b", "é", "東", "🌍", "\0", "\u2028", "\ufffd", "\ue000", "x".repeat(30)])).join("");
  const scalars = [
    () => null,
    () => next() < 0.5,
    () => below(300) - 150,
    () => Math.round((next() - 0.5) * 2 ** pick([8, 16, 32, 40, 53])),
    () => (next() - 0.5) * 10 ** below(300),
    () => pick([-0, Infinity, -Infinity, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]),
    () => BigInt.asIntN(64, (BigInt(below(2 ** 32)) << 32n) | BigInt(below(2 ** 32))),
    () => text(12),
    () => text(200),
    () => new Date(Math.round((next() - 0.5) * pick([1e6, 1e12, 1.7e16]))),
    () => Uint8Array.from({ length: below(300) }, () => below(256)),
  ];
  const value = (depth) => {
    if (depth === 0 || next() < 0.6) return pick(scalars)();
    if (next() < 0.5) return Array.from({ length: below(20) }, () => value(depth - 1));
    return Object.fromEntries(Array.from({ length: below(20) }, () => [`k${text(6)}`, value(depth - 1)]));
  };
  return value;
}

test("random values come back equal, and their bytes are canonical", () => {
  for (let seed = 1; seed <= 400; seed++) {
    const value = generator(seed)(5);
    const bytes = encodeValue(value);
    const other = readValue(bytes); // strict: any longer form would be refused
    assert.equal(hex(writeValue(other)), hex(bytes), `seed ${seed}`);
    const back = decodeValue(bytes);
    assert.deepEqual(tagged(back), tagged(other), `seed ${seed}`);
    assert.equal(hex(encodeValue(back)), hex(bytes), `seed ${seed}`);
  }
});

test("random bytes are refused or read, and nothing else happens", () => {
  let state = 7;
  for (let i = 0; i < 20_000; i++) {
    const bytes = Uint8Array.from({ length: 1 + (i % 40) }, () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 24);
    try {
      decodeValue(bytes);
    } catch (err) {
      assert.equal(err.code, "PROTOCOL", `${hex(bytes)}: ${err.stack}`);
    }
  }
});

test("cutting a value anywhere is noticed", () => {
  const bytes = encodeValue({ a: [1, 2 ** 40, -3.5, "text", "é".repeat(40), new Date(1), Uint8Array.of(1)], b: { c: 2n ** 60n } });
  for (let n = 0; n < bytes.length; n++) assert.throws(() => decodeValue(bytes.slice(0, n)), (err) => err.code === "PROTOCOL");
});

test("bins that are filled in place, at the border of their heads", () => {
  for (const n of [0, 1, 255, 256, 65535, 65536, 70000]) {
    const w = new Writer(new Uint8Array(16));
    const mark = w.beginBin();
    w.bin(new Uint8Array(n));
    w.endBin(mark);
    w.int(7);
    const r = new Reader(w.take());
    assert.equal(r.bin().length, n);
    assert.equal(r.int(), 7);
    assert.equal(r.more(), false);
  }
});

test("skipping passes over exactly one thing", () => {
  for (const value of [null, true, 0, 200, 70000, 2 ** 40, -1, -200, 0.5, "a", "a".repeat(40), "a".repeat(300), new Uint8Array(3), new Uint8Array(300), [], [1, [2]], new Array(20).fill([1]), { a: { b: 1 } }]) {
    const w = new Writer(new Uint8Array(16));
    const bytes = encodeValue(value);
    w.raw(bytes, 0, bytes.length);
    w.int(99);
    const r = new Reader(w.take());
    r.skip();
    assert.equal(r.int(), 99);
  }
});
