// The Durable Object of one database: a shell around a Go program, which is the hub. The shell decodes no frame and has no state of the
// hub's: see main_js.go.
import { ask, call, start, text, view, wake, type GoInstance, type Part } from '../../wasm/seam.js';
import { digest } from './digest.js';
import { rows, type Room } from './rows.js';
import hub from './hub.wasm';

/** What the operator has set: see wrangler.toml. */
export interface Settings {
  HUB_KEY?: string;
  TOKEN_KEYS?: string;
  LOG?: string;
  BODY_TIME?: string; // how long a body may take to come, in ms, where it is not a minute: for tests
}

const subprotocol = 'vsync.1';
/** Heartbeats as text, which the platform answers while the object sleeps. */
const beat = 'ping';
const answer = 'pong';
/** The largest frame that is accepted, in bytes; the platform would take more. */
const maxFrame = 1 << 20;
/** How long a change of a connection may wait until it is attached. While a timer runs, the object does not sleep. */
const settleAfter = 1000;
/** How many timers fire behind a turn before the next frame is worked on at once again. */
const restTimers = 2;
/** How long a device has to say hello: wire.HelloTimeout. */
const helloTime = 10_000;
/** How long a body may take to come, and a client may leave a piece of an answer unread. */
const bodyTime = 60_000;
const stallTime = 30_000;
/** Bytes of all bodies together that are on the way; all objects of an isolate share 128 MB. */
const bodiesLimit = 24 << 20;
/** What of it one subject may have: one of the largest. */
const bodiesShare = 8 << 20;

const closeNormal = 1000;
const closeText = 1003;
const closeNoCode = 1005;
const closeAbnormal = 1006;
const closeTooLarge = 1009;
const closeFault = 1011;

/** Databases of which a commit is not known to be on disks. It outlives objects: see Database.#room. */
const unsure = new Set<string>();
/** How long nothing is tried where there was no room. */
const fullFor = 5_000;

const isOpen = 1;
const isFailed = 2;

// How the reading of a body ends, as api_js.go knows it.
const bodyCame = 0;
const bodyBroken = 1;
const bodyCrowded = 2;

/** What syumai/workers leaves for us, and finds of ours: see api_js.go. */
interface Binding {
  handleRequest?(request: Request): Promise<Response>;
  stream(request: number): ReadableStream;
}

/** A request to the API under way. */
interface Asked {
  request: Request;
  out?: WritableStreamDefaultWriter<Uint8Array>;
}

const utf8 = new TextEncoder();

const numberHeader = 'Vsync-Request';

export class Database {
  readonly #state: DurableObjectState;
  readonly #settings: Settings;
  readonly #sockets = new Map<number, WebSocket>();
  readonly #numbers = new WeakMap<WebSocket, number>();
  readonly #waiting = new Map<number, ReturnType<typeof setTimeout>>();
  readonly #asked = new Map<number, Asked>();
  #bodies = 0;
  readonly #bodiesOf = new Map<string, number>();
  #name = '';
  /** A frame waits for a turn, and whether one was just had. */
  #due = false;
  #dense = false;
  #last = 0;
  #sent = new Uint8Array(0);
  #go: GoInstance | undefined;

  constructor(state: DurableObjectState, settings: Settings) {
    this.#state = state;
    this.#settings = settings;
    state.setWebSocketAutoResponse(new WebSocketRequestResponsePair(beat, answer));
    const asleep = state.getWebSockets();
    if (asleep.length > 0) this.#wakeUp(asleep);
  }

  /** An upgrade, or a request to the API, which front.ts has judged. */
  async fetch(request: Request): Promise<Response> {
    const go = this.#start(nameOf(request));
    if (request.headers.get('Upgrade') === null) return this.#answer(request);
    if (!this.#settings.TOKEN_KEYS) this.#open(go);
    const { 0: theirs, 1: ours } = new WebSocketPair();
    this.#state.acceptWebSocket(ours);
    const number = this.#number(ours);
    call(go, 'vsync_connect', number);
    if (this.#settings.TOKEN_KEYS) this.#waiting.set(number, setTimeout(() => call(go, 'vsync_late', number), helloTime));
    return new Response(null, { status: 101, webSocket: theirs, headers: { 'Sec-WebSocket-Protocol': subprotocol } });
  }

  webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): void {
    const number = this.#numbers.get(socket);
    if (number === undefined || !this.#go) return;
    if (typeof message === 'string') return this.#turnAway(socket, closeText, 'expected binary messages, got a text message');
    if (message.byteLength > maxFrame) return this.#turnAway(socket, closeTooLarge, `expected at most ${maxFrame} bytes, got ${message.byteLength}`);
    this.#say(this.#go, new Uint8Array(message));
    ask(this.#go, 'vsync_frame', number);
    this.#turn(this.#go);
  }

  /** Has the program work. What comes at once is worked on at once; what comes in dense, together, so that it shares its commit. */
  #turn(go: GoInstance): void {
    this.#due = true;
    if (!this.#dense) this.#work(go);
  }

  #work(go: GoInstance): void {
    this.#due = false;
    this.#dense = true;
    wake(go);
    this.#rest(go, restTimers);
  }

  /** Waits for what came meanwhile: the timer that a long turn has made late fires before it, the one after that does not. */
  #rest(go: GoInstance, timers: number): void {
    setTimeout(() => {
      if (this.#due) this.#work(go);
      else if (timers > 1) this.#rest(go, timers - 1);
      else this.#dense = false;
    }, 0);
  }

  /** The peer has closed, and waits for the answer. */
  webSocketClose(socket: WebSocket, code: number, reason: string): void {
    this.#turnAway(socket, code === closeNoCode || code === closeAbnormal ? closeNormal : code, reason);
  }

  webSocketError(socket: WebSocket): void {
    this.#gone(socket);
  }

  alarm(): void {
    const name = this.#storedName();
    if (name !== undefined) call(this.#open(this.#start(name)), 'vsync_alarm');
  }

  /** Has the API answer a request: one without its body, which is read when it is asked for. */
  async #answer(request: Request): Promise<Response> {
    const number = ++this.#last;
    const headers = new Headers(request.headers);
    headers.set(numberHeader, String(number));
    this.#asked.set(number, { request });
    const response = await this.#binding.handleRequest!(new Request(request.url, { method: request.method, headers }));
    await unread(request);
    return response;
  }

  /** Reads a body whole, up to a length, and gives it to the program. */
  async #read(go: GoInstance, number: number, most: number, subject: string): Promise<void> {
    const [how, bytes] = await this.#body(this.#asked.get(number)?.request.body ?? null, most, subject);
    if (!go.exports) return;
    this.#say(go, bytes);
    call(go, 'vsync_body', number, how);
  }

  async #body(stream: ReadableStream<Uint8Array> | null, most: number, subject: string): Promise<[how: number, bytes: Uint8Array]> {
    if (!stream) return [bodyCame, new Uint8Array(0)];
    const reader = stream.getReader();
    let late = false; // a reader that is cancelled may end as if all had come
    const timer = setTimeout(() => {
      late = true;
      void reader.cancel('it takes too long').catch(() => undefined);
    }, Number(this.#settings.BODY_TIME) || bodyTime);
    const parts: Uint8Array[] = [];
    let size = 0;
    let over = 0; // a client that still writes does not hear what is answered: some of what is too much is read, and let go
    let ended = false;
    let crowded = false;
    try {
      while (!ended && over < 2 * most) {
        const { done, value } = await reader.read();
        if (done) ended = true;
        else if (crowded || size >= most) over += value.length;
        else if (!this.#hold(subject, value.length)) {
          crowded = true;
          this.#free(subject, size);
          parts.length = size = 0;
        } else {
          size += value.length;
          parts.push(value);
        }
      }
      if (!crowded && !late) return [bodyCame, await new Blob(parts as BlobPart[]).bytes()];
    } catch {
      // it was broken off, here or there
    } finally {
      clearTimeout(timer);
      this.#free(subject, size);
      if (!ended) void reader.cancel('it is too long').catch(() => undefined);
    }
    return [crowded ? bodyCrowded : bodyBroken, new Uint8Array(0)];
  }

  /** Counts bytes of a body, if there is room for them: of all, and of the subject, where there are any. */
  #hold(subject: string, bytes: number): boolean {
    const of = this.#bodiesOf.get(subject) ?? 0; // a body that is too large has its share alone, and is told so
    if (this.#bodies + bytes > bodiesLimit || (subject && of > bodiesShare)) return false;
    this.#bodies += bytes;
    this.#bodiesOf.set(subject, of + bytes);
    return true;
  }

  #free(subject: string, bytes: number): void {
    const of = (this.#bodiesOf.get(subject) ?? 0) - bytes;
    this.#bodies -= bytes;
    if (of > 0) this.#bodiesOf.set(subject, of);
    else this.#bodiesOf.delete(subject);
  }

  /** Sends a piece of a stream. A client that does not read it is left. */
  async #piece(go: GoInstance, number: number, bytes: Uint8Array): Promise<void> {
    const out = this.#asked.get(number)?.out;
    const stalled = setTimeout(() => void out?.abort('nobody reads it').catch(() => undefined), stallTime);
    let taken = 0;
    try {
      await out?.write(bytes);
      taken = 1;
    } catch {
      // it is gone
    }
    clearTimeout(stalled);
    call(go, 'vsync_wrote', number, taken);
  }

  readonly #binding: Binding = {
    stream: (number) => {
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
      const asked = this.#asked.get(number);
      if (asked) asked.out = writable.getWriter();
      return readable;
    },
  };

  /** Goes on with the sockets of an object that slept. */
  #wakeUp(asleep: WebSocket[]): void {
    const name = this.#storedName();
    if (name === undefined) throw new Error('expected the name of the database beside its sockets');
    const go = this.#open(this.#start(name));
    for (const socket of asleep) {
      const kept = socket.deserializeAttachment();
      this.#say(go, kept instanceof ArrayBuffer ? new Uint8Array(kept) : new Uint8Array(0));
      ask(go, 'vsync_thaw', this.#number(socket));
    }
    wake(go);
    this.#log(`goes on with ${asleep.length} connections of ${name}`);
  }

  /** Starts the program, where it does not run. Nothing is stored by it. */
  #start(name: string): GoInstance {
    if (this.#go) return this.#go;
    this.#name = name;
    const scope = globalThis as { context?: { binding: Binding } };
    scope.context = { binding: this.#binding }; // where syumai/workers looks while it is initialized
    const go = start(hub, [rows(this.#state.storage, this.#room(name)), digest, this.#part]);
    delete scope.context;
    this.#go = go;
    go.onExit((code) => this.#died(code, go.failure));
    const key = keyOf(this.#settings);
    const said = utf8.encode(name);
    this.#say(go, said, key, utf8.encode(this.#settings.TOKEN_KEYS ?? ''));
    call(go, 'vsync_start', said.length, key.length, this.#storedName() === undefined ? 0 : 1);
    return go;
  }

  /**
   * Where there is no room, the platform may take a commit, and end the object when it has written it: what was to be told waits for that,
   * and nobody is told anything. So the life that follows such a one takes nothing for a while, and says why: then writers wait, and readers
   * stay. What it does first is no commit: opening reads.
   */
  #room(name: string): Room {
    const until = unsure.delete(name) ? Date.now() + fullFor : 0;
    let writing = false;
    return {
      full: () => Date.now() < until,
      committed: () => {
        unsure.add(name);
        if (writing) return;
        writing = true;
        void this.#state.storage.sync().then(
          () => {
            writing = false;
            unsure.delete(name);
          },
          () => undefined, // the object ends
        );
      },
    };
  }

  /** Opens the database, or makes it, where it is not open. */
  #open(go: GoInstance): GoInstance {
    if (ask(go, 'vsync_state') === isOpen) return go;
    call(go, 'vsync_open');
    const state = ask(go, 'vsync_state');
    if (state !== isOpen && state !== isFailed) this.#died(state, new Error('it has not opened its database'));
    return go;
  }

  /** What the program asks for. */
  readonly #part: Part = (go) => ({
    vsync_object: {
      send: (number: number, ptr: number, length: number) => {
        if (length > 0) this.#sent = view(go, ptr, length).slice();
        try {
          this.#sockets.get(number)?.send(this.#sent);
        } catch {
          // closed meanwhile; webSocketClose follows
        }
      },
      close: (number: number, code: number, ptr: number, length: number) => {
        const socket = this.#sockets.get(number);
        if (socket) this.#turnAway(socket, code, text(go, ptr, length));
      },
      attach: (number: number, ptr: number, length: number) => {
        this.#sockets.get(number)?.serializeAttachment(view(go, ptr, length).slice().buffer);
      },
      beaten: (number: number) => {
        const socket = this.#sockets.get(number);
        return (socket && this.#state.getWebSocketAutoResponseTimestamp(socket)?.getTime()) ?? 0;
      },
      settle: () => {
        setTimeout(() => call(go, 'vsync_settle'), settleAfter);
      },
      admitted: (number: number) => this.#admitted(number),
      made: () => {
        this.#storeName(this.#name);
        this.#log(`opens ${this.#name}`);
      },
      body: (number: number, most: number, ptr: number, length: number) => {
        void this.#read(go, number, most, text(go, ptr, length));
      },
      piece: (number: number, ptr: number, length: number) => {
        void this.#piece(go, number, view(go, ptr, length).slice());
      },
      served: (number: number) => {
        void this.#asked.get(number)?.out?.close().catch(() => undefined);
        this.#asked.delete(number);
      },
      tell: (ptr: number, length: number) => this.#log(text(go, ptr, length)),
      wake: (at: number) => {
        void this.#state.storage.setAlarm(at);
      },
    },
    workers: { ready: () => undefined },
  });

  /** Puts bytes where the program looks for what comes with a call. */
  #say(go: GoInstance, ...parts: Uint8Array[]): void {
    let at = ask(go, 'vsync_room', parts.reduce((sum, part) => sum + part.length, 0));
    for (const part of parts) {
      view(go, at, part.length).set(part);
      at += part.length;
    }
  }

  #number(socket: WebSocket): number {
    const number = ++this.#last;
    this.#sockets.set(number, socket);
    this.#numbers.set(socket, number);
    return number;
  }

  #turnAway(socket: WebSocket, code: number, reason: string): void {
    try {
      socket.close(code, reason);
    } catch {
      // closed already
    }
    this.#gone(socket);
  }

  /** A socket waits no longer for its hello, so that the object can sleep. */
  #admitted(number: number): void {
    clearTimeout(this.#waiting.get(number));
    this.#waiting.delete(number);
  }

  #gone(socket: WebSocket): void {
    const number = this.#numbers.get(socket);
    if (number === undefined) return;
    this.#numbers.delete(socket);
    this.#sockets.delete(number);
    this.#admitted(number);
    // Go may stand in the middle of closing it.
    queueMicrotask(() => this.#go && call(this.#go, 'vsync_gone', number));
  }

  /** Ends an object whose program has ended. Devices come again, and what was confirmed to them is stored. */
  #died(code: number, failure: unknown): void {
    console.error(`vsync: the hub has ended with ${code}`, failure ?? '');
    unsure.delete(this.#name); // it is not for that
    for (const socket of this.#state.getWebSockets()) {
      try {
        socket.close(closeFault, 'the hub has failed');
      } catch {
        // closed already
      }
    }
    this.#state.abort('the hub has failed');
  }

  // An alarm and a waking do not say which database they are for.
  #storedName(): string | undefined {
    const { sql } = this.#state.storage;
    if (sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'object'").toArray().length === 0) return undefined;
    return sql.exec('SELECT name FROM object').toArray()[0]?.['name'] as string | undefined;
  }

  #storeName(name: string): void {
    if (this.#storedName() !== undefined) return;
    const { sql } = this.#state.storage;
    sql.exec('CREATE TABLE IF NOT EXISTS object (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID');
    sql.exec('INSERT INTO object (name) VALUES (?)', name).toArray();
  }

  #log(line: string): void {
    if (this.#settings.LOG) console.log(`vsync: ${line}`);
  }
}

/** How much of a body that nobody wants is read, and for how long. */
const unreadMost = 256 << 10;
const unreadTime = 1_000;

/**
 * Reads what is left of a request's body, if it is not too much. Where a request is answered whose body is still to come, its connection
 * ends, and a proxy that has sent another one there has no answer for it.
 */
export async function unread(request: Request): Promise<void> {
  const { body } = request;
  if (!body || body.locked || request.bodyUsed) return;
  const reader = body.getReader();
  const cancel = (): void => void reader.cancel('nobody wants it').catch(() => undefined);
  const timer = setTimeout(cancel, unreadTime);
  try {
    for (let size = 0; size <= unreadMost; ) {
      const { done, value } = await reader.read();
      if (done) return;
      size += value.length;
    }
    cancel();
  } catch {
    // it was broken off
  } finally {
    clearTimeout(timer);
  }
}

/** The name of the database in /v1/<name> and /v1/<name>/…. */
export function nameOf(request: Request): string {
  return new URL(request.url).pathname.split('/')[2] ?? '';
}

/** The key by which a hub proves what it has accepted; it is kept outside of the data. */
export function keyOf({ HUB_KEY }: Settings): Uint8Array {
  if (!HUB_KEY || !/^[0-9a-f]{64}$/.test(HUB_KEY)) throw new Error('the secret HUB_KEY is missing: 64 hexadecimal digits, made once and kept');
  return Uint8Array.from(HUB_KEY.match(/../g)!, (pair) => parseInt(pair, 16));
}
