// How the sync stands: the chip at the top, and the panel behind it with the offline switch and what the hub refused.

import { at, h, place, setAttribute, setText } from "./dom.js";
import { count, explain, lasting, many, moment, sayHosting, sayStatus, sayStorage } from "./words.js";

const TICK = 1000; // ms; only where a time to the next attempt is shown, or the panel is open

export class StatusView {
  #status; #db; #say; #fail; #names;
  #said = "";
  #ticking;
  #panel = at("status");
  #parts;

  /** @param {{say: (text: string) => void, fail: (error: unknown) => void}} tell */
  constructor(tell) {
    this.#say = tell.say;
    this.#fail = tell.fail;
    const toggle = () => this.#toggle();
    at("offline").addEventListener("click", toggle);
    this.#parts = {
      word: h("span"), detail: h("p.detail.soft"), progress: h("progress", { hidden: true, "aria-label": "Catching up" }),
      offline: h("button.switch.offline", { type: "button", role: "switch", onclick: toggle }, h("span.switch-track", { "aria-hidden": "true" }), h("span", {}, "Offline")),
      pairs: h("dl.pairs"), problems: h("div.sync"),
    };
    const { word, detail, progress, offline, pairs, problems } = this.#parts;
    this.#panel.append(h("div.sync", {}, h("p.state", {}, h("span.dot"), word), detail, progress, offline, problems, pairs));
    this.#panel.addEventListener("toggle", (event) => {
      if (event.newState !== "open") return;
      this.show();
      place(this.#panel, at("status-button"));
    });
    for (const event of ["online", "offline"]) addEventListener(event, () => this.show());
  }

  set(db, names) {
    this.#db = db;
    this.#names = names;
    at("offline").disabled = db === undefined;
  }

  /** @param {import("/vsync.js").Status} [status] */
  show(status = this.#status) {
    this.#status = status;
    const { tone, word, detail } = sayStatus(status, { now: Date.now(), online: navigator.onLine });
    const pending = status?.pending ?? 0, problems = status?.problems?.length ?? 0;
    setAttribute(at("status-button"), "data-tone", problems && tone !== "bad" ? "bad" : tone);
    setText(at("status-word"), word);
    setText(at("status-pending"), pending ? `${count(pending)}↑` : "");
    setAttribute(at("status-button"), "aria-label", [`Sync: ${word}`, pending && `${many(pending, "change")} to send`, problems && many(problems, "problem")].filter(Boolean).join(", "));
    for (const element of [at("offline"), this.#parts.offline]) setAttribute(element, "aria-checked", String(status?.paused === true));
    this.#tell(word, detail, problems);
    if (this.#panel.matches(":popover-open")) this.#fill(tone, word, detail, status);
    this.#tick(status);
  }

  /** Said where it matters to somebody who cannot see it: not each batch that is sent. */
  #tell(word, detail, problems) {
    const now = problems ? `${many(problems, "change")} refused by the hub` : ["Sending", "Live"].includes(word) ? "Live" : word;
    if (now === this.#said) return;
    if (this.#said && now !== "Connecting" && now !== "Opening") this.#say(now === "Live" ? "Live: in sync with the hub" : `${now}. ${detail}`);
    this.#said = now;
  }

  #tick(status) {
    const wanted = status && (status.nextAttemptAt > Date.now() || this.#panel.matches(":popover-open"));
    if (!wanted) {
      clearTimeout(this.#ticking);
      this.#ticking = undefined;
    } else {
      this.#ticking ??= setTimeout(() => {
        this.#ticking = undefined;
        this.show();
      }, TICK);
    }
  }

  #toggle() {
    const db = this.#db;
    if (!db) return;
    try {
      db.status.current.paused ? db.resume() : db.pause();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fill(tone, word, detail, status) {
    const parts = this.#parts;
    setAttribute(this.#panel, "data-tone", tone);
    setText(parts.word, word);
    setText(parts.detail, detail);
    const { progress } = status ?? {};
    parts.progress.hidden = !(status?.phase === "catching-up" && progress?.expected > 0);
    if (!parts.progress.hidden) Object.assign(parts.progress, { max: progress.expected, value: Math.min(progress.received, progress.expected) });
    parts.offline.disabled = !status || status.phase === "local" || status.phase === "closed";
    this.#fillPairs(status);
    this.#fillProblems(status?.problems ?? []);
  }

  #fillPairs(status) {
    if (!status?.storage) return this.#parts.pairs.replaceChildren(); // there is no database
    const rows = [
      ["To send", status.pending ? `${many(status.pending, "change")}, the oldest ${lasting(status.oldestPendingAt ? Date.now() - status.oldestPendingAt : status.oldestPendingMs)} old` : "Nothing"],
      ["Last confirmed", status.lastConfirmedAt ? moment(status.lastConfirmedAt) : "Nothing since the start"],
      ["Stored", sayStorage(status.storage)],
      ["Engine", sayHosting(status.hosting)],
      ["This device", this.#names?.of(this.#db.device) ?? ""],
    ];
    const list = this.#parts.pairs;
    if (list.children.length !== rows.length * 2) list.replaceChildren(...rows.flatMap(([name]) => [h("dt", {}, name), h("dd", { dir: "auto" })]));
    rows.forEach(([, text], i) => setText(list.children[2 * i + 1], text));
  }

  #shown = [];
  #fillProblems(problems) {
    if (problems === this.#shown) return;
    this.#shown = problems;
    this.#parts.problems.replaceChildren(...problems.map((problem) => {
      const { title, detail } = explain(problem);
      const run = (what) => async (event) => {
        event.currentTarget.disabled = true;
        try {
          await problem[what]();
        } catch (error) {
          this.#fail(error);
        }
      };
      return h("div.problem", { role: "group", "aria-label": title },
        h("b", {}, `${title}: ${many(problem.changes.length, "change")} refused`), h("p", {}, `${detail} ${problem.message}`),
        h("pre", { tabIndex: 0, dir: "auto", "aria-label": "What was refused" }, preview(problem.changes)),
        h("div.row", {}, h("button.button", { type: "button", onclick: run("retry") }, "Try again"), h("button.button.quiet", { type: "button", onclick: run("dismiss") }, "Dismiss")));
    }));
  }
}

const SHOWN = 5;

function preview(changes) {
  const lines = changes.slice(0, SHOWN).map(({ id, value, deleted }) => (deleted ? `${id}: deleted` : value?.title ?? `${id}: ${safe(value)}`));
  if (changes.length > SHOWN) lines.push(`… and ${many(changes.length - SHOWN, "more", "more")}`);
  return lines.join("\n");
}

function safe(value) {
  try {
    return JSON.stringify(value)?.slice(0, 300) ?? "";
  } catch {
    return String(value);
  }
}
