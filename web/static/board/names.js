// Who a device is: the name it was given, or one made from its id.

import { h } from "./dom.js";
import { deviceColour, deviceName, initials } from "./words.js";

export class Names {
  #given = new Map();
  #own;

  constructor(own) { this.#own = own; }

  /** @param {{id: string, value: any}[]} entries of the collection "devices" @returns {boolean} whether any name changed */
  take(entries) {
    const before = this.#given;
    this.#given = new Map(entries.flatMap(({ id, value }) => (typeof value?.name === "string" && value.name.trim() ? [[id, value.name.trim().slice(0, 40)]] : [])));
    return before.size !== this.#given.size || [...this.#given].some(([id, name]) => before.get(id) !== name);
  }

  set own(device) { this.#own = device; }
  isOwn(device) { return device === this.#own; }
  given(device) { return this.#given.get(device) ?? ""; }
  of(device) { return this.#given.get(device) ?? deviceName(device); }
  /** For sentences: "You", or the name. */
  who(device) { return this.isOwn(device) ? "You" : this.of(device); }
  hue(device) { return String(deviceColour(device) * 30); }

  disc(device) {
    return h("span.disc", { "--hue": this.hue(device), "aria-hidden": "true" }, initials(this.of(device)));
  }
}
