// The board at "/": opens the database that the address names, and brings together what it holds, what people do, and what the
// page shows.
//
//	subscribe lists, cards, devices ─▶ Model ─▶ Board, Sheet        actions ─▶ database
//	watch ─▶ Activity                  status ─▶ StatusView

import { destroy, open } from "/vsync.js";
import { Actions } from "./board/actions.js";
import { Activity } from "./board/activity.js";
import { Board } from "./board/board.js";
import { at, h, icon, setText } from "./board/dom.js";
import { dragging } from "./board/drag.js";
import { keyboard } from "./board/keys.js";
import { remember, remembered } from "./board/memory.js";
import { askName, askRemove, boardsMenu, forgetBoard, listMenu, mainMenu, showBox, showKeys } from "./board/menu.js";
import { isEmptySearch, LOOSE, Model, parseSearch } from "./board/model.js";
import { Names } from "./board/names.js";
import { banner, bannerFor, say, sayRemote, toast, unbanner, undoLast } from "./board/notices.js";
import { Sheet } from "./board/sheet.js";
import { StatusView } from "./board/status.js";
import { keepForOffline } from "./board/update.js";
import { boardName, count, deviceName, explain, hubURL, many, quote, short } from "./board/words.js";

const TRIAL = 5000; // cards
const TOLD = 20; // changes of one batch that are told one by one

const { name, wrong } = boardName(location.search);
const tell = { toast, say, fail };
let session; // of the database while it is open: {db, model, names, actions, tell, ends, marker}

// --- what is always there -------------------------------------------------------------------------------------------------

const board = new Board(at("board"), {
  open: (id, typing) => openSheet("cards", id, "card", typing),
  add: (list, text) => addCard(list, text),
  rename: (list, title) => session?.actions.renameList(list, title),
  menu: (id, button) => openListMenu(id, button),
  conflict: (list) => openSheet("lists", list, "list"),
  newList: async (title) => board.revealList(await session?.actions.addList(title)),
});
const sheet = new Sheet(at("sheet"), (id, back, opener) => {
  board.setOpen(undefined);
  cover();
  if (activityWanted()) activity.toggle(true, { focus: false });
  if (back && !(opener === "card" && board.focus(id))) at("board").focus({ preventScroll: true });
});
const activity = new Activity({
  open: (kind, id) => openSheet(kind, id),
  bringBack: (gone) => session?.actions.bringBack(gone),
  fail,
  shown: (isOpen) => {
    if (isOpen && sheet.isOpen) sheet.close(false);
    if (WIDE.matches) remember("vsync.activity", isOpen ? "open" : "closed");
    cover();
  },
});
const status = new StatusView(tell);
const WIDE = matchMedia("(min-width: 80rem)"), NARROW = matchMedia("(max-width: 46rem)");

/** On a wide screen the activity stands beside the board unless somebody closed it. */
function activityWanted() {
  return WIDE.matches && remembered("vsync.activity") !== "closed";
}

/** What covers the whole window leaves nothing behind it to be reached. */
function cover() {
  const covered = NARROW.matches && (sheet.isOpen || activity.isOpen);
  for (const element of [document.querySelector(".top"), at("board")]) element.inert = covered;
}

/** @param {string} [opener] where the focus goes back to @param {boolean} [typing] whether it was opened with the keyboard */
function openSheet(kind, id, opener, typing = false) {
  if (!session) return;
  if (!session.ready) return void (session.wanted = () => openSheet(kind, id, opener, typing)); // what is shown is of the session before
  if (activity.isOpen) {
    at("activity").hidden = true;
    at("activity-button").setAttribute("aria-expanded", "false");
  }
  sheet.open(session, kind, id, { opener, focus: typing ? "title" : "heading" });
  board.setOpen(kind === "cards" ? id : undefined);
  cover();
}

function openListMenu(id, button) {
  const list = session?.model.list(id);
  if (!list) return;
  const { actions } = session;
  listMenu(button, list, {
    rename: () => setTimeout(() => board.column(id)?.rename()), add: () => setTimeout(() => board.column(id)?.compose()),
    history: () => openSheet("lists", id, "list"), left: () => actions.moveList(id, -1), right: () => actions.moveList(id, 1),
    remove: () => actions.removeList(session.model.list(id) ?? list),
  });
}

async function addCard(list, text) {
  const id = await session?.actions.addCard(list, text);
  if (id === undefined) return;
  board.column(list)?.cards.reveal(id);
  say("Card added");
}

// --- the database ---------------------------------------------------------------------------------------------------------

async function connect() {
  unbanner("closed");
  status.show(undefined);
  let db;
  try {
    db = await open(name, { feed: hubURL(location) });
  } catch (error) {
    return closed(error);
  }
  const names = new Names(db.device), model = new Model();
  session = { db, model, names, actions: new Actions(db, model, tell), tell, ends: [], ready: false };
  const mine = session;
  status.set(db, names);
  const ended = (error) => session === mine && closed(error);
  // The board appears when both are there: cards without their lists would jump.
  const first = new Set(["lists", "cards"]);
  const arrived = (what, marker) => {
    mine.marker ??= marker;
    if (mine.ready || !first.delete(what) || first.size) return mine.ready;
    mine.ready = true;
    board.show(model);
    activity.follow(mine);
    afterChange();
    mine.wanted?.();
    return false;
  };
  session.ends.push(
    db.collection("devices").subscribe({}, (entries) => names.take(entries) && mine.ready && sheet.refresh(true), ended),
    db.collection("lists").subscribe({}, (entries, { marker }) => {
      const { changes, shape } = model.takeLists(entries);
      if (!arrived("lists", marker)) return;
      if (changes.length || shape) board.showLists();
      told("lists", changes);
      afterChange();
    }, ended),
    db.collection("cards").subscribe({}, (entries, { marker }) => {
      const { changes, lists } = model.takeCards(entries);
      if (!arrived("cards", marker)) return;
      board.showCards(lists);
      told("cards", changes);
      afterChange();
    }, ended),
    db.status.subscribe((now) => {
      status.show(now);
      if (now.phase === "closed") ended(now.error ?? { code: "CLOSED" });
      else troubled(now.error);
      welcome();
    }),
  );
}

/** The database ended: everything stays in sight, and can be opened again. */
function closed(error) {
  for (const end of session?.ends.splice(0) ?? []) end();
  session = undefined;
  status.set(undefined);
  status.show({ phase: "closed", pending: 0, paused: false, problems: [], error });
  at("board").removeAttribute("aria-busy");
  bannerFor("closed", error, { reopen: connect, reload: () => location.reload(), remove: removeHere, retry: connect });
}

/** What the hub says against this device stands above the board until it is over. */
function troubled(error) {
  const lasting = error && error.code !== "OFFLINE" && error.code !== "RATE_LIMITED";
  if (lasting) bannerFor("trouble", error, { reload: () => location.reload(), remove: removeHere, retry: () => session?.db.resume() });
  else unbanner("trouble");
}

function fail(error, again) {
  bannerFor("failed", error, { retry: again && (() => (unbanner("failed"), again())), reload: () => location.reload(), reopen: connect });
  say(explain(error).title);
}

/** What other devices changed is shown in their colour, and said. */
function told(kind, changes) {
  const { names } = session;
  const remote = changes.filter(({ was, now }) => now ? !names.isOwn(now.entry.device) && now.entry.version !== was?.entry.version : false);
  if (kind === "cards") {
    board.changed(remote.map(({ now }) => ({ id: now.id, name: names.of(now.entry.device), hue: names.hue(now.entry.device) })));
  }
  const what = kind === "cards" ? "card" : "list";
  const by = new Map();
  for (const change of remote) {
    const { device } = change.now.entry;
    if (by.has(device)) by.get(device).push(change);
    else by.set(device, [change]);
  }
  for (const [device, theirs] of by) {
    if (theirs.length > TOLD) sayRemote(names.of(device), `changed ${many(theirs.length, what)}`);
    else for (const { was, now } of theirs) sayRemote(names.of(device), `${was ? "changed" : "added"} the ${what} ${short(now.title) || "without a title"}`);
  }
}

/** What depends on all of the model. */
function afterChange() {
  sheet.refresh();
  const n = session.model.conflicts, button = at("conflicts");
  button.hidden = n === 0 && !board.query.conflict;
  setText(at("conflicts-count"), count(n));
  setText(at("conflicts-word"), n === 1 ? "conflict" : "conflicts");
  showFound();
  welcome();
}

// --- an empty board -------------------------------------------------------------------------------------------------------

/** Only where the board is known to be empty: not while its first cards are still on their way. */
function welcome() {
  if (!session?.ready) return;
  const { model, db } = session, { phase, paused } = db.status.current;
  const empty = model.lists.length === 0 && model.cards.size === 0;
  const waiting = empty && !paused && (phase === "connecting" || phase === "catching-up");
  const wanted = empty ? (waiting ? "waiting" : "welcome") : "";
  if (welcome.shown === wanted) return;
  welcome.shown = wanted;
  board.welcome({
    welcome: () => h("div.welcome", {},
      h("h2", {}, "A board that is always at hand"),
      h("p", {}, "Lists and cards, shared live with whoever opens this address, and there without a network too."),
      h("ul", {},
        h("li", {}, icon("check"), h("span", {}, "Every change is stored on this device at once, and synced when the hub can be reached.")),
        h("li", {}, icon("clock"), h("span", {}, "Every card keeps its history, and you can go back to any version.")),
        h("li", {}, icon("fork"), h("span", {}, "When two devices change the same card, both versions are kept until you choose."))),
      h("div.row", {},
        h("button.button.main", { type: "button", onclick: () => session?.actions.addSample() }, "Fill in sample cards"),
        h("button.button", { type: "button", onclick: () => board.addList() }, "Begin with a list"))),
    waiting: () => h("div.welcome", { role: "status" }, h("h2", {}, "Fetching the board…"), h("p", {}, "This device has nothing of it yet. What the hub has is on its way.")),
  }[wanted]?.());
}

// --- searching ------------------------------------------------------------------------------------------------------------

function search() {
  const query = parseSearch(at("search").value);
  query.conflict = at("conflicts").getAttribute("aria-pressed") === "true";
  board.search(query);
  showFound();
}

function showFound() {
  setText(at("found"), isEmptySearch(board.query) ? "" : `${count(board.found)} found`);
}

function clearSearch() {
  if (sheet.isOpen) return sheet.close();
  at("search").value = "";
  at("conflicts").setAttribute("aria-pressed", "false");
  search();
}

at("search").addEventListener("input", search);
at("search").addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (event.key === "Escape") {
    if (event.target.value) clearSearch();
    else if (board.place !== undefined) board.focus(board.place);
    event.preventDefault();
  }
  if (event.key === "Enter" || event.key === "ArrowDown") {
    const first = board.columns.find((column) => column.cards.size)?.cards.items[0];
    if (first) event.preventDefault(), board.focus(first.id);
  }
});
at("conflicts").addEventListener("click", () => {
  const button = at("conflicts");
  button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
  search();
  if (session) afterChange();
});

// --- keys, menus ------------------------------------------------------------------------------------------------------------

async function moveByKey(id, way, step) {
  if (!session) return;
  const { actions, model } = session, card = model.cards.get(id), list = model.home(card);
  if (way === "across") {
    const target = board.listBeside(list, step);
    if (target === undefined) return;
    const height = board.shownIn(list).findIndex((item) => item.id === id);
    await actions.move(id, target, board.shownIn(target)[height]?.id);
  } else {
    const shown = board.shownIn(list), i = shown.findIndex((item) => item.id === id);
    if (!shown[i + step] || list === LOOSE) return;
    await actions.move(id, list, step < 0 ? shown[i - 1].id : shown[i + 2]?.id);
  }
  requestAnimationFrame(() => {
    if (!session || (board.focused ?? id) !== id) return; // whoever is quick has gone on
    board.focus(id);
    const now = session.model.cards.get(id), home = now && session.model.home(now);
    if (now) say(`${session.model.list(home)?.title ?? ""}, place ${board.shownIn(home).findIndex((item) => item.id === id) + 1} of ${board.shownIn(home).length}`);
  });
}

const does = {
  open: (id) => openSheet("cards", id, "card", true),
  newCard: (list) => board.column(list)?.compose(),
  newList: () => board.addList(),
  move: moveByKey,
  remove: (id, next) => {
    const card = session?.model.cards.get(id);
    if (!card) return;
    session.actions.removeCard(card);
    if (next !== undefined) board.focus(next);
    say(`Deleted ${short(card.title)}. Z brings it back`);
  },
  undo: () => undoLast() || say("Nothing to undo"),
  search: () => at("search").focus(),
  clear: clearSearch,
  help: showKeys,
  offline: () => at("offline").click(),
  activity: () => activity.toggle(),
  sample: () => session?.actions.addSample(),
  trial: async () => board.revealList(await session?.actions.addTrial(TRIAL)),
  nameDevice: () => {
    if (!session) return;
    const { db, names, actions } = session;
    askName(names.given(db.device), deviceName(db.device), (given) => actions.nameDevice(given));
  },
  remove_: () => removeHere(),
};

function removeHere() {
  askRemove(name, async (force) => {
    for (const end of session?.ends.splice(0) ?? []) end();
    const db = session?.db;
    session = undefined;
    await db?.close();
    try {
      await destroy(name, { force });
    } catch (error) {
      await connect();
      throw error;
    }
    forgetBoard(name);
    showBox("Removed", [h("p", {}, "This browser holds nothing of the board any more.")], () => [h("button.button.main", { type: "button", onclick: () => location.reload() }, "Open it again")]);
  });
}

// --- begin ------------------------------------------------------------------------------------------------------------------

document.documentElement.dataset.started = "true";
setText(at("board-name"), name === "board" ? "Board" : name);
document.title = `${name === "board" ? "Board" : name} – vsync`;
if (wrong !== undefined) {
  banner("name", { title: `${quote(wrong)} cannot be a board's name.`, detail: "Names are of small letters, digits, dots, dashes and underscores. This is the board named “board”.", bad: true });
}
mainMenu({ ...does, remove: does.remove_ });
boardsMenu(name);
keyboard({ board, does });
dragging(at("board"), board, (id, list, before) => session?.actions.move(id, list, before));
NARROW.addEventListener("change", cover);
if (activityWanted()) activity.toggle(true, { focus: false });
connect();
keepForOffline();
