// Web Locks tell of an end that nothing else tells of: who holds one holds it as long as it lives.
import { VsyncError, invalid } from './errors.js';

function manager(): LockManager {
  const locks = globalThis.navigator?.locks;
  if (locks) return locks;
  throw invalid('browsers give Web Locks to secure pages only, and the database needs them so that one engine writes at a time: serve the page over https, or from localhost');
}

/** Takes a lock of this page's own, which nobody else has; resolves with the way to let go of it. */
export function hold(name: string): Promise<() => void> {
  const locks = manager();
  return new Promise((resolve, reject) => {
    locks
      .request(name, () => new Promise<void>((release) => resolve(() => release())))
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
