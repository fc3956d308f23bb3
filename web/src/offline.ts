// The page's side of the service worker, sw.ts: what keepOffline promises stands in vsync.d.ts.

export interface KeepOptions {
  /** What the page needs beside itself and the SDK: styles, scripts, pictures. Addresses, from the page's own on. */
  files?: readonly (string | URL)[];
  /** The page, if it is not the one that calls. It is also shown for addresses that are not there without a network. */
  page?: string | URL;
  /** Where the service worker is served, by the page's own server; it serves what lies beside and below. */
  worker?: string | URL;
  /** A new version of all files is there. take() has every open page load it; until then all of them stay with the one they have. */
  onUpdate?: (take: () => void) => void;
}

export interface Kept {
  /** Looks for a new version now, and says whether there is one. The service worker looks by itself when a page opens. */
  check(): Promise<boolean>;
  /** Has every open page load the new version, if there is one. */
  take(): void;
}

interface State {
  readonly vsync: 'kept';
  readonly current: string | null;
  readonly next: string | null;
}

/** The SDK's own files. The bundler of an application replaces the addresses by those that it gives them. */
const sdk = [new URL('./vsync-worker.js', import.meta.url), new URL('./vsync.wasm', import.meta.url), new URL(import.meta.url)];

export async function keepOffline({ files = [], page = location.pathname, worker = '/vsync-sw.js', onUpdate }: KeepOptions = {}): Promise<Kept> {
  const container: ServiceWorkerContainer | undefined = navigator.serviceWorker;
  if (!container) throw new Error('a service worker needs a page that came over https or from localhost, and a window that is not private');
  const address = new URL(worker, location.href);
  for (const file of [page, ...files, ...sdk]) address.searchParams.append('keep', new URL(file, location.href).href);
  await container.register(address, { updateViaCache: 'none' });
  return new Keeper(await container.ready, container, onUpdate).begin();
}

/** The set that this page came from; undefined if it came from the network. */
function origin(): string | undefined {
  const [navigation] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  return navigation?.serverTiming.find(({ name }) => name === 'set')?.description;
}

class Keeper implements Kept {
  readonly #registration: ServiceWorkerRegistration;
  readonly #container: ServiceWorkerContainer;
  readonly #onUpdate: KeepOptions['onUpdate'];
  #mine: string | null | undefined = origin();
  #told: string | null = null;

  constructor(registration: ServiceWorkerRegistration, container: ServiceWorkerContainer, onUpdate: KeepOptions['onUpdate']) {
    this.#registration = registration;
    this.#container = container;
    this.#onUpdate = onUpdate;
  }

  async begin(): Promise<this> {
    this.#container.addEventListener('message', ({ data }) => {
      if ((data as State | null)?.vsync === 'kept') this.#hear(data as State);
    });
    this.#hear(await this.#ask('state'));
    return this;
  }

  /** A page of another set than the current one would get the rest of its files from that. */
  #hear({ current, next }: State): void {
    this.#mine ??= current;
    if (current !== this.#mine) return location.reload();
    if (next !== null && next !== this.#told) this.#onUpdate?.(() => this.take());
    this.#told = next;
  }

  /** What is asked while one service worker succeeds another may be lost: then it is asked again. */
  #ask(what: string): Promise<State> {
    return new Promise((answer) => {
      const send = () => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = ({ data }: MessageEvent<State>) => {
          port1.close();
          this.#container.removeEventListener('controllerchange', send);
          answer(data);
        };
        this.#registration.active?.postMessage({ vsync: what }, [port2]);
      };
      this.#container.addEventListener('controllerchange', send);
      send();
    });
  }

  async check(): Promise<boolean> {
    await this.#registration.update();
    const { installing } = this.#registration;
    if (installing) await new Promise((done) => (installing.onstatechange = done));
    const state = await this.#ask('check');
    this.#hear(state);
    return state.next !== null;
  }

  take(): void {
    (this.#registration.waiting ?? this.#registration.active)?.postMessage({ vsync: 'take' });
  }
}
