// From a name to an engine that listens: lock, worker or door, first messages. See wasm/port. revive.ts goes on when it is gone.
import { follow, knock } from './door.js';
import { VsyncError } from './errors.js';
import { choose, dedicated, forget, runs, shared, wasm, type Host, type Wanted } from './host.js';
import { DOOR, GIVE_BACK, LEADER_SILENCE, OPENING, SILENCE, WORKER_SILENCE } from './limits.js';
import { bounded, hold, random, whenFree } from './locks.js';
import { aborted } from './request.js';

/** What comes from an engine that was reached. */
export interface Receiver {
  packet(packet: Uint8Array<ArrayBuffer>): void;
  /** It is gone; told once. */
  lost(err: VsyncError): void;
}

/** An engine that runs, and knows of this page. */
export interface Reached {
  host: Host;
  /** The lock that it holds. */
  engine: string;
  /** It hangs: it is not used any more by who opens after this, and its worker, where that still works, ends it. */
  hangs(): void;
  /** Lets go of everything. */
  release(): void;
}

/** What an engine's end is called, by whoever has used it. */
export const lostEngine = (why = 'as its worker has ended'): VsyncError =>
  new VsyncError('ENGINE_LOST', `the engine is gone, ${why}: open the database again. What was confirmed is stored; of a write that was not, look it up`);

/**
 * Resolves when an engine runs, before anything is said to it but where it finds this page. `not` are the locks of engines that do not
 * have the database, so that another one is looked for; undefined if there is none. Rejects with INVALID, ENGINE_LOST, ABORTED.
 */
export async function reach(name: string, wanted: Wanted, not: readonly string[], receiver: Receiver, signal: AbortSignal): Promise<Reached | undefined> {
  if (signal.aborted) throw aborted(signal);
  const kind = choose(name, wanted);
  const tab = `vsync:tab:${random()}`;
  const letGo = await hold(tab);
  const greet = (host: Host, silence?: number): Promise<Reached | undefined> => greeted(name, host, tab, letGo, receiver, signal, silence);
  try {
    if (signal.aborted) throw aborted(signal);
    if (not.length > 0) return await atDoor(name, not, greet, signal, letGo);
    for (let silent = 0; ; ) {
      // Firefox may keep a shared worker that has ended while a page was about to reach it, and give it to all pages from then on.
      const nth = Math.floor(silent / (2 * SILENCE));
      const host = kind === 'leader' ? await elect(name, signal) : kind === 'tab' ? dedicated(name, 'tab') : shared(name, nth);
      // A shared worker that is about to end takes pages and is gone; one of this page may be killed before it holds a lock that tells of
      // it; an engine that has answered at the door may be gone since.
      const silence = kind === 'shared' ? SILENCE : host.engine === undefined ? WORKER_SILENCE : undefined;
      const reached = await greet(host, silence);
      if (reached) return reached;
      silent += silence ?? 0;
      if (silent >= OPENING) throw lostEngine(`as its worker has said nothing for ${OPENING / 1000} s`);
    }
  } catch (err) {
    letGo();
    throw err;
  }
}

/** Looks for the engine that has the database while others have not. */
async function atDoor(name: string, not: readonly string[], greet: (host: Host) => Promise<Reached | undefined>, signal: AbortSignal, letGo: () => void): Promise<Reached | undefined> {
  if (typeof BroadcastChannel !== 'function') return letGo(), undefined;
  const patience = bounded(signal, DOOR);
  const engine = await knock(name, not, patience.signal).finally(patience.end);
  if (signal.aborted) throw aborted(signal);
  const reached = engine === undefined ? undefined : await greet(follow(name, engine));
  if (!reached) letGo();
  return reached;
}

/**
 * The tab that has the lock "vsync:leader:" + name starts the worker, and the others follow. Whoever is not answered at the door waits for
 * the lock as well: its holder may vanish before it has an engine.
 */
async function elect(name: string, signal: AbortSignal): Promise<Host> {
  if (runs(name)) return dedicated(name, 'leader');
  const patience = bounded(signal, LEADER_SILENCE);
  const crown = hold(`vsync:leader:${name}`, patience.signal);
  const found = knock(name, [], patience.signal);
  const first = await Promise.race([crown.then((resign) => ({ resign, engine: undefined }), () => found.then(() => undefined)), found.then((engine) => ({ resign: undefined, engine }))]);
  patience.end();
  if (first?.resign) {
    if (!runs(name)) return dedicated(name, 'leader', first.resign);
    first.resign(); // another opening of this page was faster
    return dedicated(name, 'leader');
  }
  void crown.then((resign) => resign(), () => undefined); // it may have been granted since
  if (signal.aborted) throw aborted(signal);
  if (first?.engine !== undefined) return follow(name, first.engine);
  throw new VsyncError('ENGINE_LOST', `another tab of this site holds the engine of "${name}", and has not answered for ${LEADER_SILENCE / 1000} s: close that tab, or bring it to the front, and open the database again`);
}

/** Says the first word. Undefined if nobody has answered. */
async function greeted(name: string, host: Host, tab: string, letGo: () => void, receiver: Receiver, signal: AbortSignal, silence: number | undefined): Promise<Reached | undefined> {
  const { port } = host;
  const heard = new AbortController();
  let over = false;
  const lose = (err: VsyncError): void => {
    if (over) return;
    over = true;
    forgetting(name, host);
    receiver.lost(err);
  };
  const release = (): void => {
    over = true;
    port.onmessage = null;
    host.release();
  };
  const engine = await new Promise<string | undefined>((resolve, reject) => {
    const fail = (err: VsyncError): void => {
      if (heard.signal.aborted) return lose(err);
      forgetting(name, host);
      reject(err);
    };
    host.onError((err) => heard.signal.aborted || fail(err));
    signal.addEventListener('abort', () => reject(aborted(signal)), { signal: heard.signal });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const listen = (): void => {
      clearTimeout(timer);
      if (silence !== undefined && !heard.signal.aborted) timer = setTimeout(resolve, silence, undefined);
    };
    listen();
    heard.signal.addEventListener('abort', () => clearTimeout(timer));
    if (host.engine !== undefined) heard.signal.addEventListener('abort', whenFree(host.engine, () => resolve(undefined)));
    port.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (data instanceof Uint8Array) {
        receiver.packet(data as Uint8Array<ArrayBuffer>);
        if (port instanceof MessagePort && data.byteLength >= GIVE_BACK) port.postMessage(data.buffer, [data.buffer as ArrayBuffer]);
      } else if (isMessage(data, 'engine')) resolve(data.engine);
      else if (isMessage(data, 'starting')) listen();
      else if (isMessage(data, 'lost')) fail(new VsyncError('ENGINE_LOST', data.lost));
    };
    host.say({ vsync: 1, wasm: wasm(), tab });
  }).catch((err: unknown) => {
    release();
    throw err;
  }).finally(() => heard.abort());
  if (engine === undefined) {
    release();
    return undefined;
  }
  const stopWaiting = whenFree(engine, () => lose(lostEngine()));
  const hangs = (): void => {
    port.postMessage({ hangs: true }, []);
    forgetting(name, host);
  };
  return { host, engine, hangs, release: () => (stopWaiting(), release(), letGo()) };
}

/** A worker that failed is not used by those who open after this. */
function forgetting(name: string, host: Host): void {
  if (host.hosting !== 'shared' && host.hosting !== 'follower') forget(name);
}

function isMessage<K extends string>(data: unknown, key: K): data is Record<K, string> {
  return typeof data === 'object' && data !== null && typeof (data as Record<string, unknown>)[key] === 'string';
}
