// What befalls a page and its engine has to know: it is hidden or frozen, and may be gone soon; it goes on, and its network may be another.
import { HIDDEN, WAKE } from './frame.js';

/** Says HIDDEN and WAKE at once as they come. Returns the way to stop. */
export function follow(say: (kind: number) => void): () => void {
  const { document } = globalThis;
  const ends: (() => void)[] = [];
  const on = (target: EventTarget | undefined, type: string, fn: (event: Event) => void): void => {
    target?.addEventListener?.(type, fn);
    ends.push(() => target?.removeEventListener?.(type, fn));
  };
  const hidden = (): void => say(HIDDEN);
  const awake = (): void => say(WAKE);
  on(globalThis, 'pagehide', hidden);
  on(document, 'freeze', hidden);
  on(document, 'resume', awake);
  on(globalThis, 'online', awake);
  on(globalThis, 'pageshow', (event) => (event as PageTransitionEvent).persisted && awake());
  on(document, 'visibilitychange', () => (document.visibilityState === 'hidden' ? hidden() : awake()));
  return () => {
    for (const end of ends) end();
  };
}
