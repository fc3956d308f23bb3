// The seam between a Go program (GOOS=js) and the TypeScript that serves it, where worker.ts, idb.ts and socket.ts meet.
//
//   Go ──//go:wasmimport vsync_idb commit──▶ function of a Part         bytes: pointer and length into linear memory
//   Go ◀──//go:wasmexport vsync_idb_done─── call(go, 'vsync_idb_done')  from an event, never from inside an import
//
// Rules of the seam:
//   - Linear memory grows, and growth detaches every view: take view() anew after Go has run, .slice() what is kept or given away.
//   - An exported function must not block (no channel without room, no Sleep, no lock that is held over an await) and recovers
//     its panics, because a panic in it ends the program while JavaScript goes on with garbage.
//   - An exported function wakes no goroutine by itself: call() lets them run afterwards, wake() does it alone.
//   - An import never calls into Go: Go stands in the middle of it. What it has to say later, it says from an event or a microtask.
//   - Numbers cross as i32, and JavaScript sees them signed: view() takes care of its own.

/** What every Go program exports; its //go:wasmexport functions lie beside. */
export type GoExports = {
  readonly mem: WebAssembly.Memory;
  resume(): void;
  readonly [name: string]: unknown;
};

/** A Go program. */
export interface GoInstance {
  /** There from before main() runs until the program has ended. */
  exports?: GoExports;
  /** Set when the program has ended: os.Exit's code, 2 after a panic, -1 where WebAssembly itself failed. */
  exitCode?: number;
  /** What WebAssembly threw, where exitCode is -1. */
  failure?: unknown;
  /** Calls fn when the program ends, or in a microtask if it has. */
  onExit(fn: (code: number) => void): void;
}

/** The imports of one package, by the module name of its //go:wasmimport lines. */
export type Part = (go: GoInstance) => WebAssembly.Imports;

/** What is told to a program: os.Args without the program's name, and its environment. Together they have to fit into 8 KB. */
export interface Arguments {
  args?: string[];
  env?: Record<string, string>;
}

/** The bytes at ptr, until Go runs again. */
export function view(go: GoInstance, ptr: number, length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(go.exports!.mem.buffer as ArrayBuffer, ptr >>> 0, length >>> 0);
}

const utf8 = new TextDecoder();

/** The string at ptr. */
export function text(go: GoInstance, ptr: number, length: number): string {
  return utf8.decode(view(go, ptr, length));
}

/** Calls an exported function without waking anybody: for those that only give room. 0 when the program has ended. */
export function ask(go: GoInstance, name: string, ...args: number[]): number {
  if (!go.exports) return 0;
  try {
    return Number((go.exports[name] as (...args: number[]) => number | bigint | undefined)(...args) ?? 0);
  } catch (err) {
    throw broken(go, err);
  }
}

/** Calls an exported function, then lets Go run what it woke. Nothing happens when the program has ended. */
export function call(go: GoInstance, name: string, ...args: number[]): void {
  ask(go, name, ...args);
  wake(go);
}

/** Lets Go run until all of its goroutines wait. */
export function wake(go: GoInstance): void {
  if (!go.exports) return;
  try {
    go.exports.resume();
  } catch (err) {
    throw broken(go, err);
  }
}

/** What wasm_exec.js puts into the global scope. */
interface GoRuntime {
  argv: string[];
  env: Record<string, string>;
  exit: (code: number) => void;
  importObject: WebAssembly.Imports;
  run(instance: WebAssembly.Instance): Promise<void>;
}

class Program implements GoInstance {
  exports?: GoExports;
  exitCode?: number;
  failure?: unknown;
  #ends: ((code: number) => void)[] = [];

  onExit(fn: (code: number) => void): void {
    const { exitCode } = this;
    if (exitCode === undefined) this.#ends.push(fn);
    else queueMicrotask(() => fn(exitCode));
  }

  /** The end is told in a microtask: Go's last instruction is still on the stack. */
  end(code: number): void {
    if (this.exitCode !== undefined) return;
    this.exitCode = code;
    delete this.exports;
    for (const fn of this.#ends) queueMicrotask(() => fn(code));
  }
}

/** A trap of WebAssembly (its stack, its memory) leaves a program that nobody may call again. */
function broken(go: GoInstance, err: unknown): unknown {
  go.failure = err;
  (go as Program).end(-1);
  return err;
}

/** Runs a Go program that is compiled already, up to where main() waits or ends. Throws if it lacks an import. wasm_exec.js has to be loaded. */
export function start(module: WebAssembly.Module, parts: Part[], given: Arguments = {}): GoInstance {
  const { go, runtime, imports } = prepare(parts, given);
  begin(go, runtime, new WebAssembly.Instance(module, imports));
  return go;
}

/**
 * Runs a Go program with the imports of these parts, up to where main() waits or ends. Rejects if it cannot be compiled or lacks an
 * import. wasm_exec.js has to be loaded.
 */
export async function run(wasm: BufferSource | Response | Promise<Response>, parts: Part[], given: Arguments = {}): Promise<GoInstance> {
  const { go, runtime, imports } = prepare(parts, given);
  const { instance } =
    ArrayBuffer.isView(wasm) || wasm instanceof ArrayBuffer
      ? await WebAssembly.instantiate(wasm, imports)
      : await WebAssembly.instantiateStreaming(wasm, imports);
  begin(go, runtime, instance);
  return go;
}

function prepare(parts: Part[], { args = [], env = {} }: Arguments): { go: Program; runtime: GoRuntime; imports: WebAssembly.Imports } {
  const runtime: GoRuntime = new (globalThis as unknown as { Go: new () => GoRuntime }).Go();
  const go = new Program();
  runtime.argv.push(...args);
  runtime.env = env;
  runtime.exit = (code) => go.end(code);
  return { go, runtime, imports: Object.assign({}, runtime.importObject, ...parts.map((part) => part(go))) };
}

function begin(go: Program, runtime: GoRuntime, instance: WebAssembly.Instance): void {
  go.exports = instance.exports as unknown as GoExports;
  runtime.run(instance).catch((err: unknown) => broken(go, err));
}
