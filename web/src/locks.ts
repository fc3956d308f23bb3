// Web Locks tell of an end that nothing else tells of: who holds one holds it as long as it lives.
import { VsyncError, invalid } from './errors.js';

function manager(): LockManager {
  const locks = globalThis.navigator?.locks;
  if (locks) return locks;
  throw invalid('browsers give Web Locks to secure pages only, and the database needs them so that one engine writes at a time: serve the page over https, or from localhost');
}

/** Throws INVALID where browsers give pages none of what a database needs. */
export const secure = (): void => void manager();

/** Takes a lock, and waits for it where others have it; resolves with the way to let go of it. A signal ends the waiting. */
export function hold(name: string, signal?: AbortSignal): Promise<() => void> {
  const locks = manager();
  return new Promise((resolve, reject) => {
    locks
      .request(name, signal ? { signal } : {}, () => new Promise<void>((release) => resolve(release)))
      .catch((err: unknown) => reject(new VsyncError('INVALID', `the browser gives this page no Web Lock: ${String(err)}. Frames that are sandboxed get none`, { cause: err })));
  });
}

/** Calls fn when nobody holds the lock any more. Returns the way to stop waiting. */
export function whenFree(name: string, fn: () => void): () => void {
  const stop = new AbortController();
  manager()
    .request(name, { mode: 'shared', signal: stop.signal }, () => {
      if (!stop.signal.aborted) fn();
    })
    .catch(() => undefined); // stopped
  return () => stop.abort();
}

/** A name that no other page has. */
export function random(): string {
  return hex(crypto.getRandomValues(new Uint8Array(12)));
}

export const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** A signal that is aborted with another one, after so many ms, or by end(), which is to be called. */
export function bounded(other: AbortSignal, ms: number): { signal: AbortSignal; end(): void } {
  const own = new AbortController();
  const timer = setTimeout(() => own.abort(), ms);
  const follow = (): void => own.abort(other.reason);
  other.addEventListener('abort', follow);
  if (other.aborted) follow();
  return {
    signal: own.signal,
    end: () => {
      clearTimeout(timer);
      other.removeEventListener('abort', follow);
      own.abort();
    },
  };
}
