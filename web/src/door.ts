// The way to an engine that another tab has started: it listens at a BroadcastChannel that all tabs of the origin can reach. Ports cannot
// be handed over there, so a page gets a channel of its own, which is used like one.
//
//   page ─▶ {knock: true}                      is there an engine?
//   page ◀─ {open: LOCK}                       there is one, which holds this Web Lock; also said to all when it has started
//   page ─▶ {vsync, wasm, tab, to, engine}     the first word (see wasm/port), to the engine that holds this lock: over the channel
//                                              called `to` everything else is said
import type { Host } from './host.js';
import { KNOCK_EVERY } from './limits.js';
import { random } from './locks.js';

const doorOf = (name: string): BroadcastChannel => new BroadcastChannel(`vsync:door:${name}`);

/** Knocks until an engine says that it is there, other than these; undefined when the signal is aborted. */
export function knock(name: string, not: readonly string[], signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    const door = doorOf(name);
    const ask = (): void => door.postMessage({ knock: true });
    const timer = setInterval(ask, KNOCK_EVERY);
    const end = (found?: string): void => {
      clearInterval(timer);
      door.close();
      resolve(found);
    };
    signal.addEventListener('abort', () => end(), { once: true });
    door.onmessage = ({ data }: MessageEvent<{ open?: unknown } | null>) => {
      const open = data?.open;
      if (typeof open === 'string' && !not.includes(open) && !signal.aborted) end(open);
    };
    if (signal.aborted) end();
    else ask();
  });
}

/** The way to the engine that holds a lock. */
export function follow(name: string, engine: string): Host {
  const to = `vsync:port:${name}:${random()}`;
  const port = new BroadcastChannel(to);
  return {
    hosting: 'follower',
    port,
    engine,
    say: (message) => {
      const door = doorOf(name);
      door.postMessage({ ...message, to, engine });
      door.close();
    },
    onError: () => undefined, // whoever started it hears of that
    release: () => {
      // What is still to be said goes nowhere, as with the port of a worker. A channel that is closed would throw.
      port.postMessage = () => undefined;
      port.close();
    },
  };
}
