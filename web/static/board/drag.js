// Moving cards with a pointer: with a mouse or pen by dragging, with a finger after holding it for a moment. Escape gives up.

import { h } from "./dom.js";
import { LOOSE } from "./model.js";

const SLACK = 6; // px that a mouse moves before it drags
const HOLD = 320; // ms that a finger rests before it lifts the card
const EDGE = 56; // px from an edge in which things scroll
const SPEED = 14; // px a frame at the very edge

/**
 * @param {HTMLElement} root of the board
 * @param {import("./board.js").Board} board
 * @param {(card: string, list: string, before: string | undefined) => void} drop
 */
export function dragging(root, board, drop) {
  let drag; // {id, slot, pointer, start: {x, y}, now: {x, y}, ghost, hold, frame, target}

  root.addEventListener("pointerdown", (event) => {
    const slot = event.target.closest(".slot");
    if (!slot || event.button !== 0 || drag || !event.isPrimary) return;
    const start = { x: event.clientX, y: event.clientY };
    drag = { id: slot.dataset.id, slot, pointer: event.pointerId, start, now: start, touch: event.pointerType === "touch" };
    if (drag.touch) drag.hold = setTimeout(() => lift(), HOLD);
    addEventListener("pointermove", moved);
    addEventListener("pointerup", released);
    addEventListener("pointercancel", cancel);
  });
  // A finger that holds a card scrolls nothing, and opens no menu of the browser.
  root.addEventListener("touchmove", (event) => drag?.ghost && event.preventDefault(), { passive: false });
  addEventListener("selectstart", (event) => drag && event.preventDefault());
  root.addEventListener("contextmenu", (event) => drag?.touch && event.preventDefault());

  function moved(event) {
    if (event.pointerId !== drag.pointer) return;
    drag.now = { x: event.clientX, y: event.clientY };
    const far = Math.hypot(drag.now.x - drag.start.x, drag.now.y - drag.start.y) > SLACK;
    if (!drag.ghost && far) drag.touch ? end() : lift();
  }

  function lift() {
    const box = drag.slot.getBoundingClientRect();
    const copy = drag.slot.cloneNode(true);
    copy.removeAttribute("style");
    drag.ghost = h("div.lifted", { "aria-hidden": "true", inert: true }, copy.firstElementChild);
    drag.ghost.style.width = `${box.width}px`;
    drag.offset = { x: drag.start.x - box.left, y: drag.start.y - box.top };
    drag.line = h("li.dropline", { "aria-hidden": "true" });
    drag.slot.classList.add("away");
    document.body.classList.add("dragging");
    document.body.append(drag.ghost);
    addEventListener("keydown", escape, true);
    follow();
  }

  /** Once a frame: the card at the pointer, the line where it would go, and scrolling near edges. */
  function follow() {
    const { now, offset, ghost } = drag;
    ghost.style.transform = `translate(${now.x - offset.x}px, ${now.y - offset.y}px)`;
    scroll(root, "scrollLeft", now.x, root.getBoundingClientRect(), "left", "right");
    aim();
    drag.frame = requestAnimationFrame(follow);
  }

  function aim() {
    const column = board.columns.find(({ element, id }) => {
      const { left, right } = element.getBoundingClientRect();
      return id !== LOOSE && drag.now.x >= left - 6 && drag.now.x < right + 6;
    });
    if (column !== drag.column) {
      drag.column?.element.classList.remove("over");
      column?.element.classList.add("over");
      drag.column = column;
    }
    if (!column) return void drag.line.remove();
    const box = column.scroller.getBoundingClientRect();
    scroll(column.scroller, "scrollTop", drag.now.y, box, "top", "bottom");
    const { index, y } = column.cards.gap(drag.now.y - box.top + column.scroller.scrollTop);
    drag.before = column.cards.items[index]?.id;
    if (drag.line.parentElement !== column.list) column.list.append(drag.line);
    drag.line.style.transform = `translateY(${y - 2}px)`;
  }

  function scroll(element, property, at, box, start, end) {
    const before = box[start] + EDGE - at, behind = at - (box[end] - EDGE);
    const by = before > 0 ? -before : behind > 0 ? behind : 0;
    if (by) element[property] += Math.max(-1, Math.min(1, by / EDGE)) * SPEED;
  }

  function released(event) {
    if (event.pointerId !== drag.pointer) return;
    const { ghost, column, before, id } = drag;
    end();
    if (!ghost) return;
    swallowClick();
    if (column && before !== id && !inPlace(column, before, id)) drop(id, column.id, before);
  }

  /** Whether the card stands there already: right before the one that it would go before. */
  function inPlace(column, before, id) {
    const i = column.cards.indexOf(id);
    return i >= 0 && column.cards.items[i + 1]?.id === before;
  }

  const cancel = (event) => event.pointerId === drag.pointer && end();

  function escape(event) {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    end();
    swallowClick();
  }

  function end() {
    clearTimeout(drag.hold);
    cancelAnimationFrame(drag.frame);
    removeEventListener("pointermove", moved);
    removeEventListener("pointerup", released);
    removeEventListener("pointercancel", cancel);
    removeEventListener("keydown", escape, true);
    drag.slot.classList.remove("away");
    drag.column?.element.classList.remove("over");
    drag.line?.remove();
    drag.ghost?.remove();
    document.body.classList.remove("dragging");
    drag = undefined;
  }

  /** The click that ends a drag opens nothing. */
  function swallowClick() {
    const swallow = (event) => (event.preventDefault(), event.stopPropagation());
    addEventListener("click", swallow, { capture: true, once: true });
    setTimeout(() => removeEventListener("click", swallow, { capture: true }), 50);
  }
}
