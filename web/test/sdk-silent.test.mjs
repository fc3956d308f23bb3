// Engines that say nothing. These tests let time pass, for every page there is: so they stand in a process of their own, without the
// pages that other tests have left.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Browser, open, rejects, settle, version } from "./far.mjs";

/** Lets so many seconds pass for a page, in steps, so that what is on the way between two timers arrives. */
async function pass(t, seconds) {
  for (; seconds > 0; seconds -= 5) {
    t.mock.timers.tick(Math.min(seconds, 5) * 1000);
    await settle();
  }
}

test("an engine that says nothing, though it is asked, is given up; the next one is asked", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const browser = new Browser().install();
  const { db, page, worker } = await browser.open();
  const notes = db.collection("notes");
  await pass(t, 600);
  assert.deepEqual(page.said, [], "nothing is asked, and nothing said");
  const put = notes.put("a", 1);
  await pass(t, 30);
  assert.deepEqual(page.said.map(({ kind }) => kind), ["WRITE", ...Array(6).fill("PING")]);
  page.answer("PING", (said) => page.ok(said)); // it works long, and lives
  page.ok(page.said.at(-1));
  await settle();
  await pass(t, 300);
  page.answers.delete("PING");
  document.visibilityState = "hidden"; // there browsers put timers off
  await pass(t, 300);
  assert.equal(page.hangs, 0);
  document.visibilityState = "visible";
  await pass(t, 30);
  assert.equal(db.status.current.phase, "local");
  await pass(t, 5);
  assert.equal(page.hangs, 1);
  const { phase, error, waiting } = db.status.current;
  assert.deepEqual([phase, error.code, waiting.for, waiting.stalled], ["connecting", "ENGINE_LOST", "engine", false]);
  assert.match(error.message, /no sign of life for 30 s/);
  assert.ok(Math.abs(waiting.since - Date.now()) < 60_000);
  browser.shared.clear();
  await pass(t, 5);
  assert.deepEqual(db.status.current.waiting, { for: "engine", since: waiting.since, stalled: true });
  while (!browser.greeted[1]) await pass(t, 5);
  const next = await browser.met(1, { waiting: ["", 0, false] });
  while (db.status.current.waiting) await settle(); // what the engine says of it comes by another way
  next.page.ok(await next.page.next("WRITE"), version(1));
  assert.equal((await put).version, version(1));
  const synced = rejects(db.synced(), "CLOSED"); // perhaps for long: that is asked for rarely
  await pass(t, 35);
  next.page.said.splice(0);
  await pass(t, 60);
  assert.deepEqual(next.page.said.map(({ kind }) => kind), ["PING", "PING"]);
  next.page.answer("CLOSE", (said) => next.page.ok(said));
  await db.close();
  await synced;
  assert.equal(worker.terminated, false, "no page can end a shared worker");
});

test("a worker that never says a word is given up after two minutes", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const browser = new Browser().install();
  browser.onGreeting = () => undefined;
  const opening = rejects(open("notes"), "ENGINE_LOST", "said nothing for 120 s");
  await settle();
  await pass(t, 125);
  await opening;
});
