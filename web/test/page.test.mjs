import assert from "node:assert/strict";
import { test } from "node:test";
import { count, describe, duration, hubURL } from "../static/page.js";

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
