// The menus and small dialogs: what is done rarely, and what concerns this browser alone.

import { at, h, icon, menuKeys, place } from "./dom.js";
import { keyList, lettersOn, switchLetters } from "./keys.js";
import { remember, remembered } from "./memory.js";
import { explain, toBoardName } from "./words.js";

const item = (drawing, text, run, { key, bad } = {}) => h(`button.item${bad ? ".bad" : ""}`, { type: "button", role: "menuitem", tabIndex: -1, onclick: run },
  icon(drawing), h("span", {}, text), key && h("kbd.key", { "aria-hidden": "true" }, key));

/** Makes a popover a menu: arrow keys, closing after a choice. */
function asMenu(menu, button) {
  menu.addEventListener("keydown", menuKeys);
  menu.addEventListener("click", (event) => event.target.closest("[role=menuitem]") && menu.hidePopover());
  menu.addEventListener("toggle", (event) => {
    if (event.newState !== "open") return;
    place(menu, button());
    menu.querySelector("[role^=menuitem]")?.focus();
  });
}

/** @param {Record<string, () => void>} does */
export function mainMenu(does) {
  const menu = at("menu");
  menu.append(
    item("add", "New list", does.newList, { key: "L" }),
    item("spark", "Add sample cards", does.sample),
    item("bolt", "Add 5,000 cards", does.trial),
    h("hr"),
    h("p.name", { id: "theme-name" }, "Appearance"), themes(),
    h("hr"),
    item("share", "Open on another device…", () => share()),
    item("device", "Name of this device…", () => does.nameDevice()),
    item("clock", "Activity", does.activity, { key: "A" }),
    item("keyboard", "Keys…", () => showKeys(), { key: "?" }),
    item("hub", "The hub", () => location.assign("hub.html")),
    h("hr"),
    item("bin", "Remove from this device…", does.remove, { bad: true }));
  asMenu(menu, () => at("menu-button"));
}

function themes() {
  const root = document.documentElement;
  const group = h("div.segments", { role: "group", "aria-labelledby": "theme-name" });
  const show = () => {
    for (const button of group.children) button.setAttribute("aria-checked", String(button.dataset.theme === (root.dataset.theme ?? "")));
  };
  for (const [theme, name] of [["", "System"], ["light", "Light"], ["dark", "Dark"]]) {
    group.append(h("button", { type: "button", role: "menuitemradio", tabIndex: -1, "data-theme": theme, onclick: () => {
      if (theme) root.dataset.theme = theme;
      else delete root.dataset.theme;
      remember("vsync.theme", theme || undefined);
      show();
    } }, name));
  }
  show();
  return group;
}

/** The menu of a list, made when it is opened. */
export function listMenu(button, list, does) {
  const menu = h("div.pop.menu", { popover: "auto", role: "menu", "aria-label": list.title || "List" },
    item("pen", "Rename", does.rename), item("add", "Add a card", does.add), item("clock", "History…", does.history),
    h("hr"), item("left", "Move left", does.left), item("right", "Move right", does.right),
    h("hr"), item("bin", "Delete with its cards", does.remove, { bad: true }));
  asMenu(menu, () => button);
  menu.addEventListener("toggle", (event) => event.newState === "closed" && setTimeout(() => menu.remove()));
  document.body.append(menu);
  menu.showPopover();
}

// --- boards -------------------------------------------------------------------------------------------------------------

const KNOWN = "vsync.boards", MOST = 12;

function known() {
  try {
    const names = JSON.parse(remembered(KNOWN) ?? "[]");
    return Array.isArray(names) ? names.filter((name) => typeof name === "string") : [];
  } catch {
    return [];
  }
}

const address = (name) => (name === "board" ? location.pathname : `?db=${encodeURIComponent(name)}`);

/** The boards that this browser has opened, this one first. */
export function boardsMenu(current) {
  const names = [current, ...known().filter((name) => name !== current)].slice(0, MOST);
  remember(KNOWN, JSON.stringify(names));
  const pop = at("boards"), button = at("boards-button");
  const field = h("input.field", { placeholder: "Name of another board", "aria-label": "Name of another board", autocomplete: "off", spellcheck: false, autocapitalize: "none" });
  pop.replaceChildren(h("div.sync", {}, h("h2", {}, "Boards"),
    h("nav", { "aria-label": "Boards" }, ...names.map((name) => h("a.item", { href: address(name), "aria-current": name === current && "true" }, icon("lists"), h("span", {}, name)))),
    h("form.row", { onsubmit: (event) => {
      event.preventDefault();
      const name = toBoardName(field.value);
      if (name) location.assign(address(name));
    } }, field, h("button.button.main", {}, "Open")),
    h("p.small.soft", {}, "Whoever opens the same name at this hub shares the board.")));
  pop.addEventListener("toggle", (event) => event.newState === "open" && place(pop, button));
}

export function forgetBoard(name) {
  remember(KNOWN, JSON.stringify(known().filter((other) => other !== name)));
}

// --- dialogs --------------------------------------------------------------------------------------------------------------

/** Shows a dialog; it closes with Escape, with its buttons, and by a press beside it. */
export function showBox(title, content, buttons = []) {
  const box = at("box");
  const close = () => box.close();
  box.replaceChildren(h("h2", { id: "box-title" }, title), ...content, h("div.row.end", {}, ...buttons(close)));
  box.setAttribute("aria-labelledby", "box-title");
  box.onclick = (event) => {
    const { left, right, top, bottom } = box.getBoundingClientRect();
    if (event.target === box && (event.clientX < left || event.clientX > right || event.clientY < top || event.clientY > bottom)) close();
  };
  box.showModal();
  if (!box.querySelector(".field")) box.querySelector(".button.main")?.focus();
}

const plain = (text, run, kind = "") => h(`button.button${kind}`, { type: "button", onclick: run }, text);

export function showKeys() {
  const letters = h("button.switch", { type: "button", role: "switch", "aria-checked": String(lettersOn()), onclick: () => {
    switchLetters(!lettersOn());
    letters.setAttribute("aria-checked", String(lettersOn()));
  } }, h("span.switch-track", { "aria-hidden": "true" }), "Keys of one letter");
  showBox("Keys", [keyList(), letters], (close) => [plain("Close", close, ".main")]);
}

function share() {
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  const field = h("input.field", { readOnly: true, value: location.href, "aria-label": "Address of this board", onfocus: () => field.select() });
  const said = h("p.small.soft", { role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      said.textContent = "Copied.";
    } catch {
      field.select();
      said.textContent = "Select the address and copy it.";
    }
  };
  showBox("Open on another device", [
    h("p", {}, "Open the same address in another browser, another profile or a private window: that is another device, and changes go back and forth as they happen. Another tab of this browser is the same device."),
    field, said,
    local && h("p.small.soft", {}, "This hub listens on this machine alone, so other machines do not reach it."),
  ].filter(Boolean), (close) => [plain("Copy the address", copy, ".main"), plain("Close", close)]);
}

export function askName(current, suggestion, done) {
  const field = h("input.field", { value: current, placeholder: suggestion, maxLength: 40, "aria-label": "Name of this device", dir: "auto" });
  const keep = (close) => {
    done(field.value.trim());
    close();
  };
  let shut;
  field.addEventListener("keydown", (event) => event.key === "Enter" && !event.isComposing && (event.preventDefault(), keep(shut)));
  showBox("Name of this device", [h("p.soft", {}, "Others see it beside what you change."), field],
    (close) => ((shut = close), [plain("Keep", () => keep(close), ".main"), plain("Cancel", close)]));
  field.select();
}

/** Asks before the replica of this device goes; `remove(force)` throws what is told here. */
export function askRemove(name, remove) {
  const said = h("p", { role: "alert" });
  const button = plain("Remove", () => run(false), ".bad");
  const run = async (force) => {
    button.disabled = true;
    try {
      await remove(force);
    } catch (error) {
      const { title, detail } = explain(error);
      said.textContent = `${title}. ${detail}`;
      button.disabled = false;
      if (error.code === "UNSENT") {
        button.textContent = "Remove anyway";
        button.onclick = () => run(true);
      }
    }
  };
  showBox(`Remove “${name}” from this device?`, [h("p", {}, "Only this browser's copy goes. The hub and other devices keep theirs, and it comes back when you open it again."), said],
    (close) => [button, plain("Cancel", close)]);
}
