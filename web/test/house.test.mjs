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

const modules = (path) => [...read(path).matchAll(/^(?:import|export) [^;]*?from "([^"]+)";/gms)].map((match) => match[1]);

for (const page of ["index.html", "hub.html", "rules.html"]) {
  test(`${page} loads its own files and nothing from elsewhere`, () => {
    const html = read(`../static/${page}`);
    // What is built, or answered by the hub, is no file here.
    const names = [...html.matchAll(/(?:src|href)="([^"#]+)"/g)].map((match) => match[1]).filter((name) => !["v1/health", "/vsync.js", "./"].includes(name));
    assert.ok(names.length >= 4);
    for (const name of names) {
      assert.ok(existsSync(new URL(`../static/${name}`, import.meta.url)), `${name} is not in static/`);
    }
    assert.doesNotMatch(html, /<(script|style)>|\sstyle=|\son\w+=/, "inline code does not pass the content security policy");
  });
}

test("the board's modules are there, and are all loaded at once", () => {
  const met = new Set();
  const follow = (path) => {
    for (const target of modules(`../static/${path}`)) {
      const name = target.startsWith("/") ? target : new URL(target, `file:///${path}`).pathname.slice(1);
      if (met.has(name)) continue;
      met.add(name);
      if (name !== "/vsync.js") follow(name);
    }
  };
  follow("page.js");
  const preloaded = [...read("../static/index.html").matchAll(/rel="modulepreload" href="([^"]+)"/g)].map((match) => match[1]);
  assert.deepEqual(preloaded.toSorted(), [...met].toSorted());
});
