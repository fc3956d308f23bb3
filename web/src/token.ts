import { VsyncError } from './errors.js';
import { TOKEN } from './frame.js';
import type { Link } from './request.js';
import type { Subject } from './subject.js';

export type Token = string | (() => string | Promise<string>) | undefined;

/** Answers the engine, which wants a token for the hub. Where that is another user's, or one has logged out, the page has nothing to do with
 * the database any more. */
export function answer(link: Link, n: number, subject: Subject): void {
  const { engine } = link;
  const say = (text: string | null, why: string): void => {
    if (link.engine !== engine) return; // the one that has asked is gone
    link.say(TOKEN, n, 2, (w) => {
      if (text === null) w.nil();
      else w.str(text);
      w.str(why);
    });
  };
  void subject.give().then(
    (text) => say(text, ''),
    (err: unknown) => {
      say(null, err instanceof Error ? err.message : String(err));
      if (err instanceof VsyncError && (err.code === 'FORBIDDEN' || err.code === 'LOGGED_OUT')) {
        link.flush();
        link.end(err);
      }
    },
  );
}
