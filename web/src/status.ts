import type { ErrorCode, Problem, Receipt, Status, StatusSource, Waiting } from '../vsync.js';
import { checkFunction } from './arguments.js';
import { VsyncError } from './errors.js';
import { SEEKING, STORAGE_EVERY } from './limits.js';
import type { Reader } from './reader.js';
import { callback } from './request.js';
import { decodeValue } from './value.js';

/** STATUS as it comes. Times are 0 where there is none. */
interface Told {
  phase: Status['phase'];
  paused: boolean;
  pending: number;
  oldest: number;
  received: number;
  expected: number;
  confirmed: number;
  next: number;
  marker: string;
  mode: 'indexeddb' | 'memory';
  device: string;
  code: string;
  message: string;
  waiting: [what: '' | Waiting['for'], since: number, stalled: boolean];
  problems: [version: string, code: string, message: string, time: number, changes: [collection: string, id: string, value: Uint8Array<ArrayBuffer> | null][]][];
}

/** What can be done about a problem. */
export interface Remedies {
  retry(version: string): Promise<Receipt>;
  dismiss(version: string): Promise<void>;
}

type Storage = { usage: number; quota: number; persisted: boolean };

/** Holds the status and tells it. Each status is a new frozen object, so that two can be compared by identity. */
export class Board implements StatusSource {
  #hosting: Status['hosting'] = 'shared'; // until an engine is met
  readonly #remedies: Remedies;
  readonly #readers = new Set<(status: Status) => void>();
  readonly #later: (fn: () => void) => void;
  #told: Told = {
    phase: 'connecting', paused: false, pending: 0, oldest: 0, received: 0, expected: 0, confirmed: 0, next: 0, marker: '', mode: 'indexeddb', device: '',
    code: '', message: '', waiting: ['', 0, false], problems: [],
  };
  #problems: readonly Problem[] = Object.freeze([]);
  #storage: Storage = { usage: 0, quota: 0, persisted: false };
  #looked = -Infinity;
  #late: ReturnType<typeof setTimeout> | undefined; // of an engine that is looked for
  #current: Status;

  /** later runs a function when no packet is being read. */
  constructor(remedies: Remedies, later: (fn: () => void) => void) {
    this.#remedies = remedies;
    this.#later = later;
    this.#current = this.#make();
  }

  get current(): Status {
    return this.#current;
  }

  get device(): string {
    return this.#told.device;
  }

  subscribe(fn: (status: Status) => void): () => void {
    checkFunction('status.subscribe', fn);
    let told: Status | undefined;
    const reader = (status: Status): void => {
      if (status === told || !this.#readers.has(reader)) return;
      told = status;
      callback(fn, status);
    };
    this.#readers.add(reader);
    queueMicrotask(() => reader(this.#current));
    return () => void this.#readers.delete(reader);
  }

  /** Takes the one field of STATUS. */
  read(r: Reader): void {
    const told = r.value() as Partial<Told>;
    clearTimeout(this.#late);
    this.#told = { ...this.#told, ...told };
    if (told.problems) this.#problems = Object.freeze(told.problems.map((problem) => this.#problem(problem)));
    this.#show();
    this.look();
  }

  /** Where the engine runs from now on. */
  host(hosting: Status['hosting']): void {
    if (this.#hosting === hosting) return;
    this.#hosting = hosting;
    this.#show();
  }

  /** The engine is gone, and another one is looked for. */
  seek(why: VsyncError): void {
    const since = Date.now();
    const say = (stalled: boolean): void => {
      this.#told = { ...this.#told, waiting: ['engine', since, stalled] };
      this.#show();
    };
    this.#told = { ...this.#told, phase: 'connecting', received: 0, expected: 0, next: 0, code: why.code, message: why.message };
    say(false);
    clearTimeout(this.#late);
    this.#late = setTimeout(() => this.#told.waiting[1] === since && this.#told.waiting[0] === 'engine' && say(true), SEEKING);
  }

  /** Why the database is closed for this page, if the engine has said so. */
  get closed(): VsyncError | undefined {
    const { phase, code, message } = this.#told;
    return phase === 'closed' ? new VsyncError((code || 'CLOSED') as ErrorCode, message) : undefined;
  }

  /** The last status: closed, and why. */
  close(err: VsyncError | undefined): void {
    clearTimeout(this.#late);
    if (this.#told.phase === 'closed' && !err) return;
    this.#told = { ...this.#told, phase: 'closed', received: 0, expected: 0, next: 0, waiting: ['', 0, false], code: err?.code ?? '', message: err?.message ?? '' };
    this.#show();
  }

  #show(): void {
    this.#current = this.#make();
    this.#later(() => {
      for (const reader of [...this.#readers]) reader(this.#current);
    });
  }

  #make(): Status {
    const told = this.#told;
    const status: Status = {
      phase: told.phase,
      paused: told.paused,
      pending: told.pending,
      oldestPendingMs: told.oldest > 0 ? Math.max(0, Date.now() - told.oldest) : 0,
      hosting: this.#hosting,
      storage: Object.freeze({ mode: told.mode, ...this.#storage }),
      problems: this.#problems,
    };
    if (told.oldest > 0) status.oldestPendingAt = told.oldest;
    if (told.phase === 'catching-up') status.progress = Object.freeze({ received: told.received, expected: told.expected });
    if (told.confirmed > 0) status.lastConfirmedAt = told.confirmed;
    if (told.next > 0) status.nextAttemptAt = told.next;
    const [what, since, stalled] = told.waiting;
    if (what !== '') status.waiting = Object.freeze({ for: what, since, stalled });
    if (told.marker !== '') status.marker = told.marker;
    if (told.code !== '' || told.message !== '') status.error = Object.freeze({ code: (told.code || 'OFFLINE') as ErrorCode, message: told.message });
    return Object.freeze(status);
  }

  #problem([version, code, message, time, list]: Told['problems'][number]): Problem {
    const changes = list.map(([collection, id, value]) => Object.freeze({ collection, id, value: value ? decodeValue(value) : undefined, deleted: !value }));
    const { retry, dismiss } = this.#remedies;
    return Object.freeze({
      kind: code === 'CORRUPT' || code === 'VERSION' ? 'quarantined' : 'rejected',
      code: code as ErrorCode,
      message,
      version,
      time,
      changes: Object.freeze(changes),
      ...(changes.length === 1 ? { collection: changes[0]!.collection, id: changes[0]!.id, value: changes[0]!.value } : {}),
      retry: () => retry(version),
      dismiss: () => dismiss(version),
    });
  }

  /** Looks how full the browser's storage is, but not too often unless it must be. Where browsers do not say, nothing is shown. */
  look(must = false): void {
    const storage = storageManager();
    if (!storage || (!must && Date.now() - this.#looked < STORAGE_EVERY)) return;
    this.#looked = Date.now();
    void Promise.all([storage.estimate(), storage.persisted()]).then(
      ([{ usage = 0, quota = 0 }, persisted]) => {
        const now = { usage, quota, persisted };
        const before = this.#storage;
        if (before.usage === usage && before.quota === quota && before.persisted === persisted) return;
        this.#storage = now;
        this.#show();
      },
      () => undefined,
    );
  }
}

let asked: Promise<unknown> | undefined;

/** Asks the browser, once a page, to keep what is stored when space is short. It may refuse, and nothing depends on it. */
export async function persist(): Promise<void> {
  const storage = storageManager();
  asked ??= storage?.persisted().then((persisted) => persisted || storage.persist()).catch(() => undefined);
  await asked;
}

function storageManager(): StorageManager | undefined {
  const storage = globalThis.navigator?.storage;
  return typeof storage?.estimate === 'function' && typeof storage.persist === 'function' ? storage : undefined;
}
