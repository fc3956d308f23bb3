// Devices that write, watch and look without a break, and tell the test of everything. Notes are single objects that all fight
// over. Crowds are groups of objects that are only ever written together, in one batch with one token: wherever and whenever
// one is seen, all of it has the same token, or it is not there at all.

const { e2e } = globalThis;

const noteIDs = 25;
const crowdIDs = 3;
export const crowdSize = 1000;
const unsynced = 40; // so many writes may wait for the hub; then none is added

let going = 0; // the storm that goes on; another number ends it

/** Writes, at most so much, watches from a marker and looks, until stopStorm. seed makes the writes. */
export function startStorm(name, life, most, seed, from) {
  const mine = ++going;
  for (const [what, run] of Object.entries({ write: () => write(mine, name, life, most, seed), watch: () => watch(mine, from), look: () => look(mine) })) {
    run().catch((err) => {
      if (mine === going) e2e.tell('wrong', `${name}, life ${life}, ${what}: ${err?.code} ${err?.message}\n${err?.stack}`);
    });
  }
}

/** No write begins after this; those that began are told. */
export function stopStorm() {
  going++;
}

/** Only watches, from a marker, until stopStorm. */
export function startWatch(from) {
  const mine = ++going;
  watch(mine, from).catch((err) => {
    if (mine === going) e2e.tell('wrong', `watching from ${from}: ${err?.code} ${err?.message}`);
  });
}

/** What is there of what storms write: the token of each object, by collection and id. */
export async function tokens() {
  const all = {};
  for (const name of ['notes', 'crowds', 'fences']) {
    for await (const { id, value } of e2e.db.collection(name).scan({})) all[`${name} ${id}`] = value?.token ?? '';
  }
  return all;
}

/** Writes batches, each with its token as the note, and tells what is stored and what is synced. */
async function write(mine, name, life, most, seed) {
  const random = generator(seed);
  let waiting = 0;
  let wake;
  for (let n = 1; n <= most && mine === going; n++) {
    const token = `${name}.${life}.${n}`;
    const receipt = await e2e.db.batch(next(random, token), { note: token });
    e2e.tell('stored', token);
    waiting++;
    receipt.synced().then(
      () => {
        e2e.tell('synced', token);
        waiting--;
        wake?.();
      },
      (err) => {
        if (mine === going) e2e.tell('wrong', `${token} is stored and not synced: ${err?.code} ${err?.message}`);
      },
    );
    while (waiting >= unsynced && mine === going) await new Promise((resolve) => (wake = resolve));
  }
}

/** Makes up a batch: what it does depends on the seed, and on what it finds. */
function next(random, token) {
  const notes = e2e.db.collection('notes');
  const crowds = e2e.db.collection('crowds');
  const pad = random(4) === 0 ? 600 : 100; // a crowd of long ones is larger than a frame, and travels in parts
  const value = () => ({ token, pad: new Uint8Array(random(pad)) });
  const id = () => `note ${String(random(noteIDs)).padStart(2, '0')}`;
  const what = random(100);
  if (what < 30) return (tx) => tx.put(notes, id(), value());
  if (what < 45) return (tx) => tx.delete(notes, id());
  if (what < 80) {
    return async (tx) => {
      const key = id();
      const before = await tx.get(notes, key);
      tx.put(notes, key, { ...value(), before: before?.token ?? null });
    };
  }
  if (what < 97) {
    const keys = new Set(Array.from({ length: 2 + random(8) }, id));
    return (tx) => {
      for (const key of keys) {
        if (random(3) === 0) tx.delete(notes, key);
        else tx.put(notes, key, value());
      }
    };
  }
  const crowd = random(crowdIDs);
  return (tx) => {
    for (const key of crowdKeys(crowd)) {
      if (what < 99) tx.put(crowds, key, value());
      else tx.delete(crowds, key);
    }
  };
}

const crowdKeys = (crowd) => Array.from({ length: crowdSize }, (_, i) => `crowd ${crowd}/${String(i).padStart(4, '0')}`);

/** Tells every event, and whether a crowd in it is whole. */
async function watch(mine, from) {
  for await (const event of e2e.db.watch({ from })) {
    if (mine !== going) return;
    e2e.tell('event', JSON.stringify(eventOf(event)));
    const wrong = event.initial ? '' : wholeness(event.changes.filter((c) => c.collection === 'crowds').map((c) => ({ id: c.id, value: c.value })));
    if (wrong) e2e.tell('wrong', `the event ${event.marker} of ${event.note} shows a batch in part: ${wrong}`);
  }
}

/** An event as the test wants it: values by their tokens. */
export const eventOf = ({ marker, initial, reset, source, note, changes }) => ({
  marker,
  initial,
  reset: reset === true,
  source,
  note: note ?? '',
  changes: changes.map((c) => [c.collection, c.id, c.deleted ? null : (c.value?.token ?? ''), c.version]),
});

/** Looks for batches in part, in every way there is. */
async function look(mine) {
  const crowds = e2e.db.collection('crowds');
  for (let n = 0; mine === going; n++) {
    const crowd = n % crowdIDs;
    const keys = crowdKeys(crowd);
    const values = await crowds.getMany(keys);
    report('getMany', wholeness(keys.map((id, i) => ({ id, value: values[i] }))));
    report('query', wholeness(await crowds.query({ prefix: `crowd ${crowd}/` })));
    await pause(250);
  }

  function report(how, wrong) {
    if (wrong && mine === going) e2e.tell('wrong', `${how} shows a batch in part: ${wrong}`);
  }
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Says what is wrong if crowds are there in part; '' if they are whole, or not there. */
export function wholeness(entries, size = crowdSize) {
  const crowds = new Map();
  for (const { id, value } of entries) {
    const crowd = id.slice(0, id.indexOf('/'));
    const token = value === undefined ? 'nothing' : String(value.token);
    const tokens = crowds.get(crowd) ?? new Map();
    crowds.set(crowd, tokens.set(token, (tokens.get(token) ?? 0) + 1));
  }
  for (const [crowd, tokens] of crowds) {
    for (const n of tokens.values()) {
      if (n !== size) return `${crowd} is ${JSON.stringify([...tokens])}`;
    }
  }
  return '';
}

/** Random numbers below n from a seed, the same each time. */
export function generator(seed) {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}
