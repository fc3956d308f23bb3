// Runs the tests of package rows in a Durable Object: a request gets what they print, and how they ended.
import { start, type GoInstance } from '../../wasm/seam.js';
import { rows } from './rows.js';
import tests from './hub.wasm';

interface Environment {
  DATABASES: DurableObjectNamespace;
}

export default {
  fetch: (request: Request, env: Environment) => env.DATABASES.get(env.DATABASES.idFromName('rows')).fetch(request),
};

export class Database {
  readonly #state: DurableObjectState;

  constructor(state: DurableObjectState) {
    this.#state = state;
  }

  async fetch(): Promise<Response> {
    let printed = '';
    const utf8 = new TextDecoder();
    const { fs } = globalThis as unknown as { fs: { writeSync(fd: number, bytes: Uint8Array): number } };
    fs.writeSync = (_, bytes) => {
      printed += utf8.decode(bytes, { stream: true });
      return bytes.length;
    };
    const go: GoInstance = start(tests, [rows(this.#state.storage, { full: () => false, committed: () => undefined })], {
      args: ['-test.v', '-test.timeout=0'],
    });
    const code = await new Promise<number>((resolve) => go.onExit(resolve));
    return new Response(printed, { status: code === 0 ? 200 : 500 });
  }
}
