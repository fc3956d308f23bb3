// Requests and streams over a port: who waits for which number. The port leads to one engine; when that is gone, the next one is asked
// again for what was not answered:
//
//   attach(port) ─▶ first() ─▶ resume(): what waits is asked again ─▶ … ─▶ detach(): the engine is gone ─▶ attach(port) ─▶ …  end()
import type { ErrorCode } from '../vsync.js';
import { VsyncError, again, report } from './errors.js';
import { MAX_ENGINES } from './limits.js';
import { ASK, CANCEL, END, FAIL, ITEMS, MORE, OK, Outbox, PING, STATUS, type Fields } from './frame.js';
import { Pulse } from './pulse.js';
import { Malformed, Reader } from './reader.js';
import type { Writer } from './writer.js';

/** Where packets go to and come from: a MessagePort. */
export interface Port {
  postMessage(message: unknown, transfer: Transferable[]): void;
}

/** Who waits for a number. `fields` is how many the answer has. */
interface Waiting {
  ok?(r: Reader): void;
  fail(err: VsyncError): void;
  fields: number;
  items?(r: Reader): void;
  end?(): void;
  /** It is to be answered before the database closes. */
  write?: boolean;
  /** It is what is said before all else: without it, no write that waits is answered. */
  first?: boolean;
  /** Stops listening for the caller's signal. */
  quiet?: () => void;
  /** Says it to the next engine; false where that cannot be done. */
  again?: (out: Outbox) => boolean;
  /** How many engines were asked, and may have ended by it. */
  engines: number;
  /** It waits for what happens elsewhere, perhaps for long. */
  standing?: boolean | undefined;
}

export interface Stream {
  /** How many fields its ITEMS have. */
  fields: number;
  /** It waits for what happens elsewhere: no engine that was sound has ended by it. */
  standing?: boolean;
  items(r: Reader): void;
  end?(): void;
  fail(err: VsyncError): void;
  /** How the stream is asked for in another engine; undefined where what was told already cannot be continued. */
  again?(): Fields | undefined;
}

/** How a request is made. */
export interface Manner {
  signal?: AbortSignal | undefined;
  /** It is a write, which is answered before the database closes, and whose frame is kept as it was. */
  write?: boolean;
  /** What it says is the same each time, so that its frame need not be kept. */
  fixed?: boolean;
  /** Asking a second engine might do it twice: it fails with its engine. */
  once?: boolean;
  /** As of a stream. */
  standing?: boolean;
  /** What comes before the answer, and begins anew with another engine. */
  pieces?: { take(r: Reader): void; anew(): void };
}

/** What comes without having been asked for. */
export interface Listener {
  status(r: Reader): void;
  ask(n: number): void;
  /** The engine gives no sign of life. */
  silent(): void;
  /** The port is over; told once. */
  lost(err: VsyncError): void;
}

export class Link {
  /** What was stored for this page last, a version; empty: nothing was. */
  stored = '';
  #out = nowhere();
  #next = nowhere();
  readonly #listener: Listener;
  readonly #waiting = new Map<number, Waiting>();
  readonly #tab = crypto.getRandomValues(new Uint8Array(8));
  #writes = 0;
  #last = 0;
  #engines = 0; // that were attached
  #live = false; // resumed, and not detached since
  #over: VsyncError | undefined; // the link is
  #quitting: VsyncError | undefined; // the link will be
  #later: (() => void)[] = [];
  #reading = false;

  readonly #pulse = new Pulse({
    waits: () => this.#waits(),
    ask: () => this.#out.frame(PING, ++this.#last, 0),
    silent: () => this.#listener.silent(),
  });

  constructor(listener: Listener) {
    this.#listener = listener;
  }

  #waits(): 'answer' | 'news' | undefined {
    if (!this.#live || this.#waiting.size === 0) return undefined;
    for (const { standing } of this.#waiting.values()) if (!standing) return 'answer';
    return 'news';
  }

  /** Takes the port to an engine. Nothing but first() is said to it until resume(). */
  attach(port: Port): void {
    this.#engines++;
    this.#next = new Outbox((packet) => port.postMessage(packet, [packet.buffer]));
  }

  /** The engine is ready: it is asked for all that waits. */
  resume(): void {
    this.#live = true;
    this.#out = this.#next;
    for (const [n, waiting] of [...this.#waiting]) {
      waiting.engines++;
      if (waiting.again!(this.#out)) continue;
      this.#drop(n);
      waiting.fail(new VsyncError('ENGINE_LOST', 'the engine was lost in the middle of this, and another one cannot go on there: begin anew'));
    }
    this.#pulse.begin();
  }

  /** The engine is gone, after it was sound perhaps. What another one cannot be asked for fails with this. */
  detach(err: VsyncError, sound: boolean): void {
    this.#live = false;
    this.#pulse.end();
    this.#out = this.#next = nowhere();
    for (const [n, waiting] of [...this.#waiting]) {
      if (sound && waiting.standing) waiting.engines = 0;
      if (waiting.again && waiting.engines < MAX_ENGINES) continue;
      this.#drop(n);
      waiting.fail(again(err));
    }
  }

  /** Counts the engines, so that what is meant for one is not said to another. */
  get engine(): number {
    return this.#engines;
  }

  /** Writes the name of a write, by which every engine knows it: of a new one, or again the one that this has returned. */
  nonce(w: Writer, write = ++this.#writes): number {
    w.bin(this.#tab);
    w.int(write);
    return write;
  }

  /** What is said to an engine before all else. It fails with the engine. */
  first(kind: number, fields: number, write: Fields, answer: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#over) throw again(this.#over);
      const n = ++this.#last;
      this.#next.frame(kind, n, fields, write);
      const waiting: Waiting = { ok: (r) => (skip(r, answer), resolve()), fail: reject, fields: answer, first: true, engines: 1 };
      this.#waiting.set(n, waiting);
      if (signal) this.#listen(n, waiting, signal, reject);
    });
  }

  /** Rejects at once when the signal aborts, and tells the engine. */
  request<T>(kind: number, fields: number, write: Fields | undefined, answer: number, read: (r: Reader) => T, { signal, write: isWrite, fixed, once, standing, pieces }: Manner = {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.over) throw again(this.over);
      if (signal?.aborted) throw aborted(signal);
      const n = ++this.#last;
      const kept = this.#out.frame(kind, n, fields, write, isWrite && !fixed && !once);
      const waiting: Waiting = { ok: (r) => resolve(read(r)), fail: reject, fields: answer, engines: this.#live ? 1 : 0, standing };
      if (isWrite) waiting.write = true;
      if (pieces) waiting.items = (r) => (pieces.take(r), this.more(n, 1));
      // An application may change the values of a write, but not what else is asked for.
      if (kept) waiting.again = (out) => (out.again(kept), true);
      else if (!once || !this.#live) {
        waiting.again = (out) => {
          if (once) delete waiting.again;
          pieces?.anew();
          out.frame(kind, n, fields, write);
          return true;
        };
      }
      this.#wait(n, waiting);
      if (signal) this.#listen(n, waiting, signal, reject);
    });
  }

  #wait(n: number, waiting: Waiting): void {
    this.#waiting.set(n, waiting);
    this.#pulse.begin();
  }

  #listen(n: number, waiting: Waiting, signal: AbortSignal, reject: (err: VsyncError) => void): void {
    const abort = (): void => {
      this.cancel(n);
      reject(aborted(signal));
    };
    signal.addEventListener('abort', abort, { once: true });
    waiting.quiet = () => signal.removeEventListener('abort', abort);
  }

  /** Begins a stream, and returns its number for more() and cancel(). Throws where it cannot begin. */
  stream(kind: number, fields: number, write: Fields, to: Stream): number {
    if (this.over) throw again(this.over);
    const n = ++this.#last;
    this.#out.frame(kind, n, fields, write);
    const waiting: Waiting = { fields: to.fields, fail: (err) => to.fail(err), engines: this.#live ? 1 : 0, standing: to.standing };
    waiting.items = (r) => {
      waiting.engines = 1;
      to.items(r);
    };
    waiting.end = () => to.end?.();
    waiting.again = (out) => {
      const write = to.again?.();
      if (write) out.frame(kind, n, fields, write);
      return write !== undefined;
    };
    this.#wait(n, waiting);
    return n;
  }

  /** Says that so many ITEMS were consumed. */
  more(n: number, count: number): void {
    if (!this.#over && this.#waiting.has(n)) this.#out.frame(MORE, n, 1, (w) => w.int(count));
  }

  /** Nobody waits for this number any more. */
  cancel(n: number): void {
    if (this.#drop(n) && !this.#over) this.#out.frame(CANCEL, n, 0);
  }

  #drop(n: number): Waiting | undefined {
    const waiting = this.#waiting.get(n);
    if (waiting) {
      this.#waiting.delete(n);
      waiting.quiet?.();
    }
    return waiting;
  }

  /** Says something that is not answered, also to an engine that is not ready yet. */
  say(kind: number, n: number, fields: number, write?: Fields): void {
    if (!this.#over) this.#next.frame(kind, n, fields, write);
  }

  flush(): void {
    if (!this.#over) this.#next.flush();
  }

  /** Runs fn after the packet that is being read, or soon. Application code never runs in the middle of one. */
  later(fn: () => void): void {
    if (this.#reading) this.#later.push(fn);
    else queueMicrotask(fn);
  }

  /** Takes a packet from the port. */
  receive(packet: Uint8Array<ArrayBuffer>): void {
    if (this.#over) return;
    this.#pulse.heard();
    this.#reading = true;
    try {
      const r = new Reader(packet);
      while (r.more() && !this.#over) this.#frame(r);
    } catch (err) {
      this.end(
        err instanceof Malformed
          ? new VsyncError('PROTOCOL', `the engine said what this page cannot read, ${err.message}: reload the page, so that both are of one build`)
          : new VsyncError('INTERNAL', `reading what the engine said went wrong: ${String(err)}; open the database again`, { cause: err }),
      );
    } finally {
      this.#reading = false;
      const later = this.#later;
      if (later.length > 0) {
        this.#later = [];
        for (const fn of later) fn();
      }
    }
  }

  #frame(r: Reader): void {
    const fields = r.array() - 2;
    const kind = r.int();
    const n = r.int();
    switch (kind) {
      case OK:
        return this.#answer(r, n, fields);
      case FAIL:
        return this.#failure(r, n, fields);
      case ITEMS: {
        const to = this.#waiting.get(n);
        if (!to?.items) return skip(r, fields);
        expect(r, fields, to.fields);
        return to.items(r);
      }
      case END:
        skip(r, fields);
        return this.#drop(n)?.end?.();
      case STATUS:
        expect(r, fields, 1);
        return this.#listener.status(r);
      case ASK:
        skip(r, fields);
        return this.#listener.ask(n);
    }
    throw new Malformed('a known kind of frame', r);
  }

  #answer(r: Reader, n: number, fields: number): void {
    const waiting = this.#drop(n);
    if (!waiting?.ok) return skip(r, fields);
    try {
      expect(r, fields, waiting.fields);
      waiting.ok(r);
    } catch (err) {
      this.#waiting.set(n, waiting); // fails with the port
      throw err;
    }
  }

  #failure(r: Reader, n: number, fields: number): void {
    expect(r, fields, 2);
    const err = new VsyncError(r.name() as ErrorCode, r.str());
    if (n === 0) this.end(err);
    else this.#drop(n)?.fail(err);
  }

  /** Resolves when the writes that were called before are answered, or the signal is aborted. */
  written(signal?: AbortSignal): Promise<void> {
    const under = [...this.#waiting.values()].filter((waiting) => waiting.write);
    let left = under.length;
    if (left === 0 || signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        signal?.removeEventListener('abort', done);
        resolve();
      };
      signal?.addEventListener('abort', done);
      const answered = (): void => void (--left === 0 && done());
      for (const waiting of under) {
        const { ok, fail } = waiting;
        waiting.ok = (r) => (ok!(r), answered());
        waiting.fail = (err) => (fail(err), answered());
      }
    });
  }

  /** Why nothing goes any more. */
  get over(): VsyncError | undefined {
    return this.#over ?? this.#quitting;
  }

  /** Nothing new is taken from now on. Fails whoever waits, but for writes. */
  quit(err: VsyncError): void {
    this.#quitting = err;
    for (const [n, waiting] of this.#waiting) {
      if (waiting.write || waiting.first) continue;
      this.cancel(n);
      waiting.fail(again(err));
    }
  }

  /** Says the last request, which is answered even after quit. Nothing is waited for where the engine is gone. */
  bye(kind: number): Promise<void> {
    if (this.#over || !this.#live) return Promise.resolve();
    const n = ++this.#last;
    this.#out.frame(kind, n, 0);
    return new Promise((resolve, reject) => {
      const fail = (err: VsyncError): void => (err.code === 'CLOSED' || err.code === 'ENGINE_LOST' ? resolve() : reject(err));
      this.#wait(n, { ok: () => resolve(), fail, fields: 0, engines: 1 });
    });
  }

  /** No engine is asked any more: whoever waits, and whoever comes, fails with this. */
  end(err: VsyncError): void {
    if (this.#over) return;
    this.#over = err;
    this.#pulse.end();
    for (const [n, waiting] of this.#waiting) {
      this.#drop(n);
      waiting.fail(again(err));
    }
    this.#listener.lost(err);
  }
}

/** Where frames go while there is no engine: what waits is said again, and of the rest none has to arrive. */
const nowhere = (): Outbox => new Outbox(() => undefined);

function skip(r: Reader, fields: number): void {
  for (; fields > 0; fields--) r.skip();
}

function expect(r: Reader, fields: number, want: number): void {
  if (fields !== want) throw new Malformed(`${want} fields instead of ${fields}`, r);
}

export function aborted(signal: AbortSignal): VsyncError {
  return new VsyncError('ABORTED', 'the caller gave up: its signal was aborted', { cause: signal.reason });
}

/** Calls what an application gave; what it throws is its own affair. */
export function callback<A extends unknown[]>(fn: (...args: A) => void, ...args: A): void {
  try {
    fn(...args);
  } catch (err) {
    report(err);
  }
}
