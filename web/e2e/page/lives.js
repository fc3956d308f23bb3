// Writes that go on whatever becomes of engines: each object is written once, and so has one version in the end.

import { collect } from './seeing.js';
import { generator } from './storm.js';
import { noise, toil } from './toil.js';

const { e2e } = globalThis;

/** The workers that this page has started: a test ends them, as a browser does that needs the memory. */
e2e.workers = [];
globalThis.Worker = class extends Worker {
  constructor(...args) {
    super(...args);
    e2e.workers.push(this);
  }
};

let running;

/** Opens the database for a life. Who had it alone may be about to let go of it. */
export async function openLife(options) {
  for (;;) {
    try {
      return await e2e.open(options);
    } catch (err) {
      if (err.code !== 'LOCKED') throw err;
    }
  }
}

/**
 * Writes without a break, or with one of so many ms, some at a time, until stopLife; and watches, and subscribes. Of a seed it writes all kinds of
 * things, see toil.js; else objects that nobody else writes.
 */
export async function startLife(who, rest = 0, seed = 0) {
  const { db } = e2e;
  const things = db.collection('things');
  const life = (running = {
    going: true, who, asked: 0, settled: 0, failed: [], seen: new Map(), twice: [], subscribed: 0, wake: () => {}, hostings: [], over: new AbortController(), stops: [],
    confirmed: [], summed: [], fought: [], refused: [], bytes: 0, // what was written
    ends: undefined, scarce: false, // see expectEnd and scarce
    late: [], // see landLate
    ruled: false, random: generator(seed),
  });
  const stop = db.status.subscribe(({ hosting }) => life.hostings.at(-1) !== hosting && life.hostings.push(hosting));
  life.stops.push(stop);
  const failed = (what, err) => {
    if (life.ends && err.code === life.ends) life.going = false;
    else if (life.scarce && err.code === 'QUOTA') life.refused.push(what);
    else life.failed.push(`${what}: ${err.code} ${err.message}`);
    life.wake();
  };
  const one = async () => {
    while (life.going) {
      const id = `${who} ${String(++life.asked).padStart(6, '0')}`;
      await (seed ? toil(life, id) : plainly(life, things, id)).catch((err) => failed(id, err));
      life.settled++;
      life.wake();
      if (rest > 0) await new Promise((next) => setTimeout(next, rest * Math.random() * 2));
    }
  };
  life.writing = Promise.all([one(), one(), one()]);
  life.watching = (async () => {
    for await (const event of things.watch({ from: 'now', signal: life.over.signal })) {
      for (const { id } of event.changes) {
        if (life.seen.has(id)) life.twice.push(id);
        life.seen.set(id, event.marker);
      }
      life.wake();
    }
  })().catch((err) => life.over.signal.aborted || failed('watching', err));
  life.subscribing = new Promise((over) => {
    life.stops.push(over);
    const unsubscribe = things.subscribe({ prefix: who }, (entries) => {
      life.subscribed = entries.length;
      life.wake();
    }, (err) => over(failed('subscribing', err)));
    life.stops.push(unsubscribe);
  });
  if (seed) db.synced({ signal: life.over.signal }).then(() => (life.ruled = true), () => {}); // else the database, or this life, has ended
  // From now on the watcher sees all that is written.
  await things.put(`${who} first`, 1);
  await until(life, () => life.seen.has(`${who} first`));
}

/** Some depend on what is there, some are large, most are neither. */
async function plainly(life, things, id) {
  const way = life.asked % 7;
  if (way === 3) await things.update(id, (old) => (old === undefined ? { id } : { twice: id }));
  else if (way === 5) await e2e.db.batch((tx) => tx.put(things, id, { id, pad: noise(3000) }));
  else await things.put(id, { id });
  life.confirmed.push(id);
}

async function until(life, ok) {
  while (!ok() && life.failed.length === 0) await new Promise((wake) => (life.wake = wake));
}

/**
 * Writes what is stored and whose engine does not learn of it: see late_test.go. Resolves when that is so; what becomes of the writes is for
 * stopLife.
 */
export async function landLate() {
  const life = running;
  const things = e2e.db.collection('things');
  const text = `${life.who} late ${++life.asked}`;
  const late = new BroadcastChannel(`late vsync:${e2e.name}`);
  const said = (what) => new Promise((yes) => late.addEventListener('message', ({ data }) => data === what && yes()));
  const heard = said('heard');
  const landed = said('landed');
  late.postMessage(text);
  await heard;
  const ids = ['put', 'update', 'batch'].map((way) => `${text} ${way}`);
  const [put, update, batch] = ids;
  const writing = [
    things.put(put, { id: put }),
    things.update(update, (old) => (old === undefined ? { id: update } : { twice: update })),
    e2e.db.batch((tx) => tx.put(things, batch, { id: batch })),
  ];
  life.late.push(...writing.map((write, i) => write.then(() => life.confirmed.push(ids[i]), (err) => life.failed.push(`${ids[i]}: ${err.code} ${err.message}`))));
  await landed;
  late.close();
}

/** Resolves when so many more writes are settled than now. */
export async function lives(more = 20) {
  const life = running;
  const goal = life.settled + more;
  await until(life, () => life.settled >= goal || !life.going);
  return life.failed;
}

/** No write begins after this; resolves when all have settled, and the watcher and the subscription have all of them, and have ended. */
export async function stopLife() {
  const life = running;
  life.going = false;
  await Promise.all([life.writing, ...life.late]);
  await until(life, () => life.subscribed === life.confirmed.length + 1 && life.confirmed.every((id) => life.seen.has(id)));
  life.over.abort();
  for (const stop of life.stops) stop();
  return endOf(life);
}

const endOf = (life) => ({ ...accountOf(life), failed: life.failed, twice: life.twice, hostings: life.hostings });

/** From now on it is right if the database ends with this code. */
export function expectEnd(code) {
  running.ends = code;
}

/** Resolves when the database has ended, as was expected, and all has settled. */
export async function lifeEnded() {
  const life = running;
  const { code } = (await e2e.status((s) => s.phase === 'closed')).error;
  if (code !== life.ends) life.failed.push(`the database ended with ${code}, and not with ${life.ends}`);
  await Promise.all([life.writing, life.watching, life.subscribing]);
  return endOf(life);
}

/**
 * Whether this life goes on with another engine, behind one that has stepped aside; else its database has ended, as that one said. A page may
 * notice that an engine is gone before it hears why, and what that one stepped aside for may be gone when the next one comes.
 */
export async function survives() {
  const life = running;
  const goal = life.asked + 3; // of these, some were asked for from now on, and are the next engine's
  const ended = e2e.status((s) => s.phase === 'closed').then(() => false);
  const goesOn = await Promise.race([ended, until(life, () => life.settled >= goal || !life.going).then(() => life.going)]);
  if (goesOn) life.ends = undefined;
  return goesOn;
}

/** From now on, or no more, it is right that writes are refused as there is no space. */
export function scarce(is) {
  running.scarce = is;
}

/** Resolves when a write was refused after the call, with true, or after so many ms. */
export async function refusal(within) {
  const life = running;
  const goal = life.refused.length + 1;
  const late = new Promise((done) => setTimeout(done, within, false));
  return Promise.race([until(life, () => life.refused.length >= goal).then(() => true), late]);
}

/** Resolves when so many writes one after the other were not refused. */
export async function plenty(many) {
  const life = running;
  for (let refused = -1; refused !== life.refused.length; ) {
    refused = life.refused.length;
    await lives(many);
  }
  return life.failed;
}

/** What a life was told is stored, and what was refused. */
const accountOf = ({ who, confirmed, summed, fought, refused, bytes }) => ({ who, confirmed: [...confirmed], summed, fought, refused, bytes });

export const accountSoFar = () => accountOf(running);

/** How many writes a life was told are stored, and their bytes. */
export const scaleOfLife = () => ({ who: running.who, writes: running.settled - running.refused.length, bytes: running.bytes });

/** What is wrong with what was written: everything that was confirmed is there, nothing that was refused is, and nothing was written twice. */
export async function judgeLives(confirmed, refused) {
  const things = e2e.db.collection('things');
  e2e.there = [];
  for await (const { id, value } of things.scan()) {
    e2e.step();
    e2e.there.push({ id, twice: value.twice, sum: value.sum });
  }
  const there = new Set(e2e.there.map(({ id }) => id));
  const lost = confirmed.filter((id) => !there.has(id)).map((id) => `${id} is lost`);
  const doubled = refused.filter((id) => there.has(id)).map((id) => `${id} was refused, and is there`);
  const judge = async ({ id, twice }) => {
    const written = (await collect(things.history(id))).filter((version) => !version.deleted).length;
    e2e.step();
    if (written !== 1) doubled.push(`${id} has ${written} versions`);
    else if (twice) doubled.push(`${id} was updated twice`);
  };
  for (let i = 0; i < e2e.there.length; i += 100) await Promise.all(e2e.there.slice(i, i + 100).map(judge));
  return { lost, doubled };
}

/** All that a collection holds, as a number of objects and a hash of them. Equal ones: equal replicas. */
export async function digest(name) {
  let count = 0;
  let hash = new Uint8Array(32);
  let lines = [];
  const add = async () => {
    const text = new TextEncoder().encode(lines.splice(0).join('\n'));
    hash = new Uint8Array(await crypto.subtle.digest('SHA-256', new Uint8Array([...hash, ...new Uint8Array(await crypto.subtle.digest('SHA-256', text))])));
  };
  for await (const { id, version, time, conflict, value } of e2e.db.collection(name).scan()) {
    e2e.step();
    count++;
    if (lines.push(JSON.stringify([id, version, time, conflict, value])) === 1000) await add();
  }
  await add();
  return `${count} objects, ${[...hash.subarray(0, 8)].map((b) => b.toString(16).padStart(2, '0')).join('')}`;
}
