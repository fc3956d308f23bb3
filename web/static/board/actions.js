// What people do to the board, as writes. Each resolves when it is stored on this device; what fails is told and can be tried
// again, so no caller has to catch anything.

import { rebase } from "./diff.js";
import { readCard } from "./model.js";
import { Ends, between, following } from "./order.js";
import { sample, trial } from "./sample.js";
import { lasting, many, quote } from "./words.js";

const BOARD = ""; // the board itself, among the lists whose ends are known
const SLICE = 1000; // cards put into a batch at one go: the page answers in between
const PORTION = 10_000; // objects in one batch; the database takes 20,000, or 8 MiB

export class Actions {
  /**
   * @param {import("/vsync.js").Database} db
   * @param {import("./model.js").Model} model
   * @param {{toast: Function, fail: (error: unknown, again?: () => void) => void, say: (text: string) => void}} tell
   */
  constructor(db, model, tell) {
    this.db = db;
    this.model = model;
    this.tell = tell;
    this.cards = db.collection("cards");
    this.lists = db.collection("lists");
    this.devices = db.collection("devices");
  }

  /** Runs a write; what it throws is told, with the way to try it again. */
  async #try(write) {
    try {
      return await write();
    } catch (error) {
      if (error instanceof Gone) this.tell.toast(error.message);
      else this.tell.fail(error, () => this.#try(write));
      return undefined;
    }
  }

  /** Whoever types fast adds again before the model has the card before. */
  #ends = new Ends();

  #collection(kind) { return kind === "lists" ? this.lists : this.cards; }
  item(kind, id) { return kind === "lists" ? this.model.list(id) : this.model.cards.get(id); }

  // --- cards ----------------------------------------------------------------------------------------------------------

  /** The first line is the title, the rest the note. @returns {Promise<string | undefined>} its id */
  async addCard(list, typed) {
    const [title, ...rest] = typed.split("\n");
    const id = newId();
    const value = { title: title.trim(), list, pos: this.#ends.behind(list, this.model.neighbours(list)[0]) };
    const note = rest.join("\n").trim();
    if (note) value.note = note;
    const done = await this.#try(() => this.cards.put(id, value));
    return done && id;
  }

  /** Moves a card into a list: before another one, or to its end. */
  move(id, list, before) {
    const place = { list, pos: between(...this.model.neighbours(list, before, id)) };
    return this.#try(() => this.#change("cards", id, place));
  }

  /**
   * Changes fields of what is there now. An ordinary write replaces all sides of a conflict; this one must not, as nobody has
   * chosen: it replaces the side that shows, and the others stay beside it.
   */
  async #change(kind, id, fields) {
    const collection = this.#collection(kind);
    const now = await collection.entry(id);
    if (now?.conflict) return collection.put(id, { ...asObject(now.value, kind), ...fields }, { seen: now.version });
    return collection.update(id, (value) => ({ ...asObject(value, kind), ...fields }));
  }

  /**
   * Changes fields of a card or a list as its writer saw it. Where somebody else changed the same field meanwhile, both versions
   * stay, and whoever looks chooses.
   * @param {{value: unknown, version: string}} seen
   * @returns {Promise<{receipt: import("/vsync.js").Receipt, clash: boolean} | undefined>}
   */
  edit(kind, id, seen, edits) {
    return this.#try(async () => {
      const collection = this.#collection(kind);
      const now = await collection.entry(id);
      const { value, clash } = now ? rebase(asObject(seen.value, kind), asObject(now.value, kind), edits) : { value: { ...asObject(seen.value, kind), ...edits }, clash: true };
      return { receipt: await (clash ? collection.put(id, value, { seen: seen.version }) : this.#change(kind, id, edits)), clash };
    });
  }

  /** The same without asking what is there now: for a page that is going away. Two versions are better than none. */
  editNow(kind, id, seen, edits) {
    this.#collection(kind).put(id, { ...asObject(seen.value, kind), ...edits }, { seen: seen.version }).catch(() => {});
  }

  async removeCard(card) {
    if (!(await this.#try(() => this.cards.delete(card.id)))) return;
    const put = () => this.#batch((tx) => tx.put(this.cards, card.id, card.entry.value), "undone");
    this.tell.toast(`Deleted ${quote(card.title, "untitled", 40)}`, { label: "Undo", key: "Z", run: () => this.#try(put) });
  }

  /** Brings back what a batch deleted. @param {{kind: "cards"|"lists", id: string, value: object}[]} gone */
  bringBack(gone) {
    return this.#try(() => this.#batch((tx) => {
      for (const { kind, id, value } of gone) tx.put(this.#collection(kind), id, value);
    }, "brought back"));
  }

  // --- lists ----------------------------------------------------------------------------------------------------------

  async addList(title) {
    const id = newId();
    const pos = this.#ends.behind(BOARD, this.model.lists.at(-1)?.pos ?? "");
    return (await this.#try(() => this.lists.put(id, { title, pos }))) && id;
  }

  renameList(id, title) {
    return this.#try(() => this.#change("lists", id, { title }));
  }

  moveList(id, step) {
    const lists = this.model.lists, i = lists.findIndex((list) => list.id === id);
    if (i < 0 || !lists[i + step]) return undefined;
    const before = step < 0 ? lists[i - 1].id : lists[i + 2]?.id;
    const pos = between(...this.model.listNeighbours(before, id));
    return this.#try(() => this.#change("lists", id, { pos }));
  }

  /** A list with its cards, as one batch where it fits into one. */
  async removeList(list) {
    const cards = this.model.in(list.id).slice();
    const all = [{ kind: "lists", item: list }, ...cards.map((item) => ({ kind: "cards", item }))];
    const write = async (each, note) => {
      for (let from = 0; from < all.length; from += PORTION) {
        await this.#batch((tx) => all.slice(from, from + PORTION).forEach(({ kind, item }) => each(tx, this.#collection(kind), item)), note);
      }
      return true;
    };
    if (!(await this.#try(() => write((tx, collection, item) => tx.delete(collection, item.id))))) return;
    const undo = () => write((tx, collection, item) => tx.put(collection, item.id, item.entry.value), "undone");
    this.tell.toast(`Deleted ${quote(list.title, "untitled", 40)} with ${many(cards.length, "card")}`, { label: "Undo", key: "Z", run: () => this.#try(undo) });
  }

  // --- versions -------------------------------------------------------------------------------------------------------

  /** Goes back to a version, as a new one that replaces all there is. */
  restore(kind, id, value, note) {
    return this.#try(() => this.#batch((tx) => (value === undefined ? tx.delete(this.#collection(kind), id) : tx.put(this.#collection(kind), id, value)), note));
  }

  // --- many at once -----------------------------------------------------------------------------------------------------

  addSample() {
    return this.#try(() => this.#batch((tx) => this.#putBoard(tx, sample(newId, following(this.model.lists.at(-1)?.pos ?? "", 3))), "sample"));
  }

  /** A list of n cards in one batch, and how long that took. */
  async addTrial(n) {
    const [pos] = following(this.model.lists.at(-1)?.pos ?? "", 1);
    const board = trial(newId, pos, n);
    const begin = performance.now();
    const receipt = await this.#try(() => this.#batch((tx) => this.#putBoard(tx, board), "speed trial"));
    if (!receipt) return undefined;
    const stored = performance.now() - begin;
    const text = `${many(n, "card")} stored in ${lasting(stored)}`;
    const toast = this.tell.toast(text, { stay: true });
    receipt.synced().then(() => toast.change(`${text}, at the hub after ${lasting(performance.now() - begin)}`), () => toast.change(text));
    return board.lists[0][0];
  }

  async #putBoard(tx, { lists, cards }) {
    for (const [id, value] of lists) tx.put(this.lists, id, value);
    for (const [i, [id, value]] of cards.entries()) {
      if (i % SLICE === SLICE - 1) await breath();
      tx.put(this.cards, id, value);
    }
  }

  /** The name of this device, for everybody. */
  nameDevice(name) {
    return this.#try(() => (name ? this.devices.put(this.db.device, { name }) : this.devices.delete(this.db.device)));
  }

  #batch(write, note) {
    return this.db.batch((tx) => write(tx), note ? { note } : {});
  }
}

/** Lets the page answer to whoever uses it. */
const breath = () => globalThis.scheduler?.yield?.() ?? new Promise((resolve) => setTimeout(resolve));

/** Thrown inside an update whose object is not there any more: nothing is written then. */
class Gone extends Error {}

/** The fields of a value, whatever another program put there. */
function asObject(value, kind) {
  if (value === undefined) throw new Gone(kind === "lists" ? "Somebody deleted this list just now" : "Somebody deleted this card just now");
  const plain = value !== null && Object.getPrototypeOf(value) === Object.prototype;
  return plain ? value : { title: readCard(value).title };
}

const ID = "0123456789abcdefghijklmnopqrstuvwxyz";
const drawn = new Uint8Array(16 * 512);
let left = 0; // bytes of it that nobody has had; for thousands of ids, asking for each would cost more than all the rest

/** 80 random bits; nobody draws the same. */
function newId() {
  if (left === 0) left = crypto.getRandomValues(drawn).length;
  let id = "";
  for (let i = 0; i < 16; i++) id += ID[drawn[--left] % 32];
  return id;
}
