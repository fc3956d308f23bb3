// The SDK with the engine that it is made for, in a browser: each export is a test, run in a page of its own.
import * as vsync from "/vsync.js";

const { open, destroy } = vsync;

function check(ok, what) {
  if (!ok) throw new Error(what);
}

function equal(got, want, what = "") {
  const text = (v) => JSON.stringify(v, (_, x) => (typeof x === "bigint" ? `${x}n` : x === undefined ? "undefined" : Object.is(x, -0) ? "-0" : x));
  if (text(got) !== text(want)) throw new Error(`${what}\n got ${text(got).slice(0, 500)}\nwant ${text(want).slice(0, 500)}`);
}

async function rejects(promise, code, ...words) {
  try {
    await promise;
  } catch (err) {
    check(err?.name === "VsyncError" && err.code === code, `want ${code}, got ${err.code}: ${err.stack}`);
    for (const word of words) check(err.message.includes(word), `${JSON.stringify(err.message)} does not say ${word}`);
    return err;
  }
  throw new Error(`want ${code}, and it went well`);
}

/** Another page of this origin, with an SDK of its own. */
async function tab() {
  const frame = document.createElement("iframe");
  frame.src = "/tab.html";
  document.body.append(frame);
  await new Promise((resolve) => (frame.onload = resolve));
  return { vsync: await frame.contentWindow.vsync, gone: () => frame.remove() };
}

/** Calls fn again with each new status or result until it is content. */
const until = (subscribe, holds) =>
  new Promise((resolve, reject) => {
    const stop = subscribe((now) => {
      if (!holds(now)) return;
      queueMicrotask(() => stop());
      resolve(now);
    }, reject);
  });

function random(seed) {
  let state = seed;
  return (n) => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % n;
}

const byBytes = (a, b) => {
  const [x, y] = [a, b].map((s) => [...new TextEncoder().encode(s)]);
  const i = x.findIndex((byte, j) => byte !== y[j]);
  return i < 0 ? x.length - y.length : y[i] === undefined ? 1 : x[i] - y[i];
};

/** What a query should give, of a Map of ids and values. */
function expected(model, { prefix = "", from = "", to, limit = Infinity, reverse = false } = {}) {
  const ids = [...model.keys()].filter((id) => id.startsWith(prefix) && byBytes(id, from) >= 0 && (to === undefined || byBytes(id, to) < 0)).sort(byBytes);
  if (reverse) ids.reverse();
  return ids.slice(0, limit).map((id) => [id, model.get(id)]);
}

const pairs = (entries) => entries.map(({ id, value }) => [id, value]);

const queries = [
  {}, { prefix: "a" }, { prefix: "é" }, { prefix: "🌍" }, { from: "b" }, { to: "b" }, { from: "a1", to: "é" }, { reverse: true }, { limit: 5 }, { limit: 5, reverse: true },
  { prefix: "a", from: "a2", to: "a8", limit: 3 }, { prefix: "\ue000", reverse: true }, { from: "\ue000", to: "🌍z" }, { prefix: "nothing" }, { from: "z", to: "a" },
];

export async function values() {
  const list = [
    null, true, false, 0, -0, 1, -1, 127, 128, 255, 256, 65535, 65536, 2 ** 31, 2 ** 32, 2 ** 53 - 1, -(2 ** 53 - 1), 0.1, -1e300, 5e-324, Infinity, -Infinity,
    2n ** 53n, -(2n ** 63n), 2n ** 64n - 1n, "", "a", "東京 🌍 \0 \u2028", "x".repeat(100_000), "é".repeat(400_000),
    new Date(0), new Date(-1), new Date(8.64e15), new Date(-8.64e15), new Date(), new Uint8Array(), Uint8Array.of(0, 1, 255), new Uint8Array(1_000_000).fill(7),
    [], [[]], {}, { "": 1, "b c": [1, { d: null }] }, Array.from({ length: 1000 }, (_, i) => i), Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`k${i}`, i])),
    JSON.parse('{"__proto__": {"x": 1}, "constructor": null}'),
  ];
  let db = await open("values");
  await db.collection("values").putMany(list.map((value, i) => [`v${i}`, value]));
  const same = (a, b) => {
    if (a instanceof Date) return b instanceof Date && a.getTime() === b.getTime();
    if (a instanceof Uint8Array) return b instanceof Uint8Array && a.length === b.length && a.every((byte, i) => byte === b[i]);
    if (a === null || typeof a !== "object") return Object.is(a, b);
    return Object.keys(a).join() === Object.keys(b).join() && Array.isArray(a) === Array.isArray(b) && Object.keys(a).every((key) => same(a[key], b[key]));
  };
  for (let round = 0; round < 2; round++) {
    const values = db.collection("values");
    const many = await values.getMany(list.map((_, i) => `v${i}`));
    for (const [i, value] of list.entries()) {
      check(same(value, await values.get(`v${i}`)), `value ${i}, round ${round}, get`);
      check(same(value, many[i]), `value ${i}, round ${round}, getMany`);
      check(same(value, (await values.entry(`v${i}`)).value), `value ${i}, round ${round}, entry`);
    }
    equal(await values.get("v"), undefined);
    await db.close();
    db = await open("values");
  }
  await db.close();
}

export async function queriesAgainstAModel() {
  const below = random(1);
  const db = await open("queries");
  const things = db.collection("things");
  const model = new Map();
  const alphabet = ["a", "b", "é", "\ue000", "\uffff", "🌍", "\0", "z"];
  const someId = () => alphabet[below(alphabet.length)] + (below(3) ? below(12) : alphabet[below(alphabet.length)]);
  await db.collection("thing").put("a1", "of a neighbour");
  await db.collection("things2").put("a1", "of a neighbour");
  for (let round = 0; round < 20; round++) {
    await db.batch((tx) => {
      for (let i = below(20); i >= 0; i--) {
        const id = someId();
        if (below(4)) {
          model.set(id, round);
          tx.put(things, id, round);
        } else {
          model.delete(id);
          tx.delete(things, id);
        }
      }
    });
    for (const query of queries) {
      const want = expected(model, query);
      equal(pairs(await things.query(query)), want, `query ${JSON.stringify(query)}`);
      const scanned = [];
      for await (const entry of things.scan(query)) scanned.push(entry);
      equal(pairs(scanned), want, `scan ${JSON.stringify(query)}`);
      equal(await things.count(query), want.length, `count ${JSON.stringify(query)}`);
    }
  }
  await db.close();
}

export async function liveResultsOfTwoTabs() {
  const other = await tab();
  const dbs = [await open("live"), await other.vsync.open("live")];
  const below = random(2);
  const results = [];
  for (const [i, db] of dbs.entries()) {
    for (const query of queries) {
      const result = { i, query, calls: 0, entries: undefined };
      results.push(result);
      db.collection("things").subscribe(query, (entries, { marker }) => {
        const before = new Map((result.entries ?? []).map((entry) => [entry.id, entry]));
        for (const entry of entries) {
          const old = before.get(entry.id);
          check(!old || old === entry || old.version !== entry.version || old.conflict !== entry.conflict, "the same entry is the same object");
        }
        Object.assign(result, { entries, marker, calls: result.calls + 1 });
      }, (err) => (result.error = err));
    }
  }
  const model = new Map();
  const alphabet = ["a", "b", "é", "\ue000", "\uffff", "🌍", "z"];
  for (let round = 0; round < 60; round++) {
    const db = dbs[below(2)];
    const things = db.collection("things");
    const writes = new Map();
    for (let i = below(5); i >= 0; i--) writes.set(alphabet[below(alphabet.length)] + below(9), below(4) ? round : undefined);
    await db.batch((tx) => {
      for (const [id, value] of writes) value === undefined ? tx.delete(things, id) : tx.put(things, id, value);
    });
    for (const [id, value] of writes) value === undefined ? model.delete(id) : model.set(id, value);
  }
  await Promise.all(dbs.map((db) => db.collection("things").put("zz", "last")));
  model.set("zz", "last");
  const settled = (result) => {
    if (result.error) throw result.error;
    return result.entries && JSON.stringify(pairs(result.entries)) === JSON.stringify(expected(model, result.query));
  };
  const deadline = performance.now() + 20_000;
  while (!results.every(settled)) {
    if (performance.now() > deadline) {
      const wrong = results.find((result) => !settled(result));
      equal(pairs(wrong.entries ?? []), expected(model, wrong.query), `tab ${wrong.i}, query ${JSON.stringify(wrong.query)}, after ${wrong.calls} calls`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  check(results[0].calls > 10, "a result that changes is told as it does");
  await Promise.all(dbs.map((db) => db.close()));
}

export async function readModifyWriteOfTwoTabs() {
  const other = await tab();
  const dbs = [await open("counters"), await other.vsync.open("counters")];
  const add = (db) => db.collection("counters").update("n", (n) => (n ?? 0) + 1);
  await Promise.all(Array.from({ length: 40 }, (_, i) => add(dbs[i % 2])));
  equal(await dbs[0].collection("counters").get("n"), 40);

  // Money goes to and fro; the sum stays, whoever looks.
  await dbs[0].collection("accounts").putMany([["a", 100], ["b", 100], ["c", 100]]);
  const below = random(3);
  const transfer = (db, from, to, amount) =>
    db.batch(async (tx) => {
      const accounts = db.collection("accounts");
      const [x, y] = await Promise.all([tx.get(accounts, from), tx.get(accounts, to)]);
      if (x < amount) return tx.put(db.collection("refused"), `${from}${to}`, amount);
      tx.put(accounts, from, x - amount);
      equal(await tx.get(accounts, from), x - amount, "a batch sees what it writes");
      tx.put(accounts, to, y + amount);
    });
  const sums = [];
  const stop = dbs[1].collection("accounts").subscribe({}, (entries) => sums.push(entries.reduce((sum, { value }) => sum + value, 0)));
  await Promise.all(
    Array.from({ length: 30 }, () => {
      const from = below(3);
      return transfer(dbs[below(2)], "abc"[from], "abc"[(from + 1 + below(2)) % 3], below(80));
    }),
  );
  stop();
  const accounts = (await dbs[0].collection("accounts").query()).map(({ value }) => value);
  equal(accounts.reduce((a, b) => a + b), 300);
  check(sums.length > 0 && sums.every((sum) => sum === 300), `sums ${sums}`);
  await Promise.all(dbs.map((db) => db.close()));
}

export async function watchingAndGoingOn() {
  const db = await open("watch");
  const things = db.collection("things");
  await things.putMany([["a", 1], ["b", 2]]);
  await things.delete("b");
  const first = db.watch()[Symbol.asyncIterator]();
  const initial = (await first.next()).value;
  equal(initial.changes.map(({ collection, id, value, deleted }) => [collection, id, value, deleted]), [["things", "a", 1, false]]);
  check(initial.initial, "what is there comes first");
  await db.batch((tx) => {
    tx.put(things, "c", 3);
    tx.delete(things, "a");
    tx.put(db.collection("others"), "o", { p: 1 });
  }, { note: "together" });
  const event = (await first.next()).value;
  equal(event.changes.map(({ collection, id, value, deleted }) => `${collection}/${id} ${JSON.stringify(value)} ${deleted}`).sort(), ['others/o {"p":1} false', "things/a undefined true", "things/c 3 false"]);
  equal([event.initial, event.source, event.device, event.note], [false, "local", db.device, "together"]);
  check(Math.abs(event.time - Date.now()) < 60_000, "a time");
  equal(event.changes[0].version, (await db.collection("others").entry("o")).version);
  await first.return();

  for (let i = 0; i < 50; i++) await things.put(`k${i % 10}`, i);
  const seen = async (from, count, options = {}) => {
    const list = [];
    for await (const e of things.watch({ from, ...options })) {
      list.push(e);
      if (list.length === count) break;
    }
    return list;
  };
  const all = await seen(event.marker, 50);
  equal(all.map((e) => e.changes[0].value), Array.from({ length: 50 }, (_, i) => i));
  for (const at of [0, 17, 48]) {
    const rest = await seen(all[at].marker, 49 - at);
    equal(rest.map((e) => [e.marker, e.changes]), all.slice(at + 1).map((e) => [e.marker, e.changes]), `from event ${at}`);
  }
  const some = await seen(event.marker, 5, { prefix: "k3" });
  equal(some.map((e) => e.changes[0].value), [3, 13, 23, 33, 43]);
  await db.close();

  const again = await open("watch");
  for await (const e of again.watch({ from: all[40].marker })) {
    equal([e.changes[0].value, e.initial], [41, false], "a marker is good after closing");
    break;
  }
  const now = again.watch({ from: "now" })[Symbol.asyncIterator]();
  const step = now.next();
  await again.collection("things").put("new", "n");
  equal((await step).value.changes[0].value, "n");
  const waiting = rejects(now.next(), "CLOSED");
  await again.close();
  await waiting;
}

export async function historyAndConflicts() {
  const db = await open("history");
  const things = db.collection("things");
  const one = await things.put("a", 1);
  const two = await things.put("a", 2);
  await db.batch((tx) => tx.delete(things, "a"), { note: "not needed" });
  const four = await things.put("a", 4, { seen: two.version }); // written as if the deletion had not been seen
  const versions = [];
  for await (const version of things.history("a")) versions.push(version);
  equal(versions.map(({ value }) => value), [4, undefined, 2, 1].filter((v, i) => i !== 1 || v === undefined), "values, newest first");
  const deletion = versions.find(({ deleted }) => deleted);
  equal([deletion.note, deletion.value, deletion.device], ["not needed", undefined, db.device]);
  equal(versions.find(({ version }) => version === four.version).parents, [two.version]);
  equal(versions.find(({ version }) => version === two.version).parents, [one.version]);
  equal((await things.entry("a")).value, 4, "an update beats a deletion that it had not seen");

  const base = await things.put("b", "base");
  await things.put("b", "mine", { seen: base.version });
  await things.put("b", "yours", { seen: base.version });
  equal((await things.entry("b")).conflict, true);
  await things.update("b", (value) => `${value}, both seen`);
  equal((await things.entry("b")).conflict, false);
  const last = things.history("b", { limit: 1 });
  for await (const version of last) equal(version.parents.length, 2);
  await rejects(things.put("b", 1, { seen: `${"0".repeat(31)}1:5` }), "INVALID", "seen");
  await db.close();
}

export async function hostingAndLocks() {
  const db = await open("hosting");
  equal(db.status.current.hosting, "shared");
  await db.collection("c").put("a", 1);
  await rejects(open("hosting", { hosting: "tab" }), "LOCKED", "hosting");
  await rejects(open("hosting", { durability: "strict" }), "INVALID", "durability", "relaxed", "strict");
  await rejects(open("hosting", { feed: "ws://localhost:1" }), "INVALID", "feed", "none");
  const twice = await open("hosting");
  equal(await twice.collection("c").get("a"), 1);
  await twice.close();
  equal(await db.collection("c").get("a"), 1, "two openings of one page are closed one by one");
  await db.close();

  const own = await open("hosting", { hosting: "tab" });
  equal([own.status.current.hosting, await own.collection("c").get("a")], ["tab", 1]);
  const second = await open("hosting");
  equal(second.status.current.hosting, "tab", "a page's own worker is shared within the page");
  const other = await tab();
  await rejects(other.vsync.open("hosting"), "LOCKED");
  await own.close();
  equal(await second.collection("c").get("a"), 1);
  await second.close();
  const after = await other.vsync.open("hosting", { durability: "strict" });
  equal(await after.collection("c").get("a"), 1);
  await after.close();
}

export async function destroyed() {
  const other = await tab();
  const db = await open("destroyed");
  const theirs = await other.vsync.open("destroyed");
  await db.collection("c").put("a", 1);
  await rejects(destroy("destroyed"), "UNSENT", "force");
  equal(await db.collection("c").get("a"), 1);
  const errors = [];
  db.collection("c").subscribe({}, () => undefined, (err) => errors.push(err.code));
  const loop = rejects((async () => {
    for await (const event of theirs.watch()) void event;
  })(), "CLOSED");
  await destroy("destroyed", { force: true });
  await loop;
  await until((fn) => db.status.subscribe(fn), ({ phase }) => phase === "closed");
  equal(db.status.current.error.code, "CLOSED");
  await rejects(db.collection("c").get("a"), "CLOSED", "destroyed");
  await rejects(theirs.collection("c").put("a", 2), "CLOSED");
  equal(errors, ["CLOSED"]);
  const anew = await open("destroyed");
  equal(await anew.collection("c").query(), []);
  await Promise.all([db.close(), theirs.close(), anew.close()]);
  await destroy("destroyed");
  await destroy("never-there");
}

export async function muchAtOnce() {
  const db = await open("much");
  const things = db.collection("things");
  const doc = (i) => ({ i, text: `The thing number ${i}`, tags: ["a", "b"], at: new Date(i) });
  const ids = Array.from({ length: 20_000 }, (_, i) => `t${String(i).padStart(6, "0")}`);
  await things.putMany(ids.map((id, i) => [id, doc(i)]));
  equal(await things.count(), 20_000);
  const all = await things.query();
  equal(all.length, 20_000);
  check(all.every(({ id, value }, i) => id === ids[i] && value.i === i && value.at.getTime() === i), "all of them, in order");
  const many = await things.getMany(ids.toReversed());
  check(many.every((value, i) => value.i === 19_999 - i), "getMany keeps the order that it was given");

  // A slow loop holds the engine back, and nobody else.
  let n = 0;
  for await (const { value } of things.scan()) {
    equal(value.i, n++);
    if (n % 4000 === 0) await things.put("other", n);
    if (n === 15_000) break;
  }
  await db.batch((tx) => {
    for (let i = 0; i < 7; i++) tx.put(things, `large${i}`, new Uint8Array(1_048_571).fill(i));
  });
  check((await things.get("large6")).length === 1_048_571 && (await things.get("large6"))[5] === 6, "7 MiB in one batch");
  const large = await things.query({ prefix: "large" });
  check(large.length === 7 && large.every(({ value }, i) => value[9] === i), "7 MiB in one query");
  await rejects(things.putMany([["x", 1], ["y", 2], ["x", 3]]), "INVALID", "twice");
  equal(await things.get("y"), undefined, "nothing of a refused batch is written");
  await Promise.all(Array.from({ length: 2000 }, (_, i) => things.put(`p${i}`, i)));
  equal(await things.count({ prefix: "p" }), 2000);
  await db.close();
}

export async function pagesThatVanish() {
  const other = await tab();
  const theirs = await other.vsync.open("vanish");
  await theirs.collection("c").put("a", "stored");
  void theirs.collection("c").put("b", "perhaps");
  other.gone();
  const db = await open("vanish", { durability: "strict" });
  equal(await db.collection("c").get("a"), "stored");
  await db.collection("c").put("c", 1);
  await db.close();
}

export async function statusOfALocalDatabase() {
  const db = await open("status");
  const seen = [];
  const stop = db.status.subscribe((status) => seen.push(status));
  equal([db.status.current.phase, db.status.current.pending, db.status.current.storage.mode], ["local", 0, "indexeddb"]);
  check(/^[0-9a-f]{32}$/.test(db.device), db.device);
  await db.collection("c").put("a", 1);
  const pending = await until((fn) => db.status.subscribe(fn), (status) => status.pending === 1);
  check(Math.abs(pending.oldestPendingAt - Date.now()) < 60_000 && pending.oldestPendingMs >= 0, "since when");
  await until((fn) => db.status.subscribe(fn), ({ storage }) => storage.quota > 0 && storage.usage >= 0);
  await rejects(db.synced(), "LOCAL_ONLY");
  const receipt = await db.collection("c").put("a", 2);
  check(receipt.version.startsWith(`${db.device}:`), receipt.version);
  await rejects(receipt.synced(), "LOCAL_ONLY");
  db.pause();
  db.resume();
  stop();
  check(seen.length >= 2 && seen.every(Object.isFrozen), "statuses");
  await db.close();
}
