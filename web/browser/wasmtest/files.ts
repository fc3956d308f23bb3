// The file system, process and path that Go expects from Node, over what the runner's server has of the tree.

type Callback = (err: unknown, result?: unknown) => void;

/** Stat as the server tells it. */
interface Found {
  size: number;
  mode: number; // with the kind of file, as stat(2) has it
  mtimeMs: number;
  entries?: string[]; // of a directory
}

interface Open {
  path: string;
  found: Found;
  content?: Uint8Array;
  at: number;
}

const failure = (code: string) => Object.assign(new Error(code), { code });

async function find(path: string): Promise<Found> {
  const answer = await fetch('/files/stat?path=' + encodeURIComponent(path));
  if (answer.status === 404) throw failure('ENOENT');
  if (!answer.ok) throw failure('EIO');
  return (await answer.json()) as Found;
}

async function read(path: string): Promise<Uint8Array> {
  const answer = await fetch('/files/read?path=' + encodeURIComponent(path));
  if (!answer.ok) throw failure('EIO');
  return new Uint8Array(await answer.arrayBuffer());
}

function asStat(found: Found): object {
  return {
    dev: 0, ino: 0, nlink: 1, uid: 0, gid: 0, rdev: 0, blksize: 4096, blocks: Math.ceil(found.size / 512),
    size: found.size, mode: found.mode, atimeMs: found.mtimeMs, mtimeMs: found.mtimeMs, ctimeMs: found.mtimeMs,
    isDirectory: () => found.entries !== undefined,
  };
}

/** Puts the three into the global scope, where Go looks for them when it starts. write gets what is printed. */
export function readOnlyFiles(dir: string, write: (fd: number, bytes: Uint8Array) => void): void {
  const opened = new Map<number, Open>();
  let next = 3;

  const resolve = (path: string) => {
    const names: string[] = [];
    for (const name of (path.startsWith('/') ? path : dir + '/' + path).split('/')) {
      if (name === '..') names.pop();
      else if (name !== '' && name !== '.') names.push(name);
    }
    return '/' + names.join('/');
  };

  const file = (fd: number) => {
    const open = opened.get(fd);
    if (!open) throw failure('EBADF');
    return open;
  };

  const print = (fd: number, bytes: Uint8Array) => {
    write(fd, bytes.slice());
    return bytes.length;
  };

  // Each answers through the callback that Go gives last.
  const calls: Record<string, (...args: any[]) => unknown> = {
    async open(path: string, flags: number) {
      if (flags & ~constants.O_DIRECTORY) throw failure('EROFS');
      path = resolve(path);
      const found = await find(path);
      if (flags & constants.O_DIRECTORY && !found.entries) throw failure('ENOTDIR');
      opened.set(next, { path, found, at: 0 });
      return next++;
    },
    close: (fd: number) => void (file(fd) && opened.delete(fd)),
    fstat: (fd: number) => asStat(file(fd).found),
    stat: async (path: string) => asStat(await find(resolve(path))),
    lstat: async (path: string) => asStat(await find(resolve(path))),
    readdir: async (path: string) => (await find(resolve(path))).entries ?? Promise.reject(failure('ENOTDIR')),
    async read(fd: number, buffer: Uint8Array, offset: number, length: number, position: number | null) {
      const open = file(fd);
      if (open.found.entries) throw failure('EISDIR');
      open.content ??= await read(open.path);
      const from = position ?? open.at;
      const part = open.content.subarray(from, from + length);
      buffer.set(part, offset);
      if (position === null) open.at += part.length;
      return part.length;
    },
    write(fd: number, buffer: Uint8Array, offset: number, length: number) {
      if (fd !== 1 && fd !== 2) throw failure('EBADF');
      return print(fd, buffer.subarray(offset, offset + length));
    },
    fsync: () => undefined,
  };
  const refused = ['chmod', 'chown', 'fchmod', 'fchown', 'ftruncate', 'lchown', 'link', 'mkdir', 'rename', 'rmdir', 'symlink', 'truncate', 'unlink', 'utimes'];
  for (const name of refused) calls[name] = () => Promise.reject(failure('EROFS'));
  calls.readlink = () => Promise.reject(failure('EINVAL'));

  const fs: Record<string, unknown> = { constants, writeSync: print };
  for (const [name, call] of Object.entries(calls)) {
    fs[name] = (...args: unknown[]) => {
      const callback = args.pop() as Callback;
      // Go may be told while it still asks, and is then spared a turn of the event loop.
      try {
        const result = call(...args);
        if (result instanceof Promise) result.then((value) => callback(null, value), callback);
        else callback(null, result);
      } catch (err) {
        callback(err);
      }
    };
  }
  const scope = globalThis as unknown as { process: object };
  Object.assign(scope, { fs, path: { resolve }, process: { ...scope.process, cwd: () => dir } });
}

const constants = { O_WRONLY: 1, O_RDWR: 2, O_CREAT: 64, O_EXCL: 128, O_TRUNC: 512, O_APPEND: 1024, O_DIRECTORY: 65536 };
