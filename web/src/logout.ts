// A user leaves: pages that have that user's data open are not to show them to the next one. They are told, and those that could not hear
// it, as they were put aside, find it noted when they go on.
//
//   logout ─▶ entry {outs + 1} ─▶ BroadcastChannel ─▶ pages: what was to be written is, all else ends
//                        └──────▶ a page that wakes, or meets another engine: Subject.still
import { change } from './entries.js';

/** What is said to all pages of the origin: how many logouts there were with this one. */
interface Said {
  outs: number;
}

/** Undefined where browsers have none, or refuse it, as to frames that are sandboxed. */
function channelOf(name: string): BroadcastChannel | undefined {
  try {
    return new BroadcastChannel(`vsync:out:${name}`);
  } catch {
    return undefined;
  }
}

/** Forgets who opened a database last, and has all pages of this origin close it. Where it is no user's, nobody leaves. */
export async function logOut(name: string): Promise<void> {
  const { owner, outs = 1 } = await change(name, ({ last: _, ...entry }) => (entry.owner === undefined ? entry : { ...entry, outs: (entry.outs ?? 0) + 1 }));
  if (owner === undefined) return;
  const channel = channelOf(name);
  channel?.postMessage({ outs } satisfies Said);
  channel?.close();
}

/** Hears of logouts while it is open. */
export class Ear {
  readonly #name: string;
  readonly #heard: (outs: number) => void;
  #channel: BroadcastChannel | undefined;

  constructor(name: string, heard: (outs: number) => void) {
    this.#name = name;
    this.#heard = heard;
  }

  open(): void {
    if (this.#channel) return;
    this.#channel = channelOf(this.#name);
    if (this.#channel) this.#channel.onmessage = ({ data }: MessageEvent<Said>) => this.#heard(data.outs);
  }

  close(): void {
    this.#channel?.close();
    this.#channel = undefined;
  }
}
