// One engine after the other: when one is gone, by whatever, the next is found, and is asked for what was not answered.
//
//   meet ─▶ link.resume ─▶ … ─▶ the engine is gone, or the page is put aside ─▶ link.detach ─▶ rest, until the page is awake ─▶ meet
//                                                                              no engine can be had ─▶ link.end
import { lostEngine, reach, type Reached } from './connect.js';
import { VsyncError } from './errors.js';
import type { Hosting, Wanted } from './host.js';
import { MAX_REST, OPENING, REVIVALS, SIGNS, SIGN_EVERY, STEADY } from './limits.js';
import { aborted, type Link } from './request.js';

export interface Meeting {
  name: string;
  wanted: Wanted;
  link: Link;
  /** Says the first request to an engine, HELLO or DESTROY. */
  first(signal: AbortSignal): Promise<void>;
  /** An engine is there. */
  met?(hosting: Hosting): void;
  /** It is gone, and another one is looked for. */
  seeking?(why: VsyncError): void;
  /** Why no other engine is to be asked: the database was closed for this page. */
  closed?(): VsyncError | undefined;
  /** The same of what no engine tells: rejects with why. */
  still?(): Promise<void>;
}

/** The page's hold of the engines of one database. */
export class Session {
  readonly #m: Meeting;
  #reached: Reached | undefined;
  #since = 0; // when it was met
  #hasty = 0; // engines in a row that lived for a short time
  #trying = new AbortController();
  #over = false;
  #asleep: { awake: Promise<void>; wake(): void } | undefined;

  constructor(m: Meeting) {
    this.#m = m;
  }

  /** Meets the first engine. Rejects with what it, or reach, says. Then nothing is held. */
  async begin(signal: AbortSignal | undefined): Promise<this> {
    const give = (): void => this.#trying.abort(signal?.reason);
    signal?.addEventListener('abort', give);
    if (signal?.aborted) give();
    try {
      for (let tries = 1; ; tries++) {
        const err = await this.#meet().then(() => undefined, (err: unknown) => err);
        if (err === undefined) return this;
        // An engine that was there and died before it answered was perhaps just being ended; others may take its place.
        if (!(err instanceof Died) || tries === 3) throw signal?.aborted ? aborted(signal) : err instanceof Died ? err.cause : err;
      }
    } catch (err) {
      this.release();
      throw err;
    } finally {
      signal?.removeEventListener('abort', give);
    }
  }

  get hosting(): Hosting | undefined {
    return this.#reached?.host.hosting;
  }

  /** One engine that answers the first request. Another engine's page is followed where ours cannot have the database. */
  async #meet(): Promise<void> {
    const { name, wanted, link } = this.#m;
    const not: string[] = [];
    let refusal: unknown;
    for (;;) {
      const { signal } = this.#trying;
      const receiver = { packet: (packet: Uint8Array<ArrayBuffer>) => link.receive(packet), lost: (err: VsyncError) => this.#lost(err) };
      const reached = await reach(name, wanted, not, receiver, signal);
      if (!reached) throw refusal;
      if (signal.aborted) {
        reached.release();
        throw aborted(signal);
      }
      this.#reached = reached;
      link.attach(reached.host.port);
      const late = setTimeout(() => this.#lost(lostEngine(`as it has not answered for ${OPENING / 1000} s`)), OPENING);
      const err = await this.#m.first(signal).then(() => undefined, (err: unknown) => err);
      clearTimeout(late);
      if (err === undefined) break;
      const died = this.#reached !== reached;
      this.#let();
      if (died) throw new Died(err);
      if (wanted === 'tab' || !(err instanceof VsyncError) || err.code !== 'LOCKED') throw err;
      not.push(reached.engine);
      refusal = err;
    }
    this.#since = Date.now();
    this.#m.met?.(this.#reached!.host.hosting);
    link.resume();
  }

  #let(): void {
    this.#reached?.release();
    this.#reached = undefined;
  }

  /** The engine is gone, or let go of though it is sound. While it has not answered the first request, that fails. */
  #lost(err: VsyncError, sound = false): void {
    const met = this.#since > 0;
    sound ||= met && Date.now() - this.#since > STEADY;
    this.#hasty = sound ? 0 : this.#hasty + 1;
    this.#since = 0;
    this.#let();
    this.#m.link.detach(err, sound);
    if (!met || this.#over) return;
    const closed = this.#m.closed?.();
    if (closed) return this.#m.link.end(closed);
    this.#m.seeking?.(err);
    void this.#revive(err);
  }

  async #revive(why: VsyncError): Promise<void> {
    let last: unknown = why;
    const rest = this.#hasty > 1 ? Math.min(50 * 2 ** this.#hasty, MAX_REST) : 0;
    for (let tries = 0; tries < REVIVALS.length; ) {
      await this.#asleep?.awake;
      await pause(Math.max(REVIVALS[tries]!, tries === 0 ? rest : 0));
      if (this.#over) return;
      if (this.#asleep) continue;
      const { signal } = (this.#trying = new AbortController());
      try {
        await this.#m.still?.();
        if (this.#over) return;
        await this.#meet();
        return this.#over ? this.#let() : undefined;
      } catch (err) {
        if (this.#over) return;
        if (this.#asleep || signal.aborted) continue; // it was put aside, and goes on perhaps
        last = err instanceof Died ? err.cause : err;
        tries++;
        if (last instanceof VsyncError && last.code !== 'ENGINE_LOST' && last.code !== 'LOCKED') return this.#m.link.end(last);
      }
    }
    this.#m.link.end(last instanceof VsyncError && last.code === 'LOCKED' ? lostEngine(`and another one cannot have the database (${last.message})`) : (last as VsyncError));
  }

  /** The engine gives no sign of life: another one is looked for. */
  silent(): void {
    if (this.#since === 0) return;
    this.#reached?.hangs();
    this.#lost(lostEngine(`as it has given no sign of life for ${(SIGNS * SIGN_EVERY) / 1000} s`));
  }

  /** The page is put aside: nobody else is to wait for it. What was asked for is asked again when it wakes. */
  sleep(): void {
    if (this.#over || this.#asleep) return;
    let wake = (): void => undefined;
    const awake = new Promise<void>((resolve) => (wake = resolve));
    this.#asleep = { awake, wake };
    this.#trying.abort();
    if (this.#since > 0) this.#lost(lostEngine('as this page was put aside'), true);
    this.#hasty = 0;
  }

  /** It is shown again; says whether it was put aside. */
  wake(): boolean {
    const asleep = this.#asleep;
    this.#asleep = undefined;
    asleep?.wake();
    return asleep !== undefined;
  }

  release(): void {
    this.#over = true;
    this.#since = 0;
    this.#trying.abort();
    this.wake();
    this.#let();
  }
}

/** An engine that ended before it answered. */
class Died extends Error {
  constructor(cause: unknown) {
    super('the engine ended', { cause });
  }
}

const pause = (ms: number): Promise<void> | undefined => (ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : undefined);
