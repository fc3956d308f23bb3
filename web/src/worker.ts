// The worker that holds the engine of one database: a SharedWorker named "vsync:" and the database's name, or "vsync1:" and so on where
// that one is silent, or a dedicated worker of a page. wasm/port says what is posted. wasm_exec.js is put before this by the build.
//
//   door: knock ─▶ {open: lock}                    an engine that pages which did not start it can reach, too
//   port ─▶ first message {vsync, wasm, tab} ─▶ Go is started, once: {starting} … ─▶ {engine: lock} ─▶ packets
import { idb } from '../../wasm/idb/idb.js';
import { clock } from '../../wasm/clock.js';
import { Pages, type Wire } from '../../wasm/pages.js';
import { run } from '../../wasm/seam.js';
import { socket } from '../../wasm/socket/socket.js';
import { STARTING_EVERY } from './limits.js';

interface First {
  vsync: number;
  wasm: string;
  tab: string;
  /** To a dedicated worker: other pages may use its engine. */
  door?: boolean;
}

/** What comes to the door. */
interface AtDoor extends First {
  knock?: boolean;
  to?: string;
  engine?: string;
}

interface Engine {
  pages: Pages;
  lock: string;
  /** Ends it, and this worker with it, however it hangs; the next one is another worker's. */
  end(why: string): void;
}

/** The code with which an engine ends that wants the next one to be another worker's: see wasm/main_js.go. */
const ANEW = 3;

/** The engine that runs, or is being started; none before the first page, and after one has ended. */
let engine: Promise<Engine> | undefined;

async function start(wasm: string, open: boolean): Promise<Engine> {
  const pages = new Pages();
  const lock = `vsync-engine:${crypto.randomUUID()}`;
  const [go, release] = await Promise.all([load(wasm).then((code) => run(code, [pages.part, clock, idb, socket])), hold(lock)]);
  const door = open ? openDoor(lock) : undefined;
  const over = (why: string): void => {
    engine = undefined;
    door?.close();
    pages.lost(`the engine ended, ${why}; what was confirmed is stored: open the database again`);
    release();
  };
  const end = (why: string): void => {
    over(why);
    globalThis.close();
  };
  go.onExit((code) => (code === ANEW ? end('to make room for another one') : over(`with code ${code}`)));
  return { pages, lock, end };
}

/** Lets in pages that did not start this worker: see door.ts. */
function openDoor(lock: string): BroadcastChannel | undefined {
  if (typeof BroadcastChannel === 'undefined') return undefined;
  const door = new BroadcastChannel(`vsync:door:${scope.name.replace(/^vsync\d*:/, '')}`);
  door.onmessage = ({ data }: MessageEvent<AtDoor | null>) => {
    if (data?.knock) door.postMessage({ open: lock });
    else if (data?.engine === lock && data.to) void serve(new BroadcastChannel(data.to), data);
  };
  door.postMessage({ open: lock });
  return door;
}

/** The engine's code, streamed where the server names its type. */
async function load(wasm: string): Promise<Response | ArrayBuffer> {
  const response = await fetch(wasm);
  if (!response.ok) throw new Error(`${wasm} cannot be loaded (HTTP ${response.status}): serve vsync.wasm beside vsync.js`);
  return response.headers.get('Content-Type') === 'application/wasm' ? response : response.arrayBuffer();
}

/** Holds a Web Lock, until the function is called that it gives; others wait for it to learn of the engine's end. */
function hold(name: string): Promise<() => void> {
  return new Promise((held, failed) => {
    navigator.locks.request(name, () => new Promise<void>(held)).catch(failed);
  });
}

/** Serves a page that has said its first word. What it says until the engine runs is kept. */
async function serve(port: Wire, first: First): Promise<void> {
  const early: MessageEvent[] = [];
  port.onmessage = (event) => early.push(event);
  const starting = setInterval(() => port.postMessage({ starting: 'the engine' }), STARTING_EVERY);
  try {
    const { pages, lock, end } = await (engine ??= start(first.wasm, first.door ?? true));
    port.postMessage({ engine: lock });
    // The page holds a lock as long as it lives.
    pages.open(port, navigator.locks.request(first.tab, () => undefined), () => end('as it hung'));
    for (const event of early) port.onmessage?.(event);
  } catch (err) {
    engine = undefined;
    port.postMessage({ lost: `the engine cannot be started: ${err instanceof Error ? err.message : String(err)}` });
  } finally {
    clearInterval(starting);
  }
}

const scope = globalThis as unknown as Record<'onconnect' | 'onmessage', (event: MessageEvent) => void> & { name: string };

if ('onconnect' in globalThis) {
  scope.onconnect = ({ ports: [port] }) => {
    port!.onmessage = ({ data }) => void serve(port!, data as First);
  };
} else {
  scope.onmessage = ({ data, ports: [port] }) => void serve(port!, data as First);
}

globalThis.addEventListener('online', () => void engine?.then(({ pages }) => pages.online(), () => undefined));
