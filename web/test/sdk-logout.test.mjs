// A user leaves: what becomes of the pages that have that user's data open. And what was destroyed while a page was put aside.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Browser, bin, destroy, frame, logout, open, rejects, settle, version } from "./far.mjs";

const tokenOf = (sub) => `head.${btoa(JSON.stringify({ sub }))}.tail`;
const ada = tokenOf("ada"), ben = tokenOf("ben");

/** Everything that waits on a database; resolves with the codes when all of it has failed. */
function waits(db, code) {
  const notes = db.collection("notes");
  const subscribed = new Promise((over) => notes.subscribe({}, () => undefined, (err) => over(err.code)));
  const all = [notes.get("a"), notes.query(), db.synced(), notes.watch()[Symbol.asyncIterator]().next()].map((promise) => rejects(promise, code));
  return Promise.all([...all, subscribed.then((got) => assert.equal(got, code))]);
}

const until = async (ok) => { while (!ok()) await new Promise(setImmediate); };

const said = async (page, kind) => {
  for (;;) {
    const one = await page.next();
    if (one.kind === kind) return one;
  }
};

const closedBy = (db, code) => {
  const { phase, error } = db.status.current;
  assert.deepEqual([phase, error?.code], ["closed", code]);
};

for (const [hosting, has] of [["shared", {}], ["leader", { shared: false }], ["tab", {}]]) {
  test(`logout, ${hosting}: every page has the database closed, writes are done, and the next user has another one`, async () => {
    const browser = new Browser().install({ channels: true, storage: true, ...has });
    const pages = [await browser.open("notes", { token: ada, hosting }), await browser.open("notes", { token: async () => ada, hosting })];
    const other = await browser.open("other", { hosting: "tab" });
    const reported = [];
    globalThis.reportError = (err) => reported.push(err.code);
    for (const { db } of pages) db.collection("notes").subscribe({}, () => undefined); // nobody hears how it ends: the status says it
    const over = pages.map(({ db }) => waits(db, "LOGGED_OUT"));
    const written = pages.map(({ db }) => db.collection("notes").put("b", 1));
    await logout("notes");
    for (const { page } of pages) {
      page.ok(await said(page, "WRITE"), version(1));
      page.ok(await said(page, "CLOSE"));
    }
    await Promise.all([...over, ...written]);
    await settle();
    for (const { db, page } of pages) {
      closedBy(db, "LOGGED_OUT");
      await rejects(db.collection("notes").get("a"), "LOGGED_OUT", "logged out");
      await db.close();
      assert.ok(!browser.locks.holds(page.greeting.tab), "the engine learns that the page is gone");
    }
    delete globalThis.reportError;
    assert.deepEqual(reported, []);
    assert.equal(other.db.status.current.phase, "local");
    const refused = rejects(open("notes", { hosting }), "UNAUTHENTICATED");
    await browser.met(browser.greeted.length);
    await refused;
    const next = await browser.open("notes", { token: ben, hosting });
    assert.match(next.hello.fields[1].place, /^notes~[0-9a-f]{32}$/);
    const again = await browser.open("notes", { token: ada, hosting });
    assert.equal(again.hello.fields[1].place, undefined, "hers is where it was");
  });
}

test("what was there before any user is the first one's, and stays nobody's until one comes", async () => {
  const browser = new Browser().install({ channels: true, storage: true });
  let token;
  const nobody = await browser.open("notes", { feed: "ws://x", token: () => token ?? Promise.reject(new Error("not yet")) });
  await logout("notes");
  await settle();
  assert.equal(nobody.db.status.current.phase, "local", "nobody has left");
  token = ada;
  nobody.page.send([frame.ASK, 1]);
  assert.deepEqual((await nobody.page.next("TOKEN")).fields, [ada, ""]);
  token = ben;
  nobody.page.send([frame.ASK, 2]);
  assert.equal((await nobody.page.next("TOKEN")).fields[0], null);
  await settle();
  closedBy(nobody.db, "FORBIDDEN");
  const first = await browser.open("notes", { token: ada });
  assert.equal(first.hello.fields[1].place, undefined);
  const second = await browser.open("notes", { token: ben });
  assert.notEqual(second.hello.fields[1].place, undefined);
});

test("logout: an engine that does not answer is not waited for", async (t) => {
  const browser = new Browser().install({ channels: true, storage: true });
  const { db, page } = await browser.open("notes", { token: ada });
  const put = rejects(db.collection("notes").put("b", 1), "LOGGED_OUT");
  const read = rejects(db.collection("notes").get("b"), "LOGGED_OUT");
  await said(page, "WRITE");
  t.mock.timers.enable({ apis: ["setTimeout"] });
  await logout("notes");
  await read;
  assert.equal(db.status.current.phase, "local", "what was to be written is waited for");
  t.mock.timers.tick(3000);
  await put;
  closedBy(db, "LOGGED_OUT");
  await db.close();
});

test("logout: where the engine's own page goes first, the others write what they were asked to by another one", async () => {
  const browser = new Browser().install({ shared: false, channels: true, storage: true });
  let resign;
  void browser.locks.request("vsync:leader:notes", () => new Promise((resolve) => (resign = resolve)));
  const far = browser.elsewhere();
  const { db, page } = await browser.open("notes", { token: ada });
  const put = db.collection("notes").put("b", 1);
  await said(page, "WRITE");
  await logout("notes");
  await settle();
  far.end();
  resign();
  const next = await browser.met(1);
  next.page.ok(await said(next.page, "WRITE"), version(1));
  next.page.answer("CLOSE", (close) => next.page.ok(close));
  await put;
  await db.close();
  closedBy(db, "LOGGED_OUT");
});

test("logout while a page opens", async () => {
  const browser = new Browser().install({ channels: true, storage: true });
  await browser.open("notes", { token: ada });
  let give;
  const late = rejects(open("notes", { token: () => new Promise((resolve) => (give = resolve)) }), "LOGGED_OUT");
  await until(() => give);
  await settle();
  await logout("notes");
  give(ada);
  await late;
  await rejects(open("notes", { token: () => Promise.reject(new Error("signed out")) }), "UNAUTHENTICATED", "signed out");
  browser.onGreeting = (page, lock) => {
    page.raw({ engine: lock });
    page.answer("HELLO", () => void logout("notes"));
  };
  await rejects(open("notes", { token: ben }), "LOGGED_OUT");
});

for (const [what, code, end] of [["logged out", "LOGGED_OUT", () => logout("notes")], ["destroyed", "CLOSED", () => destroy("notes", { force: true })]]) {
  test(`a page in the back/forward cache whose database was ${what}: all settles when it is shown again, and no engine is asked`, async () => {
    const browser = new Browser().install({ channels: true, storage: true });
    const token = { token: ada };
    const { db, page } = await browser.open("notes", token);
    const over = waits(db, code);
    const put = rejects(db.collection("notes").put("b", 1), code);
    await said(page, "WRITE");
    const { listeners } = browser;
    listeners.get("pagehide")({ type: "pagehide", persisted: true });
    const shown = listeners.get("pageshow");
    await settle();
    browser.onGreeting = (far, lock) => {
      far.raw({ engine: lock });
      far.answer("DESTROY", (destroying) => far.ok(destroying));
    };
    await end();
    await settle();
    assert.equal(db.status.current.phase, "connecting", "it hears of nothing there");
    const greeted = browser.greeted.length;
    shown({ type: "pageshow", persisted: true });
    await Promise.all([over, put]);
    closedBy(db, code);
    assert.equal(browser.greeted.length, greeted, "no engine was asked");
    await db.close();
    const again = await browser.open("notes", token);
    const get = again.db.collection("notes").get("a");
    again.page.ok(await again.page.next("GET"), bin(1));
    assert.equal(await get, 1);
    shown({ type: "pageshow", persisted: true });
    await settle();
    assert.equal(again.db.status.current.phase, "local");
  });
}

test("a page that was frozen, and whose engine was not: it finds that its user has left", async () => {
  const browser = new Browser().install({ storage: true }); // no channel: what is said to a frozen page may be lost
  const { db, page } = await browser.open("notes", { token: ada });
  page.answer("CLOSE", (close) => page.ok(close));
  browser.listeners.get("freeze")({ type: "freeze" });
  await logout("notes");
  await settle();
  assert.equal(db.status.current.phase, "local");
  const over = waits(db, "LOGGED_OUT");
  browser.listeners.get("resume")({ type: "resume" });
  await over;
  await db.close();
  closedBy(db, "LOGGED_OUT");
});

test("a page that is put aside and shown again while it looks whether its user is still there goes on", async () => {
  const browser = new Browser().install({ channels: true, storage: true });
  const { db, worker } = await browser.open("notes", { token: ada });
  const get = db.collection("notes").get("a");
  worker.letGo();
  await until(() => db.status.current.phase === "connecting");
  for (const type of ["pagehide", "pageshow"]) browser.listeners.get(type)({ type, persisted: true });
  const { page } = await browser.met(1);
  page.ok(await said(page, "GET"), bin(1));
  assert.equal(await get, 1);
});

test("who opens a database while that of another user is destroyed is still the last one who has", async () => {
  const browser = new Browser().install({ channels: true, storage: true });
  await browser.open("notes", { token: ada });
  const destroying = destroy("notes", { force: true });
  await until(() => browser.greeted.length > 1);
  const { page } = browser.greeted[1];
  const asked = await page.next("DESTROY");
  const { db, hello } = await browser.open("notes", { token: ben });
  page.ok(asked);
  await destroying;
  await settle();
  assert.equal(db.status.current.phase, "local");
  const later = await browser.open("notes", { token: () => Promise.reject(new Error("no network")) });
  assert.equal(later.hello.fields[1].place, hello.fields[1].place);
});

test("where browsers refuse channels to a page, it opens what it may, and a logout is found when it goes on", async () => {
  const browser = new Browser().install({ storage: true });
  globalThis.BroadcastChannel = class {
    constructor() {
      throw new DOMException("The operation is insecure.", "SecurityError");
    }
  };
  const { db, page } = await browser.open("notes", { token: ada });
  page.answer("CLOSE", (close) => page.ok(close));
  await logout("notes");
  browser.listeners.get("resume")({ type: "resume" });
  await until(() => db.status.current.phase === "closed");
  closedBy(db, "LOGGED_OUT");
});

test("logout: an engine that ends before a page hears of it takes nothing with it that was to be written", async () => {
  const browser = new Browser().install({ channels: true, storage: true });
  const { db, page, worker } = await browser.open("notes", { token: ada });
  const put = db.collection("notes").put("b", 1);
  await said(page, "WRITE");
  await logout("notes");
  worker.letGo();
  const next = await browser.met(1);
  next.page.ok(await said(next.page, "WRITE"), version(1));
  next.page.answer("CLOSE", (close) => next.page.ok(close));
  await put;
  await db.close();
  closedBy(db, "LOGGED_OUT");
});
