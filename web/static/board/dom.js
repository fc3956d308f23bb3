// Making and changing elements. Nothing here knows what the page shows.

/**
 * An element.
 * @param {string} name with classes behind dots: "p.note.small"
 * @param {Record<string, any>} props `on…` listens, `data-…`, `aria-…`, `role` and the like are attributes, `--…` is a custom
 *   property, the rest are properties; undefined and false ones are left out
 * @param {...(Node|string|undefined|false)} children
 */
export function h(name, props = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key.startsWith("--")) element.style.setProperty(key, value);
    else if (/^(data-|aria-)|^(role|for|popovertarget|popover|datetime|href|list)$/.test(key)) element.setAttribute(key, value === true ? "" : value);
    else element[key] = value;
  }
  element.append(...children.filter((child) => child !== undefined && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  add: "M8 3.5v9M3.5 8h9",
  close: "m4 4 8 8M12 4l-8 8",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  fork: "M4 3v5a3 3 0 0 0 3 3h2a3 3 0 0 1 3 3M12 3v2a3 3 0 0 1-3 3H7M2.5 4.5 4 3l1.5 1.5M10.5 4.5 12 3l1.5 1.5",
  check: "m3.5 8.5 3 3 6-7",
  bin: "M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.5 9h6l.5-9",
  clock: "M8 4.5V8l2.5 1.5M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z",
  left: "m9.5 4-4 4 4 4", right: "m6.5 4 4 4-4 4",
  pen: "m3 13 .7-2.8L10.8 3a1.5 1.5 0 0 1 2.1 2.1l-7.1 7.2L3 13Z",
  share: "M8 10V2.5M5.5 4.5 8 2l2.5 2.5M4 7.5H3V14h10V7.5h-1",
  device: "M2.5 3.5h11v7h-11zM6 13.5h4",
  bolt: "M9 2 4 9h3.5L7 14l5-7H8.5L9 2Z",
  keyboard: "M2 4.5h12v7H2zM4.5 7h.01M7 7h.01M9 7h.01M11.5 7h.01M5 9.5h6",
  hub: "M8 5.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5ZM8 5.5V2M8 14v-3.5M5.8 9.2l-3 1.8M13.2 5l-3 1.8M5.8 6.8 2.8 5M13.2 11l-3-1.8",
  spark: "M8 2v4M8 10v4M2 8h4M10 8h4",
  lists: "M2.5 3h3v10h-3zM6.9 3h3v6h-3zM11.2 3h2.3v8h-2.3z",
  away: "M2 2l12 12M5 11.5h6.5M3.6 11a2.7 2.7 0 0 1 .5-4.6M6.3 4.3A3.8 3.8 0 0 1 11.6 7a2.3 2.3 0 0 1 2 3.3",
};

/** A drawing of 16 by 16, in the colour of the text. */
export function icon(name, classes = "icon") {
  const drawing = svg("svg", { class: classes, viewBox: "0 0 16 16", "aria-hidden": "true" });
  drawing.append(svg("path", { d: ICONS[name] }));
  return drawing;
}

export function svg(name, attributes = {}) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

export const at = (id) => document.getElementById(id);

/** Writes a text only where it is another: nothing is laid out, and nothing read out, for what stays. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/**
 * Brings an element's children to what a list of keys says, moving as few as can be.
 * @param {Element} parent
 * @param {Element[]} wanted
 */
export function arrange(parent, wanted) {
  const keep = new Set(wanted);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  let next = parent.firstElementChild;
  for (const child of wanted) {
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
  }
}

/** Puts a popover beside the button that opens it: below it where there is room, within the window. */
export function place(popover, button) {
  const from = button.getBoundingClientRect(), box = popover.getBoundingClientRect();
  const edge = 8;
  const left = Math.max(edge, Math.min(from.right - box.width, innerWidth - box.width - edge));
  const start = Math.max(edge, Math.min(from.left, innerWidth - box.width - edge));
  const below = from.bottom + 6;
  const top = below + box.height <= innerHeight - edge ? below : Math.max(edge, Math.min(below, innerHeight - box.height - edge));
  popover.style.left = `${from.left + from.width / 2 < innerWidth / 2 ? start : left}px`;
  popover.style.top = `${top}px`;
}

/** Arrow keys among the items of a menu. */
export function menuKeys(event) {
  const items = [...event.currentTarget.querySelectorAll("[role^=menuitem]:not(:disabled)")].filter((item) => item.offsetParent !== null);
  const now = items.indexOf(document.activeElement);
  const next = { ArrowDown: now + 1, ArrowUp: now < 0 ? -1 : now - 1, Home: 0, End: -1 }[event.key];
  if (next === undefined || items.length === 0) return;
  event.preventDefault();
  items.at(next === items.length ? 0 : next).focus();
}
