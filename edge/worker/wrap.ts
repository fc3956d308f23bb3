// What is put around the class of the objects and the Worker before them, where these are counted or made to fail: bill/ and faulty/.

/** An object with some of its properties replaced. */
export function instead<T extends object>(of: T, parts: Partial<T>): T {
  return new Proxy(of, {
    get(target, name) {
      if (name in parts) return parts[name as keyof T];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** What the platform calls of an object. */
export interface Durable {
  fetch(request: Request): Promise<Response>;
  webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): unknown;
  webSocketClose(socket: WebSocket, code: number, reason: string): unknown;
  alarm?(): unknown;
}

export type Class<Settings> = new (state: DurableObjectState, settings: Settings) => Durable;

/** The Worker before the objects. */
export interface Front<Environment> {
  fetch(request: Request, env: Environment): Promise<Response>;
}
