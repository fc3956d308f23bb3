// The SQLite of a Durable Object: the other half of rows/rows_js.go, which says how bytes cross.
import { text, view, type Part } from '../../wasm/seam.js';

// The results below zero: kinds of failures, with the size of their text above these bits.
const missing = -1;
const failed = 2;
const noSpace = 3;
const kindBits = 4;
const longestText = 1024;

const utf8 = new TextEncoder();

/** Whether it is room that is missing. The platform tells that in words alone. */
export function isFull(err: unknown): boolean {
  return /full|SQLITE_FULL|too large|quota/i.test(String(err));
}

/** What stands between commits and the platform, which takes them, and may find later that there is no room. */
export interface Room {
  full(): boolean; // it was found so a moment ago: nothing is tried
  committed(): void; // there was something
}

export const rows = (storage: DurableObjectState['storage'], room: Room): Part => (go) => {
  const statements: string[] = [];
  let kept: Uint8Array[] = [];

  const keep = (parts: Uint8Array[]): number => {
    kept = parts;
    return parts.reduce((size, part) => size + part.length, 0);
  };

  // attempt turns what SQLite throws into a failure.
  const attempt = (work: () => number): number => {
    try {
      return work();
    } catch (err) {
      const message = utf8.encode(String(err)).slice(0, longestText);
      const kind = isFull(err) ? noSpace : failed;
      return -((keep([message]) << kindBits) | kind);
    }
  };

  // blob copies what is bound: SQLite would be given all of the linear memory otherwise.
  const blob = (ptr: number, length: number): ArrayBuffer => view(go, ptr, length).slice().buffer;

  const run = (statement: string, ...args: unknown[]): SqlCursor => storage.sql.exec(statement, ...args);

  const scan = (place: number, args: unknown[], limit: number, maxBytes: number): Uint8Array[] => {
    const cursor = run(statements[place]!, ...args, limit > 0 ? limit : -1);
    const parts: Uint8Array[] = [];
    let size = 0;
    for (const [k, v] of cursor.raw()) {
      const key = new Uint8Array(k as ArrayBuffer);
      const value = new Uint8Array(v as ArrayBuffer);
      const next = key.length + value.length;
      if (parts.length > 0 && maxBytes > 0 && size + next > maxBytes) break;
      size += next;
      parts.push(new Uint8Array(new Uint32Array([key.length, value.length]).buffer), key, value);
    }
    return parts;
  };

  // commit runs packed operations.
  const commit = (ptr: number, length: number): void => {
    const { buffer } = go.exports!.mem;
    const numbers = new DataView(buffer, ptr >>> 0, length);
    for (let at = 0; at < length; ) {
      const statement = statements[numbers.getUint8(at)]!;
      const args: Uint8Array[] = new Array(numbers.getUint8(at + 1));
      at += 2;
      for (let i = 0; i < args.length; i++, at += 8) args[i] = new Uint8Array(buffer, numbers.getUint32(at, true), numbers.getUint32(at + 4, true));
      run(statement, ...args);
    }
  };

  return {
    vsync_rows: {
      prepare: (place: number, ptr: number, length: number) => {
        statements[place] = text(go, ptr, length);
      },
      run: (ptr: number, length: number) =>
        attempt(() => {
          const row = run(text(go, ptr, length)).toArray()[0];
          return row ? keep([utf8.encode(String(Object.values(row)[0]))]) : 0;
        }),
      get: (place: number, ptr: number, length: number) =>
        attempt(() => {
          const row = [...run(statements[place]!, blob(ptr, length)).raw()][0];
          return row ? keep([new Uint8Array(row[0] as ArrayBuffer)]) : missing;
        }),
      scan: (place: number, from: number, fromLength: number, to: number, toLength: number, limit: number, maxBytes: number) =>
        attempt(() => {
          const args = [blob(from, fromLength)];
          if (toLength > 0) args.push(blob(to, toLength));
          return keep(scan(place, args, limit, maxBytes));
        }),
      commit: (ptr: number, length: number) =>
        attempt(() => {
          if (room.full()) throw new Error('the storage is full');
          storage.transactionSync(() => commit(ptr, length));
          room.committed();
          return 0;
        }),
      take: (ptr: number, length: number) => {
        const to = view(go, ptr, length);
        let at = 0;
        for (const part of kept) {
          to.set(part, at);
          at += part.length;
        }
        kept = [];
      },
    },
  };
};
