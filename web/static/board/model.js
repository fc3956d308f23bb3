// What the board shows, kept from two results of the database: its lists and its cards. No document, no clock: what comes
// in is an array of entries, what goes out says which lists look different now.

import { isPlace } from "./order.js";

export const LABELS = ["red", "amber", "green", "blue", "violet", "pink"];

/** The list of cards that name no list that exists: another program wrote them, or their list was deleted meanwhile. */
export const LOOSE = "";

const text = (value) => (typeof value === "string" ? value : "");

/**
 * A card from whatever an object holds: other programs write into the same database.
 * @returns {{title: string, note: string, label: string, list: string, pos: string}}
 */
export function readCard(value) {
  if (value === null || typeof value !== "object" || Array.isArray(value) || value instanceof Uint8Array || value instanceof Date) {
    return { title: plain(value), note: "", label: "", list: LOOSE, pos: "" };
  }
  const title = text(value.title) || text(value.text) || text(value.name) || (value.title === "" ? "" : plain(value));
  return {
    title,
    note: text(value.note),
    label: LABELS.includes(value.label) ? value.label : "",
    list: text(value.list),
    pos: isPlace(value.pos) ? value.pos : "",
  };
}

/** @returns {{title: string, pos: string}} */
export function readList(value) {
  const of = value !== null && typeof value === "object" ? value : {};
  return { title: text(of.title), pos: isPlace(of.pos) ? of.pos : "" };
}

function plain(value) {
  if (typeof value === "string") return value;
  if (value === undefined) return "";
  try {
    return JSON.stringify(value, (_, v) => (typeof v === "bigint" ? String(v) : v instanceof Uint8Array ? `${v.length} bytes` : v));
  } catch {
    return String(value);
  }
}

/** The order in a list; ids decide where two devices drew the same place. */
export const inOrder = (a, b) => (a.pos < b.pos ? -1 : a.pos > b.pos ? 1 : a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

const BULK = 200; // from so many changes on, putting everything in order anew costs less than each one by itself

/**
 * What two results differ in. Both are in the order of their ids.
 * @returns {{was?: object, now?: object}[]} entries
 */
export function differences(before, after) {
  const found = [];
  let i = 0, j = 0;
  while (i < before.length || j < after.length) {
    const was = before[i], now = after[j];
    if (was === now) i++, j++;
    else if (now === undefined || (was !== undefined && less(was.id, now.id))) found.push({ was }), i++;
    else if (was === undefined || less(now.id, was.id)) found.push({ now }), j++;
    else {
      if (was.version !== now.version || was.conflict !== now.conflict) found.push({ was, now });
      i++, j++;
    }
  }
  return found;
}

/**
 * Ids are in the order of their UTF-8 bytes. Texts compare by UTF-16 units, which is the same but for surrogates: those
 * stand for characters behind all others.
 */
function less(a, b) {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    const x = a.charCodeAt(i), y = b.charCodeAt(i);
    if (x !== y) return x >= 0xd800 && y >= 0xd800 ? rank(x) < rank(y) : x < y;
  }
  return a.length < b.length;
}

const rank = (unit) => (unit < 0xe000 ? unit + 0x10000 : unit);

export class Model {
  #cardEntries = [];
  #listEntries = [];
  /** In order. */
  lists = [];
  cards = new Map();
  #byId = new Map(); // lists
  #inList = new Map(); // id of a list: its cards in order

  list(id) { return this.#byId.get(id); }

  /** The cards of a list, in order; not to be changed. */
  in(list) { return this.#inList.get(list) ?? []; }

  /** The list that a card is shown in. */
  home(card) { return this.#byId.has(card.list) ? card.list : LOOSE; }

  get loose() { return this.in(LOOSE); }

  get conflicts() {
    let n = 0;
    for (const entries of [this.#listEntries, this.#cardEntries]) for (const entry of entries) if (entry.conflict) n++;
    return n;
  }

  /**
   * @param {object[]} entries the whole result, in the order of ids
   * @returns {{changes: {was?: object, now?: object}[], lists: Set<string>}} what changed, as items, and where
   */
  takeCards(entries) {
    const changes = differences(this.#cardEntries, entries).map(({ was, now }) => ({
      was: was && this.cards.get(was.id),
      now: now && { id: now.id, entry: now, ...readCard(now.value) },
    }));
    this.#cardEntries = entries;
    for (const { was, now } of changes) now ? this.cards.set(now.id, now) : this.cards.delete(was.id);
    const lists = new Set();
    for (const { was, now } of changes) {
      if (was) lists.add(this.home(was));
      if (now) lists.add(this.home(now));
    }
    if (changes.length >= BULK) this.#arrange();
    else for (const change of changes) this.#place(change);
    return { changes, lists };
  }

  /** The same for lists; `shape` says that lists came, went or moved. */
  takeLists(entries) {
    const changes = differences(this.#listEntries, entries).map(({ was, now }) => ({
      was: was && this.#byId.get(was.id),
      now: now && { id: now.id, entry: now, ...readList(now.value) },
    }));
    this.#listEntries = entries;
    for (const { was, now } of changes) now ? this.#byId.set(now.id, now) : this.#byId.delete(was.id);
    this.lists = [...this.#byId.values()].sort(inOrder);
    const shape = changes.some(({ was, now }) => !was || !now || was.pos !== now.pos);
    if (changes.some(({ was, now }) => !was || !now)) this.#arrange();
    return { changes, shape };
  }

  #arrange() {
    this.#inList = new Map();
    for (const card of this.cards.values()) {
      const home = this.home(card);
      const cards = this.#inList.get(home);
      if (cards) cards.push(card);
      else this.#inList.set(home, [card]);
    }
    for (const cards of this.#inList.values()) cards.sort(inOrder);
  }

  #place({ was, now }) {
    if (was) {
      const cards = this.#inList.get(this.home(was)) ?? [];
      const at = search(cards, was);
      if (cards[at]?.id === was.id) cards.splice(at, 1);
    }
    if (now) {
      const home = this.home(now);
      const cards = this.#inList.get(home) ?? [];
      cards.splice(search(cards, now), 0, now);
      this.#inList.set(home, cards);
    }
  }

  /** The neighbours of a place in a list: before the card `before`, or at its end; `moving` itself does not count. */
  neighbours(list, before, moving) {
    return neighbours(this.in(list), before, moving);
  }

  /** The same among lists. */
  listNeighbours(before, moving) {
    return neighbours(this.lists, before, moving);
  }
}

function neighbours(items, before, moving) {
  const others = moving ? items.filter((item) => item.id !== moving) : items;
  const at = before === undefined ? others.length : others.findIndex((item) => item.id === before);
  const end = at < 0 ? others.length : at;
  return [others[end - 1]?.pos ?? "", others[end]?.pos ?? ""];
}

/** Where an item stands, or belongs, in a list in order. */
function search(items, item) {
  let low = 0, high = items.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (inOrder(items[mid], item) < 0) low = mid + 1;
    else high = mid;
  }
  return low;
}

// --- searching -----------------------------------------------------------------------------------------------------

const MARKS = /\p{M}/gu;
const ASCII = /^[\x00-\x7f]*$/;

/** A text as it is compared: without case, and without accents. */
export function fold(value) {
  return ASCII.test(value) ? value.toLowerCase() : value.normalize("NFKD").replace(MARKS, "").toLowerCase();
}

const folded = new WeakMap();

function searchable(card) {
  let found = folded.get(card);
  if (found === undefined) folded.set(card, (found = fold(`${card.title}\n${card.note}`)));
  return found;
}

/**
 * A question of the search field: words, each of which a card must hold; `^word` must begin the title, and `#red` names a
 * label (its first letters do).
 */
export function parseSearch(value) {
  const query = { words: [], starts: [], labels: [], conflict: false };
  for (const word of fold(value).split(/\s+/).filter(Boolean)) {
    if (word.startsWith("#") && word.length > 1) query.labels.push(word.slice(1));
    else if (word.startsWith("^") && word.length > 1) query.starts.push(word.slice(1));
    else query.words.push(word);
  }
  return query;
}

export const isEmptySearch = (query) => !query.conflict && query.words.length + query.starts.length + query.labels.length === 0;

export function matches(card, query) {
  if (query.conflict && !card.entry.conflict) return false;
  if (query.labels.length && !query.labels.every((label) => card.label.startsWith(label))) return false;
  if (!query.words.length && !query.starts.length) return true;
  const held = searchable(card);
  return query.words.every((word) => held.includes(word)) && query.starts.every((start) => held.startsWith(start));
}
