// The hub, over a SQLite that fails when it is told to, for tests:
//
//   GET /v1/<database>/fail?reads=TEXT&writes=TEXT   from now on, statements of the store that read or write fail with this text;
//                                                    without it they do not
import front, { Database as Inner, type Environment } from '../front.js';
import { instead, type Class } from '../wrap.js';

let reads: string | null = null;
let writes: string | null = null;

function failing(state: DurableObjectState): DurableObjectState {
  const { storage } = state;
  const sql = instead(storage.sql, {
    exec(statement, ...args) {
      const text = statement.startsWith('SELECT') ? reads : writes;
      if (text !== null && /\b(rows|format)\b/.test(statement)) throw new Error(text);
      return storage.sql.exec(statement, ...args);
    },
  });
  return instead(state, { storage: instead(storage, { sql }) });
}

function fails<Settings>(inner: Class<Settings>): Class<Settings> {
  return class extends inner {
    constructor(state: DurableObjectState, settings: Settings) {
      super(failing(state), settings);
    }
  };
}

export const Database = fails(Inner);

export default {
  async fetch(request: Request, env: Environment): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (!pathname.endsWith('/fail')) return front.fetch(request, env);
    reads = searchParams.get('reads');
    writes = searchParams.get('writes');
    return new Response(null, { status: 204 });
  },
};
