// The pages of an engine, and the packets that they and it exchange: the other half of pages_js.go. See wasm/port.
import { ask, call, view, type GoInstance, type Part } from './seam.js';

/** What packets come from and go to: a MessagePort, or a BroadcastChannel that only one page shares, which ignores what is transferred. */
export interface Wire {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown, transfer?: Transferable[]): void;
  close(): void;
}

/** Buffers that packets came in, to be used again: as many at most, and of so many bytes, as small ones would push out those that matter. */
const SPARES = 8;
const SPARE_LEAST = 2048;
const SPARE_MOST = 256 << 10;

/** Posts packets to the pages of one engine. */
export class Pages {
  #ports = new Map<number, Wire>();
  #due = new Set<number>();
  /** Pages that have said something since the engine has last said something to them. */
  #unanswered = new Set<number>();
  #spares: ArrayBuffer[] = [];
  #go!: GoInstance;
  #last = 0;

  /** The imports of the engine. A packet is posted when the turn ends in which Go began it. */
  readonly part: Part = (go) => {
    this.#go = go;
    return {
      vsync_pages: {
        due: (page: number) => {
          if (this.#due.size === 0) queueMicrotask(() => this.#flush());
          this.#due.add(page);
        },
        post: (page: number, ptr: number, size: number) => {
          this.#unanswered.delete(page);
          const packet = this.#packet(view(go, ptr, size));
          this.#ports.get(page)?.postMessage(packet, [packet.buffer]);
        },
      },
    };
  };

  /** A copy of the bytes in a buffer of its own; in one that was used before, if that is not twice as long. */
  #packet(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    const n = bytes.length;
    const at = this.#spares.findIndex((spare) => spare.byteLength >= n && spare.byteLength <= 2 * n);
    if (at < 0) return bytes.slice();
    const packet = new Uint8Array(this.#spares.splice(at, 1)[0]!, 0, n);
    packet.set(bytes);
    return packet;
  }

  #spare(buffer: ArrayBuffer): void {
    const n = buffer.byteLength;
    if (n >= SPARE_LEAST && n <= SPARE_MOST && this.#spares.push(buffer) > SPARES) this.#spares.shift();
  }

  #flush(): void {
    const due = [...this.#due];
    this.#due.clear();
    for (const page of due) ask(this.#go, 'vsync_pages_flush', page);
  }

  /**
   * Serves a page. The port's messages are the engine's from now on. hangs is called when the page says so of the engine, and that has not
   * answered what the page said before, though it could: it runs until all of it waits before the next message comes.
   */
  open(port: Wire, gone: Promise<unknown>, hangs: () => void): void {
    const page = ++this.#last;
    this.#ports.set(page, port);
    call(this.#go, 'vsync_pages_open', page);
    port.onmessage = ({ data }) => {
      if (data instanceof Uint8Array) this.#receive(page, data as Uint8Array<ArrayBuffer>);
      else if (data instanceof ArrayBuffer) this.#spare(data);
      else if (data?.hangs && this.#unanswered.has(page)) hangs();
    };
    void gone.then(() => this.#close(page));
  }

  #receive(page: number, packet: Uint8Array<ArrayBuffer>): void {
    const ptr = ask(this.#go, 'vsync_pages_room', packet.length);
    if (!this.#go.exports) return;
    this.#unanswered.add(page);
    view(this.#go, ptr, packet.length).set(packet);
    call(this.#go, 'vsync_pages_receive', page, packet.length);
    this.#spare(packet.buffer);
  }

  #close(page: number): void {
    const port = this.#ports.get(page);
    if (!port) return;
    this.#ports.delete(page);
    this.#unanswered.delete(page);
    port.close();
    call(this.#go, 'vsync_pages_gone', page);
  }

  online(): void {
    if (this.#go.exports) call(this.#go, 'vsync_pages_online');
  }

  /** Tells all pages that the engine has ended. */
  lost(message: string): void {
    for (const port of this.#ports.values()) port.postMessage({ lost: message });
    this.#ports.clear();
  }
}
