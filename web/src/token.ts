import { describe } from './errors.js';
import { TOKEN } from './frame.js';
import type { Link } from './request.js';

export type Token = string | (() => string | Promise<string>) | undefined;

/** Answers the engine, which wants a token for the hub. */
export function answer(link: Link, n: number, token: Token): void {
  const { engine } = link;
  const say = (text: string | null, why: string): void => {
    if (link.engine !== engine) return; // the one that has asked is gone
    link.say(TOKEN, n, 2, (w) => {
      if (text === null) w.nil();
      else w.str(text);
      w.str(why);
    });
  };
  void ask(token).then(
    (text) => say(text, ''),
    (err: unknown) => say(null, err instanceof Error ? err.message : String(err)),
  );
}

async function ask(token: Token): Promise<string> {
  const text: unknown = typeof token === 'function' ? await token() : token;
  if (typeof text !== 'string' || text === '') throw new Error(`the token function has to return a string, it returned ${describe(text)}`);
  return text;
}
