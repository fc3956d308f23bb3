// Writes of every kind, at random, each with a token of its own by which it is found in the end, once:
//
//	things   an object that nobody else writes: by put, update or batch; its id is the token
//	sums     objects of which all lives of all devices take their turn to add one, n, and their token, by: field rules merge
//	fought   objects over which all lives fight, by batches of some puts and deletions, of which the token is the note

const { e2e } = globalThis;

const foughtIDs = 30;

/** How long, in ms, one object of sums is added to: its set becomes no larger than what is added in that time. */
const sumTime = 10_000;

/** Text that no store can make smaller than by a quarter. */
export function noise(length) {
  return btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array((length * 3) / 4))));
}

/** One write. What it was, it notes with the life when it is confirmed. Sums are added to when their rules are in force. */
export async function toil(life, id) {
  const { random } = life;
  const way = random(20);
  if (way >= 19) return decide(random);
  if (way >= 15) return fight(life, id);
  if (way >= 11 && life.ruled) return add(life, id, way < 13);
  const things = e2e.db.collection('things');
  if (way >= 9) {
    const value = { id, pad: noise(3000) };
    await e2e.db.batch((tx) => tx.put(things, id, value));
    return made(life, id, value);
  }
  const value = { id };
  if (way >= 6) await things.update(id, (old) => (old === undefined ? value : { twice: id }));
  else await things.put(id, value);
  made(life, id, value);
}

function made(life, id, value) {
  life.confirmed.push(id);
  life.bytes += sizeOf(id, value);
}

/** Adds one to a sum that others add to; joined: in one batch with a thing, and the token says so. */
async function add(life, id, joined) {
  const token = joined ? `${id}+` : id;
  const sums = e2e.db.collection('sums');
  const things = e2e.db.collection('things');
  const sum = `sum ${Math.floor(Date.now() / sumTime)}`;
  let value;
  const more = (old = { n: 0, by: [] }) => (value = { n: old.n + 1, by: [...old.by, token] });
  if (joined) {
    await e2e.db.batch(async (tx) => {
      tx.put(sums, sum, more(await tx.get(sums, sum)));
      tx.put(things, id, { id, sum });
    });
    made(life, id, { id, sum });
  } else await sums.update(sum, more);
  life.summed.push(token);
  life.bytes += sizeOf(sum, value);
}

/** Puts and deletes some of what others put and delete at the same time. The token tells how many, to see that none of them is missing. */
async function fight(life, id) {
  const { random } = life;
  const fought = e2e.db.collection('fought');
  const ids = [...new Set(Array.from({ length: 1 + random(4) }, () => `prize ${String(random(foughtIDs)).padStart(2, '0')}`))];
  const token = `${id} of ${ids.length}`;
  await e2e.db.batch(
    (tx) => {
      for (const prize of ids) {
        if (random(4) === 0) tx.delete(fought, prize);
        else tx.put(fought, prize, { token, pad: noise(40) });
      }
    },
    { note: token },
  );
  for (const prize of ids) life.fought.push([prize, token]);
  life.bytes += ids.length * (2 * token.length + 100);
}

/** Ends a conflict, with any of its sides. */
async function decide(random) {
  const conflicts = await e2e.db.collection('fought').conflicts.list();
  if (conflicts.length === 0) return;
  const conflict = conflicts[random(conflicts.length)];
  await conflict.pick(conflict.sides[random(conflict.sides.length)].version);
}

const sizeOf = (id, value) => id.length + JSON.stringify(value).length;

/** What is wrong with the sums: each counts the tokens that it has, and each token that was confirmed is in one of them, once. */
export async function judgeSums(confirmed) {
  const wrong = [];
  const there = new Set();
  for await (const { id, value } of e2e.db.collection('sums').scan()) {
    e2e.step();
    if (value.n !== value.by.length) wrong.push(`${id} counts ${value.n}, and ${value.by.length} were added`);
    for (const token of value.by) {
      if (there.has(token)) wrong.push(`${token} was added to ${id} twice`);
      there.add(token);
    }
  }
  const joined = new Set(e2e.there.filter(({ sum }) => sum).map(({ id }) => `${id}+`)); // that is of judgeLives, which comes first
  for (const token of joined) if (!there.has(token)) wrong.push(`${token} was written in part: it is missing in the sums`);
  for (const token of there) if (token.endsWith('+') && !joined.has(token)) wrong.push(`${token} was written in part: the thing is missing`);
  for (const token of confirmed) if (!there.has(token)) wrong.push(`${token} is missing in the sums`);
  return { wrong, there: there.size };
}

/** What is wrong with what was fought over: every write that was confirmed is in the history, once, and none is there in part. */
export async function judgeFought(confirmed) {
  const fought = e2e.db.collection('fought');
  const found = new Map(); // by token, the objects that have it
  const wrong = [];
  let forks = 0;
  for (let n = 0; n < foughtIDs; n++) {
    const id = `prize ${String(n).padStart(2, '0')}`;
    const parents = new Set();
    for await (const version of fought.history(id)) {
      e2e.step();
      for (const parent of version.parents) {
        if (parents.has(parent)) forks++;
        parents.add(parent);
      }
      if (!version.note) continue; // a decision
      const ids = found.get(version.note) ?? new Set();
      if (ids.has(id)) wrong.push(`${version.note} stands in the history of ${id} twice`);
      found.set(version.note, ids.add(id));
    }
  }
  for (const [token, ids] of found) {
    if (ids.size !== Number(token.split(' of ')[1])) wrong.push(`${token} was written in part: ${[...ids]}`);
  }
  for (const [id, token] of confirmed) if (!found.get(token)?.has(id)) wrong.push(`${token} is missing in the history of ${id}`);
  return { wrong, forks };
}

// --- what befalls a database ---

/** Asks the engines of this browser: the test has put something in front of their script that answers. Undefined: there is none at the moment. */
function ask(what) {
  const bench = new BroadcastChannel('bench');
  return new Promise((said) => {
    bench.onmessage = ({ data }) => data.of && said(data);
    bench.postMessage(what);
    setTimeout(said, 2000);
  }).finally(() => bench.close());
}

/** Sets the engine's clock so many ms off. */
export const sleepUntil = async (off) => Boolean(await ask({ off }));

/** Waits, and has the browser say that there is a network: a device waits for up to a minute behind connections that broke one after the other. */
export async function hurried(promise) {
  const again = setInterval(() => dispatchEvent(new Event('online')), 1000);
  return await promise.finally(() => clearInterval(again));
}

/** Has the engine's connection to IndexedDB closed, as browsers do; whether one was there. */
export const hangUp = async (how) => Boolean((await ask({ hangUp: how }))?.used);

/** A newer program comes, which would store otherwise, and fails at that. Who has the database open steps aside. */
export async function newerProgram() {
  for (const { name, version } of await indexedDB.databases()) {
    if (!name.startsWith('vsync:')) continue;
    await new Promise((done) => {
      const request = indexedDB.open(name, version + 1);
      request.onupgradeneeded = () => request.transaction.abort();
      request.onerror = done;
    });
  }
}

/** Large objects that fill all caches, about so many bytes of them. */
export async function writeBallast(bytes) {
  const ballast = e2e.db.collection('ballast');
  for (let n = 0; n * 4000 < bytes; n += 50) {
    await ballast.putMany(Array.from({ length: 50 }, (_, i) => [`${String(n + i).padStart(6, '0')}`, noise(4000)]));
  }
  await e2e.db.synced();
  return await ballast.count();
}

/**
 * What the engine has in memory when caches are full and what it has written is on pages: what was alive at the least of some collections of
 * garbage, and all that it has taken from the browser.
 */
export async function weigh() {
  const ballast = e2e.db.collection('ballast');
  const readAll = async () => {
    for (let n = 0, many = 250; many === 250; n += many) many = (await ballast.query({ from: String(n).padStart(6, '0'), limit: 250 })).length;
  };
  dispatchEvent(new Event('pagehide')); // the page may be gone soon: pages are written
  await readAll();
  const before = await ask('weigh');
  let after = before;
  const until = performance.now() + 20_000; // a busy machine may be slow
  for (let tries = 0; tries < 10 && performance.now() < until && after?.of === before?.of && after?.collections < before?.collections + 2; tries++) {
    await readAll();
    after = await ask('weighed');
  }
  return after?.of === before?.of ? (after ?? null) : null;
}
