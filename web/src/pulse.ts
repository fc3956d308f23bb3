// Whether an engine that is asked something still lives. Nothing is said as long as packets come: only where something is waited for, and none
// has come since the last look, the engine is asked for a sign.
//
//   begin ─▶ look ─▶ look, nothing has come: ask ─▶ … ─▶ SIGNS asked for, and none given: silent
//              ▲  heard                                   time counts by looks: a page that slept has looked once when it wakes, and one that
//              └──────┘                                   is hidden does not count, as browsers put it off
import { NEWS_EVERY, SIGN_EVERY, SIGNS } from './limits.js';

/** Who waits for an engine. */
export interface Patient {
  /** For what: an answer, which comes by itself; or news, perhaps for long. */
  waits(): 'answer' | 'news' | undefined;
  /** Asks for a sign. */
  ask(): void;
  /** There was none. */
  silent(): void;
}

export class Pulse {
  readonly #patient: Patient;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #every = 0; // of the timer, in ms
  #heard = false; // since the last look
  #asked = 0; // signs in a row that did not come

  constructor(patient: Patient) {
    this.#patient = patient;
  }

  /** Something is waited for. */
  begin(): void {
    if (this.#timer !== undefined && this.#every === SIGN_EVERY) return;
    const waits = this.#patient.waits();
    const every = waits === 'answer' ? SIGN_EVERY : NEWS_EVERY;
    if (!waits || (this.#timer !== undefined && this.#every <= every)) return;
    if (this.#timer === undefined) this.#heard = false;
    clearTimeout(this.#timer);
    this.#every = every;
    this.#timer = setTimeout(this.#look, every);
  }

  /** A packet has come. */
  heard(): void {
    this.#heard = true;
  }

  /** There is no engine. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#asked = 0;
  }

  readonly #look = (): void => {
    this.#timer = undefined;
    const heard = this.#heard || !this.#patient.waits();
    this.#heard = false;
    if (heard) this.#asked = 0;
    else if (globalThis.document?.visibilityState !== 'hidden') {
      if (this.#asked === SIGNS) return this.#patient.silent();
      this.#asked++;
      this.#patient.ask();
    }
    this.begin();
  };
}
