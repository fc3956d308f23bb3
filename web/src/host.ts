// Where the engine runs: a SharedWorker for all tabs, or a worker of this page.
import { VsyncError, invalid } from './errors.js';

export type Hosting = 'shared' | 'tab';

/** A way to an engine that may still have to start. */
export interface Host {
  hosting: Hosting;
  port: MessagePort;
  /** Says the first message, over which the engine learns of this page. */
  say(message: object): void;
  /** Calls fn if the worker's script cannot be loaded or run. */
  onError(fn: (err: VsyncError) => void): void;
  /** This page does not need it any more. */
  release(): void;
}

/** Workers of this page, by database: one each, however often the page opens it. */
const workers = new Map<string, { worker: Worker; users: number }>();

/**
 * The engine's worker and its WebAssembly. In this form, bundlers copy the files and put their own addresses here; offline.ts has the
 * same. Inside of `new Worker(…)` they would make another worker of it, which is none of the files that are kept offline.
 */
const script = new URL('./vsync-worker.js', import.meta.url);
const engine = new URL('./vsync.wasm', import.meta.url);

export function host(name: string, wanted: 'auto' | Hosting): Host {
  checkOrigin();
  const running = workers.has(name) && wanted !== 'shared';
  try {
    if (wanted !== 'tab' && !running && typeof SharedWorker === 'function') return shared(name);
    if (wanted === 'shared') throw invalid('hosting: this browser has no SharedWorker: leave hosting out, or choose "tab"');
    return tab(name);
  } catch (err) {
    if (err instanceof VsyncError) throw err;
    throw new VsyncError('ENGINE_LOST', `the browser did not start the worker ${script.href}: ${String(err)}`, { cause: err });
  }
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

function shared(name: string): Host {
  // extendedLifetime keeps the engine through a reload of the only tab, where browsers know it.
  const worker = new SharedWorker(script, { name: `vsync:${name}`, extendedLifetime: true } as WorkerOptions);
  const { port } = worker;
  return {
    hosting: 'shared',
    port,
    say: (message) => port.postMessage(message),
    onError: (fn) => worker.addEventListener('error', (event) => fn(failed(event)), { once: true }),
    release: () => port.close(),
  };
}

function tab(name: string): Host {
  let here = workers.get(name);
  if (!here) {
    here = { worker: new Worker(script, { name: `vsync:${name}` }), users: 0 };
    workers.set(name, here);
  }
  here.users++;
  const { worker } = here;
  const { port1, port2 } = new MessageChannel();
  let released = false;
  return {
    hosting: 'tab',
    port: port1,
    say: (message) => worker.postMessage(message, [port2]),
    onError: (fn) => worker.addEventListener('error', (event) => fn(failed(event)), { once: true }),
    release: () => {
      if (released) return;
      released = true;
      port1.close();
      here.users--;
      if (here.users === 0) {
        worker.terminate();
        if (workers.get(name) === here) workers.delete(name);
      }
    },
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
