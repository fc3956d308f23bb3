import type { OpenOptions } from '../vsync.js';
import { checkText, fieldsOf, signalOf } from './arguments.js';
import { describe, invalid, quote } from './errors.js';
import type { Wanted } from './host.js';
import { encodeRules } from './rules.js';
import type { Token } from './token.js';

/** OpenOptions, checked and completed. */
export interface Options {
  feed: string; // "" for none
  token: Token;
  durability: 'relaxed' | 'strict';
  hosting: Wanted;
  signal: AbortSignal | undefined;
  rules: [collection: string, rules: Uint8Array][];
}

export function openOptions(options: OpenOptions | undefined): Options {
  fieldsOf('open', options, ['feed', 'token', 'durability', 'collections', 'hosting', 'signal']);
  const { feed, token, durability = 'relaxed', hosting = 'auto' } = options ?? {};
  if (token !== undefined && (typeof token !== 'function' && (typeof token !== 'string' || token === ''))) {
    throw invalid(`open: token: expected a string or a function that returns one, got ${describe(token)}`);
  }
  return {
    feed: feed === undefined ? '' : feedAddress(feed),
    token,
    durability: oneOf('open: durability', durability, ['relaxed', 'strict']),
    hosting: oneOf('open: hosting', hosting, ['auto', 'shared', 'leader', 'tab']),
    signal: signalOf('open', options),
    rules: encodeRules(options?.collections),
  };
}

function oneOf<T extends string>(what: string, value: T, words: readonly T[]): T {
  if (words.includes(value)) return value;
  throw invalid(`${what}: expected ${words.map((word) => `"${word}"`).join(' or ')}, got ${describe(value)}`);
}

const SOCKET: Record<string, string> = { 'ws:': 'ws:', 'wss:': 'wss:', 'http:': 'ws:', 'https:': 'wss:' };

/** The hub's address as the engine takes it: ws or wss, and no slash at the end. */
function feedAddress(feed: string | URL): string {
  const example = 'expected the address of a hub, such as "wss://hub.example.org" or "ws://localhost:8787"';
  if (!(feed instanceof URL)) checkText('open: feed', feed);
  let url: URL;
  try {
    url = new URL(feed);
  } catch {
    throw invalid(`open: feed: ${example}, got ${quote(String(feed))}`);
  }
  const protocol = SOCKET[url.protocol];
  if (!protocol) throw invalid(`open: feed: ${example}, got ${quote(url.href)}`);
  if (url.username || url.password) throw invalid('open: feed: no name and password in the address: pass a token');
  if (url.search || url.hash) throw invalid(`open: feed: ${example}, without "?" and "#", got ${quote(url.href)}`);
  return `${protocol}//${url.host}${url.pathname.replace(/\/+$/, '')}`;
}
