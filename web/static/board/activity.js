// What happened, newest first, batch by batch. It goes on where it stopped, after a reload too: what others did while this page
// was closed is told when it opens.

import { at, h, icon, setText } from "./dom.js";
import { remember, remembered } from "./memory.js";
import { readCard, readList } from "./model.js";
import { ago, deviceOf, moment, sayBatch } from "./words.js";

const MOST = 100; // lines
const SAME = 2 * 60_000; // ms in which changes of one device to one object are one line
const FEW = 5; // changes of a batch of which each is told by what was there before
const DEEP = 50; // versions that are read to find that
const KEEP = 400; // ms until a marker is remembered

/**
 * What a batch did, as sayBatch takes it. `known` is what was there before by collection and id, and is brought up to date.
 * @param {import("/vsync.js").WatchEvent} event
 * @param {Map<string, {version: string, value: any, conflict: boolean}>} known
 * @param {(list: string) => string} listTitle
 */
export function readBatch(event, known, listTitle) {
  const told = { cards: { made: [], changed: [], deleted: [] }, lists: { made: [], changed: [], deleted: [] }, gone: [], one: undefined };
  for (const { collection, id, value, deleted, version, conflict } of event.changes) {
    const kind = told[collection];
    if (!kind) continue;
    const key = `${collection}/${id}`;
    const before = known.get(key);
    const was = before && before.version !== version ? before.value : undefined;
    const read = collection === "lists" ? readList : readCard;
    told.one = event.changes.length === 1 ? { collection, id } : undefined;
    if (deleted) {
      known.delete(key);
      if (was !== undefined) told.gone.push({ kind: collection, id, value: was });
      kind.deleted.push({ title: was === undefined ? "" : read(was).title });
      continue;
    }
    known.set(key, { version, value, conflict });
    const now = read(value);
    // What is known already as this version came with the board itself: what was there before it is not known.
    if (before === undefined) kind.made.push({ title: now.title });
    else if (conflict && !before.conflict) kind.changed.push({ title: now.title, what: "conflict" });
    else kind.changed.push({ title: now.title, ...(was === undefined ? {} : difference(read(was), now, listTitle)) });
  }
  return told;
}

function difference(was, now, listTitle) {
  if (was.title === now.title && was.note === now.note && was.label === now.label) {
    return was.list !== now.list ? { what: "moved", to: listTitle(now.list) } : { what: "moved" };
  }
  return was.title !== now.title ? { what: "renamed", from: was.title } : { what: "changed" };
}

/**
 * Puts into `known` what was there before a batch, where the board cannot say: for changes from before this page was opened.
 * @param {Set<string>} guessed keys of what is known from the board alone
 * @param {boolean} live whether the batch was written after this page was opened
 */
async function recall(db, { changes }, known, guessed, live) {
  const few = changes.length <= FEW;
  const asked = few ? changes.filter(({ collection, id }) => told(collection) && (guessed.has(`${collection}/${id}`) || !known.has(`${collection}/${id}`)))
    : live ? [] : changes.slice(0, 1);
  for (const { collection, id, version } of asked) {
    const before = await versionBefore(db.collection(collection), id, version);
    // Of very many it is asked of one: they were all made, or all there.
    for (const change of few ? [{ collection, id, version }] : changes) {
      const key = `${change.collection}/${change.id}`;
      if (before === null) known.delete(key);
      else known.set(key, (few && before) || change); // a change itself: it was there, and nobody knows how
    }
  }
  for (const { collection, id } of changes) guessed.delete(`${collection}/${id}`);
}

const told = (collection) => collection === "cards" || collection === "lists";

/** The version that another one replaced; null: none, it began there; undefined: not known any more. */
async function versionBefore(collection, id, version) {
  let parent;
  for await (const entry of collection.history(id, { limit: DEEP })) {
    if (entry.version === version) parent = entry.parents[0] ?? null;
    if (parent === null) return null;
    if (entry.version === parent) return entry.deleted ? null : { version: entry.version, value: entry.value, conflict: false };
  }
  return undefined;
}

export class Activity {
  #root = at("activity"); #button = at("activity-button"); #badge = at("activity-new");
  #list = h("ol.events");
  #none = h("p.note", {}, "What this and other devices change appears here as it happens.");
  #does; #names;
  #stop; #unseen = 0; #last; #opened = Date.now(); #divided = false; #away = false;
  #remembering;

  /** @param {{open: (kind: string, id: string) => void, bringBack: (gone: object[]) => void, fail: (error: unknown) => void,
   *   shown: (open: boolean) => void}} does */
  constructor(does) {
    this.#does = does;
    this.#root.append(
      h("div.side-top", {}, h("h2", { id: "activity-title", tabIndex: -1 }, "Activity"),
        h("button.tool", { type: "button", title: "Close", onclick: () => this.toggle(false) }, icon("close"), h("span.sr", {}, "Close"))),
      h("section", {}, this.#none), this.#list);
    this.#button.addEventListener("click", () => this.toggle());
    this.#root.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.toggle(false), this.#button.focus();
    });
    addEventListener("pagehide", () => this.#keep());
    setInterval(() => this.#times(), 30_000);
  }

  get isOpen() { return !this.#root.hidden; }

  toggle(open = this.#root.hidden, { focus = true } = {}) {
    this.#root.hidden = !open;
    this.#button.setAttribute("aria-expanded", String(open));
    if (open) {
      this.#unseen = 0;
      this.#badge.hidden = true;
      this.#times();
      if (focus) this.#root.querySelector("h2").focus({ preventScroll: true });
    }
    this.#does.shown(open);
  }

  /**
   * Follows a database from where this browser stopped.
   * @param {{db: import("/vsync.js").Database, model: import("./model.js").Model, names: import("./names.js").Names, marker: string}} session
   *   marker: from where on it is followed the first time
   */
  follow({ db, model, names, marker }) {
    this.#stop?.abort();
    const stop = this.#stop = new AbortController();
    this.#names = names;
    const known = new Map(), guessed = new Set(); // what is known from the board alone may be newer than what is told of it
    for (const card of model.cards.values()) known.set(`cards/${card.id}`, card.entry);
    for (const list of model.lists) known.set(`lists/${list.id}`, list.entry);
    for (const key of known.keys()) guessed.add(key);
    const place = `vsync.seen.${db.name}.${db.device}`;
    const from = remembered(place) ?? marker;
    remember(place, from);
    this.#read(db, from, stop.signal, async (event) => {
      await recall(db, event, known, guessed, (event.time ?? 0) >= this.#opened);
      this.#add(event, readBatch(event, known, (id) => model.list(id)?.title ?? "another list"));
      this.#remember(place, event.marker);
    });
  }

  async #read(db, from, signal, take) {
    try {
      for await (const event of db.watch({ from, signal })) {
        if (!event.initial) await take(event);
      }
    } catch (error) {
      if (signal.aborted || error.code === "CLOSED" || error.code === "ENGINE_LOST") return;
      if (error.code === "UNKNOWN_MARKER" && from !== "now") return this.#read(db, "now", signal, take);
      this.#does.fail(error);
    }
  }

  /** The marker goes into the browser's memory a little later: each batch of many would cost a write. */
  #remember(place, marker) {
    const first = this.#remembering === undefined;
    this.#remembering = { place, marker };
    if (first) setTimeout(() => this.#keep(), KEEP);
  }

  #keep() {
    if (this.#remembering) remember(this.#remembering.place, this.#remembering.marker);
    this.#remembering = undefined;
  }

  #add(event, read) {
    const device = event.device ?? deviceOf(event.changes[0]?.version ?? "");
    const time = event.time ?? Date.now();
    const text = sayBatch(read.cards, read.lists, event.note);
    if (!event.changes.some(({ collection }) => told(collection))) return;
    this.#none.parentElement.hidden = true;
    this.#divide(time);
    const last = this.#last;
    const again = last && read.one && last.one?.id === read.one.id && last.device === device && last.text === text && time - last.time < SAME;
    if (again) {
      last.time = time;
      this.#time(last.element.querySelector("time"), time);
    } else {
      this.#last = { device, time, text, one: read.one, element: this.#line(event, device, time, text, read) };
      this.#list.prepend(this.#last.element);
      while (this.#list.children.length > MOST) this.#list.lastElementChild.remove();
    }
    if (event.source === "remote" && !this.isOpen) {
      this.#unseen++;
      this.#badge.hidden = false;
      setText(this.#badge, this.#unseen > 99 ? "99+" : String(this.#unseen));
    }
  }

  #line(event, device, time, text, read) {
    const names = this.#names, own = event.source === "local";
    const opens = read.one && event.changes[0].deleted !== true;
    const words = [h("b", {}, own ? "You" : names.of(device)), ` ${text}`];
    return h("li.event.entering", {}, names.disc(device),
      opens ? h("button.line", { type: "button", dir: "auto", title: "Open", onclick: () => this.#does.open(read.one.collection, read.one.id) }, ...words)
        : h("p", { dir: "auto" }, ...words),
      this.#time(h("time"), time),
      read.gone.length > 0 && h("button.button.quiet", { type: "button", onclick: (e) => (e.currentTarget.remove(), this.#does.bringBack(read.gone)) }, "Bring back"));
  }

  /** A line between what happened while this page was closed and what comes now. */
  #divide(time) {
    if (time < this.#opened) this.#away = true;
    else if (this.#away && !this.#divided) {
      this.#divided = true;
      this.#list.prepend(h("li.event.divider", {}, "since you were here last"));
    }
  }

  #time(element, time) {
    element.dateTime = new Date(time).toISOString();
    element.title = moment(time);
    setText(element, ago(time, Date.now()));
    return element;
  }

  #times() {
    if (!this.isOpen || document.hidden) return;
    for (const element of this.#list.querySelectorAll("time")) setText(element, ago(Date.parse(element.dateTime), Date.now()));
  }
}

