// Cards to begin with, and cards in numbers. Ids and places come from outside, so that the same call gives the same board.

import { following } from "./order.js";

/**
 * A small board that says what can be done with it.
 * @param {() => string} id @param {string[]} places three
 * @returns {{lists: [string, object][], cards: [string, object][]}}
 */
export function sample(id, places) {
  const board = [
    ["To do", [
      { title: "Open this page in another browser", note: "It is another device then. Whatever you do here shows up there at once, and the other way round.", label: "green" },
      { title: "Switch to offline, change a few cards, and come back", note: "Nothing waits for the network. The number beside the state says how many changes are still to be sent." },
      { title: "Make a conflict: change the title of this card on two devices while both are offline", label: "amber" },
      { title: "Open a card, and go back to an earlier version of it", note: "Each change is in its history, with the device and the time." },
      { title: "Add 5,000 cards (in the menu) and scroll ⚡️" },
    ]],
    ["In progress", [
      { title: "Plan the trip to the sea 🏖️", note: "Train on Friday, 16:20\nTwo rooms, breakfast included\nTell Amira and Jonas", label: "blue" },
      { title: "חלב, לחם וגבינה", note: "מהמכולת בפינה, עד שמונה בערב" },
      { title: "اتصل بالطبيب لتحديد موعد", label: "violet" },
    ]],
    ["Done", [
      { title: "Repair the bicycle", note: "New chain, brakes adjusted." },
      { title: "番茄と茄子の種をまく 🌱", label: "red" },
    ]],
  ];
  const lists = [], cards = [];
  board.forEach(([title, content], i) => {
    const list = id();
    lists.push([list, { title, pos: places[i] }]);
    following("", content.length).forEach((pos, k) => cards.push([id(), { ...content[k], list, pos }]));
  });
  return { lists, cards };
}

const DOES = "Answer Book Bring Build Buy Call Check Clean Cook Draw Find Fix Water Learn Measure Move Order Pack Paint Plan Plant Read Repair Send Sort Visit Wash Write".split(" ");
const WHAT = ("the letter from the bank;a table for six;the blue bicycle;new shelves;two kilos of flour;the neighbours;the smoke alarms;the gutters;lentil soup;"
  + "a map of the garden;the spare key;the kitchen tap;the tomatoes;a few words of Finnish;the windows;the old piano;paper and ink;the tent;the fence;"
  + "the route through the hills;tulip bulbs;the second chapter;the radio;a parcel to Lisbon;the photographs;grandmother;the curtains;a postcard").split(";");
const NOTES = ["Before the weekend, if the weather holds.", "Ask who has the tools. It took longer than planned last year, so begin early.", "See the list on the fridge.",
  "Half is done.", "Costs about forty; the receipt is in the drawer."];
const COLOURS = ["", "", "", "red", "amber", "green", "blue", "violet", "pink"];

/** A list of n cards of common lengths. */
export function trial(id, place, n) {
  const list = id();
  const cards = following("", n).map((pos, i) => {
    const value = { title: `${DOES[(i * 7) % DOES.length]} ${WHAT[(i * 13 + Math.floor(i / 28)) % WHAT.length]}`, list, pos };
    if (i % 3 === 0) value.note = `${NOTES[(i / 3) % NOTES.length]} No. ${i + 1}`;
    const label = COLOURS[(i * 5) % COLOURS.length];
    if (label) value.label = label;
    return [id(), value];
  });
  return { lists: [[list, { title: `${n.toLocaleString("en")} cards`, pos: place }]], cards };
}
