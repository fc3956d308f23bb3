// What versions of an object have to do with each other: which words changed, which fields, which versions are the ends of
// its history, and whether the sides of a conflict can both be kept.

// --- words ---------------------------------------------------------------------------------------------------------

const LONGEST = 600; // words compared with each other; the table for more would be too large to build while somebody waits

const words = (text) => text.match(/\s+|[\p{L}\p{N}\p{M}_]+|[^\s\p{L}\p{N}\p{M}_]/gu) ?? [];

/**
 * How one text becomes another.
 * @returns {{kind: "same"|"gone"|"new", text: string}[]}
 */
export function wordDiff(before, after) {
  const a = words(before), b = words(after);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const middle = changed(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const runs = joined([["same", a.slice(0, start)], ...middle, ["same", end ? a.slice(-end) : []]]);
  return readable(runs) ? runs : joined([["gone", a], ["new", b]]);
}

/** Scattered words that two texts happen to share make neither of them easier to read. */
function readable(runs) {
  const length = (kind) => runs.reduce((n, run) => (run.kind === kind ? n + run.text.trim().length : n), 0);
  return length("same") * 2 >= Math.min(length("gone"), length("new"));
}

function changed(a, b) {
  if (!a.length || !b.length || a.length > LONGEST || b.length > LONGEST) return [["gone", a], ["new", b]];
  const width = b.length + 1;
  const common = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i * width + j] = a[i] === b[j]
        ? common[(i + 1) * width + j + 1] + 1
        : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  const out = [];
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) out.push(["same", [a[i++]]]), j++;
    else if (j === b.length || (i < a.length && common[(i + 1) * width + j] >= common[i * width + j + 1])) out.push(["gone", [a[i++]]]);
    else out.push(["new", [b[j++]]]);
  }
  return out;
}

function joined(runs) {
  const out = [];
  for (const [kind, list] of runs) {
    if (!list.length) continue;
    const last = out.at(-1);
    if (last?.kind === kind) last.text += list.join("");
    else out.push({ kind, text: list.join("") });
  }
  return out;
}

// --- fields --------------------------------------------------------------------------------------------------------

function same(a, b) {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Date || b instanceof Date) return a instanceof Date && b instanceof Date && a.getTime() === b.getTime();
  if (Array.isArray(a) !== Array.isArray(b) || ArrayBuffer.isView(a) !== ArrayBuffer.isView(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}

/** The fields in which two values differ; undefined stands for an object that is not there. */
export function changedFields(before = {}, after = {}) {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((key) => !same(before[key], after[key]));
}

/** Fields that are one decision: a card is in one place of one list. */
const UNITS = { list: "place", pos: "place" };
const unit = (field) => UNITS[field] ?? field;

/**
 * All sides of a conflict in one value, where no two of them changed the same thing in different ways.
 * @returns {object | undefined} undefined where they did, or where something of it is not known
 */
export function combine(base, sides) {
  const plain = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  if (!plain(base) || sides.length < 2 || !sides.every(plain)) return undefined;
  const owner = new Map(); // unit: the side that decides it
  for (const side of sides) {
    for (const field of changedFields(base, side)) {
      const decided = owner.get(unit(field));
      if (decided === undefined) owner.set(unit(field), side);
      else if (decided !== side && !agree(decided, side, unit(field))) return undefined;
    }
  }
  const out = { ...base };
  for (const side of sides) {
    for (const field of changedFields(base, side)) {
      if (owner.get(unit(field)) !== side) continue;
      if (field in side) out[field] = side[field];
      else delete out[field];
    }
  }
  return out;
}

function agree(a, b, of) {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((field) => unit(field) === of).every((field) => same(a[field], b[field]));
}

/**
 * What to write when fields were edited while the object changed: the edits upon what is there now, or the edits upon what
 * the writer saw, where somebody else changed the same thing. The second leaves both versions for somebody to choose from.
 * @returns {{value: object, clash: boolean}}
 */
export function rebase(seen, now, edits) {
  const edited = Object.keys(edits).map(unit);
  const clash = changedFields(seen, now).some((field) => edited.includes(unit(field)) && !same(now[field], edits[field]));
  return { value: { ...(clash ? seen : now), ...edits }, clash };
}

// --- history -------------------------------------------------------------------------------------------------------

/** The ends of a history: versions that no other one replaced. With equal values several of them are no conflict. */
export function leaves(history) {
  const replaced = new Set(history.flatMap((entry) => entry.parents));
  return history.filter((entry) => !replaced.has(entry.version));
}

/** The newest version that all of the given ones descend from, where this part of the history holds it. */
export function mergeBase(history, tips) {
  const known = new Map(history.map((entry) => [entry.version, entry]));
  const reach = (tip) => {
    const met = new Set();
    const next = [tip.version];
    while (next.length) {
      const version = next.pop();
      if (met.has(version)) continue;
      met.add(version);
      next.push(...(known.get(version)?.parents ?? []));
    }
    return met;
  };
  const reaches = tips.map(reach);
  const common = history.filter((entry) => reaches.every((met) => met.has(entry.version)));
  // Of the common ones, one that no other common one descends from.
  const older = new Set(common.flatMap((entry) => entry.parents));
  return common.find((entry) => !older.has(entry.version));
}

/**
 * The lines of a drawing of a history, newest first: in which lane each version's dot stands, which lanes pass by above
 * and below it, and from where to where they go.
 * @returns {{lane: number, above: [number, number][], below: [number, number][], width: number}[]}
 *   above: lines from the top of the row to its dot or on; below: from its dot, or on, to the bottom
 */
export function lanes(history, most = 4) {
  const rows = [];
  let waiting = []; // per lane, the version that comes next in it
  for (const entry of history) {
    let lane = waiting.indexOf(entry.version);
    if (lane < 0) lane = free(waiting);
    const above = [];
    waiting.forEach((version, i) => {
      if (version !== undefined) above.push([i, version === entry.version ? lane : i]);
    });
    const next = waiting.map((version) => (version === entry.version ? undefined : version));
    const below = next.flatMap((version, i) => (version === undefined ? [] : [[i, i]]));
    for (const [n, parent] of entry.parents.entries()) {
      let to = next.indexOf(parent);
      if (to < 0) to = n === 0 && next[lane] === undefined ? lane : free(next);
      else if (to > lane && next[lane] === undefined) to = fold(next, below, to, lane);
      next[to] = parent;
      below.push([lane, to]);
    }
    while (next.length && next.at(-1) === undefined) next.pop();
    rows.push({ lane, above, below, width: Math.max(lane + 1, waiting.length, next.length) });
    waiting = next;
  }
  const clip = (n) => Math.min(n, most - 1);
  return rows.map((row) => ({
    lane: clip(row.lane),
    above: row.above.map((line) => line.map(clip)),
    below: row.below.map((line) => line.map(clip)),
    width: Math.min(row.width, most),
  }));
}

/** Two lanes become one: the left one, so that a drawing does not wander to the right. */
function fold(next, below, from, to) {
  next[from] = undefined;
  for (const line of below) if (line[1] === from) line[1] = to;
  return to;
}

function free(lanes) {
  const at = lanes.indexOf(undefined);
  return at < 0 ? lanes.length : at;
}
