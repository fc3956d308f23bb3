// One list of the board: its title, its cards in a window, and the way to add one.

import { estimateCard, makeCard, updateCard } from "./card.js";
import { h, icon, setText } from "./dom.js";
import { LOOSE } from "./model.js";
import { Windowed } from "./windowed.js";
import { count, quote } from "./words.js";

export class Column {
  #list;
  #does;
  #count = h("span.number");
  #head = h("h2", { dir: "auto" });
  #none = h("p.none", { hidden: true });
  #end = h("div.column-end");
  #ul;

  /**
   * @param {string} id of the list, "" for the cards without one
   * @param {{add: (list: string, text: string) => void, rename: (list: string, title: string) => void,
   *   menu: (list: string, button: HTMLElement) => void, conflict: (list: string) => void}} does
   */
  constructor(id, does) {
    this.id = id;
    this.#does = does;
    this.scroller = h("div.cards", { tabIndex: -1 });
    this.#ul = h("ul", { role: "list" });
    this.scroller.append(this.#ul);
    this.more = h("button.tool", { type: "button", onclick: () => does.menu(id, this.more), "aria-haspopup": "menu" }, icon("more"));
    this.top = h("div.column-top", {}, this.#head, this.#count, id !== LOOSE && this.more);
    this.element = h("section.column", { "data-list": id }, this.top, this.scroller, this.#none, this.#end);
    this.cards = new Windowed({
      scroller: this.scroller, list: this.#ul, make: makeCard, update: updateCard, estimate: estimateCard,
    });
    if (id !== LOOSE) this.#showAdd();
  }

  stop() { this.cards.stop(); }

  get list() { return this.#ul; }

  /** @param {{title: string, entry?: object}} list */
  showList(list) {
    this.#list = list;
    const title = list.title.trim() || (this.id === LOOSE ? "Without a list" : "Untitled list");
    this.#ul.setAttribute("aria-label", title);
    this.more.setAttribute("aria-label", `List ${quote(title)}: more`);
    this.element.setAttribute("aria-label", title);
    if (this.#head.querySelector("input")) return; // somebody is typing
    if (this.id === LOOSE) return setText(this.#head, title);
    const button = this.#head.querySelector("button") ?? h("button", { type: "button", title: "Rename", onclick: () => this.rename(), dir: "auto" });
    setText(button, title);
    if (!button.isConnected) this.#head.replaceChildren(button);
    const mark = this.top.querySelector(".mark");
    if (!list.entry?.conflict) return mark?.remove();
    if (!mark) this.#count.before(h("button.mark", { type: "button", title: "Several versions", onclick: () => this.#does.conflict(this.id) }, icon("fork"), h("span.sr", {}, "Several versions")));
  }

  /** @param {object[]} shown the cards to show @param {number} all how many there are @param {object} how as Windowed.set has it */
  showCards(shown, all, how) {
    setText(this.#count, shown.length === all ? count(all) : `${count(shown.length)} of ${count(all)}`);
    setText(this.#none, all === 0 ? "No cards yet" : "Nothing found here");
    this.#none.hidden = shown.length > 0;
    this.cards.set(shown, how);
  }

  rename() {
    const old = this.#list.title;
    const input = h("input.rename", { value: old, "aria-label": "Title of the list", maxLength: 500, dir: "auto" });
    let done = false;
    const end = (keep) => {
      if (done) return;
      done = true;
      const held = document.activeElement === input;
      input.remove();
      this.showList(this.#list);
      if (held) this.#head.querySelector("button")?.focus();
      if (keep && input.value.trim() !== old) this.#does.rename(this.id, input.value.trim());
    };
    input.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter") end(true);
      if (event.key === "Escape") end(false);
      if (event.key === "Enter" || event.key === "Escape") event.stopPropagation();
    });
    input.addEventListener("blur", () => end(true));
    this.#head.replaceChildren(input);
    input.focus();
    input.select();
  }

  #showAdd() {
    this.addButton = h("button.add", { type: "button", onclick: () => this.compose() }, icon("add"), "Add a card");
    this.#end.replaceChildren(this.addButton);
  }

  /** Opens the field for new cards. Enter adds one and stays for the next. */
  compose(text = "") {
    const field = h("textarea", { rows: 1, placeholder: "What is it about?", "aria-label": "New card: first line the title, the rest a note", dir: "auto", enterKeyHint: "done", value: text });
    const add = () => {
      if (field.value.trim() === "") return;
      this.#does.add(this.id, field.value.trim());
      field.value = "";
      field.focus();
    };
    let closed = false; // taking the field away ends its focus, which asks to close once more
    const close = (focus) => {
      if (closed || (field.value.trim() !== "" && !focus)) return; // what was typed stays until somebody gives it up
      closed = true;
      this.#showAdd();
      if (focus) this.addButton.focus();
    };
    field.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Enter" && !event.shiftKey) event.preventDefault(), add();
      if (event.key === "Escape") event.stopPropagation(), close(true);
    });
    const form = h("div.composer", {}, field, h("div.row", {},
      h("button.button.main", { type: "button", onclick: add }, "Add"),
      h("button.button.quiet", { type: "button", onclick: () => close(true) }, "Close")));
    form.addEventListener("focusout", (event) => {
      if (!form.contains(event.relatedTarget) && document.hasFocus()) close(false);
    });
    this.#end.replaceChildren(form);
    field.focus();
  }
}
