import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { readBatch } from "../static/board/activity.js";
import {
  ACTIONS, ago, boardName, deviceColour, deviceName, deviceOf, explain, hubURL, initials, lasting, many, quote, sayBatch, sayChange, sayHosting, sayStatus,
  sayStorage, short, size, toBoardName,
} from "../static/board/words.js";
import { count, describe, duration } from "../static/hub.js";

test("a running hub is shown with its databases", () => {
  const view = describe({
    status: 200,
    health: { status: "ok", version: "dev", uptime: 125, connections: 3, databases: [{ name: "notes", devices: 2, connections: 1, head: 171075 }] },
  });
  assert.equal(view.state, "good");
  assert.equal(view.word, "running");
  assert.deepEqual(view.facts, [["Version", "dev"], ["Running for", "2 min 5 s"], ["Connections", "3"]]);
  assert.deepEqual(view.databases, [["notes", "2", "1", "171,075"]]);
});

test("a hub that says little is shown without inventing anything", () => {
  const view = describe({ status: 200, health: { status: "ok", databases: [{ name: "a" }] } });
  assert.deepEqual(view.facts, []);
  assert.deepEqual(view.databases, [["a", "–", "–", "–"]]);
});

test("trouble is told apart: silent hub, page without a hub, hub in trouble", () => {
  assert.equal(describe({ status: 0 }).word, "not reachable");
  assert.equal(describe({ status: 404 }).word, "no hub here");
  assert.equal(describe({ status: 200, health: [] }).word, "no hub here");
  const full = describe({ status: 503, health: { status: "degraded", message: "the disk is full" } });
  assert.deepEqual([full.state, full.word, full.detail], ["bad", "degraded", "the disk is full"]);
});

test("durations and counts", () => {
  assert.deepEqual([0, 59, 60, 3725, 86400, 1e6].map(duration), ["0 s", "59 s", "1 min", "1 h 2 min", "1 d", "11 d 13 h"]);
  assert.deepEqual([0, 1000, undefined, "7"].map(count), ["0", "1,000", "–", "–"]);
});

test("the hub's address follows the page's", () => {
  assert.equal(hubURL(new URL("https://hub.example/")), "wss://hub.example");
  assert.equal(hubURL(new URL("http://localhost:8080/")), "ws://localhost:8080");
});

// --- what the board says ----------------------------------------------------------------------------------------------

const status = (of) => ({ phase: "live", paused: false, pending: 0, oldestPendingMs: 0, problems: [], ...of });
const said = (of, now = 0, online = true) => sayStatus(of && status(of), { now, online });

test("each state of the sync has its words", () => {
  for (const [of, tone, word, detail] of [
    [undefined, "busy", "Opening", /opened/],
    [{}, "good", "Live", /stored at the hub/],
    [{ pending: 1 }, "busy", "Sending", /^1 change on the way/],
    [{ phase: "catching-up", progress: { received: 1200, expected: 5000 } }, "busy", "Catching up", /^1,200 of 5,000/],
    [{ phase: "catching-up", progress: { received: 7, expected: 5 } }, "busy", "Catching up", /^5 of 5/],
    [{ phase: "catching-up" }, "busy", "Catching up", /others changed/],
    [{ phase: "connecting" }, "busy", "Connecting", /Looking for the hub/],
    [{ phase: "waiting", nextAttemptAt: 4500, pending: 3 }, "away", "No connection", /3 changes are kept here.* Next try in 5 s/],
    [{ phase: "waiting", nextAttemptAt: -1 }, "away", "No connection", /Trying now/],
    [{ phase: "waiting", paused: true, pending: 1 }, "away", "Offline", /switched it off.*1 change is kept here/],
    [{ phase: "local" }, "away", "This device only", /no hub/],
    [{ phase: "refused", error: { code: "OTHER_HUB", message: "x" }, pending: 2 }, "bad", "Refused", /another hub.*2 changes are kept/],
    [{ phase: "refused", paused: true, error: { code: "FORBIDDEN", message: "x" } }, "bad", "Refused", /does not let you/],
    [{ phase: "quarantined", error: { code: "PROTOCOL", message: "x" } }, "bad", "Held back", /same version/],
    [{ phase: "closed", error: { code: "ENGINE_LOST", message: "x" } }, "bad", "Stopped", /open it again/],
  ]) {
    const view = said(of);
    assert.deepEqual([view.tone, view.word], [tone, word]);
    assert.match(view.detail, detail);
  }
  assert.match(said({ phase: "waiting" }, 0, false).detail, /no network/);
});

test("each error code of the SDK has its words, and an action that has a button", () => {
  const codes = [...readFileSync(new URL("../vsync.d.ts", import.meta.url), "utf8").split("export type ErrorCode")[1].split(";\n")[0].matchAll(/\| '([A-Z_]+)'/g)];
  assert.ok(codes.length >= 20);
  for (const [, code] of codes) {
    const { title, detail, action, technical } = explain({ code, message: "the message" });
    assert.notEqual(title, "Something went wrong", code);
    assert.ok(detail.length > 10, code);
    assert.ok(action === "none" || ACTIONS[action], `${code}: ${action}`);
    assert.equal(technical, `${code}: the message`);
  }
  assert.deepEqual(explain(new TypeError("no such thing")), { title: "Something went wrong", detail: "No such thing", action: "none", technical: "no such thing" });
  assert.equal(explain("text").technical, "text");
});

test("times, sizes and numbers", () => {
  const now = 1_800_000_000_000, minute = 60_000;
  assert.deepEqual([-5000, 44_000, 50_000, 30 * minute, 5 * 60 * minute, 30 * 60 * minute, 3 * 1440 * minute].map((age) => ago(now - age, now)),
    ["now", "now", "1 min ago", "30 min ago", "5 h ago", "yesterday", "3 days ago"]);
  assert.match(ago(now - 30 * 1440 * minute, now), /^\d+ \w+ \d{4}$/);
  assert.deepEqual([-1, 320, 1234, 12_000, 3 * minute, 90 * minute, 4 * 1440 * minute].map(lasting), ["0 ms", "320 ms", "1.2 s", "12 s", "3 min", "2 h", "4 days"]);
  assert.deepEqual([0, 999, 1500, 4.2e6, 999_960, 6e10].map(size), ["0 B", "999 B", "1.5 kB", "4.2 MB", "1.0 MB", "60 GB"]);
  assert.deepEqual([many(1, "card"), many(5000, "card")], ["1 card", "5,000 cards"]);
});

test("devices have names and colours made from their ids", () => {
  const devices = Array.from({ length: 200 }, (_, i) => i.toString(16).padStart(32, "0"));
  const names = new Set(devices.map(deviceName));
  assert.ok(names.size > 150, `${names.size} names for 200 devices`);
  for (const name of names) assert.match(name, /^[A-Z][a-z]+ [A-Z][a-z]+$/);
  assert.equal(deviceName(devices[3]), deviceName(devices[3]));
  assert.equal(new Set(devices.map(deviceColour)).size, 12);
  assert.deepEqual(["Quiet Heron", "anna", "", "😀 x"].map(initials), ["QH", "A", "?", "😀X"]);
  assert.equal(deviceOf(`${devices[1]}:17`), devices[1]);
});

test("a board's name, from an address and from what somebody typed", () => {
  assert.deepEqual(boardName(""), { name: "board" });
  assert.deepEqual(boardName("?db=my.plans-2"), { name: "my.plans-2" });
  for (const bad of ["My plans", "..", "a/b", "x".repeat(65)]) assert.deepEqual(boardName(`?db=${encodeURIComponent(bad)}`), { name: "board", wrong: bad });
  assert.deepEqual(["My Plans!", "Übung 2", "..", "   ", "日本", "a".repeat(99)].map(toBoardName), ["my-plans", "ubung-2", "", "", "", "a".repeat(64)]);
});

test("where engine and data are", () => {
  assert.match(sayHosting("shared"), /all tabs/);
  assert.equal(sayHosting("new"), "Not known");
  assert.match(sayStorage({ mode: "memory", usage: 0, quota: 0, persisted: false }), /gone when the tab closes/);
  assert.equal(sayStorage({ mode: "indexeddb", usage: 4.2e6, quota: 6e10, persisted: true }), "4.2 MB of 60 GB, kept for good");
  assert.match(sayStorage({ mode: "indexeddb", usage: 0, quota: 0, persisted: false }), /^On this device, the browser may clear it/);
});

/** Without the marks that keep a title apart from the sentence around it. */
const bare = (text) => text.replace(/[\u2068\u2069]/g, "");

test("a title in a sentence does not turn the sentence around", () => {
  assert.equal(quote("חלב"), "“\u2068חלב\u2069”");
  assert.equal(quote(" ", "no title"), "“\u2068no title\u2069”");
});

test("what a version did", () => {
  const title = (id) => ({ L: "To do", M: "Done" })[id];
  const was = { title: "a", note: "", label: "", list: "L", pos: "1" };
  for (const [now, words] of [
    [{ ...was, title: "b" }, "changed the title"], [{ ...was, note: "n" }, "added a note"], [{ ...was, pos: "2" }, "moved it"], [was, "wrote it again"],
    [{ ...was, list: "M", pos: "2" }, "moved it to “Done”"], [{ ...was, title: "b", note: "n", label: "red" }, "changed the title, added a note and marked it red"],
    [undefined, "deleted it"],
  ]) assert.equal(bare(sayChange("cards", was, now, title)), words);
  assert.equal(sayChange("cards", undefined, was, title), "made this card");
  assert.equal(sayChange("lists", { title: "a", pos: "1" }, { title: "b", pos: "2" }, title), "changed the title and moved it");
});

test("what a batch did, with what was there before", () => {
  const known = new Map([["cards/a", { version: "d:1", value: { title: "Milk", list: "L" } }], ["cards/b", { version: "d:1", value: { title: "Bread", list: "L" } }]]);
  const event = (...changes) => ({ changes: changes.map((change) => ({ collection: "cards", deleted: change.value === undefined, version: "e:1", ...change })) });
  const line = (of) => {
    const told = readBatch(of, known, (id) => ({ L: "To do", M: "Done" })[id]);
    return [bare(sayBatch(told.cards, told.lists, of.note)), told];
  };
  assert.equal(line(event({ id: "a", value: { title: "Milk", list: "M" } }))[0], "moved “Milk” to “Done”");
  assert.equal(line(event({ id: "a", value: { title: "Oat milk", list: "M" }, version: "e:2" }))[0], "renamed “Milk” to “Oat milk”");
  assert.equal(line(event({ id: "a", value: { title: "Oat milk", list: "M" }, version: "e:2" }))[0], "changed “Oat milk”"); // what was before is not known
  assert.equal(line(event({ id: "a", value: { title: "Rye" }, version: "e:3", conflict: true }))[0], "changed “Rye” at the same time: both versions are kept");
  assert.equal(line(event({ id: "a", value: { title: "Rye", note: "n" }, version: "e:4", conflict: true }))[0], "changed “Rye”");
  assert.equal(line(event({ id: "c", value: { title: "" } }))[0], "added “untitled”");
  assert.equal(line({ ...event({ collection: "lists", id: "N", value: { title: "New" } }, { id: "d", value: {} }, { id: "e", value: {} }), note: "sample" })[0],
    "added the list “New”, added 2 cards (sample)");
  const [text, told] = line(event({ id: "b" }));
  assert.equal(text, "deleted “Bread”");
  assert.deepEqual(told.gone, [{ kind: "cards", id: "b", value: { title: "Bread", list: "L" } }]);
  assert.equal(line(event({ collection: "devices", id: "x", value: { name: "n" } }))[0], "changed nothing that shows here");
});

test("texts are cut between characters as people see them", () => {
  assert.equal(short("a  b\n c"), "a b c");
  assert.equal(short("abcdefghij", 5), "abcd…");
  assert.equal(short("👩‍👩‍👧‍👦".repeat(8), 4), `${"👩‍👩‍👧‍👦".repeat(3)}…`);
});
