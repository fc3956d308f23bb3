// The versions of a card or a list, newest first, drawn as the graph that they are; and the sides of a conflict to choose from.

import { changedFields, combine, lanes, leaves, mergeBase, wordDiff } from "./diff.js";
import { h, icon, svg } from "./dom.js";
import { readCard, readList } from "./model.js";
import { ago, moment, quote, sayChange } from "./words.js";

const PAGE = 20; // versions read at a time
const DEEPEST = 2000; // versions read in search of the other sides of a conflict
const LANE = 14; // px

/**
 * @typedef {{kind: "cards"|"lists", names: import("./names.js").Names, listTitle: (id: string) => string,
 *   restore: (value: object | undefined, note: string) => void}} Context
 */

const read = (kind, value) => (value === undefined ? undefined : kind === "lists" ? readList(value) : readCard(value));

export class History {
  #iterator;
  #versions = [];
  #ended = false;
  #run = 0;

  /** @param {HTMLElement} element @param {HTMLElement} sides @param {Context} context */
  constructor(element, sides, context) {
    this.element = element;
    this.sides = sides;
    this.context = context;
  }

  /** Reads anew: at least as many versions as are shown. */
  async load(collection, id, conflict) {
    const run = ++this.#run;
    const wanted = Math.max(PAGE, this.#versions.length);
    const iterator = collection.history(id)[Symbol.asyncIterator]();
    const versions = [];
    let ended = await more(iterator, versions, wanted);
    // The other sides of a conflict may lie far behind.
    while (conflict && !ended && leaves(versions).length < 2 && versions.length < DEEPEST) ended = await more(iterator, versions, PAGE);
    if (run !== this.#run) return void iterator.return?.();
    this.#iterator?.return?.();
    this.#iterator = iterator;
    this.#versions = versions;
    this.#ended = ended;
    this.#show(conflict);
  }

  stop() {
    this.#run++;
    this.#iterator?.return?.();
    this.#iterator = undefined;
    this.#versions = [];
  }

  #show(conflict) {
    const tips = conflict ? leaves(this.#versions) : this.#versions.slice(0, 1);
    this.#showSides(conflict, tips);
    const opened = new Set([...this.element.querySelectorAll("details[open]")].map((details) => details.dataset.version));
    const held = this.element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    const drawn = lanes(this.#versions);
    const width = Math.max(1, ...drawn.map((row) => row.width));
    this.element.style.setProperty("--rail", `${width * LANE + 4}px`);
    const known = new Map(this.#versions.map((version) => [version.version, version]));
    const rows = this.#versions.map((version, i) => this.#row(version, known, drawn[i], tips, conflict, opened));
    if (!this.#ended) rows.push(h("li", {}, h("button.button", { type: "button", "data-key": "older", onclick: () => this.#older(conflict) }, "Show older versions")));
    this.element.replaceChildren(...rows);
    if (held) [...this.element.querySelectorAll("[data-key]")].find((node) => node.dataset.key === held)?.focus();
  }

  async #older(conflict) {
    this.#ended = await more(this.#iterator, this.#versions, PAGE);
    this.#show(conflict);
  }

  #row(version, known, drawn, tips, conflict, opened) {
    const { kind, names, listTitle } = this.context;
    const current = tips.includes(version);
    const parent = known.get(version.parents[0]);
    const now = read(kind, version.value), was = read(kind, parent?.value);
    const what = version.parents.length > 1 ? "joined the versions"
      : version.parents.length && !parent ? "wrote this version" : sayChange(kind, was, now, listTitle);
    const note = version.note ? ` (${version.note})` : "";
    const changes = now && was && textChanges(was, now);
    const time = h("time", { datetime: new Date(version.time).toISOString(), title: moment(version.time) }, ago(version.time, Date.now()));
    const row = h(`li.version${current ? (conflict ? ".tip" : ".current") : ""}`, {}, rail(drawn),
      h("div.version-body", {},
        h("div.version-head", {}, h("b", { dir: "auto" }, names.who(version.device)), time),
        h("p.what", {}, `${what[0].toUpperCase()}${what.slice(1)}${note}`),
        (changes || !current) && h("div.version-does", {}, !current && this.#back(version, now), changes && this.#details(changes, version, opened))));
    return row;
  }

  #details(changes, version, opened) {
    const details = h("details", { "data-version": version.version, open: opened.has(version.version) }, h("summary", { "data-key": `d${version.version}` }, "What changed"));
    const fill = () => details.open && details.children.length === 1 && details.append(showChanges(changes));
    details.addEventListener("toggle", fill);
    fill();
    return details;
  }

  #back(version, now) {
    const { names, restore } = this.context;
    const said = `back to the version of ${moment(version.time)}`;
    const name = `${now ? "Go back to this version" : "Delete it again"}, by ${names.of(version.device)}, ${moment(version.time)}`;
    return h("button.button", { type: "button", "aria-label": name, "data-key": `b${version.version}`, onclick: () => restore(version.value, said) },
      now ? "Go back to this" : "Delete it again");
  }

  // --- a conflict -------------------------------------------------------------------------------------------------------

  #showSides(conflict, tips) {
    const { kind, restore, listTitle } = this.context;
    this.sides.hidden = !conflict || tips.length < 2;
    if (this.sides.hidden) return this.sides.replaceChildren();
    const base = mergeBase(this.#versions, tips);
    const both = tips.every((tip) => !tip.deleted) ? combine(base?.value, tips.map((tip) => tip.value)) : undefined;
    const was = read(kind, base?.value);
    this.sides.replaceChildren(
      h("h3", {}, `${tips.length} versions of the same time`),
      h("p", {}, "Devices changed this without knowing of each other. Both are kept; choose what it shall be from now on."),
      ...tips.map((tip) => this.#side(tip, was, read(kind, tip.value))),
      both && h("div.sidecard", {}, h("p", {}, "They changed different things, so both can be kept in one."), value(read(kind, both), was, listTitle),
        h("div.row", {}, h("button.button.main", { type: "button", onclick: () => restore(both, "both versions in one") }, icon("fork"), "Keep both"))));
  }

  #side(tip, was, now) {
    const { names, restore, listTitle } = this.context;
    const who = names.of(tip.device);
    return h("div.sidecard", {},
      h("div.version-head", {}, names.disc(tip.device), h("b", { dir: "auto" }, names.isOwn(tip.device) ? "This device" : who),
        h("time", { datetime: new Date(tip.time).toISOString() }, moment(tip.time))),
      now ? value(now, was, listTitle) : h("p", {}, "Deleted it."),
      h("div.row", {}, h("button.button", { type: "button", "aria-label": `${now ? "Use this one, " : "Delete it, as "}${who}`,
        onclick: () => restore(tip.value, `the version of ${who} chosen`) }, now ? "Use this one" : "Delete it")));
  }
}

async function more(iterator, versions, n) {
  for (let i = 0; i < n; i++) {
    const { done, value } = await iterator.next();
    if (done) return true;
    versions.push(value);
  }
  return false;
}

// --- what changed ---------------------------------------------------------------------------------------------------------

const TEXTS = { title: "Title", note: "Note" };

function textChanges(was, now) {
  const changed = changedFields(was, now).filter((field) => field in TEXTS && (was[field] || now[field]));
  return changed.length ? changed.map((field) => [TEXTS[field], was[field], now[field]]) : undefined;
}

function showChanges(changes) {
  return h("div.changes", {}, ...changes.map(([name, was, now]) => h("p", { dir: "auto" }, h("span.soft", {}, name), ...marked(was, now))));
}

const KINDS = { gone: "del", new: "ins" };

function marked(was, now) {
  return wordDiff(was, now).map(({ kind, text }) => (kind === "same" ? text : h(KINDS[kind], {}, text)));
}

/** A whole version, with what it changed against the one before marked in it. */
function value(now, was, listTitle) {
  const line = (name, field) => h(name, { dir: "auto" }, ...(was && was[field] !== now[field] ? marked(was[field] ?? "", now[field]) : [now[field]]));
  const facts = [now.label && `Colour: ${now.label}`, "list" in now && (!was || was.list !== now.list) && `In ${quote(listTitle(now.list))}`].filter(Boolean);
  return h("div.value", {}, now.title || was?.title ? line("b", "title") : h("b", {}, "Untitled"), now.note || was?.note ? line("p", "note") : false,
    facts.length > 0 && h("p.soft", {}, facts.join(" · ")));
}

// --- the drawing ----------------------------------------------------------------------------------------------------------

const x = (lane) => lane * LANE + LANE / 2 + 1;

function rail({ lane, above, below }) {
  const up = svg("svg", { class: "up", width: 1, viewBox: "0 0 1 16", preserveAspectRatio: "none" });
  const down = svg("svg", { class: "down", width: 1, viewBox: "0 0 1 100", preserveAspectRatio: "none" });
  for (const [from, to] of above) up.append(line(from, to, 16));
  for (const [from, to] of below) down.append(line(from, to, 100));
  const dot = h("i");
  dot.style.left = `${x(lane)}px`;
  return h("div.rail", { "aria-hidden": "true" }, up, down, dot);
}

const line = (from, to, height) => svg("path", {
  d: from === to ? `M${x(from)} 0V${height}` : `M${x(from)} 0C${x(from)} ${height / 2} ${x(to)} ${height / 2} ${x(to)} ${height}`,
});
