// What the service worker notes of its sets, and the types of service workers, which the types of pages lack.

/** One set: a hash over all of it, and the hash of each file by its address. */
export interface KeptSet {
  readonly hash: string;
  readonly files: Readonly<Record<string, string>>;
}

/** current is what pages are served; next is whole, and waits. */
export interface Notes {
  readonly current?: KeptSet;
  readonly next?: KeptSet;
}

export const entries = ({ current, next }: Notes): KeptSet[] => [current, next].filter((set) => set !== undefined);

/** The notes stand in a cache like what they are about, so that both are lost together or not at all. */
const notesName = (scope: string) => `vsync ${scope} notes`;

export async function readNotes(scope: string): Promise<Notes> {
  const text = await caches.match(scope, { cacheName: notesName(scope) });
  return text ? ((await text.json()) as Notes) : {};
}

export async function writeNotes(scope: string, notes: Notes): Promise<void> {
  const cache = await caches.open(notesName(scope));
  await cache.put(scope, new Response(JSON.stringify(notes)));
}

/** One at a time, also between a worker and its successor. */
export function lock<T>(scope: string, fn: () => Promise<T>): Promise<T> {
  return navigator.locks.request(`vsync kept ${scope}`, fn) as Promise<T>;
}

// --- types ------------------------------------------------------------------------------------------------------------

interface Extendable {
  waitUntil(done: Promise<unknown>): void;
}

export interface WorkerFetchEvent extends Extendable {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

interface WorkerMessageEvent extends Extendable {
  readonly data: unknown;
  readonly ports: readonly MessagePort[];
}

interface Client {
  readonly url: string;
  postMessage(message: unknown): void;
}

/** The part of ServiceWorkerGlobalScope that is used here. */
export interface Scope {
  readonly location: Location;
  readonly registration: ServiceWorkerRegistration;
  readonly serviceWorker: ServiceWorker;
  readonly clients: {
    claim(): Promise<void>;
    matchAll(options: { type: 'window'; includeUncontrolled: boolean }): Promise<readonly Client[]>;
  };
  skipWaiting(): Promise<void>;
  addEventListener(type: 'install' | 'activate', fn: (event: Extendable) => void): void;
  addEventListener(type: 'fetch', fn: (event: WorkerFetchEvent) => void): void;
  addEventListener(type: 'message', fn: (event: WorkerMessageEvent) => void): void;
}
