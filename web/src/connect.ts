// From a name to an engine that listens: lock, worker, first messages. See wasm/port.
import { VsyncError } from './errors.js';
import { forget, host, wasm, type Hosting } from './host.js';
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
  let release = letGo;
  try {
    const at = host(name, wanted);
    const { port } = at;
    const link = new Link(port, listener);
    let stopWaiting = (): void => undefined;
    release = () => {
      stopWaiting();
      at.release();
      letGo();
    };
    const started = new AbortController();
    const engine = await new Promise<string>((resolve, reject) => {
      const lost = (err: VsyncError): void => {
        forget(name);
        reject(err);
        link.end(err);
      };
      at.onError((err) => started.signal.aborted || lost(err));
      signal?.addEventListener('abort', () => reject(aborted(signal)), { once: true, signal: started.signal });
      port.onmessage = ({ data }: MessageEvent<unknown>) => {
        if (data instanceof Uint8Array) link.receive(data as Uint8Array<ArrayBuffer>);
        else if (isMessage(data, 'engine')) resolve(data.engine);
        else if (isMessage(data, 'lost')) lost(gone(data.lost));
      };
      at.greet({ vsync: 1, wasm: wasm(), tab });
    });
    started.abort();
    stopWaiting = whenFree(engine, () => {
      forget(name);
      link.end(gone('its worker has ended'));
    });
    return { link, hosting: at.hosting, release };
  } catch (err) {
    release();
    throw err;
  }
}

function isMessage<K extends string>(data: unknown, key: K): data is Record<K, string> {
  return typeof data === 'object' && data !== null && typeof (data as Record<string, unknown>)[key] === 'string';
}

const gone = (why: string): VsyncError =>
  new VsyncError('ENGINE_LOST', `the engine is gone: ${why}. Open the database again: what was confirmed is stored, and of a write that was not, it has to be looked up`);

/** A name that no other page has. */
function random(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
