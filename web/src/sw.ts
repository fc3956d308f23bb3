// The service worker that keeps an application on its device: a page that was once open opens again without hub and network. Any
// application can use it; keepOffline (offline.ts) registers it:
//
//	vsync-sw.js?keep=/&keep=/app.js&keep=/vsync.js&keep=/vsync-worker.js&keep=/vsync.wasm
//
// What is kept are sets: all files named by keep (addresses from the worker's own on), as they stood beside each other at one moment.
//
//	install, check ──▶ collect ──▶ set ──▶ next ──▶ (a page says so, or no page is open) ──▶ current ──▶ every page
//
//   - A kept file comes from the current set: at once, whatever the network does, and never from two builds. A kept address is a kept
//     page whatever stands behind its "?".
//   - When a page opens, and when one asks, the kept files are looked at again. If one is another, the whole set is collected
//     anew, and becomes the next. A new build of vsync has a service worker of its own, which collects while it is installed. Pages
//     are told, and the change is theirs to choose; all of them have to load again after it.
//   - A set is only whole: a file that is missing, changes while the set is collected, or is of another build of vsync than this
//     worker, a full disk: the set is dropped, and what was there before goes on.
//   - The feed (/v1/) and what is no GET is none of its business. Whatever else comes from this origin is fetched, and a copy
//     of it serves when that fails; a page that is not there at all is shown the first kept one.
//
// Messages, page to worker, answered with the state if they come with a port:
//
//	{vsync: 'state'}   only the answer
//	{vsync: 'check'}   look whether there is a next set
//	{vsync: 'take'}    make the next set the current one; to the waiting worker if there is one, which then takes over
//
// and worker to all pages, whenever it has changed, the state: {vsync: 'kept', current: HASH | null, next: HASH | null}. A page finds
// out which set it came from by its own Server-Timing: set;desc=HASH.
import { entries, lock, readNotes, writeNotes, type KeptSet, type Notes, type Scope, type WorkerFetchEvent } from './kept.js';

/** SHA-256 of the files of the same build, by name. */
declare const FILES: Readonly<Record<string, string>>;

const worker = self as unknown as Scope;

/** How often a set is collected again because a file changed meanwhile: a deployment takes seconds. */
const ATTEMPTS = 3;

/** How many copies of other files are held. */
const SEEN = 100;

/** How long a file may take, in ms: a worker with something under way keeps its successor waiting. */
const PATIENCE = 120_000;

const scope = worker.registration.scope;
const keep = new URL(worker.location.href).searchParams.getAll('keep').map((address) => new URL(address, worker.location.href).href);
const wanted = [...new Set(keep.length > 0 ? keep : [scope])];

const setName = (hash: string) => `vsync ${scope} set ${hash}`;
const seenName = `vsync ${scope} seen`;

// --- collecting -------------------------------------------------------------------------------------------------------

interface File {
  readonly address: string;
  readonly hash: string;
  readonly bytes: ArrayBuffer;
  readonly headers: Headers;
}

/** Asks the server, and takes what the browser has where the server says that it is the same. */
async function load(address: string): Promise<File> {
  const response = await fetch(address, { cache: 'no-cache', credentials: 'same-origin', signal: AbortSignal.timeout(PATIENCE) });
  if (response.status !== 200) throw new Error(`${address} cannot be kept: status ${response.status}`);
  const bytes = await response.arrayBuffer();
  const headers = new Headers(response.headers);
  for (const name of ['content-encoding', 'content-length']) headers.delete(name); // of what was on the wire
  headers.set('cache-control', 'no-cache'); // or a page of the next set would be given this one by the browser, without asking here
  return { address, hash: await hashOf(bytes), bytes, headers };
}

async function hashOf(bytes: ArrayBuffer | Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The hash that a file must have, as it is of this worker's build. */
const pinned = (address: string) => FILES[new URL(address).pathname.split('/').pop() ?? ''];

const own = wanted.filter((address) => pinned(address));
const others = wanted.filter((address) => !pinned(address));

/**
 * Loads the set: the application's files, then those of vsync, then the application's again. If these are still the same, there was a
 * moment, while vsync's were loaded, at which all of them stood beside each other.
 */
async function loadSet(): Promise<File[]> {
  for (let attempt = 1; ; attempt++) {
    const before = await Promise.all(others.map(load));
    const ours = await Promise.all(own.map(load));
    const foreign = ours.find(({ address, hash }) => hash !== pinned(address));
    if (foreign) throw new Error(`${foreign.address} is of another build of vsync than ${worker.location.pathname}: both have to be of one`);
    const after = await Promise.all(others.map(load));
    if (before.every(({ hash }, i) => hash === after[i]?.hash)) return [...before, ...ours];
    if (attempt === ATTEMPTS) throw new Error('the files to be kept change all the time');
  }
}

/** A set is named by what is in it, so that it can be known again without the notes. */
const hashOfSet = (files: readonly { address: string; hash: string }[]) =>
  hashOf(new TextEncoder().encode(JSON.stringify(files.map(({ address, hash }) => [address, hash]).sort())));

/**
 * Reads the notes. A browser that dies can lose what it has just written, and so the notes and not the set that they name: then the
 * newest set that is whole is the current one.
 */
async function currentNotes(): Promise<Notes> {
  const noted = await readNotes(scope);
  if (noted.current) return noted;
  return lock(scope, async () => {
    const noted = await readNotes(scope);
    for (const name of noted.current ? [] : (await caches.keys()).reverse()) {
      const current = name.startsWith(setName('')) ? await setIn(name) : undefined;
      if (!current) continue;
      await writeNotes(scope, { current });
      return { current };
    }
    return noted;
  });
}

/** The set that a cache holds; undefined if it is not whole. */
async function setIn(name: string): Promise<KeptSet | undefined> {
  const cache = await caches.open(name);
  const files = await Promise.all(
    (await cache.keys()).map(async ({ url }) => {
      const response = await cache.match(url, { ignoreVary: true });
      return { address: url, hash: response ? await hashOf(await response.arrayBuffer()) : '' };
    }),
  );
  const hash = await hashOfSet(files);
  return setName(hash) === name ? { hash, files: Object.fromEntries(files.map(({ address, hash }) => [address, hash])) } : undefined;
}

/** Collects a set, and notes it as the next one if it is another than those that are there. */
async function collect(): Promise<void> {
  const files = await loadSet();
  const hash = await hashOfSet(files);
  await lock(scope, async () => {
    const notes = await readNotes(scope);
    const known = entries(notes).find((set) => set.hash === hash);
    if (known && (await caches.has(setName(hash)))) {
      if (known === notes.current && notes.next) await change({ current: known }); // what was to come next was taken back
      return;
    }
    try {
      await caches.delete(setName(hash)); // what an interrupted attempt has left
      const cache = await caches.open(setName(hash));
      const put = ({ address, bytes, headers }: File) => {
        headers.append('server-timing', `set;desc=${hash}`);
        return cache.put(address, new Response(bytes, { headers }));
      };
      await Promise.all(files.map(put));
      if (!(await setIn(setName(hash)))) throw new Error('what was put into the cache is not what it gives back'); // also waits for the disk
    } catch (err) {
      await caches.delete(setName(hash));
      throw err;
    }
    const set = { hash, files: Object.fromEntries(files.map(({ address, hash }) => [address, hash])) };
    const first = !notes.current || notes.current.hash === hash;
    await change(first ? { current: set } : { current: notes.current, next: set });
  });
}

/** Puts down new notes, drops what they no longer name, and tells the pages. The lock is held. */
async function change(notes: Notes): Promise<void> {
  const before = await readNotes(scope);
  await writeNotes(scope, notes);
  const named = new Set(entries(notes).map(({ hash }) => setName(hash)));
  for (const name of await caches.keys()) {
    const taken = name === seenName && notes.current?.hash !== before.current?.hash;
    if (taken || (name.startsWith(setName('')) && !named.has(name))) await caches.delete(name);
  }
  for (const page of await worker.clients.matchAll({ type: 'window', includeUncontrolled: true })) page.postMessage(stateOf(notes));
}

const stateOf = ({ current, next }: Notes) => ({ vsync: 'kept', current: current?.hash ?? null, next: next?.hash ?? null });

let checking: Promise<void> | undefined;

/** Looks whether a kept file is another now. One look at a time; who asks during one gets its result. */
function check(): Promise<void> {
  return (checking ??= (async () => {
    const { current, next } = await currentNotes();
    const newest = next ?? current;
    const files = await Promise.all(others.map(load));
    const same = newest && files.every(({ address, hash }) => hash === newest.files[address]) && (await caches.has(setName(newest.hash)));
    if (!same) await collect();
  })().finally(() => (checking = undefined)));
}

/**
 * What goes wrong at a look is tried again at the next one. If the build is another, so is this worker: its successor does it, and must
 * not be waited for, as it waits for this worker to have nothing to do.
 */
async function checkQuietly(): Promise<void> {
  try {
    await check();
  } catch {
    worker.registration.update().catch(() => undefined);
  }
}

/** Makes the next set the current one. The pages that are open learn of it. */
function take(): Promise<void> {
  return lock(scope, async () => {
    const { next } = await readNotes(scope);
    if (next) await change({ current: next });
  });
}

// --- serving ----------------------------------------------------------------------------------------------------------

async function serve(event: WorkerFetchEvent): Promise<Response> {
  const { request } = event;
  const page = request.mode === 'navigate';
  const address = new URL(request.url);
  address.hash = '';
  if (page) {
    address.search = '';
    await takeIfAlone();
  }
  if (page && wanted.includes(address.href)) event.waitUntil(checkQuietly());
  const kept = await fromSet(address.href);
  return kept ?? fromNetwork(event, page);
}

/** Nobody who opens the first page has to choose. A page that is loaded again still counts as open. */
async function takeIfAlone(): Promise<void> {
  if (!(await readNotes(scope)).next) return;
  const pages = await worker.clients.matchAll({ type: 'window', includeUncontrolled: true });
  if (!pages.some(({ url }) => url.startsWith(scope))) await take();
}

async function fromSet(address: string): Promise<Response | undefined> {
  for (let before = ''; ; ) {
    const { current } = await currentNotes();
    if (!current || !(address in current.files)) return undefined;
    const response = await caches.match(address, { cacheName: setName(current.hash), ignoreVary: true });
    if (response || current.hash === before) return response;
    before = current.hash; // another set may have become the current one in between
  }
}

async function fromNetwork(event: WorkerFetchEvent, page: boolean): Promise<Response> {
  const { request } = event;
  try {
    const response = await fetch(request);
    if (worthACopy(request, response)) event.waitUntil(copy(request, response.clone()));
    return response;
  } catch {
    const copied = await caches.match(request, { cacheName: seenName, ignoreVary: true });
    const instead = copied ?? (page ? await fromSet(wanted[0] ?? scope) : undefined);
    return instead ?? Response.error();
  }
}

function worthACopy(request: Request, response: Response): boolean {
  const store = response.headers.get('cache-control') ?? '';
  return response.status === 200 && response.type === 'basic' && request.cache !== 'no-store' && !/\bno-store\b/i.test(store);
}

/** Copies are a help and no promise: what does not fit is left out. */
async function copy(request: Request, response: Response): Promise<void> {
  try {
    const cache = await caches.open(seenName);
    await cache.delete(request, { ignoreVary: true }); // so that the oldest stands first
    await cache.put(request, response);
    const all = await cache.keys();
    await Promise.all(all.slice(0, Math.max(0, all.length - SEEN)).map((old) => cache.delete(old)));
  } catch {
    // The page has its answer.
  }
}

function isOurs({ method, url, headers }: Request): boolean {
  const { origin, pathname, protocol } = new URL(url);
  if (method !== 'GET' || !protocol.startsWith('http') || headers.has('range')) return false;
  if (origin !== worker.location.origin) return wanted.includes(url);
  return !pathname.startsWith('/v1/') && pathname !== worker.location.pathname && !headers.get('accept')?.includes('text/event-stream');
}

// --- events -----------------------------------------------------------------------------------------------------------

worker.addEventListener('install', (event) => event.waitUntil(collect()));

// Its set comes with it.
worker.addEventListener('activate', (event) => event.waitUntil(take().then(() => worker.clients.claim())));

worker.addEventListener('fetch', (event) => {
  if (isOurs(event.request)) event.respondWith(serve(event));
});

worker.addEventListener('message', (event) => {
  const what = (event.data as { vsync?: unknown } | null)?.vsync;
  if (what !== 'state' && what !== 'check' && what !== 'take') return;
  const done = what === 'check' ? checkQuietly() : what === 'state' ? Promise.resolve() : worker.serviceWorker.state === 'installed' ? worker.skipWaiting() : take();
  event.waitUntil(done.then(async () => event.ports[0]?.postMessage(stateOf(await currentNotes()))));
});
