// Where the engine runs: a SharedWorker for all tabs, a dedicated worker of the tab that leads, or one of this page alone. door.ts is the
// way to an engine that this page has not started.
import type { Status } from '../vsync.js';
import { VsyncError, invalid } from './errors.js';
import type { Port } from './request.js';

/** Where an application wants the engine. */
export type Wanted = 'auto' | 'shared' | 'leader' | 'tab';

/** How this page has it. */
export type Hosting = Status['hosting'];

/** A port that packets come from. */
export interface Wire extends Port {
  onmessage: ((event: MessageEvent<unknown>) => void) | null;
  close(): void;
}

/** A way to an engine that may still have to start. */
export interface Host {
  hosting: Hosting;
  port: Wire;
  /** The lock of the engine, where it is known before that has answered. */
  engine?: string;
  /** Says the first message, over which the engine learns of this page. */
  say(message: object): void;
  /** Calls fn if the worker's script cannot be loaded or run. */
  onError(fn: (err: VsyncError) => void): void;
  /** This page does not need it any more. */
  release(): void;
}

/** A worker of this page. */
interface Running {
  worker: Worker;
  hosting: 'leader' | 'tab';
  users: number;
  /** Lets another tab lead. */
  resign(): void;
}

/** The workers of this page, by database: one each, however often the page opens it. */
const workers = new Map<string, Running>();

/**
 * The engine's worker and its WebAssembly. In this form, bundlers copy the files and put their own addresses here; offline.ts has the
 * same. Inside of `new Worker(…)` they would make another worker of it, which is none of the files that are kept offline.
 */
const script = new URL('./vsync-worker.js', import.meta.url);
const engine = new URL('./vsync.wasm', import.meta.url);

/** Which of the three it is to be, as far as the browser can. Throws INVALID. */
export function choose(name: string, wanted: Wanted): 'shared' | 'leader' | 'tab' {
  checkOrigin();
  const running = workers.get(name);
  if (running && wanted === 'auto') return running.hosting;
  if (wanted !== 'auto' && wanted !== 'shared') return wanted;
  if (typeof SharedWorker === 'function') return 'shared';
  if (wanted === 'shared') throw invalid('hosting: this browser has no SharedWorker: leave hosting out, or choose "leader" or "tab"');
  return typeof BroadcastChannel === 'function' ? 'leader' : 'tab';
}

export const wasm = (): string => engine.href;

/** Browsers start workers from the page's own origin only. */
function checkOrigin(): void {
  const page = globalThis.location;
  if (!page || page.origin === script.origin) return;
  throw invalid(
    `vsync.js was loaded from ${script.origin}, and this page is of ${page.origin}: browsers start workers from a page's own origin only. ` +
      `Serve vsync.js, vsync-worker.js and vsync.wasm from ${page.origin === 'null' ? 'the web server of this page' : page.origin}`,
  );
}

/** The nth worker of this name: whoever is not answered by one goes on to the next. */
export function shared(name: string, nth: number): Host {
  // extendedLifetime keeps the engine through a reload of the only tab, where browsers know it.
  const worker = started(() => new SharedWorker(script, { name: `vsync${nth || ''}:${name}`, extendedLifetime: true } as WorkerOptions));
  const { port } = worker;
  return {
    hosting: 'shared',
    port,
    say: (message) => port.postMessage(message),
    onError: (fn) => worker.addEventListener('error', (event) => fn(failed(event)), { once: true }),
    release: () => port.close(),
  };
}

function started<T>(start: () => T): T {
  try {
    return start();
  } catch (err) {
    throw new VsyncError('ENGINE_LOST', `the browser did not start the worker ${script.href}: ${String(err)}`, { cause: err });
  }
}

/** Whether a worker of this page has the database. */
export const runs = (name: string): boolean => workers.has(name);

/** A worker of this page; resign is called when nobody in it needs the worker any more. */
export function dedicated(name: string, hosting: 'leader' | 'tab', resign: () => void = () => undefined): Host {
  let here = workers.get(name);
  if (!here) {
    here = { worker: started(() => new Worker(script, { name: `vsync:${name}` })), hosting, users: 0, resign };
    workers.set(name, here);
  }
  here.users++;
  const { worker } = here;
  const { port1, port2 } = new MessageChannel();
  const release = once(() => {
    port1.close();
    if (--here.users > 0) return;
    worker.terminate();
    if (workers.get(name) === here) workers.delete(name);
    here.resign();
  });
  return {
    hosting: here.hosting,
    port: port1,
    say: (message) => worker.postMessage({ ...message, door: here.hosting === 'leader' }, [port2]),
    onError: (fn) => worker.addEventListener('error', (event) => fn(failed(event)), { once: true }),
    release,
  };
}

function once(fn: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    fn();
  };
}

/** A worker that failed is not used by those who open after this. */
export function forget(name: string): void {
  workers.delete(name);
}

function failed(event: Event): VsyncError {
  const said = event instanceof ErrorEvent && event.message ? `: ${event.message}` : ': is the file there, and served as JavaScript?';
  return new VsyncError('ENGINE_LOST', `the worker ${script.href} could not be started${said}`);
}
