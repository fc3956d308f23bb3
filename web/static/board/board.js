// The lists side by side: which there are, which card holds the keyboard's place, and what another device just changed.

import { glow } from "./card.js";
import { Column } from "./column.js";
import { arrange, h, icon } from "./dom.js";
import { isEmptySearch, LOOSE, matches } from "./model.js";

const FRESH = 3000; // ms for which a change of another device is shown, also where it comes into sight only then

export class Board {
  #root; #does; #model;
  #columns = new Map();
  #query = { words: [], starts: [], labels: [], conflict: false };
  #fresh = new Map(); // id of a card: {name, hue, until}
  #place; // id of the card that tabbing goes to
  #visited = false; // whether it was ever in focus: until then it is the first one
  #open; // id of the card that is open beside the board
  #newList;
  #awaited; // id of a list that is to be brought into sight as soon as it is there

  /** @param {HTMLElement} root @param {object} does what the columns ask for, and {open, newList} */
  constructor(root, does) {
    this.#root = root;
    this.#does = does;
    root.addEventListener("click", (event) => {
      const slot = event.target.closest(".slot");
      if (slot && root.contains(slot)) does.open(slot.dataset.id, event.detail === 0); // no press of a pointer: a key
    });
    root.addEventListener("focusin", (event) => {
      const slot = event.target.closest(".slot");
      if (!slot) return;
      this.#visited = true;
      this.#setPlace(slot.dataset.id);
    });
    // A card that scrolls out of the window and back is a new element: it gets the marks of its card again.
    new MutationObserver((records) => {
      for (const { addedNodes } of records) for (const node of addedNodes) if (node.classList?.contains("slot")) this.#mark(node);
    }).observe(root, { childList: true, subtree: true });
  }

  get query() { return this.#query; }

  /** Shows a model from nothing, as after opening. A card that is in focus stays so where the database is opened once more. */
  show(model) {
    const held = this.#heldCard();
    this.#model = model;
    for (const column of this.#columns.values()) column.stop();
    this.#columns.clear();
    this.#root.replaceChildren();
    this.#root.removeAttribute("aria-busy");
    this.#root.scrollLeft = 0;
    this.showLists();
    if (held !== undefined) this.focus(held);
  }

  /** Something in the middle instead of lists, as on an empty board; undefined brings the lists back. */
  welcome(element) {
    this.#root.querySelector(":scope > .welcome")?.remove();
    if (element) this.#root.prepend(element);
    this.#root.classList.toggle("empty", element !== undefined);
  }

  /** Lists came, went, moved or have another title. */
  showLists() {
    const shown = [...this.#model.lists];
    if (this.#model.loose.length) shown.push({ id: LOOSE, title: "" });
    const had = new Set(this.#columns.keys());
    for (const list of shown) {
      let column = this.#columns.get(list.id);
      if (!column) this.#columns.set(list.id, (column = new Column(list.id, this.#does)));
      column.showList(list);
      had.delete(list.id);
    }
    for (const id of had) {
      this.#columns.get(id).stop();
      this.#columns.delete(id);
    }
    this.#newList ??= this.#makeNewList();
    const held = document.activeElement;
    arrange(this.#root, [...this.#root.querySelectorAll(":scope > .welcome"), ...shown.map((list) => this.#columns.get(list.id).element), this.#newList]);
    if (held !== document.activeElement && held?.isConnected) held.focus({ preventScroll: true });
    for (const list of shown) this.#showCards(list.id);
    this.#revealAwaited();
  }

  /** Brings a list into sight, now or when it comes. */
  revealList(id) {
    this.#awaited = id;
    this.#revealAwaited();
  }

  #revealAwaited() {
    const column = this.#columns.get(this.#awaited);
    if (!column) return;
    this.#awaited = undefined;
    const last = this.#ordered().at(-1) === column;
    (last ? this.#newList : column.element).scrollIntoView({ block: "nearest", inline: "nearest" });
    column.element.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** The cards of some lists changed. */
  showCards(lists) {
    if (lists.has(LOOSE) && (this.#model.loose.length > 0) !== this.#columns.has(LOOSE)) return this.showLists();
    const held = this.#heldCard();
    for (const list of lists) this.#showCards(list, { settle: isEmptySearch(this.#query) });
    if (held !== undefined && document.activeElement === document.body) this.focus(held);
  }

  #heldCard() { return document.activeElement?.closest?.(".slot")?.dataset.id; }

  #showCards(id, how) {
    const column = this.#columns.get(id);
    if (!column) return;
    const all = this.#model.in(id);
    const shown = isEmptySearch(this.#query) ? all.slice() : all.filter((card) => matches(card, this.#query));
    column.showCards(shown, all.length, how);
    this.#keepPlace();
  }

  search(query) {
    this.#query = query;
    for (const id of this.#columns.keys()) this.#showCards(id, { top: true });
  }

  /** How many cards are shown. */
  get found() {
    let n = 0;
    for (const column of this.#columns.values()) n += column.cards.size;
    return n;
  }

  // --- the keyboard's place -----------------------------------------------------------------------------------------

  #columnOf(card) {
    for (const column of this.#columns.values()) if (column.cards.indexOf(card) >= 0) return column;
    return undefined;
  }

  #setPlace(id) {
    if (this.#place === id) return;
    const before = this.#place;
    this.#place = id;
    for (const card of [before, id]) {
      const slot = card !== undefined && this.#columnOf(card)?.cards.element(card);
      if (slot) this.#mark(slot);
    }
  }

  /** One card of the board can be reached by Tab: the last one that was in focus, or else the first. */
  #keepPlace() {
    if (this.#visited && this.#place !== undefined && this.#columnOf(this.#place)) return;
    for (const column of this.#ordered()) {
      if (column.cards.size) return this.#setPlace(column.cards.items[0].id);
    }
  }

  #ordered() {
    return [...this.#root.querySelectorAll(":scope > .column")].map((element) => this.#columns.get(element.dataset.list)).filter(Boolean);
  }

  #mark(slot) {
    const id = slot.dataset.id;
    slot.querySelector(".card-face").tabIndex = id === this.#place ? 0 : -1;
    slot.firstElementChild.classList.toggle("open", id === this.#open);
    const fresh = this.#fresh.get(id);
    if (fresh && fresh.until > performance.now() && !slot.querySelector(".who")) glow(slot, fresh.name, fresh.hue);
  }

  /** Puts the focus on a card, and it into sight. */
  focus(id) {
    const column = this.#columnOf(id);
    if (!column) return false;
    this.#setPlace(id);
    const slot = column.cards.reveal(id);
    column.element.scrollIntoView({ block: "nearest", inline: "nearest" });
    slot?.querySelector(".card-face").focus({ preventScroll: true });
    return true;
  }

  get focused() { return this.#heldCard(); }
  get place() { return this.#place; }

  /** Where an arrow key goes from a card. @returns {string | undefined} id */
  beside(id, key) {
    const column = this.#columnOf(id);
    if (!column) return undefined;
    const i = column.cards.indexOf(id), items = column.cards.items;
    switch (key) {
      case "ArrowUp": return items[i - 1]?.id;
      case "ArrowDown": return items[i + 1]?.id;
      case "Home": return items[0].id;
      case "End": return items.at(-1).id;
      case "PageUp": return items[Math.max(0, i - 8)].id;
      case "PageDown": return items[Math.min(items.length - 1, i + 8)].id;
      default: return this.#across(column, id, key === (isRightToLeft() ? "ArrowRight" : "ArrowLeft") ? -1 : 1);
    }
  }

  /** The card at the same height in the next column that has any. */
  #across(column, id, step) {
    const columns = this.#ordered();
    const from = column.cards.element(id)?.getBoundingClientRect().top;
    for (let i = columns.indexOf(column) + step; i >= 0 && i < columns.length; i += step) {
      const { cards, scroller } = columns[i];
      if (!cards.size) continue;
      const y = from === undefined ? 0 : from - scroller.getBoundingClientRect().top + scroller.scrollTop + 4;
      return cards.items[Math.min(cards.size - 1, cards.at(Math.max(0, y)))].id;
    }
    return undefined;
  }

  /** The list that is next to a card's, for moving it there. */
  listBeside(list, step) {
    const ids = this.#ordered().map((column) => column.id).filter((id) => id !== LOOSE);
    return ids[ids.indexOf(list) + step];
  }

  /** The cards of a list as they are shown. */
  shownIn(list) { return this.#columns.get(list)?.cards.items ?? []; }
  column(list) { return this.#columns.get(list); }
  get columns() { return this.#ordered(); }

  /** The list that the keyboard is in: its card's, or the first in sight. */
  get currentList() {
    const held = document.activeElement?.closest?.(".column")?.dataset.list;
    if (held) return held;
    const left = this.#root.getBoundingClientRect().left;
    return this.#ordered().find((column) => column.id !== LOOSE && column.element.getBoundingClientRect().right > left + 60)?.id;
  }

  // --- what is open, and what is new ------------------------------------------------------------------------------------

  setOpen(id) {
    const before = this.#open;
    this.#open = id;
    for (const card of [before, id]) {
      const slot = card !== undefined && this.#columnOf(card)?.cards.element(card);
      if (slot) this.#mark(slot);
    }
  }

  /** Another device changed these cards. @param {{id: string, name: string, hue: number}[]} changes */
  changed(changes) {
    const now = performance.now();
    for (const [id, { until }] of this.#fresh) if (until < now) this.#fresh.delete(id);
    for (const { id, name, hue } of changes) {
      this.#fresh.set(id, { name, hue, until: now + FRESH });
      const slot = this.#columnOf(id)?.cards.element(id);
      if (slot) glow(slot, name, hue);
    }
  }

  // --- a new list -----------------------------------------------------------------------------------------------------

  #makeNewList() {
    const root = h("div.newlist");
    const button = h("button.add", { type: "button" }, icon("add"), "Add a list");
    const close = () => root.firstChild === button || root.replaceChildren(button);
    button.addEventListener("click", () => {
      const field = h("input.field", { placeholder: "Title of the list", "aria-label": "Title of the new list", maxLength: 500, dir: "auto" });
      const form = h("form", { onsubmit: (event) => {
        event.preventDefault();
        if (field.value.trim() === "") return field.focus();
        this.#does.newList(field.value.trim());
        field.value = "";
      } }, field, h("div.row", {}, h("button.button.main", {}, "Add"), h("button.button.quiet", { type: "button", onclick: () => (close(), button.focus()) }, "Close")));
      form.addEventListener("keydown", (event) => {
        if (event.key !== "Escape" || event.isComposing) return;
        event.stopPropagation();
        close();
        button.focus();
      });
      form.addEventListener("focusout", (event) => {
        if (!form.contains(event.relatedTarget) && document.hasFocus() && field.value.trim() === "") setTimeout(close);
      });
      root.replaceChildren(form);
      field.focus();
    });
    close();
    return root;
  }

  addList() {
    const root = this.#newList;
    root?.querySelector(".add")?.click();
    root?.querySelector("input")?.focus();
  }
}

const isRightToLeft = () => document.dir === "rtl";
