// The keyboard. Keys of one letter work only where nobody types, and can be switched off.

import { at, h } from "./dom.js";
import { LOOSE } from "./model.js";
import { remember, remembered } from "./memory.js";

const OFF = "vsync.keys";

/** What the list of keys shows; the keys that are only shown here work in their own places. */
export const KEYS = [
  [["←", "↑", "→", "↓"], "from card to card"], [["Enter"], "open the card"], [["N"], "new card in this list"], [["L"], "new list"],
  [["Shift", "← ↑ → ↓"], "move the card"], [["Delete"], "delete the card"], [["Z"], "undo the last deletion"], [["/"], "search"],
  [["O"], "work offline, or online again"], [["A"], "activity"], [["Escape"], "close, or clear the search"], [["?"], "this list"],
];

export const lettersOn = () => remembered(OFF) !== "off";
export const switchLetters = (on) => remember(OFF, on ? undefined : "off");

const ARROWS = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Home", "End", "PageUp", "PageDown"];

/**
 * @param {{board: import("./board.js").Board, does: Record<string, (...args: any[]) => void>}} page
 */
export function keyboard({ board, does }) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    const { target } = event;
    if (target.closest?.("[popover]")) return;
    const card = board.focused;
    if (card !== undefined && ARROWS.includes(event.key)) return event.shiftKey ? move(event, card) : go(event, card);
    if (target.closest?.("input, textarea, select, [contenteditable]")) return;
    if (event.key === "Escape") return does.clear();
    if (card !== undefined && (event.key === "Delete" || event.key === "Backspace")) return event.preventDefault(), remove(card);
    // Arrows with nothing in focus go to the card that had it.
    if (ARROWS.includes(event.key) && (target === document.body || target === at("board")) && board.place !== undefined) {
      return event.preventDefault(), void board.focus(board.place);
    }
    if (lettersOn()) letter(event, card);
  });

  function go(event, card) {
    event.preventDefault();
    const next = board.beside(card, event.key);
    if (next !== undefined) board.focus(next);
  }

  function move(event, card) {
    const step = { ArrowUp: -1, ArrowDown: 1, ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const sideways = event.key === "ArrowLeft" || event.key === "ArrowRight";
    does.move(card, sideways ? "across" : "along", step);
  }

  function remove(card) {
    const next = board.beside(card, "ArrowDown") ?? board.beside(card, "ArrowUp") ?? board.beside(card, "ArrowRight") ?? board.beside(card, "ArrowLeft");
    does.remove(card, next);
  }

  function letter(event, card) {
    const list = board.currentList;
    const run = {
      "/": () => does.search(), "?": () => does.help(), n: () => list !== undefined && list !== LOOSE && does.newCard(list), l: () => does.newList(),
      o: () => does.offline(), a: () => does.activity(), z: () => does.undo(), e: () => card !== undefined && does.open(card),
    }[event.key.length === 1 ? event.key.toLowerCase() : ""];
    if (!run) return;
    event.preventDefault();
    run();
  }
}

/** The keys as a list. */
export function keyList() {
  return h("dl.keys", {}, ...KEYS.flatMap(([keys, what]) => [h("dt", {}, ...keys.map((key) => h("kbd.key", {}, key))), h("dd", {}, what)]));
}
