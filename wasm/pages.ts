// The pages of an engine, and the packets that they and it exchange: the other half of pages_js.go. See wasm/port.
import { ask, call, view, type GoInstance, type Part } from './seam.js';

/** What packets come from and go to: a MessagePort, or a BroadcastChannel that only one page shares, which ignores what is transferred. */
export interface Wire {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown, transfer?: Transferable[]): void;
  close(): void;
}

/** Posts packets to the pages of one engine. */
export class Pages {
  #ports = new Map<number, Wire>();
  #due = new Set<number>();
  /** Pages that have said something since the engine has last said something to them. */
  #unanswered = new Set<number>();
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
          const packet = view(go, ptr, size).slice();
          this.#ports.get(page)?.postMessage(packet, [packet.buffer]);
        },
      },
    };
  };

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
      if (data instanceof Uint8Array) this.#receive(page, data);
      else if (data?.hangs && this.#unanswered.has(page)) hangs();
    };
    void gone.then(() => this.#close(page));
  }

  #receive(page: number, packet: Uint8Array): void {
    const ptr = ask(this.#go, 'vsync_pages_room', packet.length);
    if (!this.#go.exports) return;
    this.#unanswered.add(page);
    view(this.#go, ptr, packet.length).set(packet);
    call(this.#go, 'vsync_pages_receive', page, packet.length);
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
