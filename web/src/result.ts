// A result that the engine tells whole, in pieces, and then by what each batch changes of it. This side keeps it sorted:
//
//   PIECE ─▶ … ─▶ WHOLE ─▶ list      PART ─▶ … ─▶ DELTA ─▶ list      nothing is to be told of what waits for its end
//     pieces (VOID: none)              next, a copy
//
// Each ITEMS is read in a task of its own, so each does its part of the work.
import { DELTA, PART, VOID, WHOLE } from './frame.js';
import { compareIds } from './order.js';

interface Item {
  readonly id: string;
}

/** The rest follows; the list is another; it was told anew, and is as it was. */
export type Taken = 'part' | 'other' | 'same';

export class Result<T extends Item> {
  #list: T[] = [];
  #next: T[] | undefined;
  #pieces: T[] = [];
  #at = 0; // in the list, where the pieces are
  #kept = 0; // of the pieces, that the list has too
  readonly #reverse: boolean;
  readonly #equal: (a: T, b: T) => boolean;

  /** Of two items that are equal, the one that was there before stays. */
  constructor(reverse: boolean, equal: (a: T, b: T) => boolean) {
    this.#reverse = reverse;
    this.#equal = equal;
  }

  /** The list, for someone who may do with it as he likes. */
  copy(): T[] {
    return this.#list.slice();
  }

  /** Another engine begins anew. */
  restart(): void {
    this.#next = undefined;
    this.#pieces = [];
    this.#at = this.#kept = 0;
  }

  clear(): void {
    this.restart();
    this.#list = [];
  }

  take(part: number, rows: T[], gone: string[]): Taken {
    if (part === DELTA || part === PART) return this.#change(part, rows, gone);
    if (part === VOID) this.restart();
    for (const row of rows) this.#pieces.push(this.#keep(row));
    if (part !== WHOLE) return 'part';
    const same = this.#kept === this.#list.length && this.#kept === this.#pieces.length;
    this.#list = this.#pieces;
    this.restart();
    return same ? 'same' : 'other';
  }

  #change(part: number, rows: T[], gone: string[]): Taken {
    if (part === PART) this.#next ??= this.#list.slice();
    merge(this.#next ?? this.#list, rows, gone, this.#reverse);
    if (part === PART) return 'part';
    this.#list = this.#next ?? this.#list;
    this.#next = undefined;
    return 'other';
  }

  /** What stands for a row of a piece: rows come in the order of the list. */
  #keep(row: T): T {
    const list = this.#list;
    const order = ordered(this.#reverse);
    while (this.#at < list.length && order(list[this.#at]!.id, row.id) < 0) this.#at++;
    const before = list[this.#at];
    if (before?.id !== row.id || !this.#equal(before, row)) return row;
    this.#kept++;
    return before;
  }
}

const backwards = (a: string, b: string): number => compareIds(b, a);
const ordered = (reverse: boolean): ((a: string, b: string) => number) => (reverse ? backwards : compareIds);

/** Changes a sorted list: rows that are new or other than before, ids that are gone. What stands before the first that comes or goes stays where it is. */
export function merge<T extends Item>(list: T[], rows: T[], gone: string[], reverse: boolean): void {
  const changes: { id: string; row?: T }[] = [...rows.map((row) => ({ id: row.id, row })), ...gone.map((id) => ({ id }))];
  const order = ordered(reverse);
  changes.sort((a, b) => order(a.id, b.id));
  const moves: { place: number; row: T | undefined }[] = []; // those that come, and places of those that go
  let place = 0;
  for (const { id, row } of changes) {
    place = search(list, id, place, order);
    const there = list[place]?.id === id;
    if (there && row) list[place] = row;
    else if (there || row) moves.push({ place, row });
  }
  if (moves.length > 0) move(list, moves);
}

function move<T>(list: T[], moves: { place: number; row: T | undefined }[]): void {
  const first = moves[0]!.place;
  const old = list.slice(first);
  let from = first;
  let to = first;
  for (const { place, row } of moves) {
    while (from < place) list[to++] = old[from++ - first]!;
    if (row) list[to++] = row;
    else from++;
  }
  while (from - first < old.length) list[to++] = old[from++ - first]!;
  list.length = to;
}

/** The first place from `low` on whose id does not come before this one. */
function search(list: readonly Item[], id: string, low: number, order: (a: string, b: string) => number): number {
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (order(list[middle]!.id, id) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
