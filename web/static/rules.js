// The page of the three rules, rules.html: one object under each, its conflict, and its history.
//
//	subscribe ─▶ what is shown      conflicts.subscribe ─▶ sides, to be resolved      history ─▶ versions, to go back to

import { open } from "/vsync.js";
import { ago, hubURL } from "./board/words.js";

const COLLECTIONS = {
  signs: { version: 1, conflict: "latest" },
  recipes: { version: 1, conflict: "keep" },
  shelves: { version: 1, conflict: { jars: "counter", words: "set", note: "text", top: "max", "*": "latest" } },
};
const ID = "1";
const SHOWN = 4; // versions of a history

const at = (id) => document.getElementById(id);
const element = (name, props = {}, ...children) => {
  const made = Object.assign(document.createElement(name), props);
  made.append(...children);
  return made;
};

/** What a value says, for people, whatever another program put there. */
export function say(value) {
  if (value === undefined || value === null) return "nothing";
  if (typeof value !== "object") return String(value);
  if (typeof value.text === "string") return value.text || "(empty)";
  const { jars = 0, words = [], note = "" } = value;
  return [`${jars} jars`, Array.isArray(words) && words.join(", "), note].filter(Boolean).join(" · ");
}

function fault(error) {
  at("fault").textContent = error ? `${error.code ?? "Error"}: ${error.message ?? error}` : "";
  at("fault").hidden = !error;
}

let last; // version that this page wrote

/** Runs a write, and remembers it for undoing. */
async function write(run) {
  try {
    const receipt = await run();
    last = receipt.version;
    at("undo").disabled = false;
    fault();
  } catch (error) {
    fault(error);
  }
}

/** A section with its object: shows it, its conflict and its history. */
class Kind {
  constructor(db, section, collection, show) {
    this.db = db;
    this.section = at(section);
    this.objects = db.collection(collection);
    this.objects.subscribe({ from: ID, limit: 1 }, ([entry]) => {
      show(entry?.id === ID ? entry.value : undefined);
      this.#history();
    }, fault);
    this.objects.conflicts.subscribe((list) => this.#conflict(list.find(({ id }) => id === ID)), fault);
  }

  put(value) { return write(() => this.objects.put(ID, value)); }
  change(fn) { return write(() => this.objects.update(ID, (value) => fn(value ?? {}))); }

  #conflict(conflict) {
    const box = this.section.querySelector(".conflict");
    box.hidden = !conflict;
    if (!conflict) return box.replaceChildren();
    const sides = conflict.sides.map((side) => element("div", { className: "side" },
      element("p", { textContent: side.deleted ? "deleted it" : say(side.value) }),
      element("p", { className: "detail", textContent: `${this.#who(side.device)}, ${ago(side.time, Date.now())}` }),
      element("button", { type: "button", textContent: "Take this one", onclick: () => write(() => conflict.pick(side.version)) })));
    const texts = conflict.sides.filter(({ value }) => typeof value?.text === "string").map(({ value }) => value.text);
    const join = element("button", { type: "button", textContent: "Keep both texts", onclick: () => write(() => conflict.resolve({ text: [...new Set(texts)].join("\n") })) });
    const base = conflict.base === undefined ? "There was nothing before." : `Before, it was: ${say(conflict.base)}`;
    box.replaceChildren(
      element("h3", { textContent: `${conflict.sides.length} versions that did not know of each other` }),
      element("div", { className: "sides" }, ...sides),
      element("p", { className: "detail", textContent: base }),
      ...(texts.length > 1 ? [element("p", {}, join)] : []),
      ...(this.section.id === "shelf" ? [element("p", {}, element("button", { type: "button", textContent: "The merged one is right", onclick: () => this.#agree(conflict) }))] : []),
    );
    return undefined;
  }

  #agree(conflict) {
    return write(async () => conflict.resolve(await this.objects.get(ID)));
  }

  #who(device) { return device === this.db.device ? "this device" : `device ${device.slice(0, 4)}`; }

  #asked = 0;
  async #history() {
    const asked = ++this.#asked;
    const rows = [];
    try {
      for await (const one of this.objects.history(ID, { limit: SHOWN })) {
        const back = element("button", { type: "button", textContent: "Go back to it", onclick: () => write(() => this.objects.revert(ID, one.version, { note: "went back" })) });
        rows.push(element("li", {}, element("span", { textContent: one.deleted ? "deleted" : say(one.value) }),
          element("span", { textContent: `${this.#who(one.device)}, ${ago(one.time, Date.now())}${one.note ? ` (${one.note})` : ""}` }), ...(rows.length > 0 ? [back] : [])));
      }
    } catch (error) {
      return fault(error);
    }
    if (asked === this.#asked) this.section.querySelector(".past").replaceChildren(...rows);
    return undefined;
  }
}

/** A field that shows what is there, unless somebody is typing in it. */
function fill(field, text) {
  if (document.activeElement !== field || field.value === field.dataset.shown) field.value = text;
  field.dataset.shown = text;
}

function textOf(db, section, collection) {
  const form = at(section).querySelector("form"), field = form.elements.text;
  const kind = new Kind(db, section, collection, (value) => fill(field, typeof value?.text === "string" ? value.text : ""));
  form.onsubmit = (event) => {
    event.preventDefault();
    kind.put({ text: field.value });
  };
}

function shelfOf(db) {
  const note = at("note").elements.text;
  const words = (value) => (Array.isArray(value?.words) ? value.words : []);
  const kind = new Kind(db, "shelf", "shelves", (value) => {
    at("count").textContent = value?.jars ?? 0;
    at("top").textContent = value?.top ?? 0;
    fill(note, value?.note ?? "");
    at("tags").replaceChildren(...words(value).map((word) => element("button", {
      type: "button", textContent: `${word} ×`, title: `Take ${word} away`, onclick: () => kind.change((now) => ({ ...now, words: words(now).filter((w) => w !== word) })),
    })));
  });
  const add = (n) => kind.change((value) => {
    const jars = (value.jars ?? 0) + n;
    return { ...value, jars, top: Math.max(value.top ?? 0, jars) };
  });
  at("less").onclick = () => add(-1);
  at("more").onclick = () => add(1);
  at("tag").onsubmit = (event) => {
    event.preventDefault();
    const field = at("tag").elements.tag, word = field.value.trim();
    if (!word) return;
    field.value = "";
    kind.change((value) => ({ ...value, words: [...new Set([...words(value), word])] }));
  };
  at("note").onsubmit = (event) => {
    event.preventDefault();
    kind.change((value) => ({ ...value, note: note.value }));
  };
}

async function start() {
  const db = await open("rules", { feed: hubURL(location), collections: COLLECTIONS });
  db.status.subscribe(({ phase, paused, pending, error }) => {
    at("state").textContent = `${paused ? "offline" : phase}${pending > 0 ? `, ${pending} to send` : ""}`;
    at("state").dataset.state = phase === "live" ? "good" : error ? "bad" : "";
    at("switch").textContent = paused ? "Go online" : "Go offline";
  });
  at("switch").onclick = () => (db.status.current.paused ? db.resume() : db.pause());
  at("undo").onclick = () => write(() => db.undo(last, { note: "undone" }));
  textOf(db, "sign", "signs");
  textOf(db, "recipe", "recipes");
  shelfOf(db);
  at("switch").disabled = false;
  await db.synced(); // the rules are in force
  document.documentElement.dataset.ready = "yes";
}

if (typeof document !== "undefined") start().catch(fault);
