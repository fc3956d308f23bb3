import assert from "node:assert/strict";
import { test } from "node:test";
import { Browser, bin, frame, rejects, rows, settle, version } from "./far.mjs";

test("opening: the first messages, the lock, the hello", async () => {
  const browser = new Browser().install();
  const { db, page, worker, hello } = await browser.open("notes", { feed: "https://hub.example.org/x/", durability: "strict" });
  assert.match(worker.url, /vsync-worker\.js$/);
  assert.deepEqual(worker.options, { type: "classic", name: "vsync:notes", extendedLifetime: true });
  assert.equal(page.greeting.vsync, 1);
  assert.match(page.greeting.wasm, /^file:.*vsync\.wasm$/);
  assert.ok(browser.locks.holds(page.greeting.tab), "the page holds its lock before it is named");
  assert.equal(hello.n, 1);
  assert.deepEqual(hello.fields, [1, { name: "notes", feed: "wss://hub.example.org/x", durability: "strict", token: false, agent: "test" }]);
  assert.equal(db.name, "notes");
  assert.equal(db.device, "d".repeat(32));
  assert.equal(db.status.current.phase, "local");
});

test("put, get, entry: frames and what becomes of their answers", async () => {
  const { db, page } = await new Browser().install().open();
  const notes = db.collection("notes");
  const put = notes.put("a", { text: "milk", n: 1 });
  const write = await page.next("WRITE");
  assert.deepEqual(write.fields, [["notes"], [[0, "a", { text: "milk", n: 1 }, null]], [], ""]);
  page.ok(write, version(7));
  assert.equal((await put).version, version(7));

  const got = Promise.all([notes.get("a"), notes.get("b")]);
  const [a, b] = [await page.next("GET"), await page.next("GET")];
  assert.deepEqual([a.fields, b.fields], [["notes", "a"], ["notes", "b"]]);
  page.send([frame.OK, b.n, null], [frame.OK, a.n, bin({ text: "milk" })]);
  assert.deepEqual(await got, [{ text: "milk" }, undefined]);

  const entry = notes.entry("a");
  page.ok(await page.next("ENTRY"), ...rows(["a", [1], 7, true]), [version(7)]);
  assert.deepEqual(await entry, { id: "a", value: [1], version: version(7), time: 1007, device: "d".repeat(32), conflict: true });
});
