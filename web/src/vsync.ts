// The page's side of vsync. What applications may use is said in vsync.d.ts; how this talks to the engine, in wasm/port.
//
//   application ──▶ collection, batch, subscribe, watch … ──▶ request, stream ──▶ frame ──▶ port ──▶ engine (a worker)
//        ▲                                                                                    │
//        └──────────────── rows, value ◀──────────────────── request ◀──── reader ◀───────────┘
import type { Database, OpenOptions } from '../vsync.js';
import { checkDatabase, fieldsOf } from './arguments.js';
import { openDatabase } from './database.js';
import { destroyDatabase } from './destroy.js';
import { describe, invalid } from './errors.js';
import { logOut } from './logout.js';
import { openOptions } from './options.js';

export { VsyncError } from './errors.js';
export { keepOffline } from './offline.js';

export async function open(name: string, options?: OpenOptions): Promise<Database> {
  checkDatabase(name);
  return openDatabase(name, openOptions(options));
}

export async function logout(name: string): Promise<void> {
  checkDatabase(name);
  return logOut(name);
}

export async function destroy(name: string, options?: { force?: boolean }): Promise<void> {
  checkDatabase(name);
  fieldsOf('destroy', options, ['force']);
  const force = options?.force ?? false;
  if (typeof force !== 'boolean') throw invalid(`destroy: force: expected true or false, got ${describe(force)}`);
  return destroyDatabase(name, force);
}
