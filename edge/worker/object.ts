// The Durable Object of one database: a shell around a Go program, which is the hub. The shell decodes no frame and has no state of the
// hub's: see main_js.go.
import { ask, call, start, text, view, wake, type GoInstance, type Part } from '../../wasm/seam.js';
import { rows, type Cost } from './rows.js';
import hub from './hub.wasm';

/** What the operator has set: see wrangler.toml. */
export interface Settings {
  HUB_KEY?: string;
  TOKEN_KEYS?: string;
  LOG?: string;
}

const subprotocol = 'vsync.1';
/** Heartbeats as text, which the platform answers while the object sleeps. */
const beat = 'ping';
const answer = 'pong';
/** The largest frame that is accepted, in bytes; the platform would take more. */
const maxFrame = 1 << 20;
/** How long a change of a connection may wait until it is attached. While a timer runs, the object does not sleep. */
const settleAfter = 1000;

const closeNormal = 1000;
const closeText = 1003;
const closeNoCode = 1005;
const closeAbnormal = 1006;
const closeTooLarge = 1009;
const closeFault = 1011;

const isOpen = 1;
const isFailed = 2;

const utf8 = new TextEncoder();

export class Database {
  readonly #state: DurableObjectState;
  readonly #settings: Settings;
  readonly #sockets = new Map<number, WebSocket>();
  readonly #numbers = new WeakMap<WebSocket, number>();
  readonly #cost: Cost = { commits: 0, rowsRead: 0, rowsWritten: 0 };
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

  /** An upgrade that front.ts has judged. */
  async fetch(request: Request): Promise<Response> {
    const go = this.#open(nameOf(request));
    const { 0: theirs, 1: ours } = new WebSocketPair();
    this.#state.acceptWebSocket(ours);
    call(go, 'vsync_connect', this.#number(ours));
    return new Response(null, { status: 101, webSocket: theirs, headers: { 'Sec-WebSocket-Protocol': subprotocol } });
  }

  webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): void {
    const number = this.#numbers.get(socket);
    if (number === undefined || !this.#go) return;
    if (typeof message === 'string') return this.#turnAway(socket, closeText, 'expected binary messages, got a text message');
    if (message.byteLength > maxFrame) return this.#turnAway(socket, closeTooLarge, `expected at most ${maxFrame} bytes, got ${message.byteLength}`);
    this.#say(this.#go, new Uint8Array(message));
    call(this.#go, 'vsync_frame', number);
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
    if (name !== undefined) call(this.#open(name), 'vsync_alarm');
  }

  /** Goes on with the sockets of an object that slept. */
  #wakeUp(asleep: WebSocket[]): void {
    const name = this.#storedName();
    if (name === undefined) throw new Error('expected the name of the database beside its sockets');
    const go = this.#open(name);
    for (const socket of asleep) {
      const kept = socket.deserializeAttachment();
      this.#say(go, kept instanceof ArrayBuffer ? new Uint8Array(kept) : new Uint8Array(0));
      ask(go, 'vsync_thaw', this.#number(socket));
    }
    wake(go);
    this.#log(`goes on with ${asleep.length} connections of ${name}`);
  }

  /** Starts the program, where it does not run. */
  #open(name: string): GoInstance {
    if (this.#go) return this.#go;
    this.#storeName(name);
    const go = start(hub, [rows(this.#state.storage, this.#cost), this.#part]);
    this.#go = go;
    go.onExit((code) => this.#died(code, go.failure));
    const key = keyOf(this.#settings);
    const said = utf8.encode(name);
    this.#say(go, said, key, utf8.encode(this.#settings.TOKEN_KEYS ?? ''));
    call(go, 'vsync_open', said.length, key.length);
    const state = ask(go, 'vsync_state');
    if (state !== isOpen && state !== isFailed) this.#died(state, new Error('it has not opened its database'));
    this.#log(`opens ${name}`);
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
      tell: (ptr: number, length: number) => this.#log(text(go, ptr, length)),
      wake: (millis: number) => {
        void this.#state.storage.setAlarm(Date.now() + millis);
      },
    },
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

  #gone(socket: WebSocket): void {
    const number = this.#numbers.get(socket);
    if (number === undefined) return;
    this.#numbers.delete(socket);
    this.#sockets.delete(number);
    // Go may stand in the middle of closing it.
    queueMicrotask(() => this.#go && call(this.#go, 'vsync_gone', number));
  }

  /** Ends an object whose program has ended. Devices come again, and what was confirmed to them is stored. */
  #died(code: number, failure: unknown): void {
    console.error(`vsync: the hub has ended with ${code}`, failure ?? '');
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

/** The name of the database in /v1/<name>. */
export function nameOf(request: Request): string {
  return new URL(request.url).pathname.slice('/v1/'.length);
}

/** The key by which a hub proves what it has accepted; it is kept outside of the data. */
export function keyOf({ HUB_KEY }: Settings): Uint8Array {
  if (!HUB_KEY || !/^[0-9a-f]{64}$/.test(HUB_KEY)) throw new Error('the secret HUB_KEY is missing: 64 hexadecimal digits, made once and kept');
  return Uint8Array.from(HUB_KEY.match(/../g)!, (pair) => parseInt(pair, 16));
}
