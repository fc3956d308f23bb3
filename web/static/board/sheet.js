// An open card or list beside the board: its fields, which are stored as they are typed, what happened to it, and the choice
// between the sides of a conflict.

import { h, icon, setText } from "./dom.js";
import { History } from "./history.js";
import { LABELS, LOOSE, readCard, readList } from "./model.js";
import { ago, moment, short } from "./words.js";

const IDLE = 600; // ms without a key until what was typed is stored
const CALM = 120; // ms without a change until the history is read anew

export class Sheet {
  #root; #session; #close;
  #kind; #id; #item;
  #dirty = new Map(); // field: what it holds while it is not stored
  #seen; // what was there when the first of them was typed
  #timer; #writing = Promise.resolve();
  #history; #reload;
  #fields = {};
  #saved; #meta; #opener;

  /** @param {HTMLElement} root @param {() => void} closed */
  constructor(root, closed) {
    this.#root = root;
    this.#close = closed;
    root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing || event.defaultPrevented) return;
      event.stopPropagation();
      this.close();
    });
    document.addEventListener("visibilitychange", () => document.hidden && this.#store());
    addEventListener("pagehide", () => this.#leavePage());
  }

  get isOpen() { return this.#id !== undefined; }
  get id() { return this.#id; }

  /**
   * @param {{actions: import("./actions.js").Actions, model: import("./model.js").Model, names: import("./names.js").Names}} session
   * @param {"cards"|"lists"} kind
   */
  open(session, kind, id, { focus = "title", opener } = {}) {
    const item = session.actions.item(kind, id);
    if (!item) return;
    if (this.isOpen) this.#leave();
    this.#session = session;
    this.#kind = kind;
    this.#id = id;
    this.#item = item;
    this.#opener = opener;
    this.#build();
    this.#root.hidden = false;
    this.#root.scrollTop = 0;
    this.refresh(true);
    if (focus === "title") this.#fields.title.focus({ preventScroll: true });
    else this.#root.querySelector(".side-top h2").focus({ preventScroll: true });
  }

  /** @param {boolean} [back] whether the focus goes to where it came from */
  close(back = true) {
    if (!this.isOpen) return;
    const id = this.#id, opener = this.#opener;
    this.#leave();
    this.#root.hidden = true;
    this.#root.replaceChildren();
    this.#close(id, back, opener);
  }

  #leave() {
    this.#store();
    clearTimeout(this.#reload);
    this.#history?.stop();
    this.#history = undefined;
    this.#dirty.clear();
    this.#seen = undefined;
    this.#id = undefined;
  }

  // --- what it consists of -------------------------------------------------------------------------------------------------

  #build() {
    const cards = this.#kind === "cards", { names } = this.#session;
    const title = this.#fields.title = this.#text("title", "textarea.sheet-name", { rows: 1, placeholder: "Title", "aria-label": "Title" });
    title.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      (this.#fields.note ?? title).focus();
    });
    this.#fields.note = cards ? this.#text("note", "textarea.sheet-note", { rows: 3, placeholder: "Add a note", "aria-label": "Note" }) : undefined;
    this.#fields.list = cards ? h("select", { "aria-label": "List", onchange: (event) => this.#session.actions.move(this.#id, event.target.value) }) : undefined;
    this.#fields.label = cards ? this.#swatches() : undefined;
    this.#saved = h("span.saved", { role: "status" });
    this.#meta = h("p.small.soft");
    const sides = h("section.sides", { hidden: true, "aria-label": "Versions to choose from" });
    const list = h("ol.history");
    this.#history = new History(list, sides, {
      kind: this.#kind, names, listTitle: (id) => this.#listTitle(id),
      restore: (value, note) => this.#restore(value, note),
    });
    this.#root.replaceChildren(
      h("div.side-top", {}, h("h2", { id: "sheet-title", tabIndex: -1 }, cards ? "Card" : "List"), this.#saved,
        h("button.tool", { type: "button", title: cards ? "Delete this card" : "Delete this list", onclick: () => this.#remove() }, icon("bin"), h("span.sr", {}, "Delete")),
        h("button.tool", { type: "button", title: "Close (Escape)", onclick: () => this.close() }, icon("close"), h("span.sr", {}, "Close"))),
      h("section.sheet-form", {}, title, this.#fields.note ?? "",
        cards ? h("div.facts", {}, h("span", { "aria-hidden": "true" }, "List"), this.#fields.list, h("span", { "aria-hidden": "true" }, "Colour"), this.#fields.label) : "",
        this.#meta),
      sides,
      h("section", { "aria-labelledby": "history-title" }, h("h3", { id: "history-title" }, "History"), list));
  }

  #text(field, name, props) {
    const element = h(name, { ...props, dir: "auto", oninput: () => this.#typed(field, element.value), onblur: () => this.#store() });
    // Where the browser does not grow a field with its text by itself.
    if (!CSS.supports("field-sizing", "content")) {
      element.addEventListener("input", () => grow(element));
    }
    return element;
  }

  #swatches() {
    const group = h("div.swatches", { role: "radiogroup", "aria-label": "Colour" });
    for (const label of ["", ...LABELS]) {
      const input = h("input", { type: "radio", name: "label", value: label, "aria-label": label || "none", onchange: () => this.#put({ label }) });
      group.append(h("label", { title: label || "none", "data-label": label }, input, h("span")));
    }
    return group;
  }

  #listTitle(id) {
    return this.#session.model.list(id)?.title || (id === LOOSE ? "Without a list" : "a list that is gone");
  }

  // --- what changes --------------------------------------------------------------------------------------------------------

  /** The database has other cards or lists than before. */
  refresh(force = false) {
    if (!this.isOpen) return;
    const item = this.#session.actions.item(this.#kind, this.#id);
    if (!item) {
      if (this.#dirty.size === 0) this.close();
      return;
    }
    const changed = item !== this.#item;
    this.#item = item;
    this.#showLists();
    if (!changed && !force) return;
    const { entry } = item, { names } = this.#session;
    for (const field of ["title", "note"]) {
      const element = this.#fields[field];
      if (!element || this.#dirty.has(field)) continue;
      if (element.value !== item[field]) keepCaret(element, item[field]);
      if (!CSS.supports("field-sizing", "content")) grow(element);
    }
    if (this.#fields.label) {
      for (const input of this.#fields.label.querySelectorAll("input")) input.checked = input.value === item.label;
    }
    setText(this.#meta, `${names.isOwn(entry.device) ? "Changed on this device" : `Changed by ${names.of(entry.device)}`}, ${ago(entry.time, Date.now())}`);
    this.#meta.title = moment(entry.time);
    clearTimeout(this.#reload);
    this.#reload = setTimeout(() => this.#load(), force ? 0 : CALM);
  }

  async #load() {
    try {
      await this.#history?.load(this.#session.db.collection(this.#kind), this.#id, this.#item.entry.conflict);
    } catch (error) {
      if (this.isOpen) this.#session.tell.fail(error, () => this.#load());
    }
  }

  #showLists() {
    const select = this.#fields.list;
    if (!select) return;
    const { model } = this.#session, home = model.home(this.#item);
    const wanted = [...model.lists.map((list) => [list.id, short(list.title, 80) || "Untitled list"]), ...(home === LOOSE ? [[LOOSE, "Without a list"]] : [])];
    const have = [...select.options].map((option) => [option.value, option.text]);
    if (JSON.stringify(have) !== JSON.stringify(wanted)) select.replaceChildren(...wanted.map(([value, text]) => new Option(text, value)));
    if (select.value !== home) select.value = home;
  }

  #typed(field, value) {
    if (this.#dirty.size === 0) this.#seen = { value: this.#item.entry.value, version: this.#item.entry.version };
    this.#dirty.set(field, value);
    this.#tellSaved();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#store(), IDLE);
  }

  #takeEdits() {
    clearTimeout(this.#timer);
    if (this.#dirty.size === 0) return undefined;
    const was = readBack(this.#kind, this.#seen.value);
    const edits = Object.fromEntries([...this.#dirty].filter(([field, value]) => value !== was[field]));
    this.#dirty.clear();
    return Object.keys(edits).length ? edits : undefined;
  }

  #store() {
    const typing = this.#dirty.size > 0, edits = this.#takeEdits();
    if (edits) this.#put(edits, this.#seen);
    else if (typing) this.#tellSaved("");
  }

  /** A page that is going away waits for no answer: one write upon what its writer saw. */
  #leavePage() {
    const edits = this.#takeEdits();
    if (edits) this.#session.actions.editNow(this.#kind, this.#id, this.#current(this.#seen), edits);
  }

  /** One after the other, so that each sees what the one before wrote. */
  #put(edits, seen = { value: this.#item.entry.value, version: this.#item.entry.version }) {
    const kind = this.#kind, id = this.#id, { actions, tell } = this.#session;
    this.#tellSaved();
    this.#writing = this.#writing.then(async () => {
      const done = await actions.edit(kind, id, this.#current(seen), edits);
      if (!done) return this.#tellSaved("");
      this.#own = { version: done.receipt.version, seen: seen.version };
      if (done.clash) tell.toast("Another device changed this at the same time. Both versions are kept: choose one.");
      if (this.#id !== id) return;
      this.#tellSaved("Stored here");
      done.receipt.synced().then(() => this.#id === id && this.#dirty.size === 0 && this.#tellSaved("At the hub"), () => {});
    });
  }

  #own; // the last version written from here, and what it was written upon

  /** What was typed while the edit before was on its way was typed upon that edit. */
  #current(seen) {
    const { entry } = this.#item ?? {};
    return this.#own && entry?.version === this.#own.version && seen.version === this.#own.seen ? { value: entry.value, version: entry.version } : seen;
  }

  #tellSaved(text) {
    if (!this.#saved) return;
    this.#saved.replaceChildren(...(text === undefined ? [h("span", {}, "Storing…")] : text ? [icon("check"), h("span", {}, text)] : []));
  }

  async #restore(value, note) {
    this.#store();
    await this.#writing;
    if (await this.#session.actions.restore(this.#kind, this.#id, value, note)) this.#session.tell.say("Done");
  }

  #remove() {
    const { actions } = this.#session, item = this.#item;
    this.#store();
    if (this.#kind === "cards") actions.removeCard(item);
    else actions.removeList(item);
    this.close();
  }
}

const readBack = (kind, value) => (kind === "lists" ? readList(value) : readCard(value));

/** Another text in a field, with the caret as far from the end, or the start, as it was. */
function keepCaret(element, text) {
  const { selectionStart, selectionEnd, value } = element;
  let same = 0;
  while (same < selectionStart && value[same] === text[same]) same++;
  const shift = same === selectionStart ? 0 : text.length - value.length;
  element.value = text;
  if (document.activeElement === element) element.setSelectionRange(Math.max(0, selectionStart + shift), Math.max(0, selectionEnd + shift));
}

function grow(element) {
  element.style.height = "auto";
  element.style.height = `${element.scrollHeight + 2}px`;
}
