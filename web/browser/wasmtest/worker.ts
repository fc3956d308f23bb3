// Runs one Go test program in this worker. The first message says which; what comes back is {fd, bytes}, then {code} or {error}.
import { idb } from '../../../wasm/idb/idb.js';
import { run } from '../../../wasm/seam.js';
import type { Part } from '../../../wasm/seam.js';
import { socket } from '../../../wasm/socket/socket.js';
import { readOnlyFiles } from './files.js';

/** The packages that have a half in TypeScript. */
const parts: Part[] = [idb, socket];

interface Program {
  wasm: string; // URL
  dir: string; // the working directory
  args: string[];
  env: Record<string, string>;
}

type Message = { fd: number; bytes: Uint8Array } | { code: number } | { error: string };
type Port = { postMessage(message: Message): void; onmessage: ((event: MessageEvent<Program>) => void) | null };

const scope = globalThis as unknown as {
  onconnect?: (event: MessageEvent) => void;
  vsyncTest: unknown;
} & Port;

const text = (err: unknown) => String((err as Error)?.stack ?? err);

function serve(port: Port): void {
  port.onmessage = ({ data: program }) => {
    readOnlyFiles(program.dir, (fd, bytes) => port.postMessage({ fd, bytes }));
    scope.vsyncTest = {
      root: location.origin,
      spawn: (args: string[], env: Record<string, string> = {}) => {
        const worker = new Worker(location.href);
        worker.postMessage({ ...program, args: Array.from(args), env: { ...program.env, ...env } } satisfies Program);
        return worker;
      },
    };
    run(fetch(program.wasm), parts, program).then(
      (go) => go.onExit((code) => port.postMessage(code < 0 ? { error: text(go.failure) } : { code })),
      (err: unknown) => port.postMessage({ error: text(err) }),
    );
  };
}

if ('onconnect' in scope) scope.onconnect = (event) => serve(event.ports[0] as unknown as Port);
else serve(scope);
