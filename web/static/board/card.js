// One card as the board shows it.

import { h, icon, setAttribute, setText } from "./dom.js";

const SHOWN = 600; // characters of a text that go into the document: five lines hold fewer

const cut = (text) => (text.length > SHOWN ? text.slice(0, SHOWN).replace(/[\ud800-\udbff]$/, "") : text);

/** @returns {HTMLLIElement} */
export function makeCard(item) {
  const face = h("button.card-face", { type: "button", tabIndex: -1, dir: "auto" });
  const slot = h("li.slot", { "data-id": item.id }, h("div.card", {}, face));
  updateCard(slot, item);
  return slot;
}

export function updateCard(slot, item) {
  const card = slot.firstElementChild;
  const face = card.querySelector(".card-face");
  const title = cut(item.title).trim();
  setText(face, title || "Untitled");
  face.classList.toggle("untitled", title === "");
  setAttribute(card, "data-label", item.label);
  const names = [title || "Untitled", item.label, item.entry.conflict && "has several versions"].filter(Boolean);
  if (names.length > 1) setAttribute(face, "aria-label", names.join(", "));
  else face.removeAttribute("aria-label");
  optional(card, ".card-note", item.note.trim() !== "", () => h("p.card-note", { dir: "auto" }), (note) => setText(note, cut(item.note).trim()));
  optional(card, ".mark", item.entry.conflict, () => h("span.mark", {}, icon("fork"), "Several versions"));
}

function optional(card, selector, wanted, make, update = () => {}) {
  let part = card.querySelector(selector);
  if (!wanted) return part?.remove();
  if (!part) card.append((part = make()));
  update(part);
}

/** About how high a card is in a list so wide: it is measured once it is in sight. */
export function estimateCard(item, width) {
  const inside = width - (item.label ? 28 : 24);
  const lines = Math.min(5, wrapped(item.title, inside, 7.6));
  const note = item.note.trim() ? Math.min(2, wrapped(item.note, inside, 6.6)) : 0;
  return 8 + 18 + lines * 21 + (note ? 3 + note * 18 : 0) + (item.entry.conflict ? 24 : 0);
}

function wrapped(text, width, advance) {
  const most = Math.max(1, width / advance);
  let lines = 0;
  for (const line of text.slice(0, SHOWN).split("\n")) lines += Math.max(1, Math.ceil(line.length / most));
  return lines;
}

const GLOW = 3200; // ms, as in the style

/** Shows for a moment who changed a card. */
export function glow(slot, name, hue) {
  const card = slot.firstElementChild;
  card.querySelector(".who")?.remove();
  card.style.setProperty("--hue", hue);
  card.classList.add("fresh");
  const who = h("span.who", { dir: "auto", "aria-hidden": "true" }, name);
  card.append(who);
  setTimeout(() => {
    if (!who.isConnected) return;
    who.remove();
    card.classList.remove("fresh");
  }, GLOW);
}
