// What a Worker with its objects would be billed for, counted where the platform counts it: around the class of the objects, not in it. It
// outlives their sleep, as all of them are in one isolate here, and asking for it wakes none:
//
//   GET /v1/<database>/bill   everything since the program began, as a Bill
//
// An object is awake while a handler runs or a timer is pending; that keeps it from sleeping. What passes from the last of these to its sleep
// is not billed. Heartbeats that the platform answers reach nobody here.

import { instead, type Class, type Durable, type Front } from '../wrap.js';

interface Bill {
  commits: number;
  rowsRead: number;
  rowsWritten: number; // by statements, and one for each alarm that is set
  bytes: number; // that were bound to statements which wrote
  fetches: number; // requests and upgrades: each is one of the Worker and one of an object
  messages: number; // that came through sockets
  alarms: number;
  wakings: number; // objects that began
  awake: number; // in ms
  memory: number; // of the program that began last, in bytes
}

export const bill: Bill = { commits: 0, rowsRead: 0, rowsWritten: 0, bytes: 0, fetches: 0, messages: 0, alarms: 0, wakings: 0, awake: 0, memory: 0 };

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

// The linear memory of the program that began last.
let memory: WebAssembly.Memory | undefined;

const { Instance } = WebAssembly;
WebAssembly.Instance = class extends Instance {
  constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
    super(module, imports);
    memory = this.exports['mem'] as WebAssembly.Memory;
  }
};

const sizeOf = (arg: unknown): number => (arg instanceof ArrayBuffer || ArrayBuffer.isView(arg) ? arg.byteLength : String(arg).length);

function counted(state: DurableObjectState): DurableObjectState {
  const { storage } = state;
  const sql = instead(storage.sql, {
    exec(statement, ...args) {
      const bytes = args.reduce((sum: number, arg) => sum + sizeOf(arg), 0); // now: the program's memory may grow, and its views have none then
      const cursor = storage.sql.exec(statement, ...args);
      queueMicrotask(() => { // it is read by then
        bill.rowsRead += cursor.rowsRead;
        bill.rowsWritten += cursor.rowsWritten;
        if (cursor.rowsWritten > 0) bill.bytes += bytes;
      });
      return cursor;
    },
  });
  const setAlarm = (at: number): Promise<void> => {
    bill.rowsWritten++;
    return storage.setAlarm(at);
  };
  const transactionSync: typeof storage.transactionSync = (work) => {
    bill.commits++;
    return storage.transactionSync(work);
  };
  return instead(state, { storage: instead(storage, { sql, setAlarm, transactionSync }) });
}

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

/** The Worker before them, which tells what it all was. */
export function telling<Environment>(front: Front<Environment>): Front<Environment> {
  return {
    async fetch(request, env) {
      return new URL(request.url).pathname.endsWith('/bill') ? Response.json({ ...bill, memory: memory?.buffer.byteLength ?? 0 }) : front.fetch(request, env);
    },
  };
}
