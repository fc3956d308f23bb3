// Looking at a database, and waiting for what it comes to show. Nothing here asks again after a while: it is told.

const { e2e } = globalThis;

/** Resolves with what ok returns (with the entries where that is true) for the first result of a query that it accepts. */
export function result(collection, query, ok) {
  return first(
    (take, fail) => e2e.db.collection(collection).subscribe(query, (entries) => take(entries), fail),
    ok,
  );
}

/** Resolves with the first status of a database that ok accepts. */
export function status(ok, db = e2e.db) {
  if (ok(db.status.current)) return Promise.resolve(db.status.current);
  return first((take) => db.status.subscribe(take), ok);
}

function first(subscribe, ok) {
  return new Promise((resolve, reject) => {
    let stop;
    let over = false;
    const end = (settle, value) => {
      if (over) return;
      over = true;
      stop?.();
      settle(value);
    };
    const take = (value) => {
      if (over) return;
      try {
        const found = ok(value);
        if (found) end(resolve, found === true ? value : found);
      } catch (err) {
        end(reject, err);
      }
    };
    stop = subscribe(take, (err) => end(reject, err));
    if (over) stop();
  });
}

let fences = 0;

/** Writes something that comes behind all that this page has written, and resolves when the hub has it. */
export async function fence(name) {
  const id = `${name} ${Date.now()} ${++fences}`;
  const receipt = await e2e.db.collection('fences').put(id, true);
  await receipt.synced();
  await e2e.db.synced();
  return id;
}

/** Resolves when all fences are here, and so what was written before them. */
export const sees = (ids) =>
  result('fences', {}, (entries) => {
    const here = new Set(entries.map((e) => e.id));
    return ids.every((id) => here.has(id));
  }).then(() => null);

export async function collect(stream) {
  const all = [];
  for await (const item of stream) all.push(item);
  return all;
}

/** The names of the browser's own databases in which a text stands, in plain bytes. */
export async function where(text) {
  const done = (request) => new Promise((ok, no) => Object.assign(request, { onsuccess: () => ok(request.result), onerror: () => no(request.error) }));
  const found = [];
  for (const { name } of await indexedDB.databases()) {
    const db = await done(indexedDB.open(name));
    for (const store of db.objectStoreNames) {
      const rows = await done(db.transaction(store).objectStore(store).getAll());
      const bytes = await new Blob(rows.map((row) => (row instanceof Uint8Array ? row : JSON.stringify(row)))).text();
      if (bytes.includes(text) && !found.includes(name)) found.push(name);
    }
    db.close();
  }
  return found;
}

/** What JSON cannot say stands as text that says what it was. */
export function plain(value) {
  if (value === undefined) return '(undefined)';
  if (typeof value === 'bigint') return `(bigint ${value})`;
  if (Object.is(value, -0)) return '(-0)';
  if (value instanceof Date) return `(date ${value.toISOString()})`;
  if (value instanceof Uint8Array) return `(bytes ${[...value].map((b) => b.toString(16).padStart(2, '0')).join('')})`;
  if (Array.isArray(value)) return value.map(plain);
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, plain(v)]));
  return value;
}

const line = (...parts) => parts.map((part) => JSON.stringify(plain(part))).join(' ');

/** All that is there as text: objects with versions, and the histories of the notes. Equal texts: equal replicas. */
export async function describe(ids = []) {
  const lines = [];
  for (const name of ['notes', 'crowds']) {
    for await (const e of e2e.db.collection(name).scan({})) lines.push(line(name, e.id, e.version, e.device, e.time, e.conflict, e.value));
  }
  const all = new Set([...ids, ...(await e2e.notes.query({ limit: 60 })).map((e) => e.id)]);
  const histories = [];
  for (const id of all) {
    for await (const v of e2e.notes.history(id)) {
      histories.push(line('history', id, v.version, v.device, v.time, v.deleted, [...v.parents].sort(), v.note, v.value));
    }
  }
  histories.sort(); // versions that do not know each other stand as they came to the device
  return [...lines, ...histories].join('\n');
}

/** The versions of notes, by id: what `vsync history --json` prints of them, without the values. */
export async function histories(ids) {
  const all = {};
  for (const id of ids) {
    all[id] = (await collect(e2e.notes.history(id))).map(({ version, parents, time, deleted, note }) => ({ version, parents: [...parents].sort(), time, deleted, note: note ?? '' }));
  }
  return all;
}
