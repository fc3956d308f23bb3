// One owner a database. A worker's end gives its lock back, but only after a while: hence the question who has it.
//
//   'who'        asks;  'I'   is a living owner's answer;  a number   says that the lock was granted at that time
//   {format: n}  asks for a program that stores another format: an owner that stores a lower one steps aside, and answers no more
import { refusal } from './database.js';
import { cancelled, Failure, taken, unavailable } from './failure.js';

/** How long one waits for the lock of an owner that does not answer, in ms, and how often one asks. */
const patience = 5000;
const askEvery = 100;

/** What an owner has to hear of. */
export interface Owner {
  /** Somebody has taken the lock by force. */
  stolen(): void;
  /** A program that stores a higher format waits for it: let go of it soon. */
  newer(): void;
}

/**
 * Takes the lock "vsync:" + name and returns what gives it back. Fails at once while a living owner has it, and after a while where it does
 * not become free.
 */
export async function lock(name: string, format: number, signal: AbortSignal, { stolen, newer }: Owner): Promise<() => void> {
  const locks = globalThis.navigator?.locks;
  if (!locks) {
    throw new Failure(unavailable, 'there are no Web Locks: the page has to come over https, or from localhost');
  }
  const channel = channelOf('vsync:lock:' + name);
  let held = false;
  let aside = false;
  let since = 0; // when it was granted
  const acquire = (options: LockOptions) =>
    new Promise<boolean>((granted, failed) => {
      const hold = (lock: Lock | null) => {
        held = lock !== null;
        if (held) channel.postMessage((since = now()));
        granted(held);
        return held ? holding : undefined;
      };
      locks.request('vsync:' + name, options, hold).catch((err: unknown) => {
        if (held) stolen();
        failed(err);
      });
    });
  let release = () => {};
  const holding = new Promise<void>((resolve) => {
    release = () => {
      held = false;
      channel.close();
      resolve();
    };
  });
  channel.onmessage = ({ data }) => {
    if (held && !aside && data?.format > format) {
      aside = true;
      newer();
    }
    if (held && !aside && data === 'who') channel.postMessage('I');
    // Somebody has been granted it later. That is no mistake of his: Chromium forgets locks when the site's data is cleared.
    if (held && data > since) stolen();
  };
  try {
    if (!(await acquire({ ifAvailable: true }))) await wait(acquire, channel, format, signal);
  } catch (err) {
    release();
    if (err instanceof Failure) throw err;
    throw refusal(err); // a browser that refuses: an opaque origin, a document that is gone
  }
  return release;
}

/** Where all owners hear each other, as far as a lock uses it. */
type Channel = Pick<BroadcastChannel, 'postMessage' | 'close'> & { onmessage: ((event: MessageEvent) => void) | null };

/** Where there is none, nobody hears and nobody answers: the lock alone says who has the database, after the time for which one waits. */
function channelOf(name: string): Channel {
  if (typeof BroadcastChannel === 'function') return new BroadcastChannel(name);
  return { onmessage: null, postMessage: () => undefined, close: () => undefined };
}

/** The time in ms, for all workers the same. */
const now = () => performance.timeOrigin + performance.now();

/** Waits in the queue for the lock, as long as no owner answers. */
async function wait(acquire: (options: LockOptions) => Promise<boolean>, channel: Channel, format: number, signal: AbortSignal): Promise<void> {
  const end = new AbortController();
  const giveUp = (failure: Failure) => end.abort(failure);
  const answered = channel.onmessage;
  const ask = () => {
    channel.postMessage({ format }); // first, so that who steps aside does not answer
    channel.postMessage('who');
  };
  channel.onmessage = (event) => {
    if (event.data === 'I') giveUp(new Failure(taken, 'another tab or worker has it open'));
    else answered?.(event);
  };
  const asking = setInterval(ask, askEvery);
  const timer = setTimeout(() => giveUp(new Failure(taken, `its owner neither answers nor ends, for ${patience / 1000} s`)), patience);
  const cancel = () => giveUp(new Failure(cancelled, 'cancelled'));
  signal.addEventListener('abort', cancel);
  if (signal.aborted) cancel();
  ask();
  try {
    await acquire({ signal: end.signal });
  } catch (err) {
    throw end.signal.aborted ? end.signal.reason : err;
  } finally {
    clearInterval(asking);
    clearTimeout(timer);
    signal.removeEventListener('abort', cancel);
  }
}
