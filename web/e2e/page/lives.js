// Writes that go on whatever becomes of engines: each object is written once, and so has one version in the end.

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

/** Writes without a break, or with one of so many ms, some at a time, until stopLife; and watches, and subscribes. */
export async function startLife(who, rest = 0) {
  const { db } = e2e;
  const things = db.collection('things');
  const life = (running = { going: true, who, asked: 0, confirmed: [], failed: [], seen: new Map(), twice: [], subscribed: 0, wake: () => {}, hostings: [] });
  db.status.subscribe(({ hosting }) => life.hostings.at(-1) !== hosting && life.hostings.push(hosting));
  const one = async () => {
    while (life.going) {
      const id = `${who} ${String(++life.asked).padStart(6, '0')}`;
      // Some depend on what is there, some are large, most are neither.
      const way = life.asked % 7;
      const writing = way === 3 ? things.update(id, (old) => (old === undefined ? { id } : { twice: id })) : way === 5 ? db.batch((tx) => tx.put(things, id, { id, pad: 'x'.repeat(3000) })) : things.put(id, { id });
      await writing.then(
        () => life.confirmed.push(id),
        (err) => life.failed.push(`${id}: ${err.code} ${err.message}`),
      );
      life.wake();
      if (rest > 0) await new Promise((next) => setTimeout(next, rest * Math.random() * 2));
    }
  };
  life.writing = Promise.all([one(), one(), one()]);
  life.watching = (async () => {
    for await (const event of things.watch({ from: 'now' })) {
      for (const { id } of event.changes) {
        if (life.seen.has(id)) life.twice.push(id);
        life.seen.set(id, event.marker);
      }
      life.wake();
    }
  })().catch((err) => life.failed.push(`watching: ${err.code} ${err.message}`));
  things.subscribe({ prefix: who }, (entries) => {
    life.subscribed = entries.length;
    life.wake();
  }, (err) => life.failed.push(`subscribing: ${err.code} ${err.message}`));
  // From now on the watcher sees all that is written.
  await things.put(`${who} first`, 1);
  await until(life, () => life.seen.has(`${who} first`));
}

async function until(life, ok) {
  while (!ok() && life.failed.length === 0) await new Promise((wake) => (life.wake = wake));
}

/** Resolves when so many more writes are confirmed than now. */
export async function lives(more = 20) {
  const life = running;
  const goal = life.confirmed.length + more;
  await until(life, () => life.confirmed.length >= goal);
  return life.failed;
}

/** No write begins after this; resolves when all have settled, and the watcher and the subscription have all of them. */
export async function stopLife() {
  const life = running;
  life.going = false;
  await life.writing;
  await until(life, () => life.subscribed === life.confirmed.length + 1 && life.confirmed.every((id) => life.seen.has(id)));
  const { confirmed, failed, twice, hostings } = life;
  return { confirmed, failed, twice, hostings };
}

/** The writes that this page was told are stored. */
export const confirmedSoFar = () => [...running.confirmed];

/** What is wrong with what was written: everything that was confirmed is there, and nothing was written twice. */
export async function judgeLives(confirmed) {
  const things = e2e.db.collection('things');
  const there = new Map((await things.query()).map((entry) => [entry.id, entry.value]));
  const wrong = confirmed.filter((id) => !there.has(id)).map((id) => `${id} is lost`);
  for (const [id, value] of there) {
    if (value.twice) wrong.push(`${id} was updated twice`);
    let versions = 0;
    for await (const version of things.history(id)) versions += version.deleted ? 0 : 1;
    if (versions !== 1) wrong.push(`${id} has ${versions} versions`);
  }
  return wrong.slice(0, 10);
}
