// What befalls a page and its engine has to know: it is hidden or frozen, and may be gone soon; it goes on, and its network may be another.
import { HIDDEN, WAKE } from './frame.js';

/** Who is told. */
export interface Follower {
  /** Says HIDDEN and WAKE at once as they come. */
  say(kind: number): void;
  /** The page is put aside, and nobody is to wait for it: in the back/forward cache it may hold no lock, frozen it does nothing. */
  sleep(how: 'cached' | 'frozen'): void;
  /** It goes on. */
  wake(): void;
}

/** Tells of it. Returns the way to stop. */
export function follow({ say, sleep, wake }: Follower): () => void {
  const { document } = globalThis;
  const ends: (() => void)[] = [];
  const on = (target: EventTarget | undefined, type: string, fn: (event: Event) => void): void => {
    target?.addEventListener?.(type, fn);
    ends.push(() => target?.removeEventListener?.(type, fn));
  };
  const persisted = (event: Event): boolean => (event as PageTransitionEvent).persisted;
  const awake = (): void => {
    wake();
    say(WAKE);
  };
  on(globalThis, 'pagehide', (event) => {
    say(HIDDEN);
    if (persisted(event)) sleep('cached');
  });
  on(document, 'freeze', () => {
    say(HIDDEN);
    sleep('frozen');
  });
  on(document, 'resume', awake);
  on(globalThis, 'online', () => say(WAKE));
  on(globalThis, 'pageshow', (event) => persisted(event) && awake());
  on(document, 'visibilitychange', () => say(document.visibilityState === 'hidden' ? HIDDEN : WAKE));
  return () => {
    for (const end of ends) end();
  };
}
