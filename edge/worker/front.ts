// The Worker in front of the databases:
//
//   GET /                  page and SDK, from the assets
//   GET /v1/health         how it is, as JSON
//   GET /v1/openapi.json   what the API is, for programs
//   GET /v1/<database>     upgrade to a WebSocket that carries vsync.1, handed to the object of that database
//   /v1/<database>/…       the API for services, answered by the same object: package httpapi
//
// It is JavaScript: an upgrade cannot pass through Go (syumai/workers has no status 101), and for the rest a Go program would be
// started anew for each request, which costs 5 ms of processor time where this costs none. The object's Go program, which is
// there anyway, is the place of all that needs the database.
//
// With the secret TOKEN_KEYS, a set of keys as package token reads it, whoever comes shows a token, which the object judges. Without it whoever
// reaches the Worker may read and write everything: it serves its own machine alone then, which is whoever calls it localhost or 127.0.0.1
// (wrangler dev, workerd), unless the operator says OPEN_TO = "everyone". It serves pages of its own origin, and those of ORIGINS.
//
// Where an object ends in the middle of a request, because its program or its storage has failed, the answer is 503 CLOSED, or 507 QUOTA where
// there was no room: who asks again comes to an object that begins anew.
import openapi from '../httpapi/openapi.json';
import { keyOf, nameOf, unread, type Settings } from './object.js';
import { isFull } from './rows.js';

export { Database } from './object.js';

export interface Environment extends Settings {
  DATABASES: DurableObjectNamespace;
  ASSETS?: Fetcher;
  ORIGINS?: string; // scheme://host or scheme://host:port, host with * for any part of a name, or null; with spaces between them
  OPEN_TO?: string;
}

/** What this was built from: see ./build.sh. */
declare const VERSION: string;

const subprotocol = 'vsync.1';

export default {
  async fetch(request: Request, env: Environment): Promise<Response> {
    const response = await answer(request, env);
    if (response.status !== 101) await unread(request);
    return response;
  },
};

async function answer(request: Request, env: Environment): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (!pathname.startsWith('/v1/')) return env.ASSETS ? env.ASSETS.fetch(request) : say(request, 404, '', 'there is no such page');
  const upgrade = request.headers.get('Upgrade')?.toLowerCase() === 'websocket';
  const refusal = refuse(request, env);
  if (refusal) return say(request, 403, 'FORBIDDEN', refusal);
  const name = nameOf(request);
  if (!upgrade && pathname === '/v1/health') return health(env);
  if (!upgrade && pathname === '/v1/openapi.json') return Response.json(openapi, { headers: { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' } });
  if (!validName(name) || (upgrade && isAPI(pathname))) return say(request, 404, 'NOT_FOUND', 'the name of a database has 1 to 64 characters of a-z 0-9 . _ -');
  if (!upgrade && !isAPI(pathname)) return say(request, 426, '', 'expected a WebSocket', { Upgrade: 'websocket' });
  if (upgrade && !subprotocols(request).includes(subprotocol)) {
    return say(request, 426, '', `expected the subprotocol ${subprotocol}`, { 'Sec-WebSocket-Protocol': subprotocol });
  }
  const wrong = fault(env);
  if (wrong) return say(request, 503, 'CLOSED', wrong, { 'Retry-After': '30' });
  try {
    return await env.DATABASES.get(env.DATABASES.idFromName(name)).fetch(request);
  } catch (err) {
    return ended(request, err);
  }
}

/** What is said where an object has ended in the middle of a request. What was to be written may be there or not. */
function ended(request: Request, err: unknown): Response {
  console.error(`vsync: a request has no answer: ${String(err)}`);
  if (isFull(err)) return say(request, 507, 'QUOTA', "the hub's storage is full; nothing was taken, come back later", { 'Retry-After': '30' });
  return say(request, 503, 'CLOSED', 'the hub has ended and begins anew; ask again', { 'Retry-After': '1' });
}

/** Whether a path is more than the name of a database. */
function isAPI(pathname: string): boolean {
  return pathname.slice('/v1/'.length).includes('/');
}

/** Says why a request may not come in; nothing if it may. */
function refuse(request: Request, env: Environment): string | undefined {
  const url = new URL(request.url);
  if (!env.TOKEN_KEYS && env.OPEN_TO !== 'everyone' && !isLoopback(url.hostname)) {
    return 'this hub serves its own machine alone: it asks for no tokens, so everyone could read and write everything. Set the secret TOKEN_KEYS';
  }
  const origin = request.headers.get('Origin');
  if (origin === null || origin === url.origin || (env.ORIGINS ?? '').split(/\s+/).some((pattern) => matches(pattern, origin))) return undefined;
  return `pages of ${origin} may not use this hub; add it to ORIGINS if they should`;
}

/** Whether an origin is one that a pattern means. */
function matches(pattern: string, origin: string): boolean {
  if (!pattern.includes('*')) return pattern === origin;
  const parts = pattern.split('*').map((part) => part.replace(/[^a-z0-9]/gi, '\\$&'));
  return new RegExp(`^${parts.join('[^/]*')}$`, 'i').test(origin);
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
  } catch (err) {
    return (err as Error).message;
  }
  try {
    if (env.TOKEN_KEYS && !(JSON.parse(env.TOKEN_KEYS).keys.length > 0)) throw new Error();
  } catch {
    return 'the secret TOKEN_KEYS is no set of keys: see ./build.sh edge keys';
  }
  return undefined;
}

/** Databases are objects on their own, so there is no list of them here. */
function health(env: Environment): Response {
  const message = fault(env);
  const body = { status: message ? 'degraded' : 'ok', ...(message && { message }), version: VERSION, host: 'cloudflare', databases: [] };
  return Response.json(body, { status: message ? 503 : 200, headers: { 'Cache-Control': 'no-store' } });
}

/** Says no, to programs as they expect it. */
function say(request: Request, status: number, code: string, message: string, headers: Record<string, string> = {}): Response {
  headers = { 'Cache-Control': 'no-store', ...headers };
  if (code && isAPI(new URL(request.url).pathname)) return Response.json({ code, message }, { status, headers });
  return new Response(message + '\n', { status, headers: { 'Content-Type': 'text/plain; charset=utf-8', ...headers } });
}
