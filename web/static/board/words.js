// What the page says: states, errors, times and devices in words that a person understands, and what can be done about it.

/** A number with separators. */
export const count = (n) => n.toLocaleString("en");

/** "1 card", "5,000 cards". */
export const many = (n, one, more = `${one}s`) => `${count(n)} ${n === 1 ? one : more}`;

// --- times ---------------------------------------------------------------------------------------------------------

const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

/** How long ago, short: "now", "5 min ago", "3 h ago", "yesterday", "4 days ago", then the date. */
export function ago(time, now) {
  const age = now - time;
  if (age < 45_000) return "now"; // clocks of two devices differ: a moment ahead is now, too
  if (age < HOUR) return `${Math.max(1, Math.round(age / MINUTE))} min ago`;
  if (age < DAY) return `${Math.round(age / HOUR)} h ago`;
  if (age < 2 * DAY) return "yesterday";
  if (age < 7 * DAY) return `${Math.floor(age / DAY)} days ago`;
  return new Date(time).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
}

/** Day and time, whole. */
export function moment(time) {
  return new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
}

/** A duration: "320 ms", "1.2 s", "12 s", "3 min", "2 h", "4 days". */
export function lasting(ms) {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < MINUTE) return `${Math.round(ms / 1000)} s`;
  if (ms < HOUR) return `${Math.round(ms / MINUTE)} min`;
  if (ms < 2 * DAY) return `${Math.round(ms / HOUR)} h`;
  return `${Math.round(ms / DAY)} days`;
}

/** Bytes, as a person reads them. */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let n = bytes, unit = -1;
  while (n >= 999.5 && unit < units.length - 1) (n /= 1000), unit++;
  return `${n < 10 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

// --- devices -------------------------------------------------------------------------------------------------------

const MANNERS = ("amber brave bright calm clear clever coral early eager fair gentle golden happy hazel honest keen kind light "
  + "lively lucky merry mild misty noble olive proud quick quiet rapid ready silver sunny").split(" ");
const ANIMALS = ("badger beaver bison crane deer dolphin eagle falcon ferret finch fox gecko heron ibis jackal koala lark lemur "
  + "lynx marten moose newt otter owl panda puffin raven robin seal stork swan wren").split(" ");

const capital = (word) => word[0].toUpperCase() + word.slice(1);

/** A name for a device that nobody named: the same on every device, as it is made from its id. */
export function deviceName(device) {
  const [a, b] = digits(device);
  return `${capital(MANNERS[a % MANNERS.length])} ${capital(ANIMALS[b % ANIMALS.length])}`;
}

/** One of 12 colours for a device. */
export const deviceColour = (device) => digits(device)[2] % 12;

/** Up to two letters for a device's disc. */
export function initials(name) {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  return words.slice(0, 2).map((word) => [...word][0].toUpperCase()).join("") || "?";
}

function digits(text) {
  let h = 2166136261;
  const step = () => (h = Math.imul(h ^ (h >>> 15), 2246822519) >>> 0);
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619) >>> 0;
  return [step(), step(), step()].map((n) => n >>> 8);
}

/** The device that wrote a version. */
export const deviceOf = (version) => version.slice(0, version.lastIndexOf(":"));

// --- sync ----------------------------------------------------------------------------------------------------------

/**
 * What a status means.
 * @param {import("/vsync.js").Status | undefined} status undefined: the database is being opened
 * @param {{now: number, online: boolean}} circumstances online = what the browser says of its network
 * @returns {{tone: "good"|"busy"|"away"|"bad", word: string, detail: string}} word: for the chip, at most three words
 */
export function sayStatus(status, { now, online }) {
  if (!status) return say("busy", "Opening", "The board is being opened on this device.");
  const { phase, paused, pending, progress } = status;
  const kept = pending ? ` ${many(pending, "change")} ${pending === 1 ? "is" : "are"} kept here and sent later.` : "";
  if (phase === "closed") return say("bad", "Stopped", status.error ? explain(status.error).detail : "The board is closed in this tab.");
  if (phase === "refused") return say("bad", "Refused", `${status.error ? explain(status.error).detail : "The hub refused this device."}${kept}`);
  if (phase === "local") return say("away", "This device only", "There is no hub: what you write stays on this device.");
  if (paused) return say("away", "Offline", `You switched it off. Everything works on.${kept}`);
  switch (phase) {
    case "live":
      return pending
        ? say("busy", "Sending", `${many(pending, "change")} on the way to the hub.`)
        : say("good", "Live", "Everything is stored at the hub, and changes of others come as they happen.");
    case "catching-up":
      return say("busy", "Catching up", progress && progress.expected > 0
        ? `${count(Math.min(progress.received, progress.expected))} of ${count(progress.expected)} received.`
        : "Taking up what others changed.");
    case "connecting": return say("busy", "Connecting", `Looking for the hub.${kept}`);
    case "quarantined": return say("bad", "Held back", `${status.error ? explain(status.error).detail : "Something that came cannot be used here."}${kept}`);
    default: {
      const reason = online ? "The hub cannot be reached." : "This device has no network.";
      return say("away", "No connection", `${reason} Everything works on.${kept}${nextTry(status, now)}`);
    }
  }
}

const say = (tone, word, detail) => ({ tone, word, detail });

function nextTry({ nextAttemptAt }, now) {
  if (!nextAttemptAt) return "";
  const wait = Math.ceil((nextAttemptAt - now) / 1000);
  return wait > 0 ? ` Next try in ${wait} s.` : " Trying now.";
}

/** Where the engine runs. */
export function sayHosting(hosting) {
  return {
    shared: "One engine for all tabs of this browser",
    leader: "In this tab, for all tabs of this browser",
    follower: "In another tab of this browser",
    tab: "In this tab alone",
  }[hosting] ?? "Not known";
}

/** Where the data stands. */
export function sayStorage({ mode, usage, quota, persisted }) {
  if (mode === "memory") return "In memory: gone when the tab closes. A private window, or a browser that stores nothing.";
  const room = usage > 0 ? `${size(usage)}${quota > 0 ? ` of ${size(quota)}` : ""}` : "On this device";
  return persisted ? `${room}, kept for good` : `${room}, the browser may clear it when space runs out`;
}

// --- errors --------------------------------------------------------------------------------------------------------

/** By code: what happened, what it means, and the one thing to do about it. */
const ERRORS = {
  CLOSED: ["The board is closed", "It was closed in this tab. What was written is stored.", "reopen"],
  ENGINE_LOST: ["The engine stopped", "The part that stores your changes ended. What was confirmed is stored; open it again to go on.", "reopen"],
  STORAGE_LOST: ["The stored data is gone", "The browser cleared this site's data. Open the board again: the hub sends all that it has.", "reopen"],
  CORRUPT: ["Stored data is damaged", "A part of what this device stored cannot be read. Open the board again; what the hub has comes back.", "reopen"],
  QUOTA: ["No space left", "The browser gives this site no more space, so the last change was not stored. Free some space, then try again.", "retry"],
  LOCKED: ["Open elsewhere", "Another program holds the stored data of this board. Close the other tabs of this site, then open it again.", "reopen"],
  VERSION: ["Reload to go on", "This tab is older or newer than the engine that runs here. Reload all tabs of this board.", "reload"],
  PROTOCOL: ["Reload to go on", "The hub and this page do not speak the same version. Reload; if that does not help, the hub needs an update.", "reload"],
  OTHER_HUB: ["This is another hub", "This device synced with another hub before, and never mixes the two. Go back to that hub's address, or remove the board from this device.", "remove"],
  LOGGED_OUT: ["Signed out", "You have signed out, perhaps in another tab. Sign in again to see the board; your changes are kept here.", "reopen"],
  UNAUTHENTICATED: ["Not signed in", "The hub wants to know who you are. Your changes are kept here.", "none"],
  FORBIDDEN: ["Not allowed", "The hub does not let you change this. What you wrote is listed, and nobody else sees it.", "none"],
  RATE_LIMITED: ["The hub is busy", "It asked this device to wait. Your changes are kept here and sent later.", "none"],
  NOT_FOUND: ["Nothing there yet", "The hub has no such board yet. It appears here as soon as somebody who may write has begun it.", "none"],
  UNSENT: ["Not sent yet", "Some changes are only on this device. Removing the board now would lose them.", "force"],
  VALUE_TOO_LARGE: ["Too long", "One card holds at most 1 MB. Shorten the text, or divide it among cards.", "none"],
  BATCH_TOO_LARGE: ["Too much at once", "That is more than one step can hold. Do it in smaller steps.", "none"],
  KEY_TOO_LONG: ["The name is too long", "A name in the stored data is longer than 512 bytes.", "none"],
  INVALID: ["That cannot be stored", "", "none"],
  TOO_OLD: ["Too long ago", "History does not go back so far: it keeps what was replaced for a time only.", "none"],
  UNKNOWN_MARKER: ["Starting over", "The place to resume from is no longer known, so everything is shown anew.", "none"],
  LOCAL_ONLY: ["There is no hub", "This board is on this device only.", "none"],
  OFFLINE: ["No connection", "The hub cannot be reached. Your changes are kept here and sent later.", "none"],
  INTERNAL: ["That should not have happened", "", "reopen"],
  ABORTED: ["Given up", "It was stopped before it was done.", "none"],
};

/**
 * An error in words.
 * @param {{code?: string, message?: string}} error a VsyncError, or anything else that was thrown
 * @returns {{title: string, detail: string, action: "reopen"|"reload"|"retry"|"remove"|"force"|"none", technical: string}}
 */
export function explain(error) {
  const technical = [error?.code, error?.message ?? String(error)].filter(Boolean).join(": ");
  const [title, detail, action] = ERRORS[error?.code] ?? ["Something went wrong", "", "none"];
  return { title, detail: detail || capital(error?.message || "Nothing more is known."), action, technical };
}

/** The buttons for the actions of explain. */
export const ACTIONS = {
  reopen: "Open again", reload: "Reload", retry: "Try again", remove: "Remove from this device…", force: "Remove anyway",
};

// --- names ---------------------------------------------------------------------------------------------------------

const BOARD = /^(?!\.{1,2}$)[a-z0-9._-]{1,64}$/;

/** The board that an address names. @returns {{name: string, wrong?: string}} */
export function boardName(search) {
  const name = new URLSearchParams(search).get("db") || "board";
  return BOARD.test(name) ? { name } : { name: "board", wrong: name };
}

/** A board's name from what somebody typed; "" where nothing of it can be used. */
export function toBoardName(typed) {
  return typed.normalize("NFKD").toLowerCase().replace(/\p{M}/gu, "").replace(/[^a-z0-9._-]+/g, "-").replace(/^[-.]+|[-.]+$/g, "").slice(0, 64);
}

/** The address a replica is given for the hub that served the page. */
export function hubURL({ protocol, host }) {
  return `${protocol === "https:" ? "wss" : "ws"}://${host}`;
}

// --- what a version changed ----------------------------------------------------------------------------------------

/**
 * What one version did to a card or a list, in a few words.
 * @param {"cards"|"lists"} kind
 * @param {{title: string, note?: string, label?: string, list?: string, pos?: string} | undefined} was as readCard gives it
 * @param {object | undefined} now
 * @param {(list: string) => string} listTitle
 */
export function sayChange(kind, was, now, listTitle) {
  if (!now) return was ? "deleted it" : "deleted it again";
  if (!was) return kind === "lists" ? "made this list" : "made this card";
  const did = [];
  if (was.title !== now.title) did.push(was.title ? "changed the title" : "gave it a title");
  if (kind === "cards") {
    if (was.note !== now.note) did.push(!was.note ? "added a note" : !now.note ? "removed the note" : "changed the note");
    if (was.label !== now.label) did.push(now.label ? `marked it ${now.label}` : "removed the colour");
    if (was.list !== now.list) did.push(`moved it to ${quote(listTitle(now.list))}`);
  }
  if (was.list === now.list && was.pos !== now.pos) did.push("moved it");
  if (did.length === 0) return "wrote it again";
  return did.length < 3 ? did.join(" and ") : `${did.slice(0, -1).join(", ")} and ${did.at(-1)}`;
}

/**
 * One batch in a line for the list of what happened.
 * @param {{made: object[], changed: object[], deleted: object[]}} cards what happened to cards, as {title, what}
 * @param {{made: object[], changed: object[], deleted: object[]}} lists
 * @returns {string}
 */
export function sayBatch(cards, lists, note) {
  const parts = [];
  const tell = ({ made, changed, deleted }, kind, doneTo) => {
    const quoted = (item) => quote(item.title, "untitled");
    if (made.length) parts.push(made.length === 1 ? `added ${doneTo}${quoted(made[0])}` : `added ${many(made.length, kind)}`);
    if (changed.length) parts.push(changed.length === 1 ? sayOne(changed[0], quoted, doneTo) : `changed ${many(changed.length, kind)}`);
    if (deleted.length) parts.push(deleted.length === 1 ? `deleted ${doneTo}${quoted(deleted[0])}` : `deleted ${many(deleted.length, kind)}`);
  };
  tell(lists, "list", "the list ");
  tell(cards, "card", "");
  const line = parts.length ? parts.join(", ") : "changed nothing that shows here";
  return note ? `${line} (${note})` : line;
}

function sayOne({ what, to, from, ...item }, quoted, doneTo) {
  if (what === "conflict") return `changed ${doneTo}${quoted(item)} at the same time: both versions are kept`;
  if (what === "renamed" && from) return `renamed ${doneTo}${quoted({ title: from })} to ${quoted(item)}`;
  return what === "moved" ? `moved ${doneTo}${quoted(item)}${to ? ` to ${quote(to)}` : ""}` : `${what ?? "changed"} ${doneTo}${quoted(item)}`;
}

/** A text of one line that is not too long for one, cut between characters as people see them. */
export function short(text, most = 60) {
  const line = text.replace(/\s+/gu, " ").trim();
  if (line.length <= most) return line;
  const kept = [];
  for (const piece of characters(line)) {
    if (kept.length === most) return `${kept.slice(0, -1).join("").trimEnd()}…`;
    kept.push(piece);
  }
  return kept.join("");
}

/** A title within a sentence, short, and kept apart from it (U+2068, U+2069) where it is written in the other direction. */
export const quote = (text, none = "untitled", most = 60) => `“\u2068${short(text, most) || none}\u2069”`;

function* characters(text) {
  if (typeof Intl.Segmenter !== "function") return yield* text;
  for (const { segment } of new Intl.Segmenter().segment(text)) yield segment;
}
