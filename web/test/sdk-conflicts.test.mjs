import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./built.mjs";
import { Browser, bin, device, open, rejects, rows, settle, version } from "./far.mjs";

const { Reader } = await load("reader");
const start = (options) => new Browser().install().open("notes", options);

test("rules of collections go to the engine as values; without them nothing is said", async () => {
  const { hello } = await start({ collections: { todos: { version: 2, conflict: "keep" }, stock: { version: 1, conflict: { "a.*.n": "counter", "b\\.c": "set", "*": "latest" } }, plain: { version: 3 } } });
  const said = Object.fromEntries(Object.entries(hello.fields[1].collections).map(([name, bytes]) => [name, new Reader(bytes).value()]));
  assert.deepEqual(said, {
    todos: { version: 2, conflict: "keep" },
    stock: { version: 1, conflict: { "a.*.n": "counter", "b\\.c": "set", "*": "latest" } },
    plain: { version: 3, conflict: "latest" },
  });
  assert.equal((await start()).hello.fields[1].collections, undefined);
  assert.equal((await start({ collections: {} })).hello.fields[1].collections, undefined);
});

test("rules that are none are refused where they were written", async () => {
  new Browser().install();
  for (const [collections, ...words] of [
    [[], "collections", "an array"],
    [{ $rules: { version: 1 } }, "$rules", "system"],
    [{ "": { version: 1 } }, "empty"],
    [{ a: undefined }, '["a"]', "undefined"],
    [{ a: { conflict: "keep" } }, '["a"].version', "1 or more"],
    [{ a: { version: 0 } }, '["a"].version', "got 0"],
    [{ a: { version: 1.5 } }, '["a"].version'],
    [{ a: { version: 1, conflict: "best" } }, '["a"].conflict', '"keep"', '"best"'],
    [{ a: { version: 1, conflict: ["n"] } }, '["a"].conflict', "an array"],
    [{ a: { version: 1, conflict: null } }, '["a"].conflict', "null"],
    [{ a: { version: 1, conflict: { n: "sum" } } }, '["a"].conflict["n"]', '"counter"', '"sum"'],
    [{ a: { version: 1, conflict: { "a..b": "counter" } } }, '["a..b"]', "dots"],
    [{ a: { version: 1, conflict: { "": "counter" } } }, '[""]'],
    [{ a: { version: 1, conflict: { "a\\b": "counter" } } }, "dots"],
    [{ a: { version: 1, conflict: Object.fromEntries(Array.from({ length: 129 }, (_, i) => [`k${i}`, "counter"])) } }, "at most 128"],
    [{ a: { version: 1, conflicts: "keep" } }, '"conflicts"', "there is no"],
    [{ a: { version: 1, indexes: ["n"] } }, '"indexes"', "planned"],
  ]) await rejects(open("notes", { collections }), "INVALID", ...words);
});

const side = (generation, value) => [version(generation), 1000 + generation, value === undefined ? null : bin(value)];
const shown = (generation, value) => ({ value, deleted: value === undefined, version: version(generation), device, time: 1000 + generation });

test("conflicts are listed, resolved and picked: the write names all sides, and a picked one is written as it is", async () => {
  const { db, page } = await start();
  const notes = db.collection("notes");
  const listing = notes.conflicts.list();
  const asked = await page.next("CONFLICTS");
  assert.deepEqual(asked.fields, ["notes"]);
  page.items(asked, [["a", bin({ n: 1 }), [side(3, { n: 3 }), side(2, undefined)]]]);
  assert.deepEqual((await page.next("MORE")).fields, [1]);
  page.items(asked, [["b", null, [side(5, 5), side(4, 4)]]]);
  await page.next("MORE");
  page.end(asked);
  const [a, b] = await listing;
  assert.deepEqual([a.id, a.base, a.sides], ["a", { n: 1 }, [shown(3, { n: 3 }), shown(2, undefined)]]);
  assert.deepEqual([b.id, b.base], ["b", undefined]);

  const wants = async (promise, op) => {
    const write = await page.next("WRITE");
    assert.deepEqual(write.fields, [["notes"], [op], [], ""]);
    page.ok(write, version(9));
    assert.equal((await promise).version, version(9));
  };
  await wants(a.resolve({ n: 2 }), [0, "a", { n: 2 }, [version(3), version(2)]]);
  await wants(a.resolve(undefined), [0, "a", null, [version(3), version(2)]]);
  await wants(a.pick(version(3)), [0, "a", { n: 3 }, [version(3), version(2)]]);
  await wants(a.pick(version(2)), [0, "a", null, [version(3), version(2)]]);
  await rejects(a.pick(version(4)), "INVALID", version(4), version(3));
  await rejects(a.pick("3"), "INVALID", "pick");
  await rejects(a.resolve(() => 1), "INVALID", "a function");
});

test("conflicts.subscribe keeps the list: pieces, then what each batch changes, in the order of ids", async () => {
  const { db, page } = await start();
  const seen = [];
  const stop = db.collection("notes").conflicts.subscribe((list) => seen.push(list.map((conflict) => `${conflict.id}:${conflict.sides.length}`).join(" ")));
  const asked = await page.next("LIVECONFLICTS");
  const conflict = (id, n) => [id, null, Array.from({ length: n }, (_, i) => side(i + 1, i))];
  page.items(asked, 0, [conflict("m", 2)], []);
  page.items(asked, 1, [conflict("p", 2)], []);
  await settle();
  assert.deepEqual(seen, ["m:2 p:2"]);
  page.items(asked, 2, [conflict("a", 3), conflict("p", 4)], ["m"]);
  await settle();
  assert.deepEqual(seen.slice(1), ["a:3 p:4"]);
  page.items(asked, 4, [conflict("b", 2)], ["p"]);
  page.items(asked, 4, [conflict("a", 2)], []);
  await settle();
  assert.equal(seen.length, 2, "a batch in parts is told once");
  page.items(asked, 2, [], []);
  await settle();
  assert.deepEqual(seen.splice(2), ["a:2 b:2"]);
  page.items(asked, 1, [], []); // all is read again
  await settle();
  assert.deepEqual(seen.slice(2), [""]);
  stop();
  await settle();
  assert.ok(page.said.some((said) => said.kind === "CANCEL" && said.n === asked.n));
  page.items(asked, 2, [conflict("z", 2)], []);
  await settle();
  assert.equal(seen.length, 3);

  const failed = [];
  page.said.length = 0;
  db.collection("notes").conflicts.subscribe(() => assert.fail(), (err) => failed.push(err.code));
  page.fail(await page.next("LIVECONFLICTS"), "CORRUPT");
  await settle();
  assert.deepEqual(failed, ["CORRUPT"]);
  assert.throws(() => db.collection("notes").conflicts.subscribe("fn"), { code: "INVALID" });
});

test("check: what is asked, and what was found", async () => {
  const { db, page } = await start();
  for (const [options, repair] of [[undefined, false], [{}, false], [{ repair: true }, true]]) {
    const report = db.check(options);
    const said = await page.next("CHECK");
    assert.deepEqual(said.fields, [repair]);
    page.ok(said, repair, 3, 4, [["page P1: a checksum; mended", true, false, 0], ["row 7: nothing names it (harmless)", false, true, 0]], [["segment L2: cut", true, false, 9000]]);
    assert.deepEqual(await report, {
      ok: repair,
      objects: 3,
      batches: 4,
      findings: [{ what: "page P1: a checksum; mended", repaired: true, harmless: false }, { what: "row 7: nothing names it (harmless)", repaired: false, harmless: true }],
      aside: [{ what: "segment L2: cut", repaired: true, harmless: false, time: 9000 }],
    });
  }
  const failed = db.check();
  page.fail(await page.next("CHECK"), "CORRUPT");
  await rejects(failed, "CORRUPT");
  for (const wrong of [() => db.check(true), () => db.check({ repairs: true }), () => db.check({ repair: 1 })]) await rejects(wrong(), "INVALID");
});

test("undo, revert, diff, blame: frames, and what becomes of their answers", async () => {
  const { db, page } = await start();
  const notes = db.collection("notes");
  const asks = async (promise, kind, fields, ...answer) => {
    const said = await page.next(kind);
    assert.deepEqual(said.fields, fields);
    assert.equal(said.nonce?.[0].length, ["UNDO", "REVERT"].includes(kind) ? 8 : undefined); // so that it is not done twice
    page.ok(said, ...answer);
    return promise;
  };
  assert.equal((await asks(db.undo(version(4), { note: "back" }), "UNDO", [version(4), "", [], "back"], version(7))).version, version(7));
  assert.equal((await asks(notes.undo("a", version(4)), "UNDO", [version(4), "notes", ["a"], ""], version(8))).version, version(8));
  assert.equal((await asks(notes.revert("a", version(2)), "REVERT", ["notes", "a", version(2), ""], version(9))).version, version(9));
  const differences = [{ path: ["a", "b"], before: 1, after: undefined }, { path: [], before: undefined, after: { c: 1 } }];
  assert.deepEqual(await asks(notes.diff("a", version(1)), "DIFF", ["notes", "a", version(1), ""], [[["a", "b"], bin(1), null], [[], null, bin({ c: 1 })]]), differences);
  assert.deepEqual(await asks(notes.diff("a", version(1), version(2)), "DIFF", ["notes", "a", version(1), version(2)], []), []);
  assert.deepEqual(await asks(notes.blame("a"), "BLAME", ["notes", "a"], [[["p"], bin(1), version(3), 5, "why", false], [["q"], bin(2), version(1), 4, "", true]]), [
    { path: ["p"], value: 1, version: version(3), time: 5, device, older: false, note: "why" },
    { path: ["q"], value: 2, version: version(1), time: 4, device, older: true },
  ]);
  for (const wrong of [() => db.undo("4"), () => notes.undo("a", undefined), () => notes.revert("a", "x"), () => notes.diff("a", ""), () => notes.diff("a", version(1), 2), () => notes.blame(""), () => db.undo(version(1), { notes: "x" })]) await rejects(wrong(), "INVALID");
  const old = notes.diff("a", version(1));
  page.fail(await page.next("DIFF"), "TOO_OLD");
  await rejects(old, "TOO_OLD");
});

test("the past is asked for by marker or time, and answers like a collection", async () => {
  const { db, page } = await start();
  page.answer("PAST", (said) => {
    const [when, collection, ids] = said.fields;
    if (when === "gone") return page.fail(said, "TOO_OLD");
    page.ok(said, ...rows(...ids.filter((id) => id !== "none").map((id) => [id, `${when} ${collection} ${id}`])));
  });
  const then = (await db.at("m-1")).collection("notes");
  assert.equal(await then.get("a"), "m-1 notes a");
  assert.equal(await then.get("none"), undefined);
  assert.deepEqual(await then.getMany(["b", "none", "a"]), ["m-1 notes b", undefined, "m-1 notes a"]);
  assert.equal((await then.entry("a")).version, version(1));
  assert.equal(await (await db.at(new Date(5))).collection("notes").get("a"), "5 notes a");
  const counting = (await db.at(7.9)).collection("notes").count({ prefix: "x" });
  const scan = await page.next("SCANPAST");
  assert.deepEqual(scan.fields, [7, ["notes", "x", "", "", false, 0]]);
  page.items(scan, ...rows(["xa", 1], ["xb", 2]));
  await page.next("MORE");
  page.end(scan);
  assert.equal(await counting, 2);
  await rejects(db.at("gone"), "TOO_OLD");
  for (const wrong of ["", -1, NaN, undefined, {}, new Date(NaN)]) await rejects(db.at(wrong), "INVALID", "at:");
  assert.throws(() => db.collection("$x"), { code: "INVALID" });
});
