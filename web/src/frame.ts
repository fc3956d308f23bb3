// Frames and packets, as wasm/port describes them.
import { invalid } from './errors.js';
import { Writer } from './writer.js';

/** Of all that page and engine say to each other. */
export const PROTOCOL = 4;

/** How many ITEMS of a stream may be on the way. */
export const WINDOW = 4;

export const HELLO = 1;
export const DESTROY = 2;
export const GET = 3;
export const GETMANY = 4;
export const ENTRY = 5;
export const WRITE = 6;
export const COUNT = 7;
export const SCAN = 8;
export const LIVE = 9;
export const WATCH = 10;
export const HISTORY = 11;
export const SYNCED = 12;
export const PAUSE = 13;
export const RESUME = 14;
export const DISMISS = 15;
export const RETRY = 16;
export const CLOSE = 17;
export const CANCEL = 18;
export const MORE = 19;
export const HIDDEN = 20;
export const TOKEN = 21;
export const WAKE = 22;
export const PING = 23;

export const CONFLICTS = 30;
export const LIVECONFLICTS = 31;
export const REVERT = 32;
export const UNDO = 33;
export const DIFF = 34;
export const BLAME = 35;
export const PAST = 36;
export const SCANPAST = 37;
export const CHECK = 38;

export const OK = 64;
export const FAIL = 65;
export const ITEMS = 66;
export const END = 67;
export const STATUS = 68;
export const ASK = 69;

/** Parts of a live result: a piece of the whole, its last piece, what one batch changed; the pieces so far are void; a part of what one batch changed. */
export const PIECE = 0;
export const WHOLE = 1;
export const DELTA = 2;
export const VOID = 3;
export const PART = 4;

/** Flags of a watch event. */
export const INITIAL = 1;
export const RESET = 2;
export const LOCAL = 4;
/** Other changes of the event follow. */
export const UNFINISHED = 8;

/** With so many bytes a packet leaves before the turn is over, so that the engine works while the page writes on. */
const PACKET = 128 << 10;

/** Writes the fields of a frame. What it throws undoes the frame. */
export type Fields = (w: Writer) => void;

/** Gathers the frames of a turn into a packet. */
export class Outbox {
  readonly #post: (packet: Uint8Array<ArrayBuffer>) => void;
  readonly #writer = new Writer();
  #open = false;
  #queued = false;

  constructor(post: (packet: Uint8Array<ArrayBuffer>) => void) {
    this.#post = post;
  }

  /** With keep, returns the frame as bytes of its own. */
  frame(kind: number, n: number, fields: number, write?: Fields, keep?: boolean): Uint8Array | undefined {
    if (this.#open) throw invalid('a getter in a value used the database: read first, and pass a plain value');
    const w = this.#writer;
    const start = w.off;
    this.#open = true;
    try {
      w.array(2 + fields);
      w.int(kind);
      w.int(n);
      write?.(w);
    } catch (err) {
      w.off = start;
      throw err;
    } finally {
      this.#open = false;
    }
    const kept = keep ? w.buf.slice(start, w.off) : undefined;
    this.#written();
    return kept;
  }

  /** Adds a frame that was kept. */
  again(frame: Uint8Array): void {
    this.#writer.raw(frame, 0, frame.length);
    this.#written();
  }

  #written(): void {
    if (this.#writer.off >= PACKET) this.flush();
    else if (!this.#queued) {
      this.#queued = true;
      queueMicrotask(this.flush);
    }
  }

  readonly flush = (): void => {
    this.#queued = false;
    if (this.#writer.off > 0 && !this.#open) this.#post(this.#writer.take());
  };
}
