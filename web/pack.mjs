// The last step of building for browsers: takes what the bundler and Go have made, and leaves in web/dist what is served and published.
//
//   node web/pack.mjs sums DIR    prints {name: SHA-256} of what a service worker keeps together, as JSON
//   node web/pack.mjs pack DIR    web/dist = the files of DIR, vsync.d.ts, package.json, and a .br and .gz of all that is served
//
// Compressing takes seconds, so it is done for what has changed only. web/dist/.encoded.json says which content each .br and .gz is
// of: who serves them compares it with the content that he has, so one that is left over from another build is never sent.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

/** What a page needs of one build, apart from itself. */
const KEPT = ["vsync.js", "vsync-worker.js", "vsync.wasm"];

/** Bytes that the engine may have after brotli. */
const BUDGET = 1024 * 1024;

/** What is built, as the published package has it. */
const FILES = [...KEPT, "vsync-sw.js", "vsync.d.ts"];

const web = fileURLToPath(new URL(".", import.meta.url));
const dist = web + "dist/";
const read = (path) => (existsSync(path) ? readFileSync(path) : undefined);
const sum = (bytes) => createHash("sha256").update(bytes).digest("hex");

function sums(dir) {
  const there = KEPT.map((name) => [name, read(`${dir}/${name}`)]).filter(([, bytes]) => bytes);
  return Object.fromEntries(there.map(([name, bytes]) => [name, sum(bytes)]));
}

/** The package for npm. What bundlers and pages ask for by name is listed; nothing else of it can be imported. */
function manifest(names) {
  const { version } = JSON.parse(readFileSync(web + "package.json", "utf8"));
  const alone = names.filter((name) => name !== "vsync.js" && name !== "vsync.d.ts");
  return {
    name: "vsync",
    version,
    description: "An offline-first object database that syncs through a hub.",
    type: "module",
    sideEffects: false,
    types: "./vsync.d.ts",
    exports: {
      ".": { types: "./vsync.d.ts", default: "./vsync.js" },
      ...Object.fromEntries(alone.map((name) => [`./${name}`, `./${name}`])),
      "./package.json": "./package.json",
    },
    files: names,
  };
}

/** Written beside web/dist and moved into it, so that whoever embeds web/dist meanwhile gets the one or the other. */
function place(dir, name, bytes) {
  const before = read(dist + name);
  if (before?.equals(bytes)) return;
  mkdirSync(dirname(dist + name), { recursive: true });
  writeFileSync(`${dir}/.placing`, bytes);
  renameSync(`${dir}/.placing`, dist + name);
}

const encoders = {
  br: (bytes) =>
    promisify(brotliCompress)(bytes, {
      params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
    }),
  gz: (bytes) => promisify(gzip)(bytes, { level: 9 }),
};

/** Everything that is served, by name: what was written by hand lies over what was built. */
function served(built) {
  const files = new Map(built);
  for (const name of names(web + "static/")) {
    if (!/(^|\/)[._]/.test(name)) files.set(name, readFileSync(`${web}static/${name}`));
  }
  return files;
}

/** The files below a directory, with slashes between the parts of a name. */
function names(dir, below = "") {
  return readdirSync(dir + below, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? names(dir, `${below}${entry.name}/`) : [below + entry.name]);
}

async function pack(dir) {
  mkdirSync(dist, { recursive: true });
  const built = new Map(FILES.map((name) => [name, read(name === "vsync.d.ts" ? web + name : `${dir}/${name}`)]).filter(([, bytes]) => bytes));
  const encoded = JSON.parse(read(dist + ".encoded.json") ?? "{}");
  const files = served(built);
  const current = ([name, of]) => files.has(name) && of === sum(files.get(name));
  const valid = Object.fromEntries(Object.entries(encoded).filter(current));
  const note = () => place(dir, ".encoded.json", Buffer.from(JSON.stringify(valid, null, 1) + "\n"));

  note(); // what follows may be interrupted: from here on nothing is named that is not whole
  for (const [name, bytes] of built) place(dir, name, bytes);
  place(dir, "package.json", Buffer.from(JSON.stringify(manifest([...built.keys()]), null, 2) + "\n"));
  const kept = new Set([".keep", ".encoded.json", "package.json", ...built.keys()]);
  for (const [name, bytes] of files) {
    const forms = Object.keys(encoders).map((kind) => `${name}.${kind}`);
    if (!valid[name] || !forms.every((n) => existsSync(dist + n))) {
      const all = await Promise.all(Object.values(encoders).map((encode) => encode(bytes)));
      forms.forEach((n, i) => place(dir, n, all[i]));
      valid[name] = sum(bytes);
    }
    forms.forEach((n) => kept.add(n));
  }
  for (const name of names(dist)) if (!kept.has(name)) rmSync(dist + name);
  note();
  tell([...built.keys()].filter((name) => name !== "vsync.d.ts"));
}

function tell(names) {
  const bytes = (name) => readFileSync(dist + name).length;
  const size = (name) => `${(bytes(name) / 1024).toFixed(1)} KiB`.padStart(12);
  for (const name of names) console.log(`${`web/dist/${name}`.padEnd(26)}${size(name)}  gzip${size(name + ".gz")}  brotli${size(name + ".br")}`);
  if (names.includes("vsync.wasm")) {
    const engine = bytes("vsync.wasm.br");
    console.log(`the engine: ${engine} of ${BUDGET} bytes that it may have, after brotli: ${((100 * engine) / BUDGET).toFixed(1)} %`);
  }
}

const [command, dir] = process.argv.slice(2);
if (command === "sums" && dir) console.log(JSON.stringify(sums(dir)));
else if (command === "pack" && dir) await pack(dir);
else throw new Error("usage: node web/pack.mjs sums|pack DIR");
