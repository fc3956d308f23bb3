// The page of the hub itself, hub.html: asks v1/health every two seconds while it is visible, and says what came.

import { count as number, hubURL } from "./board/words.js";

const INTERVAL = 2000; // ms between two questions
const PATIENCE = 5000; // ms until an answer counts as missing

/**
 * What to show for one answer of the hub.
 * @param {{status?: number, health?: any}} answer status 0 = nothing answered; health = the parsed JSON, or
 *   undefined where the answer was something else
 * @returns {{state: "good"|"bad", word: string, detail: string, facts: [string, string][], databases: string[][]}}
 */
export function describe({ status = 0, health }) {
  const bad = (word, detail) => ({ state: "bad", word, detail, facts: [], databases: [] });
  if (status === 0) {
    return bad("not reachable", "Nothing answers. Replicas go on locally; what they write is sent when the hub is back.");
  }
  if (!health || typeof health !== "object" || typeof health.status !== "string") {
    return bad("no hub here", "This page is served without a hub behind it. Start one with ./build.sh serve and open the address it prints.");
  }
  const databases = Array.isArray(health.databases) ? health.databases : [];
  return {
    state: health.status === "ok" ? "good" : "bad",
    word: health.status === "ok" ? "running" : health.status,
    detail: health.message || (health.status === "ok" ? "It accepts writes and sends changes." : "It answers, but not everything works."),
    facts: facts(health),
    databases: databases.map((d) => [String(d.name), count(d.devices), count(d.connections), count(d.head)]),
  };
}

function facts(health) {
  const rows = [];
  if (health.version) rows.push(["Version", String(health.version)]);
  if (Number.isFinite(health.uptime)) rows.push(["Running for", duration(health.uptime)]);
  if (Number.isFinite(health.connections)) rows.push(["Connections", count(health.connections)]);
  return rows;
}

/** A number with separators, or a dash where the hub does not say. */
export function count(n) {
  return Number.isFinite(n) ? number(n) : "–";
}

/** Seconds in the two largest units: 59 s, 3 min 20 s, 5 h 2 min, 12 d 4 h. */
export function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const parts = [[Math.floor(s / 86400), "d"], [Math.floor(s / 3600) % 24, "h"], [Math.floor(s / 60) % 60, "min"], [s % 60, "s"]];
  const first = parts.findIndex(([n]) => n > 0);
  if (first < 0) return "0 s";
  return parts.slice(first, first + 2).filter(([n]) => n > 0).map(([n, unit]) => `${n} ${unit}`).join(" ");
}

async function ask() {
  let status = 0;
  try {
    const response = await fetch("v1/health", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    status = response.status;
    return { status, health: await response.json() };
  } catch {
    // What is not JSON did answer: describe tells the two apart by the status.
    return { status };
  }
}

function show(view) {
  const at = (id) => document.getElementById(id);
  // Written only where it changed, so that a screen reader is not told the same every two seconds.
  const text = (id, value) => at(id).textContent === value || (at(id).textContent = value);
  text("state", view.word);
  // Where no hub answers, this page's address is no hub's: the example keeps its own.
  if (view.state === "good") for (const span of document.querySelectorAll(".hub")) span.textContent = hubURL(location);
  at("state").dataset.state = view.state;
  text("detail", view.detail);
  at("facts").replaceChildren(...view.facts.map(fact));
  at("facts").hidden = view.facts.length === 0;
  at("rows").replaceChildren(...view.databases.map(row));
  at("list").hidden = view.databases.length === 0;
  at("none").hidden = view.databases.length > 0;
  text("none", view.state === "good" ? "None yet. A database is made by the first replica that asks for it." : "Not known while the hub does not answer.");
}

function fact([term, value]) {
  const div = document.createElement("div");
  div.append(element("dt", term), element("dd", value));
  return div;
}

function row([name, ...numbers]) {
  const tr = document.createElement("tr");
  const first = element("td", "");
  first.append(Object.assign(element("a", name), { href: `./?db=${encodeURIComponent(name)}` }));
  tr.append(first, ...numbers.map((value) => Object.assign(element("td", value), { className: "n" })));
  return tr;
}

function element(name, text) {
  return Object.assign(document.createElement(name), { textContent: text });
}

async function watch() {
  let wake = () => {};
  document.addEventListener("visibilitychange", () => wake());
  for (;;) {
    if (!document.hidden) show(describe(await ask()));
    await new Promise((resolve) => {
      wake = resolve;
      setTimeout(resolve, INTERVAL);
    });
  }
}

if (typeof document !== "undefined") watch();
