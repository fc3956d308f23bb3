// The vectors that Go writes (core/vectors), read by JavaScript: by the reader in format.mjs, and the
// values by the library that the SDK uses too.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { decode } from "@msgpack/msgpack";
import {
  Refused, entryMAC, feedHash, hex, parseMarker, parseVersion, readBatch, readEntry, readKey, readMarker, readUvarint, readValue,
  tagged, unhex, writeValue,
} from "./format.mjs";

const load = (name) => JSON.parse(readFileSync(new URL(`../../core/vectors/${name}`, import.meta.url), "utf8"));

/** Each case must be refused with the code, and the path where there is one, that it names. */
function refuses(cases, read) {
  assert.ok(cases.length > 0);
  for (const c of cases) {
    assert.throws(() => read(c), (err) => {
      assert.ok(err instanceof Refused, `${c.about}: ${err.stack}`);
      assert.deepEqual({ code: err.code, path: c.path && err.path }, { code: c.error, path: c.path }, c.about);
      return true;
    }, c.about);
  }
}

test("values", () => {
  for (const c of load("values.json").good) {
    const value = readValue(unhex(c.hex));
    assert.deepEqual(tagged(value), c.json, c.about);
    assert.equal(hex(writeValue(value)), c.hex, `${c.about}: written again`);
  }
});

test("values, read by the library", () => {
  for (const c of load("values.json").good) {
    const read = () => tagged(decode(unhex(c.hex), { useBigInt64: true }));
    if (c.about === "__proto__ as a key") assert.throws(read, /__proto__/); // a legal key that the library does not take
    else assert.deepEqual(read(), c.json, c.about);
  }
});

test("values that are not canonical are refused", () => {
  refuses(load("values.json").bad, (c) => readValue(unhex(c.hex)));
});

test("plain JSON texts mean the same here", () => {
  for (const c of load("values.json").fromJson.filter((c) => !c.json.includes('"$'))) {
    assert.deepEqual(tagged(readValue(unhex(c.hex))), JSON.parse(c.json), c.about);
  }
});

test("batches", () => {
  const cases = load("batches.json").good;
  for (const c of cases) assert.deepEqual(readBatch(unhex(c.hex), c.prev), c.batch, c.about);
  let prev = "0".repeat(32);
  for (const c of cases.filter((c) => !c.batch.partial)) {
    assert.equal(c.prev, prev, `${c.about}: the chain`);
    prev = c.batch.hash;
  }
});

test("bad batches are refused", () => {
  const { bad, notWhole } = load("batches.json");
  refuses(bad, (c) => readBatch(unhex(c.hex), c.prev));
  refuses(notWhole, (c) => readBatch(unhex(c.hex), undefined, { whole: true }));
});

test("feed entries", () => {
  const { seal: [seal], good } = load("entries.json");
  let feed = "0".repeat(32);
  for (const c of good) {
    const { entry, name, running } = readEntry(unhex(c.hex));
    assert.deepEqual(entry, c.entry, c.about);
    assert.equal(entryMAC(seal.key, seal.lineage, name), entry.mac, c.about);
    assert.equal(c.prev, feed, c.about);
    feed = running ?? feedHash(feed, name);
    assert.equal(c.feed, feed, c.about);
    if (entry.kind === "batch") assert.equal(readBatch(unhex(entry.body)).hash, entry.hash, c.about);
  }
});

test("bad feed entries are refused", () => {
  const { seal: [seal], bad } = load("entries.json");
  refuses(bad, (c) => {
    const { entry, name } = readEntry(unhex(c.hex));
    if (entryMAC(seal.key, seal.lineage, name) !== entry.mac) throw new Refused("mac");
  });
});

test("keys, in the order of their bytes", () => {
  const { keys, badKeys } = load("keys.json");
  for (const c of keys) assert.deepEqual(readKey(unhex(c.hex)), { collection: c.collection, id: c.id }, c.about);
  const order = keys.map((c) => c.hex);
  assert.deepEqual(order.toSorted((a, b) => Buffer.compare(unhex(a), unhex(b))), order);
  refuses(badKeys, (c) => readKey(unhex(c.hex)));
});

test("resume markers", () => {
  const { markers, badMarkers, badMarkerTexts } = load("keys.json");
  for (const c of markers) {
    const marker = { epoch: c.epoch, seq: c.seq, hash: c.hash, scope: c.scope };
    assert.deepEqual(readMarker(unhex(c.hex)), marker, c.about);
    assert.deepEqual(parseMarker(c.text), marker, c.about);
  }
  refuses(badMarkers, (c) => readMarker(unhex(c.hex)));
  refuses(badMarkerTexts, (c) => parseMarker(c.text));
});

test("uvarints and texts of versions", () => {
  const { uvarints, badUvarints, badVersionTexts } = load("keys.json");
  for (const c of uvarints) assert.equal(readUvarint(unhex(c.hex)), c.n);
  refuses(badUvarints, (c) => readUvarint(unhex(c.hex)));
  refuses(badVersionTexts, (c) => parseVersion(c.text));
  assert.deepEqual(parseVersion(`${"ab".repeat(16)}:9007199254740991`), { device: "ab".repeat(16), gen: Number.MAX_SAFE_INTEGER });
});

test("field rules", () => {
  const file = load("merge.json");
  const same = (bytes, json, about) => {
    const value = readValue(unhex(bytes));
    assert.deepEqual(tagged(value), json, about);
    assert.equal(hex(writeValue(value)), bytes, `${about}: written again`);
  };
  for (const c of file.badChanges) same(c.hex, c.json, c.about);
  for (const h of file.histories) {
    for (const s of h.steps) {
      same(s.hex, s.changes, h.about);
      same(s.after.hex, s.after.value, h.about);
      parseVersion(s.version);
      parseVersion(s.after.origin);
    }
  }
  assert.ok(file.rules.every((c) => readValue(unhex(c.hex))) && file.badRules.every((c) => c.error && c.path));
  assert.ok(file.histories.length > 0 && file.badChanges.length > 0);
});
