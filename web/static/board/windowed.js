// A list of any length in a box that scrolls, of which only what can be seen, and a little around it, is in the document.
//
//	items      i₀ i₁ i₂ … iₙ      heights as measured, or as estimated until then
//	offsets    where each begins; the list is as high as all of them
//	slots      the elements of the items in sight, each moved to its offset by a transform
//
// What is above the window may turn out higher or lower than estimated, or change: the scroll position follows, so that
// nothing in sight moves unless it is meant to.

import { setAttribute } from "./dom.js";

const AROUND = 400; // px above and below the window
const PASSES = 4; // measuring can bring more into sight, which has to be measured

export class Windowed {
  #scroller; #list; #make; #update; #estimate;
  #items = [];
  #index = new Map();
  #heights = new Map(); // by id, for the width below
  #offsets = new Float64Array(1);
  #slots = new Map(); // id: {element, item}
  #width = 0;
  #view = 0;
  #held; // id of the item that holds the focus: it stays, wherever the window is
  #observer;

  /**
   * @param {{scroller: HTMLElement, list: HTMLElement, make: (item) => HTMLElement, update: (element, item) => void,
   *   estimate: (item, width: number) => number}} parts every item has an id, and is another object when it changed
   */
  constructor({ scroller, list, make, update, estimate }) {
    this.#scroller = scroller;
    this.#list = list;
    this.#make = make;
    this.#update = update;
    this.#estimate = estimate;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    list.addEventListener("focusin", (event) => { this.#held = this.#idOf(event.target); });
    list.addEventListener("focusout", () => { this.#held = undefined; });
    this.#observer = new ResizeObserver(() => this.#resized());
    this.#observer.observe(scroller);
  }

  stop() { this.#observer.disconnect(); }

  get items() { return this.#items; }
  get size() { return this.#items.length; }
  indexOf(id) { return this.#index.get(id) ?? -1; }
  element(id) { return this.#slots.get(id)?.element; }
  get shown() { return this.#slots.keys(); }

  /** The whole list anew; `settle`: what moves in sight is seen moving; `top`: another list, to be seen from its beginning. */
  set(items, { settle = false, top = false } = {}) {
    if (top) this.#scroller.scrollTop = 0;
    const anchor = this.#anchor();
    this.#items = items;
    this.#index = new Map(items.map((item, i) => [item.id, i]));
    for (const id of this.#heights.keys()) if (!this.#index.has(id)) this.#heights.delete(id);
    for (const [id, slot] of this.#slots) {
      const item = items[this.#index.get(id)];
      if (item === undefined || item === slot.item) continue;
      this.#update(slot.element, item);
      slot.item = item;
      slot.stale = true;
    }
    // In the first frame there is no width yet: the observer draws as soon as there is one.
    if (this.#width === 0) this.#measureBox();
    this.#lay(0);
    const moved = this.#restore(anchor);
    this.#list.classList.toggle("settling", settle && !moved);
    this.draw();
  }

  /** Draws an item anew though it is the same, because of what stands around it. */
  refresh(id) {
    const slot = this.#slots.get(id);
    if (slot) this.#update(slot.element, slot.item);
  }

  #idOf(node) {
    for (const [id, slot] of this.#slots) if (slot.element.contains(node)) return id;
    return undefined;
  }

  #measureBox() {
    this.#width = this.#list.clientWidth;
    this.#view = this.#scroller.clientHeight;
  }

  #resized() {
    const before = this.#width;
    const anchor = this.#anchor();
    this.#measureBox();
    if (this.#width !== before) {
      this.#heights.clear();
      for (const slot of this.#slots.values()) slot.stale = true;
      this.#lay(0);
      this.#restore(anchor);
    }
    this.draw();
  }

  #scrolled() {
    this.#list.classList.remove("settling");
    this.draw();
  }

  #height(item) { return this.#heights.get(item.id) ?? this.#estimate(item, this.#width); }

  /** Offsets from an index on. */
  #lay(from) {
    const n = this.#items.length;
    if (this.#offsets.length !== n + 1) {
      const offsets = new Float64Array(n + 1);
      offsets.set(this.#offsets.subarray(0, Math.min(from, n) + 1));
      this.#offsets = offsets;
    }
    let y = from === 0 ? 0 : this.#offsets[from];
    for (let i = from; i < n; i++) {
      this.#offsets[i] = y;
      y += this.#height(this.#items[i]);
    }
    this.#offsets[n] = y;
    this.#list.style.height = `${y}px`;
  }

  /** The last index whose offset is at or above y. */
  at(y) {
    let low = 0, high = this.#items.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (this.#offsets[mid + 1] <= y) low = mid + 1;
      else high = mid;
    }
    return low;
  }

  /** Where an item would go that is let go of at y; from 0 to size. And the y of that gap. */
  gap(y) {
    const i = this.at(Math.max(0, y));
    const after = i < this.size && y > (this.#offsets[i] + this.#offsets[i + 1]) / 2 ? 1 : 0;
    return { index: Math.min(i + after, this.size), y: this.#offsets[Math.min(i + after, this.size)] };
  }

  /** What is at the top of the window now, to be kept there; nothing at the very top, where what is new should show. */
  #anchor() {
    const top = this.#scroller.scrollTop;
    if (top <= 0 || !this.#items.length) return undefined;
    const i = this.at(top);
    return { ids: this.#items.slice(i, i + 20).map((item) => item.id), below: (this.#offsets[i] ?? 0) - top, was: top, offsets: this.#offsets, i };
  }

  #restore(anchor) {
    if (!anchor) return false;
    const k = anchor.ids.findIndex((id) => this.#index.has(id));
    if (k < 0) return false;
    const distance = anchor.offsets[anchor.i + k] - anchor.was;
    const top = Math.max(0, this.#offsets[this.#index.get(anchor.ids[k])] - distance);
    if (Math.abs(top - anchor.was) < 1) return false;
    this.#scroller.scrollTop = top;
    return true;
  }

  /** Brings into the document what can be seen, measures what is new, and moves everything to its place. */
  draw() {
    if (this.#width === 0) return;
    for (let pass = 0; pass < PASSES; pass++) {
      const top = this.#scroller.scrollTop;
      const first = this.at(Math.max(0, top - AROUND));
      const last = Math.min(this.size - 1, this.at(top + this.#view + AROUND));
      this.#fill(first, last);
      if (!this.#measure(top)) break;
    }
    for (const [id, slot] of this.#slots) {
      const i = this.#index.get(id);
      const y = this.#offsets[i];
      if (slot.y !== y) slot.element.style.transform = `translateY(${(slot.y = y)}px)`;
      setAttribute(slot.element, "aria-posinset", String(i + 1));
      setAttribute(slot.element, "aria-setsize", String(this.size));
    }
  }

  #fill(first, last) {
    for (const [id, slot] of this.#slots) {
      const i = this.#index.get(id);
      if (i !== undefined && ((i >= first && i <= last) || id === this.#held)) continue;
      slot.element.remove();
      this.#slots.delete(id);
    }
    const held = this.#held === undefined ? undefined : this.#index.get(this.#held);
    const wanted = held !== undefined && held < first ? [held] : [];
    for (let i = first; i <= last; i++) wanted.push(i);
    if (held !== undefined && held > last) wanted.push(held);
    let next = this.#list.firstElementChild;
    for (const i of wanted) {
      const item = this.#items[i];
      let slot = this.#slots.get(item.id);
      if (!slot) {
        slot = { element: this.#make(item), item, stale: true, y: undefined };
        this.#slots.set(item.id, slot);
      }
      if (slot.element === next) next = next.nextElementSibling;
      else put(this.#list, slot.element, next);
    }
  }

  /** Reads the heights of what is new or changed; whether any was another than thought. */
  #measure(top) {
    let least = Infinity;
    for (const [id, slot] of this.#slots) {
      if (!slot.stale) continue;
      slot.stale = false;
      const height = slot.element.offsetHeight;
      const i = this.#index.get(id);
      if (height === this.#height(this.#items[i])) {
        this.#heights.set(id, height);
        continue;
      }
      this.#heights.set(id, height);
      least = Math.min(least, i);
    }
    if (least === Infinity) return false;
    const i = this.at(top);
    const before = this.#offsets[i];
    this.#lay(least);
    if (top > 0 && this.#offsets[i] !== before) this.#scroller.scrollTop = top + this.#offsets[i] - before;
    return true;
  }

  /** Scrolls as little as needed for an item to be whole in sight, and returns its element. */
  reveal(id) {
    const i = this.#index.get(id);
    if (i === undefined) return undefined;
    this.#list.classList.remove("settling");
    // Twice, as what is measured on the way changes where it stands.
    for (let pass = 0; pass < 2; pass++) {
      const top = this.#scroller.scrollTop, from = this.#offsets[i], to = this.#offsets[i + 1];
      if (from < top) this.#scroller.scrollTop = from;
      else if (to > top + this.#view) this.#scroller.scrollTop = to - this.#view;
      this.draw();
    }
    return this.element(id);
  }
}

/** Keeps the focus of what is moved, where the browser can. */
function put(parent, element, next) {
  if (element.isConnected && parent.moveBefore) parent.moveBefore(element, next);
  else parent.insertBefore(element, next);
}
