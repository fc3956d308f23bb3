// The SDK's sources as JavaScript, each file by itself, so that tests reach what is inside. They are made anew for each test file,
// in a directory that goes with it, so that files can run side by side and nothing is ever old.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const src = fileURLToPath(new URL("../src/", import.meta.url));
const out = mkdtempSync(join(tmpdir(), "vsync-sdk-"));
process.on("exit", () => rmSync(out, { recursive: true, force: true }));
writeFileSync(join(out, "package.json"), '{"type":"module"}');
const sources = readdirSync(src).filter((name) => name.endsWith(".ts"));
execFileSync("go", ["tool", "esbuild", ...sources, "--format=esm", "--target=es2022", "--log-level=warning", `--outdir=${out}`], { cwd: src, stdio: ["ignore", "ignore", "inherit"] });

/** One module of web/src, by its name without extension. */
export const load = (name) => import(pathToFileURL(join(out, `${name}.js`)));
