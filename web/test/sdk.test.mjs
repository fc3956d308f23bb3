import assert from "node:assert/strict";
import { test } from "node:test";
import { Browser, bin, device, frame, open, rejects, rows, settle, unpack, version, VsyncError } from "./far.mjs";

const start = (options) => new Browser().install().open("notes", options);
const ids = (entries) => entries.map((entry) => entry.id).join(" ");

test("put, get, entry: frames, and what becomes of their answers", async () => {
  const { db, page } = await start();
  const notes = db.collection("notes");
  const put = notes.put("a", { text: "milk", n: 1 });
  const write = await page.next("WRITE");
  assert.deepEqual(write.fields, [["notes"], [[0, "a", { text: "milk", n: 1 }, null]], [], ""]);
  page.ok(write, version(7));
  assert.equal((await put).version, version(7));

  const got = Promise.all([notes.get("a"), notes.get("b")]);
  const [a, b] = [await page.next("GET"), await page.next("GET")];
  assert.deepEqual([a.fields, b.fields], [["notes", "a"], ["notes", "b"]]);
  page.send([frame.OK, b.n, null], [frame.OK, a.n, bin({ text: "milk" })]); // in any order
  assert.deepEqual(await got, [{ text: "milk" }, undefined]);

  const entry = notes.entry("a");
  page.ok(await page.next("ENTRY"), ...rows(["a", [1], 7, true]), [version(7)]);
  assert.deepEqual(await entry, { id: "a", value: [1], version: version(7), time: 1007, device, conflict: true });
  const none = notes.entry("b");
  page.ok(await page.next("ENTRY"), ...rows(), []);
  assert.equal(await none, undefined);
});

test("what is said in one turn is one packet, in order", async () => {
  const { db, page } = await start();
  const before = page.packets;
  const notes = db.collection("notes");
  page.answer("WRITE", (said) => page.ok(said, version(said.n)));
  const receipts = await Promise.all(Array.from({ length: 100 }, (_, i) => notes.put(`k${i}`, i)));
  assert.equal(page.packets - before, 1);
  assert.deepEqual(receipts.map((receipt) => receipt.version), Array.from({ length: 100 }, (_, i) => version(i + 2)));
});

test("a turn that says very much begins to be heard before it is over", async () => {
  const { db, page } = await start();
  const before = page.packets;
  page.answer("WRITE", (said) => page.ok(said, version(said.n)));
  await Promise.all(Array.from({ length: 50 }, (_, i) => db.collection("notes").put(`k${i}`, new Uint8Array(20_000))));
  assert.ok(page.packets - before > 3, `${page.packets - before} packets`);
});

test("delete, seen, putMany, getMany, count", async () => {
  const { db, page } = await start();
  const notes = db.collection("notes");
  const wants = async (promise, kind, fields, ...answer) => {
    const said = await page.next(kind);
    assert.deepEqual(said.fields, fields);
    page.ok(said, ...answer);
    return promise;
  };
  await wants(notes.delete("a"), "WRITE", [["notes"], [[0, "a", null, null]], [], ""], version(1));
  await wants(notes.put("a", null, { seen: version(1) }), "WRITE", [["notes"], [[0, "a", null, [version(1)]]], [], ""], version(2));
  await wants(notes.put("a", 1, {}), "WRITE", [["notes"], [[0, "a", 1, null]], [], ""], version(3));
  const entries = (function* () {
    yield ["x", 1];
    yield ["y", { z: [2] }];
  })();
  const receipt = await wants(notes.putMany(entries), "WRITE", [["notes"], [[0, "x", 1, null], [0, "y", { z: [2] }, null]], [], ""], version(4));
  assert.equal(receipt.version, version(4));
  assert.deepEqual(await wants(notes.getMany(["x", "q", "y"]), "GETMANY", ["notes", ["x", "q", "y"]], [bin(1), null, bin({ z: [2] })]), [1, undefined, { z: [2] }]);
  assert.equal(await wants(notes.count({ prefix: "x", from: "a", to: "z", limit: 3, reverse: true }), "COUNT", [["notes", "x", "a", "z", true, 3]], 2), 2);
  assert.equal(await wants(notes.count(), "COUNT", [["notes", "", "", "", false, 0]], 9), 9);
});

test("getMany of very many asks piece by piece, and keeps the order", async () => {
  const { db, page } = await start();
  const sizes = [];
  page.answer("GETMANY", (said) => {
    sizes.push(said.fields[1].length);
    page.ok(said, said.fields[1].map((id) => bin(id)));
  });
  const wanted = Array.from({ length: 2500 }, (_, i) => `k${i}`);
  assert.deepEqual(await db.collection("notes").getMany(wanted), wanted);
  assert.deepEqual(sizes, [1024, 1024, 452]);
  assert.deepEqual(await db.collection("notes").getMany([]), []);
  const consumed = [];
  page.answer("MORE", ({ fields }) => consumed.push(...fields));
  page.answer("GETMANY", (said) => { // where values are large
    page.items(said, said.fields[1].slice(0, 300).map(bin));
    page.ok(said, said.fields[1].slice(300).map(bin));
  });
  assert.deepEqual(await db.collection("notes").getMany(wanted), wanted);
  await settle();
  assert.deepEqual(consumed, [1, 1, 1]);
  page.answer("GETMANY", (said) => page.ok(said, []));
  await rejects(db.collection("notes").getMany(["a"]), "PROTOCOL", "each id");
});

test("a failure keeps its code and its words", async () => {
  const { db, page } = await start();
  const put = db.collection("notes").put("a", 1);
  page.fail(await page.next("WRITE"), "QUOTA", "no space is left");
  const err = await rejects(put, "QUOTA", "no space is left");
  assert.ok(err instanceof Error && err instanceof VsyncError && err.name === "VsyncError");
});

test("receipts and the database wait for the hub, and give up at once when the signal says so", async () => {
  const { db, page } = await start();
  const put = db.collection("notes").put("a", 1);
  page.ok(await page.next("WRITE"), version(5));
  const receipt = await put;
  await settle();
  assert.equal(page.said.length, 0, "the hub is asked for when somebody asks");
  const synced = receipt.synced();
  const asked = await page.next("SYNCED");
  assert.deepEqual(asked.fields, [version(5)]);
  page.ok(asked);
  assert.equal(await synced, undefined);

  const given = new AbortController();
  const waiting = db.synced({ signal: given.signal });
  const second = await page.next("SYNCED");
  assert.deepEqual(second.fields, [""]);
  given.abort(new Error("enough"));
  const err = await rejects(waiting, "ABORTED", "signal");
  assert.equal(err.cause.message, "enough");
  assert.deepEqual(await page.next("CANCEL"), { kind: "CANCEL", n: second.n, fields: [] });
  page.fail(second, "ABORTED"); // and nobody minds
  await rejects(receipt.synced({ signal: given.signal }), "ABORTED");
  const refused = receipt.synced();
  page.fail(await page.next("SYNCED"), "LOCAL_ONLY");
  await rejects(refused, "LOCAL_ONLY");
  assert.equal(page.said.length, 0);
});

test("synced waits for the writes that were called before it", async () => {
  const { db, page } = await start();
  const put = db.collection("notes").put("a", 1);
  const synced = db.synced();
  const write = await page.next("WRITE");
  await settle();
  assert.equal(page.said.length, 0);
  page.ok(write, version(1));
  page.ok(await page.next("SYNCED"));
  await Promise.all([put, synced]);
  const failing = rejects(db.collection("notes").put("a", 1), "QUOTA");
  const after = db.synced();
  page.fail(await page.next("WRITE"), "QUOTA");
  page.ok(await page.next("SYNCED"));
  await Promise.all([failing, after]);
  const given = new AbortController();
  const slow = db.collection("notes").put("a", 1);
  const impatient = rejects(db.synced({ signal: given.signal }), "ABORTED");
  const said = await page.next("WRITE");
  given.abort();
  await impatient; // though the write is still under way
  page.ok(said, version(3));
  await slow;
  assert.equal(page.said.length, 0);
});

test("update reads, and writes with a check; when that has changed it begins again", async () => {
  const { db, page } = await start();
  const notes = db.collection("notes");
  const seen = [];
  const update = notes.update("a", (n) => (seen.push(n), (n ?? 0) + 1));
  page.ok(await page.next("ENTRY"), ...rows(), []);
  let write = await page.next("WRITE");
  assert.deepEqual(write.fields, [["notes"], [[0, "a", 1, null]], [[0, "a", []]], ""]);
  page.fail(write, "CHANGED");
  page.ok(await page.next("ENTRY"), ...rows(["a", 41, 3]), [version(3), version(2, "e".repeat(32))]);
  write = await page.next("WRITE");
  assert.deepEqual(write.fields, [["notes"], [[0, "a", 42, null]], [[0, "a", [version(3), version(2, "e".repeat(32))]]], ""]);
  page.ok(write, version(9));
  assert.equal((await update).version, version(9));
  assert.deepEqual(seen, [undefined, 41]);
});

test("update: undefined deletes, what it throws comes out, a promise is refused, and it does not try for ever", async () => {
  const { db, page } = await start();
  const notes = db.collection("notes");
  page.answer("ENTRY", (said) => page.ok(said, ...rows(["a", 1]), [version(1)]));
  const gone = notes.update("a", () => undefined);
  const write = await page.next("WRITE");
  assert.deepEqual(write.fields[1], [[0, "a", null, null]]);
  page.ok(write, version(2));
  await gone;
  await assert.rejects(notes.update("a", () => { throw new RangeError("mine"); }), RangeError);
  await rejects(notes.update("a", async () => 1), "INVALID", "batch()");
  await rejects(notes.update("a", () => NaN), "INVALID", "NaN");
  let runs = 0;
  page.answer("WRITE", (said) => page.fail(said, "CHANGED"));
  await rejects(notes.update("a", () => ++runs), "ABORTED", "100 times");
  assert.equal(runs, 100);
});

test("batch: reads are checked, own writes show, the last write of an object counts", async () => {
  const { db, page } = await start();
  const notes = db.collection("notes");
  const tags = db.collection("tags");
  page.answer("ENTRY", (said) => page.ok(said, ...rows([said.fields[1], { n: 5 }, 3]), [version(3)]));
  const value = { n: 1 };
  const seen = [];
  const batch = db.batch(async (tx) => {
    seen.push(await tx.get(notes, "a"));
    tx.put(notes, "b", value);
    value.n = 2; // too late for the batch
    seen.push(await tx.get(notes, "b"));
    tx.put(tags, "t", 1);
    tx.put(notes, "b", { n: 7 });
    tx.delete(tags, "u");
    tx.put(tags, "t", "a longer value than before");
    seen.push(await tx.get(notes, "b"), await tx.get(tags, "u"), await tx.get(tags, "t"));
    tx.delete(notes, "c");
    tx.put(notes, "c", 3);
    assert.throws(() => tx.put(notes, "d", undefined), (err) => err.code === "INVALID");
    assert.throws(() => tx.put(notes, "", 1), (err) => err.code === "INVALID");
    assert.throws(() => tx.put(notes, "b", () => 1), (err) => err.code === "INVALID"); // b keeps what it had
  }, { note: "tidy up" });
  const write = await page.next("WRITE");
  assert.deepEqual(write.fields, [
    ["notes", "tags"],
    [[0, "b", { n: 7 }, null], [1, "t", "a longer value than before", null], [1, "u", null, null], [0, "c", 3, null]],
    [[0, "a", [version(3)]]],
    "tidy up",
  ]);
  page.ok(write, version(8));
  assert.equal((await batch).version, version(8));
  assert.deepEqual(seen, [{ n: 5 }, { n: 1 }, { n: 7 }, undefined, "a longer value than before"]);
});

test("batch: run again when what it read has changed, from nothing", async () => {
  const { db, page } = await start();
  const notes = db.collection("notes");
  let runs = 0;
  let late;
  const batch = db.batch(async (tx) => {
    late = tx;
    const n = (await tx.get(notes, "a")) ?? 0;
    if (++runs === 1) tx.put(notes, "only the first time", 1);
    tx.put(notes, "b", n);
  });
  page.ok(await page.next("ENTRY"), ...rows(["a", 1, 1]), [version(1)]);
  page.fail(await page.next("WRITE"), "CHANGED");
  page.ok(await page.next("ENTRY"), ...rows(["a", 2, 2]), [version(2)]);
  const write = await page.next("WRITE");
  assert.deepEqual(write.fields, [["notes"], [[0, "b", 2, null]], [[0, "a", [version(2)]]], ""]);
  page.ok(write, version(3));
  await batch;
  assert.throws(() => late.put(notes, "b", 1), (err) => err.code === "INVALID" && err.message.includes("the batch is over"));
  await rejects(late.get(notes, "b"), "INVALID", "the batch is over");
});

test("batch: what throws writes nothing; nothing written, another database's collection, too much are refused", async () => {
  const browser = new Browser().install();
  const { db, page } = await browser.open("notes");
  const other = await browser.open("other");
  const notes = db.collection("notes");
  await assert.rejects(db.batch((tx) => { tx.put(notes, "a", 1); throw new RangeError("mine"); }), RangeError);
  await rejects(db.batch(() => undefined), "INVALID", "writes nothing");
  await rejects(notes.putMany([]), "INVALID", "writes nothing");
  await rejects(db.batch((tx) => tx.put(other.db.collection("notes"), "a", 1)), "INVALID", "its own database");
  await rejects(db.batch((tx) => tx.put({ name: "notes" }, "a", 1)), "INVALID", "its own database");
  await rejects(db.batch((tx) => tx.put(notes, "a", 1), { note: "x".repeat(1025) }), "INVALID", "note", "1025");
  await rejects(db.batch(), "INVALID", "a function");
  const endless = function* () {
    for (let i = 0; ; i++) yield [`k${i}`, 1];
  };
  await rejects(notes.putMany(endless()), "BATCH_TOO_LARGE", "20000");
  await rejects(notes.putMany(Array.from({ length: 9 }, (_, i) => [`k${i}`, new Uint8Array(1_000_000)])), "BATCH_TOO_LARGE", "8388608");
  await rejects(db.batch((tx) => { for (let i = 0; ; i++) tx.put(notes, "a", "x".repeat(100_000)); }), "BATCH_TOO_LARGE");
  await settle();
  assert.equal(page.said.length, 0, "nothing was sent");
});

test("batch: as many collections as objects", async () => {
  const { db, page } = await start();
  const batch = db.batch((tx) => {
    for (let i = 0; i < 20_000; i++) tx.put(db.collection(`c${i}`), "a", i);
  });
  const write = await page.next("WRITE");
  assert.equal(write.fields[0].length, 20_000);
  assert.deepEqual(write.fields[1][19_999], [19_999, "a", 19_999, null]);
  page.ok(write, version(1));
  await batch;
});

test("putMany: what is no entry is named, and its iterator may use the database", async () => {
  const { db, page } = await start();
  const notes = db.collection("notes");
  await rejects(notes.putMany({ a: 1 }), "INVALID", "[id, value]", "an object");
  await rejects(notes.putMany("text"), "INVALID", '"text"');
  await rejects(notes.putMany([["a", 1], "b"]), "INVALID", "entry 1");
  await rejects(notes.putMany([["a", 1], ["b", { x: undefined }]]), "INVALID", "$.x");
  const batch = notes.putMany((function* () {
    yield ["a", 1];
    void notes.count();
    yield ["b", 2];
  })());
  assert.deepEqual((await page.next("COUNT")).fields, [["notes", "", "", "", false, 0]]);
  const write = await page.next("WRITE");
  assert.deepEqual(write.fields[1], [[0, "a", 1, null], [0, "b", 2, null]]);
  page.ok(write, version(1));
  await batch;
});

test("wrong arguments are refused on the page, by name", async () => {
  const { db, page } = await start();
  const notes = db.collection("notes");
  await rejects(notes.get(""), "INVALID", "an id", "empty");
  await rejects(notes.get(5), "INVALID", "an id", "got 5");
  await rejects(notes.put("\ud800", 1), "INVALID", "surrogate");
  await rejects(notes.put("é".repeat(257), 1), "KEY_TOO_LONG", "512", "514");
  await rejects(notes.delete("x".repeat(100_000)), "KEY_TOO_LONG", "100000");
  await rejects(notes.getMany(["a", ""]), "INVALID", "an id");
  await rejects(notes.getMany("ab"), "INVALID", "an array");
  await rejects(notes.put("a", 1, { seen: "5" }), "INVALID", "seen", "device:generation");
  await rejects(notes.put("a", 1, { sen: version(1) }), "INVALID", '"sen"', "seen");
  await rejects(notes.query({ limit: 0 }), "INVALID", "limit", "got 0");
  await rejects(notes.query({ limit: 1.5 }), "INVALID", "limit");
  await rejects(notes.query({ prefix: 1 }), "INVALID", "prefix");
  await rejects(notes.query({ from: "\udc00" }), "INVALID", "from");
  await rejects(notes.count({ to: null }), "INVALID", "to", "null");
  await rejects(notes.query({ reverse: "yes" }), "INVALID", "reverse");
  await rejects(notes.query({ where: {} }), "INVALID", '"where"', "planned");
  await rejects(notes.query({ orderBy: "x" }), "INVALID", '"orderBy"');
  await rejects(notes.query({ prefx: "x" }), "INVALID", '"prefx"');
  await rejects(notes.query("x"), "INVALID", "an object");
  for (const [name, code] of [["", "INVALID"], ["$rules", "INVALID"], ["a\nb", "INVALID"], [1, "INVALID"], ["\ud800", "INVALID"], ["é".repeat(33), "KEY_TOO_LONG"]]) {
    assert.throws(() => db.collection(name), (err) => err.code === code, String(name));
  }
  db.collection("é".repeat(32));
  await settle();
  assert.equal(page.said.length, 0, "nothing was sent");
  const fits = notes.put("é".repeat(256), 1);
  page.ok(await page.next("WRITE"), version(1));
  await fits;
});

test("scan: in order, at most a window ahead, MORE as it is consumed, and the end", async () => {
  const { db, page } = await start();
  const loop = db.collection("notes").scan({ from: "b" })[Symbol.asyncIterator]();
  const scan = await page.next("SCAN");
  assert.deepEqual(scan.fields, [["notes", "", "b", "", false, 0]]);
  page.items(scan, ...rows(["b", 1], ["c", 2, 2]));
  page.items(scan, ...rows(["d", 3]));
  page.items(scan, ...rows());
  page.items(scan, ...rows(["e", 4]));
  await settle();
  assert.equal(page.said.length, 0, "nothing was consumed");
  assert.deepEqual((await loop.next()).value, { id: "b", value: 1, version: version(1), time: 1001, device, conflict: false });
  assert.equal((await loop.next()).value.version, version(2));
  assert.equal((await loop.next()).value.id, "d");
  await settle();
  assert.equal(page.said.length, 0);
  assert.equal((await loop.next()).value.id, "e");
  assert.deepEqual((await page.next("MORE")).fields, [2]);
  const last = [loop.next(), loop.next(), loop.next()];
  assert.deepEqual((await page.next("MORE")).fields, [2]);
  page.items(scan, ...rows(["f", 5]));
  page.end(scan);
  const [f, ...ends] = await Promise.all(last);
  assert.equal(f.value.id, "f");
  assert.deepEqual(ends, [{ value: undefined, done: true }, { value: undefined, done: true }]);
  assert.deepEqual(await loop.next(), { value: undefined, done: true });
});

test("leaving a loop cancels its stream; what still comes is passed over", async () => {
  const { db, page } = await start();
  page.answer("SCAN", (said) => page.items(said, ...rows(["a", 1], ["b", 2], ["c", 3])));
  for await (const entry of db.collection("notes").scan()) if (entry.id === "b") break;
  const cancel = await page.next("CANCEL");
  page.send([frame.ITEMS, cancel.n, ...rows(["d", 4])], [frame.FAIL, cancel.n, "ABORTED", "cancelled"], [frame.END, cancel.n], [frame.OK, cancel.n, [bin(1), { a: [1, "x"] }]]);
  const get = db.collection("notes").get("a");
  page.ok(await page.next("GET"), bin(1));
  assert.equal(await get, 1);
});

test("a stream that fails tells what came before, then fails once, then is over", async () => {
  const { db, page } = await start();
  const loop = db.collection("notes").scan()[Symbol.asyncIterator]();
  const scan = await page.next("SCAN");
  page.items(scan, ...rows(["a", 1]));
  page.fail(scan, "CORRUPT", "cannot be read");
  await settle();
  assert.equal((await loop.next()).value.id, "a");
  await rejects(loop.next(), "CORRUPT", "cannot be read");
  assert.deepEqual(await loop.next(), { value: undefined, done: true });
  const query = db.collection("notes").query();
  page.fail(await page.next("SCAN"), "ABORTED");
  await rejects(query, "ABORTED");
});

test("query takes a whole stream, as fast as it comes", async () => {
  const { db, page } = await start();
  const query = db.collection("notes").query({ prefix: "k" });
  const scan = await page.next("SCAN");
  for (let i = 0; i < 6; i++) {
    page.items(scan, ...rows([`k${i}`, i]));
    assert.deepEqual((await page.next("MORE")).fields, [1]);
  }
  page.end(scan);
  assert.equal(ids(await query), "k0 k1 k2 k3 k4 k5");
});

test("watch: events whole, their flags, and going on from a marker", async () => {
  const { db, page } = await start();
  const loop = db.watch({ from: "m-1" })[Symbol.asyncIterator]();
  const watch = await page.next("WATCH");
  assert.deepEqual(watch.fields, ["", "", "m-1"]);
  const other = "e".repeat(32);
  page.items(watch, "start", 1 | 2, "", 0, "", [device], [["notes", "a", bin(1), false, 0, 4, true]]);
  page.items(watch, "m-2", 4, device, 5000, "tidy", [device, other], [["notes", "b", null, true, 0, 5, false], ["tags", "t", bin([2]), false, 1, 9, false]]);
  await settle();
  assert.deepEqual((await loop.next()).value, {
    marker: "start", initial: true, reset: true, source: "remote",
    changes: [{ collection: "notes", id: "a", value: 1, deleted: false, version: version(4), conflict: true }],
  });
  assert.deepEqual((await loop.next()).value, {
    marker: "m-2", initial: false, source: "local", device, time: 5000, note: "tidy",
    changes: [
      { collection: "notes", id: "b", value: undefined, deleted: true, version: version(5), conflict: false },
      { collection: "tags", id: "t", value: [2], deleted: false, version: version(9, other), conflict: false },
    ],
  });
  assert.deepEqual(await loop.return(), { value: undefined, done: true });
  assert.equal((await page.next("CANCEL")).n, watch.n);
});

test("watch: an event that comes in parts is one, and the engine is held back until the loop wants it", async () => {
  const { db, page } = await start();
  const loop = db.watch({ from: "m-1" })[Symbol.asyncIterator]();
  const watch = await page.next("WATCH");
  const part = (flags, ...ids) => page.items(watch, "m-2", flags, device, 5000, "tidy", [device], ids.map((id) => ["notes", id, bin(1), false, 0, 5, false]));
  part(4 | 8, "a", "b");
  part(4 | 8, "c");
  await settle();
  assert.equal(page.said.length, 0);
  const first = loop.next();
  assert.deepEqual((await page.next("MORE")).fields, [2]);
  part(4 | 8, "d");
  assert.deepEqual((await page.next("MORE")).fields, [1]);
  part(4, "e");
  page.items(watch, "m-3", 0, device, 6000, "", [device], [["notes", "f", bin(1), false, 0, 6, false]]);
  const { changes, ...rest } = (await first).value;
  assert.deepEqual(rest, { marker: "m-2", initial: false, source: "local", device, time: 5000, note: "tidy" });
  assert.deepEqual(changes.map(({ id, version: of }) => [id, of]), ["a", "b", "c", "d", "e"].map((id) => [id, version(5)]));
  assert.deepEqual((await loop.next()).value.changes.map(({ id }) => id), ["f"]);
});

test("watch: of a collection, a signal that ends it, and wrong options at the first step", async () => {
  const { db, page } = await start();
  const notes = db.collection("notes");
  const given = new AbortController();
  const loop = notes.watch({ prefix: "a", from: "now", signal: given.signal })[Symbol.asyncIterator]();
  const watch = await page.next("WATCH");
  assert.deepEqual(watch.fields, ["notes", "a", "now"]);
  const waiting = loop.next();
  given.abort();
  await rejects(waiting, "ABORTED");
  assert.equal((await page.next("CANCEL")).n, watch.n);
  const step = (options, from = notes) => from.watch(options)[Symbol.asyncIterator]().next();
  await rejects(step({ signal: given.signal }), "ABORTED");
  await rejects(step({ prefix: "a" }, db), "INVALID", "collection");
  await rejects(step({ from: 5 }), "INVALID", "from");
  await rejects(step({ from: "" }), "INVALID", "from");
  await rejects(step({ signal: 1 }), "INVALID", "AbortSignal");
  await rejects(step({ form: "now" }), "INVALID", '"form"');
  const unknown = step({ from: "m-9" });
  page.fail(await page.next("WATCH"), "UNKNOWN_MARKER");
  await rejects(unknown, "UNKNOWN_MARKER");
  assert.equal(page.said.length, 0);
});

test("history: versions with their parents", async () => {
  const { db, page } = await start();
  const loop = db.collection("notes").history("a", { limit: 5 })[Symbol.asyncIterator]();
  const history = await page.next("HISTORY");
  assert.deepEqual(history.fields, ["notes", "a", 5]);
  page.items(history, [[version(2), [version(1)], 200, true, null, "gone"], [version(1), [], 100, false, bin("x"), ""]]);
  page.end(history);
  assert.deepEqual((await loop.next()).value, { id: "a", value: undefined, deleted: true, version: version(2), parents: [version(1)], time: 200, device, note: "gone" });
  assert.deepEqual((await loop.next()).value, { id: "a", value: "x", deleted: false, version: version(1), parents: [], time: 100, device });
  assert.equal((await loop.next()).done, true);
  await rejects(db.collection("notes").history("a", { limit: 0 })[Symbol.asyncIterator]().next(), "INVALID", "limit");
  await rejects(db.collection("notes").history("")[Symbol.asyncIterator]().next(), "INVALID", "an id");
});

test("the buffer of a large packet goes back to the engine, whose it is then", async () => {
  const { db, page } = await start();
  const bytes = new Uint8Array(3000).fill(7);
  const got = db.collection("notes").getMany(["a", "b"]);
  page.ok(await page.next("GETMANY"), [bin(bytes), bin("x".repeat(3000))]);
  const values = await got;
  await settle();
  assert.deepEqual(page.back.map((buffer) => buffer.byteLength > 6000), [true]);
  new Uint8Array(page.back[0]).fill(0);
  assert.deepEqual(values, [bytes, "x".repeat(3000)]);
  const one = db.collection("notes").get("a");
  page.ok(await page.next("GET"), bin("small"));
  assert.equal(await one, "small");
  await settle();
  assert.equal(page.back.length, 1);
});

test("what an engine says that cannot be read ends the port, and everybody hears of it", async () => {
  for (const bytes of [[0xc1], [0x93, 66, 1], [0x92, 99, 1], [0x93, 64, 2, 0xc0, 0x91]]) {
    const { db, page } = await start();
    const get = db.collection("notes").get("a");
    await page.next("GET");
    page.port.postMessage(Uint8Array.from(bytes));
    if (bytes[1] === 64) assert.equal(await get, undefined); // what stood before the fault counts
    else await rejects(get, "PROTOCOL", "reload");
    await settle();
    await rejects(db.collection("notes").get("b"), "PROTOCOL");
    assert.equal(db.status.current.phase, "closed");
    assert.equal(db.status.current.error.code, "PROTOCOL");
  }
  const { db, page } = await start();
  const get = db.collection("notes").get("a");
  page.ok(await page.next("GET"), bin(1), 2); // a field too many
  await rejects(get, "PROTOCOL");
  const { db: second, page: far } = await start();
  const put = second.collection("notes").put("a", 1);
  await far.next("WRITE");
  far.send([frame.FAIL, 0, "PROTOCOL", "the engine could not read"]);
  await rejects(put, "PROTOCOL", "could not read");
});

test("the reader of these tests reads what the SDK writes", () => {
  assert.deepEqual(unpack(Uint8Array.of(0x94, 3, 5, 0xa1, 97, 0xa1, 98)), [{ kind: "GET", n: 5, fields: ["a", "b"] }]);
  assert.equal(typeof open, "function");
});
