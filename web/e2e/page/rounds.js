// Rounds: the same thousand objects, written again and again, each time in one batch.

import { crowdSize, pause, wholeness } from './storm.js';

const { e2e } = globalThis;

const keys = Array.from({ length: crowdSize }, (_, i) => `crowd 0/${String(i).padStart(4, '0')}`);

/** Writes rounds, by turns with each of the ways there are, and waits for none until all are written. */
export async function writeRounds(rounds) {
  const crowds = e2e.db.collection('crowds');
  const written = [];
  for (let round = 1; round <= rounds; round++) {
    const value = (i) => ({ token: round, text: 'x'.repeat((round * i) % 300) });
    if (round % 2) written.push(crowds.putMany(keys.map((key, i) => [key, value(i)])));
    else written.push(e2e.db.batch((tx) => keys.forEach((key, i) => tx.put(crowds, key, value(i)))));
    if (round % 5 === 0 || round === rounds - 1) await Promise.all(written); // a batch waits for its function, and may be overtaken
  }
  await Promise.all(written);
  await e2e.db.synced();
}

/** Looks at the rounds until the last one has been seen in every way; resolves with how often, and with what was wrong. */
export async function watchRounds(rounds) {
  const crowds = e2e.db.collection('crowds');
  const saw = (e2e.saw = { wrong: [], watched: 0, subscribed: 0, many: 0, queried: 0, over: [] });
  const check = (how, entries) => {
    const wrong = wholeness(entries);
    if (wrong) saw.wrong.push(`${how}: ${wrong}`);
    return entries[0]?.value?.token === rounds;
  };
  const watch = async () => {
    for await (const event of e2e.db.watch({ from: 'start' })) {
      const changes = event.changes.filter((c) => c.collection === 'crowds');
      if (changes.length === 0) continue;
      if (changes.length !== crowdSize) saw.wrong.push(`an event of ${changes.length} changes`);
      saw.watched++;
      if (check('watch', changes)) return;
    }
  };
  const many = async () => {
    for (let last = false; !last; saw.many++, await pause(5)) {
      const values = await crowds.getMany(keys);
      last = check('getMany', keys.map((id, i) => ({ id, value: values[i] })));
    }
  };
  const query = async () => {
    for (let last = false; !last; saw.queried++, await pause(5)) {
      const entries = await crowds.query({ prefix: 'crowd 0/' });
      if (new Set(entries.map((e) => e.version)).size > 1) saw.wrong.push('query: entries of several versions');
      last = check('query', entries);
    }
  };
  const subscribed = e2e.result('crowds', {}, (entries) => {
    saw.subscribed++;
    return check('subscribe', entries);
  });
  const over = (what) => () => saw.over.push(what);
  await Promise.all([watch().then(over('watch')), many().then(over('many')), query().then(over('query')), subscribed.then(over('subscribed'))]);
  return saw;
}
