// From a name to an engine that listens: lock, worker, first messages. See wasm/port.
import { VsyncError } from './errors.js';
import { forget, host, wasm, type Hosting } from './host.js';
import { SILENCE } from './limits.js';
import { hold, whenFree } from './locks.js';
import { Link, aborted, type Listener } from './request.js';

export interface Connection {
  link: Link;
  hosting: Hosting;
  /** Lets go of everything. The link should be at its end. */
  release(): void;
}

/** Resolves when the engine runs, before HELLO. Rejects with INVALID, ENGINE_LOST, ABORTED. */
export async function connect(name: string, wanted: 'auto' | Hosting, listener: Listener, signal?: AbortSignal): Promise<Connection> {
  if (signal?.aborted) throw aborted(signal);
  const tab = `vsync:tab:${random()}`;
  const letGo = await hold(tab);
  try {
    for (;;) {
      const connection = await greet(name, wanted, tab, listener, signal);
      if (!connection) continue;
      const { link, hosting, release } = connection;
      return { link, hosting, release: () => (release(), letGo()) };
    }
  } catch (err) {
    letGo();
    throw err;
  }
}

/** Gets a worker and says the first word. Undefined if nobody has answered: a shared worker that is about to end takes pages and is gone. */
async function greet(name: string, wanted: 'auto' | Hosting, tab: string, listener: Listener, signal?: AbortSignal): Promise<Connection | undefined> {
  const { hosting, port, say, onError, release } = host(name, wanted);
  const link = new Link(port, listener);
  const heard = new AbortController();
  const engine = await new Promise<string | undefined>((resolve, reject) => {
    const lost = (err: VsyncError): void => {
      forget(name);
      reject(err);
      link.end(err);
    };
    onError((err) => heard.signal.aborted || lost(err));
    signal?.addEventListener('abort', () => reject(aborted(signal)), { signal: heard.signal });
    if (hosting === 'shared') {
      const timer = setTimeout(resolve, SILENCE, undefined);
      heard.signal.addEventListener('abort', () => clearTimeout(timer));
    }
    port.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (data instanceof Uint8Array) link.receive(data as Uint8Array<ArrayBuffer>);
      else if (isMessage(data, 'engine')) resolve(data.engine);
      else if (isMessage(data, 'lost')) lost(new VsyncError('ENGINE_LOST', data.lost));
    };
    say({ vsync: 1, wasm: wasm(), tab });
  }).catch((err: unknown) => {
    release();
    throw err;
  }).finally(() => heard.abort());
  if (engine === undefined) {
    release();
    return undefined;
  }
  const stopWaiting = whenFree(engine, () => {
    forget(name);
    link.end(new VsyncError('ENGINE_LOST', 'the engine is gone, as its worker has ended: open the database again. What was confirmed is stored; of a write that was not, look it up'));
  });
  return { link, hosting, release: () => (stopWaiting(), release()) };
}

function isMessage<K extends string>(data: unknown, key: K): data is Record<K, string> {
  return typeof data === 'object' && data !== null && typeof (data as Record<string, unknown>)[key] === 'string';
}

/** A name that no other page has. */
function random(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
