// What a Worker with its objects would be billed for, counted where the platform counts it: around the class of the objects, not in it. It
// outlives their sleep, as all of them are in one isolate here, and asking for it wakes none:
//
//   GET /v1/<database>/bill   everything since the program began, as a Bill
//
// An object is awake while a handler runs or a timer is pending; that keeps it from sleeping. What passes from the last of these to its sleep
// is not billed. Heartbeats that the platform answers reach nobody here.

interface Bill {
  rowsRead: number;
  rowsWritten: number; // by statements, and one for each alarm that is set
  bytes: number; // that were bound to statements which wrote
  fetches: number; // requests and upgrades: each is one of the Worker and one of an object
  messages: number; // that came through sockets
  alarms: number;
  wakings: number; // objects that began
  awake: number; // in ms
}

export const bill: Bill = { rowsRead: 0, rowsWritten: 0, bytes: 0, fetches: 0, messages: 0, alarms: 0, wakings: 0, awake: 0 };

let busy = 0;
let since = 0;

function enter(): void {
  if (busy++ === 0) since = Date.now();
}

function leave(): void {
  if (--busy === 0) bill.awake += Date.now() - since;
}

const setTimer = globalThis.setTimeout;
const clearTimer = globalThis.clearTimeout;
const pending = new Set<unknown>();

function end(timer: unknown): void {
  if (pending.delete(timer)) leave();
}

Object.assign(globalThis, {
  setTimeout: (work: (...args: unknown[]) => void, delay?: number, ...args: unknown[]) => {
    enter();
    const timer = setTimer(() => {
      try {
        work(...args);
      } finally {
        end(timer);
      }
    }, delay);
    pending.add(timer);
    return timer;
  },
  clearTimeout: (timer: ReturnType<typeof setTimeout>) => {
    clearTimer(timer);
    end(timer);
  },
});

/** An object with some of its properties replaced. */
function instead<T extends object>(of: T, parts: Partial<T>): T {
  return new Proxy(of, {
    get(target, name) {
      if (name in parts) return parts[name as keyof T];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function counted(state: DurableObjectState): DurableObjectState {
  const { storage } = state;
  const sql = instead(storage.sql, {
    exec(statement, ...args) {
      const cursor = storage.sql.exec(statement, ...args);
      queueMicrotask(() => { // it is read by then
        bill.rowsRead += cursor.rowsRead;
        bill.rowsWritten += cursor.rowsWritten;
        if (cursor.rowsWritten === 0) return;
        for (const arg of args) bill.bytes += arg instanceof ArrayBuffer ? arg.byteLength : String(arg).length;
      });
      return cursor;
    },
  });
  const setAlarm = (at: number): Promise<void> => {
    bill.rowsWritten++;
    return storage.setAlarm(at);
  };
  return instead(state, { storage: instead(storage, { sql, setAlarm }) });
}

/** What the platform calls of an object. */
interface Durable {
  fetch(request: Request): Promise<Response>;
  webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): unknown;
  webSocketClose(socket: WebSocket, code: number, reason: string): unknown;
  alarm?(): unknown;
}

type Class<Settings> = new (state: DurableObjectState, settings: Settings) => Durable;

/** A handler, during which an object is awake. */
async function during<T>(work: () => T): Promise<Awaited<T>> {
  enter();
  try {
    return await work();
  } finally {
    leave();
  }
}

/** The class of objects that are counted. */
export function billed<Settings>(inner: Class<Settings>): Class<Settings> {
  return class {
    readonly #object: Durable;

    constructor(state: DurableObjectState, settings: Settings) {
      bill.wakings++;
      this.#object = new inner(counted(state), settings);
    }

    fetch(request: Request): Promise<Response> {
      bill.fetches++;
      return during(() => this.#object.fetch(request));
    }

    webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): unknown {
      bill.messages++;
      return during(() => this.#object.webSocketMessage(socket, message));
    }

    webSocketClose(socket: WebSocket, code: number, reason: string): unknown {
      return during(() => this.#object.webSocketClose(socket, code, reason));
    }

    alarm(): unknown {
      bill.alarms++;
      return during(() => this.#object.alarm?.());
    }
  };
}

interface Front<Environment> {
  fetch(request: Request, env: Environment): Promise<Response>;
}

/** The Worker before them, which tells what it all was. */
export function telling<Environment>(front: Front<Environment>): Front<Environment> {
  return {
    async fetch(request, env) {
      return new URL(request.url).pathname.endsWith('/bill') ? Response.json(bill) : front.fetch(request, env);
    },
  };
}
