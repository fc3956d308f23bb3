import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./built.mjs";
import { Browser, bin, device, frame, open, rejects, rows, settle, version } from "./far.mjs";

const { WHOLE, PIECE, PART, UNFINISHED, DELTA, INITIAL } = frame;

/** What a page says until it says nothing more. */
async function all(page) {
  await settle();
  return page.said.splice(0);
}

test("what was not answered is asked again, in its order and with its names", async () => {
  const browser = new Browser().install();
  const { db, page, worker } = await browser.open();
  const notes = db.collection("notes");
  const value = { n: 1 };
  const waits = [notes.put("a", value), notes.get("a"), notes.put("b", 2), notes.count(), notes.putMany([["c", value], ["e", "x".repeat(900_000)], ["f", "y".repeat(900_000)]])];
  value.n = 99;
  const before = await all(page);
  assert.deepEqual(before.map((said) => said.kind), ["WRITE", "GET", "WRITE", "COUNT", "WRITE"]);
  page.ok(before[0], version(1));
  await settle();
  worker.letGo();
  const { page: next, worker: other } = await browser.met(1);
  assert.notEqual(other, worker);
  waits.push(notes.put("d", 4)); // in order behind the others
  const after = await all(next);
  const same = after.slice(0, 4);
  assert.deepEqual(same, before.slice(1), "equal frames, nonces included");
  assert.deepEqual(after[4].fields, [["notes"], [[0, "d", 4, null]], [], ""]);
  const nonces = [...before, after[4]].filter((said) => said.nonce).map((said) => said.nonce);
  assert.deepEqual(nonces.map(([tab]) => Buffer.from(tab).toString("hex")), Array(4).fill(Buffer.from(nonces[0][0]).toString("hex")), "one tab");
  assert.deepEqual(nonces.map(([, counter]) => counter), [1, 2, 3, 4]);
  for (const said of after) next.ok(said, said.kind === "GET" ? bin("there") : said.kind === "COUNT" ? 7 : version(said.n));
  assert.deepEqual((await Promise.all(waits)).map((result) => result.version ?? result), [version(1), "there", version(before[2].n), 7, version(before[4].n), version(after[4].n)]);
});

test("a batch that waits is asked again as it was, whatever others have been written into buffers meanwhile", async () => {
  const browser = new Browser().install();
  const { db, page, worker } = await browser.open();
  const notes = db.collection("notes");
  const many = (name) => notes.putMany(Array.from({ length: 50 }, (_, i) => [`${name} ${i}`, { name, i }]));
  const waits = [];
  const before = [];
  for (const name of ["a", "b", "c", "d", "e"]) {
    const wait = many(name);
    const said = await page.next("WRITE");
    if (name === "b" || name === "d") page.ok(said, version(said.n)), await wait; // its buffer is free
    else waits.push(wait), before.push(said);
  }
  worker.letGo();
  const { page: next } = await browser.met(1);
  const after = await all(next);
  assert.deepEqual(after, before);
  assert.deepEqual(after.map((said) => said.fields[1].length), [50, 50, 50]);
  for (const said of after) next.ok(said, version(said.n));
  await Promise.all(waits);
});

test("many values of which some came are all asked for again: they are of one moment", async () => {
  const browser = new Browser().install();
  const { db, page, worker } = await browser.open();
  const many = db.collection("notes").getMany(["a", "b", "c"]);
  page.items(await page.next("GETMANY"), [bin(1), bin(2)]);
  await settle();
  worker.letGo();
  const { page: next } = await browser.met(1);
  const said = await next.next("GETMANY");
  assert.deepEqual(said.fields, ["notes", ["a", "b", "c"]]);
  next.items(said, [bin(3)]);
  next.ok(said, [bin(4), bin(5)]);
  assert.deepEqual(await many, [3, 4, 5]);
});

test("two pages have two names for their writes", async () => {
  const tabs = [];
  for (const name of ["one", "two"]) {
    const { db, page } = await new Browser().install().open(name);
    void db.collection("notes").put("a", 1);
    tabs.push(Buffer.from((await page.next("WRITE")).nonce[0]).toString("hex"));
  }
  assert.notEqual(tabs[0], tabs[1]);
});

test("what is called between two engines waits for the next; what is cancelled meanwhile is not asked for", async () => {
  const browser = new Browser().install();
  const { db, worker } = await browser.open();
  const notes = db.collection("notes");
  worker.letGo();
  await settle();
  const value = [1];
  const put = notes.put("a", value);
  value.push(2);
  const stop = notes.subscribe({}, () => assert.fail("nobody listens"));
  stop();
  const given = new AbortController();
  const synced = rejects(db.synced({ signal: given.signal }), "ABORTED");
  given.abort();
  await synced;
  const { page } = await browser.met(1);
  const said = await all(page);
  assert.deepEqual(said.map(({ kind, fields }) => [kind, fields]), [["WRITE", [["notes"], [[0, "a", [1], null]], [], ""]]]);
  page.ok(said[0], version(1));
  assert.equal((await put).version, version(1));
});

test("a subscription tells what has changed meanwhile, and nothing where nothing has", async () => {
  const browser = new Browser().install();
  const { db, page, worker } = await browser.open();
  const calls = [];
  db.collection("notes").subscribe({ prefix: "k" }, (entries, { marker }) => calls.push([marker, ...entries.map((entry) => entry.id)].join(" ")));
  const said = await page.next("LIVE");
  page.items(said, WHOLE, "m1", ...rows(["k1", 1], ["k2", 2]), []);
  await settle();
  worker.letGo();
  const second = await browser.met(1);
  await settle();
  const [more, again] = [undefined, await second.page.next("LIVE")];
  assert.equal(more, undefined);
  assert.deepEqual([again.n, again.fields], [said.n, said.fields]);
  second.page.items(again, PIECE, "m1", ...rows(["k1", 1]), []);
  second.page.items(again, WHOLE, "m1", ...rows(["k2", 2]), []);
  await settle();
  assert.deepEqual(calls, ["m1 k1 k2"]);
  second.page.items(again, DELTA, "m2", ...rows(["k3", 3, 2]), []);
  await settle();
  second.page.items(again, PIECE, "m2", ...rows(["k0", 0]), []); // of a whole that is cut off
  await settle();
  second.worker.letGo();
  const third = await browser.met(2);
  third.page.items(await third.page.next("LIVE"), WHOLE, "m3", ...rows(["k2", 2], ["k3", 3, 2]), []);
  await settle();
  assert.deepEqual(calls, ["m1 k1 k2", "m2 k1 k2 k3", "m3 k2 k3"]);
});

test("a value that is another under the same version is told: field rules make it of all sides", async () => {
  const browser = new Browser().install();
  const { db, page, worker } = await browser.open();
  const calls = [];
  db.collection("notes").subscribe({}, (entries) => calls.push(entries));
  page.items(await page.next("LIVE"), WHOLE, "m1", ...rows(["a", { n: 2, at: new Date(7), list: [1n << 60n, new Uint8Array([1])] }], ["b", { n: 2 }], ["c", [1]]), []);
  await settle();
  worker.letGo();
  const { page: next } = await browser.met(1);
  next.items(await next.next("LIVE"), WHOLE, "m2", ...rows(["a", { n: 2, at: new Date(7), list: [1n << 60n, new Uint8Array([1])] }], ["b", { n: 3 }], ["c", { 0: 1 }]), []);
  await settle();
  assert.deepEqual(calls.map((entries) => entries.slice(1).map(({ value }) => value)), [[{ n: 2 }, [1]], [{ n: 3 }, { 0: 1 }]]);
  assert.equal(calls[1][0], calls[0][0], "what is as it was is the same object");
});

const event = (marker, flags, ...changes) => [marker, flags, device, 1000, "", [device], changes.map(([id, value]) => ["notes", id, bin(value), false, 0, 1, false])];

test("a watcher goes on behind the last event, from wherever it began", async () => {
  const browser = new Browser().install();
  let { db, page, worker } = await browser.open();
  const steps = Object.fromEntries(["start", "now"].map((from) => [from, db.collection("notes").watch({ from })[Symbol.asyncIterator]()]));
  const start = steps.start.next();
  const now = steps.now.next();
  const [a, b] = await all(page);
  assert.deepEqual([a.fields[2], b.fields[2]], ["start", "now"]);
  page.items(a, ...event("start", INITIAL, ["k1", 1]));
  page.items(b, ...event("7", 0)); // where it stands
  assert.deepEqual([(await start).value.marker, (await start).value.reset], ["start", undefined]);
  await settle();
  worker.letGo();
  ({ page, worker } = await browser.met(1));
  const second = (await all(page)).filter((said) => said.kind === "WATCH");
  assert.deepEqual(second.map((said) => [said.n, said.fields[2]]), [[a.n, "start"], [b.n, "7"]]);
  page.items(second[0], ...event("start", INITIAL, ["k1", 1]));
  page.items(second[0], ...event("9", INITIAL, ["k2", 2]));
  page.items(second[1], ...event("8", 0, ["k2", 2]));
  const first = (await steps.start.next()).value;
  assert.deepEqual([first.marker, first.reset], ["start", true], "what came of it before is void");
  assert.deepEqual(["marker", "reset"].map((key) => first[key] ?? undefined), ["start", true]);
  const last = (await steps.start.next()).value;
  assert.deepEqual([last.marker, last.reset], ["9", undefined]);
  assert.equal((await now).value.marker, "8");
  worker.letGo();
  ({ page } = await browser.met(2));
  const third = (await all(page)).filter((said) => said.kind === "WATCH");
  assert.deepEqual(third.map((said) => said.fields[2]), ["9", "8"]);
});

test("a batch of which parts were missing comes whole from the next engine", async () => {
  const browser = new Browser().install();
  const { db, page, worker } = await browser.open();
  const calls = [];
  db.collection("notes").subscribe({}, (entries, { marker }) => calls.push([marker, ...entries.map((entry) => entry.id)].join(" ")));
  const loop = db.watch({ from: "m1" })[Symbol.asyncIterator]();
  const next = loop.next();
  const [live, watch] = await all(page);
  page.items(live, WHOLE, "m1", ...rows(["k1", 1]), []);
  page.items(live, PART, "m2", ...rows(["k2", 2]), ["k1"]);
  page.items(watch, ...event("m2", UNFINISHED, ["k2", 2]));
  await settle();
  worker.letGo();
  const second = await browser.met(1);
  const asked = (await all(second.page)).filter(({ kind }) => kind !== "MORE");
  assert.deepEqual(asked.map(({ n, fields }) => [n, fields.at(-1)]), [[live.n, live.fields.at(-1)], [watch.n, "m1"]]);
  second.page.items(live, WHOLE, "m1", ...rows(["k1", 1]), []);
  await settle();
  assert.deepEqual(calls, ["m1 k1"], "nothing of it was told, and so it is as it was");
  second.page.items(live, DELTA, "m2", ...rows(["k2", 2], ["k3", 3]), ["k1"]);
  second.page.items(watch, ...event("m2", 0, ["k2", 2], ["k3", 3]));
  await settle();
  assert.deepEqual(calls.slice(1), ["m2 k2 k3"]);
  assert.deepEqual((await next).value.changes.map((change) => change.id), ["k2", "k3"]);
});

test("a query begins anew, a loop over a scan only where nothing has come", async () => {
  const browser = new Browser().install();
  const { db, page, worker } = await browser.open();
  const notes = db.collection("notes");
  const query = notes.query();
  const begun = notes.scan()[Symbol.asyncIterator]();
  const first = begun.next();
  const fresh = notes.scan()[Symbol.asyncIterator]().next();
  const [q, s, f] = await all(page);
  page.items(q, ...rows(["a", 1]));
  page.items(s, ...rows(["a", 1]));
  assert.equal((await first).value.id, "a");
  worker.letGo();
  const next = await browser.met(1);
  const said = (await all(next.page)).filter((said) => said.kind === "SCAN");
  assert.deepEqual(said.map((said) => said.n), [q.n, f.n], `and not ${s.n}`);
  await rejects(begun.next(), "ENGINE_LOST", "begin anew");
  next.page.items(said[0], ...rows(["a", 1], ["b", 2]));
  next.page.end(said[0]);
  assert.deepEqual((await query).map((entry) => entry.id), ["a", "b"]);
  next.page.items(said[1], ...rows(["z", 1]));
  assert.equal((await fresh).value.id, "z");
});

test("what would be done twice fails with its engine", async () => {
  const browser = new Browser().install();
  const { db, page, worker } = await browser.open();
  page.status({ problems: [[version(4), "FORBIDDEN", "no", 1, [["notes", "a", null]]]] });
  await settle();
  const [problem] = db.status.current.problems;
  const failing = [problem.retry(), problem.dismiss()].map((promise) => rejects(promise, "ENGINE_LOST", "look it up"));
  await settle();
  worker.letGo();
  await Promise.all(failing);
  const dismissed = problem.dismiss(); // for the next engine, but for no other
  const next = await browser.met(1);
  await next.page.next("DISMISS");
  next.worker.letGo();
  await rejects(dismissed, "ENGINE_LOST");
  const third = await browser.met(2);
  assert.deepEqual(await all(third.page), []);
});

test("one write that ends every engine ends no more than four", async () => {
  const browser = new Browser().install();
  const { db } = await browser.open();
  const poison = rejects(db.collection("notes").put("a", 1), "ENGINE_LOST", "exit code 2");
  for (let n = 0; n < 4; n++) {
    const { page } = n === 0 ? browser.greeted[0] : await browser.met(n);
    await page.next("WRITE");
    page.raw({ lost: "exit code 2" });
  }
  await poison;
  const { page } = await browser.met(4);
  assert.deepEqual(await all(page), []);
  const get = db.collection("notes").get("b");
  page.ok(await page.next("GET"), bin(1));
  assert.equal(await get, 1);
});

test("the exchange with the hub stays paused in the next engine", async () => {
  const browser = new Browser().install();
  const { db, page, worker } = await browser.open("notes", { feed: "ws://x" });
  db.pause();
  page.ok(await page.next("PAUSE"));
  page.status({ paused: true });
  await settle();
  worker.letGo();
  const next = await browser.met(1, { paused: true });
  assert.equal(next.hello.fields[1].paused, true);
  assert.deepEqual(await all(next.page), []);
});

test("a token that comes late is given to nobody but who has asked", async () => {
  let give;
  const browser = new Browser().install();
  const { page, worker } = await browser.open("notes", { token: () => new Promise((resolve) => (give = resolve)) });
  page.send([frame.ASK, 1]);
  await settle();
  worker.letGo();
  const next = await browser.met(1);
  give("late");
  assert.deepEqual(await all(next.page), []);
});

test("closing waits for writes, through the end of an engine too", async () => {
  const browser = new Browser().install();
  const { db, page, worker } = await browser.open();
  const put = db.collection("notes").put("a", 1);
  const closing = db.close();
  await page.next("WRITE");
  worker.letGo();
  const next = await browser.met(1);
  next.page.ok(await next.page.next("WRITE"), version(1));
  next.page.ok(await next.page.next("CLOSE"));
  assert.equal((await put).version, version(1));
  await closing;
});

test("closing waits for writes while the next engine has not answered yet", async () => {
  const browser = new Browser().install();
  const { db, worker } = await browser.open();
  const put = db.collection("notes").put("a", 1);
  worker.letGo();
  while (!browser.greeted[1]) await settle();
  const { page } = browser.greeted[1];
  const hello = await page.next("HELLO");
  const get = rejects(db.collection("notes").get("a"), "CLOSED");
  const closing = db.close();
  await get;
  page.ok(hello, device);
  page.ok(await page.next("WRITE"), version(1));
  page.ok(await page.next("CLOSE"));
  assert.equal((await put).version, version(1));
  await closing;
});

test("an engine with another storage than the one before is not taken for it", async () => {
  const browser = new Browser().install();
  const { db, hello, page, worker } = await browser.open();
  assert.equal(hello.fields[1].had, undefined);
  const notes = db.collection("notes");
  worker.letGo();
  const second = await browser.met(1);
  assert.equal(second.hello.fields[1].had, device, "nothing was stored, but the device was told");
  const put = notes.put("a", 1);
  second.page.ok(await second.page.next("WRITE"), version(7));
  await put;
  second.worker.letGo();
  while (!browser.greeted[2]) await settle();
  const third = browser.greeted[2].page;
  const said = await third.next("HELLO");
  assert.equal(said.fields[1].had, version(7));
  const get = rejects(notes.get("a"), "STORAGE_LOST", "another one");
  third.fail(said, "STORAGE_LOST", "it is another one");
  await get;
  const { phase, error } = db.status.current;
  assert.deepEqual([phase, error.code], ["closed", "STORAGE_LOST"]);
  assert.equal(db.device, device);
  await settle();
  assert.equal(browser.greeted.length, 3);
  await db.close();
});

test("a database that was closed by the engine is not opened again behind the application's back", async () => {
  const browser = new Browser().install();
  const { db, page, worker } = await browser.open();
  page.status({ phase: "closed", code: "STORAGE_LOST", message: "the browser has taken it" });
  await settle();
  worker.letGo();
  await settle();
  await rejects(db.collection("notes").get("a"), "STORAGE_LOST", "has taken it");
  assert.equal(browser.greeted.length, 1);
});

test("in the back/forward cache a page holds nothing, and goes on when it is shown again", async () => {
  const browser = new Browser().install();
  const { db, page, worker } = await browser.open();
  const put = db.collection("notes").put("a", 1);
  browser.listeners.get("pagehide")({ type: "pagehide", persisted: true });
  assert.deepEqual((await all(page)).map((said) => said.kind), ["WRITE", "HIDDEN"]);
  assert.ok(!browser.locks.holds(page.greeting.tab), "the engine learns of it");
  assert.equal(browser.greeted.length, 1, "it sleeps");
  assert.equal(db.status.current.phase, "connecting");
  browser.listeners.get("pageshow")({ type: "pageshow", persisted: true });
  const next = await browser.met(1);
  assert.equal(next.worker, worker);
  next.page.ok(await next.page.next("WRITE"), version(1));
  assert.equal((await put).version, version(1));
  assert.ok(browser.locks.holds(next.page.greeting.tab));
});

test("a page that is put aside before it has greeted an engine greets none until it is shown again", async () => {
  const browser = new Browser().install();
  const { db, worker } = await browser.open();
  const put = db.collection("notes").put("a", 1);
  worker.letGo();
  while (db.status.current.phase !== "connecting") await new Promise(setImmediate);
  browser.listeners.get("pagehide")({ type: "pagehide", persisted: true });
  await settle();
  assert.equal(browser.greeted.length, 1);
  browser.listeners.get("pageshow")({ type: "pageshow", persisted: true });
  const { page } = await browser.met(1);
  page.ok(await page.next("WRITE"), version(1));
  assert.equal((await put).version, version(1));
});

test("what waits for something to happen goes on, however often the page is put aside meanwhile, and however many sound engines end", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1e12 });
  const browser = new Browser().install();
  let { db, page, worker } = await browser.open("notes", { feed: "ws://x" });
  const next = db.watch({ from: "now" })[Symbol.asyncIterator]().next();
  const synced = db.synced();
  page.items(await page.next("WATCH"), ...event("7", 0));
  await settle();
  const aside = () => ["pagehide", "pageshow"].forEach((type) => browser.listeners.get(type)({ type, persisted: true }));
  const end = () => (t.mock.timers.tick(10_001), worker.letGo());
  for (let n = 1; n <= 8; n++) {
    if (n <= 4) aside();
    else end();
    ({ page, worker } = await browser.met(n));
  }
  const said = await all(page);
  const [watch, waits] = ["WATCH", "SYNCED"].map((kind) => said.find((one) => one.kind === kind));
  page.items(watch, ...event("8", 0, ["k1", 1]));
  page.ok(waits);
  assert.equal((await next).value.marker, "8");
  await synced;
});

test("one tab leads, and resigns when its page is frozen; the others follow the engine that is there", async () => {
  const browser = new Browser().install({ shared: false, channels: true });
  const first = await browser.open();
  assert.equal(first.db.status.current.hosting, "leader");
  assert.equal(first.worker.door, true);
  assert.ok(browser.locks.holds("vsync:leader:notes"));
  const second = await browser.open("notes");
  assert.equal(second.worker, first.worker, "one for all of this page");
  browser.listeners.get("freeze")({ type: "freeze" }); // the second's
  second.page.answer("CLOSE", (said) => second.page.ok(said));
  assert.equal(first.worker.terminated, false, "the first one needs it still");
  const closing = first.db.close();
  first.page.ok(await first.page.next("CLOSE"));
  await closing;
  await settle();
  assert.equal(first.worker.terminated, true);
  assert.ok(!browser.locks.holds("vsync:leader:notes"));
});

test("a follower finds the engine of another tab, and leads when that is gone", async () => {
  const browser = new Browser().install({ shared: false, channels: true });
  let resign;
  void browser.locks.request("vsync:leader:notes", () => new Promise((resolve) => (resign = resolve)));
  const far = browser.elsewhere();
  const { db, page, worker } = await browser.open();
  assert.equal(worker, far);
  assert.equal(db.status.current.hosting, "follower");
  const put = db.collection("notes").put("a", 1);
  const said = await page.next("WRITE");
  far.end();
  resign();
  const next = await browser.met(1);
  assert.equal(next.worker, browser.dedicated[0]);
  assert.equal(db.status.current.hosting, "leader");
  assert.deepEqual((await next.page.next("WRITE")).nonce, said.nonce);
  next.page.ok(said, version(1));
  await put;
  next.page.answer("CLOSE", (said) => next.page.ok(said));
  await db.close();
});

test("an engine that cannot have the database leads to the one that has it, or to nobody", async () => {
  const browser = new Browser().install({ channels: true });
  const far = browser.elsewhere();
  const opening = open("notes");
  const own = await (await browser.worker("notes")).page();
  own.fail(await own.next("HELLO"), "LOCKED", "another has it");
  const { worker } = await browser.met(1);
  assert.equal(worker, far);
  const db = await opening;
  assert.equal(db.status.current.hosting, "follower");
  far.end();
  const next = await browser.met(2);
  assert.equal(db.status.current.hosting, "shared");
  next.page.answer("CLOSE", (said) => next.page.ok(said));
  await db.close();

  const alone = new Browser().install({ channels: true });
  const refused = open("notes");
  const page = await (await alone.worker("notes")).page();
  page.fail(await page.next("HELLO"), "LOCKED", "another has it");
  await rejects(refused, "LOCKED", "another has it");
});

test("what a page still says to another tab's engine that it has let go of is nobody's error", async () => {
  const { follow } = await load("door");
  const { port, release } = follow("one", "vsync-engine:1");
  port.postMessage(new Uint8Array([1]), []);
  release();
  port.postMessage(new Uint8Array([1]), []); // a page that is hidden, or frozen, while it looks for another engine
});
