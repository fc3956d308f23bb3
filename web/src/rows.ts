import type { Entry } from '../vsync.js';
import type { Reader } from './reader.js';
import { Malformed } from './reader.js';

/** The two fields of ROWS. */
export function readRows<T>(r: Reader): Entry<T>[] {
  const devices = r.strs();
  const rows: Entry<T>[] = [];
  const versions = new Versions(devices, r);
  for (let n = r.array(); n > 0; n--) {
    if (r.array() !== 6) throw new Malformed('a row of 6', r);
    const id = r.str();
    const value = r.bin() as T;
    const device = r.int();
    const version = versions.name(device, r.int());
    rows.push({ id, value, version, time: r.int(), device: devices[device]!, conflict: r.bool() });
  }
  return rows;
}

/** Version texts. Rows of one batch stand together often, and share theirs. */
export class Versions {
  readonly #devices: string[];
  readonly #r: Reader;
  #device = -1;
  #generation = 0;
  #name = '';

  constructor(devices: string[], r: Reader) {
    this.#devices = devices;
    this.#r = r;
  }

  name(device: number, generation: number): string {
    if (device !== this.#device || generation !== this.#generation) {
      if (device >= this.#devices.length) throw new Malformed('a device of the list', this.#r);
      this.#device = device;
      this.#generation = generation;
      this.#name = `${this.#devices[device]}:${generation}`;
    }
    return this.#name;
  }
}
