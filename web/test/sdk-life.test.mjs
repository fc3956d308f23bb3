import assert from "node:assert/strict";
import { test } from "node:test";
import { Browser, bin, destroy, device, frame, open, rejects, rows, settle, version } from "./far.mjs";

const start = (options) => new Browser().install().open("notes", options);

test("opening: the lock before its name, the worker, the hello", async () => {
  const browser = new Browser().install();
  const { db, page, worker, hello } = await browser.open("notes", { feed: "https://hub.example.org/x/", durability: "strict" });
  assert.match(worker.url, /vsync-worker\.js$/);
  assert.deepEqual(worker.options, { name: "vsync:notes", extendedLifetime: true });
  assert.equal(page.greeting.vsync, 1);
  assert.match(page.greeting.wasm, /^file:.*vsync\.wasm$/);
  assert.ok(browser.locks.holds(page.greeting.tab), "the page holds its lock before it is named");
  assert.equal(hello.n, 1);
  assert.deepEqual(hello.fields, [frame.PROTOCOL, { name: "notes", feed: "wss://hub.example.org/x", durability: "strict", token: false, agent: "test" }]);
  assert.equal(db.name, "notes");
  assert.equal(db.device, device);
  assert.equal(db.status.current.phase, "local");
  assert.equal(db.status.current.hosting, "shared");
});

test("opening: wrong names and options are refused before anything is started", async () => {
  const browser = new Browser().install();
  for (const name of ["", "A", "a/b", ".", "..", "é", "x".repeat(65), undefined, 5]) await rejects(open(name), "INVALID", "the name of a database");
  const wrong = [
    [{ feed: "localhost:8787" }, "feed", "ws://localhost:8787"],
    [{ feed: "ftp://x" }, "feed"],
    [{ feed: "/relative" }, "feed"],
    [{ feed: "ws://x/?token=1" }, "feed", '"?"'],
    [{ feed: "ws://user:word@x" }, "feed", "token"],
    [{ feed: 5 }, "feed"],
    [{ token: 5 }, "token"],
    [{ token: "" }, "token"],
    [{ durability: "fast" }, "durability", '"relaxed" or "strict"', '"fast"'],
    [{ hosting: "window" }, "hosting"],
    [{ sginal: 1 }, '"sginal"'],
    [{ signal: 1 }, "signal"],
    ["notes", "an object"],
  ];
  for (const [options, ...words] of wrong) await rejects(open("notes", options), "INVALID", ...words);
  await rejects(destroy("A"), "INVALID");
  await rejects(destroy("notes", { force: "yes" }), "INVALID", "force");
  assert.equal(browser.engines, 0);
});

test("opening: addresses of hubs in all forms", async () => {
  const browser = new Browser().install();
  const forms = { "ws://localhost:8787": "ws://localhost:8787", "http://localhost:8787/": "ws://localhost:8787", "https://x/hubs//": "wss://x/hubs", "WSS://X": "wss://x" };
  let i = 0;
  for (const [feed, sent] of Object.entries(forms)) {
    const { hello } = await browser.open(`n${i++}`, { feed: i % 2 ? feed : new URL(feed) });
    assert.equal(hello.fields[1].feed, sent);
  }
});

test("opening: what the engine refuses, and what it says when it cannot start", async () => {
  for (const code of ["INVALID", "LOCKED", "VERSION", "CORRUPT"]) {
    const browser = new Browser().install();
    const opening = open("notes");
    const page = await (await browser.worker("notes")).page();
    page.fail(await page.next("HELLO"), code, "because of that");
    await rejects(opening, code, "because of that");
    await settle();
    assert.ok(!browser.locks.holds(page.greeting.tab), "the page's lock is free again");
  }
  const browser = new Browser().install();
  browser.onGreeting = (page) => page.raw({ lost: "the program could not be loaded" });
  await rejects(open("notes"), "ENGINE_LOST", "the program could not be loaded");
});

test("opening: a worker whose script is missing", async () => {
  const browser = new Browser().install();
  browser.onGreeting = () => browser.shared.get("vsync:notes").last.events.dispatchEvent(new Event("error"));
  await rejects(open("notes"), "ENGINE_LOST", "vsync-worker.js", "is the file there");
});

test("opening: a worker of this page that says nothing was killed before it could, and is started anew; one that says it is starting is waited for", async (t) => {
  const browser = new Browser().install({ shared: false, channels: true });
  const usual = browser.onGreeting;
  const greetings = [];
  browser.onGreeting = (page, lock) => greetings.push([page, lock]);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const opening = open("notes", { hosting: "tab" });
  const until = async (ok) => { while (!ok()) await new Promise(setImmediate); };
  await until(() => greetings.length === 1);
  for (let i = 0; i < 5; i++) {
    t.mock.timers.tick(14_000);
    greetings[0][0].raw({ starting: "the engine" });
    await settle();
  }
  assert.equal(browser.dedicated.length, 1);
  browser.onGreeting = usual;
  t.mock.timers.tick(15_000);
  await until(() => browser.dedicated.length === 2 && browser.greeted.length === 2);
  const { page } = browser.greeted[1];
  const hello = await page.next("HELLO");
  page.status({ phase: "local", device, problems: [] });
  page.ok(hello, device);
  assert.equal((await opening).status.current.hosting, "tab");
});

test("opening: a shared worker that says nothing was about to end, and is asked for anew; then another one is", async (t) => {
  const browser = new Browser().install();
  const usual = browser.onGreeting;
  let greetings = 0;
  const silent = new Promise((resolve) => (browser.onGreeting = () => ++greetings === 2 && resolve()));
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const opening = open("notes");
  while (greetings === 0) await new Promise(setImmediate);
  t.mock.timers.tick(4999);
  await settle();
  assert.equal(greetings, 1);
  t.mock.timers.tick(1);
  await silent;
  browser.onGreeting = usual;
  t.mock.timers.tick(5000);
  while (browser.greeted.length < 3) await new Promise(setImmediate);
  const { page } = browser.greeted[2];
  assert.equal(page.greeting.tab, browser.greeted[0].page.greeting.tab, "it is the same page");
  const hello = await page.next("HELLO");
  t.mock.timers.tick(60_000);
  page.status({ phase: "local", device, problems: [] });
  page.ok(hello, device);
  assert.equal((await opening).name, "notes");
  assert.equal(greetings, 2);
  assert.deepEqual(browser.greeted.map(({ worker }) => worker.options.name), ["vsync:notes", "vsync:notes", "vsync1:notes"]);
});

test("opening: a signal gives up at each moment", async () => {
  const browser = new Browser().install();
  const before = AbortSignal.abort();
  await rejects(open("notes", { signal: before }), "ABORTED");
  const start = new AbortController();
  browser.onGreeting = () => start.abort();
  await rejects(open("notes", { signal: start.signal }), "ABORTED");
  const hello = new AbortController();
  browser.onGreeting = (page, lock) => {
    page.raw({ engine: lock });
    page.answer("HELLO", () => hello.abort());
  };
  await rejects(open("other", { signal: hello.signal }), "ABORTED");
  await settle();
  const page = await (await browser.worker("other")).page();
  assert.ok(!browser.locks.holds(page.greeting.tab), "the engine learns that the page is gone");
  const after = new AbortController();
  const { db, page: far } = await new Browser().install().open("third", { signal: after.signal });
  after.abort();
  const get = db.collection("c").get("a");
  far.ok(await far.next("GET"), bin(1));
  assert.equal(await get, 1);
});

test("opening: where there are no Web Locks, no shared workers, another origin", async () => {
  new Browser().install({ locks: false });
  await rejects(open("notes"), "INVALID", "https", "localhost");
  const sandboxed = new Browser().install();
  sandboxed.locks.request = async () => {
    throw new DOMException("not here", "SecurityError");
  };
  await rejects(open("notes"), "INVALID", "not here", "sandboxed");
  new Browser().install({ shared: false });
  await rejects(open("notes", { hosting: "shared" }), "INVALID", "SharedWorker");
  new Browser().install();
  globalThis.location = { origin: "https://page.example.org" };
  await rejects(open("notes"), "INVALID", "https://page.example.org", "vsync-worker.js");
});

test("a worker of this page: one for all who open the name, ended with the last", async () => {
  const browser = new Browser().install({ shared: false });
  const first = await browser.open("notes");
  const second = await browser.open("notes");
  assert.equal(browser.dedicated.length, 1);
  assert.equal(first.worker, second.worker);
  assert.equal(first.db.status.current.hosting, "tab");
  assert.deepEqual(first.worker.options, { name: "vsync:notes" });
  const other = await browser.open("other", { hosting: "tab" });
  assert.equal(browser.dedicated.length, 2);
  for (const { db, page, worker } of [first, second]) {
    assert.equal(worker.terminated, false);
    const closing = db.close();
    page.ok(await page.next("CLOSE"));
    await closing;
  }
  assert.equal(first.worker.terminated, true);
  assert.equal(other.worker.terminated, false);
  other.page.answer("CLOSE", (said) => other.page.ok(said));
  await other.db.close();
});

test("close: waits for writes, ends all else, and nothing goes after it", async () => {
  const browser = new Browser().install();
  const { db, page } = await browser.open();
  const notes = db.collection("notes");
  const put = notes.put("a", 1);
  const get = rejects(notes.get("a"), "CLOSED");
  const synced = rejects(db.synced(), "CLOSED");
  const step = rejects(notes.watch()[Symbol.asyncIterator]().next(), "CLOSED");
  const errors = [];
  notes.subscribe({}, () => errors.push("called"), (err) => errors.push(err.code));
  notes.subscribe({}, () => errors.push("called"));
  const closing = db.close();
  assert.equal(db.close(), closing, "a second close does nothing else");
  await rejects(notes.put("b", 1), "CLOSED", "open it again");
  await Promise.all([get, step]);
  assert.throws(() => db.pause(), (err) => err.code === "CLOSED");
  const said = [];
  for (;;) {
    const one = await page.next();
    said.push(one.kind);
    if (one.kind === "WRITE") setImmediate(() => page.ok(one, version(1)));
    if (one.kind === "CLOSE") {
      page.ok(one);
      break;
    }
  }
  assert.equal(said.at(-1), "CLOSE");
  assert.equal((await put).version, version(1));
  await Promise.all([closing, synced]);
  assert.deepEqual(errors, ["CLOSED"]);
  assert.equal(db.status.current.phase, "closed");
  assert.equal(db.status.current.error, undefined);
  await rejects(notes.get("a"), "CLOSED");
  await rejects((await put).synced(), "CLOSED");
  await rejects(notes.scan()[Symbol.asyncIterator]().next(), "CLOSED");
  await rejects(db.batch((tx) => tx.put(notes, "a", 1)), "CLOSED");
  await settle();
  assert.ok(!browser.locks.holds(page.greeting.tab));
  assert.equal(browser.listeners.size, 0, "nothing is listened to any more");
  await db.close();
});

test("close: what is dismissed is a write too", async () => {
  const { db, page } = await start();
  page.status({ problems: [[version(4), "FORBIDDEN", "no", 1, [["notes", "a", null]]]] });
  await settle();
  const dismissed = db.status.current.problems[0].dismiss();
  const closing = db.close();
  const said = await page.next("DISMISS");
  await settle();
  assert.equal(page.said.length, 0, "the close waits for it");
  page.ok(said);
  page.ok(await page.next("CLOSE"));
  await Promise.all([dismissed, closing]);
});

test("close: a loop that waits fails with CLOSED; disposing closes", async () => {
  const { db, page } = await start();
  page.answer("CLOSE", (said) => page.ok(said));
  const watch = async () => {
    for await (const event of db.watch()) void event;
  };
  const loop = rejects(watch(), "CLOSED");
  await page.next("WATCH");
  await db[Symbol.asyncDispose]();
  await loop;
});

test("the engine's end is learnt from its lock; when no other one can be had, everybody hears of it", async (t) => {
  const browser = new Browser().install();
  const { db, page, worker } = await browser.open();
  const notes = db.collection("notes");
  const errors = [];
  notes.subscribe({}, () => undefined, (err) => errors.push(err.code));
  const waits = [notes.put("a", 1), notes.get("a"), db.synced(), notes.query(), notes.watch()[Symbol.asyncIterator]().next()].map((promise) => rejects(promise, "ENGINE_LOST", "no memory"));
  await settle();
  let tries = 0;
  browser.onGreeting = (page) => (tries++, page.raw({ lost: "no memory" }));
  t.mock.timers.enable({ apis: ["setTimeout"] });
  worker.letGo();
  const done = Promise.all(waits);
  for (let over = false; !over; ) {
    over = await Promise.race([done.then(() => true), settle()]);
    t.mock.timers.tick(1000);
  }
  await settle();
  assert.equal(tries, 5);
  assert.deepEqual(errors, ["ENGINE_LOST"]);
  assert.equal(db.status.current.phase, "closed");
  assert.equal(db.status.current.error.code, "ENGINE_LOST");
  await rejects(notes.get("a"), "ENGINE_LOST");
  await rejects(db.synced(), "ENGINE_LOST");
  assert.throws(() => db.resume(), (err) => err.code === "ENGINE_LOST");
  await db.close();
  assert.equal(page.said.filter((said) => said.kind === "CLOSE").length, 0);
  assert.equal(browser.listeners.size, 0, "nothing is listened to any more");
});

test("a worker of this page whose engine ends by itself is ended, and a new one goes on", async () => {
  const browser = new Browser().install({ shared: false });
  const { db, page, worker } = await browser.open();
  const get = db.collection("notes").get("a");
  await page.next("GET");
  page.raw({ lost: "exit code 2" });
  await settle();
  assert.deepEqual([db.status.current.phase, db.status.current.error.code, db.status.current.error.message], ["connecting", "ENGINE_LOST", "exit code 2"]);
  const again = await browser.met(1);
  assert.equal(worker.terminated, true);
  assert.notEqual(again.worker, worker);
  again.page.ok(await again.page.next("GET"), bin(5));
  assert.equal(await get, 5);
  again.page.answer("CLOSE", (said) => again.page.ok(said));
  await db.close();
  assert.equal(again.worker.terminated, true);
});

test("closing while the engine dies is closing all the same", async () => {
  const { db, page, worker } = await start();
  const closing = db.close();
  await page.next("CLOSE");
  worker.letGo();
  await closing;
  assert.equal(db.status.current.phase, "closed");
});

test("a database that another page destroyed: the status says so, and closing goes on", async () => {
  const { db, page } = await start();
  page.status({ phase: "closed", code: "CLOSED", message: "the database was destroyed by another page" });
  await settle();
  assert.deepEqual(db.status.current.error, { code: "CLOSED", message: "the database was destroyed by another page" });
  const get = db.collection("notes").get("a");
  page.fail(await page.next("GET"), "CLOSED", "destroyed");
  await rejects(get, "CLOSED", "destroyed");
  const closing = db.close();
  page.ok(await page.next("CLOSE"));
  await closing;
});

test("destroy: a port of its own, force, and what is refused", async () => {
  const browser = new Browser().install();
  const gone = destroy("notes", { force: true });
  const worker = await browser.worker("notes");
  const page = await worker.page();
  const said = await page.next("DESTROY");
  assert.deepEqual(said.fields, [frame.PROTOCOL, "notes", true]);
  page.ok(said);
  await gone;
  await settle();
  assert.ok(!browser.locks.holds(page.greeting.tab));
  const refused = destroy("notes");
  const second = await worker.page(1);
  const unsent = await second.next("DESTROY");
  assert.deepEqual(unsent.fields, [frame.PROTOCOL, "notes", false]);
  second.fail(unsent, "UNSENT", "3 batches");
  await rejects(refused, "UNSENT", "3 batches");
});

test("a page that is hidden or frozen, that goes on, or finds a network, says so at once", async () => {
  const browser = new Browser().install();
  const { db, page } = await browser.open();
  const happens = async (type, event = {}) => {
    browser.listeners.get(type)({ type, ...event });
    const { kind, n, fields } = await page.next();
    assert.deepEqual([n, fields], [0, []]);
    return kind;
  };
  globalThis.document.visibilityState = "hidden";
  assert.equal(await happens("visibilitychange"), "HIDDEN");
  assert.equal(await happens("pagehide"), "HIDDEN");
  assert.equal(await happens("freeze"), "HIDDEN");
  assert.equal(await happens("resume"), "WAKE");
  browser.listeners.get("pageshow")({ type: "pageshow", persisted: false }); // the first time it is shown
  assert.equal(await happens("pageshow", { persisted: true }), "WAKE");
  assert.equal(await happens("online"), "WAKE");
  globalThis.document.visibilityState = "visible";
  assert.equal(await happens("visibilitychange"), "WAKE");
  const closing = db.close();
  page.ok(await page.next("CLOSE"));
  await closing;
  assert.deepEqual([...browser.listeners.keys()], []);
});

test("pause and resume are said", async () => {
  const { db, page } = await start();
  db.pause();
  db.resume();
  page.ok(await page.next("PAUSE"));
  page.ok(await page.next("RESUME"));
  await settle();
});

test("tokens: as text, from a function, and why there is none", async () => {
  const ask = async (token, n) => {
    const { page, hello } = await new Browser().install().open("notes", { token });
    assert.equal(hello.fields[1].token, true);
    page.send([frame.ASK, n]);
    const said = await page.next("TOKEN");
    assert.equal(said.n, n);
    return said.fields;
  };
  assert.deepEqual(await ask("secret", 1), ["secret", ""]);
  assert.deepEqual(await ask(() => "fresh", 2), ["fresh", ""]);
  assert.deepEqual(await ask(async () => "later", 3), ["later", ""]);
  assert.deepEqual(await ask(async () => { throw new Error("signed out"); }, 4), [null, "signed out"]);
  assert.deepEqual(await ask(() => { throw "thrown"; }, 5), [null, "thrown"]);
  const [none, why] = await ask(() => undefined, 6);
  assert.equal(none, null);
  assert.match(why, /undefined/);
});

test("a token is given while the hello is not answered yet", async () => {
  const browser = new Browser().install();
  const opening = open("notes", { feed: "ws://x", token: "secret" });
  // Without storage nobody owns the plain name, and what is no JWT has no subject: this is the hash of none.
  const place = "notes~e3b0c44298fc1c149afbf4c8996fb924";
  const page = await (await browser.worker(place)).page();
  const hello = await page.next("HELLO");
  assert.equal(hello.fields[1].place, place);
  page.send([frame.ASK, 1]);
  assert.deepEqual((await page.next("TOKEN")).fields, ["secret", ""]);
  page.status({ phase: "connecting", device, problems: [] });
  page.ok(hello, device);
  assert.equal((await opening).status.current.phase, "connecting");
});

test("rows of a packet after the end of the port are not read", async () => {
  const { db, page } = await start();
  const get = rejects(db.collection("notes").get("a"), "PROTOCOL");
  const said = await page.next("GET");
  page.send([frame.FAIL, 0, "PROTOCOL", "over"], [frame.OK, said.n, bin(1)], [frame.ITEMS, 5, ...rows(["a", 1])]);
  await get;
});
