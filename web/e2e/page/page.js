// The application that the tests drive: what every story needs, on top of the SDK as any application uses it. What a test
// evaluates finds all of it as `e2e`, the SDK as `e2e.vsync`, the database that was opened as `e2e.db`.

const address = new URL(location.href);

const e2e = (globalThis.e2e = {
  vsync: undefined,
  db: undefined,
  notes: undefined,
  /** The hub, as this page was told to reach it. */
  feed: address.searchParams.get('feed') ?? undefined,
  name: 'e2e',
  /** How often it was asked for a token. */
  asked: 0,
});

// What this browser does not have.
for (const name of address.searchParams.getAll('lacks')) delete globalThis[name];

globalThis.loaded = (async () => {
  e2e.vsync = await import(address.searchParams.get('sdk') ?? '/vsync.js');
  for (const part of ['./seeing.js', './storm.js', './cities.js', './rounds.js', './lives.js', './toil.js']) Object.assign(e2e, await import(part));
})();

/** Tells the test, which is another process: it is called, or asks. */
e2e.tell = (what, text) => {
  const said = JSON.stringify([what, String(text)]);
  if (globalThis.tellTest) return globalThis.tellTest(said);
  told.push(said);
  wake();
};
let told = [];
let wake = () => {};

/** What was told since the last call; waits until there is something. */
e2e.toldSoFar = async () => {
  while (told.length === 0) await new Promise((next) => (wake = next));
  return told.splice(0);
};

/** Opens the database that the helpers use, with the hub that the page was told unless options say otherwise. */
e2e.open = async (options = {}) => {
  const { name = e2e.name, ...rest } = options;
  e2e.db = await e2e.vsync.open(name, { feed: e2e.feed, ...rest });
  e2e.notes = e2e.db.collection('notes');
  return e2e.db.device;
};

/** Begins what takes as long as it goes on: e2e.far says whether it does, of that which calls e2e.step and of what a device has to do with its hub. */
e2e.begin = (work) => {
  long = { work, steps: 0, ended: false };
  const end = () => (long.ended = true);
  work.then(end, end);
};
e2e.step = () => long.steps++;
let long;

/** How what has begun ended, or how far it is after so many ms. */
e2e.far = async (ms) => {
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([long.work, late]);
  clearTimeout(timer);
  if (long.ended) return { done: true, value: await long.work };
  const { pending, lastConfirmedAt, marker } = e2e.db.status.current;
  return { far: JSON.stringify({ steps: long.steps, pending, lastConfirmedAt, marker }) }; // answers stand behind what others have written
};

/** The longest task of this page's main thread since the last call, in ms; 0: none was longer than 50. */
e2e.longestTask = () => {
  for (const task of tasks.takeRecords()) longest = Math.max(longest, task.duration);
  const was = longest;
  longest = 0;
  return Math.round(was);
};
let longest = 0;
const tasks = new PerformanceObserver((list) => {
  for (const task of list.getEntries()) longest = Math.max(longest, task.duration);
});
tasks.observe({ entryTypes: ['longtask'] });
