import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./built.mjs";
import { Browser, bin, frame, rows, rejects, settle, version, VsyncError } from "./far.mjs";

const { compareIds } = await load("order");
const { Result } = await load("result");

const start = (status) => new Browser().install().open("notes", {}, status);
const ids = (entries) => entries.map((entry) => entry.id).join(" ");
const { WHOLE, PIECE, DELTA, VOID, PART } = frame;

/** A subscription, with what it was told. */
async function live(query = {}) {
  const { db, page } = await start();
  const calls = [];
  const errors = [];
  const stop = db.collection("notes").subscribe(query, (entries, event) => calls.push({ entries, ...event }), (err) => errors.push(err));
  const said = await page.next("LIVE");
  const tell = async (part, marker, list, gone = []) => {
    page.items(said, part, marker, ...rows(...list), gone);
    await settle();
  };
  return { db, page, calls, errors, stop, said, tell };
}

test("ids are ordered by their bytes", () => {
  const all = ["", "a", "aa", "ab", "b", "\0", "a\0", "é", "\ud7ff", "\ue000", "\ufffd", "\uffff", "🌍", "\u{10ffff}", "🌍a", "\uffffa", "a\uffff", "a🌍", "z".repeat(100)];
  const bytes = (s) => Buffer.from(s, "utf8");
  for (const a of all) for (const b of all) assert.equal(Math.sign(compareIds(a, b)), Buffer.compare(bytes(a), bytes(b)), JSON.stringify([a, b]));
});

test("a result comes whole, then by what changes; unchanged entries are the same objects", async () => {
  const { page, calls, tell, said } = await live({ prefix: "k" });
  assert.deepEqual(said.fields, [["notes", "k", "", "", false, 0]]);
  await tell(PIECE, "m1", [["k1", 1], ["k3", 3]]);
  assert.equal(calls.length, 0);
  assert.deepEqual((await page.next("MORE")).fields, [1]);
  await tell(WHOLE, "m1", [["k5", 5]]);
  assert.equal(calls.length, 1);
  assert.equal(calls[0].marker, "m1");
  assert.equal(ids(calls[0].entries), "k1 k3 k5");
  await tell(DELTA, "m2", [["k3", 33, 2], ["k2", 2, 2]], ["k5", "k9"]);
  assert.equal(ids(calls[1].entries), "k1 k2 k3");
  assert.equal(calls[1].marker, "m2");
  assert.deepEqual(calls[1].entries.map((entry) => entry.value), [1, 2, 33]);
  assert.notEqual(calls[1].entries, calls[0].entries);
  assert.equal(calls[1].entries[0], calls[0].entries[0]);
  assert.notEqual(calls[1].entries[2], calls[0].entries[1]);
  assert.equal(ids(calls[0].entries), "k1 k3 k5", "what was given stays as it was");
});

test("a caller may do with the array as he likes", async () => {
  const { calls, tell } = await live();
  await tell(WHOLE, "m1", [["a", 1], ["b", 2]]);
  calls[0].entries.reverse().pop();
  await tell(DELTA, "m2", [["c", 3, 2]]);
  assert.equal(ids(calls[1].entries), "a b c");
});

test("a new whole keeps what is as it was", async () => {
  const { calls, tell } = await live({ limit: 2 });
  await tell(WHOLE, "m1", [["a", 1], ["b", 2]]);
  await tell(WHOLE, "m2", [["b", 2], ["c", 3, 2]]);
  assert.equal(ids(calls[1].entries), "b c");
  assert.equal(calls[1].entries[0], calls[0].entries[1]);
  await tell(WHOLE, "m3", [["b", 2, 1, true]]);
  assert.equal(calls[2].entries[0].conflict, true);
  await tell(WHOLE, "m4", []);
  assert.deepEqual(calls[3].entries, []);
});

test("pieces that are void are forgotten", async () => {
  const { page, calls, tell } = await live();
  await tell(PIECE, "m1", [["a", 1]]);
  await tell(VOID, "m1", []);
  await tell(PIECE, "m2", [["b", 1]]);
  await tell(WHOLE, "m2", [["c", 1]]);
  assert.equal(ids(calls[0].entries), "b c");
  for (let i = 0; i < 4; i++) assert.deepEqual((await page.next("MORE")).fields, [1]);
});

test("a batch that comes in parts is told once, when it is whole", async () => {
  const { page, calls, tell } = await live();
  await tell(WHOLE, "m1", [["a", 1], ["d", 1]]);
  await page.next("MORE");
  await tell(PART, "m2", [["b", 2, 2]], ["a"]);
  await tell(PART, "m2", [["c", 2, 2]]);
  assert.equal(calls.length, 1);
  for (let i = 0; i < 2; i++) assert.deepEqual((await page.next("MORE")).fields, [1]);
  await tell(DELTA, "m2", [], ["d"]);
  assert.deepEqual(calls.map((call) => `${call.marker}: ${ids(call.entries)}`), ["m1: a d", "m2: b c"]);
});

test("each batch is told by itself, and in order, also when they come together", async () => {
  const { page, calls, said } = await live();
  page.send(
    [frame.ITEMS, said.n, WHOLE, "m1", ...rows(["a", 1]), []],
    [frame.ITEMS, said.n, DELTA, "m2", ...rows(["b", 1, 2]), []],
    [frame.ITEMS, said.n, DELTA, "m3", ...rows(), ["a"]],
  );
  await settle();
  assert.deepEqual(calls.map((call) => `${call.marker}: ${ids(call.entries)}`), ["m1: a", "m2: a b", "m3: b"]);
});

test("the order of a reversed result, and ids beyond the first plane", async () => {
  const forth = await live();
  await forth.tell(WHOLE, "m1", [["a", 1], ["\ufffd", 1]]);
  await forth.tell(DELTA, "m2", [["🌍", 1, 2], ["\ue000", 1, 2]]);
  assert.equal(ids(forth.calls[1].entries), "a \ue000 \ufffd 🌍");
  const back = await live({ reverse: true });
  await back.tell(WHOLE, "m1", [["\ufffd", 1], ["a", 1]]);
  await back.tell(DELTA, "m2", [["🌍", 1, 2], ["b", 1, 2], ["", 1, 2]], ["\ufffd"]);
  assert.equal(ids(back.calls[1].entries), "🌍 b a ");
});

test("changes of any kind and number give what sorting would", () => {
  let state = 1;
  const below = (n) => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % n;
  const names = ["a", "b", "\ue000x", "🌍", "\ufffd", "é", "z", "aa", "a🌍", "a\uffff"].flatMap((x) => ["", "1", "2", "\u{1f600}"].map((y) => x + y));
  for (let round = 0; round < 500; round++) {
    const reverse = round % 2 === 1;
    const order = (a, b) => (reverse ? -1 : 1) * compareIds(a, b);
    const entry = (id, version) => ({ id, version });
    const model = new Map(names.filter(() => below(3) === 0).map((id) => [id, entry(id, 1)]));
    const sorted = () => [...model.values()].sort((a, b) => order(a.id, b.id));
    const result = new Result(reverse, (a, b) => a.version === b.version);
    const old = sorted();
    const cut = below(old.length + 1);
    assert.equal(result.take(PIECE, old.slice(0, cut), []), "part");
    assert.equal(result.take(WHOLE, old.slice(cut), []), old.length > 0 ? "other" : "same");
    const changed = names.filter(() => below(4) === 0);
    const gone = changed.filter(() => below(2) === 0);
    const written = changed.filter((id) => !gone.includes(id)).map((id) => entry(id, 2));
    for (const id of gone) model.delete(id);
    for (const row of written) model.set(row.id, row);
    const [some, all] = [below(written.length + 1), below(gone.length + 1)];
    if (round % 4 > 1) assert.equal(result.take(PART, written.splice(0, some), gone.splice(0, all)), "part");
    assert.deepEqual(result.copy(), old, "nothing is told of a part");
    assert.equal(result.take(DELTA, written, gone), "other");
    assert.deepEqual(result.copy(), sorted(), `round ${round}`);
    // Told anew, with some that are other than before, and without some.
    const before = result.copy();
    for (const id of names) if (below(10) === 0) below(2) === 0 ? model.delete(id) : model.set(id, entry(id, 3));
    const anew = sorted().map((row) => ({ ...row }));
    const [same, half] = [anew.length === before.length && anew.every((row) => row.version < 3), below(anew.length + 1)];
    result.take(PIECE, anew.slice(0, half), []);
    assert.equal(result.take(WHOLE, anew.slice(half), []), same ? "same" : "other");
    assert.deepEqual(result.copy(), anew);
    for (const row of result.copy()) assert.equal(before.includes(row), row.version < 3, `round ${round}: ${row.id} is the object that it was`);
  }
});

test("credit is given back when the callback has run, which holds the engine back", async () => {
  const { page, tell, calls } = await live();
  await tell(WHOLE, "m1", [["a", 1]]);
  await tell(DELTA, "m2", [["b", 1]]);
  assert.equal(calls.length, 2);
  assert.deepEqual([await page.next(), await page.next()].map((said) => [said.kind, ...said.fields]), [["MORE", 1], ["MORE", 1]]);
});

test("a callback that throws is reported, and hears of the next batch", async () => {
  const { db, page } = await start();
  const reported = [];
  globalThis.reportError = (err) => reported.push(err.message);
  let calls = 0;
  db.collection("notes").subscribe({}, () => {
    calls++;
    throw new Error(`call ${calls}`);
  });
  const said = await page.next("LIVE");
  page.items(said, WHOLE, "m1", ...rows(["a", 1]), []);
  page.items(said, DELTA, "m2", ...rows(["b", 1]), []);
  await settle();
  assert.deepEqual(reported, ["call 1", "call 2"]);
  page.fail(said, "STORAGE_LOST", "gone");
  await settle();
  assert.deepEqual(reported.slice(2), ["gone"], "an error that nobody listens to is not lost");
  delete globalThis.reportError;
});

test("stopping: no call comes after it, not even of what has arrived", async () => {
  const { db, page } = await start();
  let calls = 0;
  const stop = db.collection("notes").subscribe({}, () => {
    calls++;
    stop();
  });
  const said = await page.next("LIVE");
  page.send([frame.ITEMS, said.n, WHOLE, "m1", ...rows(["a", 1]), []], [frame.ITEMS, said.n, DELTA, "m2", ...rows(["b", 1]), []]);
  assert.equal((await page.next()).kind, "CANCEL");
  await settle();
  assert.equal(calls, 1);
  stop();
  page.fail(said, "ABORTED");
  page.items(said, DELTA, "m3", ...rows(["c", 1]), []);
  await settle();
  assert.equal(calls, 1);
  assert.equal(page.said.length, 0);
});

test("the callback may use the database", async () => {
  const { db, page } = await start();
  const notes = db.collection("notes");
  const got = new Promise((resolve) => notes.subscribe({}, (entries) => resolve(notes.get(entries[0].id))));
  page.items(await page.next("LIVE"), WHOLE, "m1", ...rows(["a", 1]), []);
  page.ok(await page.next("GET"), bin("x"));
  assert.equal(await got, "x");
});

test("errors of a subscription are told later, once", async () => {
  const { db, page } = await start();
  const notes = db.collection("notes");
  const errors = [];
  const hear = (err) => errors.push(err);
  notes.subscribe({ limit: -1 }, () => undefined, hear);
  assert.equal(errors.length, 0);
  await settle();
  assert.ok(errors[0] instanceof VsyncError && errors[0].code === "INVALID" && errors[0].message.includes("limit"));
  assert.throws(() => notes.subscribe({}, "fn"), (err) => err.code === "INVALID");
  assert.throws(() => notes.subscribe({}, () => undefined, 5), (err) => err.code === "INVALID" && err.message.includes("onError"));
  notes.subscribe(undefined, () => undefined, hear);
  const said = await page.next("LIVE");
  page.fail(said, "CORRUPT");
  page.fail(said, "CORRUPT");
  await settle();
  assert.deepEqual(errors.map((err) => err.code), ["INVALID", "CORRUPT"]);
});

// The status.

const told = { phase: "live", paused: false, pending: 2, oldest: 1000, received: 0, expected: 0, confirmed: 5000, next: 0, marker: "M", mode: "indexeddb", code: "", message: "" };

test("the status is there from the beginning, and each is a frozen object of its own", async () => {
  const { db, page } = await start({ ...told, pending: 1 });
  const first = db.status.current;
  assert.equal(db.status.current, first);
  assert.ok(Object.isFrozen(first) && Object.isFrozen(first.storage) && Object.isFrozen(first.problems));
  assert.deepEqual([first.phase, first.pending, first.oldestPendingAt, first.lastConfirmedAt, first.marker], ["live", 1, 1000, 5000, "M"]);
  assert.ok(first.oldestPendingMs > 1e12 && first.oldestPendingMs <= Date.now());
  assert.ok(!("error" in first) && !("progress" in first) && !("nextAttemptAt" in first));
  page.status({ phase: "catching-up", pending: 0, oldest: 0, received: 3, expected: 9, device: "f".repeat(32) });
  await settle();
  const second = db.status.current;
  assert.deepEqual([second.phase, second.progress, second.oldestPendingMs, second.marker], ["catching-up", { received: 3, expected: 9 }, 0, "M"]);
  assert.ok(!("oldestPendingAt" in second));
  assert.equal(first.phase, "live");
  assert.equal(db.device, "f".repeat(32));
  page.status({ phase: "waiting", paused: true, next: 77, code: "RATE_LIMITED", message: "slow down" });
  await settle();
  assert.deepEqual([db.status.current.paused, db.status.current.nextAttemptAt, db.status.current.error], [true, 77, { code: "RATE_LIMITED", message: "slow down" }]);
  page.status({ code: "", message: "the hub cannot be reached" });
  await settle();
  assert.deepEqual(db.status.current.error, { code: "OFFLINE", message: "the hub cannot be reached" });
});

test("the status says what is waited for, and since when", async () => {
  const { db, page } = await start(told);
  assert.ok(!("waiting" in db.status.current));
  page.status({ waiting: ["confirmation", 4000, false] });
  await settle();
  assert.deepEqual(db.status.current.waiting, { for: "confirmation", since: 4000, stalled: false });
  page.status({ waiting: ["confirmation", 4000, true] });
  await settle();
  assert.ok(db.status.current.waiting.stalled && Object.isFrozen(db.status.current.waiting));
  page.status({ waiting: ["", 0, false] });
  await settle();
  assert.ok(!("waiting" in db.status.current));
});

test("those who subscribe to the status hear of the present one soon, and of each new one", async () => {
  const { db, page } = await start(told);
  const phases = [];
  const stop = db.status.subscribe((status) => {
    assert.equal(status, db.status.current);
    phases.push(status.phase);
  });
  const stopAtOnce = db.status.subscribe(() => phases.push("never"));
  stopAtOnce();
  assert.deepEqual(phases, []);
  await settle();
  assert.deepEqual(phases, ["live"]);
  page.status({ phase: "waiting" });
  await settle();
  page.status({ phase: "connecting" });
  await settle();
  stop();
  page.status({ phase: "live" });
  await settle();
  assert.deepEqual(phases, ["live", "waiting", "connecting"]);
});

test("problems: what was refused, with what can be done about it", async () => {
  const { db, page } = await start(told);
  const list = [
    [version(4), "FORBIDDEN", "may not write notes", 9000, [["notes", "a", bin({ text: "x" })]]],
    [version(5), "INVALID", "no", 9001, [["notes", "b", null], ["tags", "t", bin(1)]]],
  ];
  page.status({ problems: list });
  await settle();
  const [one, two] = db.status.current.problems;
  const { retry, dismiss, ...said } = one;
  assert.deepEqual(said, {
    kind: "rejected", code: "FORBIDDEN", message: "may not write notes", version: version(4), time: 9000, collection: "notes", id: "a", value: { text: "x" },
    changes: [{ collection: "notes", id: "a", value: { text: "x" }, deleted: false }],
  });
  assert.deepEqual(two.changes, [{ collection: "notes", id: "b", value: undefined, deleted: true }, { collection: "tags", id: "t", value: 1, deleted: false }]);
  assert.ok(!("collection" in two));
  page.status({ pending: 9 });
  await settle();
  assert.equal(db.status.current.problems[0], one, "the list stays as it is while it is not told anew");
  const retried = retry();
  const again = await page.next("RETRY");
  assert.deepEqual(again.fields, [version(4)]);
  page.ok(again, version(6));
  const receipt = await retried;
  assert.equal(receipt.version, version(6));
  const dismissed = dismiss();
  page.ok(await page.next("DISMISS"));
  assert.equal(await dismissed, undefined);
  const second = one.dismiss();
  page.fail(await page.next("DISMISS"), "INVALID", "there is none");
  await rejects(second, "INVALID", "there is none");
  page.status({ problems: [] });
  await settle();
  assert.deepEqual(db.status.current.problems, []);
});

test("the browser's storage: shown when it is known, and asked to be kept", async () => {
  const browser = new Browser().install();
  const asked = [];
  globalThis.navigator.storage = {
    estimate: async () => (asked.push("estimate"), { usage: 5, quota: 100 }),
    persisted: async () => (asked.push("persisted"), asked.includes("persist")),
    persist: async () => (asked.push("persist"), true),
  };
  const { db, page } = await browser.open("notes", {}, told);
  await settle();
  const looked = asked.filter((what) => what === "estimate").length;
  assert.deepEqual(db.status.current.storage, { mode: "indexeddb", usage: 5, quota: 100, persisted: true });
  page.status({ pending: 3 });
  page.status({ pending: 4 });
  await settle();
  assert.deepEqual(asked.filter((what) => what === "estimate").length, looked, "not with every status");
  await browser.open("second");
  await settle();
  assert.deepEqual(asked.filter((what) => what === "persist").length, 1, "asked once a page");
  page.status({ mode: "memory" });
  await settle();
  assert.equal(db.status.current.storage.mode, "memory");
});
