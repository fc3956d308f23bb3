import type { Batch, Collection, Receipt } from '../vsync.js';
import { checkFunction, checkNote, fieldsOf } from './arguments.js';
import { Objects, readEntry } from './collection.js';
import { describe, invalid } from './errors.js';
import { MAX_RUNS } from './limits.js';
import type { Link } from './request.js';
import { DELETION, Operations, outrun, overtaken, receipt, type Check } from './write.js';

export async function batch(link: Link, fn: (tx: Batch) => void | Promise<void>, options: { note?: string } | undefined): Promise<Receipt> {
  checkFunction('batch', fn);
  fieldsOf('batch', options, ['note']);
  const note = options?.note ?? '';
  checkNote(note);
  for (let run = 0; run < MAX_RUNS; run++) {
    const tx = new Transaction(link);
    try {
      await fn(tx);
    } finally {
      tx.end();
    }
    try {
      return receipt(link, await tx.send(note));
    } catch (err) {
      if (!overtaken(err)) throw err;
    }
  }
  throw outrun('the batch', MAX_RUNS);
}

/** What one run of the function reads and writes. */
class Transaction implements Batch {
  readonly #link: Link;
  readonly #operations = new Operations();
  /** Per object that was written: its place among the operations. */
  readonly #written = new Map<string, number>();
  /** Per object that was read. */
  readonly #checks = new Map<string, Check>();
  #over = false;

  constructor(link: Link) {
    this.#link = link;
  }

  end(): void {
    this.#over = true;
  }

  send(note: string): Promise<string> {
    return this.#operations.send(this.#link, [...this.#checks.values()], note);
  }

  #key<T>(collection: Collection<T>, id: string): string {
    if (this.#over) throw invalid('the batch is over: await everything that belongs to it inside its function');
    if (!Objects.belongs(collection, this.#link)) {
      throw invalid(`a batch writes to collections of its own database, db.collection(name), got ${describe(collection)}`);
    }
    return `${collection.name}\0${id}`;
  }

  async get<T>(collection: Collection<T>, id: string): Promise<T | undefined> {
    const key = this.#key(collection, id);
    const own = this.#written.get(key);
    if (own !== undefined) return this.#operations.value(own) as T | undefined;
    const { entry, frontier } = await readEntry<T>(this.#link, collection.name, id);
    // Read twice, the first reading counts: if they differ, the batch is to run again.
    if (!this.#checks.has(key)) this.#checks.set(key, { collection: collection.name, id, frontier });
    return entry?.value;
  }

  put<T>(collection: Collection<T>, id: string, value: T): void {
    this.#write(this.#key(collection, id), collection.name, id, value);
  }

  delete<T>(collection: Collection<T>, id: string): void {
    this.#write(this.#key(collection, id), collection.name, id, DELETION);
  }

  #write(key: string, collection: string, id: string, value: unknown): void {
    const before = this.#written.get(key);
    if (before === undefined) this.#written.set(key, this.#operations.add(collection, id, value));
    else this.#operations.replace(before, collection, id, value);
  }
}
