// A scripted far end: what the SDK finds instead of a browser's workers and locks, and an engine that answers as a test says.
import { after } from "node:test";
import { load } from "./built.mjs";

export const { open, destroy, logout, VsyncError } = await load("vsync");
const { Writer } = await load("writer");
const { Reader } = await load("reader");
const { encodeValue } = await load("value");
export const frame = await load("frame");
const names = new Map(Object.entries(frame).filter(([name, kind]) => /^[A-Z]+$/.test(name) && Number.isInteger(kind) && !["PROTOCOL", "WINDOW"].includes(name)).map(([name, kind]) => [kind, name]));
for (const name of ["PIECE", "WHOLE", "DELTA", "VOID", "PART", "INITIAL", "RESET", "LOCAL", "UNFINISHED"]) if (names.get(frame[name]) === name) names.delete(frame[name]);
names.set(frame.HELLO, "HELLO").set(frame.DESTROY, "DESTROY").set(frame.GET, "GET").set(frame.GETMANY, "GETMANY").set(frame.SCAN, "SCAN");

/** A value as it stands in a frame: as a bin. */
export class Bin {
  constructor(value) {
    this.bytes = encodeValue(value);
  }
}
export const bin = (value) => new Bin(value);

export const device = "d".repeat(32);
export const version = (generation, of = device) => `${of}:${generation}`;

/** The two fields of ROWS: [id, value, generation] each, all of one device. */
export const rows = (...list) => [list.length > 0 ? [device] : [], list.map(([id, value, generation = 1, conflict = false]) => [id, bin(value), 0, generation, 1000 + generation, conflict])];

export function encode(w, v) {
  if (v === null || v === undefined) w.nil();
  else if (typeof v === "boolean") w.bool(v);
  else if (typeof v === "number") w.int(v);
  else if (typeof v === "string") w.str(v);
  else if (v instanceof Bin) w.bin(v.bytes);
  else if (Array.isArray(v)) {
    w.array(v.length);
    for (const item of v) encode(w, item);
  } else {
    w.map(Object.keys(v).length);
    for (const [key, item] of Object.entries(v)) {
      w.str(key);
      encode(w, item);
    }
  }
}

export const packet = (...frames) => {
  const w = new Writer();
  for (const [kind, n, ...fields] of frames) encode(w, [kind, n, ...fields]);
  return w.take();
};

// Bins come out as values: a test wants to see those. A value never stands outside of a bin in what pages say.
function unbin(v) {
  if (v instanceof Uint8Array) {
    const r = new Reader(v);
    return r.value();
  }
  return Array.isArray(v) ? v.map(unbin) : v;
}

/** What a page said, as {kind, n, fields}, and of a write its nonce, [tab, counter]. */
export function unpack(bytes) {
  const r = new Reader(bytes);
  const frames = [];
  while (r.more()) {
    const [kind, n, ...fields] = r.value();
    const said = { kind: names.get(kind), n };
    if ([frame.WRITE, frame.UNDO, frame.REVERT].includes(kind) && fields.length === 6) said.nonce = fields.splice(4);
    frames.push(Object.assign(said, { fields: unbin(fields) }));
  }
  return frames;
}

/** Web Locks of one origin, as far as they are used: exclusive and shared requests, first come first served. */
class Locks {
  #held = new Map();
  #queue = [];

  request(name, options, fn = options) {
    const { mode = "exclusive", signal } = fn === options ? {} : options;
    return new Promise((resolve, reject) => {
      const entry = { name, mode, fn, resolve, reject };
      signal?.addEventListener("abort", () => {
        const i = this.#queue.indexOf(entry);
        if (i >= 0) this.#queue.splice(i, 1), reject(signal.reason);
      });
      this.#queue.push(entry);
      setImmediate(() => this.#grant());
    });
  }

  #grant() {
    for (const entry of [...this.#queue]) {
      const held = this.#held.get(entry.name) ?? { exclusive: 0, shared: 0 };
      if (held.exclusive || (entry.mode === "exclusive" && held.shared)) continue;
      this.#queue.splice(this.#queue.indexOf(entry), 1);
      held[entry.mode]++;
      this.#held.set(entry.name, held);
      const done = () => {
        held[entry.mode]--;
        this.#grant();
      };
      Promise.resolve(entry.fn({ name: entry.name })).then(
        (value) => (done(), entry.resolve(value)),
        (err) => (done(), entry.reject(err)),
      );
    }
  }

  holds(name) {
    return this.#held.get(name)?.exclusive > 0;
  }
}

/** The one database of the browser that pages write to themselves, as far as entries.ts uses it. */
class Storage {
  rows = new Map();

  open() {
    const soon = (target, what) => setImmediate(() => target[what]?.());
    const transaction = () => {
      const tx = { aborted: false };
      let undo = () => undefined;
      const done = () => {
        if (tx.aborted) undo();
        soon(tx, tx.aborted ? "onabort" : "oncomplete");
      };
      tx.abort = () => (tx.aborted = true);
      tx.objectStore = () => ({
        get: (key) => {
          const request = {};
          setImmediate(() => {
            request.result = structuredClone(this.rows.get(key));
            request.onsuccess?.();
            done();
          });
          return request;
        },
        put: (value, key) => {
          const was = this.rows.get(key);
          undo = () => this.rows.set(key, was);
          this.rows.set(key, structuredClone(value));
        },
      });
      return tx;
    };
    const request = { result: { createObjectStore: () => undefined, transaction, close: () => undefined } };
    setImmediate(() => {
      request.onupgradeneeded?.();
      request.onsuccess();
    });
    return request;
  }
}

/** One worker with an engine in it, seen from the far side. */
class Worker {
  pages = [];
  terminated = false;
  #waiting = [];

  constructor(url, options, lock) {
    this.url = String(url);
    this.options = options;
    this.lock = lock;
  }

  /** The page on the other end of the n-th port that was greeted. */
  async page(n = 0) {
    while (!this.pages[n]) await new Promise((resolve) => this.#waiting.push(resolve));
    return this.pages[n];
  }

  greeted(page) {
    this.pages.push(page);
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

// Open ports keep a process alive.
const ports = [];
after(() => ports.forEach((port) => port.close()));

/** BroadcastChannels that are closed at the end. */
const { BroadcastChannel: Own } = globalThis;
class Channel extends Own {
  constructor(name) {
    super(name);
    ports.push(this);
  }
}

/** A page's port, seen from the engine. */
class Page {
  greeting;
  said = [];
  packets = 0;
  /** How often the page has said that the engine hangs. */
  hangs = 0;
  /** Buffers that the page has given back. */
  back = [];
  #waiting = [];
  answers = new Map();

  constructor(port) {
    ports.push(port);
    this.port = port;
    port.onmessage = ({ data }) => {
      if (data.hangs) return void this.hangs++;
      if (data instanceof ArrayBuffer) return void this.back.push(data);
      if (!(data instanceof Uint8Array)) {
        this.greeting = data;
        this.onGreeting?.();
        return;
      }
      this.packets++;
      for (const said of unpack(data)) {
        const answer = this.answers.get(said.kind);
        if (answer) answer(said);
        else this.said.push(said);
      }
      for (const resolve of this.#waiting.splice(0)) resolve();
    };
  }

  /** The next frame that no answer was set for; of this kind, if it is given. */
  async next(kind) {
    while (this.said.length === 0) await new Promise((resolve) => this.#waiting.push(resolve));
    const said = this.said.shift();
    if (kind && said.kind !== kind) throw new Error(`expected ${kind}, got ${JSON.stringify(said)}`);
    return said;
  }

  /** Answers every frame of a kind from now on. */
  answer(kind, fn) {
    this.answers.set(kind, fn);
  }

  send(...frames) {
    this.port.postMessage(packet(...frames));
  }
  raw(message) {
    this.port.postMessage(message);
  }
  ok(said, ...fields) {
    this.send([frame.OK, said.n, ...fields]);
  }
  fail(said, code, message = `refused: ${code}`) {
    this.send([frame.FAIL, said.n, code, message]);
  }
  items(said, ...fields) {
    this.send([frame.ITEMS, said.n, ...fields]);
  }
  end(said) {
    this.send([frame.END, said.n]);
  }
  status(fields) {
    this.send([frame.STATUS, 0, fields]);
  }
}

// A page that waits for what a test never answers looks after its engine for as long: that is no reason for the process to go on.
const set = globalThis.setTimeout;
globalThis.setTimeout = (fn, ms, ...more) => {
  const timer = set(fn, ms, ...more);
  return ms >= 5000 ? timer.unref() : timer;
};

/** Everything a page finds in a browser that has to do with engines. */
export class Browser {
  locks = new Locks();
  shared = new Map();
  dedicated = [];
  listeners = new Map();
  engines = 0;
  greeted = [];
  /** What a new engine says when a page greets it. */
  onGreeting = (page, lock) => page.raw({ engine: lock });

  install({ shared = true, locks = true, channels = false, storage } = {}) {
    const browser = this;
    const set = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    set("location", undefined);
    set("navigator", { userAgent: "test", ...(locks ? { locks: this.locks } : {}) });
    set("addEventListener", (type, fn) => this.listeners.set(type, fn));
    set("removeEventListener", (type, fn) => this.listeners.get(type) === fn && this.listeners.delete(type));
    set("document", { visibilityState: "visible", addEventListener: globalThis.addEventListener, removeEventListener: globalThis.removeEventListener });
    set("BroadcastChannel", channels ? Channel : undefined);
    set("indexedDB", storage ? new Storage() : undefined);
    set("ErrorEvent", class extends Event {});
    set("SharedWorker", shared ? class {
      constructor(url, options) {
        this.events = new EventTarget();
        const { port1, port2 } = new MessageChannel();
        this.port = port1;
        let worker = browser.shared.get(options.name);
        if (!worker) browser.shared.set(options.name, (worker = browser.#worker(url, options)));
        worker.last = this;
        browser.#greet(worker, port2);
      }
      addEventListener(...args) {
        this.events.addEventListener(...args);
      }
    } : undefined);
    set("Worker", class {
      constructor(url, options) {
        this.events = new EventTarget();
        this.worker = browser.#worker(url, options);
        this.worker.last = this;
        browser.dedicated.push(this.worker);
      }
      addEventListener(...args) {
        this.events.addEventListener(...args);
      }
      postMessage(message, [port]) {
        this.worker.door ??= message.door;
        browser.#greet(this.worker, port, message);
      }
      terminate() {
        this.worker.terminated = true;
        this.worker.letGo();
      }
    });
    return this;
  }

  #worker(url, options) {
    const lock = `engine-${++this.engines}`;
    const worker = new Worker(url, options, lock);
    this.locks.request(lock, () => new Promise((resolve) => (worker.letGo = resolve))).then(() => {
      for (const [name, shared] of this.shared) if (shared === worker) this.shared.delete(name);
    });
    return worker;
  }

  /** Opens the door of an engine that some other tab has started: pages that come in are greeted as others are. */
  elsewhere(name = "notes") {
    const worker = this.#worker("elsewhere", {});
    const door = new Channel(`vsync:door:${name}`);
    door.onmessage = ({ data }) => {
      if (data.knock) door.postMessage({ open: worker.lock });
      else if (data.engine === worker.lock) this.#greet(worker, new Channel(data.to), data);
    };
    worker.end = () => {
      door.close();
      worker.letGo();
    };
    door.postMessage({ open: worker.lock });
    return worker;
  }

  #greet(worker, port, message) {
    const page = new Page(port);
    page.onGreeting = () => {
      worker.greeted(page);
      this.greeted.push({ page, worker });
      this.onGreeting(page, worker.lock);
    };
    if (message) {
      page.greeting = message;
      setImmediate(page.onGreeting);
    }
  }

  /** The page that greets next, after so many; it has said HELLO, and got its answer. */
  async met(at, status = {}) {
    while (!this.greeted[at]) await new Promise(setImmediate);
    const { page, worker } = this.greeted[at];
    const hello = await page.next("HELLO");
    page.status({ phase: "local", device, pending: 0, problems: [], ...status });
    page.ok(hello, device);
    await settle();
    return { page, worker, hello };
  }

  /** Opens a database, with its page on the far side. */
  async open(name = "notes", options = {}, status = {}) {
    const at = this.greeted.length;
    const opening = open(name, options);
    const met = await this.met(at, status);
    return { db: await opening, ...met };
  }

  async worker(name) {
    for (;;) {
      const worker = this.shared.get(`vsync:${name}`) ?? this.dedicated.at(-1);
      if (worker && !worker.terminated) return worker;
      await new Promise(setImmediate);
    }
  }
}

/** Waits until nothing is on the way between the two ends any more. */
export async function settle() {
  for (let i = 0; i < 5; i++) await new Promise(setImmediate);
}

/** Expects a promise to reject with a code, and with words in its message. */
export async function rejects(promise, code, ...words) {
  try {
    await promise;
  } catch (err) {
    if (!(err instanceof VsyncError) || err.code !== code) throw err;
    for (const word of words) if (!err.message.includes(word)) throw new Error(`${JSON.stringify(err.message)} does not say ${JSON.stringify(word)}`);
    return err;
  }
  throw new Error(`expected ${code}, and it went well`);
}
