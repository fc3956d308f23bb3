// What the board decides without a document: places in an order, the model, what versions have to do with each other, words.
import assert from "node:assert/strict";
import { test } from "node:test";
import { changedFields, combine, lanes, leaves, mergeBase, rebase, wordDiff } from "../static/board/diff.js";
import { differences, fold, LOOSE, matches, Model, parseSearch, readCard, readList } from "../static/board/model.js";
import { Ends, between, following, isPlace } from "../static/board/order.js";
import { sample, trial } from "../static/board/sample.js";

/** The same numbers each time. */
function random(seed = 1) {
  let n = seed;
  return () => (n = (n * 1103515245 + 12345) & 0x7fffffff) / 0x80000000;
}

// --- places ---------------------------------------------------------------------------------------------------------

test("there is a place between any two, wherever things are put", () => {
  const draw = random();
  const places = [];
  for (let i = 0; i < 3000; i++) {
    const k = Math.floor(draw() * (places.length + 1));
    const [a, b] = [places[k - 1] ?? "", places[k] ?? ""];
    const place = between(a, b, draw);
    assert.ok(isPlace(place) && a < place && (b === "" || place < b), `${a} < ${place} < ${b}`);
    places.splice(k, 0, place);
  }
});

test("what is added before the last addition is seen comes behind it", () => {
  const draw = random();
  const ends = new Ends();
  const places = ["", ...Array.from({ length: 50 }, () => ends.behind("a", "", draw))];
  assert.deepEqual(places.toSorted(), places);
  assert.equal(new Set(places).size, places.length);
  const seen = between(places.at(-1), "", draw); // somebody else has put something behind that
  assert.ok(ends.behind("a", seen, draw) > seen);
  assert.ok(ends.behind("b", "", draw) < seen, "each list has its own end");
});

test("places stay short at both ends, where most is put", () => {
  const draw = random();
  let first = between("", "", draw), last = first;
  for (let i = 0; i < 20_000; i++) {
    const [before, behind] = [between("", first, draw), between(last, "", draw)];
    assert.ok(before < first && behind > last);
    [first, last] = [before, behind];
  }
  assert.ok(first.length <= 8 && last.length <= 8, `${first} ${last}`);
});

test("two devices that put something at the same spot draw different places", () => {
  assert.notEqual(between("V00000Id", "V00100gg", random(1)), between("V00000Id", "V00100gg", random(77)));
});

test("what is no place counts as the end, so that nothing stored by others breaks the order", () => {
  for (const bad of ["", "a0", "ä", "-", undefined, 7]) assert.ok(!isPlace(bad), String(bad));
  assert.ok(isPlace(between(undefined, 7)));
  assert.ok(between("V1", "V1") > "V1");
});

// --- the model ------------------------------------------------------------------------------------------------------

let version = 0;
const entry = (id, value, conflict = false) => ({ id, value, version: `d:${++version}`, time: 1, device: "d", conflict });
const ids = (items) => items.map((item) => item.id).join("");

test("cards are in the order of their places, in their lists, or loose", () => {
  const model = new Model();
  model.takeLists([entry("L", { title: "one", pos: "b" }), entry("M", { title: "two", pos: "a" })]);
  assert.equal(ids(model.lists), "ML");
  model.takeCards([entry("a", { list: "L", pos: "3" }), entry("b", { list: "L", pos: "1" }), entry("c", { list: "gone", pos: "2" }), entry("d", "milk")]);
  assert.equal(ids(model.in("L")), "ba");
  assert.equal(ids(model.loose), "dc");
  assert.equal(model.cards.get("d").title, "milk");
});

test("a result that came again with changes says what changed and where", () => {
  const model = new Model();
  const [l, m] = [entry("L", { title: "one", pos: "a" }), entry("M", { title: "two", pos: "b" })];
  model.takeLists([l, m]);
  const [a, b, c] = [entry("a", { list: "L", pos: "1" }), entry("b", { list: "L", pos: "2" }), entry("c", { list: "M", pos: "1" })];
  model.takeCards([a, b, c]);
  const { changes, lists } = model.takeCards([entry("a", { list: "M", pos: "2" }), b, entry("d", { list: "L", pos: "1" })]);
  assert.deepEqual(changes.map(({ was, now }) => [was?.id, now?.id]), [["a", "a"], ["c", undefined], [undefined, "d"]]);
  assert.deepEqual([...lists].sort(), ["L", "M"]);
  assert.equal(ids(model.in("L")), "db");
  assert.equal(ids(model.in("M")), "a");
  assert.equal(model.takeCards([model.cards.get("a").entry, b, model.cards.get("d").entry]).changes.length, 0);
});

test("cards of a list that is deleted become loose, and come back with it", () => {
  const model = new Model();
  const list = entry("L", { title: "one", pos: "a" });
  model.takeLists([list]);
  model.takeCards([entry("a", { list: "L", pos: "1" })]);
  assert.equal(model.takeLists([]).shape, true);
  assert.equal(ids(model.in(LOOSE)), "a");
  model.takeLists([list]);
  assert.equal(ids(model.in("L")), "a");
});

test("many changes at once end where the same changes one by one end", () => {
  const draw = random();
  const one = new Model(), bulk = new Model();
  const lists = ["L", "M", "N"].map((id, i) => entry(id, { title: id, pos: "abc"[i] }));
  for (const model of [one, bulk]) model.takeLists(lists);
  let now = [];
  for (let round = 0; round < 40; round++) {
    const next = new Map(now.map((e) => [e.id, e]));
    for (let k = 0; k < 12; k++) {
      const id = String(Math.floor(draw() * 60)).padStart(2, "0");
      if (draw() < 0.3) next.delete(id);
      else next.set(id, entry(id, { list: "LMNX"[Math.floor(draw() * 4)], pos: String(1 + Math.floor(draw() * 9)) }));
    }
    now = [...next.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    one.takeCards(now);
  }
  bulk.takeCards(now);
  for (const list of ["L", "M", "N", LOOSE]) assert.equal(ids(one.in(list)), ids(bulk.in(list)), list);
});

test("differences are found in the order of UTF-8, as the database has it", () => {
  const before = ["a", "ﬀ", "😀"].map((id) => entry(id, 1)); // U+FB00 stands before U+1F600, though its UTF-16 is behind
  const after = [before[0], before[2], entry("😁", 1)];
  assert.deepEqual(differences(before, after).map(({ was, now }) => [was?.id, now?.id]), [["ﬀ", undefined], [undefined, "😁"]]);
});

test("whatever another program stored is shown as something", () => {
  for (const [value, title] of [["milk", "milk"], [{ text: "milk" }, "milk"], [{ name: "milk" }, "milk"], [7, "7"], [null, "null"], [[1, 2n], '[1,"2"]'],
    [{ a: new Uint8Array(3) }, '{"a":"3 bytes"}'], [{ title: "" }, ""], [{ title: 5 }, '{"title":5}']]) {
    assert.equal(readCard(value).title, title);
  }
  assert.deepEqual(readCard({ title: "a", label: "no colour", list: 7, pos: "0" }), { title: "a", note: "", label: "", list: LOOSE, pos: "" });
  assert.deepEqual([readList(undefined), readList({ title: 7, pos: "b" })], [{ title: "", pos: "" }, { title: "", pos: "b" }]);
});

test("searching: all words, beginnings, colours; without case and accents", () => {
  const card = { ...readCard({ title: "Café au lait", note: "für Anna", label: "red" }), entry: { conflict: false } };
  const finds = (text) => matches(card, parseSearch(text));
  assert.ok(["", "cafe", "CAFÉ fur", "^caf", "#red", "#r lait", "anna au"].every(finds));
  assert.ok(!["tea", "cafe tea", "^lait", "#blue"].some(finds));
  assert.ok(!matches(card, { ...parseSearch(""), conflict: true }));
  assert.equal(fold("ÅNGSTRÖM"), "angstrom");
});

// --- versions -------------------------------------------------------------------------------------------------------

test("how words changed", () => {
  const plain = (a, b) => wordDiff(a, b).map(({ kind, text }) => ({ same: text, gone: `[-${text}-]`, new: `{+${text}+}` })[kind]).join("");
  assert.equal(plain("two pints of milk", "two litres of milk"), "two [-pints-]{+litres+} of milk");
  assert.equal(plain("", "milk"), "{+milk+}");
  assert.equal(plain("a b c", "a b c"), "a b c");
  assert.equal(plain("חלב ולחם", "חלב וגבינה"), "חלב [-ולחם-]{+וגבינה+}");
  assert.equal(plain("Make a conflict: change the title of this card", "Title of A"), "[-Make a conflict: change the title of this card-]{+Title of A+}");
  const long = Array.from({ length: 2000 }, (_, i) => `w${i}`).join(" ");
  assert.equal(plain(long, `${long} x`), `${long}{+ x+}`);
  assert.deepEqual(wordDiff(long, long.toUpperCase()).map(({ kind }) => kind), ["gone", "new"]);
});

test("both sides of a conflict fit into one where they changed different things", () => {
  const base = { title: "a", note: "n", list: "L", pos: "1" };
  assert.deepEqual(combine(base, [{ ...base, title: "b" }, { ...base, note: "m", label: "red" }]), { title: "b", note: "m", list: "L", pos: "1", label: "red" });
  assert.deepEqual(combine(base, [{ ...base, title: "b" }, { ...base, title: "b", note: "m" }]), { ...base, title: "b", note: "m" });
  assert.equal(combine(base, [{ ...base, title: "b" }, { ...base, title: "c" }]), undefined);
  // List and place are one decision: half of each move would put the card where nobody wanted it.
  assert.equal(combine(base, [{ ...base, list: "M", pos: "5" }, { ...base, pos: "2" }]), undefined);
  assert.deepEqual(combine(base, [{ ...base, list: "M", pos: "5" }, { ...base, title: "b" }]), { ...base, list: "M", pos: "5", title: "b" });
  const { note, ...without } = base;
  assert.equal(note, "n");
  assert.deepEqual(combine(base, [without, { ...base, title: "b" }]), { ...without, title: "b" });
  for (const unknown of [undefined, "text", null, [1]]) assert.equal(combine(unknown, [base, { ...base, title: "b" }]), undefined);
});

test("edits go upon what is there now, or beside it where the same thing was changed", () => {
  const seen = { title: "a", note: "n", list: "L", pos: "1" };
  assert.deepEqual(rebase(seen, { ...seen, note: "m" }, { title: "b" }), { value: { ...seen, note: "m", title: "b" }, clash: false });
  assert.deepEqual(rebase(seen, { ...seen, title: "c", note: "m" }, { title: "b" }), { value: { ...seen, title: "b" }, clash: true });
  assert.equal(rebase(seen, { ...seen, title: "b" }, { title: "b" }).clash, false);
});

test("fields are compared by what they hold", () => {
  const day = new Date(5);
  assert.deepEqual(changedFields({ a: [1, { b: 2n }], d: day, u: new Uint8Array([1]) }, { a: [1, { b: 2n }], d: new Date(5), u: new Uint8Array([1]) }), []);
  assert.deepEqual(changedFields({ a: [1], d: day, u: new Uint8Array([1]), g: 1 }, { a: [2], d: new Date(6), u: new Uint8Array([2]), n: null }), ["a", "d", "u", "g", "n"]);
  assert.deepEqual(changedFields(undefined, { a: 1 }), ["a"]);
});

// A fork of two after B, joined by E; newest first.
const forked = [["E", "C", "D"], ["D", "B"], ["C", "B"], ["B", "A"], ["A"]].map(([v, ...parents]) => ({ version: v, parents }));

test("the ends of a history, and where they came apart", () => {
  assert.deepEqual(leaves(forked).map((e) => e.version), ["E"]);
  const open = forked.slice(1);
  assert.deepEqual(leaves(open).map((e) => e.version), ["D", "C"]);
  assert.equal(mergeBase(open, leaves(open)).version, "B");
  assert.equal(mergeBase(open.slice(0, 2), leaves(open)), undefined); // not read as far back
});

test("a history is drawn as the graph that it is", () => {
  assert.deepEqual(lanes(forked), [
    { lane: 0, above: [], below: [[0, 0], [0, 1]], width: 2 },
    { lane: 1, above: [[0, 0], [1, 1]], below: [[0, 0], [1, 1]], width: 2 },
    { lane: 0, above: [[0, 0], [1, 1]], below: [[1, 0], [0, 0]], width: 2 },
    { lane: 0, above: [[0, 0]], below: [[0, 0]], width: 1 },
    { lane: 0, above: [[0, 0]], below: [], width: 1 },
  ]);
  assert.deepEqual(lanes([{ version: "B", parents: ["A"] }, { version: "A", parents: [] }]).map((row) => row.width), [1, 1]);
});

// --- cards to begin with ----------------------------------------------------------------------------------------------

test("samples are in order, whole, and within one batch", () => {
  let n = 0;
  const id = () => `id${n++}`;
  const small = sample(id, following("", 3, random()));
  const large = trial(id, "V1", 5000);
  assert.equal(large.cards.length, 5000);
  const size = Buffer.byteLength(JSON.stringify(large));
  assert.ok(size < 2 << 20, `${size} bytes`);
  for (const { lists, cards } of [small, large]) {
    const known = new Set(lists.map(([list]) => list));
    assert.equal(new Set(cards.map(([card]) => card)).size, cards.length);
    for (const [, card] of cards) assert.ok(known.has(card.list) && isPlace(card.pos) && card.title, JSON.stringify(card));
    for (const list of known) {
      const places = cards.filter(([, card]) => card.list === list).map(([, card]) => card.pos);
      assert.deepEqual(places, places.toSorted());
    }
  }
});
