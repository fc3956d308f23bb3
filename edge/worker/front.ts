// The Worker in front of the databases:
//
//   GET /                page and SDK, from the assets
//   GET /v1/health       how it is, as JSON
//   GET /v1/<database>   upgrade to a WebSocket that carries vsync.1, handed to the object of that database
//
// It is JavaScript: an upgrade cannot pass through Go (syumai/workers has no status 101), and for the rest a Go program would be
// started anew for each request, which costs 5 ms of processor time where this costs none. The object's Go program, which is
// there anyway, is the place of all that needs the database.
//
// With the secret TOKEN_KEYS, a set of keys as package token reads it, devices show tokens. Without it whoever reaches the Worker may read
// and write everything: it serves its own machine alone then (wrangler dev, workerd), unless the operator says OPEN_TO = "everyone".
// It serves pages of its own origin, and those of ORIGINS.
import { keyOf, nameOf, type Settings } from './object.js';

export { Database } from './object.js';

interface Environment extends Settings {
  DATABASES: DurableObjectNamespace;
  ASSETS?: Fetcher;
  ORIGINS?: string; // scheme://host or scheme://host:port, with spaces between them
  OPEN_TO?: string;
  VERSION?: string;
}

const subprotocol = 'vsync.1';

export default {
  async fetch(request: Request, env: Environment): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (!pathname.startsWith('/v1/')) return env.ASSETS ? env.ASSETS.fetch(request) : say(404, 'there is no such page');
    const upgrade = request.headers.get('Upgrade')?.toLowerCase() === 'websocket';
    const refusal = refuse(request, env);
    if (refusal) return refusal;
    if (!upgrade) return pathname === '/v1/health' ? health(env) : say(426, 'expected a WebSocket', { Upgrade: 'websocket' });
    const name = nameOf(request);
    if (!validName(name)) return say(404, 'the name of a database has 1 to 64 characters of a-z 0-9 . _ -');
    if (!subprotocols(request).includes(subprotocol)) return say(426, `expected the subprotocol ${subprotocol}`, { 'Sec-WebSocket-Protocol': subprotocol });
    const wrong = fault(env);
    if (wrong) return say(503, wrong, { 'Retry-After': '30' });
    return env.DATABASES.get(env.DATABASES.idFromName(name)).fetch(request);
  },
};

/** Says why a request may not come in; nothing if it may. */
function refuse(request: Request, env: Environment): Response | undefined {
  const url = new URL(request.url);
  if (!env.TOKEN_KEYS && env.OPEN_TO !== 'everyone' && !isLoopback(url.hostname)) {
    return say(403, 'this hub serves its own machine alone: it asks for no tokens, so everyone could read and write everything. Set the secret TOKEN_KEYS');
  }
  const origin = request.headers.get('Origin');
  if (origin === null || origin === url.origin || (env.ORIGINS ?? '').split(/\s+/).includes(origin)) return undefined;
  return say(403, `pages of ${origin} may not use this hub; add it to ORIGINS if they should`);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || /^127\.\d+\.\d+\.\d+$/.test(host) || host === '[::1]';
}

function validName(name: string): boolean {
  return /^[a-z0-9._-]{1,64}$/.test(name) && name !== '.' && name !== '..';
}

function subprotocols(request: Request): string[] {
  return (request.headers.get('Sec-WebSocket-Protocol') ?? '').split(',').map((name) => name.trim());
}

/** What keeps the hub from working; nothing if nothing does. */
function fault(env: Environment): string | undefined {
  try {
    keyOf(env);
    return undefined;
  } catch (err) {
    return (err as Error).message;
  }
}

/** Databases are objects on their own, so there is no list of them here. */
function health(env: Environment): Response {
  const message = fault(env);
  const body = { status: message ? 'degraded' : 'ok', ...(message && { message }), version: env.VERSION ?? '', host: 'cloudflare', databases: [] };
  return Response.json(body, { status: message ? 503 : 200, headers: { 'Cache-Control': 'no-store' } });
}

function say(status: number, words: string, headers: Record<string, string> = {}): Response {
  return new Response(words + '\n', { status, headers: { 'Content-Type': 'text/plain; charset=utf-8', 'Access-Control-Allow-Origin': '*', ...headers } });
}
