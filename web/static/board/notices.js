// What the page tells: toasts that pass, banners that stay until somebody acts, and what a screen reader says.

import { at, h, icon, setText } from "./dom.js";
import { ACTIONS, explain, many } from "./words.js";

const PASSES = 6000; // ms; longer while the pointer or the focus is on it
const MOST = 3;

let undo; // of the newest toast that can be undone

/**
 * @param {string} text
 * @param {{label?: string, key?: string, run?: () => void, stay?: boolean}} action
 * @returns {{change: (text: string) => void, close: () => void}}
 */
export function toast(text, { label, key, run, stay = false } = {}) {
  const words = h("p", { dir: "auto" }, text);
  let timer;
  const close = () => {
    clearTimeout(timer);
    if (undo === act) undo = undefined;
    element.remove();
  };
  const act = run && (() => {
    close();
    run();
  });
  const element = h("div.toast", {}, words,
    act && h("button.button", { type: "button", onclick: act }, label, key && h("span.sr", {}, ` (key ${key})`)),
    h("button.button", { type: "button", "aria-label": "Close", onclick: close }, icon("close")));
  const start = () => {
    clearTimeout(timer);
    timer = setTimeout(close, stay ? 2 * PASSES : PASSES);
  };
  for (const event of ["pointerenter", "focusin"]) element.addEventListener(event, () => clearTimeout(timer));
  for (const event of ["pointerleave", "focusout"]) element.addEventListener(event, start);
  const root = at("toasts");
  root.append(element);
  while (root.children.length > MOST) root.firstElementChild.remove();
  if (act) undo = act;
  start();
  return { change: (words2) => (setText(words, words2), start()), close };
}

/** Does what the newest toast offers. @returns {boolean} whether there was any */
export function undoLast() {
  const run = undo;
  run?.();
  return run !== undefined;
}

/**
 * A banner above the board; one for each key.
 * @param {{title: string, detail?: string, technical?: string, bad?: boolean, buttons?: [string, () => void][], dismiss?: boolean}} content
 */
export function banner(key, { title, detail = "", technical = "", bad = false, buttons = [], dismiss = true }) {
  unbanner(key);
  const element = h(`div.banner${bad ? ".bad" : ""}`, { role: bad ? "alert" : "status", "data-key": key },
    h("p", { title: technical }, h("b", {}, title), detail && ` ${detail}`),
    h("div.row", {},
      ...buttons.map(([label, run], i) => h(`button.button${i === 0 ? ".main" : ""}`, { type: "button", onclick: run }, label)),
      dismiss && h("button.button.quiet", { type: "button", "aria-label": "Dismiss", onclick: () => unbanner(key) }, icon("close"))));
  at("banners").append(element);
}

export function unbanner(key) {
  at("banners").querySelector(`[data-key="${key}"]`)?.remove();
}

/**
 * Tells of an error with what can be done about it.
 * @param {unknown} error
 * @param {Record<string, () => void>} can what to run, by explain's actions
 */
export function bannerFor(key, error, can) {
  const { title, detail, action, technical } = explain(error);
  banner(key, { title: `${title}.`, detail, technical, bad: true, buttons: can[action] ? [[ACTIONS[action], can[action]]] : [], dismiss: action !== "reopen" });
}

// --- for screen readers -----------------------------------------------------------------------------------------------

/** Said once, politely. */
export function say(text) {
  const root = at("said");
  root.append(h("span", {}, `${text.replace(/[.\s]+$/, "")}. `));
  while (root.childNodes.length > 4) root.firstChild.remove();
}

const GATHER = 1500; // ms in which changes of others are gathered into one sentence

const gathered = new Map(); // name of a device: texts
let gathering;

/** What another device did, gathered: a hundred changes are one sentence. */
export function sayRemote(name, text) {
  gathered.set(name, [...(gathered.get(name) ?? []), text]);
  gathering ??= setTimeout(() => {
    for (const [who, texts] of gathered) say(texts.length === 1 ? `${who} ${texts[0]}` : `${who} made ${many(texts.length, "change")}`);
    gathered.clear();
    gathering = undefined;
  }, GATHER);
}
