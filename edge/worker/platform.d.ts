// What is used here of Cloudflare's platform, as its documentation has it.

interface SqlCursor {
  toArray(): Record<string, unknown>[];
  raw(): IterableIterator<unknown[]>;
  readonly rowsRead: number;
  readonly rowsWritten: number;
}

interface DurableObjectState {
  readonly id: { readonly name?: string; toString(): string };
  readonly storage: {
    readonly sql: { exec(statement: string, ...args: unknown[]): SqlCursor; readonly databaseSize: number };
    transactionSync<T>(work: () => T): T;
    sync(): Promise<void>;
    getAlarm(): Promise<number | null>;
    setAlarm(at: number): Promise<void>;
    deleteAlarm(): Promise<void>;
  };
  acceptWebSocket(socket: WebSocket, tags?: string[]): void;
  getWebSockets(tag?: string): WebSocket[];
  setWebSocketAutoResponse(pair?: WebSocketRequestResponsePair): void;
  getWebSocketAutoResponseTimestamp(socket: WebSocket): Date | null;
  abort(reason?: string): void;
}

interface WebSocket {
  serializeAttachment(value: unknown): void;
  deserializeAttachment(): unknown;
}

declare class WebSocketRequestResponsePair {
  constructor(request: string, response: string);
}

declare const WebSocketPair: { new (): { 0: WebSocket; 1: WebSocket } };

interface ResponseInit {
  webSocket?: WebSocket;
}

interface Fetcher {
  fetch(request: Request): Promise<Response>;
}

interface DurableObjectNamespace {
  idFromName(name: string): unknown;
  get(id: unknown): Fetcher;
}

declare module 'node:crypto' {
  interface Hash {
    update(bytes: Uint8Array): this;
    digest(): Uint8Array;
  }
  function createHash(name: 'sha256'): Hash;
}

declare module '*.wasm' {
  const module: WebAssembly.Module;
  export default module;
}
