import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");

test("dependencies are pinned exactly, and the lock agrees", () => {
  const wanted = JSON.parse(read("../package.json")).devDependencies;
  const locked = JSON.parse(read("../package-lock.json")).packages;
  for (const [name, version] of Object.entries(wanted)) {
    assert.match(version, /^\d+\.\d+\.\d+$/, name);
    assert.equal(locked[`node_modules/${name}`].version, version, name);
  }
});

test("the lock names no registry and no place of one machine", () => {
  for (const [path, entry] of Object.entries(JSON.parse(read("../package-lock.json")).packages)) {
    if (path === "") continue;
    assert.match(path, /^node_modules\//);
    assert.equal(entry.resolved, undefined, path);
    assert.ok(entry.integrity, `${path} has no integrity`);
  }
});

test("the page loads its own files and nothing from elsewhere", () => {
  const html = read("../static/index.html");
  const names = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]).filter((name) => name !== "v1/health");
  assert.ok(names.length >= 3);
  for (const name of names) {
    assert.ok(existsSync(new URL(`../static/${name}`, import.meta.url)), `${name} is not in static/`);
  }
  assert.doesNotMatch(html, /<(script|style)>|\sstyle=|\son\w+=/, "inline code does not pass the content security policy");
});
