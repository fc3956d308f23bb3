// The WebSocket of a browser for Go: the other half of package socket, which says how the two work together.
import { ask, call, text, view, wake, type GoInstance, type Part } from '../seam.js';

/** What open answers when there is nothing to wait for; see seam.go. */
const STARTED = 0, SYNTAX = 1, INSECURE = 2, FAILED = 3;

/** What is said of a connection that could not be opened, where there is no status of HTTP; see dial.go. */
const NOTHING = 0, UNREADABLE = -1, OFFLINE = -2, BLOCKED = -3;

/** How long a server may take to say why it gave no connection, in ms: the Dial is over but for that. */
const PATIENCE = 3000;

/** What is said of a page for people: no hub has one there, but networks that want their users to sign in. */
const PAGE = 'a web page';

/** The longest text of a server that is handed on, in characters: a line or two for people. */
const LONGEST_ANSWER = 300;

/** More than the longest text that may come, in characters. */
const LONGEST_BEAT = 16;

/** Addresses of this device, which it reaches without a network. */
const LOOPBACK = /^https?:\/\/([^/]*\.)?(localhost|127\.[\d.]+|\[::1\])([:/]|$)/i;

/** How often the browser's buffer is looked at while it is above the mark, in ms: soon at first, then as slow lines need it. */
const FIRST_LOOK = 2, LAST_LOOK = 32;

interface Limits {
  readonly maxMessage: number;
  readonly highWater: number;
  readonly lowWater: number;
}

/** All sockets of one program. */
class Sockets {
  readonly #byId = new Map<number, Socket>();
  /** WebSockets that the browser still has. */
  count = 0;

  constructor(readonly go: GoInstance) {
    go.onExit(() => {
      for (const [id, socket] of this.#byId) {
        socket.ws.close();
        this.forget(id);
      }
    });
  }

  open(id: number, url: string, protocol: string, limits: Limits): number {
    try {
      this.#byId.set(id, new Socket(this, id, url, protocol, limits));
      this.count++;
      return STARTED;
    } catch (err) {
      const { name } = err as Error;
      return name === 'SyntaxError' ? SYNTAX : name === 'SecurityError' ? INSECURE : FAILED;
    }
  }

  get(id: number): Socket | undefined {
    return this.#byId.get(id);
  }

  forget(id: number): void {
    this.#byId.get(id)?.silence();
    this.#byId.delete(id);
  }
}

class Socket {
  readonly ws: WebSocket;
  readonly #sockets: Sockets;
  readonly #id: number;
  readonly #limits: Limits;
  readonly #blocked: () => boolean;
  #opened = false;
  #looking: ReturnType<typeof setTimeout> | undefined;
  #asking: AbortController | undefined;

  constructor(sockets: Sockets, id: number, url: string, protocol: string, limits: Limits) {
    this.#sockets = sockets;
    this.#id = id;
    this.#limits = limits;
    this.ws = new WebSocket(url, protocol);
    this.#blocked = watchPolicy(url);
    const { ws } = this;
    const { go } = sockets;
    ws.binaryType = 'arraybuffer';
    ws.onopen = () => {
      this.#opened = true;
      this.#blocked();
      call(go, 'vsync_socket_opened', id, Number(ws.protocol === protocol));
    };
    ws.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => this.#take(data);
    ws.onclose = ({ code, reason }) => {
      sockets.count--;
      clearTimeout(this.#looking);
      if (this.#opened) {
        sockets.forget(id);
        this.#say(reason);
        call(go, 'vsync_socket_closed', id, code);
      } else {
        void this.#askWhy(url, this.#blocked());
      }
    };
  }

  /** Nothing is told any more; the browser closes what is open. */
  silence(): void {
    clearTimeout(this.#looking);
    this.#asking?.abort();
    this.#blocked();
    const { ws } = this;
    ws.onopen = ws.onmessage = ws.onclose = null;
    if (ws.readyState !== WebSocket.CLOSED) ws.onclose = () => void this.#sockets.count--;
  }

  /** Sends, and returns how much is unsent. Above the mark Go waits for a word that it is not. */
  send(bytes: Uint8Array<ArrayBuffer> | string): number {
    if (this.ws.readyState !== WebSocket.OPEN) return -1;
    this.ws.send(bytes);
    if (this.ws.bufferedAmount > this.#limits.highWater) this.#look(FIRST_LOOK);
    return this.ws.bufferedAmount;
  }

  #look(after: number): void {
    clearTimeout(this.#looking);
    this.#looking = setTimeout(() => {
      const unsent = this.ws.bufferedAmount;
      if (unsent > this.#limits.lowWater) this.#look(Math.min(after * 2, LAST_LOOK));
      else call(this.#sockets.go, 'vsync_socket_drained', this.#id, unsent);
    }, after);
  }

  #take(data: ArrayBuffer | string): void {
    const { go } = this.#sockets;
    if (typeof data === 'string') {
      this.#say(data.slice(0, LONGEST_BEAT));
      return call(go, 'vsync_socket_text', this.#id);
    }
    if (data.byteLength > this.#limits.maxMessage) return call(go, 'vsync_socket_large', this.#id);
    const place = ask(go, 'vsync_socket_room', this.#id, data.byteLength);
    if (place === 0) return wake(go); // the connection is over, and its reader has to hear of it
    view(go, place, data.byteLength).set(new Uint8Array(data));
    call(go, 'vsync_socket_message', this.#id);
  }

  /** Puts down the text of the event that is told next. */
  #say(words: string): void {
    const { go } = this.#sockets;
    const bytes = new TextEncoder().encode(words);
    const place = ask(go, 'vsync_socket_words', this.#id, bytes.length);
    if (place !== 0) view(go, place, bytes.length).set(bytes);
  }

  /** Browsers keep the reason to themselves: a request over HTTP to the same place finds out what can be found out. */
  async #askWhy(url: string, blocked: boolean): Promise<void> {
    this.#asking = new AbortController();
    const late = setTimeout(() => this.#asking?.abort(), PATIENCE);
    const [status, words] = blocked ? [BLOCKED, ''] : await answerOf(url, this.#asking.signal);
    clearTimeout(late);
    if (this.#sockets.get(this.#id) !== this) return;
    this.#say(words);
    call(this.#sockets.go, 'vsync_socket_refused', this.#id, status);
  }
}

/** Returns a function that ends the watch and says whether the page's policy has blocked this address meanwhile. */
function watchPolicy(url: string): () => boolean {
  let blocked = false;
  const note = (event: Event) => {
    const { blockedURI } = event as SecurityPolicyViolationEvent;
    blocked ||= url.startsWith(blockedURI.replace(/\/$/, ''));
  };
  addEventListener('securitypolicyviolation', note);
  return () => {
    removeEventListener('securitypolicyviolation', note);
    return blocked;
  };
}

async function answerOf(url: string, signal: AbortSignal): Promise<[status: number, words: string]> {
  const http = url.replace(/^ws/, 'http');
  const request: RequestInit = { signal, cache: 'no-store', credentials: 'omit' };
  try {
    const response = await fetch(http, request);
    const type = response.headers.get('content-type') ?? '';
    if (type.startsWith('text/html')) void response.body?.cancel();
    return [response.status, type.startsWith('text/html') ? PAGE : type.startsWith('text/plain') ? await beginning(response) : ''];
  } catch {
    // Nothing answers, or what answers is not for this page to read: only the second lets an opaque request pass.
  }
  try {
    await fetch(http, { ...request, mode: 'no-cors' });
    return [UNREADABLE, ''];
  } catch {
    return [navigator.onLine || LOOPBACK.test(http) ? NOTHING : OFFLINE, ''];
  }
}

/** The beginning of a text, without the rest of it, however long that is. */
async function beginning(response: Response): Promise<string> {
  let words = '';
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  while (reader && words.length < LONGEST_ANSWER) {
    const { done, value } = await reader.read();
    if (done) break;
    words += value;
  }
  void reader?.cancel();
  return words.trim().slice(0, LONGEST_ANSWER);
}

/** The imports of package socket. */
export const socket: Part = (go) => {
  const sockets = new Sockets(go);
  return {
    vsync_socket: {
      open: (id: number, url: number, urlLength: number, protocol: number, protocolLength: number, maxMessage: number, highWater: number, lowWater: number) =>
        sockets.open(id, text(go, url, urlLength), text(go, protocol, protocolLength), { maxMessage, highWater, lowWater }),
      send: (id: number, bytes: number, length: number, isText: number) =>
        sockets.get(id)?.send(isText ? text(go, bytes, length) : view(go, bytes, length)) ?? -1,
      close: (id: number, code: number, reason: number, length: number) => sockets.get(id)?.ws.close(code, text(go, reason, length)),
      forget: (id: number) => sockets.forget(id),
      count: () => sockets.count,
    },
  };
};
